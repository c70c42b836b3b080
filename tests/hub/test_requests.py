from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from hub.messages import unpack
from hub.playhead import Report
from hub.requests import Auth, Fault, Ping, Pos, Sub, Unsub, Update, Wish, default_wish, parse, revised
from hub.settings import HubSettings
from kernel.cues import CueType
from kernel.errors import DecodeError

SETTINGS = HubSettings()
BLANK = Wish("viewer", None, None, None, 0, 2_000)


def read(**message: Any) -> object:
    return parse(json.dumps(message).encode(), "json", SETTINGS)


def test_what_clients_say() -> None:
    assert read(op="auth", token="t") == Auth("t")
    assert read(op="sub") == Sub(BLANK, None)
    assert default_wish(SETTINGS) == BLANK
    full = read(
        op="sub", mode="edge", types=["score", "play", "score"], markets=["m"], teams=["HOM"], conflate_ms=200,
        heartbeat_ms=5_000, cur="x",
    )  # fmt: skip
    wish = Wish("edge", frozenset({CueType.SCORE, CueType.PLAY}), frozenset({"m"}), frozenset({"HOM"}), 250, 5_000)
    assert full == Sub(wish, "x")
    assert read(op="unsub") == Unsub()
    assert (read(op="ping"), read(op="ping", t=1.5), read(op="ping", t="x")) == (Ping(None), Ping(1.5), Ping("x"))
    assert read(op="update", conflate_ms=0) == Update({"conflate_ms": 0})


def test_with_markets_subscribed_silence_is_short() -> None:
    def heartbeat_ms(*types: str) -> int:
        asked = read(op="sub", types=list(types), heartbeat_ms=30_000)
        assert isinstance(asked, Sub)
        return asked.wish.heartbeat_ms

    assert (heartbeat_ms("score"), heartbeat_ms("score", "price"), heartbeat_ms("settle")) == (30_000, 2_000, 2_000)


def test_an_update_changes_what_it_names() -> None:
    wish = Wish("edge", frozenset({CueType.PLAY}), None, frozenset({"A"}), 250, 1_000)
    assert revised(wish, {}, SETTINGS) == wish
    assert revised(wish, {"teams": None, "conflate_ms": 90}, SETTINGS) == Wish(
        "edge", frozenset({CueType.PLAY}), None, None, 100, 1_000
    )


@pytest.mark.parametrize("how", ["json", "msgpack"])
def test_both_formats_say_the_same(how: Any) -> None:
    message = {"op": "sub", "mode": "edge", "types": ["play"], "cur": "é"}
    data = json.dumps(message).encode() if how == "json" else msgpack.packb(message)
    assert unpack(data, how) == message
    assert isinstance(parse(data, how, SETTINGS), Sub)


