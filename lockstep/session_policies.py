"""Session policies in one process: known in every one that counts sessions, made where the disk is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from starlette.routing import Route

from kernel.io.system_time import new_id, wall
from relay.io.session_policy_desk import SessionPolicyDesk
from relay.sessions.policies import SESSION_POLICIES

if TYPE_CHECKING:
    from kernel.bus import Bus, Cancel
    from relay.io.operator_door import OperatorDoor
    from relay.io.session_policy_store import SessionPolicyStore
    from relay.sessions.policies import SessionPolicies

log = structlog.get_logger("sessions")


class SessionPolicyHouse:
    """Know the session policies by the bus; and make them, where the disk is.

    Args:
        bus: who tells everybody.
        index: those that there are.
        store: what is on disk, None where that is another process's; closed by us.
        door: lets operators in, None likewise.
    """

    def __init__(
        self, bus: Bus, index: SessionPolicies, store: SessionPolicyStore | None, door: OperatorDoor | None
    ) -> None:
        self._bus = bus
        self._index = index
        self._cancel: Cancel | None = None
        self.desk: SessionPolicyDesk | None = None
        if store is not None and door is not None:
            self.desk = SessionPolicyDesk(store, bus, door, wall=wall)

    def routes(self) -> list[Route]:
        """Return the operators' routes, none where the disk is another process's."""
        return [*self.desk.routes()] if self.desk is not None else []

    async def refill(self) -> None:
        """Listen, and tell the bus all that is on disk, if it is here.

        Raises:
            JournalError: the file cannot be read.
        """
        self._cancel = self._bus.subscribe(SESSION_POLICIES, self._heard)
        if self.desk is not None:
            # As with revocations: no record takes the offset of one from an earlier life, and is dropped.
            self._bus.begin(SESSION_POLICIES, new_id())
            await self.desk.refill()

    async def aclose(self) -> None:
        """Listen no more; finish what was begun, then close the file."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self.desk is not None:
            await self.desk.aclose()

    def _heard(self, _: int, record: list[Any]) -> None:
        try:
            subject, text, *_more = record
            if not isinstance(subject, str) or not (text is None or isinstance(text, str)):
                raise TypeError("texts are expected")
        except (TypeError, ValueError) as error:
            log.error("session_policy.not_understood", error=str(error))
            return
        why = self._index.heard(subject, text)
        if why is not None:
            # From now on what is usual counts.
            log.error("session_policy.not_understood", subject=subject, error=why)
