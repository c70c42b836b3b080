"""What one process knows of sessions, by passing the time."""

from __future__ import annotations

import sys

import pytest

from kernel.decisions import Ending
from relay.sessions import seats as module
from relay.sessions.model import Leaving, Limit, Sign, Wish
from relay.sessions.seats import Owed, Seats, session_of
from tests.support.tokens import claims

ANN = claims()
EXPIRES = ANN.expires


def wish(session: str = "session-1", account: str = "ann") -> Wish:
    return Wish(account, session, "game", (), 1_000 * EXPIRES, 30_000, {})


def leaving(at_ms: int, until_ms: int = 90_000, *, key: str = "event:game", by: str = "session-2") -> Leaving:
    return Leaving(at_ms, "session_limit", key, by, until_ms)


def seated(*sessions: str, now: float = 0.0) -> Seats:
    known = Seats()
    for session in sessions or ("session-1",):
        known.take(wish(session), 0, EXPIRES, now=now)
    return known


def taken(known: Seats, count: int = 10) -> list[Owed]:
    known.begin_round()
    return known.take_owed(count)


def depart(known: Seats, session: str, what: Leaving, *, now: float = 0.0) -> bool:
    """Note a departure; the book's time began when ours did, and by the clock on the wall it is a day later."""
    ms = round(1_000 * now)
    return known.depart("ann", session, what, now=now, now_ms=ms, wall_ms=86_400_000 + ms)


def test_a_token_without_a_session_is_one_by_itself() -> None:
    assert session_of(ANN) == "session-1"
    assert session_of(claims(session="")) == "token-1"


def test_a_seat_counts_until_the_session_is_dead_by_what_the_book_has_heard() -> None:
    known = seated()
    assert known.touch(ANN, 29.9)
    assert known.has(ANN, 29.9)
    # The book knows nothing of it yet.
    assert not known.has(ANN, 30.0)
    (owed,) = taken(known)
    assert owed.sign(31.0, 1_031_000) == Sign("ann", "session-1", 1_029_900)
    known.confirm(owed)
    assert known.has(ANN, 59.8)
    assert not known.has(ANN, 59.9)
    assert not known.touch(ANN, 59.9)
    assert known.n_owed == 0


def test_a_playlist_is_no_sign_of_life() -> None:
    known = seated()
    assert known.has(ANN, 1.0)
    assert known.n_owed == 0
    assert known.touch(ANN, 1.0)
    assert known.touch(ANN, 2.0)
    assert [one.seen for one in taken(known)] == [2.0]


def test_a_seat_is_its_accounts_and_lasts_as_long_as_its_token() -> None:
    known = seated()
    for other in (claims(account="bob"), claims(session="session-2"), claims(expires=EXPIRES + 1)):
        assert not known.has(other, 1.0)
        assert not known.touch(other, 1.0)
    assert known.has(claims(expires=EXPIRES - 1, jti="renewed"), 1.0)


def test_signs_that_the_book_did_not_take_are_owed_still() -> None:
    known = seated("session-1", "session-2", "session-3", "session-4")
    for number in (1, 2, 3, 4):
        assert known.touch(claims(session=f"session-{number}"), 1.0)
    known.begin_round()
    first = known.take_owed(1)
    assert known.touch(ANN, 2.0)
    known.leave("session-3")
    assert known.n_owed == 4
    known.owe(first)
    assert {one.session: one.seen for one in taken(known)} == {"session-1": 2.0, "session-2": 1.0, "session-4": 1.0}
    assert known.n_owed == 0


def test_what_comes_while_others_are_signed_for_waits_for_the_next_round() -> None:
    known = seated("session-1", "session-2")
    known.touch(ANN, 1.0)
    known.touch(claims(session="session-2"), 1.0)
    known.begin_round()
    assert [one.session for one in known.take_owed(1)] == ["session-1"]
    known.touch(ANN, 2.0)
    known.touch(claims(session="session-2"), 2.5)
    # It is the newest that is told.
    assert [(one.session, one.seen) for one in known.take_owed(10)] == [("session-2", 2.5)]
    assert known.take_owed(10) == []
    assert [(one.session, one.seen) for one in taken(known)] == [("session-1", 2.0)]


