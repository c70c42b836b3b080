"""Where sessions are kept alive, their tokens renewed, and where viewers end them: the calls of ticket gates, below
`/api/playback/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from starlette.responses import Response

from kernel.bus import sessions_signal
from kernel.decisions import Scope
from kernel.tokens import Purpose, Reason
from relay.io.operator_door import told
from relay.io.viewer_calls import gone, had_to_go, refused, session_of, token_told, warned, whence_of
from relay.playback_words import HEARTBEAT, REFRESH, RELEASE, RELEASED, OkTold, TokenTold
from relay.sessions.model import Life, Sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from kernel.bus import Bus
    from kernel.tokens import Claims
    from relay.entitlements import Entitlements
    from relay.gate import Gate
    from relay.io.operator_door import ApiRoute
    from relay.io.session_desk import Dismisses
    from relay.io.viewer_calls import ViewerCalls
    from relay.sessions.book import SessionBook
    from relay.sessions.counts import SessionCounts
    from relay.sessions.policies import SessionPolicies

log = structlog.get_logger("sessions")


class TicketDesk:
    """Keep, renew and end sessions.

    Args:
        calls: takes what is asked.
        gate: decides.
        entitlements: issues sessions' tokens.
        keeper: sends sessions away.
        book: who watches.
        policies: say what is looked at.
        bus: tells all processes of devices that have changed.
        wall: the time of day in Unix seconds.
        counts: is told of those devices, too.
    """

    def __init__(
        self, calls: ViewerCalls, gate: Gate, entitlements: Entitlements, keeper: Dismisses, book: SessionBook, *,
        policies: SessionPolicies, bus: Bus, wall: Callable[[], float], counts: SessionCounts,
    ) -> None:  # fmt: skip
        self._calls = calls
        self._gate = gate
        self._entitlements = entitlements
        self._keeper = keeper
        self._book = book
        self._policies = policies
        self._bus = bus
        self._wall = wall
        self._counts = counts

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        answers = ((HEARTBEAT, self._keep), (RELEASE, self._release), (REFRESH, self._renew))
        return [self._calls.route(one, self._calls.reading(one, answer)) for one, answer in answers]

    async def _keep(self, request: Request, token: str, body: Any) -> Response:
        claims = self._calls.session(request, token)
        if isinstance(claims, Response):
            return claims
        if body.device is not None and not self._is_its_device(claims, body.device.said()):
            self._tell_changed(claims)
        (standing,) = await self._book.saw([self._sign(claims, round(1_000 * self._wall()))])
        if standing.life is Life.GONE:
            return gone()
        if standing.life is Life.EVICTED:
            return refused(Reason.EVICTED, had_to_go(standing.leaving))
        return told(OkTold(ok=True, **warned(standing.leaving, self._wall())))

    async def _release(self, request: Request, token: str, _: Any) -> Response:
        claims = self._calls.session(request, token)
        if isinstance(claims, Response):
            return claims
        # Not only let go of: its token would take a seat again with the next request.
        dismissed = await self._keeper.dismiss(claims.account, session_of(claims), code=RELEASED, by="viewer")
        return gone() if dismissed is None else told(OkTold(ok=True))

    async def _renew(self, request: Request, token: str, body: Any) -> Response:
        now, whence = self._wall(), whence_of(request)
        opened = self._calls.opened(request, token)
        if isinstance(opened, Response):
            return opened
        claims, purpose = opened
        if purpose is not Purpose.SESSION:
            return refused(Reason.WRONG_PURPOSE, "what is renewed is a session's token")
        scope = next((one for one in (Scope.WATCH, Scope.WAGER) if one in claims.scopes), Scope.WATCH)
        decision = self._gate.decide(claims, claims.event_id, scope, now=now, whence=whence)
        if not decision.admitted:
            return refused(decision.reason)
        device = body.device.said() if body.device is not None else None
        if not self._is_its_device(claims, device):
            self._tell_changed(claims)
            return refused(Reason.DEVICE_CHANGED, "this session belongs to the device that it was begun on")
        # An old sign of life changes nothing.
        (standing,) = await self._book.saw([self._sign(claims, 0)])
        if standing.life is Life.EVICTED:
            return refused(Reason.EVICTED, had_to_go(standing.leaving))
        renewed = self._entitlements.renewed(claims, whence, now=now, device=device)
        text = self._entitlements.issue(renewed)
        if text is None:
            return refused(Reason.WRONG_PURPOSE, "its claims do not fit into a token of ours")
        return told(TokenTold(**token_told(renewed, text), **warned(standing.leaving, self._wall())))

    # Within.

    def _sign(self, claims: Claims, seen_ms: int) -> Sign:
        return Sign(claims.account, session_of(claims), seen_ms)

    def _is_its_device(self, claims: Claims, device: Mapping[str, str] | None) -> bool:
        found = self._policies.governing(claims)
        if found is None or not found.policy.by_device:
            return True
        return self._entitlements.fingerprints.agrees(claims, device)

    def _tell_changed(self, claims: Claims) -> None:
        self._counts.devices_changed += 1
        log.warning("session.device_changed", session=session_of(claims), account=claims.account)
        self._bus.signal(
            sessions_signal(),
            ["device_changed", claims.account, session_of(claims), claims.event_id, round(1_000 * self._wall()),
             Reason.DEVICE_CHANGED.value, "", "", 0],
        )  # fmt: skip
