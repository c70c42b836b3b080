"""What a token says of how many streams its account has, as other systems write it and as we do.

    "https://vimond/entitlements": [{"svod": "854", "streamcount": "1"}, {"svod": "478", "streamcount": "1"}]
    "https://vimond/streamcount": "4"

Ours is one claim for both, `stc`: `[["854", 1], ["478", 1]]`, with an empty name for what is counted over all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ENTITLEMENTS, STREAM_COUNT = "https://vimond/entitlements", "https://vimond/streamcount"

MAX_ENTITLEMENTS = 16
"""Of one token. What stands in an entitlement stands in its sessions' tokens, too, which have 4 KiB."""

MAX_STREAMS = 1_000

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,4}")

Streams = tuple[tuple[str, int], ...]
"""How many streams, by entitlement; with an empty name over all."""


def streams_of(said: Mapping[str, Any]) -> Streams | None:
    """Return what claims say of streams, empty where they say nothing.

    Returns:
        None where it is not what it should be: such a token is refused, for it would count as one without limits.
    """
    found: dict[str, int] = {}
    entitlements = said.get(ENTITLEMENTS, [])
    if not isinstance(entitlements, list) or len(entitlements) > MAX_ENTITLEMENTS:
        return None
    for one in entitlements:
        if not isinstance(one, dict):
            return None
        name, most = one.get("svod"), one.get("streamcount")
        if most is None:
            continue  # an entitlement that is not counted
        number = _number(most)
        if not isinstance(name, str) or not _NAME.fullmatch(name) or number is None:
            return None
        found[name] = max(number, found.get(name, 0))
    if said.get(STREAM_COUNT) is not None:
        number = _number(said[STREAM_COUNT])
        if number is None:
            return None
        found[""] = number
    return tuple(found.items())


def is_streams(streams: Streams) -> bool:
    """Tell whether our own claim is what it should be; its types are known to be right."""
    names = [name for name, _ in streams]
    return (
        len(streams) <= MAX_ENTITLEMENTS + 1
        and len(set(names)) == len(names)
        and all(not name or _NAME.fullmatch(name) for name in names)
        and all(0 <= most <= MAX_STREAMS for _, most in streams)
    )


def _number(value: object) -> int | None:
    """Return a number that may be written as text, None if it is none."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_STREAMS else None
