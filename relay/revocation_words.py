"""What operators say and are told of revocations: the routes, their bodies and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from kernel.dates import parse_date
from kernel.errors import DecodeError, PlaylistError
from kernel.revocation import MAX_VALUE_CHARS, Revocation, Subject, SubjectKind
from kernel.showings import EVENT_ID
from relay.api import Answer, Body, Operation, Told
from relay.operators import OperatorScope
from relay.paging import PAGE_QUERY

PATH = "/api/v1/revocations"

MAX_REASON_CHARS = 500
"""A sentence or two, and still within the 4 KiB of a request."""

_MINUTE_S = 60
_MS = 1000
# Beyond it a date cannot be written with four digits for the year.
_MAX_UNIX_S = 253_402_300_740
_ID = r"^[A-Za-z0-9_-]{1,64}$"

EventId = Annotated[str, Field(pattern=f"^{EVENT_ID.pattern}$")]


class RevocationBody(Body):
    """What is to be revoked."""

    kind: SubjectKind = Field(strict=False, description="What `value` is.")
    value: str = Field(
        min_length=1,
        max_length=MAX_VALUE_CHARS,
        description="`jti` of a token, `sid` of a session, `sub` of an account, an event id, `kid` of a signing key.",
    )
    event_id: EventId | None = Field(default=None, description="Narrows an account to one event.")
    reason: str = Field(default="", max_length=MAX_REASON_CHARS, description="For the record; viewers are not told.")
    expires: int | str | None = Field(
        default=None, description="When it ends by itself: Unix ms or ISO 8601 with a zone; rounded up to a minute."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Hold what belongs together to what it may be."""
        if self.kind is SubjectKind.EVENT and not EVENT_ID.fullmatch(self.value):
            raise ValueError("value: an event id has 1 to 64 letters, digits, '_' or '-'")
        Subject(self.kind, self.value, self.event_id)
        return self


class RevocationTold(Told):
    """A revocation in force; times are Unix ms."""

    id: str
    kind: SubjectKind
    value: str
    event_id: str | None = None
    reason: str
    made: int
    expires: int | None
    by: str = Field(description="The operator who made it.")


class RevocationsTold(Told):
    """A page of them."""

    revocations: list[RevocationTold]
    next_after: int | None = Field(description="`after` of the next page; null on the last one.")


REVOKE = Operation(
    method="POST",
    path=PATH,
    name="revoke",
    summary="Revoke a token, a session, an account, an event or a signing key",
    tag="revocations",
    scope=OperatorScope.REVOKE,
    body=RevocationBody,
    idempotent=True,
    answers={
        200: Answer("It is revoked already; reason and end are now those of this request.", RevocationTold),
        201: Answer("It is revoked.", RevocationTold),
        507: Answer("As many are in force as may be."),
    },
)
LIST_REVOCATIONS = Operation(
    method="GET",
    path=PATH,
    name="listRevocations",
    summary="List what is revoked, in the order in which it was",
    tag="revocations",
    scope=OperatorScope.READ,
    query=PAGE_QUERY,
    answers={200: Answer("A page of the revocations in force.", RevocationsTold)},
)
UNDO_REVOCATION = Operation(
    method="DELETE",
    path=PATH + "/{id}",
    name="undoRevocation",
    summary="Undo a revocation",
    tag="revocations",
    scope=OperatorScope.REVOKE,
    parameters={"id": {"description": "Its id.", "schema": {"type": "string", "pattern": _ID}}},
    answers={204: Answer("It is undone."), 404: Answer("None in force has that id.")},
)


OPERATIONS = (REVOKE, LIST_REVOCATIONS, UNDO_REVOCATION)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A revocation as it was asked for; `expires` is a whole minute in Unix seconds, or None."""

    subject: Subject
    reason: str
    expires: int | None


def wanted_of(body: RevocationBody, now: float) -> Wanted:
    """Return what a body asks for. `now` is Unix time in seconds.

    Raises:
        DecodeError: it would end at no time, or has ended.
    """
    return Wanted(Subject(body.kind, body.value, body.event_id), body.reason, _expires(body.expires, now))


def _expires(expires: int | str | None, now: float) -> int | None:
    if expires is None:
        return None
    if isinstance(expires, str):
        if not expires.rstrip().endswith(("Z", "z")) and not any(sign in expires[10:] for sign in "+-"):
            raise DecodeError("expires: a date without a zone could be any; end it with Z")
        try:
            seconds = parse_date(expires)
        except PlaylistError as error:
            raise DecodeError(f"expires: {error}") from None
    else:
        seconds = expires / _MS
    if not now < seconds < _MAX_UNIX_S:
        raise DecodeError("expires: it must lie ahead, in Unix ms or as an ISO 8601 date, before the year 9999 ends")
    # Up to a whole minute: a million of them then share a few numbers, and nothing ends too early.
    return -int(-seconds // _MINUTE_S) * _MINUTE_S


def told_of(revocation: Revocation) -> RevocationTold:
    """Return a revocation as operators are told of it; times are Unix ms, as `expires` may be given."""
    subject = revocation.subject
    narrowed: dict[str, Any] = {} if subject.event_id is None else {"event_id": subject.event_id}
    return RevocationTold(
        id=revocation.id,
        kind=subject.kind,
        value=subject.value,
        reason=revocation.reason,
        made=round(revocation.made * _MS),
        expires=None if revocation.expires is None else revocation.expires * _MS,
        by=revocation.by,
        **narrowed,
    )
