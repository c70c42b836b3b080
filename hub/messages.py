"""What stands on the socket: maps written and framed once, in JSON text or MessagePack binary frames.

The protocol's names are PROTOCOL.md's; both formats carry the same maps. What clients say is read in `hub/requests.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack
from websockets.frames import Opcode

from kernel.errors import DecodeError, MessageTooLarge
from kernel.strict_json import CLIENT_LIMITS, decode, encode, encode_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub.subscriber import Format
    from kernel.cues import Entry
    from kernel.decisions import Ending

VERSION = 1
SUBPROTOCOLS: Mapping[str, Format] = {"lockstep.v1.json": "json", "lockstep.v1.msgpack": "msgpack"}

_RESERVED = frozenset(
    {"op", "o", "id", "rev", "kind", "cls", "type", "tl", "pts", "msn", "part", "off", "wall", "sigma_ms"}
    | {"late_ms", "before"}
)


def cue_map(entry: Entry) -> dict[str, Any]:
    """Return an entry as it stands on the wire. Nothing in it differs between subscribers."""
    cue = entry.cue
    places = {
        "tl": cue.at.timeline if cue.at is not None else None,
        "pts": cue.at.pts if cue.at is not None else None,
        "msn": cue.msn,
        "part": cue.part,
        "off": cue.off,
        "wall": cue.wall_ms,
    }
    message: dict[str, Any] = {
        "op": "cue",
        "o": entry.o,
        "id": cue.id,
        "rev": cue.rev,
        "kind": cue.op.value,
        "cls": cue.cls.value,
        "type": cue.type.value,
        **{name: value for name, value in places.items() if value is not None},
        "sigma_ms": cue.sigma_ms,
    }
    if cue.late_ms is not None:
        message["late_ms"] = cue.late_ms
    # A vendor's body must not say where or what the cue is.
    message.update((name, value) for name, value in cue.body.items() if name not in _RESERVED)
    if cue.before is not None:
        message["before"] = dict(cue.before)
    return message


def session_map(ending: Ending) -> dict[str, Any]:
    """Return what is told to a session that has to go."""
    message = {"op": "session", "state": "leaving", "ends": ending.at_ms, "code": ending.code}
    return {**message, "by": ending.by} if ending.by else message


def frame(message: Mapping[str, Any], format_: Format = "json") -> bytes:
    """Return a map as one unmasked frame (RFC 6455, 5.2), the same bytes for everyone.

    Raises:
        ValueError: a number in it is not finite, or a text has no UTF-8 form.
        TypeError: something in it has no place in JSON.
    """
    text = encode(message)
    payload = text.encode()
    if format_ == "json":
        return _framed(Opcode.TEXT, payload)
    # Through JSON first: what one format cannot carry, the other does not carry either.
    return _framed(Opcode.BINARY, pack(message))


def reply_frame(message: Mapping[str, Any], format_: Format = "json") -> bytes:
    """Return a map that the hub itself has made, of what it has checked, as one unmasked frame; see `frame`."""
    if format_ == "json":
        return _framed(Opcode.TEXT, encode_known(message))
    return _framed(Opcode.BINARY, pack(message))


def _framed(opcode: Opcode, payload: bytes) -> bytes:
    # RFC 6455, 5.2: FIN and opcode, the length in the fewest bytes, no mask from a server (5.1).
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2) + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8) + payload


def pack(message: Mapping[str, Any]) -> bytes:
    """Return a map as MessagePack."""
    packed: bytes = msgpack.packb(message, use_bin_type=True)
    return packed


def unpack_frame(data: str | bytes) -> dict[str, Any]:
    """Read what a server of ours sent: text is JSON, bytes are MessagePack.

    Raises:
        DecodeError: it is neither, or no map.
    """
    try:
        value = json.loads(data) if isinstance(data, str) else msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"no frame of this protocol: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("no frame of this protocol: it is no map")
    return value


def unpack(data: bytes, format_: Format) -> Any:
    """Read what one frame holds, as strictly in either format.

    Raises:
        DecodeError: it is not of that format, or exceeds the limits for clients.
    """
    if format_ == "json":
        return decode(data, CLIENT_LIMITS)
    if len(data) > CLIENT_LIMITS.max_bytes:
        raise MessageTooLarge(f"the message is longer than {CLIENT_LIMITS.max_bytes} bytes")
    try:
        # No extension types, no raw bytes, keys are texts and stand once; a length that is promised but not there
        # allocates nothing: no array may promise more values than the message has bytes.
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_object,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=CLIENT_LIMITS.max_nodes,
            max_map_len=CLIENT_LIMITS.max_nodes,
        )
        text = encode(value)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not MessagePack of plain values: {error}") from None
    # Once more by the one strict decoder: depth, number of values, finite numbers.
    return decode(text, _UNPACKED_LIMITS)


def _object(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs) or not all(isinstance(name, str) for name in members):
        raise ValueError("the keys of a map are texts, and none stands twice")
    return members


_UNPACKED_LIMITS = type(CLIENT_LIMITS)(
    max_bytes=8 * CLIENT_LIMITS.max_bytes, max_depth=CLIENT_LIMITS.max_depth, max_nodes=CLIENT_LIMITS.max_nodes
)
"""JSON takes up to six bytes for one of MessagePack's (an escape), and a double twenty for nine."""
