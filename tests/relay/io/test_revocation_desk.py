from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.bus import revocations_topic
from kernel.errors import JournalError
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.revocation import Reinstatement, Revocation, RevocationChange, RevocationIndex, Subject, SubjectKind
from relay.io import revocation_desk
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.operators import operator_key
from relay.revocation_words import PATH, Wanted
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW, claims

ANN = {"kind": "account", "value": "ann"}


class Rig:
    """A desk with a store on disk, a bus that somebody listens to, and a client."""

    def __init__(self, store: RevocationStore, door: Door, *, retain: bool = True, prefix: str = "r") -> None:
        self._prefix = prefix
        self.store = store
        self.door = door
        self.bus = MemoryBus(lambda: 0.0)
        self.index = RevocationIndex()
        self.heard: list[tuple[int, RevocationChange]] = []
        self.bus.subscribe(revocations_topic(), self._hear)
        self.now = float(NOW)
        self.making = asyncio.Event()
        self.tidied = asyncio.Event()
        self._ids = 0
        self._looks = 0
        self.desk = RevocationDesk(
            store, self.bus, door, wall=self._wall, new_id=self._new_id, live=self.index.__len__,
            retain=retain,
        )  # fmt: skip
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    def _new_id(self) -> str:
        self.making.set()
        self._ids += 1
        return f"{self._prefix}{self._ids}"

    def _wall(self) -> float:
        self._looks += 1
        if self._looks == 5:
            self.tidied.set()
        return self.now

    def _hear(self, offset: int, change: RevocationChange) -> None:
        self.heard.append((offset, change))
        self.index.apply(change)

    async def ask(self, method: str, path: str = PATH, *, key: str | None = FULL, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.request(method, path, headers=headers, **more)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.door.aclose()
        await self.desk.aclose()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(await RevocationStore.open(tmp_path / "revocations.sqlite"), await open_door(tmp_path))
    yield rig
    await rig.aclose()


async def test_a_revocation_is_on_the_bus_when_it_is_acknowledged(rig: Rig) -> None:
    body = {**ANN, "reason": "shared it", "expires": (NOW + 3600) * 1000}
    with capture_logs() as logs:
        answer = await rig.ask("POST", json=body)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {**body, "id": "r1", "made": NOW * 1000, "by": "ops"}
    subject = Subject(SubjectKind.ACCOUNT, "ann")
    assert rig.heard == [(0, Revocation("r1", subject, "shared it", NOW, NOW + 3600, "ops"))]
    assert rig.index.covers(claims(), NOW)
    (line,) = logs
    assert (line["event"], line["id"], line["reason"], line["by"]) == ("revocation.made", "r1", "shared it", "ops")


async def test_the_same_twice_is_one(rig: Rig) -> None:
    first, second = [await rig.ask("POST", json=ANN) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(rig.heard) == 1
    assert (await rig.ask("POST", json={**ANN, "reason": "later word"})).json()["id"] == "r1"
    assert len(rig.heard) == 2


async def test_many_at_once_come_in_the_order_of_their_offsets(rig: Rig) -> None:
    await asyncio.gather(*(rig.ask("POST", json={"kind": "token", "value": str(number)}) for number in range(50)))
    assert [offset for offset, _ in rig.heard] == list(range(50))
    assert len(rig.index) == 50


async def test_it_is_undone_by_its_id(rig: Rig) -> None:
    await rig.ask("POST", json=ANN)
    answer = await rig.ask("DELETE", f"{PATH}/r1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert rig.heard[-1] == (1, Reinstatement("r1", Subject(SubjectKind.ACCOUNT, "ann")))
    assert not rig.index.covers(claims(), NOW)
    again = await rig.ask("DELETE", f"{PATH}/r1")
    assert (again.status_code, again.json()["title"]) == (404, "Not Found")
    assert len(rig.heard) == 2


async def test_pages(rig: Rig) -> None:
    for number in range(3):
        await rig.ask("POST", json={"kind": "token", "value": str(number)})
    first = (await rig.ask("GET", f"{PATH}?limit=2", key=READER)).json()
    assert [one["value"] for one in first["revocations"]] == ["0", "1"]
    last = (await rig.ask("GET", f"{PATH}?limit=2&after={first['next_after']}")).json()
    assert ([one["value"] for one in last["revocations"]], last["next_after"]) == (["2"], None)


@pytest.mark.parametrize("key", [None, "lko_", operator_key(b"x" * 32), "eyJ.eyJ.x"])
@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", PATH), ("DELETE", f"{PATH}/r1")])
async def test_strangers_learn_nothing(rig: Rig, method: str, path: str, key: str | None) -> None:
    answer = await rig.ask(method, path, key=key, content=b"{" if method == "POST" else None)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401}
    assert rig.heard == []


async def test_a_reader_may_only_read(rig: Rig) -> None:
    for method, path in (("POST", PATH), ("DELETE", f"{PATH}/r1")):
        answer = await rig.ask(method, path, key=READER, json=ANN if method == "POST" else None)
        assert (answer.status_code, answer.json()["reason"]) == (403, "scope_missing")
    assert rig.heard == []


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, ""),
        (b"{", 422, ""),
        (json.dumps({"kind": "ip", "value": "x"}).encode(), 422, "kind: Input should be"),
        (json.dumps({**ANN, "expires": NOW * 1000}).encode(), 422, "expires: it must lie ahead"),
        (b'{"kind":"token","value":"' + b"x" * 5_000 + b'"}', 413, "at most 4096 bytes"),
    ],
)
async def test_what_cannot_be_understood_is_said(rig: Rig, content: bytes, status: int, says: str) -> None:
    answer = await rig.ask("POST", content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
    assert rig.heard == []


async def test_a_wrong_page_is_said(rig: Rig) -> None:
    answer = await rig.ask("GET", f"{PATH}?limit=0")
    assert (answer.status_code, answer.json()["detail"]) == (422, "limit: a number from 1 to 1000 is expected")


async def test_there_is_a_limit_to_how_many(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_desk, "MAX_LIVE", 1)
    assert (await rig.ask("POST", json=ANN)).status_code == 201
    assert (await rig.ask("POST", json={**ANN, "value": "bob"})).status_code == 507


async def test_a_disk_that_does_not_take_it_is_said(rig: Rig) -> None:
    await rig.store.aclose()
    for method, path in (("POST", PATH), ("GET", PATH), ("DELETE", f"{PATH}/r1")):
        answer = await rig.ask(method, path, json=ANN if method == "POST" else None)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert rig.heard == []
    with capture_logs() as logs:
        await rig.desk.tidy()
    assert [line["event"] for line in logs] == ["revocations.not_tidied"]


async def test_what_is_on_disk_comes_on_the_bus_though_nobody_waits_for_it(rig: Rig) -> None:
    asked = asyncio.create_task(rig.ask("POST", json=ANN))
    await rig.making.wait()
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    await rig.desk.aclose()
    assert rig.index.covers(claims(), NOW)


async def test_a_restart_tells_the_bus_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_desk, "REFILL_STEP", 2)
    path = tmp_path / "revocations.sqlite"
    first = Rig(await RevocationStore.open(path), await open_door(tmp_path))
    for number in range(5):
        await first.ask("POST", json={"kind": "token", "value": str(number)})
    await first.ask("DELETE", f"{PATH}/r1")
    await first.aclose()
    again = Rig(await RevocationStore.open(path), await open_door(tmp_path), retain=False, prefix="s")
    await again.desk.refill()
    assert [offset for offset, _ in again.heard] == [1, 2, 3, 4, 5]
    assert len(again.index) == 4
    # Within one process all have heard it: nothing is kept twice.
    late: list[int] = []
    again.bus.subscribe(revocations_topic(), lambda offset, _: late.append(offset))
    assert late == []
    await again.ask("POST", json=ANN)
    assert again.heard[-1][0] == 6
    await again.aclose()


