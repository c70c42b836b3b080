"""Where operators black showings out: `/api/v1/ppv/blackout`. On disk first, then on the bus, then acknowledged.

One desk serves a deployment. Whoever enforces blackouts listens to the bus, in this process or another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import Response

from kernel.blackouts import BlackoutRecord
from kernel.bus import Bus, blackouts_topic
from kernel.io.http import problem
from relay.blackout_words import (
    END_BLACKOUT,
    GET_BLACKOUT,
    LIST_BLACKOUTS,
    MAKE_BLACKOUT,
    MAX_BLACKOUTS,
    BlackoutsTold,
    blackout_of,
    event_of,
    forgets,
    told_of,
)
from relay.io.operator_door import NO_STORE, told
from relay.operators import Operator
from relay.paging import page_of

if TYPE_CHECKING:
    from collections.abc import Container, Coroutine
    from typing import Any

    from relay.blackout_text import BlackoutTerms
    from relay.io.blackout_store import BlackoutStore
    from relay.io.operator_door import ApiRoute, Call, OperatorDoor


T = TypeVar("T")
Unfit = Callable[[str, str], Awaitable[str | None]]
log = structlog.get_logger("blackouts")

REFILL_STEP = 100
"""How many are read and published in one turn of the loop; most have a few hundred bytes."""


async def fits(event_id: str, redirect: str) -> None:
    """Have nothing against a showing in another one's place."""


async def at_once() -> None:
    """Have nothing to wait for."""


class BlackoutDesk:
    """Make, end and list blackouts.

    Args:
        store: what is on disk.
        bus: who tells everybody.
        door: lets operators in.
        showings: those that there are, by event id.
        wall: the time of day in Unix seconds.
        new_id: makes the names of blackouts.
        unfit: tells why a showing (the second) cannot stand in another one's place, None if it can.
        settle: waits until what this process has heard of by the bus is in force in it.
    """

    def __init__(
        self,
        store: BlackoutStore,
        bus: Bus,
        door: OperatorDoor,
        *,
        showings: Container[str],
        wall: Callable[[], float],
        new_id: Callable[[], str],
        unfit: Unfit = fits,
        settle: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        self._store = store
        self._bus = bus
        self._door = door
        self._showings = showings
        self._wall = wall
        self._new_id = new_id
        self._unfit = unfit
        self._settle = settle
        # Records must reach the bus in the order of the disk.
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()
        self._offset = -1
        self._offsets: dict[str, int] = {}

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(MAKE_BLACKOUT, self._make),
            self._door.route(LIST_BLACKOUTS, self._list),
            self._door.route(GET_BLACKOUT, self._get),
            self._door.route(END_BLACKOUT, self._end),
        ]

    async def refill(self) -> None:
        """Tell the bus all that is on disk; its topic has begun anew.

        Raises:
            JournalError: the file cannot be read.
        """
        after = -1
        async with self._order:
            await self._store.fade(self._wall())
            while kept := await self._store.all(after, REFILL_STEP):
                for _, record in kept:
                    self._publish(record)
                after = kept[-1].number

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _make(self, call: Call) -> Response:
        text, terms = await asyncio.to_thread(blackout_of, call.body, self._wall())
        if (refusal := await self._refusal(terms)) is not None:
            return refusal
        record = BlackoutRecord(self._new_id(), terms.event_id, text, self._wall(), call.operator.name)
        if not await self._lasting(self._write(record)):
            return problem(507, "Insufficient Storage", detail=f"there are {MAX_BLACKOUTS} blackouts: end some first")
        await self._settle()
        return told(told_of(record), 201)

    async def _refusal(self, terms: BlackoutTerms) -> Response | None:
        """Return what is answered where a showing is not there, or cannot stand in the other one's place."""
        for name, field in [(terms.event_id, "event_id"), *((one, "redirect_stream") for one in terms.redirects)]:
            if name not in self._showings:
                return problem(409, "Conflict", reason="showing_unknown", detail=f"{field}: there is no showing {name}")
        for name in terms.redirects:
            if (why := await self._unfit(terms.event_id, name)) is not None:
                return problem(409, "Conflict", reason="redirect_unfit", detail=f"redirect_stream: {name}: {why}")
        return None

    async def _write(self, record: BlackoutRecord) -> bool:
        async with self._order:
            await self._fade()
            if not await self._store.make(record):
                return False
            self._publish(record)
            # What it says is on disk; the log says who made it, and when.
            log.info("blackout.made", blackout_id=record.blackout_id, event_id=record.event_id, by=record.by)
            return True

    async def _end(self, call: Call) -> Response:
        if not await self._lasting(self._remove(call.path["blackout_id"], call.operator, forget=forgets(call.query))):
            return _absent()
        await self._settle()
        return Response(status_code=204, headers=NO_STORE)

    async def _remove(self, blackout_id: str, operator: Operator, *, forget: bool) -> bool:
        async with self._order:
            await self._fade()
            record = await self._store.end(blackout_id, now=self._wall(), by=operator.name, forget=forget)
            if record is None:
                return False
            self._publish(record)
            log.info("blackout.ended", blackout_id=blackout_id, event_id=record.event_id, by=operator.name)
            return True

    async def _get(self, call: Call) -> Response:
        record = await self._store.find(call.path["blackout_id"])
        return _absent() if record is None else told(told_of(record))

    async def _list(self, call: Call) -> Response:
        listed = await self._store.page(page_of(call.query), event_of(call.query))
        return told(BlackoutsTold(blackouts=[told_of(one) for one in listed.entries], next_after=listed.next_after))

    # Within.

    async def _fade(self) -> None:
        """Have everybody forget the redirects that were ended long ago: so there is an end to what is kept of them."""
        for record in await self._store.fade(self._wall()):
            self._publish(record)

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def _publish(self, record: BlackoutRecord) -> None:
        self._offset += 1
        before = self._offsets.get(record.blackout_id)
        self._offsets[record.blackout_id] = self._offset
        self._bus.publish(blackouts_topic(), self._offset, record)
        if before is not None:
            self._bus.forget(blackouts_topic(), [before])


def _absent() -> Response:
    return problem(404, "Not Found", detail="there is no such blackout")
