from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.agenda import Agenda


def test_equal_instants_come_in_the_order_of_their_keys() -> None:
    agenda: Agenda[float] = Agenda()
    for key in (3, 1, 2):
        agenda.put(key, 5.0)
    agenda.put(0, 6.0)
    assert agenda.take(5.0) == [(5.0, 1), (5.0, 2), (5.0, 3)]
    assert agenda.next() == 6.0


def test_a_key_has_one_instant() -> None:
    agenda: Agenda[float] = Agenda()
    agenda.put(1, 5.0)
    agenda.put(1, 7.0)
    agenda.put(2, 6.0)
    agenda.put(2, None)
    agenda.put(2, None)
    assert agenda.next() == 7.0
    assert (agenda.at(1), agenda.at(2)) == (7.0, None)
    assert agenda.take(6.5) == []
    assert agenda.take(7.0) == [(7.0, 1)]
    assert agenda.next() is None


def test_what_was_superseded_does_not_pile_up() -> None:
    agenda: Agenda[float] = Agenda()
    for instant in range(1_000):
        agenda.put(1, float(instant))
    assert len(agenda._heap) < 100
    assert agenda.take(999.0) == [(999.0, 1)]


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 20)), max_size=300), st.integers(0, 20))
def test_it_is_a_sorted_map(puts: list[tuple[int, int | None]], now: int) -> None:
    agenda, oracle = Agenda(), dict[int, int]()
    for key, instant in puts:
        agenda.put(key, instant)
        oracle.pop(key, None)
        if instant is not None:
            oracle[key] = instant
    assert agenda.next() == min(oracle.values(), default=None)
    assert agenda.take(now) == [(at, key) for at, key in sorted((at, key) for key, at in oracle.items()) if at <= now]


def test_instants_may_be_places() -> None:
    agenda: Agenda[int] = Agenda()
    agenda.put(1, 9)
    agenda.put(2, -50)
    assert agenda.take(-50) == [(-50, 2)]
    assert agenda.next() == 9
