"""Where operators revoke: `/api/v1/revocations`. On disk first, then on the bus, then acknowledged.

One desk serves a deployment: it gives the changes their offsets. Whoever enforces them listens to the bus, in this
process or another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kernel.bus import Bus, revocations_topic
from kernel.errors import DecodeError, JournalError
from kernel.io.http import bearer_token, problem, read_body
from kernel.revocation import Revocation
from kernel.strict_json import CLIENT_LIMITS, decode
from relay.operators import Operator, Operators, OperatorScope
from relay.revocation_words import map_of, page_of, wanted_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from starlette.requests import Request

    from relay.io.revocation_store import Made, Numbered, RevocationStore
    from relay.revocation_words import Wanted

T = TypeVar("T")
log = structlog.get_logger("revocations")

PATH = "/api/v1/revocations"

MAX_LIVE = 2_000_000
"""Beyond it nothing more is taken: a million take 150 MB in every process that enforces them."""

REFILL_STEP = 2_000
"""How many changes are read and published in one turn of the loop: about 10 ms."""

HOUSEKEEPING_S = 600.0
_NO_STORE = {"Cache-Control": "no-store"}


class RevocationDesk:
    """Make, undo and list revocations.

    Args:
        store: what is on disk.
        bus: who tells everybody.
        operators: whose keys are taken.
        wall: the time of day in Unix seconds.
        new_id: makes the names of revocations.
        live: how many are in force.
        retain: whether somebody may yet subscribe to the topic who has not heard it all. Within one process everybody
            has when `publish` returns, and a million records need not be kept twice.
        holds_log: tells whether what is published will be heard: no other process has taken over its part.
    """

    def __init__(
        self,
        store: RevocationStore,
        bus: Bus,
        operators: Operators,
        *,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        live: Callable[[], int],
        retain: bool,
        holds_log: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._bus = bus
        self._operators = operators
        self._wall = wall
        self._new_id = new_id
        self._live = live
        self._retain = retain
        self._holds_log = holds_log
        # Offsets must reach the bus in their order: it drops one that comes late.
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [
            Route(PATH, self._revoke, methods=["POST"]),
            Route(PATH, self._list, methods=["GET"]),
            Route(PATH + "/{id}", self._undo, methods=["DELETE"]),
        ]

    async def refill(self) -> None:
        """Tell the bus all that is on disk; what it has already it drops.

        Raises:
            JournalError: the file cannot be read.
        """
        after = -1
        async with self._order:
            while changes := await self._store.changes(after, REFILL_STEP):
                for numbered in changes:
                    self._publish(numbered)
                after = changes[-1].offset

    async def run(self) -> None:
        """Forget what need not be known any more, again and again, until cancelled."""
        while True:
            await self.tidy()
            await asyncio.sleep(HOUSEKEEPING_S)

    async def tidy(self) -> None:
        """Forget what has expired, and keep the topic about as short as what it says."""
        try:
            await self._store.forget(now=self._wall())
            moving = True
            while moving:
                moving = await self._lasting(self._renumber())
        except JournalError as error:
            log.warning("revocations.not_tidied", error=str(error))

    async def _renumber(self) -> bool:
        async with self._order:
            moved, least = await self._store.renumber(REFILL_STEP)
            for numbered in moved:
                self._publish(numbered)
            if self._retain:
                self._bus.trim(revocations_topic(), least)
            return bool(moved)

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _revoke(self, request: Request) -> Response:
        operator = self._operator(request, OperatorScope.REVOKE)
        if isinstance(operator, Response):
            return operator
        body = await read_body(request, CLIENT_LIMITS.max_bytes)
        if body is None:
            return problem(413, "Content Too Large", detail=f"at most {CLIENT_LIMITS.max_bytes} bytes are taken")
        try:
            wanted = wanted_of(decode(body, CLIENT_LIMITS), self._wall())
        except DecodeError as error:
            return problem(422, "Unprocessable Content", detail=str(error))
        if self._live() >= MAX_LIVE:
            return problem(507, "Insufficient Storage", detail=f"{MAX_LIVE} are in force: revoke accounts, or a key")
        try:
            made = await self._lasting(self._make(wanted, operator))
        except JournalError as error:
            return _unwritten(error)
        return JSONResponse(map_of(made.revocation), 201 if made.new else 200, _NO_STORE)

    async def _make(self, wanted: Wanted, operator: Operator) -> Made:
        async with self._order:
            made = await self._store.revoke(wanted, id=self._new_id(), now=self._wall(), by=operator.name)
            if made.numbered is not None:
                self._publish(made.numbered)
                self._tell(made.revocation, operator)
            return made

    async def _undo(self, request: Request) -> Response:
        operator = self._operator(request, OperatorScope.REVOKE)
        if isinstance(operator, Response):
            return operator
        try:
            undone = await self._lasting(self._reinstate(request.path_params["id"], operator))
        except JournalError as error:
            return _unwritten(error)
        if not undone:
            return problem(404, "Not Found", detail="no revocation in force has that id")
        return Response(status_code=204, headers=_NO_STORE)

    async def _reinstate(self, id_: str, operator: Operator) -> bool:
        async with self._order:
            numbered = await self._store.undo(id_, now=self._wall())
            if numbered is None:
                return False
            self._publish(numbered)
            log.info("revocation.undone", id=id_, kind=numbered.change.subject.kind.value, by=operator.name)
            return True

    async def _list(self, request: Request) -> Response:
        operator = self._operator(request, OperatorScope.READ)
        if isinstance(operator, Response):
            return operator
        try:
            listed = await self._store.page(page_of(request.query_params), now=self._wall())
        except DecodeError as error:
            return problem(422, "Unprocessable Content", detail=str(error))
        except JournalError as error:
            return _unwritten(error)
        body = {"revocations": [map_of(one) for one in listed.revocations], "next_after": listed.next_after}
        return JSONResponse(body, headers=_NO_STORE)

    # Within.

    def _operator(self, request: Request, scope: OperatorScope) -> Operator | Response:
        operator = self._operators.find(bearer_token(request.headers))
        if operator is None:
            return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        if scope not in operator.scopes:
            return problem(403, "Forbidden", reason="scope_missing", detail=f"this key lacks the scope `{scope}`")
        if scope is OperatorScope.REVOKE and not self._holds_log():
            # Nobody would hear of it, and whoever is told that it is done relies on it.
            detail = "another process may have taken over: send it again, to that one if it answers"
            return problem(503, "Service Unavailable", detail=detail, headers={"Retry-After": "1"})
        return operator

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def _publish(self, numbered: Numbered) -> None:
        self._bus.publish(revocations_topic(), numbered.offset, numbered.change)
        if not self._retain:
            self._bus.trim(revocations_topic(), numbered.offset + 1)

    def _tell(self, revocation: Revocation, operator: Operator) -> None:
        subject = revocation.subject
        # The one record of why somebody's verdict changed (INVARIANTS I17).
        log.info(
            "revocation.made",
            id=revocation.id,
            kind=subject.kind.value,
            value=subject.value,
            event_id=subject.event_id,
            reason=revocation.reason,
            expires=revocation.expires,
            by=operator.name,
        )


def _unwritten(error: JournalError) -> Response:
    log.error("revocations.not_written", error=str(error))
    return problem(
        503, "Service Unavailable", detail="the disk does not take it: send it again", headers={"Retry-After": "1"}
    )
