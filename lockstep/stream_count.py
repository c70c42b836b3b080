"""The stream count in one process: its rules known in every one that counts sessions, made where the disk is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from starlette.routing import Route

from kernel.io.system_time import new_id, wall
from relay.io.stream_count_desk import StreamCountDesk
from relay.stream_count.known import STREAM_COUNT, KnownRules

if TYPE_CHECKING:
    from kernel.bus import Bus, Cancel
    from relay.io.operator_door import OperatorDoor
    from relay.io.session_policy_store import SessionPolicyStore

log = structlog.get_logger("sessions")


class StreamCountHouse:
    """Know the rules of the stream count by the bus; and make them, where the disk is.

    Args:
        bus: who tells everybody.
        known: the rules.
        store: what is on disk, None where that is another process's; closed by us.
        door: lets operators in, None likewise.
    """

    def __init__(
        self, bus: Bus, known: KnownRules, store: SessionPolicyStore | None, door: OperatorDoor | None
    ) -> None:  # fmt: skip
        self._bus = bus
        self._known = known
        self._cancel: Cancel | None = None
        self.desk: StreamCountDesk | None = None
        if store is not None and door is not None:
            self.desk = StreamCountDesk(store, bus, door, wall=wall)

    def routes(self) -> list[Route]:
        """Return the operators' routes, none where the disk is another process's."""
        return [*self.desk.routes()] if self.desk is not None else []

    async def refill(self) -> None:
        """Listen, and tell the bus what is on disk, if it is here.

        Raises:
            JournalError: the file cannot be read.
        """
        self._cancel = self._bus.subscribe(STREAM_COUNT, self._heard)
        if self.desk is not None:
            self._bus.begin(STREAM_COUNT, new_id())
            await self.desk.refill()

    async def aclose(self) -> None:
        """Listen no more; finish what was begun, then close the file."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self.desk is not None:
            await self.desk.aclose()

    def _heard(self, _: int, record: list[Any]) -> None:
        text = record[0] if record else ""
        why = self._known.heard(text) if text is None or isinstance(text, str) else "a text is expected"
        if why is not None:
            log.error("stream_count.not_understood", error=why)
