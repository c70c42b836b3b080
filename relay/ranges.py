"""Byte ranges of a request (RFC 9110, 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ByteRange(NamedTuple):
    """A part of a body: offset of the first byte, and of the one behind the last."""

    start: int
    stop: int


class Unsatisfiable(NamedTuple):
    """The request names bytes that the body does not have (RFC 9110, 15.5.17)."""


def parse_range(header: str | None, length: int) -> ByteRange | Unsatisfiable | None:
    """Return the part of a body of `length` bytes that a Range header asks for, None for all of it.

    Several ranges in one request are answered with the whole body, as 14.2 allows: players do not ask for them, and
    a hundred overlapping ones are an attack. So is a header that cannot be read.
    """
    match = _SINGLE.fullmatch(header.strip().lower()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        # 14.1.2: a suffix, the last n bytes.
        wanted = int(match[2])
        return ByteRange(max(0, length - wanted), length) if wanted and length else Unsatisfiable()
    start = int(match[1])
    stop = int(match[2]) + 1 if match[2] else length
    if match[2] and stop <= start:
        return None
    if start >= length:
        return Unsatisfiable()
    return ByteRange(start, min(stop, length))
