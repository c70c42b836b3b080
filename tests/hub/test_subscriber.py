from __future__ import annotations

from collections import deque
from dataclasses import replace

from hub.cursor import Cursor
from hub.settings import HubSettings
from hub.snapshot import Batch
from hub.subscriber import EVERYTHING, Filter, Phase, Subscriber
from kernel.blackouts import Veil, Window, ZoneSet
from kernel.cues import CueType
from kernel.decisions import Scope
from kernel.value import replace as changed
from tests.hub.makers import at, claims, entry

SETTINGS = HubSettings()


def test_filters() -> None:
    play, suspend = entry(0, at(1)), entry(1, None, type=CueType.SUSPEND, source="desk")
    hidden = entry(2, at(1), source="desk")
    scores = Filter(frozenset({CueType.SCORE}), frozenset())
    public = Filter(None, frozenset({"desk"}))
    assert [EVERYTHING.passes(one) for one in (play, suspend, hidden)] == [True, True, True]
    assert [scores.passes(one) for one in (play, suspend, hidden)] == [False, True, False]
    assert [public.passes(one) for one in (play, suspend, hidden)] == [True, True, False]


def test_admission_is_taken_over_and_does_not_undo_a_subscription() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    one.write(b"to nobody")
    one.admit(claims(Scope.TRADING), may_wager=True)
    assert (one.phase, one.account, one.ends, one.sees_trading, one.may_wager) == (1, "ann", 2_000, True, True)
    one.phase = Phase.SUBSCRIBED
    one.admit(claims(Scope.WATCH), may_wager=False)
    assert (one.phase, one.sees_trading, one.may_wager) == (Phase.SUBSCRIBED, False, False)


def test_its_session_is_that_of_the_video_and_outlives_a_token() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    one.admit(claims(session="a"), may_wager=True)
    one.admit(changed(claims(session="a"), jti="renewed"), may_wager=True)
    assert list(one.sessions) == ["a"]
    for session in ("b", "", "c", "a", "d"):
        one.admit(claims(session=session), may_wager=True)
    # A token without a session goes by its own id.
    assert one.sessions == ("d", "a", "c", "j")


def test_frames_are_counted_by_a_token_bucket() -> None:
    settings = replace(SETTINGS, frames_per_s=2, frames_burst=3)
    one = Subscriber(1, "game", settings, 0)
    assert [one.allows_frame(settings, 0) for _ in range(4)] == [True, True, True, False]
    one.frames_left = 0
    assert [one.allows_frame(settings, 1) for _ in range(3)] == [True, True, False]
    assert one.allows_frame(settings, 100)


def test_it_is_never_told_less_than_before() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    first, held, behind, later = (Cursor(o, at(upto), o) for o, upto in ((4, 6), (5, 3), (3, 7), (5, 7)))
    assert [one.tell(cursor) for cursor in (first, held, behind, later)] == [first, first, first, later]
    one.start_over()
    assert one.tell(held) == held


def test_safety_that_it_had_before_a_restart_holds_no_cursor_up() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    had, later = Cursor(4, at(6), 4), Cursor(3, at(7), 3)
    assert one.tell(had) == had
    # 4 may be on its way here yet, and something below it.
    assert one.tell(later, 3) == had
    assert one.tell(later, 4) == (4, at(7), 3)
    assert one.tell(Cursor(3, at(5), 3), 4) == (4, at(7), 3)


def test_it_is_dark_for_those_only_who_wait_for_a_picture() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    zones: ZoneSet = (Veil("b", Window(), None, 0.0),)
    one.zones = zones
    assert one.dark_in == zones
    one.mode = "edge"
    assert one.dark_in == ()


def test_what_is_put_back_comes_first() -> None:
    one = Subscriber(1, "game", SETTINGS, 0)
    first, second = (Batch((entry(o, at(o)),), None) for o in (1, 2))
    one.owed = deque([second])
    one.put_back(first)
    assert list(one.owed) == [first, second]


def test_it_has_no_dict() -> None:
    # 8 KiB a socket in all: every attribute has its slot.
    assert not hasattr(Subscriber(1, "game", SETTINGS, 0), "__dict__")
