"""Media time in 90 kHz ticks: the counter that wraps at 2**33, and the one that does not.

Rule: a `Pts33` is what stands in the stream (ISO/IEC 13818-1, 2.4.3.7), 0 to 2**33 - 1. `Ticks` is unwrapped
and may be any integer. Only feeds unwraps; all other houses see `Ticks` alone.
"""

from __future__ import annotations

from typing import NewType

Ticks = NewType("Ticks", int)
"""Unwrapped media time or a span of it, in 1/90,000 s."""

Pts33 = NewType("Pts33", int)
"""A presentation timestamp as it stands in the stream, 0 to 2**33 - 1."""

TICKS_PER_S = 90_000
TICKS_PER_MS = 90
WRAP = 1 << 33
_HALF = WRAP >> 1


def rescale(value: int, timescale: int) -> Ticks:
    """Convert a time in units of 1/`timescale` s to ticks, rounded to the nearest, halves up.

    Args:
        value: any integer, in 1/`timescale` s.
        timescale: units a second, 1 or more.

    Raises:
        ValueError: `timescale` is not positive.
    """
    if timescale <= 0:
        raise ValueError(f"a timescale is at least 1, not {timescale}")
    return Ticks((2 * value * TICKS_PER_S + timescale) // (2 * timescale))


def reduce33(pts: int) -> Pts33:
    """Reduce unwrapped time to the counter that stands in the stream."""
    return Pts33(pts % WRAP)


def unwrap(pts: int, near: int) -> Ticks:
    """Return the unwrapped time, congruent to `pts` modulo 2**33, that lies nearest to `near`.

    The step from `near` is signed, -2**32 to 2**32 - 1 ticks (13 hours either way), so a time shortly *before*
    the reference is told apart from one a whole wrap after it.
    """
    return Ticks(near + (pts - near + _HALF) % WRAP - _HALF)


def ticks_of_s(seconds: float) -> Ticks:
    """Convert seconds to ticks, rounded to the nearest."""
    return Ticks(round(seconds * TICKS_PER_S))


def s_of_ticks(ticks: int) -> float:
    """Convert ticks to seconds."""
    return ticks / TICKS_PER_S
