from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.close_codes import Bye, CloseCode
from hub.dialogue import Dialogue, Reply
from hub.settings import HubSettings
from hub.stream import Stream
from hub.subscriber import Phase, Subscriber
from kernel.decisions import Ending, Scope
from kernel.value import replace as changed
from tests.hub.makers import SHOWING, STREAM, Gate, at, claims, on_show, opened, state, timing

SETTINGS = HubSettings()


class Stage:
    """One connection and what is said on it."""

    def __init__(self, event_id: str = STREAM) -> None:
        fenced = replace(SHOWING, event_id="fenced", allowed_origins=("https://a.example",))
        self.streams = {STREAM: Stream(SHOWING, SETTINGS), "fenced": Stream(fenced, SETTINGS)}
        self.streams[STREAM].set_epoch("e")
        self.gate = Gate(
            watch=claims(Scope.WATCH, Scope.WAGER),
            watch_only=claims(Scope.WATCH),
            wager=claims(Scope.WAGER),
            server=claims(Scope.SERVER),
            desk=claims(Scope.SERVER, Scope.TRADING),
            nothing=changed(claims(), scopes=frozenset({"none"})),
            fenced=claims(event_id="fenced"),
            unknown=claims(event_id="unknown"),
            bob=claims(account="bob"),
            old=claims(expires=50),
        )
        self.dialogue = Dialogue(self.streams, self.gate, SETTINGS, "node")
        self.one = Subscriber(1, event_id, SETTINGS, 0)

    def greet(self, token: str | None = None, origin: str | None = None) -> list[Reply]:
        return self.dialogue.greet(self.one, token, origin, wall=100)

    def say(self, **message: Any) -> list[Reply]:
        return self.dialogue.receive(self.one, json.dumps(message).encode(), now=1, wall=100)

    def open(self, *, marked: bool = True) -> None:
        stream = self.streams[STREAM]
        stream.set_state(state(), 0)
        stream.add_timing(timing(0), 0)
        stream.open(opened(0, 1, marked=marked), 1)


def only(replies: list[Reply]) -> dict[str, Any]:
    (reply,) = replies
    assert not isinstance(reply, Bye)
    return dict(reply)


def test_hello_tells_strangers_nothing() -> None:
    stranger, holder = only(Stage().greet()), only(Stage().greet("watch"))
    assert holder == stranger | {"epoch": "e"}
    assert (stranger["v"], stranger["node"], stranger["epoch"], stranger["now"]) == (1, "node", None, 100_000)
    assert only(Stage("unknown").greet()) == stranger | {"event_id": "unknown"}


@pytest.mark.parametrize("token", ["watch", "wager", "server", "desk"])
def test_any_scope_opens_the_socket(token: str) -> None:
    stage = Stage()
    assert only(stage.greet(token))["op"] == "hello"
    assert stage.one.phase is Phase.ADMITTED


@pytest.mark.parametrize(
    ("event_id", "token", "bye"),
    [
        (STREAM, "", Bye(CloseCode.UNAUTHORIZED)),
        (STREAM, "forged", Bye(CloseCode.UNAUTHORIZED)),
        ("unknown", "forged", Bye(CloseCode.UNAUTHORIZED)),
        (STREAM, "old", Bye(CloseCode.EXPIRED, "expired")),
        (STREAM, "fenced", Bye(CloseCode.UNAUTHORIZED, "wrong_event")),
        (STREAM, "nothing", Bye(CloseCode.UNAUTHORIZED, "scope_missing")),
        ("unknown", "unknown", Bye(CloseCode.UNAUTHORIZED, "unknown_event")),
    ],
)
def test_refusals_are_vague_to_strangers_only(event_id: str, token: str, bye: Bye) -> None:
    assert Stage(event_id).greet(token) == [bye]
    later = Stage(event_id)
    later.greet()
    if token:
        assert later.say(op="auth", token=token) == [bye]


