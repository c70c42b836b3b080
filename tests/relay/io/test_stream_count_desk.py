from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from relay.io.session_policy_store import SessionPolicyStore
from relay.io.stream_count_desk import StreamCountDesk
from relay.stream_count.known import STREAM_COUNT, KnownRules
from relay.stream_count.words import PATH
from tests.relay.stream_count.test_rules import BODY
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW


class Rig:
    """A desk with a store on disk, a bus that somebody listens to, and a client."""

    def __init__(self, store: SessionPolicyStore, door: Door) -> None:
        self.door = door
        self.bus = MemoryBus(lambda: 0.0)
        self.known = KnownRules()
        self.bus.subscribe(STREAM_COUNT, lambda _, record: self.hear(record))
        self.desk = StreamCountDesk(store, self.bus, door, wall=lambda: float(NOW))
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    def hear(self, record: list[Any]) -> None:
        assert self.known.heard(record[0]) is None

    async def ask(self, method: str, *, key: str = FULL, **more: Any) -> httpx2.Response:
        return await self.http.request(method, PATH, headers={"Authorization": f"Bearer {key}"}, **more)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.door.aclose()
        await self.desk.aclose()


async def made(tmp_path: Path) -> Rig:
    return Rig(await SessionPolicyStore.open(tmp_path / "stream-count.sqlite"), await open_door(tmp_path))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await made(tmp_path)
    yield rig
    await rig.aclose()


async def test_rules_count_when_they_are_acknowledged(rig: Rig) -> None:
    with capture_logs() as logs:
        answer = await rig.ask("PUT", json=BODY)
    assert (answer.status_code, answer.json()) == (200, {**BODY, "made": NOW * 1000, "by": "ops"})
    assert rig.known.rules.everywhere == 4
    assert (await rig.ask("GET", key=READER)).json() == answer.json()
    assert [(line["event"], line["by"]) for line in logs] == [("stream_count.made", "ops")]


async def test_they_are_deleted(rig: Rig) -> None:
    assert (await rig.ask("GET")).status_code == 404
    assert (await rig.ask("DELETE")).status_code == 404
    await rig.ask("PUT", json=BODY)
    assert (await rig.ask("DELETE", key=READER)).status_code == 403
    assert (await rig.ask("DELETE")).status_code == 204
    assert rig.known.rules.everywhere is None
    assert (await rig.ask("GET")).status_code == 404


async def test_what_does_not_hang_together_is_refused(rig: Rig) -> None:
    answer = await rig.ask("PUT", json={"stream_count": {"assets": {"final": {"category": "x"}}}})
    assert answer.status_code == 422
    assert "there is no category x" in answer.json()["detail"]


async def test_a_restart_tells_them_again(tmp_path: Path) -> None:
    rig = await made(tmp_path)
    await rig.ask("PUT", json=BODY)
    await rig.aclose()
    again = await made(tmp_path)
    assert again.known.rules.everywhere is None
    await again.desk.refill()
    assert again.known.rules.everywhere == 4
    await again.aclose()
