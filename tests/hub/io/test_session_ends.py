"""Sessions that have to go, on real sockets."""

from __future__ import annotations

from hub.io.session_ends import SessionEnds
from kernel.decisions import Ending
from kernel.tokens import Reason
from tests.hub.io.test_driver import farewell, hear, running

LEAVING = {"op": "session", "state": "leaving", "ends": 5_000, "code": "session_limit", "by": "s2"}


async def test_a_session_is_warned_then_ended_and_nobody_else() -> None:
    async with running() as rig, rig.client() as one, rig.client("fresh") as other:
        ends = SessionEnds(rig.hub)
        for client in (one, other):
            await hear(client, "hello")
        ends.warn_session("s", Ending(5_000, "session_limit", "s2"))
        assert await hear(one, "session") == LEAVING
        ends.end_session("s", Reason.EVICTED, "session_limit")
        ends.warn_session("s", Ending(5_000, "session_limit", "s2"))
        frame, code = await farewell(one)
        assert (frame["reason"], code) == ("session_limit", 4509)
        ends.end_session("fresh", Reason.SESSION_LIMIT, "session_limit")
        frame, code = await farewell(other)
        assert (frame["op"], code) == ("bye", 4513)
