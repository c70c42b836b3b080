from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.io.viewer_calls import warned
from relay.sessions.model import Leaving
from tests.support.playing import BEGIN, KEEP, LOS_ANGELES, RELEASE, RENEW, STOP, Rig, bought, desks
from tests.support.tokens import NOW


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with desks() as one:
        yield one


async def test_bodies_are_bounded_and_understood(rig: Rig) -> None:
    assert (await rig.http.post(BEGIN, content=b"x" * 9_000)).status_code == 413
    assert (await rig.http.post(BEGIN, content=b'{"token":7}')).status_code == 422
    answer = await rig.begin(gps={**LOS_ANGELES, "lat": 91})
    assert (answer.status_code, "gps.lat" in answer.json()["detail"]) == (422, True)


async def test_pages_ask_first(rig: Rig) -> None:
    for path in (BEGIN, STOP, KEEP, RELEASE, RENEW, "/api/events/game/status"):
        asked = await rig.http.options(path, headers={"Origin": "https://player.test"})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    assert (await rig.http.options("/api/events/a.b/status")).status_code == 404
    answer = await rig.http.post(BEGIN, json={"token": bought()}, headers={"Origin": "https://player.test"})
    assert answer.headers["access-control-allow-origin"] == "https://player.test"
    answer = await rig.http.post(BEGIN, json={"token": bought()}, headers={"Origin": "https://other.test"})
    assert "access-control-allow-origin" not in answer.headers


def test_who_has_to_go_is_told_for_how_long_it_stays() -> None:
    leaving = Leaving(1_000 * NOW + 1_001, "session_limit", "event:game", "s2", 1_000 * NOW + 9_000)
    told = warned(leaving, NOW)["warning"]
    assert (told.code, told.ends, told.left_s) == ("session_limit", leaving.at_ms, 2)
    assert warned(leaving, NOW + 5)["warning"].left_s == 0
    assert warned(None, NOW) == {}
