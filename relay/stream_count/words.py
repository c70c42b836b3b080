"""What operators say and are told of the stream count, and players of their streams: routes, bodies, answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from kernel.strict_json import Limits, decode_known
from relay.api import Answer, Operation, Told
from relay.operators import OperatorScope
from relay.stream_count.player_event import PATH as EVENT_PATH
from relay.stream_count.rules import RULE_LIMITS, StreamCountBody

PATH = "/api/v1/ppv/stream-count"

EVENT_LIMITS = Limits(max_bytes=16 << 10, max_depth=8, max_nodes=500)
"""Of a player event: `logData` may have 4 KiB, and players add what they like."""


class StreamCountTold(Told):
    """The rules; `made` is Unix ms."""

    stream_count: dict[str, Any] = Field(description="As they were made.")
    made: int
    by: str = Field(description="The operator who made them.")


class PlayerClient(BaseModel):
    """What a player says of itself; it may say more."""

    model_config = ConfigDict(extra="allow")

    viewingSession: str = Field(min_length=1, description="As in the template.")  # noqa: N815 - the players' name
    playerEvent: str = Field(  # noqa: N815
        min_length=1, max_length=64, description="What happened: play, heartbeat, pause, stop."
    )


class PlayerEventBody(BaseModel):
    """The template that the play answer held, filled in; a player may add what it likes."""

    model_config = ConfigDict(extra="allow")

    client: PlayerClient
    logData: str = Field(min_length=1, max_length=4096, description="As in the template.")  # noqa: N815


class KickReason(Told):
    """Why a session had to go."""

    errorCode: str = Field(description="GLOBAL_ERROR, CATEGORY_ERROR, ASSET_ERROR or USER_ERROR.")  # noqa: N815
    errorMessage: str = Field(description="What a player shows.")  # noqa: N815


class KickedClient(Told):
    """Which one it was."""

    viewingSession: str  # noqa: N815


class KickEvent(Told):
    """A session of the account had to go."""

    eventName: str  # noqa: N815
    originator: str
    tenant: str
    originatorId: str  # noqa: N815
    versions: list[str]
    timestamp: str
    guid: str
    viewingSessionIdentifier: str  # noqa: N815
    viewingSession: str  # noqa: N815
    client: KickedClient
    kickReason: KickReason  # noqa: N815


class KickEvents(RootModel[dict[str, KickEvent]]):
    """The kicks of the account within the last minute, by the session that was kicked."""


PUT_RULES = Operation(
    method="PUT",
    path=PATH,
    name="putStreamCount",
    summary="Make the rules of the stream count, in the place of those before",
    tag="sessions",
    scope=OperatorScope.SESSION,
    body=StreamCountBody,
    limits=RULE_LIMITS,
    answers={200: Answer("They count, everywhere.", StreamCountTold)},
)
GET_RULES = Operation(
    method="GET",
    path=PATH,
    name="getStreamCount",
    summary="Return the rules of the stream count",
    tag="sessions",
    scope=OperatorScope.READ,
    answers={200: Answer("The rules.", StreamCountTold), 404: Answer("There are none.")},
)
DELETE_RULES = Operation(
    method="DELETE",
    path=PATH,
    name="deleteStreamCount",
    summary="Delete the rules of the stream count: only what tokens say of their accounts counts then",
    tag="sessions",
    scope=OperatorScope.SESSION,
    answers={204: Answer("They are deleted, everywhere."), 404: Answer("There are none.")},
)
PLAYER_EVENT = Operation(
    method="POST",
    path=EVENT_PATH,
    name="postPlayerEvent",
    summary="Say what happens in a player, by the template that its session was given",
    tag="playback",
    body=PlayerEventBody,
    limits=EVENT_LIMITS,
    answers={
        200: Answer("Go on.", KickEvents),
        400: Answer("It is no player event; `detail` says what is missing."),
        401: Answer("`logData` is none of ours, is another session's, or does not admit any more."),
        403: Answer("The session was kicked: stop.", KickEvents),
        413: Answer("The body is too large."),
        503: Answer("It cannot be known now who watches: send it again after Retry-After."),
    },
)
PREFLIGHT = Operation(
    method="OPTIONS",
    path=EVENT_PATH,
    name="mayPostPlayerEvent",
    summary="Tell a browser whether a page may post (CORS)",
    tag="playback",
    answers={204: Answer("The fields say what is allowed.")},
)
OPERATIONS = (PUT_RULES, GET_RULES, DELETE_RULES, PLAYER_EVENT, PREFLIGHT)


def told_of(text: str, made: float, by: str) -> StreamCountTold:
    """Return rules as operators are told of them. `made` is Unix time in seconds."""
    return StreamCountTold(**decode_known(text), made=round(made * 1_000), by=by)
