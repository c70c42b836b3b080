"""The last two fixes of each session."""

from __future__ import annotations

from relay.fixes import FixBook
from relay.place.model import Fix, Point


def fix(at: float) -> Fix:
    return Fix(Point(-118.2437, 34.0522), 10.0, at)


def test_the_last_two_are_known_and_older_ones_are_refused() -> None:
    book = FixBook()
    assert book.of("s") == (None, None)
    assert book.take("s", fix(1))
    assert book.of("s") == (fix(1), None)
    assert book.take("s", fix(3))
    assert not book.take("s", fix(3))
    assert not book.take("s", fix(2))
    assert book.of("s") == (fix(3), fix(1))
    assert book.of("other") == (None, None)


def test_room_is_bounded_and_who_goes_on_reporting_is_remembered() -> None:
    book = FixBook(max_sessions=2)
    for at in range(1, 7):
        assert book.take("stays", fix(at))
        assert book.take(f"s{at}", fix(at))
    assert book.of("stays") == (fix(6), fix(5))
    assert book.of("s6") == (fix(6), None)
    assert book.of("s1") == (None, None)


def test_one_in_doubt_takes_nobodys_place() -> None:
    book = FixBook(max_sessions=1)
    assert book.take("s", fix(1))
    assert book.take("s", fix(2))
    book.doubt("s")
    book.doubt("unknown")
    assert book.of("s") == (fix(2), fix(1))
    # Another session pushes it into the older half: what is doubted stays so.
    assert book.take("other", fix(2))
    assert book.take("s", fix(3))
    assert book.of("s") == (fix(3), fix(1))
    assert book.take("s", fix(4))
    assert book.of("s") == (fix(4), fix(3))
