"""Where operators revoke: `/api/v1/revocations`. On disk first, then on the bus, then acknowledged.

One desk serves a deployment: it gives the changes their offsets. Whoever enforces them listens to the bus, in this
process or another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import Response

from kernel.bus import Bus, revocations_topic
from kernel.errors import JournalError
from kernel.io.http import problem
from kernel.revocation import Revocation
from relay.io.operator_door import NO_STORE, told
from relay.operators import Operator
from relay.paging import page_of
from relay.revocation_words import LIST_REVOCATIONS, REVOKE, UNDO_REVOCATION, RevocationsTold, told_of, wanted_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from relay.io.operator_door import ApiRoute, Call, OperatorDoor
    from relay.io.revocation_store import Made, Numbered, RevocationStore
    from relay.revocation_words import Wanted

T = TypeVar("T")
log = structlog.get_logger("revocations")

MAX_LIVE = 2_000_000
"""Beyond it nothing more is taken: a million take 150 MB in every process that enforces them."""

REFILL_STEP = 2_000
"""How many changes are read and published in one turn of the loop: about 10 ms."""

HOUSEKEEPING_S = 600.0


class RevocationDesk:
    """Make, undo and list revocations.

    Args:
        store: what is on disk.
        bus: who tells everybody.
        door: lets operators in.
        wall: the time of day in Unix seconds.
        new_id: makes the names of revocations.
        live: how many are in force.
        retain: whether somebody may yet subscribe to the topic who has not heard it all. Within one process everybody
            has when `publish` returns, and a million records need not be kept twice.
    """

    def __init__(
        self,
        store: RevocationStore,
        bus: Bus,
        door: OperatorDoor,
        *,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        live: Callable[[], int],
        retain: bool,
    ) -> None:
        self._store = store
        self._bus = bus
        self._door = door
        self._wall = wall
        self._new_id = new_id
        self._live = live
        self._retain = retain
        # Offsets must reach the bus in their order: it drops one that comes late.
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(REVOKE, self._revoke),
            self._door.route(LIST_REVOCATIONS, self._list),
            self._door.route(UNDO_REVOCATION, self._undo),
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

    def revoke_soon(self, wanted: Wanted, by: str) -> None:
        """Revoke for somebody who is no operator and does not wait: what cannot be done, the log says.

        Args:
            wanted: whom, why and until when.
            by: who wants it, as operators are named.
        """
        task = asyncio.create_task(self._revoke_for(wanted, by))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _revoke_for(self, wanted: Wanted, by: str) -> None:
        if self._live() >= MAX_LIVE:
            log.warning("revocation.not_made", by=by, reason=f"{MAX_LIVE} are in force")
            return
        try:
            await self._make(wanted, by)
        except JournalError as error:
            log.warning("revocation.not_made", by=by, error=str(error))

    # The routes.

    async def _revoke(self, call: Call) -> Response:
        wanted = wanted_of(call.body, self._wall())
        if self._live() >= MAX_LIVE:
            return problem(507, "Insufficient Storage", detail=f"{MAX_LIVE} are in force: revoke accounts, or a key")
        made = await self._lasting(self._make(wanted, call.operator.name))
        return told(told_of(made.revocation), 201 if made.new else 200)

    async def _make(self, wanted: Wanted, by: str) -> Made:
        async with self._order:
            made = await self._store.revoke(wanted, id=self._new_id(), now=self._wall(), by=by)
            if made.numbered is not None:
                self._publish(made.numbered)
                self._tell(made.revocation, by)
            return made

    async def _undo(self, call: Call) -> Response:
        if not await self._lasting(self._reinstate(call.path["id"], call.operator)):
            return problem(404, "Not Found", detail="no revocation in force has that id")
        return Response(status_code=204, headers=NO_STORE)

    async def _reinstate(self, id_: str, operator: Operator) -> bool:
        async with self._order:
            numbered = await self._store.undo(id_, now=self._wall())
            if numbered is None:
                return False
            self._publish(numbered)
            log.info("revocation.undone", id=id_, kind=numbered.change.subject.kind.value, by=operator.name)
            return True

    async def _list(self, call: Call) -> Response:
        listed = await self._store.page(page_of(call.query), now=self._wall())
        told_ = [told_of(one) for one in listed.entries]
        return told(RevocationsTold(revocations=told_, next_after=listed.next_after))

    # Within.

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

    def _tell(self, revocation: Revocation, by: str) -> None:
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
            by=by,
        )
