"""Dates as playlists write them: ISO 8601, RFC 8216, 4.3.2.6."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from kernel.errors import PlaylistError

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?[ ]?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)

DAY_S = 86_400
END_OF_9999 = 253_402_300_800
"""A date beyond it cannot be written any more (four digits), one before 1970 is of a clock that was never set."""


def parse_date(text: str) -> float:
    """Read an ISO 8601 date as EXT-X-PROGRAM-DATE-TIME has it, to the microsecond, as Unix seconds.

    Without a zone it is UTC (RFC 8216, 4.3.2.6). Second 60 is the first of the next minute, as Unix time has it, and
    24:00:00 the next day's midnight (ISO 8601:2004, 4.2.3). Digits beyond the microsecond are cut off.

    Raises:
        PlaylistError: it is no date, or none from 1970 to 9999.
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        raise PlaylistError(f"{text[:40]!r} is no ISO 8601 date")
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    microseconds = int((match[7] or "")[:6].ljust(6, "0"))
    midnight = (hour, minute, second, microseconds) == (24, 0, 0, 0)
    zone = UTC
    try:
        if match[9]:
            if int(match[11] or 0) > 59:
                raise ValueError("a zone's minutes must be in 0..59")
            offset = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
            zone = timezone(-offset if match[9] == "-" else offset)
        whole = datetime(year, month, day, 0 if midnight else hour, minute, min(second, 59), tzinfo=zone)
    except ValueError as error:
        raise PlaylistError(f"{text[:40]!r} is no date: {error}") from None
    if second > 60:
        raise PlaylistError(f"{text[:40]!r} is no date: second must be in 0..60")
    unix_s = int(whole.timestamp()) + (second == 60) + DAY_S * midnight
    if not 0 <= unix_s < END_OF_9999:
        raise PlaylistError(f"{text[:40]!r} is no date of a recording: 1970 to 9999 are taken")
    return unix_s + microseconds / 1_000_000


def format_date(unix_s: float) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds, rounded to the nearest: `2026-03-27T19:30:00.000Z`."""
    seconds, ms = divmod(round(unix_s * 1000), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
