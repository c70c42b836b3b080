"""How the records of each topic and signal travel between processes: compact JSON, by the last part of their names.

A name that is not in the table carries plain JSON values as they are. Offsets, epochs and senders are the transport's
business and not in here. What cannot be read raises DecodeError: it was written by another version, or is damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kernel import strict_json, wire
from kernel.errors import DecodeError


class Codec(NamedTuple):
    """Turn a record into bytes and back: `decode(encode(record)) == record`."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def codec_of(name: str) -> Codec:
    """Return the codec of a topic or signal.

    Args:
        name: such as "game/entries".
    """
    return _CODECS.get(name.rpartition("/")[2], _PLAIN)


def _load(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise DecodeError(f"a record on the bus is no JSON: {error}") from None


def _dump(value: Any) -> bytes:
    return strict_json.encode(value).encode()


def _codec(to_value: Callable[[Any], Any], from_value: Callable[[Any], Any]) -> Codec:
    return Codec(lambda record: _dump(to_value(record)), lambda data: from_value(_load(data)))


_PLAIN = _codec(lambda value: value, lambda value: value)
_ENTRY = _codec(wire.to_map, wire.entry_from_map)

_CODECS: Mapping[str, Codec] = {
    "entries": _ENTRY,
    "safety": _ENTRY,
    "timings": _codec(wire.to_map, wire.timing_from_map),
    "marks": _codec(wire.to_map, wire.mark_from_map),
    "opened": _codec(wire.to_map, wire.opened_from_map),
    "served": _codec(wire.to_map, wire.served_from_map),
    "state": _codec(wire.to_map, wire.state_from_map),
    "epoch": _PLAIN,
    "feeds": _codec(
        lambda states: [wire.to_map(one) for one in states],
        lambda maps: tuple(wire.feed_from_map(one) for one in maps),
    ),
    "progress": _codec(wire.to_map, wire.progress_from_map),
    "revocations": _codec(wire.to_map, wire.revocation_from_map),
    "policies": _codec(wire.to_map, wire.policy_from_map),
    "blackouts": _codec(wire.to_map, wire.blackout_from_map),
}
