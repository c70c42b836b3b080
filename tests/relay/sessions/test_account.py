from __future__ import annotations

from typing import Any

from kernel.value import replace
from relay.sessions.account import ROOM, Account
from relay.sessions.model import (
    KICK_MEMORY_MS,
    MAX_EVICTED,
    MAX_SESSIONS,
    Evicted,
    Full,
    Life,
    Limit,
    Order,
    Seated,
    Session,
    Wish,
)

NOW = 1_790_000_000_000
HOUR = 3_600_000
TWO = Limit("event:final", 2, Order.OLDEST_FIRST, grace_ms=30_000)


def wish(session: str, *limits: Limit, **other: Any) -> Wish:
    return Wish(**{
        "account": "anna", "session": session, "event_id": "final", "limits": limits, "until_ms": NOW + HOUR,
        "dead_after_ms": 30_000, "about": {}, **other,
    })  # fmt: skip


def seat(account: Account, session: str) -> Session:
    known = account.of(session)
    assert known is not None
    return known


def served(account: Account) -> list[str]:
    return [one.session for one in account.sessions]


def test_the_oldest_has_to_go_after_its_grace() -> None:
    account = Account()
    for n, session in enumerate(("a", "b")):
        assert account.admit(wish(session, TWO), now_ms=NOW + n) == Seated(seat(account, session))
    outcome = account.admit(wish("c", TWO), now_ms=NOW + 2)
    assert isinstance(outcome, Seated)
    (leaving,) = outcome.leaving
    assert leaving.session == "a"
    assert leaving.leaving is not None
    assert (leaving.leaving.at_ms, leaving.leaving.by) == (NOW + 30_002, "c")
    # It is warned, and watches on; nothing makes it stay.
    assert account.saw("a", seen_ms=NOW + 20_000, now_ms=NOW + 20_000).life is Life.LEAVING
    assert account.admit(wish("a", TWO), now_ms=NOW + 20_000) == Seated(seat(account, "a"))
    for session in "bc":
        account.saw(session, seen_ms=NOW + 20_000, now_ms=NOW + 20_000)
    assert account.saw("a", seen_ms=NOW, now_ms=NOW + 30_002).life is Life.EVICTED
    assert isinstance(account.admit(wish("a", TWO), now_ms=NOW + 30_003), Evicted)
    assert served(account) == ["b", "c"]


def test_during_a_grace_there_is_one_too_many_never_two() -> None:
    account = Account()
    for n, session in enumerate("abcdefgh"):
        assert isinstance(account.admit(wish(session, TWO), now_ms=NOW + n), Seated)
        assert len(account.sessions) <= 3
    assert served(account) == ["f", "g", "h"]
    assert [one.session for one in account.evicted] == list("abcde")


def test_those_whose_grace_is_ended_are_among_the_told() -> None:
    account = Account()
    for n, session in enumerate("abc"):
        account.admit(wish(session, TWO), now_ms=NOW + n)
    outcome = account.admit(wish("d", TWO), now_ms=NOW + 3)
    assert isinstance(outcome, Seated)
    assert [(one.session, one.leaving and one.leaving.at_ms) for one in outcome.leaving] == [
        ("a", NOW + 3),
        ("b", NOW + 30_003),
    ]


def test_the_newest_goes_where_that_is_the_order() -> None:
    limit, account = TWO._replace(order=Order.NEWEST_FIRST, grace_ms=0), Account()
    for n, session in enumerate("abc"):
        account.admit(wish(session, limit), now_ms=NOW + n)
    assert served(account) == ["a", "c"]


def test_who_is_refused_changes_nothing() -> None:
    for order in (Order.REJECT, Order.VIEWER_CHOICE):
        account, limit = Account(), TWO._replace(order=order)
        account.admit(wish("a", limit), now_ms=NOW)
        account.admit(wish("b", limit), now_ms=NOW + 1)
        before = account.sessions
        outcome = account.admit(wish("c", Limit("global", 1), limit), now_ms=NOW + 2)
        assert outcome == Full(limit, before)
        assert account.sessions == before
    assert isinstance(Account().admit(wish("a", TWO._replace(most=0)), now_ms=NOW), Full)