def test_origins_off_the_list_are_refused_after_admission() -> None:
    assert Stage("fenced").greet("fenced", "https://b.example") == [Bye(CloseCode.ORIGIN_REFUSED)]
    assert only(Stage("fenced").greet("fenced", "https://a.example"))["op"] == "hello"
    assert only(Stage("fenced").greet("fenced"))["op"] == "hello"
    stage = Stage("fenced")
    assert only(stage.greet(None, "null"))["op"] == "hello"
    assert stage.say(op="auth", token="fenced") == [Bye(CloseCode.ORIGIN_REFUSED)]


def test_only_auth_and_ping_before_admission() -> None:
    stage = Stage()
    stage.greet()
    assert only(stage.say(op="ping", t=3)) == {"op": "pong", "t": 3, "now": 100_000}
    for op in ("sub", "unsub"):
        assert only(stage.say(op=op))["code"] == "auth_required"
    assert stage.say(op="auth", token="watch") == []
    assert stage.one.phase is Phase.ADMITTED


def test_what_is_no_message_ends_the_connection() -> None:
    (bye,) = Stage().dialogue.receive(Stage().one, b"{", now=0, wall=0)
    assert isinstance(bye, Bye)
    assert bye.code is CloseCode.BAD_FRAME


def test_sub_says_what_was_applied_and_a_heartbeat_follows() -> None:
    stage = Stage()
    stage.greet("watch")
    stage.open()
    answer, beat = stage.say(op="sub", types=["score", "play"], heartbeat_ms=1_000, cur="x")
    assert not isinstance(answer, Bye)
    assert not isinstance(beat, Bye)
    assert answer == {
        "op": "sub",
        "mode": "viewer",
        "types": ["play", "score"],
        "markets": None,
        "teams": None,
        "conflate_ms": 0,
        "heartbeat_ms": 1_000,
        "lead_ms": 0,
        "epoch": "e",
        # Until its snapshot is out there is nothing that it could resume from.
        "cur": None,
        "resumed": False,
        "why": "epoch_changed",
    }
    assert beat == {
        "op": "hb",
        "now": 100_000,
        "cur": None,
        "sent": 0,
        "feeds": {"nba": "unmonitored"},
        "sync": "ok",
        "behind_ms": 6_000,
        "may_wager": True,
    }
    assert 1.5 <= stage.one.heartbeat_at <= 2
    assert only(stage.say(op="sub"))["code"] == "already_subscribed"
    assert only(stage.say(op="unsub")) == {"op": "unsub"}
    assert only(stage.say(op="unsub"))["code"] == "not_subscribed"


def test_faults_are_answered() -> None:
    stage = Stage()
    stage.greet("watch")
    assert only(stage.say(op="sub", lead_ms=-1))["code"] == "bad_field"


def test_edge_is_for_servers_and_trading_sources_for_desks() -> None:
    stage = Stage()
    stage.greet("watch")
    assert only(stage.say(op="sub", mode="edge"))["code"] == "scope_missing"
    desk = Stage()
    desk.greet("desk")
    _, beat = desk.say(op="sub", mode="edge")
    assert not isinstance(beat, Bye)
    assert beat["feeds"].keys() == {"nba", "desk"}


def test_a_refresh_holds_for_the_same_account_and_mode() -> None:
    stage = Stage()
    stage.greet("server")
    stage.say(op="sub", mode="edge")
    assert stage.say(op="auth", token="server") == []
    assert stage.say(op="auth", token="bob") == [Bye(CloseCode.UNAUTHORIZED, "wrong_account")]
    assert stage.say(op="auth", token="watch") == [Bye(CloseCode.UNAUTHORIZED, "scope_missing")]


def test_a_refresh_that_changes_what_may_be_wagered_is_told_at_once() -> None:
    stage = Stage()
    stage.open()
    stage.greet("watch_only")
    stage.say(op="sub")
    assert stage.one.told_may_wager is False
    assert only(stage.say(op="auth", token="watch"))["may_wager"] is True


