from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
from starlette.applications import Starlette

from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import wall
from kernel.revocation import RevocationIndex
from lockstep.playback import Playback
from lockstep.seating import Seating
from relay.entitlements import Entitlements
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.session_policy_store import SessionPolicyStore
from relay.place.model import IpPlace
from relay.policies import PolicyIndex
from relay.sessions.memory_book import MemoryBook
from relay.sessions.policies import SessionPolicies
from relay.whereabouts import Whereabouts
from tests.support.doors import open_door
from tests.support.tokens import KEYS, cache


class Nowhere:
    version = ""

    def locate(self, address: str) -> IpPlace:
        return IpPlace(address)


async def test_viewers_come_where_there_is_video_and_operators_where_the_disk_is(tmp_path: Path) -> None:
    door, policies, now = await open_door(tmp_path), SessionPolicies(), asyncio.get_running_loop().time
    bus, entitlements = MemoryBus(now), Entitlements(KEYS, new_id=lambda: "id")
    seating = Seating(
        MemoryBook(wall=wall), bus, policies, locate=IpPlace, now=now, dead_after_s=30.0, max_stale_running_s=60.0
    )  # fmt: skip
    gate = Gate(cache(), RevocationIndex(), entitlements=entitlements)
    whereabouts = Whereabouts(Nowhere(), PolicyIndex(), lambda _: None, FixBook())
    rules = await SessionPolicyStore.open(tmp_path / "stream-count.sqlite")
    operators = Playback(seating, policies, gate, door, bus=bus, rules=rules)
    assert {route.path for route in operators.routes()} == {"/api/v1/ppv/sessions/{id}", "/api/v1/ppv/stream-count"}
    viewers = Playback(seating, policies, gate, None, bus=bus)
    assert viewers.routes() == []
    viewers.begin(entitlements, whereabouts, {}, {})
    app = Starlette(routes=viewers.routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://viewer.test") as http:
        assert (await http.post("/api/v1/playback/sessions", json={"token": "a.b.c"})).status_code == 401
        assert (await http.get("/api/v1/ppv/sessions/ann")).status_code == 404
    await operators.refill()
    await viewers.refill()
    await viewers.aclose()
    await operators.aclose()
    await seating.aclose()
    await door.aclose()
