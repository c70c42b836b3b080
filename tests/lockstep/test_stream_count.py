from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kernel.io.memory_bus import MemoryBus
from lockstep.stream_count import StreamCountHouse
from relay.io.session_policy_store import SessionPolicyStore
from relay.io.stream_count_desk import SUBJECT
from relay.sessions.policy_words import SessionPolicyRecord
from relay.stream_count.known import STREAM_COUNT, KnownRules
from tests.support.doors import open_door

TEXT = '{"stream_count":{"global":4}}'


async def test_what_is_on_disk_is_known_everywhere(tmp_path: Path) -> None:
    store, door = await SessionPolicyStore.open(tmp_path / "stream-count.sqlite"), await open_door(tmp_path)
    await store.put(SessionPolicyRecord(SUBJECT, TEXT, 1.0, "ops"))
    bus, here, elsewhere = MemoryBus(lambda: 0.0), KnownRules(), KnownRules()
    house, other = StreamCountHouse(bus, here, store, door), StreamCountHouse(bus, elsewhere, None, None)
    await house.refill()
    await other.refill()
    assert (len(house.routes()), other.routes()) == (3, [])
    assert (here.rules.everywhere, elsewhere.rules.everywhere) == (4, 4)
    await other.aclose()
    await house.aclose()
    bus.publish(STREAM_COUNT, 9, [None, 1.0, "ops"])
    assert (here.rules.everywhere, elsewhere.rules.everywhere) == (4, 4)
    await door.aclose()


@pytest.mark.parametrize("record", [['{"moon":1}', 1.0, "ops"], [], [7], ["{"]])
async def test_what_is_not_understood_leaves_what_there_was(record: list[object]) -> None:
    bus, known = MemoryBus(lambda: 0.0), KnownRules()
    house = StreamCountHouse(bus, known, None, None)
    await house.refill()
    bus.publish(STREAM_COUNT, 0, [TEXT, 1.0, "ops"])
    with capture_logs() as logs:
        bus.publish(STREAM_COUNT, 1, record)
    assert [line["event"] for line in logs] == ["stream_count.not_understood"]
    assert known.rules.everywhere == 4
    await house.aclose()
