"""A deployment without a port, and what its `/metrics` says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from fixtures.places import make_city, make_lists
from kernel.showings import Showing, Source
from lockstep.compose import ALL_HOUSES, Deployment, House
from lockstep.keys import ensure_keys
from lockstep.settings import PlaceSettings, Settings
from relay.place.model import NetworkClass

FIXTURES = Path(__file__).parents[2] / "fixtures" / "out"
Samples = dict[tuple[object, ...], float]


def placed(folder: Path) -> PlaceSettings:
    """Return settings of which every process has something to measure."""
    lists = {NetworkClass.VPN: [make_lists(folder) / "vpn.txt"]}
    return PlaceSettings(city_database=make_city(folder), lists=lists)


@asynccontextmanager
async def deployed(
    folder: Path, *, houses: tuple[House, ...] = ALL_HOUSES, bus_url: str | None = None
) -> AsyncIterator[Deployment]:
    """Run a deployment of the showing `game` with the source `desk`; it knows some places."""
    place = await asyncio.to_thread(placed, folder)
    settings = await asyncio.to_thread(Settings, data_dir=folder / "data", place=place)
    origin = (FIXTURES / "plain" / "index.m3u8").as_uri()
    showings = {"game": Showing("game", origin, (Source("desk", "lockstep"),))}
    keys = await asyncio.to_thread(ensure_keys, settings.data_dir, ["desk"])
    deployment = await Deployment.start(settings, showings, keys, houses=houses, bus_url=bus_url)
    try:
        yield deployment
    finally:
        await deployment.drain()
        await deployment.stop()


async def scrape(deployment: Deployment) -> str:
    """Return the text, as who sits at the machine gets it."""
    transport = httpx2.ASGITransport(app=deployment.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


def families(text: str) -> dict[str, Metric]:
    """Return what Prometheus' own parser makes of it, by the names that are printed."""
    return {found.name + "_total" * (found.type == "counter"): found for found in text_string_to_metric_families(text)}


def samples(text: str) -> Samples:
    """Return each sample by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