async def test_housekeeping_keeps_the_topic_short(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_desk, "REFILL_STEP", 2)
    await rig.ask("POST", json=ANN)
    for number in range(10):
        await rig.ask("POST", json={**ANN, "value": "bob", "reason": str(number)})
    await rig.desk.tidy()
    retained: list[int] = []
    rig.bus.subscribe(revocations_topic(), lambda offset, _: retained.append(offset))
    assert retained == [11, 12]
    assert len(rig.index) == 2


async def test_housekeeping_goes_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_desk, "HOUSEKEEPING_S", 0.001)
    await rig.ask("POST", json={**ANN, "expires": (NOW + 60) * 1000})
    task = asyncio.create_task(rig.desk.run())
    rig.now = NOW + 10_000
    await rig.tidied.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await rig.store.changes(-1, 1) == []


async def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "revocations.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="no SQLite file"):
        await RevocationStore.open(path)


async def test_what_nobody_would_hear_of_is_not_taken(rig: Rig) -> None:
    made = (await rig.ask("POST", json=ANN)).json()
    rig.door.holds = False
    for method, path, body in (("POST", PATH, {**ANN, "value": "bob"}), ("DELETE", f"{PATH}/{made['id']}", None)):
        answer = await rig.ask(method, path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await rig.ask("GET")).json()["revocations"] == [made]
    rig.door.holds = True
    assert (await rig.ask("DELETE", f"{PATH}/{made['id']}")).status_code == 204


async def test_who_is_no_operator_revokes_without_waiting(rig: Rig) -> None:
    wanted = Wanted(Subject(SubjectKind.SESSION, "session-1"), "leak: fast", NOW + 3_600)
    with capture_logs() as logs:
        rig.desk.revoke_soon(wanted, "leak-detector")
        # What was begun is finished before the store is closed.
        await rig.desk.aclose()
    assert rig.index.covers(claims(), NOW)
    assert [(line["event"], line["by"], line["reason"]) for line in logs] == [
        ("revocation.made", "leak-detector", "leak: fast")
    ]


async def test_what_nobody_waits_for_and_cannot_be_done_is_in_the_log(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(Subject(SubjectKind.SESSION, "session-1"), "leak: fast", NOW + 3_600)
    monkeypatch.setattr(revocation_desk, "MAX_LIVE", 0)
    with capture_logs() as logs:
        rig.desk.revoke_soon(wanted, "leak-detector")
        await rig.desk.aclose()
        monkeypatch.setattr(revocation_desk, "MAX_LIVE", 9)
        # The store is closed.
        rig.desk.revoke_soon(wanted, "leak-detector")
        await asyncio.gather(*rig.desk._writes)
    assert [line["event"] for line in logs] == ["revocation.not_made"] * 2
    assert len(rig.index) == 0
