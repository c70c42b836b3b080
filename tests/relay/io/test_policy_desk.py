from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.bus import policies_topic
from kernel.errors import DecodeError, JournalError
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.policies import PolicyRecord
from relay.io import policy_desk, policy_store
from relay.io.policy_desk import PolicyDesk
from relay.io.policy_store import PolicyStore
from relay.operators import operator_key
from relay.place.model import Fix, IpPlace, PlaceVerdict
from relay.policies import CompiledPolicy
from relay.policy_words import PATH, POLICY_LIMITS
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import NOW

WEST = f"{PATH}/west"
POLICY: dict[str, Any] = {"watch": {"default": "deny", "rules": []}, "policy_id": "west"}
TEXT = '{"policy_id":"west","watch":{"default":"deny","rules":[]}}'


class Policy:
    """Stand for what a text is compiled to."""

    def __init__(self, text: str) -> None:
        self.text = text

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        return PlaceVerdict(None, None)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


def compile_(text: str) -> Policy:
    if '"moon"' in text:
        raise DecodeError("watch.moon: no such field")
    return Policy(text)


def findings(policy: CompiledPolicy) -> list[dict[str, Any]]:
    assert isinstance(policy, Policy)
    return [{"rule": "r", "says": "it never applies"}] if '"odd"' in policy.text else []