def test_bye_names_the_code_when_to_come_back_and_from_where() -> None:
    stage = Stage()
    stage.greet("watch")
    assert stage.dialogue.bye(stage.one, Bye(CloseCode.EXPIRED)) == {"op": "bye", "code": 4511, "reason": "expired"}
    assert stage.dialogue.bye(stage.one, Bye(CloseCode.SLOW))["retry_ms"] == SETTINGS.retry_ms
    stage.say(op="sub")
    while stage.streams[STREAM].next_owed(stage.one, 1) is not None:
        pass
    beat = stage.dialogue.heartbeat(stage.one, now=1, wall=100)
    bye = stage.dialogue.bye(stage.one, Bye(CloseCode.GOING_AWAY, "why"), 7)
    assert bye == {"op": "bye", "code": 4412, "reason": "why", "retry_ms": 7, "cur": beat["cur"]}
    assert "cur" not in Stage("unknown").dialogue.bye(Stage("unknown").one, Bye(CloseCode.SLOW))


def test_a_player_may_report_before_its_viewer_subscribes() -> None:
    stage = Stage()
    stage.open()
    stage.greet()
    assert only(stage.say(op="pos", tl=0, pts=90_000, rate=1))["code"] == "auth_required"
    stage.say(op="auth", token="watch")
    assert stage.say(op="pos", tl=0, pts=90_000, rate=0) == []
    answer, beat = stage.say(op="sub", lead_ms=250)
    assert not isinstance(answer, Bye)
    assert not isinstance(beat, Bye)
    assert (answer["lead_ms"], beat["behind_ms"]) == (250, 1_000)
    assert stage.say(op="pos", tl=0, pts=135_000, rate=0) == []
    while stage.streams[STREAM].next_owed(stage.one, 1) is not None:
        pass
    again = only(stage.say(op="update", lead_ms=0))
    assert (again["lead_ms"], again["resumed"]) == (0, True)


def test_a_changed_filter_does_not_begin_a_recording_anew() -> None:
    """DESIGN 7: a frontier never goes back. Whoever subscribes anew may."""
    stage = Stage()
    stream = stage.streams[STREAM]
    stream.set_state(state(live=False, ended=True, last=2), 0)
    for msn in range(3):
        stream.add_timing(timing(msn), 0)
        stream.open(opened(msn, 0), 0)
    stage.greet("desk")
    for now, message, shown_s in (
        (1, {"op": "sub"}, 0),
        (3, {"op": "update", "types": ["play"]}, 2),
        (3.5, {"op": "update", "types": None, "conflate_ms": 1_000}, 2.5),
        (4, {"op": "update", "mode": "edge"}, None),
        (5, {"op": "update", "mode": "viewer"}, 4),
        (5.5, {"op": "unsub"}, None),
        (6, {"op": "sub"}, 0),
    ):
        replies = stage.dialogue.receive(stage.one, json.dumps(message).encode(), now=now, wall=100)
        assert all(not isinstance(reply, Bye) and reply["op"] != "error" for reply in replies)
        if shown_s is not None:
            assert stream.frontier_of(stage.one) == on_show(shown_s)
            assert stream.behind_ms(stage.one, now) == 6_000 - shown_s * 1_000


def test_a_recording_begins_once_all_of_it_is_known_also_for_who_looks_elsewhere_meanwhile() -> None:
    stage = Stage()
    stream = stage.streams[STREAM]
    stage.greet("desk")
    for now, message, shown_s in (
        (0, {"op": "sub"}, None),
        (1, {"op": "update", "mode": "edge"}, None),
        (2, {"op": "update", "mode": "viewer"}, None),
        (3, {"op": "update", "mode": "edge"}, None),
        (5, {"op": "update", "mode": "viewer"}, 0),
        (6, {"op": "update", "types": ["play"]}, 1),
    ):
        if now == 1:
            stream.set_state(state(live=False, ended=True, last=1), now)
        stage.dialogue.receive(stage.one, json.dumps(message).encode(), now=now, wall=100)
        for msn in range(2 if now == 3 else 0):
            stream.add_timing(timing(msn), now)
            stream.open(opened(msn, now), now)
        if shown_s is not None:
            assert stream.frontier_of(stage.one) == on_show(shown_s)


