from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kernel.io.memory_bus import MemoryBus
from lockstep.session_policies import SessionPolicyHouse
from relay.io.session_policy_store import SessionPolicyStore
from relay.sessions.policies import SESSION_POLICIES, SessionPolicies
from relay.sessions.policy_words import SessionPolicyRecord
from tests.support.doors import open_door
from tests.support.tokens import claims

TEXT = '{"event_id":"game","session_policy":{"max_concurrent":2}}'


async def test_what_is_on_disk_is_known_everywhere(tmp_path: Path) -> None:
    store, door = await SessionPolicyStore.open(tmp_path / "session-policies.sqlite"), await open_door(tmp_path)
    await store.put(SessionPolicyRecord("event:game", TEXT, 1.0, "ops"))
    bus, index, elsewhere = MemoryBus(lambda: 0.0), SessionPolicies(), SessionPolicies()
    house = SessionPolicyHouse(bus, index, store, door)
    await house.refill()
    assert len(house.routes()) == 4
    # Where the disk is another process's, by the bus.
    other = SessionPolicyHouse(bus, elsewhere, None, None)
    await other.refill()
    assert other.routes() == []
    for known in (index, elsewhere):
        found = known.governing(claims())
        assert found is not None
        assert found.policy.most == 2
    await other.aclose()
    await house.aclose()
    bus.publish(SESSION_POLICIES, 9, ["event:game", None, 1.0, "ops"])
    assert (len(index), len(elsewhere)) == (1, 1)
    await door.aclose()


@pytest.mark.parametrize("record", [["event:game", '{"moon":1}', 1.0, "ops"], ["event:game"], [7, TEXT], [None, None]])
async def test_what_is_not_understood_is_said(record: list[object]) -> None:
    bus, index = MemoryBus(lambda: 0.0), SessionPolicies()
    house = SessionPolicyHouse(bus, index, None, None)
    await house.refill()
    with capture_logs() as logs:
        bus.publish(SESSION_POLICIES, 0, record)
    assert [line["event"] for line in logs] == ["session_policy.not_understood"]
    assert index.governing(claims()) is None
    await house.aclose()
