"""What operators say and are told of showings: routes, bodies, answers, and the record on the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from kernel.bus import Topic
from kernel.errors import DecodeError, SettingsError
from kernel.io.origin_http import without_secrets
from kernel.showings import EVENT_ID, SOURCE_NAME, Showing
from kernel.strict_json import Limits
from lockstep.settings import ShowingOptions, SourceSettings
from relay.api import Answer, Body, Operation, Told, faults_of
from relay.operators import OperatorScope
from relay.paging import PAGE_QUERY
from relay.preconditions import CONDITION_HEADERS

PATH = "/api/v1/showings"

SHOWINGS: Topic[Mapping[str, Any]] = Topic("showings")
"""The showings that operators have made, one record for each, as `MadeShowing.to_record` writes it."""

SHOWING_LIMITS = Limits(max_bytes=16 << 10, max_depth=8, max_nodes=1_000)
"""Sixteen sources and a hundred browser origins are 8 KiB."""

MAX_SOURCES = 16
MAX_ORIGINS = 100
_ID = f"^{EVENT_ID.pattern}$"
_MS = 1000

_Strict = ConfigDict(extra="forbid", strict=True)
_SourceName = Annotated[str, StringConstraints(pattern=f"^{SOURCE_NAME.pattern}$")]
_BrowserOrigin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,255}$")]
_Origin = Field(min_length=1, max_length=2_048, description="The http(s) URL of a playlist, or a folder or file.")


class SourceBody(SourceSettings):
    """One vendor's feed."""

    model_config = _Strict


class ShowingFields(ShowingOptions):
    """What a showing is, but for its name and origin."""

    model_config = _Strict

    # Narrower, and never written to by who knows it as the other.
    sources: dict[_SourceName, SourceBody] = Field(  # type: ignore[assignment]
        default_factory=dict, max_length=MAX_SOURCES, description="Vendor feeds by source name."
    )
    allowed_origins: list[_BrowserOrigin] = Field(
        default_factory=list,
        max_length=MAX_ORIGINS,
        description="Browser origins that may read the video and open the socket; empty: any.",
    )


class ShowingBody(ShowingFields):
    """A showing that is to be made."""

    event_id: str = Field(pattern=_ID, description="What it is called, on every wire.")
    origin: str = _Origin


class ShowingChange(ShowingFields):
    """What a showing is to be: what is left out takes its default; the origin stays what it is, or is new."""

    origin: str | None = Field(
        default=None, min_length=1, max_length=2_048, description="Needed where the showing is new; it cannot change."
    )


