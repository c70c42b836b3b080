"""Dates and durations as XML Schema writes them (xs:dateTime, xs:duration), as far as they say something certain.

A date without a zone is one of the dates that it would be in some zone, and a month has 28 to 31 days: so each value is
the earliest and the latest that it can be, in milliseconds. Windows begin with the earliest and end with the latest.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import ceil
from typing import NamedTuple

from kernel.dates import format_date, parse_date
from kernel.errors import DecodeError, PlaylistError
from relay.esni.elements import short

_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DURATION = re.compile(
    r"(-?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})D)?"
    r"(T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{1,12})?)S)?)?",
    re.ASCII,
)
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_EAST_MS = 14 * _HOUR_MS
"""Zones reach from UTC-14 to UTC+14 in xs:dateTime; a clock shows the same time earliest in the east."""


class Between(NamedTuple):
    """A time (Unix) or a span, in ms: the least that it can be, and the most."""

    least: int
    most: int

    def plus(self, span: Between) -> Between:
        """Return what lies that span behind."""
        return Between(self.least + span.least, self.most + span.most)


def date_of(text: str) -> Between:
    """Read an xs:dateTime.

    Raises:
        DecodeError: it is none, or none from 1970 to 9999.
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        raise DecodeError(f"{short(text)} is no date such as 2026-03-27T19:30:00Z")
    try:
        whole = round(parse_date(match[1] + (match[3] or ""))) * 1000
    except PlaylistError as error:
        raise DecodeError(str(error)) from None
    fraction = Decimal(f"0.{match[2] or 0}") * 1000
    least, most = whole + int(fraction), whole + ceil(fraction)
    return Between(least, most) if match[3] else Between(max(0, least - _EAST_MS), most + _EAST_MS)


def date_text(ms: int) -> str:
    """Return a date in UTC, with milliseconds where there are any."""
    text = format_date(ms / 1000)
    return text.replace(".000Z", "Z")


def span_of(text: str) -> Between:
    """Read an xs:duration.

    Raises:
        DecodeError: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or match[5] == "T" or not any(match.group(2, 3, 4, 6, 7, 8)):
        raise DecodeError(f"{short(text)} is no duration such as PT3H30M")
    years, months, days, hours, minutes = (int(match[n] or 0) for n in (2, 3, 4, 6, 7))
    seconds = Decimal(match[8] or 0) * 1000
    exact = days * _DAY_MS + hours * _HOUR_MS + minutes * 60_000
    least = exact + int(seconds) + (years * 365 + months * 28) * _DAY_MS
    most = exact + ceil(seconds) + (years * 366 + months * 31) * _DAY_MS
    return Between(-most, -least) if match[1] else Between(least, most)


def span_text(ms: int) -> str:
    """Return a duration in seconds, with milliseconds where there are any."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    seconds, rest = divmod(ms, 1000)
    return f"{sign}PT{seconds}.{rest:03d}S" if rest else f"{sign}PT{seconds}S"


def number_text(value: float) -> str:
    """Return a number in digits alone, as coordinates are written: to 20 decimal places."""
    whole, point, decimals = format(Decimal(repr(value)), "f").partition(".")
    return whole + point + decimals[:20]
