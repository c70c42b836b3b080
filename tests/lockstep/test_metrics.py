"""What `/metrics` prints, in every shape, as Prometheus' own parser reads it."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from prometheus_client.core import Metric

from lockstep.compose import House
from lockstep.measures.catalogue import ALL
from lockstep.measures.measure import Measure
from tests.lockstep.scraped import deployed, families, samples, scrape
from tests.support.redis_server import redis_server

EVERYWHERE, FEEDS, RELAY, HUB, SESSIONS = ALL.values()


def is_monotone(family: Metric) -> bool:
    """Return whether each histogram's buckets rise to its count."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets[labels].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    return bool(buckets) and all(
        found[-1] == (float("inf"), counts[labels])
        and all(low[0] < high[0] and low[1] <= high[1] for low, high in pairwise(found))
        for labels, found in buckets.items()
    )


async def test_one_process_prints_all_there_is(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        text = await scrape(deployment)
    found = families(text)
    ours = {name for name in found if name.startswith("lockstep_")}
    assert ours == {one.name for measures in ALL.values() for one in measures}
    for measures in ALL.values():
        for one in measures:
            family = found[one.name]
            assert (family.type, family.documentation) == (one.kind, one.text)
            assert {name for sample in family.samples for name in sample.labels} - {"le"} == set(one.labels)
            assert one.kind != "histogram" or is_monotone(family), one.name
    # What every client of Prometheus says of its process.
    assert samples(text)["process_resident_memory_bytes",] > 1e6
    assert "process_open_fds" in found


@pytest.mark.parametrize(
    ("house", "own"), [("feeds", (*FEEDS, *SESSIONS)), ("relay", (*RELAY, *SESSIONS)), ("hub", (*HUB, *SESSIONS))]
)
async def test_a_house_alone_prints_its_own(tmp_path: Path, house: House, own: tuple[Measure, ...]) -> None:
    async with (
        redis_server(tmp_path) as redis,
        deployed(tmp_path, houses=(house,), bus_url=redis.url) as deployment,
    ):
        text = await scrape(deployment)
    found = families(text)
    assert {name for name in found if name.startswith("lockstep_")} == {
        one.name for measures in (EVERYWHERE, own) for one in measures
    }
    said = samples(text)
    assert said["lockstep_bus_ready",] == 1
    assert 0 < said["lockstep_bus_clock_bound_seconds",] < 1


async def test_strangers_are_told_nothing(tmp_path: Path) -> None:
    async with deployed(tmp_path, houses=("relay",)) as deployment:
        stranger = httpx2.ASGITransport(app=deployment.app, client=("10.0.0.1", 1))
        async with httpx2.AsyncClient(transport=stranger, base_url="http://127.0.0.1") as client:
            assert (await client.get("/metrics")).status_code == 403
            forwarded = {"X-Forwarded-For": "127.0.0.1"}
            assert (await client.get("/metrics", headers=forwarded)).status_code == 403


async def test_what_is_asked_for_is_no_label(tmp_path: Path) -> None:
    async with deployed(tmp_path, houses=("relay",)) as deployment:
        transport = httpx2.ASGITransport(app=deployment.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for path in (
                "/hls/absent/index.m3u8",
                "/hls/eyJx.eyJx.x/quiz/index.m3u8",
                "/hls/game/v7/3-41.ts",
                "/x",
            ):
                await client.get(path)
        text = await scrape(deployment)
    said = samples(text)
    assert said["lockstep_gate_decisions_total", ("decision", "missing_token"), ("scope", "watch")] == 2
    assert said["lockstep_gate_decisions_total", ("decision", "bad_token"), ("scope", "watch")] == 1
    assert said["lockstep_http_answers_total", ("kind", "playlist"), ("status", "401")] == 2
    assert said["lockstep_http_answers_total", ("kind", "media"), ("status", "401")] == 1
    assert said["lockstep_http_answers_total", ("kind", "api"), ("status", "404")] == 1
    for named in ("absent", "eyJ", "quiz", "3-41"):
        assert named not in text