class ShowingTold(Told):
    """A showing; times are Unix ms."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    event_id: str
    source_of: Literal["settings", "api"] = Field(
        validation_alias="from", serialization_alias="from", description="`settings`: it cannot be changed here."
    )
    origin: str = Field(description="Without user, password and query.")
    sources: dict[str, SourceSettings]
    hold_s: float | Literal["auto"]
    max_hold_s: float
    due_sigma: float
    program_delay_ms: int | None
    allowed_origins: list[str]
    suspend_scope: Literal["event", "market"]
    price_invalidation: bool
    place_policy: str | None
    version: int | None = Field(description="Counts its changes; null where it comes from the settings.")
    made: int | None
    changed: int | None
    by: str | None = Field(description="The operator who changed it last.")
    secrets: dict[str, str] | None = Field(
        default=None, description="The webhook secrets of sources that are new with this request. They are told once."
    )


class ShowingsTold(Told):
    """A page of them: those of the settings first."""

    showings: list[ShowingTold]
    next_after: int | None = Field(description="`after` of the next page; null on the last one.")


_NAMED: Mapping[str, Mapping[str, Any]] = {
    "event_id": {"description": "What it is called.", "schema": {"type": "string", "pattern": _ID}}
}
_TAGGED = {"ETag": "The version, in quotes; none where it comes from the settings."}
_CONFLICT = "(`reason` from_settings, source_taken, origin_fixed)"

MAKE_SHOWING = Operation(
    method="POST",
    path=PATH,
    name="makeShowing",
    summary="Make a showing: it is ingested, relayed and can be subscribed to at once",
    tag="showings",
    scope=OperatorScope.SHOWING,
    body=ShowingBody,
    limits=SHOWING_LIMITS,
    idempotent=True,
    answers={
        201: Answer("It is made.", ShowingTold, {**_TAGGED, "Location": "Where it is."}),
        409: Answer("There is one of that name (`reason` exists), or another has the source (source_taken)."),
        507: Answer("There are as many as may be."),
    },
)
LIST_SHOWINGS = Operation(
    method="GET",
    path=PATH,
    name="listShowings",
    summary="List the showings",
    tag="showings",
    scope=OperatorScope.READ,
    query=PAGE_QUERY,
    answers={200: Answer("A page of them.", ShowingsTold)},
)
GET_SHOWING = Operation(
    method="GET",
    path=PATH + "/{event_id}",
    name="getShowing",
    summary="Return a showing",
    tag="showings",
    scope=OperatorScope.READ,
    parameters=_NAMED,
    answers={200: Answer("The showing.", ShowingTold, _TAGGED), 404: Answer("There is no such showing.")},
)
PUT_SHOWING = Operation(
    method="PUT",
    path=PATH + "/{event_id}",
    name="putShowing",
    summary="Change a showing while it runs, or make it",
    tag="showings",
    scope=OperatorScope.SHOWING,
    parameters=_NAMED,
    headers=CONDITION_HEADERS,
    body=ShowingChange,
    limits=SHOWING_LIMITS,
    idempotent=True,
    answers={
        200: Answer("It is so now; the same as before is no new version.", ShowingTold, _TAGGED),
        201: Answer("It is made.", ShowingTold, {**_TAGGED, "Location": "Where it is."}),
        409: Answer(f"That cannot change {_CONFLICT}."),
        412: Answer("Its version is another (`reason` version_changed)."),
        507: Answer("There are as many as may be."),
    },
)
DELETE_SHOWING = Operation(
    method="DELETE",
    path=PATH + "/{event_id}",
    name="deleteShowing",
    summary="End a showing",
    tag="showings",
    scope=OperatorScope.SHOWING,
    parameters=_NAMED,
    headers=CONDITION_HEADERS,
    answers={
        204: Answer("It has ended."),
        404: Answer("There is no such showing."),
        409: Answer("It comes from the settings (`reason` from_settings)."),
        412: Answer("Its version is another (`reason` version_changed)."),
    },
)
OPERATIONS = (MAKE_SHOWING, LIST_SHOWINGS, GET_SHOWING, PUT_SHOWING, DELETE_SHOWING)


@dataclass(frozen=True, slots=True)
class MadeShowing:
    """A showing that was made by API, as it is on disk.

    Args:
        n: in which order its name came up.
        event_id: what it is called.
        version: counts its changes, over deletions too.
        origin: the reference of its playlist, resolved.
        fields: what it is; None: it was deleted.
        made: when, in Unix seconds.
        changed: when last, likewise.
        by: who changed it last.
    """

    n: int
    event_id: str
    version: int
    origin: str
    fields: ShowingFields | None
    made: float
    changed: float
    by: str

    def to_record(self) -> dict[str, Any]:
        """Return what the bus is told of it."""
        showing = None if self.fields is None else self.fields.model_dump(mode="json")
        return {"event_id": self.event_id, "version": self.version, "origin": self.origin, "showing": showing}

    def told(self, secrets: Mapping[str, str] | None = None) -> ShowingTold:
        """Return what operators are told of it."""
        assert self.fields is not None
        more: dict[str, Any] = {} if not secrets else {"secrets": dict(secrets)}
        return ShowingTold(
            event_id=self.event_id,
            source_of="api",
            origin=without_secrets(self.origin),
            **_options(self.fields),
            version=self.version,
            made=round(self.made * _MS),
            changed=round(self.changed * _MS),
            by=self.by,
            **more,
        )


def set_told(event_id: str, origin: str, options: ShowingOptions) -> ShowingTold:
    """Return what operators are told of a showing of the settings."""
    return ShowingTold(
        event_id=event_id,
        source_of="settings",
        origin=without_secrets(origin),
        **_options(options),
        version=None,
        made=None,
        changed=None,
        by=None,
    )


def showing_of(record: Mapping[str, Any]) -> tuple[str, Showing | None]:
    """Return which showing a record on the bus speaks of, and what it is; None: it has ended.

    Raises:
        DecodeError: it was written by another version, or is damaged.
    """
    try:
        event_id, origin, told = record["event_id"], record["origin"], record["showing"]
        if not EVENT_ID.fullmatch(event_id) or not isinstance(origin, str):
            raise DecodeError("showing: no event id, or no origin")
        if told is None:
            return event_id, None
        return event_id, ShowingFields.model_validate(told).to_showing(event_id, origin)
    except ValidationError as error:
        raise DecodeError(f"showing: {faults_of(error, ShowingFields)}") from None
    except (KeyError, TypeError) as error:
        raise DecodeError(f"showing: {error!r}") from None
    except SettingsError as error:
        raise DecodeError(f"showing: {error}") from None


def fields_of(body: Body | ShowingFields) -> ShowingFields:
    """Return what a body says of a showing, but for its name and origin."""
    return ShowingFields.model_validate(body.model_dump(include=set(ShowingFields.model_fields)))


def _options(options: ShowingOptions) -> dict[str, Any]:
    # As JSON: what is told has models of its own.
    return {name: getattr(options, name) for name in ShowingOptions.model_fields}
