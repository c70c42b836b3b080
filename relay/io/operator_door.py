"""The operators' door, before every route of theirs: whose key it is, what it may do, how often, and what was sent.

Order: the key (401), its scope (403), how often it has asked (429), then the body (413, 422). A desk is called only
with what has passed all of them. What it refuses by DecodeError is answered 422, by JournalError 503.

A POST may come with an `Idempotency-Key`: whoever was not told what became of it sends it again, and gets the answer
that it has missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from kernel.errors import DecodeError, JournalError, MessageTooLarge
from kernel.io.http import bearer_token, problem, read_body
from kernel.strict_json import decode
from relay.api import read_as

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from relay.api import Operation
    from relay.io.repeats import Repeats
    from relay.operators import Operator, Operators, OperatorScope
    from relay.quota import Quota

    Handler = Callable[["Call"], Awaitable[Response]]

log = structlog.get_logger("operators")

NO_STORE = {"Cache-Control": "no-store"}
MAX_KEY_CHARS = 128
_REPEAT_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be answered.

    Args:
        request: as it came; its body has been read.
        operator: who asks.
        body: what was sent: its model, or its bytes where the operation is raw; None where it takes none.
    """

    request: Request
    operator: Operator
    body: Any = None

    @property
    def path(self) -> Mapping[str, str]:
        """Return the parameters in the path."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """Return the parameters in the query."""
        return self.request.query_params


class ApiRoute(Route):
    """A route with its description."""

    def __init__(self, operation: Operation, endpoint: Any) -> None:
        super().__init__(operation.path, endpoint, methods=[operation.method])
        self.operation = operation
        self.allowed = set(self.methods or ())
        """What its path can be asked for, by other routes too."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say what may be asked for: of the framework's routes each knows but its own method."""
        if scope["method"] not in (self.methods or ()):
            # RFC 9110, 15.5.6: Allow lists what the target resource supports.
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self.allowed))})
        await super().handle(scope, receive, send)


def allow_together(routes: Iterable[BaseRoute]) -> None:
    """Let routes of one path know of each other's methods."""
    together: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, ApiRoute):
            route.allowed = together.setdefault(route.path, set())
            route.allowed |= route.methods or set()


class OperatorDoor:
    """Let operators in.

    Args:
        operators: whose keys are taken.
        quota: how often each may ask.
        repeats: what was answered before.
        wall: the time of day in Unix seconds.
        now: seconds that never step back.
        holds_log: tells whether what desks publish will be heard: no other process has taken over their part.
    """

    def __init__(
        self,
        operators: Operators,
        *,
        quota: Quota,
        repeats: Repeats,
        wall: Callable[[], float],
        now: Callable[[], float],
        holds_log: Callable[[], bool] = lambda: True,
    ) -> None:
        self._operators = operators
        self._quota = quota
        self._repeats = repeats
        self._wall = wall
        self._now = now
        self._holds_log = holds_log
        self._begun: set[asyncio.Task[Response]] = set()

    def route(self, operation: Operation, handler: Handler) -> ApiRoute:
        """Return a route whose handler is called with what has passed the door."""
        assert operation.scope is not None  # what anybody may ask for needs no door
        scope = operation.scope

        async def endpoint(request: Request) -> Response:
            operator = self.admit(request, scope)
            if isinstance(operator, Response):
                return operator
            if operation.method != "GET" and not self._holds_log():
                # Nobody would hear of it, and whoever is told that it is done relies on it.
                return _later("another process may have taken over: send it again, to that one if it answers")
            try:
                return await self._answer(request, operator, operation, handler)
            except MessageTooLarge as error:
                return problem(413, "Content Too Large", detail=str(error))
            except DecodeError as error:
                return problem(422, "Unprocessable Content", detail=str(error))
            except JournalError as error:
                return unwritten(error)

        return ApiRoute(operation, endpoint)

    def admit(self, request: Request, scope: OperatorScope) -> Operator | Response:
        """Return who asks, or the answer to who may not."""
        operator = self._operators.find(bearer_token(request.headers), now=self._wall())
        if operator is None:
            # Counted against the address by whoever counts 401s (lockstep/reception.py).
            return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        if scope not in operator.scopes:
            return problem(403, "Forbidden", reason="scope_missing", detail=f"this key lacks the scope `{scope}`")
        wait_s = self._quota.wait_s(operator.name, now=self._now())
        if wait_s:
            return problem(
                429,
                "Too Many Requests",
                detail="this operator asks more often than the settings allow",
                headers={"Retry-After": str(wait_s)},
            )
        return operator

    async def aclose(self) -> None:
        """Finish what was begun. Call it before what the desks keep is closed."""
        await asyncio.gather(*self._begun, return_exceptions=True)

    async def _answer(self, request: Request, operator: Operator, operation: Operation, handler: Handler) -> Response:
        if operation.body is None:
            return await handler(Call(request, operator))
        content = await read_body(request, operation.limits.max_bytes)
        if content is None:
            return problem(413, "Content Too Large", detail=f"at most {operation.limits.max_bytes} bytes are taken")
        body: Any = content if operation.raw else read_as(operation.body, decode(content, operation.limits))
        call = Call(request, operator, body)
        key = request.headers.get("idempotency-key") if operation.idempotent else None
        if key is None:
            return await handler(call)
        if not _REPEAT_KEY.fullmatch(key):
            raise DecodeError(f"Idempotency-Key: 1 to {MAX_KEY_CHARS} printable characters without spaces are expected")
        asked = hashlib.sha256(b"\0".join((request.method.encode(), request.scope["path"].encode(), content))).digest()
        return await self._lasting(
            self._repeats.once(operator.name, key, asked, lambda: handler(call), now=self._wall())
        )

    async def _lasting(self, work: Coroutine[Any, Any, Response]) -> Response:
        """Finish what was begun also if nobody waits for it any more: the answer is wanted when they ask again."""
        task = asyncio.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)


def told(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer as its model says it; what is not set is left out."""
    body = model.model_dump_json(exclude_unset=True, by_alias=True)
    return Response(body, status, {**NO_STORE, **(headers or {})}, media_type="application/json")


def unwritten(error: JournalError) -> Response:
    """Return the answer to what the disk did not take."""
    log.error("operators.not_written", error=str(error))
    return _later("the disk does not take it: send it again")


def _later(detail: str) -> Response:
    return problem(503, "Service Unavailable", detail=detail, headers={"Retry-After": "1"})
