"""Where sessions are looked at and ended: `/api/v1/ppv/sessions/{id}`, by operators, and by their account holders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog
from starlette.responses import Response

from kernel.errors import BookUnavailable, DecodeError
from kernel.io.http import problem
from kernel.tokens import Reason
from relay.io.operator_door import NO_STORE, ApiRoute, told
from relay.io.owner_door import Asker, may_see, name_of
from relay.operators import Operator
from relay.session_words import (
    END_SESSION,
    ENDED,
    KICKED,
    LIST_SESSIONS,
    MAX_ID_CHARS,
    account_of,
    grace_of,
    sessions_told,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from relay.api import Operation
    from relay.io.owner_door import OwnerDoor
    from relay.sessions.book import SessionBook
    from relay.sessions.model import Session
    from relay.sessions.policies import SessionPolicies

log = structlog.get_logger("sessions")


class Dismisses(Protocol):
    """Who sends sessions away, and tells everybody; made by `relay/io/session_keeper.py`."""

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...


class SessionDesk:
    """List sessions, and end them.

    Args:
        door: says who asks, and what is their business.
        book: who watches.
        keeper: sends them away.
        policies: say who goes first.
        wall: the time of day in Unix seconds.
        let_go: keeps the connection of a request from being cut with the session: it carries the answer.
    """

    def __init__(
        self, door: OwnerDoor, book: SessionBook, keeper: Dismisses, policies: SessionPolicies, *,
        wall: Callable[[], float], let_go: Callable[[Request], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._door = door
        self._book = book
        self._keeper = keeper
        self._policies = policies
        self._wall = wall
        self._let_go = let_go

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [self._route(LIST_SESSIONS, self._list), self._route(END_SESSION, self._end)]

    def _route(self, operation: Operation, answer: Callable[[Request, Asker], Awaitable[Response]]) -> ApiRoute:
        async def handle(request: Request) -> Response:
            assert operation.scope is not None
            asker = self._door.admit(request, operation.scope)
            if isinstance(asker, Response):
                return asker
            self._let_go(request)
            try:
                return await answer(request, asker)
            except DecodeError as error:
                return problem(422, "Unprocessable Content", detail=str(error))
            except BookUnavailable:
                return unavailable()

        return ApiRoute(operation, handle)

    async def _list(self, request: Request, asker: Asker) -> Response:
        account = request.path_params["id"]
        if len(account) > MAX_ID_CHARS:
            return problem(404, "Not Found", detail=f"an account has 1 to {MAX_ID_CHARS} characters")
        if not may_see(asker, account):
            return problem(403, "Forbidden", reason=Reason.SCOPE_MISSING, detail="this token is another account's")
        sessions = await self._book.of(account)
        return told(sessions_told(account, sessions, self._policies, now_ms=round(1_000 * self._wall())))

    async def _end(self, request: Request, asker: Asker) -> Response:
        session, grace_s = request.path_params["id"], grace_of(request.query_params)
        account = account_of(request.query_params)
        if account is None:
            # Of another account's sessions an account holder learns nothing, not even whether they are there.
            account = await self._book.find(session) if isinstance(asker, Operator) else asker
        if account is None or not may_see(asker, account) or len(session) > MAX_ID_CHARS:
            return _absent()
        code = KICKED if isinstance(asker, Operator) else ENDED
        dismissed = await self._keeper.dismiss(account, session, code=code, by=name_of(asker), grace_ms=1_000 * grace_s)
        if dismissed is None:
            return _absent()
        log.info("session.ended", session=session, account=account, code=code, by=name_of(asker))
        return Response(status_code=204, headers=NO_STORE)


def unavailable() -> Response:
    """Return the answer where the book cannot be asked."""
    return problem(
        503, "Service Unavailable", reason=Reason.STALE, detail="it is not known at the moment who watches",
        headers={"Retry-After": "2"},
    )  # fmt: skip


def _absent() -> Response:
    return problem(404, "Not Found", detail="there is no such session")
