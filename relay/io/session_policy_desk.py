"""Where operators say how many may watch: `/api/v1/ppv/session-policy`. On disk first, then on the bus, then told.

One desk serves a deployment. Whoever counts sessions listens to the bus, in this process or another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import Response

from kernel.errors import DecodeError
from kernel.io.http import problem
from relay.io.operator_door import NO_STORE, told
from relay.io.session_policy_store import Put
from relay.paging import page_of
from relay.sessions.policies import SESSION_POLICIES
from relay.sessions.policy_text import check_subject, text_of
from relay.sessions.policy_words import (
    DELETE_SESSION_POLICY,
    GET_SESSION_POLICY,
    LIST_SESSION_POLICIES,
    MAKE_SESSION_POLICY,
    MAX_SESSION_POLICIES,
    SessionPoliciesTold,
    SessionPolicyRecord,
    told_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from kernel.bus import Bus
    from relay.io.operator_door import ApiRoute, Call, OperatorDoor
    from relay.io.session_policy_store import SessionPolicyStore

T = TypeVar("T")
log = structlog.get_logger("sessions")

REFILL_STEP = 200
"""How many are read and published in one turn of the loop; each has a few hundred bytes."""


class SessionPolicyDesk:
    """Make, delete and list session policies.

    Args:
        store: what is on disk.
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
        self._offsets: dict[str, int] = {}

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(MAKE_SESSION_POLICY, self._make),
            self._door.route(LIST_SESSION_POLICIES, self._list),
            self._door.route(GET_SESSION_POLICY, self._get),
            self._door.route(DELETE_SESSION_POLICY, self._delete),
        ]

    async def refill(self) -> None:
        """Tell the bus all that is on disk; its topic has begun anew.

        Raises:
            JournalError: the file cannot be read.
        """
        after = -1
        async with self._order:
            while kept := await self._store.all(after, REFILL_STEP):
                for _, record in kept:
                    self._publish(record)
                after = kept[-1][0]

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _make(self, call: Call) -> Response:
        record = SessionPolicyRecord(call.body.subject, text_of(call.body), self._wall(), call.operator.name)
        outcome = await self._lasting(self._write(record))
        if outcome is Put.FULL:
            detail = f"there are {MAX_SESSION_POLICIES} session policies: delete some first"
            return problem(507, "Insufficient Storage", detail=detail)
        return told(told_of(record), 201 if outcome is Put.CREATED else 200)

    async def _write(self, record: SessionPolicyRecord) -> Put:
        async with self._order:
            outcome = await self._store.put(record)
            if outcome is not Put.FULL:
                self._publish(record)
                log.info("session_policy.made", subject=record.subject, by=record.by)
            return outcome

    async def _delete(self, call: Call) -> Response:
        subject = _named(call)
        if subject is None or not await self._lasting(self._remove(subject, call.operator.name)):
            return _absent()
        return Response(status_code=204, headers=NO_STORE)

    async def _remove(self, subject: str, by: str) -> bool:
        async with self._order:
            record = await self._store.delete(subject, now=self._wall(), by=by)
            if record is None:
                return False
            self._publish(record)
            log.info("session_policy.deleted", subject=subject, by=by)
            return True

    async def _get(self, call: Call) -> Response:
        subject = _named(call)
        record = None if subject is None else await self._store.find(subject)
        return _absent() if record is None else told(told_of(record))

    async def _list(self, call: Call) -> Response:
        listed = await self._store.page(page_of(call.query))
        policies = [told_of(one) for one in listed.entries]
        return told(SessionPoliciesTold(session_policies=policies, next_after=listed.next_after))

    # Within.

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def _publish(self, record: SessionPolicyRecord) -> None:
        self._offset += 1
        before = self._offsets.get(record.subject)
        self._offsets[record.subject] = self._offset
        self._bus.publish(SESSION_POLICIES, self._offset, list(record))
        if before is not None:
            self._bus.forget(SESSION_POLICIES, [before])


def _named(call: Call) -> str | None:
    """Return what the path names, None where nothing can be of that."""
    try:
        return check_subject(call.path["kind"], call.path["name"])
    except DecodeError:
        return None


def _absent() -> Response:
    return problem(404, "Not Found", detail="there is no session policy of that")
