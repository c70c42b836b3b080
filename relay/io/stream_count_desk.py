"""Where operators say how many streams there may be: `/api/v1/ppv/stream-count`. On disk, then on the bus, then told.

One desk serves a deployment; there is one set of rules.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import Response

from kernel.io.http import problem
from relay.io.operator_door import NO_STORE, told
from relay.sessions.policy_words import SessionPolicyRecord
from relay.stream_count.known import STREAM_COUNT
from relay.stream_count.rules import text_of
from relay.stream_count.words import DELETE_RULES, GET_RULES, PUT_RULES, told_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from kernel.bus import Bus
    from relay.io.operator_door import ApiRoute, Call, OperatorDoor
    from relay.io.session_policy_store import SessionPolicyStore

T = TypeVar("T")
log = structlog.get_logger("sessions")

SUBJECT = "stream-count"
"""Under what the rules lie in their file."""


class StreamCountDesk:
    """Make, show and delete the rules.

    Args:
        store: what is on disk; closed by us.
        bus: who tells everybody.
        door: lets operators in.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self, store: SessionPolicyStore, bus: Bus, door: OperatorDoor, *, wall: Callable[[], float]
    ) -> None:  # fmt: skip
        self._store = store
        self._bus = bus
        self._door = door
        self._wall = wall
        # Records must reach the bus in the order of the disk.
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()
        self._offset = -1

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(PUT_RULES, self._put),
            self._door.route(GET_RULES, self._get),
            self._door.route(DELETE_RULES, self._delete),
        ]

    async def refill(self) -> None:
        """Tell the bus what is on disk; its topic has begun anew.

        Raises:
            JournalError: the file cannot be read.
        """
        async with self._order:
            for _, record in await self._store.all(-1, 1):
                self._publish(record)

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _put(self, call: Call) -> Response:
        text = text_of(call.body)
        record = SessionPolicyRecord(SUBJECT, text, self._wall(), call.operator.name)
        await self._lasting(self._write(record))
        return told(told_of(text, record.made, record.by))

    async def _get(self, call: Call) -> Response:
        record = await self._store.find(SUBJECT)
        return _absent() if record is None else told(told_of(record.text or "{}", record.made, record.by))

    async def _delete(self, call: Call) -> Response:
        if not await self._lasting(self._remove(call.operator.name)):
            return _absent()
        return Response(status_code=204, headers=NO_STORE)

    # Within.

    async def _write(self, record: SessionPolicyRecord) -> None:
        async with self._order:
            await self._store.put(record)
            self._publish(record)
            log.info("stream_count.made", by=record.by)

    async def _remove(self, by: str) -> bool:
        async with self._order:
            record = await self._store.delete(SUBJECT, now=self._wall(), by=by)
            if record is None:
                return False
            self._publish(record)
            log.info("stream_count.deleted", by=by)
            return True

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def _publish(self, record: SessionPolicyRecord) -> None:
        self._offset += 1
        self._bus.publish(STREAM_COUNT, self._offset, [record.text, record.made, record.by])
        self._bus.trim(STREAM_COUNT, self._offset)


def _absent() -> Response:
    return problem(404, "Not Found", detail="there are no rules of the stream count")
