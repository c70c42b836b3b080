"""What all calls of viewers' applications share: a token, as the bearer or in the body, a body with a limit, one shape
of refusals, and answers that the pages may read that may read the video.

A token never comes as a cookie here: no page can act with a token that it does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from kernel.decisions import Whence
from kernel.errors import BookUnavailable, DecodeError
from kernel.io.http import bearer_token, peer_address, problem, read_body
from kernel.showings import EVENT_ID
from kernel.strict_json import decode
from kernel.tokens import Purpose, Reason
from relay.api import read_as
from relay.io.headers import api_fields
from relay.io.operator_door import ApiRoute
from relay.io.session_desk import unavailable
from relay.playback_words import BODY_LIMITS, WarningTold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from kernel.showings import Showing
    from kernel.tokens import Claims
    from relay.api import Body, Operation
    from relay.gate import Gate
    from relay.sessions.model import Leaving

    Answer = Callable[[Request, str, Any], Awaitable[Response]]

STALE_RETRY_S = 2
"""When to come again where it is not known what was revoked, or who watches."""


class ViewerCalls:
    """Take the calls of viewers' applications.

    Args:
        gate: knows tokens.
        showings: all that there are, by event id.
        wall: the time of day in Unix seconds.
        let_go: keeps the connection of a request from being cut with the session: it carries the answer.
    """

    def __init__(
        self, gate: Gate, showings: Mapping[str, Showing], *, wall: Callable[[], float],
        let_go: Callable[[Request], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._gate = gate
        self._showings = showings
        self._wall = wall
        self._let_go = let_go

    def route(self, operation: Operation, answer: Callable[[Request], Awaitable[Response]]) -> ApiRoute:
        """Return a route whose answers pages may read that may read the video."""

        async def shared(request: Request) -> Response:
            self._let_go(request)
            try:
                response = await answer(request)
            except BookUnavailable:
                response = unavailable()
            showing = self._showings.get(getattr(request.state, "event_id", ""))
            response.raw_headers.extend(api_fields(request.headers.get("origin"), showing))
            return response

        return ApiRoute(operation, shared)

    def reading(
        self, operation: Operation, answer: Answer, *, anybody: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler that is given the token and the body; without a body it is an empty one."""
        model: type[Body] | None = operation.body  # type: ignore[assignment]
        assert model is not None

        async def read(request: Request) -> Response:
            content = await read_body(request, BODY_LIMITS.max_bytes)
            if content is None:
                return problem(413, "Content Too Large", detail=f"at most {BODY_LIMITS.max_bytes} bytes are taken")
            try:
                body = read_as(model, decode(content or b"{}", BODY_LIMITS))
            except DecodeError as error:
                return problem(422, "Unprocessable Content", detail=str(error))
            token = bearer_token(request.headers) or getattr(body, "token", None)
            if token is None and not anybody:
                return stranger()
            return await answer(request, token or "", body)

        return read

    def opened(self, request: Request, token: str) -> tuple[Claims, Purpose] | Response:
        """Return what a genuine token says and is for, or the answer to whoever has none."""
        opened = self._gate.open(token, now=self._wall())
        if opened is None:
            return stranger()
        request.state.event_id = opened[0].event_id
        return opened

    def session(self, request: Request, token: str) -> Claims | Response:
        """Return the claims of a session that may go on, or the answer to whoever has none."""
        opened = self.opened(request, token)
        if isinstance(opened, Response):
            return opened
        claims, purpose = opened
        if purpose is not Purpose.SESSION:
            return refused(Reason.WRONG_PURPOSE, "this is no session's token")
        reason = self._gate.unfit(claims, now=self._wall(), whence=whence_of(request))
        return claims if reason is None else refused(reason)


async def preflight(request: Request) -> Response:
    """Answer a browser that asks whether a page may ask."""
    if not EVENT_ID.fullmatch(request.path_params.get("event_id", "-")):
        return problem(404, "Not Found", detail="an event id has 1 to 64 letters, digits, '_' or '-'")
    return Response(status_code=204)


def session_of(claims: Claims) -> str:
    """Return the session of a token; one that says none is a session by itself."""
    return claims.session or claims.jti


def whence_of(request: Request) -> Whence:
    """Return where a request comes from."""
    return Whence(peer_address(request.scope), request.headers.get("user-agent", ""))


def stranger() -> Response:
    """Return the answer to whoever has no token of ours: there is nothing to learn from it."""
    return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})


def gone() -> Response:
    """Return the answer to whoever asks for a session that is not there."""
    return problem(404, "Not Found", detail="this session is gone: begin another one")


def had_to_go(leaving: Leaving | None) -> str:
    """Return why a session is refused that was sent away."""
    return f"this session had to go: {leaving.code if leaving is not None else 'evicted'}"


def refused(reason: Reason | None, detail: str | None = None) -> Response:
    """Return the answer to the holder of a genuine token that does not admit."""
    if reason is Reason.STALE:
        return problem(
            503, "Service Unavailable", reason=reason, detail="nobody new is admitted at the moment",
            headers={"Retry-After": str(STALE_RETRY_S)},
        )  # fmt: skip
    return problem(403, "Forbidden", reason=reason, detail=detail or f"this token does not admit: {reason}")


def warned(leaving: Leaving | None, now: float) -> dict[str, Any]:
    """Return what an answer says besides where a session has to go. `now` is Unix time in seconds."""
    if leaving is None:
        return {}
    left_ms = max(0, leaving.at_ms - round(1_000 * now))
    return {"warning": WarningTold(code=leaving.code, ends=leaving.at_ms, left_s=-(-left_ms // 1_000))}


def token_told(claims: Claims, text: str) -> dict[str, Any]:
    """Return what is told of a session's token."""
    return {
        "session_id": session_of(claims), "event_id": claims.event_id, "token": text,
        "playlist_url": f"/hls/{text}/{claims.event_id}/index.m3u8", "expires_at": 1_000 * claims.expires,
        "session_ends": 1_000 * claims.window[1],
    }  # fmt: skip
