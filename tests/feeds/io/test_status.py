from __future__ import annotations

import httpx2
import pytest
from starlette.applications import Starlette

from feeds.io.status import status_routes


async def ask(peer: str) -> httpx2.Response:
    app = Starlette(routes=status_routes({}, lambda: 12.5))
    transport = httpx2.ASGITransport(app=app, client=(peer, 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get("/api/v1/feeds")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.9", "::1"])
async def test_the_machine_itself_is_answered(peer: str) -> None:
    answer = await ask(peer)
    assert answer.json() == {"now_ms": 12_500, "showings": []}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("peer", ["10.0.0.7", "2001:db8::1", "", "a socket"])
async def test_nobody_else_is(peer: str) -> None:
    assert (await ask(peer)).status_code == 403
