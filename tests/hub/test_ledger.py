from __future__ import annotations

from hub.cursor import Cursor
from hub.ledger import Ledger, merged
from kernel.timeline import END
from tests.hub.makers import at, entry


def ledger(*dues: float) -> Ledger:
    kept = Ledger()
    for o, due in enumerate(dues):
        kept.append(entry(o, at(due)), float(o))
    return kept


def test_what_is_owed_comes_in_the_order_of_due_then_offset() -> None:
    kept = ledger(3, 1, 2, 1)
    assert [one.o for one in kept.owed(Cursor(-1, at(0), -1), END)] == [1, 3, 2, 0]
    assert [one.o for one in kept.owed(Cursor(-1, at(2), 3), at(3))] == [2]
    # The first was sealed when its picture had passed the cursor already.
    assert [one.o for one in kept.owed(Cursor(-1, at(2), 2), at(3))] == [3, 2]
    assert [one.o for one in kept.before(at(2))] == [1, 3]
    assert (kept.next_due(at(2)), kept.next_due(at(4))) == (at(2), None)
    assert Ledger().owed(Cursor(-1, at(0), -1), END) == []


def test_the_first_are_forgotten_in_the_order_of_delivery() -> None:
    kept = ledger(3, 1, 2)
    assert kept.arrived_before(1.5) == 2
    assert [one.o for one in kept.forget_first(2)] == [1, 0]
    assert ([one.o for one in kept.log], [one.o for one in kept.by_due], kept.arrivals) == ([2], [2], [2.0])


def test_two_are_merged_into_one() -> None:
    some, others = [entry(0, at(1)), entry(3, at(2))], [entry(2, at(1)), entry(1, at(3))]
    assert [one.o for one in merged(some, others)] == [0, 2, 3, 1]
    assert merged(some, []) is some
    assert merged([], others) is others
