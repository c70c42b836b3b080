"""Where viewers' applications begin sessions, and stop those that take up the room: `/api/v1/playback/sessions`.

And where they ask how a showing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog
from starlette.responses import Response

from kernel.bus import fixes_signal
from kernel.decisions import Scope
from kernel.io.http import bearer_token, problem
from kernel.tokens import Purpose, Reason
from relay.io.operator_door import NO_STORE, told
from relay.io.viewer_calls import gone, preflight, refused, session_of, token_told, whence_of
from relay.playback_words import (
    BEGIN,
    HEARTBEAT_DEAD_S,
    HEARTBEAT_PATH,
    HEARTBEAT_S,
    PREFLIGHTS,
    REFRESH_PATH,
    RELEASE_PATH,
    SOCKET_PATH,
    STATUS,
    STOP,
    STOPPED,
    BegunTold,
    ConflictTold,
    NoRoomTold,
    StatusTold,
    StoppedTold,
)
from relay.sessions.about import DEVICE, PLACE
from relay.sessions.model import Full, Order, Seated, Wish
from relay.sessions.stop_codes import Stop
from relay.viewer_words import fix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from kernel.bus import Bus
    from kernel.decisions import Whence
    from kernel.tokens import Claims
    from relay.entitlements import Entitlements
    from relay.gate import Gate
    from relay.io.driver import StreamRelay
    from relay.io.operator_door import ApiRoute
    from relay.io.session_desk import Dismisses
    from relay.io.viewer_calls import ViewerCalls
    from relay.sessions.model import About, Limit, Outcome, Session
    from relay.whereabouts import Whereabouts

    class Admits(Dismisses, Protocol):
        """Who lets sessions in, and tells everybody who has to go for it; made by `relay/io/session_keeper.py`."""

        async def admit(self, wish: Wish) -> Outcome:
            """Let a session in, or say why not.

            Raises:
                BookUnavailable: the book cannot be asked now.
            """
            ...


log = structlog.get_logger("sessions")

MAX_UNTIL_MS = 99_999_999_999_999
"""Fourteen digits: what scripts of Redis can reckon with."""


class Counting(NamedTuple):
    """How sessions are counted here: the same for those that begin with a playlist.

    Args:
        limits: what counts a session.
        about: what operators are told of it.
        dead_after_s: for how long it may show no sign of life, by event id.
    """

    limits: Callable[[Claims], tuple[Limit, ...]]
    about: Callable[[Claims, Whence], About]
    dead_after_s: Callable[[str], float]


class PlaybackDesk:
    """Begin sessions, and stop others for them.

    Args:
        calls: takes what is asked.
        gate: decides.
        entitlements: issues sessions' tokens, and codes that stop them.
        whereabouts: what place says of sessions.
        keeper: lets them in.
        counting: how they are counted.
        bus: tells all processes what devices say.
        relays: the showings that are served here.
        wall: the time of day in Unix seconds.
        player_event: what a player is to post while it plays, by its claims; None: nothing.
    """

    def __init__(
        self, calls: ViewerCalls, gate: Gate, entitlements: Entitlements, whereabouts: Whereabouts, keeper: Admits, *,
        counting: Counting, bus: Bus, relays: Mapping[str, StreamRelay], wall: Callable[[], float],
        player_event: Callable[[Claims], dict[str, Any] | None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._calls = calls
        self._gate = gate
        self._entitlements = entitlements
        self._whereabouts = whereabouts
        self._keeper = keeper
        self._counting = counting
        self._codes = entitlements.stop_codes
        self._bus = bus
        self._relays = relays
        self._wall = wall
        self._player_event = player_event

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        calls = self._calls
        return [
            calls.route(BEGIN, calls.reading(BEGIN, self._begin)),
            calls.route(STOP, calls.reading(STOP, self._stop, anybody=True)),
            calls.route(STATUS, self._status),
            *(calls.route(one, preflight) for one in PREFLIGHTS),
        ]

    # The routes.

    async def _begin(self, request: Request, token: str, body: Any) -> Response:
        now, whence = self._wall(), whence_of(request)
        opened = self._calls.opened(request, token)
        if isinstance(opened, Response):
            return opened
        bought, purpose = opened
        if purpose is not Purpose.ENTITLEMENT:
            return refused(Reason.WRONG_PURPOSE, "a session is begun by an entitlement's token")
        if (reason := self._gate.lapse(bought, now=now)) is not None:
            return refused(reason)
        if bought.event_id not in self._relays:
            return problem(404, "Not Found", detail=f"there is no showing {bought.event_id!r} here")
        device = body.device.said() if body.device is not None else None
        claims = self._entitlements.session_of(bought, whence, now=now, device=device)
        if body.gps is not None:
            # Of the session's own: whoever shares the entitlement may be elsewhere.
            self._whereabouts.took_fix(claims.session, fix_of(body.gps, now))
        decision = self._gate.decide(claims, claims.event_id, Scope.WATCH, now=now, whence=whence)
        if not decision.admitted:
            return refused(decision.reason)
        text = self._entitlements.issue(claims)
        if text is None:
            return refused(Reason.WRONG_PURPOSE, "its claims do not fit into a session")
        outcome = await self._keeper.admit(self._wish(claims, whence))
        if isinstance(outcome, Full):
            return self._no_room(outcome, now)
        if not isinstance(outcome, Seated):
            return refused(Reason.EVICTED)
        if body.gps is not None:
            fix = fix_of(body.gps, now)
            self._bus.signal(fixes_signal(), [claims.session, *fix.point, fix.accuracy_m, fix.at])
        log.info("session.begun", session=claims.session, account=claims.account, event_id=claims.event_id)
        return told(self._begun(claims, text), 201)

    async def _stop(self, _: Request, __: str, body: Any) -> Response:
        stop = self._codes.read(body.code, now=self._wall())
        if stop is None:
            return problem(401, "Unauthorized", detail="this is no code of ours, or too old: ask for a session again")
        dismissed = await self._keeper.dismiss(stop.account, stop.session, code=STOPPED, by="account")
        return gone() if dismissed is None else told(StoppedTold(ok=True, session_id=stop.session))

    async def _status(self, request: Request) -> Response:
        token, event_id = bearer_token(request.headers), request.path_params["event_id"]
        opened = self._calls.opened(request, token or "")
        if isinstance(opened, Response):
            return opened
        claims, now = opened[0], self._wall()
        reason = Reason.WRONG_EVENT if claims.event_id != event_id else self._gate.unfit(
            claims, now=now, whence=whence_of(request)
        )  # fmt: skip
        if reason is not None and reason not in (Reason.NOT_YET_VALID, Reason.OUTSIDE_WINDOW):
            return refused(reason)
        relay = self._relays.get(event_id)
        if relay is None:
            return problem(404, "Not Found", detail=f"there is no showing {event_id!r} here")
        window = relay.presentation.window
        status = "ended" if window.ended else "live" if relay.presentation.text(None) is not None else "upcoming"
        starts, ends = claims.window
        return told(
            StatusTold.model_validate(
                {"event_id": event_id, "status": status, "starts": 1_000 * starts, "ends": 1_000 * ends}
            )
        )

    # Within.

    def _wish(self, claims: Claims, whence: Whence) -> Wish:
        dead_after_s = max(HEARTBEAT_DEAD_S, self._counting.dead_after_s(claims.event_id))
        return Wish(
            claims.account, session_of(claims), claims.event_id, self._counting.limits(claims),
            min(1_000 * claims.window[1], MAX_UNTIL_MS), round(1_000 * dead_after_s),
            self._counting.about(claims, whence),
        )  # fmt: skip

    def _no_room(self, full: Full, now: float) -> Response:
        by_choice = full.limit.order is Order.VIEWER_CHOICE
        conflicts = [self._conflict(one, now if by_choice else None) for one in full.conflicts]
        retry_s = None if full.retry_ms is None else max(1, -(-full.retry_ms // 1_000))
        headers = {"Content-Type": "application/problem+json"}
        if retry_s is not None:
            headers["Retry-After"] = str(retry_s)
        body = NoRoomTold(
            reason=Reason.SESSION_LIMIT, detail=f"as many watch on this account as may: {full.limit.code}",
            code=full.limit.code, inUse=full.limit.most == 1 and bool(full.limit.key), conflicts=conflicts,
            retry_after_s=retry_s,
        )  # fmt: skip
        content = body.model_dump_json(exclude_none=True)
        return Response(content, 409, {**NO_STORE, **headers})

    def _conflict(self, one: Session, now: float | None) -> ConflictTold:
        code = None if now is None else self._codes.make(Stop(one.account, one.session), now=now)
        return ConflictTold(
            session_id=one.session, event_id=one.event_id, since=one.began_ms, last_segment_at=one.seen_ms,
            device=one.about.get(DEVICE), place=one.about.get(PLACE), stop_code=code,
        )  # fmt: skip

    def _begun(self, claims: Claims, text: str) -> BegunTold:
        more: dict[str, Any] = {}
        if (template := self._player_event(claims)) is not None:
            more["player_event"] = template
        return BegunTold(
            **token_told(claims, text), refresh_url=REFRESH_PATH, heartbeat_url=HEARTBEAT_PATH,
            release_url=RELEASE_PATH, wagering_url=SOCKET_PATH, heartbeat_s=HEARTBEAT_S, **more,
        )  # fmt: skip
