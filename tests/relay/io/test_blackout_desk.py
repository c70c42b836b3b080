from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.blackouts import BlackoutRecord
from kernel.bus import blackouts_topic
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from relay.blackout_words import FADE_S, PATH, ended_of
from relay.io import blackout_store
from relay.io.blackout_desk import BlackoutDesk
from relay.io.blackout_store import BlackoutStore
from tests.relay.test_blackout_text import VERBATIM
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW

BLACKOUT: dict[str, Any] = {"event_id": "game1", "blackout_zones": [{"type": "all", "action": "block"}]}
TEXT = '{"blackout_zones":[{"action":"block","type":"all"}],"event_id":"game1"}'


class Rig:
    """A desk with a store on disk, a bus that somebody listens to, and a client."""

    def __init__(self, store: BlackoutStore, door: Door) -> None:
        self.store, self.door = store, door
        self.bus = MemoryBus(lambda: 0.0)
        self.heard: list[BlackoutRecord] = []
        self.settled: list[int] = []
        self.bus.subscribe(blackouts_topic(), lambda _, record: self.heard.append(record))
        self.wall = float(NOW)
        self.why: str | None = None
        numbers = count(1)
        self.desk = BlackoutDesk(
            store, self.bus, door, showings={"game1", "local-broadcast-feed"}, wall=lambda: self.wall,
            new_id=lambda: f"blk_{next(numbers)}", unfit=self.unfit, settle=self.settle,
        )  # fmt: skip
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    async def settle(self) -> None:
        """Take note of how much had been heard when an answer waited for it to be in force."""
        self.settled.append(len(self.heard))

    async def unfit(self, event_id: str, redirect: str) -> str | None:
        return self.why

    def retained(self) -> list[tuple[str, str | None]]:
        found: list[tuple[str, str | None]] = []
        self.bus.subscribe(blackouts_topic(), lambda _, record: found.append((record.blackout_id, record.text)))()
        return found

    async def ask(
        self, method: str, path: str = PATH, *, key: str | None = FULL, headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:  # fmt: skip
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.request(method, path, headers=shown | (headers or {}), **more)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.door.aclose()
        await self.desk.aclose()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(await BlackoutStore.open(tmp_path / "blackouts.sqlite"), await open_door(tmp_path))
    yield rig
    await rig.aclose()


async def test_a_blackout_is_on_the_bus_when_it_is_acknowledged(rig: Rig) -> None:
    with capture_logs() as logs:
        answer = await rig.ask("POST", json=BLACKOUT)
    told = {"blackout_id": "blk_1", "event_id": "game1", "made": NOW * 1000, "by": "ops", "blackout": BLACKOUT}
    assert (answer.status_code, answer.json()) == (201, told)
    assert answer.headers["cache-control"] == "no-store"
    assert rig.heard == [BlackoutRecord("blk_1", "game1", TEXT, NOW, "ops")]
    assert rig.settled == [1]
    read = await rig.ask("GET", f"{PATH}/blk_1", key=READER)
    assert (read.status_code, read.json()) == (200, told)
    assert [(line["event"], line["blackout_id"], line["by"]) for line in logs] == [("blackout.made", "blk_1", "ops")]


async def test_the_body_as_the_formats_have_it(rig: Rig) -> None:
    rig.wall = 1_774_600_000.0
    answer = await rig.ask("POST", content=VERBATIM)
    assert (answer.status_code, answer.json()["blackout"]) == (201, json.loads(VERBATIM))


async def test_it_is_ended_everywhere(rig: Rig) -> None:
    await rig.ask("POST", json=BLACKOUT)
    await rig.ask("POST", json=BLACKOUT)
    assert (await rig.ask("DELETE", f"{PATH}/blk_1", key=READER)).status_code == 403
    assert (await rig.ask("DELETE", f"{PATH}/blk_1")).status_code == 204
    assert rig.settled == [1, 2, 3]
    for method in ("GET", "DELETE"):
        answer = await rig.ask(method, f"{PATH}/blk_1")
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such blackout")
    assert rig.heard[-1] == BlackoutRecord("blk_1", "game1", None, NOW, "ops")
    # Of what has been ended the topic keeps only that.
    assert rig.retained() == [("blk_2", TEXT), ("blk_1", None)]


REDIRECT: dict[str, Any] = {
    "event_id": "game1",
    "blackout_zones": [{"type": "all", "action": "redirect", "redirect_stream": "local-broadcast-feed"}],
}


async def test_a_redirect_that_has_begun_stays_with_its_end(rig: Rig) -> None:
    await rig.ask("POST", json=REDIRECT)
    rig.wall += 60
    made = rig.heard[-1]
    assert made.text is not None
    ended = ended_of(made.text, rig.wall)
    assert ended is not None
    assert (await rig.ask("DELETE", f"{PATH}/blk_1")).status_code == 204
    assert rig.heard[-1] == BlackoutRecord("blk_1", "game1", ended[0], NOW, "ops")
    assert rig.retained() == [("blk_1", ended[0])]
    assert (await rig.ask("GET")).json()["blackouts"] == []
    for method in ("GET", "DELETE"):
        assert (await rig.ask(method, f"{PATH}/blk_1")).status_code == 404
    # Whoever makes the next one has it forgotten, once no list can show it any more.
    rig.wall += FADE_S
    await rig.ask("POST", json=BLACKOUT)
    assert rig.retained() == [("blk_1", None), ("blk_2", TEXT)]


async def test_it_is_forgotten_at_once_if_that_is_said(rig: Rig) -> None:
    await rig.ask("POST", json=REDIRECT)
    assert (await rig.ask("DELETE", f"{PATH}/blk_1?forget=yes")).status_code == 422
    assert (await rig.ask("DELETE", f"{PATH}/blk_1?forget=true")).status_code == 204
    assert rig.retained() == [("blk_1", None)]


async def test_one_that_has_not_begun_is_forgotten(rig: Rig) -> None:
    await rig.ask("POST", json={**REDIRECT, "start": "2099-01-01T00:00:00Z"})
    assert (await rig.ask("DELETE", f"{PATH}/blk_1")).status_code == 204
    assert rig.retained() == [("blk_1", None)]


async def test_lists(rig: Rig) -> None:
    for _ in range(3):
        await rig.ask("POST", json=BLACKOUT)
    first = (await rig.ask("GET", f"{PATH}?limit=2")).json()
    assert [one["blackout_id"] for one in first["blackouts"]] == ["blk_1", "blk_2"]
    rest = (await rig.ask("GET", f"{PATH}?after={first['next_after']}")).json()
    assert ([one["blackout_id"] for one in rest["blackouts"]], rest["next_after"]) == (["blk_3"], None)
    assert (await rig.ask("GET", f"{PATH}?event_id=elsewhere")).json()["blackouts"] == []
    assert (await rig.ask("GET", f"{PATH}?event_id=a/b")).status_code == 422


async def test_what_is_wrong_is_refused_with_the_reason(rig: Rig) -> None:
    async def refused(**changes: Any) -> tuple[int, str | None, str]:
        answer = await rig.ask("POST", json={**BLACKOUT, **changes})
        return answer.status_code, answer.json().get("reason"), answer.json()["detail"]

    assert await refused(end="2020-01-01T00:00:00Z") == (422, None, "end: it lies in the past")
    assert (await refused(moon=1))[0] == 422
    assert await refused(event_id="b") == (409, "showing_unknown", "event_id: there is no showing b")
    zone = {"type": "all", "action": "redirect", "redirect_stream": "c"}
    assert await refused(blackout_zones=[zone]) == (409, "showing_unknown", "redirect_stream: there is no showing c")
    rig.why = "it has no rendition audio-en"
    zone["redirect_stream"] = "local-broadcast-feed"
    assert await refused(blackout_zones=[zone]) == (
        409, "redirect_unfit", "redirect_stream: local-broadcast-feed: it has no rendition audio-en",
    )  # fmt: skip
    assert (await rig.ask("POST", content=b"x" * 70_000)).status_code == 413
    assert (await rig.ask("POST", json=BLACKOUT, key=READER)).status_code == 403
    assert (await rig.ask("POST", json=BLACKOUT, key=None)).status_code == 401
    assert rig.heard == []


async def test_there_is_an_end_to_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackout_store, "MAX_BLACKOUTS", 1)
    assert (await rig.ask("POST", json=BLACKOUT)).status_code == 201
    assert (await rig.ask("POST", json=BLACKOUT)).status_code == 507
    assert len(rig.heard) == 1


async def test_sent_again_with_a_key_it_is_made_once(rig: Rig) -> None:
    answers = await asyncio.gather(
        *(rig.ask("POST", json=BLACKOUT, headers={"Idempotency-Key": "once"}) for _ in range(3))
    )
    again = await rig.ask("POST", json=BLACKOUT, headers={"Idempotency-Key": "once"})
    assert {answer.json()["blackout_id"] for answer in (*answers, again)} == {"blk_1"}
    assert len(rig.heard) == 1


async def test_after_a_restart_the_bus_is_told_all(tmp_path: Path) -> None:
    store = await BlackoutStore.open(tmp_path / "blackouts.sqlite")
    first = Rig(store, await open_door(tmp_path / "first"))
    await first.ask("POST", json=BLACKOUT)
    await first.ask("POST", json=BLACKOUT)
    await first.ask("DELETE", f"{PATH}/blk_1")
    await first.aclose()
    second = Rig(await BlackoutStore.open(tmp_path / "blackouts.sqlite"), await open_door(tmp_path / "second"))
    await second.desk.refill()
    assert [(record.blackout_id, record.text) for record in second.heard] == [("blk_1", None), ("blk_2", TEXT)]
    await second.aclose()
