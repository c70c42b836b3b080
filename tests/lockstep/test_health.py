from __future__ import annotations

from typing import Any

import httpx2
from starlette.applications import Starlette

from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing
from lockstep.health import health_routes


class House:
    def __init__(self, *, ready: bool) -> None:
        self.ready = ready

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        return self.ready, {"house": "here"}


async def test_a_process_is_ready_when_all_its_houses_are() -> None:
    house = House(ready=False)
    showings = {"game": Showing("game", "http://127.0.0.1:9/index.m3u8")}
    app = Starlette(routes=health_routes(MemoryBus(lambda: 0.0), [House(ready=True), house], showings))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test") as http:
        assert (await http.get("/livez")).json() == {"status": "alive"}
        answer = await http.get("/readyz")
        told = {"bus": "ready", "showings": 1, "house": "here"}
        assert (answer.status_code, answer.json()) == (503, {"status": "starting", **told})
        house.ready = True
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", **told})
