"""Where operators say who may watch from where: `/api/v1/policies`. On disk first, then on the bus, then acknowledged.

One desk serves a deployment: it counts the versions. Whoever enforces policies listens to the bus, in this process or
another. A body is read, compiled and looked over in a thread: the largest take longer than the loop may stand still.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import JSONResponse, Response

from kernel.bus import Bus, policies_topic
from kernel.errors import DecodeError
from kernel.io.http import problem
from relay.io.operator_door import NO_STORE
from relay.io.policy_store import Outcome
from relay.operators import Operator
from relay.paging import page_of
from relay.policy_words import (
    DELETE_POLICY,
    GET_POLICY,
    LIST_POLICIES,
    MAX_POLICIES,
    POLICY_ID,
    PUT_POLICY,
    head_map_of,
    map_of,
    text_of,
    version_of,
)
from relay.preconditions import condition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from kernel.policies import PolicyRecord
    from relay.io.operator_door import ApiRoute, Call, OperatorDoor
    from relay.io.policy_store import PolicyStore, Written
    from relay.policies import Compile, CompiledPolicy
    from relay.preconditions import Condition

T = TypeVar("T")
log = structlog.get_logger("policies")

MAX_READING = 16
"""How many bodies wait to be compiled at most: the largest take half a second each."""

REFILL_STEP = 20
"""How many policies are read and published in one turn of the loop; most have a few KiB."""


class PolicyDesk:
    """Make, change, delete and list policies.

    Args:
        store: what is on disk.
        bus: who tells everybody.
        door: lets operators in.
        wall: the time of day in Unix seconds.
        compile_: turns a text into a policy, or says why it is none.
        findings: what is odd about a policy, as plain JSON.
        at_hand: is given what was compiled, before the bus says that it is in force.
    """

    def __init__(
        self,
        store: PolicyStore,
        bus: Bus,
        door: OperatorDoor,
        *,
        wall: Callable[[], float],
        compile_: Compile,
        findings: Callable[[CompiledPolicy], Sequence[Mapping[str, Any]]],
        at_hand: Callable[[str, CompiledPolicy], None] = lambda _, __: None,
    ) -> None:
        self._store = store
        self._bus = bus
        self._door = door
        self._wall = wall
        self._compile = compile_
        self._findings = findings
        self._at_hand = at_hand
        # Records must reach the bus in the order of the disk; and one body is compiled at a time.
        self._order, self._compiling = asyncio.Lock(), asyncio.Lock()
        self._n_reading = 0
        self._writes: set[asyncio.Task[Any]] = set()
        self._offset = -1
        self._offsets: dict[str, int] = {}

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(LIST_POLICIES, self._list),
            self._door.route(GET_POLICY, self._get),
            self._door.route(PUT_POLICY, self._put),
            self._door.route(DELETE_POLICY, self._delete),
        ]

    async def refill(self) -> None:
        """Tell the bus all that is on disk; its topic has begun anew.

        Raises:
            JournalError: the file cannot be read.
        """
        after = -1
        async with self._order:
            while records := await self._store.newest(after, REFILL_STEP):
                for _, record in records:
                    self._publish(record)
                after = records[-1][0]

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _put(self, call: Call) -> Response:
        policy_id = call.path["policy_id"]
        if not POLICY_ID.fullmatch(policy_id):
            raise DecodeError("policy_id: 1 to 64 letters, digits, '_' or '-'")
        condition = condition_of(call.request.headers)
        if self._n_reading >= MAX_READING:
            detail = "others' policies are being compiled: send it again"
            return problem(503, "Service Unavailable", detail=detail, headers={"Retry-After": "1"})
        self._n_reading += 1
        try:
            async with self._compiling:
                text, policy, findings = await asyncio.to_thread(self._read, policy_id, call.body)
        finally:
            self._n_reading -= 1
        outcome, record = await self._lasting(self._write(policy_id, text, policy, condition, call.operator))
        if outcome is Outcome.FULL:
            return problem(507, "Insufficient Storage", detail=f"there are {MAX_POLICIES} policies: delete some first")
        if outcome is Outcome.CONDITION_FAILED:
            return _condition_failed(record)
        assert record is not None
        return JSONResponse(map_of(record, findings), 201 if outcome is Outcome.CREATED else 200, _tagged(record))

    def _read(self, policy_id: str, body: bytes) -> tuple[str, CompiledPolicy, Sequence[Mapping[str, Any]]]:
        text = text_of(policy_id, body)
        policy = self._compile(text)
        return text, policy, self._findings(policy)

    async def _write(
        self, policy_id: str, text: str, policy: CompiledPolicy, condition: Condition, operator: Operator
    ) -> Written:
        async with self._order:
            written = await self._store.put(policy_id, text, condition, now=self._wall(), by=operator.name)
            if written.outcome in (Outcome.CREATED, Outcome.CHANGED) and written.record is not None:
                self._at_hand(text, policy)
                self._publish(written.record)
                # What it says is on disk; the log says who changed it, and when.
                log.info("policy.made", policy_id=policy_id, version=written.record.version, by=operator.name)
            return written

    async def _delete(self, call: Call) -> Response:
        condition = condition_of(call.request.headers)
        written = await self._lasting(self._remove(call.path["policy_id"], condition, call.operator))
        if written.outcome is Outcome.ABSENT:
            return _absent()
        if written.outcome is Outcome.CONDITION_FAILED:
            return _condition_failed(written.record)
        return Response(status_code=204, headers=NO_STORE)

    async def _remove(self, policy_id: str, condition: Condition, operator: Operator) -> Written:
        async with self._order:
            written = await self._store.delete(policy_id, condition, now=self._wall(), by=operator.name)
            if written.outcome is Outcome.DELETED and written.record is not None:
                self._publish(written.record)
                log.info("policy.deleted", policy_id=policy_id, version=written.record.version, by=operator.name)
            return written

    async def _get(self, call: Call) -> Response:
        version = version_of(call.query)
        record = await self._store.find(call.path["policy_id"], version)
        if record is None or (version is None and record.text is None):
            return _absent()
        return JSONResponse(map_of(record), headers=_tagged(record))

    async def _list(self, call: Call) -> Response:
        listed = await self._store.page(page_of(call.query))
        body = {"policies": [head_map_of(one) for one in listed.entries], "next_after": listed.next_after}
        return JSONResponse(body, headers=NO_STORE)

    # Within.

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def _publish(self, record: PolicyRecord) -> None:
        self._offset += 1
        before = self._offsets.get(record.policy_id)
        self._offsets[record.policy_id] = self._offset
        self._bus.publish(policies_topic(), self._offset, record)
        if before is not None:
            self._bus.forget(policies_topic(), [before])


def _tagged(record: PolicyRecord) -> dict[str, str]:
    return {**NO_STORE, "ETag": f'"{record.version}"'}


def _absent() -> Response:
    return problem(404, "Not Found", detail="there is no such policy")


def _condition_failed(record: PolicyRecord | None) -> Response:
    there = "there is none" if record is None else f"its version is {record.version}"
    return problem(412, "Precondition Failed", reason="version_changed", detail=f"{there}: read it again first")
