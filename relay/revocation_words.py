"""What operators say and are told of revocations: request bodies, answers, and the queries for pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel.dates import parse_date
from kernel.errors import DecodeError, PlaylistError
from kernel.revocation import Revocation, Subject, SubjectKind
from kernel.showings import EVENT_ID

MAX_REASON_CHARS = 500
"""A sentence or two, and still within the 4 KiB of a request."""

MAX_PAGE = 1_000
DEFAULT_PAGE = 100
_FIELDS = frozenset({"kind", "value", "event_id", "reason", "expires"})
_MINUTE_S = 60
_MS = 1000
# Beyond it a date cannot be written with four digits for the year.
_MAX_UNIX_S = 253_402_300_740


@dataclass(frozen=True, slots=True)
class Wanted:
    """A revocation as it was asked for; `expires` is a whole minute in Unix seconds, or None."""

    subject: Subject
    reason: str
    expires: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Which revocations are wanted: at most `limit` of those behind number `after`."""

    after: int
    limit: int


def wanted_of(body: object, now: float) -> Wanted:
    """Read the body of a POST. `now` is Unix time in seconds.

    Raises:
        DecodeError: a field is missing, unknown or wrong; the text names it and the remedy.
    """
    if not isinstance(body, dict):
        raise DecodeError("the body is an object with `kind` and `value`")
    if unknown := sorted(body.keys() - _FIELDS):
        raise DecodeError(f"{unknown[0]!r:.64} is no field; there are {', '.join(sorted(_FIELDS))}")
    return Wanted(_subject(body), _reason(body.get("reason", "")), _expires(body.get("expires"), now))


def _subject(body: Mapping[str, Any]) -> Subject:
    kind, value, event_id = body.get("kind"), body.get("value"), body.get("event_id")
    if not isinstance(kind, str) or kind not in set(SubjectKind):
        raise DecodeError(f"kind: use one of {', '.join(SubjectKind)}")
    if not isinstance(value, str):
        raise DecodeError("value: a text is expected")
    for name, text in (("value", value if kind == SubjectKind.EVENT else None), ("event_id", event_id)):
        if text is not None and not (isinstance(text, str) and EVENT_ID.fullmatch(text)):
            raise DecodeError(f"{name}: an event id has 1 to 64 letters, digits, '_' or '-'")
    try:
        return Subject(SubjectKind(kind), value, event_id)
    except ValueError as error:
        raise DecodeError(f"value: {error}") from None


def _reason(reason: object) -> str:
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARS:
        raise DecodeError(f"reason: a text of at most {MAX_REASON_CHARS} characters is expected")
    return reason


def _expires(expires: object, now: float) -> int | None:
    if expires is None:
        return None
    if isinstance(expires, str):
        if not expires.rstrip().endswith(("Z", "z")) and not any(sign in expires[10:] for sign in "+-"):
            raise DecodeError("expires: a date without a zone could be any; end it with Z")
        try:
            seconds = parse_date(expires)
        except PlaylistError as error:
            raise DecodeError(f"expires: {error}") from None
    elif type(expires) is int:
        seconds = expires / _MS
    else:
        raise DecodeError("expires: Unix time in ms, or an ISO 8601 date with a zone, is expected")
    if not now < seconds < _MAX_UNIX_S:
        raise DecodeError("expires: it must lie ahead, in Unix ms or as an ISO 8601 date, before the year 9999 ends")
    # Up to a whole minute: a million of them then share a few numbers, and nothing ends too early.
    return -int(-seconds // _MINUTE_S) * _MINUTE_S


def page_of(query: Mapping[str, str]) -> Page:
    """Read the query of a GET.

    Raises:
        DecodeError: a number is none, or out of range.
    """
    return Page(_number(query, "after", 0, 0, 1 << 62), _number(query, "limit", DEFAULT_PAGE, 1, MAX_PAGE))


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    # An integer of thousands of digits would raise.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise DecodeError(f"{name}: a number from {least} to {most} is expected")
    return int(text)


def map_of(revocation: Revocation) -> dict[str, Any]:
    """Return a revocation as operators are told of it; times are Unix ms, as `expires` may be given."""
    subject = revocation.subject
    told: dict[str, Any] = {"id": revocation.id, "kind": subject.kind.value, "value": subject.value}
    if subject.event_id is not None:
        told["event_id"] = subject.event_id
    expires = revocation.expires
    return told | {
        "reason": revocation.reason,
        "made": round(revocation.made * _MS),
        "expires": None if expires is None else expires * _MS,
        "by": revocation.by,
    }
