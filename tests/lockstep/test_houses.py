"""What each house serves and when it is ready, whichever others are in the process."""

from __future__ import annotations

import asyncio
from itertools import repeat
from pathlib import Path

import httpx2
import pytest

from kernel.showings import Showing, Source
from lockstep.compose import Deployment, House
from lockstep.houses import FeedsHouse
from lockstep.keys import Keys, ensure_keys
from lockstep.settings import Settings
from tests.support.redis_server import redis_server

FIXTURES = Path(__file__).parents[2] / "fixtures" / "out"
SHOWINGS = {"game": Showing("game", (FIXTURES / "plain" / "index.m3u8").as_uri(), (Source("desk", "lockstep"),))}


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Settings, Keys]:
    settings = Settings(data_dir=tmp_path / "data")
    return settings, ensure_keys(settings.data_dir, ["desk"])


@pytest.mark.parametrize(
    ("house", "serves", "lacks"),
    [
        ("feeds", "/api/v1/feeds/desk", "/hls/game/index.m3u8"),
        ("relay", "/hls/game/index.m3u8", "/api/v1/feeds/desk"),
        ("hub", "/api/v1/wagering/subscribe", "/hls/game/index.m3u8"),
    ],
)
async def test_a_house_alone_serves_its_own(
    parts: tuple[Settings, Keys], tmp_path: Path, house: House, serves: str, lacks: str
) -> None:
    async with redis_server(tmp_path) as redis:
        deployment = await Deployment.start(parts[0], SHOWINGS, parts[1], houses=(house,), bus_url=redis.url)
        try:
            assert (deployment.protocol_class() is not None) == (house == "hub")
            transport = httpx2.ASGITransport(app=deployment.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
                ready = await client.get("/readyz")
                assert ready.json()["bus"] == "ready"
                # Feeds needs nobody; a relay wants a picture, a hub a log.
                assert ready.status_code == (200 if house == "feeds" else 503)
                assert (await client.get(serves)).status_code != 404
                assert (await client.get(lacks)).status_code == 404
                assert (await client.get("/livez")).status_code == 200
                assert (await client.get("/metrics")).status_code != 404
        finally:
            await deployment.drain()
            await deployment.stop()


def test_feeds_publishes_four_topics_of_each_showing() -> None:
    names = {topic.name for topic in FeedsHouse.topics({"a": SHOWINGS["game"], "b": SHOWINGS["game"]})}
    assert names == {f"{stream}/{kind}" for stream in "ab" for kind in ("timings", "safety", "entries", "marks")}


async def test_a_bus_that_is_cut_off_makes_a_house_unready(parts: tuple[Settings, Keys], tmp_path: Path) -> None:
    async with redis_server(tmp_path) as redis:
        deployment = await Deployment.start(parts[0], SHOWINGS, parts[1], houses=("feeds",), bus_url=redis.url)
        try:
            await redis.kill()
            transport = httpx2.ASGITransport(app=deployment.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
                answer = await client.get("/readyz")
                async with asyncio.timeout(30):
                    for pause in repeat(0.05):
                        answer = await client.get("/readyz")
                        if answer.status_code != 200:
                            break
                        await asyncio.sleep(pause)  # it is noticed by its silence
            assert answer.json()["bus"] == "unreachable"
            assert answer.json()["status"] == "cut_off"
        finally:
            await deployment.stop()
