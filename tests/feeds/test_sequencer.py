from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from feeds import revisions
from feeds import sequencer as module
from feeds.align import TimedSegment, TimelineMap
from feeds.markets import Markets
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sealed, Sequencer
from kernel.cues import Cue, CueClass, CueType, Fact, Op
from kernel.pts import Ticks
from kernel.timeline import MediaTime
from tests.support.playlists import timing

T0 = 1_800_000_000.0
FRAME = 3600


def fact(id_: str, at: float | None = 1.0, *, op: Op = Op.NEW, **more: Any) -> Fact:
    body = more.pop("body", {"txt": id_})
    type_ = more.pop("type", CueType.PLAY)
    return Fact("nba", id_, op, type_, None if at is None else T0 + at, body, **more)


class Desk:
    """A sequencer with its map and schedule, and a wall clock that stands at T0."""

    def __init__(self, **markets: Any) -> None:
        self.map = TimelineMap()
        self.release = ReleaseSchedule("game")
        self.sequencer = Sequencer(self.map, self.release, markets=Markets(**markets))
        self.messages = 0

    def time(self, msn: int, *, now: float | None = None) -> None:
        """Time a segment, and release it at `now` if that is given."""
        told = timing(msn, f"{msn}.ts", wall=T0 + 2 * msn)
        self.map.add(TimedSegment(told, tuple(Ticks(told.start + FRAME * index) for index in range(50))))
        if now is not None:
            self.release.mark(told, arrived=now, now=now)

    def offer(self, *facts: Fact, received: float = 0.0, live: bool = True) -> module.Offer:
        self.messages += 1
        return self.sequencer.offer(list(facts), message_seq=self.messages, received=T0 + received, live=live)

    def seal(self, now: float = 0.0) -> list[Cue]:
        return [item.entry.cue for item in self.sealed(now)]

    def sealed(self, now: float = 0.0) -> list[Sealed]:
        return self.sequencer.seal(now=now)[0]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.time(0)
    return desk


def test_a_fact_becomes_an_entry_at_its_picture(desk: Desk) -> None:
    desk.offer(fact("7", body={"txt": "dunk"}))
    (sealed,) = desk.sealed()
    cue = sealed.entry.cue
    assert (sealed.entry.o, cue.id, cue.rev, cue.op, cue.cls) == (0, "nba:7", 1, Op.NEW, CueClass.LOCKED)
    assert (cue.at, sealed.entry.due) == (MediaTime(0, Ticks(90_000)), MediaTime(0, Ticks(90_000)))
    assert (cue.msn, cue.off, cue.wall_ms, cue.late_ms) == (0, 90_000, round((T0 + 1) * 1000), None)
    assert cue.body == {"txt": "dunk"}
    assert (sealed.source, sealed.fact_id, sealed.message_seq) == ("nba", "7", 1)


def test_offsets_rise_by_one_in_the_order_of_sealing(desk: Desk) -> None:
    desk.offer(fact("late", 3.0), fact("a", 0.5))
    desk.offer(fact("b", 0.2))
    assert [(item.entry.o, item.fact_id) for item in desk.sealed()] == [(0, "a"), (1, "b")]
    desk.time(1)
    assert [(item.entry.o, item.fact_id) for item in desk.sealed()] == [(2, "late")]


def test_a_message_is_settled_when_nothing_of_it_waits(desk: Desk) -> None:
    assert not desk.offer(fact("a", 0.5), fact("b", 3.0)).settled
    assert desk.sequencer.seal(now=0.0)[1] == []
    assert desk.sequencer.counts.waiting == 1
    desk.time(1)
    assert desk.sequencer.seal(now=0.0)[1] == [1]
    assert desk.offer(fact("a", 0.5)).settled


def test_a_late_fact_says_how_late(desk: Desk) -> None:
    desk.time(1, now=100.0)
    desk.offer(fact("a", 2.5))
    assert desk.seal(now=107.25)[0].late_ms == 7250
    assert desk.sequencer.counts.late == 1
    lates = desk.sequencer._release.leads.lates
    assert (lates.count, lates.total) == (1, 7.25)


