from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kernel.errors import JournalError, SettingsError
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing
from lockstep.keys import ensure_keys, read_keys
from lockstep.settings import ShowingSettings, SourceSettings
from lockstep.showings import desk as module
from lockstep.showings.desk import ShowingDesk
from lockstep.showings.lineup import Lineup
from lockstep.showings.origins import AllowedOrigins
from lockstep.showings.store import ShowingStore
from lockstep.showings.words import PATH, SHOWINGS
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW

CUP = f"{PATH}/cup"
DESK = {"desk": {"vendor": "lockstep"}}
BODY: dict[str, Any] = {"event_id": "cup", "origin": "http://10.0.0.1/i.m3u8?key=s3cret", "sources": DESK}
SET = ShowingSettings(origin="file:///g.m3u8", sources={"nba": SourceSettings(vendor="nba")})


class Rig:
    """A desk with a store on disk, a bus, a file of keys, and a client."""

    def __init__(
        self, folder: Path, store: ShowingStore, door: Door, options: dict[str, ShowingSettings] | None = None
    ) -> None:
        options = options or {"game": SET}
        self.folder = folder
        self.store, self.door = store, door
        self.bus = MemoryBus(lambda: 0.0)
        self.heard: list[Mapping[str, Any]] = []
        self.bus.subscribe(SHOWINGS, lambda _, record: self.heard.append(record))
        resolved = {event_id: Showing(event_id, "file:///g.m3u8") for event_id in options}
        self.lineup = Lineup(self.bus, dict(resolved), [])
        self.lineup.start()
        self.running = asyncio.create_task(self.lineup.run())
        self.desk = ShowingDesk(
            store, self.bus, door, settings=options, resolved=resolved,
            origins=AllowedOrigins(["http://10.0.0.1", "http://10.0.0.2"], None), data_dir=folder, max_showings=3,
            wall=lambda: float(NOW), lineup=self.lineup,
        )  # fmt: skip
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    def retained(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        self.bus.subscribe(SHOWINGS, lambda _, one: found.append((one["event_id"], one["version"])))()
        return found

    async def ask(
        self,
        method: str,
        path: str = PATH,
        *,
        key: str | None = FULL,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.request(method, path, headers=shown | (headers or {}), **more)

    async def secrets(self) -> dict[str, str]:
        return dict((await asyncio.to_thread(read_keys, self.folder)).webhook_secrets)

    async def aclose(self) -> None:
        await self.http.aclose()
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.door.aclose()
        await self.desk.aclose()


async def opened(folder: Path, options: dict[str, ShowingSettings] | None = None) -> Rig:
    await asyncio.to_thread(ensure_keys, folder, ["nba"])
    rig = Rig(folder, await ShowingStore.open(folder / "showings.sqlite"), await open_door(folder), options)
    await rig.desk.refill()
    return rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await opened(tmp_path)
    yield rig
    await rig.aclose()


async def test_a_showing_is_made_and_its_secret_told_once(rig: Rig) -> None:
    made = await rig.ask("POST", json=BODY)
    told = made.json()
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, CUP, '"1"')
    assert (told["from"], told["version"], told["made"], told["by"]) == ("api", 1, NOW * 1000, "ops")
    assert told["secrets"] == {"desk": (await rig.secrets())["desk"]}
    assert [(one["event_id"], one["origin"]) for one in rig.heard] == [("cup", BODY["origin"])]
    assert rig.lineup.showings["cup"].origin == BODY["origin"]
    read = await rig.ask("GET", CUP, key=READER)
    assert (read.status_code, read.headers["etag"]) == (200, '"1"')
    assert "secrets" not in read.json()
    assert "s3cret" not in read.text


async def test_the_same_key_makes_it_once_and_tells_the_secret_again(rig: Rig) -> None:
    repeat = {"Idempotency-Key": "k1"}
    first = await rig.ask("POST", json=BODY, headers=repeat)
    again = await rig.ask("POST", json=BODY, headers=repeat)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == CUP
    assert len(rig.heard) == 1
    assert (await rig.ask("POST", json=BODY)).json()["reason"] == "exists"


async def test_changes_count_and_depend_on_their_version(rig: Rig) -> None:
    await rig.ask("POST", json=BODY)
    first = await rig.secrets()
    changed = await rig.ask("PUT", CUP, json={"sources": {**DESK, "eye": {"vendor": "lockstep"}}, "hold_s": 2},
                            headers={"If-Match": '"1"'})  # fmt: skip
    assert (changed.status_code, changed.headers["etag"], list(changed.json()["secrets"])) == (200, '"2"', ["eye"])
    assert (await rig.secrets())["desk"] == first["desk"]
    late = await rig.ask("PUT", CUP, json={}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["reason"]) == (412, "version_changed")
    # The same again is no new version; the origin may be said as it was told.
    same = {"sources": {**DESK, "eye": {"vendor": "lockstep"}}, "hold_s": 2, "origin": "http://10.0.0.1/i.m3u8"}
    again = await rig.ask("PUT", CUP, json=same)
    assert (again.status_code, again.json()["version"], again.json()["origin"]) == (200, 2, "http://10.0.0.1/i.m3u8")
    less = await rig.ask("PUT", CUP, json={"sources": {"eye": {"vendor": "lockstep"}}})
    assert less.json()["version"] == 3
    assert set(await rig.secrets()) == {"nba", "eye"}
    assert rig.retained() == [("cup", 3)]
    assert rig.lineup.showings["cup"].origin == BODY["origin"]


async def test_what_cannot_change_is_said(rig: Rig) -> None:
    await rig.ask("POST", json=BODY)
    for origin in ("http://10.0.0.2/i.m3u8", "http://10.0.0.1/other.m3u8"):
        answer = await rig.ask("PUT", CUP, json={"origin": origin})
        assert (answer.status_code, answer.json()["reason"]) == (409, "origin_fixed")
    for method, path, body in (("POST", PATH, {**BODY, "event_id": "game"}), ("PUT", f"{PATH}/game", {}),
                               ("DELETE", f"{PATH}/game", None)):  # fmt: skip
        answer = await rig.ask(method, path, json=body)
        assert answer.status_code == 409
        assert answer.json()["reason"] == ("exists" if method == "POST" else "from_settings")
    taken = await rig.ask("POST", json={**BODY, "event_id": "b", "sources": {"nba": {"vendor": "nba"}}})
    assert (taken.status_code, taken.json()["reason"]) == (409, "source_taken")
    assert (await rig.ask("POST", json={**BODY, "event_id": "b"})).json()["reason"] == "source_taken"
    assert rig.retained() == [("cup", 1)]


async def test_deleted_is_deleted_and_may_come_back(rig: Rig) -> None:
    await rig.ask("POST", json=BODY)
    first = await rig.secrets()
    assert (await rig.ask("DELETE", CUP, headers={"If-Match": '"7"'})).status_code == 412
    ended = await rig.ask("DELETE", CUP)
    assert (ended.status_code, ended.content) == (204, b"")
    assert rig.heard[-1]["showing"] is None
    assert "cup" not in rig.lineup.showings
    assert set(await rig.secrets()) == {"nba"}
    assert [(await rig.ask(method, CUP)).status_code for method in ("GET", "DELETE")] == [404, 404]
    again = await rig.ask("PUT", CUP, json={**{key: BODY[key] for key in ("origin", "sources")}})
    assert (again.status_code, again.json()["version"]) == (201, 3)
    assert (await rig.secrets())["desk"] != first["desk"]


async def test_pages_have_those_of_the_settings_first(rig: Rig) -> None:
    for name in "bac":
        await rig.ask("POST", json={"event_id": name, "origin": BODY["origin"]})
    await rig.ask("DELETE", f"{PATH}/a")
    first = (await rig.ask("GET", f"{PATH}?limit=2", key=READER)).json()
    assert [(one["event_id"], one["from"]) for one in first["showings"]] == [("game", "settings"), ("b", "api")]
    last = (await rig.ask("GET", f"{PATH}?limit=2&after={first['next_after']}")).json()
    assert ([one["event_id"] for one in last["showings"]], last["next_after"]) == (["c"], None)
    of_settings = (await rig.ask("GET", f"{PATH}/game")).json()
    assert (of_settings["version"], of_settings["sources"]["nba"]["vendor"]) == (None, "nba")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", PATH, {**BODY, "origin": "http://10.0.0.9/i.m3u8"}, 422, "origin: its address"),
        ("POST", PATH, {**BODY, "origin": "/srv"}, 422, "origin: files are not taken"),
        ("POST", PATH, {**BODY, "sources": {"x": {"vendor": "nobody"}}}, 422, "sources.x.vendor: there are"),
        ("POST", PATH, {**BODY, "colour": 1}, 422, "colour: there is no such field"),
        ("PUT", CUP, {}, 422, "origin: a showing that is new needs one"),
        ("PUT", f"{PATH}/a.b", {"origin": BODY["origin"]}, 422, "event_id"),
        ("GET", f"{PATH}?limit=0", None, 422, "limit"),
        ("GET", CUP, None, 404, "no such showing"),
        ("DELETE", CUP, None, 404, "no such showing"),
    ],
)
async def test_what_is_wrong_is_named(
    rig: Rig, method: str, path: str, body: dict[str, Any] | None, status: int, says: str
) -> None:
    answer = await rig.ask(method, path, json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert rig.heard == []
    assert set(await rig.secrets()) == {"nba"}


async def test_there_is_an_end_to_it(rig: Rig) -> None:
    statuses = [
        (await rig.ask("POST", json={"event_id": f"e{number}", "origin": BODY["origin"]})).status_code
        for number in range(4)
    ]
    assert statuses == [201, 201, 201, 507]


async def test_many_at_once_are_one_after_the_other(rig: Rig) -> None:
    answers = await asyncio.gather(*(rig.ask("POST", json=BODY) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    changes = await asyncio.gather(*(rig.ask("PUT", CUP, json={"due_sigma": n / 4}) for n in range(5)))
    assert sorted(answer.json()["version"] for answer in changes) == [2, 3, 4, 5, 6]
    assert [one["version"] for one in rig.heard] == [1, 2, 3, 4, 5, 6]


async def test_a_restart_tells_the_bus_all_of_it(rig: Rig) -> None:
    for name in "ab":
        await rig.ask("POST", json={"event_id": name, "origin": BODY["origin"]})
    await rig.ask("DELETE", f"{PATH}/a")
    await rig.aclose()
    again = await opened(rig.folder)
    assert again.retained() == [("a", 2), ("b", 1)]
    assert [one["event_id"] for one in (await again.ask("GET")).json()["showings"]] == ["game", "b"]
    assert (await again.ask("POST", json={"event_id": "a", "origin": BODY["origin"]})).json()["version"] == 3
    await again.aclose()


async def test_a_disk_that_does_not_take_it_is_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.ask("POST", json=BODY)

    async def fail(*_: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(rig.store, "save", fail)
    for method, body in (("PUT", {"hold_s": 1}), ("DELETE", None)):
        answer = await rig.ask(method, CUP, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await rig.ask("GET", CUP)).json()["version"] == 1
    assert len(rig.heard) == 1


async def test_a_file_of_keys_that_is_busy_is_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise SettingsError("try again")

    monkeypatch.setattr(module, "new_webhooks", busy)
    answer = await rig.ask("POST", json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert rig.heard == []


async def test_what_the_settings_have_taken_since_is_theirs(rig: Rig) -> None:
    eye = {"eye": {"vendor": "lockstep"}}
    for name, sources in (("a", DESK), ("b", eye), ("c", {})):
        await rig.ask("POST", json={"event_id": name, "origin": BODY["origin"], "sources": sources})
    await rig.aclose()
    later = {
        "a": ShowingSettings(origin="file:///g.m3u8"),
        "d": ShowingSettings(origin="file:///g.m3u8", sources={"eye": SourceSettings(vendor="lockstep")}),
    }
    again = await opened(rig.folder, later)
    assert again.retained() == [("c", 1)]
    listed = [(one["event_id"], one["from"]) for one in (await again.ask("GET")).json()["showings"]]
    assert listed == [("a", "settings"), ("d", "settings"), ("b", "api"), ("c", "api")]
    # It is served once its source has another name.
    answer = await again.ask("PUT", f"{PATH}/b", json={"sources": {"lens": {"vendor": "lockstep"}}})
    assert (answer.status_code, list(answer.json()["secrets"])) == (200, ["lens"])
    assert again.retained() == [("c", 1), ("b", 2)]
    # The secret of what is the settings' now stays.
    assert {"eye", "lens"} <= (await again.secrets()).keys()
    await again.aclose()
