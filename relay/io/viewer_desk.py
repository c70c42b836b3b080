"""Where viewers' applications ask before they play: whether the place is right, and what a token is worth.

What a device says of where it is goes to every process that has gates, for the session's video may be another one's.
It is kept in memory and nowhere else; the audit has it where it decided something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response

from kernel.bus import fixes_signal
from kernel.decisions import Scope, Whence
from kernel.errors import DecodeError
from kernel.io.http import bearer_token, peer_address, problem, read_body
from kernel.showings import EVENT_ID
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import Reason
from relay.api import read_as
from relay.blackouts import veil_in_force
from relay.io.headers import api_fields
from relay.io.operator_door import ApiRoute, told
from relay.place.model import Fix, Point
from relay.request import COOKIE
from relay.viewer_words import (
    GEO_CHECK,
    PREFLIGHT,
    REPORT_FIX,
    SHOW_ENTITLEMENT,
    FixBody,
    entitlement_told,
    fix_of,
    geo_check_told,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from typing import Any

    from starlette.requests import Request

    from kernel.bus import Bus, Cancel
    from kernel.showings import Showing
    from kernel.tokens import Claims
    from relay.gate import Gate
    from relay.whereabouts import Whereabouts

log = structlog.get_logger("place")

_LAPSED = frozenset({
    Reason.EXPIRED, Reason.NOT_YET_VALID, Reason.WRONG_EVENT, Reason.OUTSIDE_WINDOW, Reason.REVOKED, Reason.STALE,
    Reason.NETWORK_CHANGED, Reason.DEVICE_CHANGED,
})  # fmt: skip
"""What is wrong with a token wherever its bearer is."""


class ViewerDesk:
    """Answer viewers' applications.

    Args:
        gate: decides.
        whereabouts: what place says of sessions.
        bus: tells all processes what devices say.
        showings: all that there are, by event id.
        sessions: those of an account at an event that are served here.
        moved: is called when a device has said where it is.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self,
        gate: Gate,
        whereabouts: Whereabouts,
        bus: Bus,
        showings: Mapping[str, Showing],
        *,
        sessions: Callable[[str, str], Collection[str]],
        moved: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._whereabouts = whereabouts
        self._bus = bus
        self._showings = showings
        self._sessions = sessions
        self._moved = moved
        self._wall = wall
        self._cancel: Cancel | None = None

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            ApiRoute(GEO_CHECK, self._shared(self._check)),
            ApiRoute(REPORT_FIX, self._shared(self._report)),
            ApiRoute(PREFLIGHT, self._shared(_preflight)),
            ApiRoute(SHOW_ENTITLEMENT, self._show),
        ]

    def start(self) -> None:
        """Listen to what devices say elsewhere."""
        self._cancel = self._bus.listen(fixes_signal(), self._heard)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    # The routes.

    def _shared(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler whose answers pages may read that may read the video."""

        async def shared(request: Request) -> Response:
            response = await answer(request)
            showing = self._showings.get(request.path_params["event_id"])
            response.raw_headers.extend(api_fields(request.headers.get("origin"), showing))
            return response

        return shared

    async def _check(self, request: Request) -> Response:
        claims = self._claims(request)
        return claims if isinstance(claims, Response) else self._checked(request, claims)

    async def _report(self, request: Request) -> Response:
        claims = self._claims(request)
        if isinstance(claims, Response):
            return claims
        content = await read_body(request, CLIENT_LIMITS.max_bytes)
        if content is None:
            return problem(413, "Content Too Large", detail=f"at most {CLIENT_LIMITS.max_bytes} bytes are taken")
        try:
            fix = fix_of(read_as(FixBody, decode(content, CLIENT_LIMITS)), self._wall())
        except DecodeError as error:
            return problem(422, "Unprocessable Content", detail=str(error))
        session = claims.session or claims.jti
        if not self._whereabouts.took_fix(session, fix):
            return problem(409, "Conflict", detail="a fix that is as new is known: send newer ones")
        self._bus.signal(fixes_signal(), [session, *fix.point, fix.accuracy_m, fix.at])
        self._moved()
        return self._checked(request, claims)

    async def _show(self, request: Request) -> Response:
        now = self._wall()
        opened = self._gate.open(request.path_params["token"], now=now)
        if opened is None:
            return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        claims, purpose = opened
        sessions = len(self._sessions(claims.account, claims.event_id))
        return told(entitlement_told(claims, self._gate.lapse(claims, now=now), purpose, sessions, now))

    # Within.

    def _claims(self, request: Request) -> Claims | Response:
        """Return the claims of a token that is good for the showing, or the answer to whoever has none."""
        token = bearer_token(request.headers) or request.cookies.get(COOKIE)
        opened = None if token is None else self._gate.open(token, now=self._wall())
        if opened is None:
            return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        claims, _ = opened
        decision = self._gate.decide(
            claims, request.path_params["event_id"], Scope.WATCH, now=self._wall(), whence=_whence(request)
        )
        if decision.reason in _LAPSED:
            detail = f"this token does not admit: {decision.reason}"
            return problem(403, "Forbidden", reason=decision.reason, detail=detail)
        return claims

    def _checked(self, request: Request, claims: Claims) -> Response:
        now, whence, event_id = self._wall(), _whence(request), claims.event_id
        watch = self._gate.decide(claims, event_id, Scope.WATCH, now=now, whence=whence)
        wager = self._gate.decide(claims, event_id, Scope.WAGER, now=now, whence=whence)
        standing = self._whereabouts.standing(claims, whence.address, now=now)
        dark = veil_in_force(watch.zones or wager.zones, now)
        return told(geo_check_told(event_id, watch, wager, standing, dark))

    def _heard(self, record: list[Any]) -> None:
        try:
            session, lon, lat, accuracy_m, at = record
            fix = Fix(Point(float(lon), float(lat)), float(accuracy_m), float(at))
        except (TypeError, ValueError):
            log.warning("fix.not_understood")
            return
        # Our own word comes back, too; it is no newer than itself.
        if self._whereabouts.took_fix(str(session), fix):
            self._moved()


async def _preflight(request: Request) -> Response:
    if not EVENT_ID.fullmatch(request.path_params["event_id"]):
        return problem(404, "Not Found", detail="an event id has 1 to 64 letters, digits, '_' or '-'")
    return Response(status_code=204)


def _whence(request: Request) -> Whence:
    return Whence(peer_address(request.scope), request.headers.get("user-agent", ""))
