from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kernel.errors import BookUnavailable
from kernel.io.http import exception_handlers
from kernel.revocation import RevocationIndex
from relay.entitlements import Entitlements
from relay.gate import Gate
from relay.io.owner_door import OwnerDoor
from relay.io.session_desk import SessionDesk
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Life, Limit, Session, Sign, Standing, Wish
from relay.sessions.policies import SessionPolicies
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import KEYS, NOW, cache, token

SESSIONS = "/api/v1/ppv/sessions"
TWO = Limit("event:game", 2)


class Far(MemoryBook):
    """Cannot be asked when it is lost."""

    lost = False

    async def of(self, account: str) -> list[Session]:
        if self.lost:
            raise BookUnavailable("gone")
        return await super().of(account)

    async def find(self, session: str) -> str | None:
        if self.lost:
            raise BookUnavailable("gone")
        return await super().find(session)


class Rig:
    def __init__(self, door: Door) -> None:
        self.book = Far(wall=lambda: float(NOW))
        gate = Gate(cache(), RevocationIndex(), entitlements=Entitlements(KEYS, new_id=lambda: "id"))
        owners = OwnerDoor(door, gate, wall=lambda: float(NOW))
        desk = SessionDesk(owners, self.book, self.book, SessionPolicies(), wall=lambda: float(NOW))
        app = Starlette(routes=desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    async def sit(self, account: str, *sessions: str) -> None:
        for session in sessions:
            wish = Wish(account, session, "game", (TWO,), 1_000 * (NOW + 3_600), 30_000, {"device": "tv"})
            await self.book.admit(wish)

    async def ask(self, method: str, name: str, key: str | None, **more: Any) -> httpx2.Response:
        shown = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await self.http.request(method, f"{SESSIONS}/{name}", headers=shown, **more)

    async def lives(self, account: str, names: Sequence[str]) -> list[Life]:
        signs = [Sign(account, name, 0) for name in names]
        standings: list[Standing] = await self.book.saw(signs)
        return [one.life for one in standings]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    door = await open_door(tmp_path)
    rig = Rig(door)
    yield rig
    await rig.http.aclose()
    await door.aclose()


async def test_an_operator_sees_who_watches(rig: Rig) -> None:
    await rig.sit("ann", "s1", "s2", "s3")
    answer = await rig.ask("GET", "ann", READER)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()
    assert [one["session_id"] for one in body["sessions"]] == ["s2", "s3"]
    assert [one["eviction_order"] for one in body["sessions"]] == [1, 2]
    for method in ("GET", "DELETE"):
        assert (await rig.ask(method, "x" * 256, FULL)).status_code == 404
    assert (await rig.ask("GET", "nobody", READER)).json() == {"account_id": "nobody", "sessions": []}


async def test_an_operator_ends_a_session_of_whom_it_may_be(rig: Rig) -> None:
    await rig.sit("ann", "s1", "s2")
    assert (await rig.ask("DELETE", "s1", FULL)).status_code == 204
    assert await rig.lives("ann", ["s1", "s2"]) == [Life.EVICTED, Life.LIVE]
    assert (await rig.ask("DELETE", "s1", FULL)).status_code == 404
    warned = await rig.ask("DELETE", "s2", FULL, params={"account": "ann", "grace_s": "30"})
    assert warned.status_code == 204
    (left,) = await rig.book.of("ann")
    assert left.leaving is not None
    assert (left.leaving.at_ms, left.leaving.code, left.leaving.by) == (1_000 * (NOW + 30), "kicked", "ops")
    assert (await rig.ask("DELETE", "s2", FULL, params={"account": "bob"})).status_code == 404
    assert (await rig.ask("DELETE", "s2", FULL, params={"grace_s": "x"})).status_code == 422


ROLES = {
    "stranger": None,
    "forger": "a.b.c",
    "another account": token(account="bob", session="s9", jti="t9"),
    "operator without the scope": READER,
    "owner": token(),
    "operator": FULL,
}


@pytest.mark.parametrize(
    ("role", "listed", "ended"),
    [
        ("stranger", 401, 401),
        ("forger", 401, 401),
        # Of DELETE nobody learns whether another account's session is there.
        ("another account", 403, 404),
        ("operator without the scope", 200, 403),
        ("owner", 200, 204),
        ("operator", 200, 204),
    ],
)
async def test_all_routes_and_roles(rig: Rig, role: str, listed: int, ended: int) -> None:
    await rig.sit("ann", "session-1")
    assert (await rig.ask("GET", "ann", ROLES[role])).status_code == listed
    for query in ({"account": "ann"}, {}):
        answer = await rig.ask("DELETE", "session-1", ROLES[role], params=query)
        assert answer.status_code == ended
        there = [one.session for one in await rig.book.of("ann")]
        assert there == ([] if ended == 204 else ["session-1"])
        await rig.sit("ann", "session-1")
        if ended == 204:
            break


async def test_a_book_that_cannot_be_asked_is_said(rig: Rig) -> None:
    rig.book.lost = True
    for answer in (await rig.ask("GET", "ann", FULL), await rig.ask("DELETE", "s1", FULL)):
        assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, "stale", "2")