def test_who_waits_is_told_when_room_may_be() -> None:
    account = Account()
    for n, session in enumerate("abc"):
        account.admit(wish(session, TWO), now_ms=NOW + n)
    outcome = account.admit(wish("d", TWO._replace(order=Order.REJECT)), now_ms=NOW + 10_002)
    assert isinstance(outcome, Full)
    assert outcome.retry_ms == 20_000


def test_who_is_counted_by_several_goes_once() -> None:
    account = Account()
    sports, everything = Limit("category:sports", 1, code="CATEGORY_ERROR"), Limit("global", 1, code="GLOBAL_ERROR")
    account.admit(wish("a", everything, sports), now_ms=NOW)
    outcome = account.admit(wish("b", everything, sports), now_ms=NOW + 1)
    assert isinstance(outcome, Seated)
    assert [(one.session, one.leaving and one.leaving.code) for one in outcome.leaving] == [("a", "GLOBAL_ERROR")]


def test_a_session_that_gets_more_limits_is_judged_by_those_alone() -> None:
    account = Account()
    account.admit(wish("a", TWO), now_ms=NOW)
    account.admit(wish("b", TWO), now_ms=NOW + 1)
    everything = Limit("global", 1, grace_ms=0, memory_ms=KICK_MEMORY_MS)
    assert account.admit(wish("b", TWO, everything), now_ms=NOW + 2) == Seated(seat(account, "b"))
    outcome = account.admit(wish("a", TWO, everything), now_ms=NOW + 3)
    assert isinstance(outcome, Seated)
    assert [one.session for one in outcome.leaving] == ["b"]
    assert seat(account, "a").keys == ("event:final", "global")
    # A kick is remembered for a minute; after that the same id is a new session.
    assert account.saw("b", seen_ms=NOW, now_ms=NOW + 3 + KICK_MEMORY_MS - 1).life is Life.EVICTED
    assert account.saw("b", seen_ms=NOW, now_ms=NOW + 3 + KICK_MEMORY_MS).life is Life.GONE


def test_who_shows_no_sign_of_life_makes_room() -> None:
    account = Account()
    account.admit(wish("a", TWO), now_ms=NOW)
    account.admit(wish("b", TWO), now_ms=NOW)
    account.saw("a", seen_ms=NOW + 25_000, now_ms=NOW + 27_000)
    account.saw("a", seen_ms=NOW + 24_000, now_ms=NOW + 27_000)
    assert account.admit(wish("c", TWO), now_ms=NOW + 30_001) == Seated(seat(account, "c"))
    assert served(account) == ["a", "c"]
    assert account.saw("b", seen_ms=NOW, now_ms=NOW + 30_002).life is Life.GONE
    # Its token ends, too.
    account.pass_time(NOW + HOUR)
    assert account.is_empty


def test_leaving_by_itself_makes_room_but_is_no_way_out_of_an_eviction() -> None:
    account = Account()
    for n, session in enumerate("abc"):
        account.admit(wish(session, TWO), now_ms=NOW + n)
    assert account.release("b", now_ms=NOW + 4)
    assert account.release("a", now_ms=NOW + 4)
    assert not account.release("a", now_ms=NOW + 4)
    # Its room is free from now on, so it is cut now, wherever it is still served.
    assert account.saw("a", seen_ms=NOW, now_ms=NOW + 4).leaving == account.evicted[0].leaving
    assert account.evicted[0].leaving.at_ms == NOW + 4
    assert isinstance(account.admit(wish("a", TWO), now_ms=NOW + 5), Evicted)
    assert isinstance(account.admit(wish("b", TWO), now_ms=NOW + 6), Seated)
    # One that died while it was leaving may not come back, either.
    account.admit(wish("d", TWO), now_ms=NOW + 7)
    assert isinstance(account.admit(wish("c", TWO), now_ms=NOW + 29_000), Seated)
    account.sessions = tuple(
        replace(one, seen_ms=NOW - 60_000) if one.session == "c" else one for one in account.sessions
    )
    assert account.saw("c", seen_ms=NOW, now_ms=NOW + 29_001).life is Life.EVICTED


