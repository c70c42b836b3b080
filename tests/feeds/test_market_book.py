from __future__ import annotations

import pytest

from feeds import market_book
from feeds.market_book import AFTER, Kept, MarketBook, Quote, Status, Stop, is_before


def test_the_table_is_whole() -> None:
    assert set(AFTER) == {None, *Status}
    assert all(set(row) == set(Status) for row in AFTER.values())


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (None, Status.OPEN, Status.OPEN),
        (Status.OPEN, Status.SUSPENDED, Status.SUSPENDED),
        (Status.SUSPENDED, Status.CLOSED, Status.CLOSED),
        (Status.CLOSED, Status.SUSPENDED, Status.CLOSED),
        (Status.CLOSED, Status.OPEN, Status.OPEN),
        (Status.SETTLED, Status.SUSPENDED, Status.SETTLED),
        (Status.SETTLED, Status.OPEN, Status.OPEN),
    ],
)
def test_what_a_word_leads_to(before: Status | None, said: Status, after: Status) -> None:
    assert AFTER[before][said] is after


def test_the_gravest_word_holds() -> None:
    book = MarketBook(binds={})
    market = book.market("a")
    # Nobody has spoken of it: that is no reason to take a bet.
    assert book.status(market) is Status.SUSPENDED
    book.quote(market, "one", Status.OPEN, None)
    assert book.status(market) is Status.OPEN
    book.quote(market, "two", Status.CLOSED, None)
    book.quote(market, "three", Status.SUSPENDED, None)
    assert book.status(market) is Status.CLOSED


def test_a_stop_holds_what_was_opened_before_it() -> None:
    book = MarketBook(binds={})
    market = book.market("a")
    market.quotes = {**market.quotes, "one": Quote(Status.OPEN, 1, None)}
    book.stops["one"] = Stop(2, None)
    assert book.status(market) is Status.SUSPENDED
    market.quotes = {**market.quotes, "one": Quote(Status.OPEN, 3, None)}
    assert book.status(market) is Status.OPEN


@pytest.mark.parametrize(
    ("quoting", "ver", "lasts", "status"),
    [
        # It quotes the market: its own word counts.
        ("plays", 3, False, Status.OPEN),
        ("plays", 1, False, Status.SUSPENDED),
        ("plays", 3, True, Status.SUSPENDED),
        # It quotes none, and binds all: anybody's word from then on does.
        ("other", 3, False, Status.OPEN),
        ("other", 1, False, Status.SUSPENDED),
    ],
)
def test_a_fall_holds_what_was_opened_before_the_recovery(quoting: str, ver: int, lasts: bool, status: Status) -> None:
    book = MarketBook(binds={"plays": "all"})
    market = book.market("a")
    market.quotes = {**market.quotes, quoting: Quote(Status.OPEN, ver, None)}
    book.falls["plays"] = Stop(2, 10.0, lasts=lasts)
    assert book.status(market) is status


def test_a_fall_of_one_that_binds_its_own_leaves_the_others() -> None:
    book = MarketBook(binds={"plays": "own"})
    market = book.market("a")
    market.quotes = {**market.quotes, "other": Quote(Status.OPEN, 1, None)}
    book.falls["plays"] = Stop(2, 10.0, lasts=True)
    assert book.status(market) is Status.OPEN


def test_memory_of_markets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_book, "MAX_MARKETS", 3)
    book = MarketBook(binds={})
    for number in range(10):
        book.market(str(number))
    assert list(book.markets) == ["7", "8", "9"]


def test_a_piece_that_is_gone_still_counts_for_the_version() -> None:
    book = MarketBook(binds={})
    book.restore([Kept("wide/desk/a", 41, None)])
    assert (book.wide, book.next_ver) == ({}, 42)


def test_times_are_compared_where_both_are_known() -> None:
    assert is_before(1.0, 2.0)
    assert not is_before(2.0, 2.0)
    assert not is_before(None, 2.0)
    assert not is_before(1.0, None)
