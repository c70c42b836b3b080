from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from hub.messages import cue_map, frame, unpack
from kernel.errors import DecodeError
from kernel.pts import Ticks
from kernel.value import replace
from tests.hub.makers import at, entry


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


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_a_frames_length_has_the_fewest_bytes(size: int) -> None:
    """RFC 6455, 5.2, as websockets writes it."""
    payload = json.dumps({"t": "x" * (size - 8)}, separators=(",", ":")).encode()
    assert len(payload) == size
    assert frame(json.loads(payload)) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_a_binary_frame_holds_the_same_map() -> None:
    # RFC 6455, 5.2: FIN and opcode 2.
    made = frame({"op": "é", "n": [1, 2.5, None, True]}, "msgpack")
    assert made[:2] == bytes([0x82, len(made) - 2])
    assert msgpack.unpackb(made[2:]) == {"op": "é", "n": [1, 2.5, None, True]}


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
@pytest.mark.parametrize("how", ["json", "msgpack"])
def test_what_cannot_be_written_is_not(value: object, how: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        frame({"x": value}, how)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81\xa1a",
        b"\x01\x01",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\x01\x02",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc4\x01x",
        b"\xd4\x00x",
        b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
        b"\x91" * 20 + b"\x01",
        b"\x91" * 3_000 + b"\x01",
        b"\xa2\xff\xff",
        msgpack.packb("x" * 5_000),
    ],
)
def test_hostile_messagepack_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(data, "msgpack")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_both_formats_read_what_the_other_writes(value: Any) -> None:
    assert unpack(msgpack.packb(value), "msgpack") == unpack(json.dumps(value).encode(), "json") == value
