from __future__ import annotations

from hub.close_codes import Bye, CloseCode
from hub.pulse import Beat, beat, next_beat
from hub.settings import HubSettings
from hub.subscriber import Phase, Subscriber

SETTINGS = HubSettings()


def someone(phase: Phase) -> Subscriber:
    one = Subscriber(1, "game", SETTINGS, 0)
    one.phase, one.ends, one.heartbeat_at = phase, 1_000, 2.0
    return one


def due(one: Subscriber, now: float, *, wall: float = 0, buffered: int = 0) -> list[Beat | Bye]:
    return beat(one, SETTINGS, now=now, wall=wall, buffered_bytes=buffered)


def test_a_token_is_awaited_for_five_seconds() -> None:
    one = someone(Phase.GREETED)
    assert next_beat(one, SETTINGS, now=0, wall=0) == 5
    assert due(one, 4.9) == []
    assert due(one, 5) == [Bye(CloseCode.AUTH_TIMEOUT)]


def test_it_ends_when_its_token_ends() -> None:
    one = someone(Phase.ADMITTED)
    assert next_beat(one, SETTINGS, now=0, wall=990) == 10
    assert due(one, 0, wall=1_000) == [Bye(CloseCode.EXPIRED)]


def test_heartbeats_only_to_subscribers_that_read() -> None:
    one = someone(Phase.SUBSCRIBED)
    assert next_beat(one, SETTINGS, now=0, wall=0) == 2
    assert due(one, 2) == [Beat.HEARTBEAT]
    assert (due(one, 2.1), one.heartbeat_at) == ([], 4)
    one.paused_at = 3.9
    assert due(one, 4) == []


def test_pings_until_two_are_missed() -> None:
    one = someone(Phase.ADMITTED)
    assert due(one, 20) == [Beat.PING]
    assert due(one, 30) == []
    assert due(one, 40) == [Beat.PING]
    assert due(one, 60) == [Beat.ABORT]


def test_slow_is_who_drains_nothing_for_two_seconds() -> None:
    one = someone(Phase.SUBSCRIBED)
    one.paused_at, one.buffer_mark, one.heartbeat_at = 10.0, 9_000, 99
    assert next_beat(one, SETTINGS, now=10, wall=0) == 10.5
    assert due(one, 11.9, buffered=9_000) == []
    assert due(one, 11.9, buffered=8_000) == []
    assert due(one, 13.8, buffered=8_000) == []
    assert due(one, 13.9, buffered=8_000) == [Bye(CloseCode.SLOW)]


def test_a_peer_that_does_not_answer_our_close_is_cut() -> None:
    one = someone(Phase.CLOSING)
    assert (due(one, 99), next_beat(one, SETTINGS, now=7, wall=0)) == ([], 7)
    one.close_by = 3
    assert next_beat(one, SETTINGS, now=0, wall=0) == 3
    assert (due(one, 2.9), due(one, 3)) == ([], [Beat.ABORT])
