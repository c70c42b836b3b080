from __future__ import annotations

import asyncio

from kernel.decisions import NOWHERE
from kernel.io.memory_bus import MemoryBus
from lockstep.measures.sessions import MEASURES, session_readings
from relay.io.session_keeper import SessionKeeper
from relay.sessions.model import Limit
from tests.support.far_book import FarBook
from tests.support.tokens import NOW, claims


async def test_who_watches_and_who_had_to_go_is_measured() -> None:
    now = asyncio.get_running_loop().time
    keeper = SessionKeeper(
        FarBook(lambda: float(NOW)), MemoryBus(now), wall=lambda: float(NOW), now=now,
        limits=lambda _: (Limit("event:game", 1),),
    )  # fmt: skip
    for session in ("s1", "s2"):
        assert await keeper.seat(claims(session=session), NOWHERE, media=True) is None
    readings = list(session_readings(keeper))
    said = {(one.measure.name, *labels): value for one in readings for labels, value in one.rows}
    assert [one.measure for one in readings] == list(MEASURES)
    assert said["lockstep_sessions",] == 1
    assert said["lockstep_sessions_ended",] == 1
    assert said["lockstep_session_admissions_total", "seated"] == 2
    assert said["lockstep_session_evictions_total", "session_limit"] == 1
    assert said["lockstep_session_evictions_total", "unlisted"] == 0
    assert said["lockstep_session_book_failures_total",] == 0