def test_repeats_are_dropped(desk: Desk) -> None:
    desk.offer(fact("a"), fact("a"))
    desk.offer(fact("b", rev=2))
    assert desk.offer(fact("a"), fact("b", rev=2), fact("b", rev=1, body={"txt": "other"})).settled
    assert len(desk.seal()) == 2
    assert desk.sequencer.revisions.dropped.duplicates == 4


def test_a_change_is_an_amendment_with_what_it_replaces(desk: Desk) -> None:
    desk.offer(fact("a", body={"n": 1}), fact("a", body={"n": 2}))
    first, second = desk.seal()
    assert (second.rev, second.op, second.body, second.before) == (2, Op.AMEND, {"n": 2}, {"n": 1})
    assert first.before is None


def test_a_newer_stamp_with_the_same_content_confirms(desk: Desk) -> None:
    desk.offer(fact("a", stamp=10), fact("a", stamp=20), fact("a", stamp=20), fact("a", stamp=15, body={"n": 9}))
    assert [(cue.rev, cue.op) for cue in desk.seal()] == [(1, Op.NEW), (2, Op.CONFIRM)]
    assert (desk.sequencer.revisions.dropped.duplicates, desk.sequencer.revisions.dropped.stale) == (1, 1)


def test_a_correction_without_a_time_stands_with_its_original(desk: Desk) -> None:
    desk.offer(fact("a", 1.0))
    desk.seal()
    desk.time(1)
    desk.offer(fact("a", None, op=Op.AMEND, body={"n": 2}), received=3.0)
    desk.offer(fact("a", 1.0, op=Op.RETRACT, body={}), received=3.5)
    amend, retract = desk.seal()
    assert amend.at == retract.at == MediaTime(0, Ticks(90_000))
    assert retract.op is Op.RETRACT


def test_a_correction_waits_with_its_original(desk: Desk) -> None:
    desk.offer(fact("a", 3.0))
    desk.offer(fact("a", None, op=Op.AMEND, body={"n": 2}), received=3.5)
    assert desk.seal() == []
    desk.time(1)
    assert [cue.at for cue in desk.seal()] == [MediaTime(0, Ticks(270_000))] * 2


def test_a_reversal_stands_at_its_own_picture(desk: Desk) -> None:
    desk.time(1)
    desk.offer(fact("goal", 0.5))
    desk.offer(fact("goal", 3.0, op=Op.RETRACT, body={"txt": "offside"}))
    goal, verdict = desk.seal()
    assert goal.at == MediaTime(0, Ticks(45_000 + 1_800)) or goal.at == MediaTime(0, Ticks(43_200))
    assert verdict.at == MediaTime(0, Ticks(270_000))
    assert verdict.before == {"txt": "goal"}


def test_what_was_retracted_stays_retracted(desk: Desk) -> None:
    desk.offer(fact("a", op=Op.RETRACT))
    desk.offer(fact("a"))
    desk.offer(fact("b"), fact("b", None, op=Op.RETRACT), fact("b", body={"n": 3}))
    assert [(cue.id, cue.op) for cue in desk.seal()] == [("nba:b", Op.NEW), ("nba:b", Op.RETRACT)]
    assert desk.sequencer.revisions.dropped.retracted == 3


