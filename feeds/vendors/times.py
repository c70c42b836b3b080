"""The spellings of time in vendors' messages, and how exactly each is known.

A time of day written in whole seconds was cut off there: it is half a second later on average, with a standard
deviation of 0.3 s (a uniform second has 0.289). One written with a fraction is taken as it stands; its standard
deviation is 0.3 of its last digit's unit.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kernel.errors import DecodeError
from kernel.value import FIRST_MS, LAST_MS

SIGMA_PER_UNIT = 0.3
"""The standard deviation of what is cut off, as a share of the last digit's unit: 1/sqrt(12), rounded up."""

_FINEST_SIGMA_S = 0.0003
"""Further digits are arithmetic, not measurement: nobody times a play to the microsecond."""

# RFC 3339, 5.6, with a zone required, its colon optional, and a comma allowed as in ISO 8601.
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_DURATION = re.compile(r"PT(?:(\d{1,3})H)?(?:(\d{1,4})M)?(?:(\d{1,5})(?:[.,](\d{1,9}))?S)?", re.ASCII)


class Moment(NamedTuple):
    """When something happened: Unix seconds, and their standard deviation in seconds."""

    unix_s: float
    sigma_s: float


def parse_time(value: Any, field: str) -> Moment:
    """Read a time of day: ISO 8601 with zone, or Unix milliseconds as an integer.

    Args:
        value: what the message holds.
        field: its name, for the error.

    Raises:
        DecodeError: it is neither.
    """
    if isinstance(value, str):
        whole_s, fraction = _iso(value, field)
        if not fraction:
            return Moment(whole_s + 0.5, SIGMA_PER_UNIT)
        sigma_s = max(SIGMA_PER_UNIT / 10 ** len(fraction), _FINEST_SIGMA_S)
        return Moment(whole_s + int(fraction) / 10 ** len(fraction), sigma_s)
    if type(value) is int and FIRST_MS <= value < LAST_MS:
        return moment_of_ms(value)
    raise _not_a_time(value, field)


def moment_of_ms(value: int) -> Moment:
    """Return the time of day that is so many Unix milliseconds."""
    return Moment(value / 1000, _FINEST_SIGMA_S)


def parse_stamp_ms(value: Any, field: str) -> int:
    """Read a time of day as Unix milliseconds just as it is written, for ordering only.

    Raises:
        DecodeError: it is no ISO 8601 time with zone.
    """
    if not isinstance(value, str):
        raise _not_a_time(value, field)
    whole_s, fraction = _iso(value, field)
    return whole_s * 1000 + int(fraction[:3].ljust(3, "0"))


def parse_clock_ms(value: Any, field: str) -> int:
    """Read a game clock written as an ISO 8601 duration, such as `PT11M11.00S`, in milliseconds.

    Raises:
        DecodeError: it is none.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        raise DecodeError(f"{field}: a duration such as 'PT11M11.00S' is expected, not {value!a:.40}")
    hours, minutes, seconds, fraction = (group or "0" for group in match.groups())
    whole_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole_s * 1000 + int(fraction[:3].ljust(3, "0"))


def _iso(text: str, field: str) -> tuple[int, str]:
    """Return whole Unix seconds and the digits of the fraction."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise _not_a_time(text, field)
    day, hour, minute, second, fraction, zone = match.groups()
    # A leap second (RFC 3339, 5.7) has no number of its own in Unix time: it is the next minute's first.
    leap = 1 if second == "60" else 0
    zone = "+00:00" if zone in "Zz" else zone
    try:
        at = datetime.fromisoformat(f"{day}T{hour}:{minute}:{int(second) - leap:02}{zone}")
        whole_s = int((at + timedelta(seconds=leap)).timestamp())
    except (ValueError, OverflowError):
        raise _not_a_time(text, field) from None
    return whole_s, fraction or ""


def _not_a_time(value: Any, field: str) -> DecodeError:
    return DecodeError(
        f"{field}: a time such as '2026-03-27T19:30:00.250Z', or Unix milliseconds, is expected, not {value!a:.40}"
    )