def test_a_changed_filter_takes_no_player_back_that_reports() -> None:
    """Be it that it has sought back, or that nothing is known of what it was served."""
    stage = Stage()
    stream = stage.streams[STREAM]
    stream.set_state(state(live=False, ended=True, last=2), 0)
    for msn in range(3):
        stream.add_timing(timing(msn), 0)
        stream.open(opened(msn, 0), 0)
    stage.greet("watch")
    for now, message, shown_s in (
        (0, {"op": "sub"}, 0),
        (3, {"op": "pos", "tl": 0, "pts": at(2.5).pts, "rate": 0}, 3),
        (3.5, {"op": "update", "types": ["play"], "lead_ms": 750}, 3.25),
        (4, {"op": "pos", "tl": 0, "pts": 0, "rate": 0}, 3.25),
        (4.5, {"op": "update", "types": None}, 3.25),
        (5, {"op": "unsub"}, None),
        (5.5, {"op": "sub"}, 0),
    ):
        stage.dialogue.receive(stage.one, json.dumps(message).encode(), now=now, wall=100)
        if shown_s is not None:
            assert stream.frontier_of(stage.one) == on_show(shown_s)


def test_who_reported_before_a_recording_was_known_for_one_plays_it_from_its_return() -> None:
    stage = Stage()
    stream = stage.streams[STREAM]
    stage.greet("desk")
    for now, message in (
        (0, {"op": "sub"}),
        (0, {"op": "pos", "tl": 0, "pts": at(3).pts, "rate": 0}),
        (1, {"op": "update", "mode": "edge"}),
        (3, {"op": "update", "mode": "viewer"}),
        (3, {"op": "pos", "tl": 0, "pts": at(3).pts, "rate": 0}),
        (4, {"op": "pos", "tl": 0, "pts": at(3).pts, "rate": 0}),
    ):
        stage.dialogue.receive(stage.one, json.dumps(message).encode(), now=now, wall=100)
        if message.get("mode") == "edge":
            stream.set_state(state(live=False, ended=True, last=1), 2)
            for msn in range(2):
                stream.add_timing(timing(msn), 2)
                stream.open(opened(msn, 2), 2)
    assert stream.frontier_of(stage.one) == on_show(1)


def test_who_waits_for_no_player_reports_none() -> None:
    stage = Stage()
    stage.open()
    stage.greet("server")
    stage.say(op="sub", mode="edge")
    assert only(stage.say(op="pos", tl=0, pts=0, rate=1))["code"] == "not_viewer"


def test_a_heartbeat_ahead_of_cues_claims_none_of_them() -> None:
    stage = Stage()
    stage.greet("watch")
    stage.say(op="sub")
    while stage.streams[STREAM].next_owed(stage.one, 1) is not None:
        pass
    told = stage.dialogue.heartbeat(stage.one, now=1, wall=100, hashed=True)
    ahead = stage.dialogue.heartbeat(stage.one, now=1, wall=100, hashed=True, ahead=True)
    assert told["cur"] is not None
    assert ahead == {**{name: value for name, value in told.items() if name != "hash"}, "cur": None}


def test_who_comes_in_with_a_session_that_has_to_go_is_told_so() -> None:
    warning = {"op": "session", "state": "leaving", "ends": 5_000, "code": "session_limit"}
    # A server is told with the greeting, a browser once it has said who it is; who is in already has been told.
    stage = Stage()
    stage.gate.ending = Ending(5_000, "session_limit")
    hello, told = stage.greet("watch")
    assert not isinstance(hello, Bye)
    assert (hello["op"], told) == ("hello", warning)
    stage = Stage()
    stage.greet()
    stage.gate.ending = Ending(5_000, "session_limit", "s2")
    assert stage.say(op="auth", token="watch") == [{**warning, "by": "s2"}]
    stage.open()
    stage.say(op="sub")
    assert stage.say(op="auth", token="watch") == []
