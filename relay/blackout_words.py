"""What operators say and are told of blackouts: routes, bodies, answers."""

from __future__ import annotations

from typing import Any

from pydantic import Field, RootModel

from kernel.blackouts import BlackoutRecord
from kernel.dates import format_date, parse_date
from kernel.errors import DecodeError
from kernel.showings import EVENT_ID
from kernel.strict_json import decode, decode_known, encode
from relay.api import Answer, Operation, Told
from relay.blackout_text import LIMITS, BlackoutTerms, read_blackout
from relay.operators import OperatorScope
from relay.paging import PAGE_QUERY

PATH = "/api/v1/ppv/blackout"

MAX_BLACKOUTS = 1_000
"""Of all showings together; each process that admits keeps them compiled."""

FADE_S = 21_600.0
"""For how long a redirect that was ended goes on standing in its viewers' lists, in seconds: no window is longer."""

_MS = 1000
_ID = r"^[A-Za-z0-9_-]{1,64}$"


class BlackoutBody(RootModel[dict[str, Any]]):
    """A blackout; docs/blackout.md says what stands in it."""


class BlackoutTold(Told):
    """A blackout; `made` is Unix ms."""

    blackout_id: str
    event_id: str
    made: int
    by: str = Field(description="The operator who made it.")
    blackout: dict[str, Any] = Field(description="As it was made.")


class BlackoutsTold(Told):
    """A page of them."""

    blackouts: list[BlackoutTold]
    next_after: int | None = Field(description="`after` of the next page; null on the last one.")


_NAMED = {"blackout_id": {"description": "Its id.", "schema": {"type": "string", "pattern": _ID}}}
_ABSENT = Answer("There is no such blackout.")
MAKE_BLACKOUT = Operation(
    method="POST",
    path=PATH,
    name="makeBlackout",
    summary="Black a showing out for some, at once or from a time on",
    tag="blackouts",
    scope=OperatorScope.BLACKOUT,
    body=BlackoutBody,
    raw=True,
    limits=LIMITS,
    idempotent=True,
    answers={
        201: Answer("It is made, and in force wherever it applies.", BlackoutTold),
        409: Answer("A showing in it is not there, or does not fit (`reason` showing_unknown, redirect_unfit)."),
        507: Answer("There are as many as may be."),
    },
)
LIST_BLACKOUTS = Operation(
    method="GET",
    path=PATH,
    name="listBlackouts",
    summary="List the blackouts, in the order in which they were made",
    tag="blackouts",
    scope=OperatorScope.READ,
    query={
        **PAGE_QUERY,
        "event_id": {
            "description": "Only those of this showing.",
            "schema": {"type": "string", "pattern": f"^{EVENT_ID.pattern}$"},
        },
    },
    answers={200: Answer("A page of them.", BlackoutsTold)},
)
GET_BLACKOUT = Operation(
    method="GET",
    path=PATH + "/{blackout_id}",
    name="getBlackout",
    summary="Return a blackout",
    tag="blackouts",
    scope=OperatorScope.READ,
    parameters=_NAMED,
    answers={200: Answer("The blackout.", BlackoutTold), 404: _ABSENT},
)
END_BLACKOUT = Operation(
    method="DELETE",
    path=PATH + "/{blackout_id}",
    name="endBlackout",
    summary="End a blackout, at once; a redirect that has begun with a splice back",
    tag="blackouts",
    scope=OperatorScope.BLACKOUT,
    parameters=_NAMED,
    query={
        "forget": {
            "description": "Whether also a redirect that has begun is gone at once, without a splice back.",
            "schema": {"type": "string", "enum": ["true", "false"]},
        },
    },
    answers={204: Answer("It is ended, everywhere."), 404: _ABSENT},
)
OPERATIONS = (MAKE_BLACKOUT, LIST_BLACKOUTS, GET_BLACKOUT, END_BLACKOUT)


def blackout_of(body: bytes, now: float) -> tuple[str, BlackoutTerms]:
    """Return the canonical text of a blackout, and what it says. `now` is Unix time in seconds.

    Raises:
        MessageTooLarge: it exceeds `LIMITS`.
        DecodeError: it is none, or has ended already.
    """
    said = decode(body, LIMITS)
    if not isinstance(said, dict):
        raise DecodeError("the body is an object, the blackout")
    terms = read_blackout(said)
    if terms.window.end is not None and (terms.window.start_media is not None or terms.window.end_media is not None):
        # Only what we write of one that is ended has both.
        raise DecodeError("end: times of the picture or media times, not both")
    if terms.window.end is not None and terms.window.end <= now:
        raise DecodeError("end: it lies in the past")
    return encode(_sorted(said)), terms


def event_of(query: Any) -> str | None:
    """Return which showing's blackouts a list is to have, None for all.

    Raises:
        DecodeError: it is no event id.
    """
    event_id = query.get("event_id")
    if event_id is not None and not EVENT_ID.fullmatch(event_id):
        raise DecodeError("event_id: 1 to 64 letters, digits, '_' or '-' are expected")
    return None if event_id is None else str(event_id)


def forgets(query: Any) -> bool:
    """Return whether a blackout is to be gone without a splice back.

    Raises:
        DecodeError: neither true nor false is said.
    """
    said = query.get("forget", "false")
    if said not in ("true", "false"):
        raise DecodeError("forget: true or false is expected")
    return bool(said == "true")


def ended_of(text: str, now: float) -> tuple[str, float] | None:
    """Return the text of a blackout that is ended with a splice back, and when it is over, in Unix seconds.

    None if nothing of it goes on: it leads nowhere, has not begun, or is not understood. Whether one by media time has
    begun is not known here; if it has not, nothing is dark by what is returned.

    Args:
        text: the blackout's, canonical.
        now: when it is ended, in Unix seconds.
    """
    end = format_date(now)
    try:
        terms = read_blackout(text)
        start, over = terms.window.start, terms.window.end
        if not terms.redirects or (start is not None and start >= parse_date(end)):
            return None
        if over is not None and over <= now:
            return text, over
        ended = encode(_sorted({**decode_known(text), "end": end}))
        # Longer by a date it may be too long. What is not understood would be dark for everybody.
        read_blackout(ended)
    except DecodeError:
        return None
    return ended, now


def told_of(record: BlackoutRecord) -> BlackoutTold:
    """Return a blackout that is not deleted as operators are told of it."""
    return BlackoutTold(
        blackout_id=record.blackout_id,
        event_id=record.event_id,
        made=round(record.made * _MS),
        by=record.by,
        blackout=decode_known(record.text or "{}"),
    )


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