def test_nobody_loses_a_seat_while_the_book_cannot_be_asked() -> None:
    known = seated()
    known.hold_on(60.0)
    assert known.touch(ANN, 59.0)
    assert not known.sweep(59.0, 10)
    assert len(known) == 1
    known.hold_on(float("-inf"))
    assert not known.has(ANN, 59.0)
    # Its sign is owed: the book is asked before it is forgotten.
    known.sweep(59.0, 10)
    assert len(known) == 1
    taken(known)
    known.sweep(61.0, 10)
    assert len(known) == 0


def test_who_fell_silent_is_known_for_it_until_it_asks_for_media_again() -> None:
    known = seated()
    known.touch(ANN, 10.0)
    known.confirm(taken(known)[0])
    known.sweep(30.0, 10)
    assert (len(known), known.is_quiet("session-1", 39.9)) == (1, False)
    assert known.is_quiet("session-1", 40.0)
    known.sweep(40.0, 10)
    assert (len(known), known.is_quiet("session-1", 40.0)) == (0, True)
    known.take(wish(), 0, EXPIRES, now=41.0)
    assert not known.is_quiet("session-1", 41.0)
    assert known.find("session-1") is not None


def test_what_is_forgotten_is_forgotten_a_few_at_a_time() -> None:
    known = seated(*(f"s{number}" for number in range(5)))
    assert known.sweep(31.0, 2)
    assert len(known) == 3
    assert not known.sweep(31.0, 10)
    assert len(known) == 0


def test_a_seat_that_is_taken_again_begins_anew() -> None:
    known = seated()
    known.touch(ANN, 1.0)
    for _ in range(2):
        known.take(wish(), 5, EXPIRES + 60, now=2.0)
    assert known.n_owed == 0
    assert known.has(claims(expires=EXPIRES + 60), 31.9)
    known.sweep(30.0, 10)
    assert len(known) == 1


def test_one_that_the_book_does_not_count_signs_for_nobody() -> None:
    known = Seats()
    known.take(wish(), 0, EXPIRES, now=0.0, counted=False)
    assert known.touch(ANN, 1.0)
    assert known.n_owed == 0


def test_more_counts_from_the_second_request_for_media_on() -> None:
    known = seated()
    seat = known.find("session-1")
    assert seat is not None
    seat.more = (Limit("global", 1),)
    assert known.touch(ANN, 1.0)
    assert known.has(ANN, 2.0)
    assert not known.touch(ANN, 2.0)


def test_who_has_to_go_is_warned_until_its_time_and_refused_from_then_on() -> None:
    known = seated()
    assert depart(known, "session-1", leaving(5_000), now=1.0)
    assert known.endings == {"session-1": Ending(86_405_000, "session_limit", "session-2")}
    assert known.next_deadline() == 5.0
    assert known.take_cut(4.9) == []
    assert known.touch(ANN, 4.9)
    assert known.take_cut(5.0) == [("session-1", leaving(5_000))]
    assert known.take_cut(5.0) == []
    assert (len(known), known.n_owed, known.next_deadline()) == (0, 0, None)
    # Whatever becomes of the time of day.
    assert known.endings["session-1"].at_ms == 0
    known.sweep(89.9, 10)
    assert known.departure("session-1") is not None
    known.sweep(90.0, 10)
    assert known.departure("session-1") is None
    assert known.endings == {}


def test_an_operator_is_not_named() -> None:
    known = seated()
    depart(known, "session-1", leaving(5_000, key="", by="key-7"))
    assert known.endings["session-1"].by == ""


def test_it_may_be_sooner_and_not_later() -> None:
    known = seated()
    assert depart(known, "session-1", leaving(5_000))
    assert not depart(known, "session-1", leaving(6_000))
    assert not depart(known, "session-1", leaving(5_000))
    assert depart(known, "session-1", leaving(1_000), now=1.0)
    assert known.take_cut(1.0) == [("session-1", leaving(1_000))]
    assert known.take_cut(9.0) == []
    # It has gone; that is no news any more.
    assert not depart(known, "session-1", leaving(500), now=9.0)


