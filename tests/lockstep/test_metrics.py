from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from feeds.vendors.contract import Adapted, Alive, ReceivedMessage
from kernel.cues import CueType, Fact, Op
from kernel.showings import Showing, Source
from lockstep.compose import Deployment
from lockstep.keys import Keys, ensure_keys
from lockstep.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "out"


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Settings, Keys]:
    settings = Settings(data_dir=tmp_path / "data")
    return settings, ensure_keys(settings.data_dir, ["desk"])


async def test_the_feeds_are_measured(parts: tuple[Settings, Keys]) -> None:
    settings, keys = parts
    origin = (FIXTURES / "plain" / "index.m3u8").as_uri()
    showings = {"game": Showing("game", origin, (Source("desk", "lockstep"),))}
    deployment = await Deployment.start(settings, showings, keys)
    try:
        assert deployment._feeds is not None
        ingest = deployment._feeds.ingests["game"]
        suspend = Fact("desk", "s", Op.NEW, CueType.SUSPEND, None, {})
        ingest.deliver(ReceivedMessage(1, "desk", 5.0, Adapted([suspend], Alive(2.0, None)), "game"))
        ingest.feed.sequencer.lags["desk"] = ingest.feed.sequencer.lag
        ingest.feed.sequencer.lag.add(1.7)
        deployment.allowances.enter("192.0.2.1", half_open=True, now=0.0)
        assert deployment._watch is not None
        deployment._watch.lag.add(0.02)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=deployment.app), base_url="http://127.0.0.1"
        ) as client:
            answer = await client.get("/metrics")
        stranger = httpx2.ASGITransport(app=deployment.app, client=("10.0.0.1", 1))
        async with httpx2.AsyncClient(transport=stranger, base_url="http://127.0.0.1") as client:
            assert (await client.get("/metrics")).status_code == 403
            assert (await client.get("/api/v1/feeds")).status_code == 403
    finally:
        await deployment.stop()
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    event, source = ("event_id", "game"), ("source", "desk")
    assert samples["lockstep_feeds_sealed_total", event] == 1
    assert samples["lockstep_feeds_hold_seconds", event] == 0
    assert samples["lockstep_feeds_journal_faults_total", event] == 0
    assert samples["lockstep_feeds_waiting", event] == 0
    assert samples["lockstep_feeds_late_total", event] == 0
    assert samples["lockstep_feeds_dropped_total", event, ("why", "duplicate")] == 0
    assert samples["lockstep_feed_state", event, source, ("state", "recovering")] == 1
    assert samples["lockstep_feed_state", event, source, ("state", "down")] == 0
    assert samples["lockstep_feed_skew_seconds", event, source] == 0
    assert samples["lockstep_feeds_lag_seconds_bucket", event, ("le", "1.0"), source] == 0
    assert samples["lockstep_feeds_lag_seconds_bucket", event, ("le", "2.0"), source] == 1
    assert samples["lockstep_feeds_lag_seconds_count", event, source] == 1
    assert samples["lockstep_door_connections",] == samples["lockstep_door_half_open",] == 1
    assert samples["lockstep_door_addresses",] == 1
    assert samples["lockstep_door_refused_total", ("limit", "requests")] == 0
    late = samples["lockstep_loop_lag_seconds_count",] - samples["lockstep_loop_lag_seconds_bucket", ("le", "0.01")]
    assert late >= 1
    assert samples["lockstep_loop_blocked_total",] >= 0
