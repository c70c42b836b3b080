"""What viewers' applications say and are told of a session that they begin, keep alive, renew and end: the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from kernel.showings import EVENT_ID
from kernel.strict_json import Limits
from kernel.tokens import MAX_TOKEN_CHARS, Reason
from relay.api import Answer, Body, Operation, Told
from relay.sessions.stop_codes import MAX_CODE_CHARS
from relay.viewer_words import PREFLIGHT, SECURITY, FixBody

SESSIONS_PATH = "/api/v1/playback/sessions"
STOP_PATH = SESSIONS_PATH + "/stop"
HEARTBEAT_PATH = "/api/playback/heartbeat"
RELEASE_PATH = "/api/playback/release"
REFRESH_PATH = "/api/playback/refresh"
STATUS_PATH = "/api/events/{event_id}/status"
SOCKET_PATH = "/api/v1/wagering/subscribe"

HEARTBEAT_S = 30
"""How often whoever plays nothing says that it is there."""

HEARTBEAT_DEAD_S = 60
"""After how long without a word, or a request for media, a session that was begun here is gone."""

BODY_LIMITS = Limits(max_bytes=8 << 10, max_depth=4, max_nodes=64)
"""A token of 4 KiB, and what a device says of itself."""

RELEASED, STOPPED = "released", "stopped"
"""What a session is told that its own viewer, or another one of the account, has ended."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_Token = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARS)]


class DeviceBody(Body):
    """What a device says of itself; it is kept as a hash."""

    browser: _Text | None = None
    os: _Text | None = None
    screen: _Text | None = None
    webgl_hash: _Text | None = None
    model: _Text | None = None

    def said(self) -> dict[str, str] | None:
        """Return what was said, None if nothing was."""
        return {name: text for name, text in self if text is not None} or None


class BeginBody(Body):
    """An entitlement's token, if it does not come as the bearer; and what is known of the device."""

    token: _Token | None = None
    device: DeviceBody | None = None
    gps: FixBody | None = None


class TokenBody(Body):
    """A session's token, if it does not come as the bearer; and what the device says of itself."""

    token: _Token | None = None
    device: DeviceBody | None = None