def test_sending_away() -> None:
    account = Account()
    account.admit(wish("a"), now_ms=NOW)
    assert account.dismiss("x", code="kicked", by="op", grace_ms=0, memory_ms=None, now_ms=NOW) is None
    first = account.dismiss("a", code="kicked", by="op", grace_ms=30_000, memory_ms=None, now_ms=NOW)
    assert first is not None
    assert first.leaving is not None
    assert first.leaving.until_ms == NOW + HOUR
    # Later it does not get, earlier it does.
    again = account.dismiss("a", code="kicked", by="op", grace_ms=40_000, memory_ms=None, now_ms=NOW)
    assert again == first
    account.dismiss("a", code="kicked", by="op", grace_ms=0, memory_ms=5, now_ms=NOW + 1)
    assert account.saw("a", seen_ms=NOW, now_ms=NOW + 1).life is Life.EVICTED
    assert account.saw("a", seen_ms=NOW, now_ms=NOW + 6).life is Life.GONE


def test_an_account_has_an_end() -> None:
    account = Account()
    for n in range(MAX_SESSIONS):
        assert isinstance(account.admit(wish(f"{n:03}"), now_ms=NOW + n), Seated)
    outcome = account.admit(wish("more"), now_ms=NOW + MAX_SESSIONS)
    assert isinstance(outcome, Full)
    assert outcome.limit is ROOM
    # Who is in is not asked again.
    assert isinstance(account.admit(wish("000"), now_ms=NOW + MAX_SESSIONS), Seated)


def test_a_book_that_was_lost_is_filled_in_the_old_order() -> None:
    account = Account()
    account.admit(wish("b", TWO, began_ms=NOW - 5), now_ms=NOW)
    account.admit(wish("a", TWO, began_ms=NOW - 9), now_ms=NOW)
    assert served(account) == ["a", "b"]
    account.admit(wish("z", TWO, began_ms=NOW + 99), now_ms=NOW)
    assert seat(account, "z").began_ms == NOW


def test_those_who_were_cut_first_are_forgotten_where_there_are_too_many() -> None:
    account, one = Account(), TWO._replace(most=1, grace_ms=0)
    for n in range(MAX_EVICTED + 2):
        assert isinstance(account.admit(wish(f"{n:03}", one), now_ms=NOW + n), Seated)
    assert [gone.session for gone in account.evicted] == [f"{n:03}" for n in range(1, MAX_EVICTED + 1)]
    # It comes back as a new one, and one goes for it.
    outcome = account.admit(wish("000", one), now_ms=NOW + 999)
    assert isinstance(outcome, Seated)
    assert served(account) == ["000"]


def test_what_the_next_life_must_know_is_told_from_signs_of_life() -> None:
    account = Account()
    account.admit(wish("a", TWO), now_ms=NOW)
    assert account.changed
    account.changed = False
    account.admit(wish("a", TWO), now_ms=NOW + 1)
    account.saw("a", seen_ms=NOW + 2, now_ms=NOW + 2)
    account.release("x", now_ms=NOW + 2)
    assert not account.changed
    assert seat(account, "a").seen_ms == NOW + 2
    for other in ({"until_ms": NOW + 2 * HOUR}, {"about": {"device": "tv"}}):
        account.admit(wish("a", TWO, **other), now_ms=NOW + 3)
        assert account.changed
        account.changed = False
    account.admit(wish("a", TWO, until_ms=NOW + 2 * HOUR), now_ms=NOW + 3)
    assert dict(seat(account, "a").about) == {"device": "tv"}
    account.changed = False
    account.pass_time(NOW + HOUR)
    assert account.changed
    assert account.is_empty


def test_whoever_was_there_is_alive_in_the_next_life() -> None:
    account = Account()
    for n, session in enumerate("abc"):
        account.admit(wish(session, TWO), now_ms=NOW + n)
    account.wake(NOW + 40_000)
    assert served(account) == ["b", "c"]
    assert [one.session for one in account.evicted] == ["a"]
    assert account.saw("b", seen_ms=0, now_ms=NOW + 70_000).life is Life.LIVE
    assert account.saw("b", seen_ms=0, now_ms=NOW + 70_001).life is Life.GONE


def test_equal_keys_are_kept_once() -> None:
    first, second = Account(), Account()
    first.admit(wish("a", TWO), now_ms=NOW)
    second.admit(wish("b", Limit("".join(["event:", "final"]), 1)), now_ms=NOW)
    assert seat(first, "a").keys is seat(second, "b").keys
