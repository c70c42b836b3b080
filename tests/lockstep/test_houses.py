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


def record(version: int, **showing: object) -> dict[str, object]:
    origin = (FIXTURES / "bframes" / "index.m3u8").as_uri()
    return {"event_id": "cup", "version": version, "origin": origin, "showing": showing}


async def test_houses_take_up_showings_change_and_drop_them(parts: tuple[Settings, Keys]) -> None:
    deployment = await Deployment.start(parts[0], SHOWINGS, parts[1])
    feeds, relay, hub = deployment._feeds, deployment._relay, deployment._hub
    assert feeds is not None
    assert relay is not None
    assert hub is not None
    try:

        async def say(one: dict[str, object]) -> None:
            deployment.lineup.tell(one)
            await deployment.lineup.settle()

        desk = {"vendor": "lockstep"}
        await say(record(1, sources={"cupdesk": desk}))
        first = feeds.ingests["cup"]
        assert "cup" in relay.relays
        assert "cup" in hub.hub.streams
        assert deployment._parts.failures.keys() >= {"ingest cup", "relay cup"}
        # What does not concern feeds leaves it alone.
        await say(record(2, sources={"cupdesk": desk}, allowed_origins=["https://a.test"], place_policy="west"))
        assert feeds.ingests["cup"] is first
        assert first.showing.place_policy == "west"
        assert relay.relays["cup"].showing.allowed_origins == ("https://a.test",)
        assert hub.hub.streams["cup"].showing.allowed_origins == ("https://a.test",)
        relayed = relay.relays["cup"]
        # What does begins its log anew, under the epoch that it has; the picture goes on.
        epoch = hub.hub.streams["cup"].epoch
        await say(record(3, sources={"cupdesk": desk, "eye": desk}, hold_s=2))
        assert feeds.ingests["cup"] is not first
        assert relay.relays["cup"] is relayed
        assert relayed.presentation.window.patience_s == 17
        assert hub.hub.streams["cup"].epoch == epoch
        await say({**record(4), "showing": None})
        assert (list(feeds.ingests), list(relay.relays), list(hub.hub.streams)) == (["game"], ["game"], ["game"])
        assert not deployment._parts.failures.keys() & {"ingest cup", "relay cup"}
        await say({**record(5), "showing": None})
        await say(record(6))
        assert hub.hub.streams["cup"].epoch == epoch
    finally:
        await deployment.drain()
        await deployment.stop()


async def test_a_policy_reaches_a_relay_that_was_there_and_one_that_starts_later(
    parts: tuple[Settings, Keys], tmp_path: Path
) -> None:
    settings, keys = parts
    headers = {"Authorization": f"Bearer {keys.operator_key()}"}
    async with redis_server(tmp_path) as redis:
        houses: list[Deployment] = []

        async def start(house: House) -> Deployment:
            houses.append(await Deployment.start(settings, SHOWINGS, keys, houses=(house,), bus_url=redis.url))
            return houses[-1]

        try:
            ingest, early = await start("feeds"), await start("relay")
            changed: asyncio.Queue[str] = asyncio.Queue()
            early.policies.listen(changed.put_nowait)
            transport = httpx2.ASGITransport(app=ingest.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://x.test", headers=headers) as client:
                for body in (
                    {"policy_id": "west"},
                    {"policy_id": "west", "watch": {"default": "deny", "rules": []}},
                ):
                    assert (await client.put("/api/v1/policies/west", json=body)).is_success
                    async with asyncio.timeout(30):
                        assert await changed.get() == "west"
            late = await start("relay")
            for relay in (early, late):
                found = relay.policies.find("west")
                assert found is not None
                assert found.version == 2
        finally:
            for house in houses:
                await house.stop()