class StopBody(Body):
    """Which session is to end."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CODE_CHARS)]


class WarningTold(Told):
    """The session has to go."""

    code: str = Field(description="Why.")
    ends: int = Field(description="When it is cut, Unix ms.")
    left_s: int = Field(ge=0, description="The same, from now.")


class TokenTold(Told):
    """A session, and where it is played; paths are of this server. Times are Unix ms."""

    session_id: str
    event_id: str
    token: str
    playlist_url: str = Field(description="With the token in it: a secret.")
    expires_at: int = Field(description="When the token ends: renew it before.")
    session_ends: int = Field(description="When no token of it is renewed any more.")
    warning: WarningTold | None = None


class BegunTold(TokenTold):
    """A session that has begun."""

    refresh_url: str
    heartbeat_url: str
    release_url: str
    wagering_url: str = Field(description="The WebSocket; the token is its first message's.")
    heartbeat_s: int = Field(description="How often to say that it is there while it plays nothing.")
    player_event: dict[str, Any] | None = Field(
        default=None, description="What the player is to post while it plays, where streams are counted by that."
    )


class ConflictTold(Told):
    """A session that takes up the room; times are Unix ms."""

    session_id: str
    event_id: str
    since: int
    last_segment_at: int
    device: str | None = None
    place: str | None = None
    stop_code: str | None = Field(default=None, description="Ends it, for two minutes: `POST .../sessions/stop`.")


class NoRoomTold(Told):
    """There is no room (RFC 9457), and nobody goes of itself."""

    type: Literal["about:blank"] = "about:blank"
    title: Literal["Conflict"] = "Conflict"
    status: Literal[409] = 409
    reason: Reason
    detail: str
    code: str = Field(description="Which limit: session_limit, ip_sharing, ...")
    inUse: bool = Field(description="Whether it is for one session at a time, which there is.")  # noqa: N815 - as players know it
    conflicts: list[ConflictTold]
    retry_after_s: int | None = Field(default=None, description="When somebody will be gone who is leaving anyway.")


class OkTold(Told):
    """It is there."""

    ok: Literal[True] = True
    warning: WarningTold | None = None


class StoppedTold(Told):
    """It has ended."""

    ok: Literal[True] = True
    session_id: str


class StatusTold(Told):
    """How a showing is for who asks."""

    event_id: str
    status: Literal["upcoming", "live", "ended"]
    starts: int = Field(description="Of the token's window, Unix ms.")
    ends: int


_REFUSED = {
    401: Answer("There is no token, or one that is not ours."),
    403: Answer("It does not admit; `reason` says why."),
}
_READ = {
    413: Answer("The body is too large."),
    422: Answer("It is not understood; `detail` names the field and what is expected."),
}
_STALE = {503: Answer("It is not known at the moment who watches, or what was revoked (`reason` stale).")}
_GONE = {404: Answer("The session is gone: nothing was heard of it for too long, or it was never there.")}


def _post(path: str, name: str, summary: str, body: type[Body], answers: Mapping[int, Answer]) -> Operation:
    return Operation(
        method="POST", path=path, name=name, summary=summary, tag="playback", body=body, limits=BODY_LIMITS,
        security=SECURITY, answers={**answers, **_REFUSED, **_READ, **_STALE},
    )  # fmt: skip


BEGIN = _post(
    SESSIONS_PATH, "beginSession", "Begin a session by an entitlement: it passes all gates, and takes its seat",
    BeginBody,
    {
        201: Answer("It has begun.", BegunTold),
        404: Answer("There is no such showing here."),
        409: Answer("There is no room, and whom it takes up.", NoRoomTold),
    },
)  # fmt: skip
HEARTBEAT = _post(
    HEARTBEAT_PATH, "keepSession", "Say that a session is there while it plays nothing", TokenBody,
    {200: Answer("It is.", OkTold), **_GONE},
)  # fmt: skip
RELEASE = _post(
    RELEASE_PATH, "releaseSession", "End a session: its room is free, and its token is good for nothing any more",
    TokenBody, {200: Answer("It has ended.", OkTold), **_GONE},
)  # fmt: skip
REFRESH = _post(
    REFRESH_PATH, "renewSession", "Renew a session's token; the session stays the same", TokenBody,
    {200: Answer("Its new token.", TokenTold)},
)  # fmt: skip
STOP = replace(
    _post(
        STOP_PATH, "stopSession", "End one of the sessions that take up the room, at once", StopBody,
        {200: Answer("It has ended.", StoppedTold), **_GONE},
    ),
    security=None,
)  # fmt: skip
STATUS = Operation(
    method="GET",
    path=STATUS_PATH,
    name="showStatus",
    summary="Tell the holder of a token whether its showing is on",
    tag="playback",
    security=SECURITY,
    parameters={
        "event_id": {"description": "The showing.", "schema": {"type": "string", "pattern": f"^{EVENT_ID.pattern}$"}}
    },
    answers={200: Answer("How it is.", StatusTold), 404: Answer("There is no such showing here."), **_REFUSED},
)
PREFLIGHTS = tuple(
    replace(PREFLIGHT, path=one.path, name=f"mayPage{one.name[0].upper()}{one.name[1:]}", tag="playback",
            parameters=one.parameters, answers=PREFLIGHT.answers if one.parameters else {204: PREFLIGHT.answers[204]})
    for one in (BEGIN, STOP, HEARTBEAT, RELEASE, REFRESH, STATUS)
)  # fmt: skip
OPERATIONS = (BEGIN, STOP, HEARTBEAT, RELEASE, REFRESH, STATUS, *PREFLIGHTS)
