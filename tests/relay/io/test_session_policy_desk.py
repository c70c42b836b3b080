from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from relay.io import session_policy_store
from relay.io.session_policy_desk import SessionPolicyDesk
from relay.io.session_policy_store import SessionPolicyStore
from relay.sessions.policies import SESSION_POLICIES
from relay.sessions.policy_words import PATH
from tests.relay.sessions.test_policy_text import VERBATIM
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW

SEASON: dict[str, Any] = {"plan": "season", "session_policy": {"max_concurrent": 5}}


class Rig:
    """A desk with a store on disk, a bus that somebody listens to, and a client."""

    def __init__(self, store: SessionPolicyStore, door: Door) -> None:
        self.door = door
        self.bus = MemoryBus(lambda: 0.0)
        self.heard: list[list[Any]] = []
        self.bus.subscribe(SESSION_POLICIES, lambda _, record: self.heard.append(record))
        self.desk = SessionPolicyDesk(store, self.bus, door, wall=lambda: float(NOW))
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    def retained(self) -> list[str]:
        found: list[str] = []
        self.bus.subscribe(SESSION_POLICIES, lambda _, record: found.append(record[0]))()
        return found

    async def ask(self, method: str, path: str = PATH, *, key: str = FULL, **more: Any) -> httpx2.Response:
        return await self.http.request(method, path, headers={"Authorization": f"Bearer {key}"}, **more)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.door.aclose()
        await self.desk.aclose()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(await SessionPolicyStore.open(tmp_path / "session-policies.sqlite"), await open_door(tmp_path))
    yield rig
    await rig.aclose()


async def test_the_body_as_the_formats_have_it_is_on_the_bus_when_it_is_acknowledged(rig: Rig) -> None:
    with capture_logs() as logs:
        answer = await rig.ask("POST", content=VERBATIM)
    assert (answer.status_code, answer.json()) == (201, {**json.loads(VERBATIM), "made": NOW * 1000, "by": "ops"})
    ((subject, text, made, by),) = rig.heard
    assert (subject, json.loads(text), made, by) == ("event:game", json.loads(VERBATIM), NOW, "ops")
    read = await rig.ask("GET", f"{PATH}/event/game", key=READER)
    assert (read.status_code, read.json()) == (200, answer.json())
    assert [(line["event"], line["subject"], line["by"]) for line in logs] == [
        ("session_policy.made", "event:game", "ops")
    ]
    assert (await rig.ask("POST", content=VERBATIM)).status_code == 200


async def test_one_takes_the_place_of_the_one_before(rig: Rig) -> None:
    await rig.ask("POST", json=SEASON)
    await rig.ask("POST", content=VERBATIM)
    assert (await rig.ask("POST", json={**SEASON, "session_policy": {}})).status_code == 200
    assert rig.retained() == ["event:game", "plan:season"]
    listed = (await rig.ask("GET", f"{PATH}?limit=1", key=READER)).json()
    assert [one["plan"] for one in listed["session_policies"]] == ["season"]
    rest = (await rig.ask("GET", f"{PATH}?after={listed['next_after']}", key=READER)).json()
    assert ([one["event_id"] for one in rest["session_policies"]], rest["next_after"]) == (["game"], None)


async def test_it_is_deleted_everywhere(rig: Rig) -> None:
    await rig.ask("POST", json=SEASON)
    assert (await rig.ask("DELETE", f"{PATH}/plan/season", key=READER)).status_code == 403
    assert (await rig.ask("DELETE", f"{PATH}/plan/season")).status_code == 204
    assert rig.heard[-1] == ["plan:season", None, NOW, "ops"]
    for method in ("GET", "DELETE"):
        assert (await rig.ask(method, f"{PATH}/plan/season")).status_code == 404
        assert (await rig.ask(method, f"{PATH}/moon/season")).status_code == 404


async def test_only_who_may_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rig.ask("POST", key=READER, json=SEASON)).status_code == 403
    answer = await rig.ask("POST", json={**SEASON, "event_id": "game"})
    assert (answer.status_code, "event_id or plan" in answer.json()["detail"]) == (422, True)
    monkeypatch.setattr(session_policy_store, "MAX_SESSION_POLICIES", 0)
    assert (await rig.ask("POST", json=SEASON)).status_code == 507
    assert rig.heard == []


async def test_what_is_on_disk_is_told_again(rig: Rig) -> None:
    await rig.ask("POST", json=SEASON)
    await rig.ask("POST", content=VERBATIM)
    await rig.ask("DELETE", f"{PATH}/plan/season")
    rig.bus.begin(SESSION_POLICIES, "another life")
    rig.heard.clear()
    await rig.desk.refill()
    assert [(record[0], record[1] is None) for record in rig.heard] == [("plan:season", True), ("event:game", False)]