@pytest.mark.parametrize(
    ("message", "code", "named"),
    [
        ({"op": "pos", "pts": 1, "rate": 1}, "bad_field", "tl"),
        ({"op": "pos", "tl": 0, "msn": 1, "pts": 1, "rate": 1}, "bad_field", "tl"),
        ({"op": "pos", "tl": -1, "pts": 1, "rate": 1}, "bad_field", "tl"),
        ({"op": "pos", "msn": None, "pts": 1, "rate": 1}, "bad_field", "msn"),
        ({"op": "pos", "tl": 0, "rate": 1}, "bad_field", "pts"),
        ({"op": "pos", "tl": 0, "pts": 1.5, "rate": 1}, "bad_field", "pts"),
        ({"op": "pos", "tl": 0, "pts": 1 << 63, "rate": 1}, "bad_field", "pts"),
        ({"op": "pos", "tl": 0, "pts": 1}, "bad_field", "rate"),
        ({"op": "pos", "tl": 0, "pts": 1, "rate": -1}, "bad_field", "rate"),
        ({"op": "pos", "tl": 0, "pts": 1, "rate": 16.5}, "bad_field", "rate"),
        ({"op": "pos", "tl": 0, "pts": 1, "rate": True}, "bad_field", "rate"),
        ({"op": "pos", "tl": 0, "pts": 1, "rate": 1, "stalled": 1}, "bad_field", "stalled"),
        ({"op": "pos", "tl": 0, "pts": 1, "rate": 1, "at": 1}, "bad_field", "at"),
        ({"op": "dance"}, "unknown_op", "dance"),
        ({"op": "sub", "lead_ms": 1_001}, "bad_field", "lead_ms"),
        ({"op": "sub", "lead_ms": -1}, "bad_field", "lead_ms"),
        ({"op": "update", "lead_ms": "250"}, "bad_field", "lead_ms"),
        ({"op": "sub", "colour": 1}, "bad_field", "colour"),
        ({"op": "update", "cur": "x"}, "bad_field", "cur"),
        ({"op": "update", "mode": "x"}, "bad_field", "mode"),
        ({"op": "sub", "mode": 1}, "bad_field", "mode"),
        ({"op": "sub", "types": "score"}, "bad_field", "types"),
        ({"op": "sub", "types": []}, "bad_field", "types"),
        ({"op": "sub", "types": ["goal"]}, "bad_field", "goal"),
        ({"op": "sub", "types": [1]}, "bad_field", "types"),
        ({"op": "sub", "markets": []}, "bad_field", "markets"),
        ({"op": "sub", "markets": ["m"] * 201}, "bad_field", "markets"),
        ({"op": "sub", "markets": [""]}, "bad_field", "markets"),
        ({"op": "sub", "teams": "a"}, "bad_field", "teams"),
        ({"op": "sub", "teams": [1]}, "bad_field", "teams"),
        ({"op": "sub", "conflate_ms": -1}, "bad_field", "conflate_ms"),
        ({"op": "sub", "conflate_ms": 10_001}, "bad_field", "conflate_ms"),
        ({"op": "sub", "heartbeat_ms": 499}, "bad_field", "heartbeat_ms"),
        ({"op": "sub", "heartbeat_ms": 30_001}, "bad_field", "heartbeat_ms"),
        ({"op": "sub", "heartbeat_ms": True}, "bad_field", "heartbeat_ms"),
        ({"op": "sub", "heartbeat_ms": 1e3}, "bad_field", "heartbeat_ms"),
        ({"op": "sub", "cur": 7}, "bad_field", "cur"),
        ({"op": "sub", "cur": "x" * 513}, "bad_field", "cur"),
        ({"op": "auth"}, "bad_field", "token"),
        ({"op": "auth", "token": ""}, "bad_field", "token"),
        ({"op": "auth", "token": 7}, "bad_field", "token"),
        ({"op": "ping", "t": {}}, "bad_field", "t"),
        ({"op": "ping", "t": True}, "bad_field", "t"),
    ],
)
def test_what_is_wrong_is_named(message: dict[str, Any], code: str, named: str) -> None:
    fault = read(**message)
    assert isinstance(fault, Fault)
    assert fault.code == code
    assert named in fault.reason


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"{}", b'{"op":1}', b'{"op":"ping","op":"ping"}', b"\xff", b"NaN"])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse(data, "json", SETTINGS)


def test_where_a_player_is() -> None:
    assert read(op="pos", tl=3, pts=-5, rate=1) == Pos(Report(-5, 1.0, timeline=3))
    told = read(op="pos", msn=12, pts=90_000, rate=0.5, stalled=True)
    assert told == Pos(Report(90_000, 0.5, stalled=True, msn=12))


def test_the_lead_is_a_wish_that_can_be_changed_and_given_up() -> None:
    asked = read(op="sub", lead_ms=250)
    assert isinstance(asked, Sub)
    assert asked.wish.lead_ms == 250
    assert revised(asked.wish, {"lead_ms": 1_000}, SETTINGS).lead_ms == 1_000
    assert revised(asked.wish, {"lead_ms": None}, SETTINGS).lead_ms == 0
    assert revised(asked.wish, {"mode": "viewer"}, SETTINGS).lead_ms == 250
