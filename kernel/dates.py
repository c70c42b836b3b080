"""Dates as playlists write them: ISO 8601, RFC 8216, 4.3.2.6."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from kernel.errors import PlaylistError

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?[ ]?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)


def parse_date(text: str) -> float:
    """Read an ISO 8601 date as EXT-X-PROGRAM-DATE-TIME has it, to the microsecond, as Unix seconds.

    Without a zone it is UTC (RFC 8216, 4.3.2.6). Second 60 is the first of the next minute, as Unix time has it.

    Raises:
        PlaylistError: it is no date.
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        raise PlaylistError(f"{text[:40]!r} is no ISO 8601 date")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    zone = UTC
    try:
        if match[9]:
            offset = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
            zone = timezone(-offset if match[9] == "-" else offset)
        whole = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
    except ValueError as error:
        raise PlaylistError(f"{text[:40]!r} is no date: {error}") from None
    if second > 60:
        raise PlaylistError(f"{text[:40]!r} is no date: second must be in 0..60")
    microseconds = int((match[7] or "")[:6].ljust(6, "0"))
    return (int(whole.timestamp()) + (second == 60)) + microseconds / 1_000_000


def format_date(unix_s: float) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds, rounded to the nearest: `2026-03-27T19:30:00.000Z`."""
    seconds, ms = divmod(round(unix_s * 1000), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
