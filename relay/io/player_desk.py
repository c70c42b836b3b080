"""Where players say what they do: `/api/v1/playback/events`. Each event is a sign of life, and counted like a segment.

Two signs make a stream: the second event of a session, or an event and a segment, is judged by the rules of the stream
count (`relay/io/session_keeper.py`). Who is kicked is told here by 403, and cut at the relay, whether it obeys or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from kernel.bus import sessions_signal
from kernel.decisions import Whence
from kernel.errors import BookUnavailable, DecodeError
from kernel.io.http import peer_address, problem, read_body
from kernel.strict_json import decode
from kernel.tokens import Reason
from relay.io.headers import api_fields
from relay.io.operator_door import NO_STORE, ApiRoute
from relay.stream_count.kicks import Kick, Kicks, kick_events
from relay.stream_count.player_event import read_event
from relay.stream_count.words import EVENT_LIMITS, PLAYER_EVENT, PREFLIGHT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from starlette.requests import Request

    from kernel.bus import Bus, Cancel
    from kernel.tokens import Claims
    from relay.gate import Gate
    from relay.io.session_keeper import SessionKeeper
    from relay.sessions.model import Session
    from relay.stream_count.known import KnownRules
    from relay.token_verifier import TokenVerifier


_RETRY = {"Retry-After": "2"}


class PlayerDesk:
    """Take player events.

    Args:
        verifier: opens `logData`.
        gate: knows what has been revoked.
        keeper: gives sessions their seats.
        known: the rules of the stream count.
        bus: tells who has to go.
        wall: the time of day in Unix seconds.
        tenant: what the deployment is called in kick events.
        let_go: keeps the connection of a request from being cut with the session: it carries the answer.
    """

    def __init__(
        self, verifier: TokenVerifier, gate: Gate, keeper: SessionKeeper, known: KnownRules, bus: Bus, *,
        wall: Callable[[], float], tenant: str, let_go: Callable[[Request], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._verifier = verifier
        self._gate = gate
        self._keeper = keeper
        self._known = known
        self._bus = bus
        self._wall = wall
        self._tenant = tenant
        self._let_go = let_go
        self.kicks = Kicks()
        self._cancel: Cancel | None = None

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [ApiRoute(PLAYER_EVENT, self._take), ApiRoute(PREFLIGHT, _preflight)]

    def start(self) -> None:
        """Listen to who has to go: here at once, so that who asked is told of it, elsewhere by the bus."""
        self._keeper.on_leaving = self._kicked
        self._cancel = self._bus.listen(sessions_signal(), self._heard)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    # The routes.

    async def _take(self, request: Request) -> Response:
        self._let_go(request)
        response = await self._answer(request)
        # Any page may: what lets it is in the body, and no cookie is looked at.
        response.raw_headers.extend(api_fields(None, None))
        return response

    async def _answer(self, request: Request) -> Response:
        content = await read_body(request, EVENT_LIMITS.max_bytes)
        if content is None:
            return problem(413, "Content Too Large", detail=f"at most {EVENT_LIMITS.max_bytes} bytes are taken")
        try:
            event = read_event(decode(content, EVENT_LIMITS))
        except DecodeError as error:
            return problem(400, "Bad Request", detail=str(error))
        claims = self._verifier.verify(event.log_data)
        if claims is None or claims.session != event.session:
            return _unknown()
        reason = self._gate.lapse(claims, now=self._wall())
        if reason is not None:
            return _unknown(reason)
        if event.is_last:
            try:
                await self._keeper.release(claims.account, claims.session)
            except BookUnavailable:
                return _later()
            return self._told(claims, 200)
        if not self._keeper.is_sent_away(claims.session) and not self._keeper.touch(claims):
            whence = Whence(peer_address(request.scope), request.headers.get("user-agent", ""))
            refusal = await self._keeper.seat(claims, whence, media=True)
            if refusal is not None and refusal.reason is Reason.STALE:
                return _later()
            if refusal is not None:
                return self._told(claims, 403)
        return self._told(claims, 403 if self._keeper.is_sent_away(claims.session) else 200)

    # Within.

    def _told(self, claims: Claims, status: int) -> Response:
        """Tell a session of all that have to go of its account; one that has to itself is told so, at least."""
        now_ms = round(self._wall() * 1_000)
        kicks = self.kicks.of(claims.account, now_ms=now_ms)
        if status == 403 and all(kick.session != claims.session for kick in kicks):
            kicks = [*kicks, Kick(claims.account, claims.session, now_ms, "", "")]
        events = kick_events(kicks, lambda kick: self._known.allowed(kick, claims), tenant=self._tenant)
        return JSONResponse(events, status, headers=NO_STORE)

    def _kicked(self, one: Session) -> None:
        leaving = one.leaving
        if leaving is not None:
            self._note(Kick(one.account, one.session, leaving.at_ms, leaving.code, leaving.key))

    def _note(self, kick: Kick) -> None:
        self.kicks.note(kick, now_ms=round(self._wall() * 1_000))

    def _heard(self, record: list[Any]) -> None:
        if not record or record[0] != "leaving":
            return
        try:
            _, account, session, _, at_ms, code, key, *_more = record
            kick = Kick(str(account), str(session), int(at_ms), str(code), str(key))
        except (TypeError, ValueError):
            return  # the keeper says so in the log
        self._note(kick)


async def _preflight(_: Request) -> Response:
    response = Response(status_code=204)
    response.raw_headers.extend(api_fields(None, None))
    return response


def _unknown(reason: Reason | None = None) -> Response:
    detail = f"this session does not admit any more: {reason}" if reason is not None else None
    return problem(
        401, "Unauthorized", reason=reason, detail=detail, headers={"WWW-Authenticate": "Bearer"}
    )  # fmt: skip


def _later() -> Response:
    return problem(
        503, "Service Unavailable", reason=Reason.STALE, detail="it cannot be known now who watches", headers=_RETRY
    )