class Rig:
    """A desk with a store on disk, a bus that somebody listens to, and a client."""

    def __init__(self, store: PolicyStore, door: Door) -> None:
        self.store, self.door = store, door
        self.bus = MemoryBus(lambda: 0.0)
        self.heard: list[PolicyRecord] = []
        self.bus.subscribe(policies_topic(), lambda _, record: self.heard.append(record))
        self.at_hand: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.desk = PolicyDesk(
            store, self.bus, door, wall=lambda: float(NOW), compile_=self.compile, findings=findings,
            at_hand=lambda text, _: self.at_hand.append(text),
        )  # fmt: skip
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    def compile(self, text: str) -> Policy:
        self.go_on.wait()
        return compile_(text)

    def retained(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        self.bus.subscribe(policies_topic(), lambda _, record: found.append((record.policy_id, record.version)))()
        return found

    async def ask(
        self,
        method: str,
        path: str = WEST,
        *,
        key: str | None = FULL,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.request(method, path, headers=shown | (headers or {}), **more)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.door.aclose()
        await self.desk.aclose()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(await PolicyStore.open(tmp_path / "policies.sqlite"), await open_door(tmp_path))
    yield rig
    await rig.aclose()


async def test_a_policy_is_on_the_bus_when_it_is_acknowledged(rig: Rig) -> None:
    with capture_logs() as logs:
        answer = await rig.ask("PUT", json=POLICY)
    told = {"policy_id": "west", "version": 1, "made": NOW * 1000, "by": "ops", "bytes": len(TEXT), "policy": POLICY}
    assert (answer.status_code, answer.json()) == (201, {**told, "findings": []})
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"1"', "no-store")
    assert rig.heard == [PolicyRecord("west", 1, TEXT, NOW, "ops")]
    assert rig.at_hand == [TEXT]
    read = await rig.ask("GET", key=READER)
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, told, '"1"')
    (line,) = logs
    assert (line["event"], line["policy_id"], line["version"], line["by"]) == ("policy.made", "west", 1, "ops")


async def test_the_same_again_is_no_new_version(rig: Rig) -> None:
    created = {"If-None-Match": "*"}
    first = await rig.ask("PUT", json=POLICY, headers=created)
    # Sent again, with other blanks and another order.
    body = json.dumps({key: POLICY[key] for key in sorted(POLICY)}, indent=1).encode()
    second = await rig.ask("PUT", content=body, headers=created)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(rig.heard) == 1


async def test_versions(rig: Rig) -> None:
    await rig.ask("PUT", json=POLICY)
    changed = await rig.ask("PUT", json={**POLICY, "odd": 1}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"], len(changed.json()["findings"])) == (200, 2, 1)
    late = await rig.ask("PUT", json={**POLICY, "b": 1}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["reason"]) == (412, "version_changed")
    assert "its version is 2" in late.json()["detail"]
    assert (await rig.ask("DELETE", headers={"If-Match": '"1"'})).status_code == 412
    assert (
        await rig.ask("PUT", f"{PATH}/new", json={"policy_id": "new"}, headers={"If-Match": "*"})
    ).status_code == 412
    old = await rig.ask("GET", f"{WEST}?version=1")
    assert (old.json()["policy"], old.headers["etag"]) == (POLICY, '"1"')
    assert (await rig.ask("GET", f"{WEST}?version=9")).status_code == 404
    assert rig.retained() == [("west", 2)]


async def test_deleted_is_deleted_and_on_record(rig: Rig) -> None:
    await rig.ask("PUT", json=POLICY)
    with capture_logs() as logs:
        answer = await rig.ask("DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [(line["event"], line["version"]) for line in logs] == [("policy.deleted", 2)]
    assert rig.heard[-1] == PolicyRecord("west", 2, None, NOW, "ops")
    assert rig.retained() == [("west", 2)]
    assert [(await rig.ask(method)).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert (await rig.ask("GET", f"{WEST}?version=1")).json()["policy"] == POLICY
    assert (await rig.ask("GET", f"{WEST}?version=2")).json()["policy"] is None
    assert (await rig.ask("PUT", json=POLICY)).json()["version"] == 3


async def test_pages(rig: Rig) -> None:
    for name in "abc":
        await rig.ask("PUT", f"{PATH}/{name}", json={"policy_id": name})
    first = (await rig.ask("GET", f"{PATH}?limit=2", key=READER)).json()
    head = {"version": 1, "made": NOW * 1000, "by": "ops", "bytes": 17}
    assert first["policies"] == [{"policy_id": name, **head} for name in "ab"]
    last = (await rig.ask("GET", f"{PATH}?limit=2&after={first['next_after']}")).json()
    assert ([one["policy_id"] for one in last["policies"]], last["next_after"]) == (["c"], None)


async def test_many_at_once_come_in_the_order_of_the_disk(rig: Rig) -> None:
    await asyncio.gather(*(rig.ask("PUT", json={**POLICY, "n": number}) for number in range(12)))
    assert [record.version for record in rig.heard] == list(range(1, 13))
    assert rig.retained() == [("west", 12)]


async def test_who_would_wait_for_many_others_is_told_to_come_again(rig: Rig) -> None:
    rig.go_on.clear()
    asking = [
        asyncio.create_task(rig.ask("PUT", json={**POLICY, "n": number}))
        for number in range(policy_desk.MAX_READING + 1)
    ]
    (refused,), waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (503, "1")
    rig.go_on.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200, 201}
    assert len(rig.heard) == policy_desk.MAX_READING
    assert (await rig.ask("PUT", json=POLICY)).is_success


async def test_after_a_restart_the_bus_has_it_all_again(rig: Rig, tmp_path: Path) -> None:
    for number in range(3):
        await rig.ask("PUT", json={**POLICY, "n": number})
        await rig.ask("PUT", f"{PATH}/p{number}", json={"policy_id": f"p{number}"})
    await rig.ask("DELETE", f"{PATH}/p1")
    await rig.aclose()
    again = Rig(await PolicyStore.open(tmp_path / "policies.sqlite"), await open_door(tmp_path))
    await again.desk.refill()
    assert again.retained() == [("west", 3), ("p0", 1), ("p1", 2), ("p2", 1)]
    await again.ask("PUT", json={**POLICY, "n": 9})
    assert again.retained() == [("p0", 1), ("p1", 2), ("p2", 1), ("west", 4)]
    await again.aclose()


@pytest.mark.parametrize("key", [None, "lko_", operator_key(b"x" * 32), "eyJ.eyJ.x"])
@pytest.mark.parametrize(("method", "path"), [("PUT", WEST), ("GET", PATH), ("GET", WEST), ("DELETE", WEST)])
async def test_strangers_learn_nothing(rig: Rig, method: str, path: str, key: str | None) -> None:
    answer = await rig.ask(method, path, key=key, content=b"{" if method == "PUT" else None)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401}
    assert rig.heard == []


async def test_a_key_without_the_scope(rig: Rig) -> None:
    for method in ("PUT", "DELETE"):
        answer = await rig.ask(method, key=READER, json=POLICY if method == "PUT" else None)
        assert (answer.status_code, answer.json()["reason"]) == (403, "scope_missing")
        assert "`policy`" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "says"),
    [
        ("PUT", WEST, {"content": b"{"}, 422, "not JSON"),
        ("PUT", WEST, {"json": {**POLICY, "moon": 1}}, 422, "watch.moon"),
        ("PUT", WEST, {"json": {"policy_id": "east"}}, 422, "policy_id"),
        ("PUT", f"{PATH}/a.b", {"json": POLICY}, 422, "letters"),
        ("PUT", f"{PATH}/{'a' * 65}", {"json": POLICY}, 422, "letters"),
        ("PUT", WEST, {"content": b" " * (POLICY_LIMITS.max_bytes + 1)}, 413, "bytes"),
        ("PUT", WEST, {"content": b"[" * 100}, 413, "nests deeper"),
        ("PUT", WEST, {"json": POLICY, "headers": {"If-Match": "1"}}, 422, "If-Match"),
        ("DELETE", WEST, {"headers": {"If-Match": "1"}}, 422, "If-Match"),
        ("GET", f"{WEST}?version=x", {}, 422, "version"),
        ("GET", f"{PATH}?limit=0", {}, 422, "limit"),
        ("GET", WEST, {}, 404, "no such policy"),
    ],
)
async def test_what_is_wrong_is_named(
    rig: Rig, method: str, path: str, more: dict[str, Any], status: int, says: str
) -> None:
    answer = await rig.ask(method, path, **more)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
    assert rig.heard == []


async def test_there_is_an_end_to_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_store, "MAX_POLICIES", 0)
    assert (await rig.ask("PUT", json=POLICY)).status_code == 507


async def test_a_disk_that_does_not_take_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    for name in ("put", "delete", "find", "page"):
        monkeypatch.setattr(rig.store, name, fail)
    for method, path in (("PUT", WEST), ("GET", WEST), ("GET", PATH), ("DELETE", WEST)):
        answer = await rig.ask(method, path, json=POLICY if method == "PUT" else None)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert rig.heard == []