def test_who_need_not_be_remembered_is_cut_and_may_come_back() -> None:
    known = seated()
    assert depart(known, "session-1", leaving(0, 0))
    assert known.take_cut(0.0) == [("session-1", leaving(0, 0))]
    known.sweep(0.0, 10)
    assert known.endings == {}


def test_what_is_long_over_is_no_news() -> None:
    known = seated(now=100.0)
    assert not depart(known, "session-1", leaving(5_000, 60_000), now=100.0)
    assert depart(known, "session-1", leaving(5_000, 95_000), now=100.0)


def test_who_is_not_seated_here_is_told_of_as_well() -> None:
    known = Seats()
    assert depart(known, "elsewhere", leaving(2_000))
    assert known.take_cut(2.0) == [("elsewhere", leaving(2_000))]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUIET", 2)
    known = Seats(max_seats=3, max_departures=4)
    for number in range(40):
        known.take(wish(f"s{number}"), 0, EXPIRES, now=0.0)
        depart(known, f"d{number}", leaving(1_000))
    assert len(known) == 3
    assert list(known.endings) == ["d36", "d37", "d38", "d39"]
    assert len(known._forgets) <= 9
    known.take_cut(1.0)
    known.sweep(31.0, 100)
    assert [known.is_quiet(f"s{number}", 31.0) for number in (37, 38, 39)] == [False, True, True]


def test_a_seat_has_no_dict() -> None:
    assert not hasattr(seated().find("session-1"), "__dict__")
    assert sys.getsizeof(seated().find("session-1")) < 200


def test_claims_know_their_seat_and_no_other_does_for_them() -> None:
    known, other = seated(), seated()
    ours = claims()
    assert known.touch(ours, 1.0)
    seat = known.find("session-1")
    assert ours.seat is seat
    # It is no claim.
    assert ours == claims()
    assert hash(ours) == hash(claims())
    # Somebody else's seats are looked through, as if nothing were known.
    assert not Seats().touch(ours, 1.0)
    assert other.touch(ours, 2.0)
    assert other.has(ours, 2.0)
    assert ours.seat is other.find("session-1")
    assert known.touch(ours, 3.0)
    assert [one.seen for one in taken(known)] == [3.0]
    assert [one.seen for one in taken(other)] == [2.0]


def test_who_has_left_is_not_known_by_its_claims_any_more_and_holds_nothing() -> None:
    known, ours = seated(), claims()
    assert known.touch(ours, 1.0)
    assert known.touch(ours, 1.0)
    owed = taken(known)
    known.leave("session-1")
    for ask in (known.touch, known.has):
        assert not ask(ours, 2.0)
    assert ours.seat.wish == Wish("", "", "", (), 0, 0, {})
    # What was taken before is signed all the same.
    assert owed[0].sign(2.0, 2_000) == Sign("ann", "session-1", 1_000)
    # It comes back, by the same token.
    known.take(wish(), 0, EXPIRES, now=3.0)
    assert known.touch(ours, 4.0)
    assert ours.seat is known.find("session-1")


def test_more_that_is_to_be_counted_later_is_looked_at_by_who_is_known_as_well() -> None:
    known, ours = seated(), claims()
    for now in (1.0, 2.0):
        assert known.touch(ours, now)
    seat = known.find("session-1")
    assert seat is not None
    seat.more = (Limit("global", 1),)
    assert not known.touch(ours, 3.0)
    assert known.has(ours, 3.0)
    seat.more = ()
    assert known.touch(ours, 4.0)
    # Silence ends it for whoever is known, too, unless the book cannot be asked.
    assert not known.has(ours, 30.0)
    known.hold_on(60.0)
    assert known.touch(ours, 31.0)


def test_one_time_is_one_object_for_all_who_are_seen_at_it() -> None:
    known = seated("s1", "s2", "s3")
    for number in (1, 2, 3):
        assert known.touch(claims(session=f"s{number}"), float("7"))
    owed = taken(known)
    for one in owed:
        known.confirm(one)
    assert len({id(one.seat.seen) for one in owed}) == len({id(one.seat.until) for one in owed}) == 1