def test_a_retraction_before_its_target_is_handed_out_again_after_a_restart(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not desk.offer(fact("a", op=Op.RETRACT)).settled
    assert desk.offer(fact("a")).settled
    assert desk.sequencer.seal(now=0.0) == ([], [])
    # Killed, the next process gets the first message again, and knows.
    again = Desk()
    again.time(0)
    again.offer(fact("a", op=Op.RETRACT))
    again.offer(fact("a"))
    assert again.seal() == []
    # However many a vendor takes back that never were: the oldest are let go.
    monkeypatch.setattr(module, "MAX_AHEAD", 2)
    for id_ in "bcd":
        desk.offer(fact(id_, op=Op.RETRACT))
    assert desk.sequencer.seal(now=0.0)[1] == [1, 3]


def test_a_correction_before_its_target_is_all_we_know(desk: Desk) -> None:
    desk.offer(fact("a", op=Op.AMEND, rev=4))
    desk.offer(fact("a", rev=1, body={"old": 1}))
    assert [(cue.rev, cue.op) for cue in desk.seal()] == [(4, Op.NEW)]


def test_safety_is_sealed_at_once_and_tells_nothing(desk: Desk) -> None:
    offer = desk.offer(fact("s", None, type=CueType.SUSPEND, body={"market": {"mid": "1x2"}, "why": "goal"}))
    (sealed,) = offer.safety
    assert (sealed.entry.due, sealed.entry.cue.at) == (None, None)
    assert sealed.entry.cue.body == {"scope": "event", "ver": 1}
    assert sealed.entry.cue.cls is CueClass.SAFETY
    # Which market it was, and why, comes with the picture.
    (told,) = desk.seal()
    assert told.body == {"market": {"mid": "1x2", "st": "suspended", "ver": 1}, "why": "goal"}
    assert (told.id, told.type, told.cls, told.at) == (
        "nba:~1x2",
        CueType.MARKET,
        CueClass.LOCKED,
        MediaTime(0, Ticks(0)),
    )


def test_an_opening_market_is_a_reopen(desk: Desk) -> None:
    desk.offer(
        fact("m", type=CueType.MARKET, body={"market": {"mid": "1", "st": "open"}}),
        fact("n", type=CueType.MARKET, body={"market": {"mid": "1", "st": "closed"}}),
    )
    assert [cue.cls for cue in desk.seal()] == [CueClass.REOPEN, CueClass.LOCKED]


def test_an_absurd_clock_is_not_used_on_a_live_stream(desk: Desk) -> None:
    desk.offer(fact("a", -200_000.0), received=1.0)
    (cue,) = desk.seal()
    assert cue.at == MediaTime(0, Ticks(90_000))
    assert desk.sequencer.counts.absurd == 1
    desk.offer(fact("b", -200_000.0), received=1.0, live=False)
    assert desk.seal() == []


def test_a_restored_sequencer_goes_on(desk: Desk) -> None:
    desk.offer(fact("a", 0.51, stamp=5), fact("gone"), fact("gone", None, op=Op.RETRACT))
    later = Desk()
    for item in desk.sealed():
        assert item.source is not None
        assert item.fact_id is not None
        later.sequencer.restore(item.entry, item.source, item.fact_id, item.note)
    later.sequencer.next_offset = 1_000
    # Known to be a repeat, a correction that stands with its original, and one of what is gone.
    later.offer(fact("a", 0.51, stamp=5))
    later.offer(fact("a", 0.51, stamp=6, body={"n": 2}))
    later.offer(fact("gone", body={"n": 2}))
    (sealed,) = later.sealed()
    cue = sealed.entry.cue
    assert (sealed.entry.o, cue.rev, cue.op, cue.at) == (1_000, 2, Op.AMEND, MediaTime(0, Ticks(13 * FRAME)))


@pytest.mark.parametrize("op", [Op.AMEND, Op.RETRACT])
def test_a_word_whose_picture_was_known_late_is_not_the_last_one_after_a_restart(desk: Desk, op: Op) -> None:
    # Of a recording the last pictures are timed first: what was said last may be sealed before what it corrects.
    newer = fact("a", 1.0, op=op, rev=2, body={} if op is Op.RETRACT else {"n": 2})
    desk.offer(fact("a", -1.0, rev=1, body={"n": 1}))
    desk.offer(newer)
    first = desk.sealed()
    desk.time(-1)
    sealed = [*first, *desk.sealed()]
    assert [item.entry.cue.rev for item in sealed] == [2, 1]
    later = Desk()
    later.time(0)
    for item in sealed:
        assert item.source is not None
        assert item.fact_id is not None
        later.sequencer.restore(item.entry, item.source, item.fact_id, item.note)
    # Said again, both are known.
    assert later.offer(newer, fact("a", -1.0, rev=1, body={"n": 1})).settled
    assert later.seal() == []
    later.offer(fact("a", 1.0, op=Op.AMEND, rev=3, body={"n": 3}))
    assert [(cue.rev, cue.before) for cue in later.seal()] == ([] if op is Op.RETRACT else [(3, {"n": 2})])


def test_memory_of_facts_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MAX_KNOWN_FACTS", 3)
    for index in range(10):
        desk.offer(fact(str(index)))
    assert len(desk.sequencer.revisions) == 3


def price_of(number: int, milli: int = 1850, **more: Any) -> Fact:
    out = [{"oid": "1", "milli": milli}]
    return fact(f"p{number}", 0.5, type=CueType.PRICE, body={"price": {"mid": "m", "out": out}}, **more)


def test_no_play_is_forgotten_for_prices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MAX_KNOWN_PRICES", 3)
    desk.offer(fact("dunk"))
    for number in range(10):
        desk.offer(price_of(number))
    assert len(desk.sequencer.revisions) == 4
    # The play is known still, and so is the newest price; the first one is not.
    assert desk.offer(fact("dunk"), price_of(9)).settled
    assert not desk.offer(price_of(0)).settled


def test_a_price_is_known_again_and_says_what_it_replaces(desk: Desk) -> None:
    desk.offer(price_of(1), price_of(2))
    later = Desk()
    later.time(0)
    for sealed in desk.sequencer.seal(now=0.0)[0]:
        assert sealed.source is not None
        assert sealed.fact_id is not None
        later.sequencer.restore(sealed.entry, sealed.source, sealed.fact_id, json.loads(json.dumps(sealed.note)))
    for one in (desk, later):
        assert one.offer(price_of(1), price_of(2)).settled
        one.offer(price_of(1, 1900), price_of(2, op=Op.RETRACT))
        corrected, gone = one.seal()
        was = {"mid": "m", "out": [{"oid": "1", "milli": 1850}]}
        assert (corrected.op, corrected.before) == (Op.AMEND, {"price": {**was, "ver": 1}})
        assert (gone.op, gone.body, gone.before) == (Op.RETRACT, {}, {"price": {**was, "ver": 2}})
        assert one.offer(price_of(1, 1900), price_of(2)).settled


def test_a_price_that_brings_a_version_of_its_own_is_kept_as_it_is(desk: Desk) -> None:
    desk.time(1)
    body = {"price": {"ver": 99, "mid": "m", "out": []}, "limit": 5}
    desk.offer(fact("p", 0.5, type=CueType.PRICE, body=body))
    (sealed,) = desk.sequencer.seal(now=0.0)[0]
    assert sealed.note["digest"] is not None
    desk.offer(fact("p", 0.5, type=CueType.PRICE, body={"price": {"mid": "m", "out": []}}))
    (amended,) = desk.seal()
    assert amended.before == {"price": {"ver": 1, "mid": "m", "out": []}, "limit": 5}


# Markets


def market(id_: str, mid: str, st: str, at: float | None, **more: Any) -> Fact:
    return fact(id_, at, type=CueType.MARKET, body={"market": {"mid": mid, "st": st}}, **more)


def test_what_a_suspend_closed_too_widely_is_opened_with_the_same_picture(desk: Desk) -> None:
    desk.time(1)
    desk.offer(market("a1", "a", "open", 0.4), market("b1", "b", "open", 0.4))
    assert [cue.cls for cue in desk.seal()] == [CueClass.REOPEN] * 2
    (suspend,) = desk.offer(fact("s", 1.0, type=CueType.SUSPEND, body={"market": {"mid": "a"}})).safety
    desk.offer(market("a2", "a", "open", 3.0))
    cues = desk.seal()
    assert [(cue.id, cue.cls) for cue in cues] == [
        ("nba:~a", CueClass.LOCKED), ("nba:a2", CueClass.REOPEN), ("nba:~b", CueClass.REOPEN)
    ]  # fmt: skip
    assert cues[0].at == MediaTime(0, Ticks(90_000))
    assert cues[1].at == cues[2].at == MediaTime(0, Ticks(270_000))
    assert all(cue.body["market"]["ver"] > suspend.entry.cue.body["ver"] for cue in cues[1:])
    assert cues[2].rev == cues[2].body["market"]["ver"]


def test_a_reopen_waits_for_the_picture_of_the_newest_suspend(desk: Desk) -> None:
    desk.time(1)
    desk.offer(market("a1", "a", "open", 0.4), market("b1", "b", "open", 0.4))
    desk.offer(fact("s1", 1.0, type=CueType.SUSPEND, body={"market": {"mid": "a"}}))
    desk.offer(fact("s2", 3.0, type=CueType.SUSPEND, body={"market": {"mid": "b"}}))
    desk.offer(market("a2", "a", "open", 2.0))
    reopen = [cue for cue in desk.seal() if cue.id == "nba:a2"]
    assert [cue.at for cue in reopen] == [MediaTime(0, Ticks(270_000))]


def test_a_new_word_on_a_market_is_no_correction_of_the_last(desk: Desk) -> None:
    desk.time(1)
    desk.offer(market("a", "a", "open", 0.4, rev=1))
    desk.offer(market("a", "a", "suspended", 1.0, rev=2))
    # The same word as the first, at another time: no repeat, and it stands at its own time.
    desk.offer(market("a", "a", "open", 3.0, rev=3))
    cues = desk.seal()
    assert [(cue.rev, cue.op, cue.body["market"]["st"]) for cue in cues] == [
        (1, Op.NEW, "open"), (2, Op.AMEND, "suspended"), (3, Op.AMEND, "open")
    ]  # fmt: skip
    assert cues[2].at == MediaTime(0, Ticks(270_000))
    assert cues[2].before == cues[1].body


def test_silence_suspends_under_the_name_of_its_source(desk: Desk) -> None:
    (sealed,) = desk.sequencer.fall("nba", wall=T0)
    cue = sealed.entry.cue
    assert (cue.id, cue.cls, cue.type, cue.body) == (
        "nba:~health",
        CueClass.SAFETY,
        CueType.SUSPEND,
        {"scope": "event", "ver": 1},
    )
    assert (sealed.source, sealed.fact_id, sealed.note) == (None, None, {})
    assert {piece.key for piece in sealed.kept} >= {"fall/nba", "floor/"}
    assert desk.sequencer.fall("nba", wall=T0 + 1) == []
    assert desk.sequencer.distrust(wall=T0) == []


# Clocks and lags


def test_a_clock_that_is_ahead_is_corrected(desk: Desk) -> None:
    desk.time(1)
    for number in range(8):
        desk.offer(fact(str(number), 10.0 + number, body={"n": number}), received=float(number))
    # From the fifth fact on it is plain that its clock is ten seconds ahead.
    for msn in (2, 3):
        desk.time(msn)
    told = {cue.id: cue.wall_ms for cue in desk.seal() if cue.wall_ms is not None}
    assert desk.sequencer.skews.skew_s("nba") == 10.0
    assert told["nba:7"] == round((T0 + 7) * 1000)


def test_a_correction_is_told_by_the_vendor_s_own_clock(desk: Desk) -> None:
    desk.offer(fact("a", 11.0), received=1.0)
    for number in range(8):
        desk.offer(fact(str(number), 10.0 + number, body={"n": number}), received=float(number))
    # By our clock it would now be a second later or ten sooner: by its own it is the same.
    desk.offer(fact("a", 11.0, op=Op.AMEND, body={"n": 2}), received=9.0)
    for msn in range(1, 8):
        desk.time(msn)
    first, second = [cue for cue in desk.seal() if cue.id == "nba:a"]
    assert second.op is Op.AMEND
    assert first.at == second.at


def test_lags_are_those_of_new_facts_on_a_live_stream(desk: Desk) -> None:
    desk.offer(fact("a", 1.0), received=3.0)
    desk.offer(fact("a", 1.0, body={"n": 1}), received=600.0)
    desk.offer(fact("b", 1.0), received=9.0, live=False)
    desk.offer(fact("c", None), received=9.0)
    assert desk.sequencer.lag.quantile(1.0) == 2.0
    assert len(desk.sequencer.lags["nba"]) == 1


def test_the_hold_that_would_have_helped_is_counted(desk: Desk) -> None:
    desk.time(1, now=100.0)
    desk.messages += 1
    desk.sequencer.offer([fact("a", 2.5)], message_seq=desk.messages, received=T0 + 4, live=True, now=101.5)
    desk.seal(now=101.5)
    assert dict(desk.sequencer.lag.holds.cumulative())[2.0] == 1
    assert dict(desk.sequencer.lag.holds.cumulative())[1.0] == 0
    assert desk.sequencer.lag.late_share() == 1.0


def test_sealing_goes_in_slices_in_the_order_of_offsets(desk: Desk) -> None:
    desk.offer(*[fact(f"f{number}") for number in range(5)])
    sealed, settled = desk.sequencer.seal(now=0.0, limit=3)
    assert ([item.fact_id for item in sealed], settled, desk.sequencer.counts.waiting) == (["f0", "f1", "f2"], [], 2)
    sealed, settled = desk.sequencer.seal(now=0.0, limit=3)
    assert ([item.fact_id for item in sealed], settled) == (["f3", "f4"], [1])
    assert desk.sequencer.seal(now=0.0, limit=3) == ([], [])


def test_what_has_no_picture_is_asked_again_with_the_next_segment(desk: Desk) -> None:
    desk.offer(fact("later", 2.5), fact("now"))
    assert [item.fact_id for item in desk.sealed()] == ["now"]
    desk.offer(fact("soon", 1.5))
    assert [item.fact_id for item in desk.sealed()] == ["soon"]
    desk.time(1)
    assert [item.fact_id for item in desk.sealed()] == ["later"]


def test_a_message_taken_in_by_pieces_is_settled_with_the_last(desk: Desk) -> None:
    desk.sequencer.hold(1)
    desk.offer(fact("a"))
    assert desk.sequencer.seal(now=0.0)[1] == []
    assert desk.sequencer.release(1)
    desk.sequencer.hold(2)
    desk.offer(fact("b"))
    assert not desk.sequencer.release(2)
    assert desk.sequencer.seal(now=0.0)[1] == [2]


def test_a_picture_that_stands_still_does_not_fill_the_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sequencer._thin_beyond = 6
    monkeypatch.setattr(module, "MAX_WAITING", 6)

    def price(number: int, at: float) -> Fact:
        return fact(f"p{number}", at, type=CueType.PRICE, body={"price": {"mid": f"m{number % 2}", "out": []}})

    desk.offer(*[price(number, 3.0) for number in range(4)])
    desk.offer(fact("dunk", 3.0), *[price(number, 3.5 if number < 8 else 4.5) for number in range(4, 10)])
    # Of each second the newest price of each market, and everything else.
    assert desk.sequencer.counts.waiting == 5
    desk.time(1)
    desk.time(2)
    sealed, settled = desk.sequencer.seal(now=0.0)
    assert [item.fact_id for item in sealed] == ["dunk", "p6", "p7", "p8", "p9"]
    assert settled == [1, 2]


def test_thinning_goes_piece_by_piece(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 30)
    monkeypatch.setattr(module, "THIN_AT_ONCE", 4)
    desk.sequencer._thin_beyond = 30

    def price(number: int) -> Fact:
        return fact(f"p{number}", 3.0, type=CueType.PRICE, body={"price": {"mid": f"m{number % 2}", "out": []}})

    waiting = []
    for number in range(60):
        desk.offer(price(number))
        desk.sequencer.seal(now=0.0)
        waiting.append(desk.sequencer.counts.waiting)
    # Never more than four at a time, and never much more than are allowed.
    assert max(waiting) <= 31
    assert all(before - after <= 3 for before, after in pairwise(waiting))
    assert waiting[-1] < 30
    desk.time(1)
    sealed, settled = desk.sequencer.seal(now=0.0)
    assert [item.fact_id for item in sealed][-2:] == ["p58", "p59"]
    assert sorted(settled) == sorted({*settled}) == [item.message_seq for item in sealed]


def test_what_has_no_picture_is_tried_in_pieces(desk: Desk) -> None:
    desk.offer(*[fact(f"w{number}", 9.0) for number in range(12)], fact("a", 0.5))
    assert desk.sequencer.seal(now=0.0, limit=2)[0] == []
    assert desk.sequencer.has_untried
    sealed, _ = desk.sequencer.seal(now=0.0, limit=2)
    assert [item.fact_id for item in sealed] == ["a"]
    assert (desk.sequencer.has_untried, desk.sequencer.counts.waiting) == (False, 12)
