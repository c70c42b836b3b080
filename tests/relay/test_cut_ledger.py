from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.timeline import SegmentKey
from relay.cut_ledger import AGAIN_S, MAX_SAID, CutLedger
from relay.cuts import Cuts, Edge, Record


def edge(msn: int, *, opens: bool = True, late: bool = False, name: str = "a") -> Record:
    return ["edge", 0, msn, name, opens, late]


class Relay:
    def __init__(self) -> None:
        self.cuts = Cuts()
        self.ledger = CutLedger(self.cuts)

    def find(self, *records: Record) -> None:
        self.ledger.found([record for record in records if self.cuts.add(record)])

    def edges(self) -> list[tuple[int, bool]]:
        return [(one.key.msn, one.opens) for one in self.cuts.edges("a")]


def test_what_was_found_is_said_until_it_is_kept() -> None:
    relay = Relay()
    relay.find(edge(10), ["lead", 0, 10, "local", 5])
    assert relay.ledger.due(now=0.0) == [edge(10), ["lead", 0, 10, "local", 5]]
    assert relay.ledger.due(now=AGAIN_S / 2) == []
    relay.find(edge(20, opens=False))
    assert relay.ledger.due(now=AGAIN_S / 2) == [edge(20, opens=False)]
    assert relay.ledger.confirm([edge(10)]) is None
    assert relay.ledger.due(now=2 * AGAIN_S) == [["lead", 0, 10, "local", 5], edge(20, opens=False)]
    relay.ledger.confirm([["lead", 0, 10, "local", 5], edge(20, opens=False)])
    assert (relay.ledger.due(now=9 * AGAIN_S), relay.ledger.n_waiting) == ([], 0)
    # In a log that begins anew nobody knows any of it.
    relay.ledger.begin_epoch()
    assert len(relay.ledger.due(now=9 * AGAIN_S)) == 3
    assert relay.edges() == [(10, True), (20, False)]


def test_not_all_is_said_at_a_time() -> None:
    relay = Relay()
    relay.find(*(["lead", 0, msn, "local", msn] for msn in range(MAX_SAID + 3)))
    assert [len(relay.ledger.due(now=0.0)) for _ in range(3)] == [MAX_SAID, 3, 0]


def test_who_has_found_nothing_takes_what_is_kept() -> None:
    relay = Relay()
    relay.ledger.confirm([edge(10), edge(20, opens=False)])
    relay.ledger.confirm([edge(10)])
    assert relay.edges() == [(10, True), (20, False)]
    assert relay.ledger.n_waiting == 0


def test_what_is_kept_outweighs_what_was_found() -> None:
    relay = Relay()
    relay.find(edge(12, late=True), edge(20, opens=False), ["lead", 0, 12, "local", 5])
    revision = relay.cuts.revision
    relay.ledger.confirm([edge(11, late=True)])
    assert relay.edges() == [(11, True), (20, False)]
    assert relay.cuts.revision > revision
    # What was contradicted is not said any more.
    assert relay.ledger.due(now=0.0) == [edge(20, opens=False), ["lead", 0, 12, "local", 5]]
    relay.ledger.confirm([["lead", 0, 12, "local", 6]])
    assert relay.cuts.lead(SegmentKey(0, 12), "local") == 6
    assert relay.ledger.due(now=AGAIN_S) == [edge(20, opens=False)]


def test_what_is_not_understood_is_passed_over() -> None:
    relay = Relay()
    assert "moon" in (relay.ledger.confirm([["moon", 0, 1], edge(10)]) or "")
    assert relay.cuts.edges("a") == (Edge(SegmentKey(0, 10), True),)


RECORDS = st.one_of(
    st.builds(edge, st.integers(0, 9), opens=st.booleans(), late=st.booleans(), name=st.sampled_from("ab")),
    st.builds(lambda msn, n: ["lead", 0, msn, "local", n], st.integers(0, 2), st.integers(0, 3)),
)


@given(st.lists(st.tuples(st.integers(0, 1), RECORDS), max_size=12), st.lists(st.booleans(), max_size=12))
def test_two_that_find_what_they_like_end_of_one_mind(
    found: list[tuple[int, Record]], hears: list[bool]
) -> None:  # fmt: skip
    relays, kept, log = [Relay(), Relay()], Cuts(), list[Record]()
    heard = [0, 0]

    def turn(now: float, *, hear: bool) -> None:
        for relay in relays:
            log.extend(record for record in relay.ledger.due(now=now) if kept.add(record))
        for number, relay in enumerate(relays):
            if hear:
                relay.ledger.confirm(log[heard[number] :])
                heard[number] = len(log)

    for step, (number, record) in enumerate(found):
        relays[number].find(record)
        turn(float(step), hear=step < len(hears) and hears[step])
    for step in range(3):
        turn(1e3 * (step + 1), hear=True)
    for name in "ab":
        assert relays[0].cuts.edges(name) == relays[1].cuts.edges(name) == kept.edges(name)
    assert relays[0].cuts.all() == kept.all()
    assert [relay.ledger.n_waiting for relay in relays] == [0, 0]
