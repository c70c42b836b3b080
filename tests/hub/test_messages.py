from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.messages import Auth, Fault, Ping, Sub, Unsub, cue_map, frame, parse
from hub.settings import HubSettings
from kernel.cues import CueType
from kernel.errors import DecodeError
from kernel.pts import Ticks
from tests.hub.makers import at, entry

SETTINGS = HubSettings()


def read(**message: Any) -> object:
    return parse(json.dumps(message).encode(), SETTINGS)


def test_what_clients_say() -> None:
    assert read(op="auth", token="t") == Auth("t")
    assert read(op="sub") == Sub("viewer", None, 2_000, None)
    assert read(op="sub", mode="edge", types=["score", "play", "score"], heartbeat_ms=500, cur="x") == Sub(
        "edge", frozenset({CueType.SCORE, CueType.PLAY}), 500, "x"
    )
    assert read(op="unsub") == Unsub()
    assert (read(op="ping"), read(op="ping", t=1.5), read(op="ping", t="x")) == (Ping(None), Ping(1.5), Ping("x"))


@pytest.mark.parametrize(
    ("message", "code", "named"),
    [
        ({"op": "pos", "tl": 0, "pts": 1, "rate": 1}, "unsupported", "pos"),
        ({"op": "update"}, "unsupported", "update"),
        ({"op": "dance"}, "unknown_op", "dance"),
        ({"op": "sub", "markets": []}, "unsupported", "markets"),
        ({"op": "sub", "teams": ["a"]}, "unsupported", "teams"),
        ({"op": "sub", "conflate_ms": 1}, "unsupported", "conflate_ms"),
        ({"op": "sub", "lead_ms": 250}, "unsupported", "lead_ms"),
        ({"op": "sub", "colour": 1}, "bad_field", "colour"),
        ({"op": "sub", "mode": "realtime"}, "unsupported", "mode"),
        ({"op": "sub", "mode": 1}, "bad_field", "mode"),
        ({"op": "sub", "types": "score"}, "bad_field", "types"),
        ({"op": "sub", "types": []}, "bad_field", "types"),
        ({"op": "sub", "types": ["goal"]}, "bad_field", "goal"),
        ({"op": "sub", "types": [1]}, "bad_field", "types"),
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
        parse(data, SETTINGS)


def test_a_cue_on_the_wire() -> None:
    one = entry(7, at(2, 1), body={"txt": "dunk", "score": {"home": 2, "away": 0}})
    full = replace(one, cue=replace(one.cue, msn=4, part=1, off=Ticks(90), wall_ms=5, late_ms=12, before={"txt": "a"}))
    assert cue_map(full) == {
        "op": "cue",
        "o": 7,
        "id": "nba:7",
        "rev": 1,
        "kind": "new",
        "cls": "locked",
        "type": "play",
        "tl": 1,
        "pts": 180_000,
        "msn": 4,
        "part": 1,
        "off": 90,
        "wall": 5,
        "sigma_ms": 0,
        "late_ms": 12,
        "txt": "dunk",
        "score": {"home": 2, "away": 0},
        "before": {"txt": "a"},
    }


def test_what_is_not_known_is_absent() -> None:
    assert cue_map(entry(0, None)).keys() == {"op", "o", "id", "rev", "kind", "cls", "type", "sigma_ms"}


def test_a_body_cannot_say_what_the_cue_is() -> None:
    body = {"op": "bye", "o": 9, "part": 3, "late_ms": 1, "before": 1, "pts": 0, "txt": "x"}
    message = cue_map(entry(0, at(1), body=body))
    assert (message["op"], message["o"], message["pts"], message["txt"]) == ("cue", 0, 90_000, "x")
    assert not message.keys() & {"part", "late_ms", "before"}


def test_a_frame_is_unmasked_text() -> None:
    # RFC 6455, 5.2: FIN and opcode 1, no mask bit, the length.
    assert frame({"op": "é"}) == b'\x81\x0b{"op":"\xc3\xa9"}'
