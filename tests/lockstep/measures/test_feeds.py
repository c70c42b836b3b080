from __future__ import annotations

from pathlib import Path

from feeds.vendors.contract import Adapted, Alive, ReceivedMessage
from kernel.cues import CueType, Fact, Op
from tests.lockstep.scraped import deployed, samples, scrape

EVENT, SOURCE = ("event_id", "game"), ("source", "desk")


async def test_the_feeds_are_measured(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        assert deployment._feeds is not None
        ingest = deployment._feeds.ingests["game"]
        suspend = Fact("desk", "s", Op.NEW, CueType.SUSPEND, None, {})
        ingest.deliver(ReceivedMessage(1, "desk", 5.0, Adapted([suspend], Alive(2.0, None)), "game"))
        gauge = ingest.feed.sequencer.lags["desk"] = ingest.feed.sequencer.lag
        gauge.add(1.7)
        gauge.needed(0.0, late=False)
        gauge.needed(1.5, late=True)
        ingest.feed.release.leads.lates.add(0.3)
        ingest.segments["unreadable"] += 1
        said = samples(await scrape(deployment))
    assert said["lockstep_feeds_sealed_total", EVENT] == 1
    assert said["lockstep_feeds_hold_seconds", EVENT] == 0
    assert said["lockstep_feeds_journal_faults_total", EVENT] == 0
    assert said["lockstep_feeds_waiting", EVENT] == 0
    assert said["lockstep_feeds_late_total", EVENT] == 0
    assert said["lockstep_feeds_dropped_total", EVENT, ("why", "duplicate")] == 0
    assert said["lockstep_feed_state", EVENT, SOURCE, ("state", "recovering")] == 1
    assert said["lockstep_feed_state", EVENT, SOURCE, ("state", "down")] == 0
    assert said["lockstep_feed_skew_seconds", EVENT, SOURCE] == 0
    assert said["lockstep_feed_cues_total", EVENT, SOURCE] == 2
    assert said["lockstep_feed_late_total", EVENT, SOURCE] == 1
    assert said["lockstep_feeds_lag_seconds_bucket", EVENT, ("le", "1.0"), SOURCE] == 0
    assert said["lockstep_feeds_lag_seconds_bucket", EVENT, ("le", "2.0"), SOURCE] == 1
    assert said["lockstep_feeds_lag_seconds_count", EVENT, SOURCE] == 1
    assert said["lockstep_feeds_late_seconds_sum", EVENT] == 0.3
    assert said["lockstep_feeds_lead_seconds_count", EVENT] == 0
    assert said["lockstep_feeds_segments_total", EVENT, ("outcome", "unreadable")] == 1
    # The epoch and the numbers that are reserved were committed.
    assert said["lockstep_journal_commit_seconds_count", ("file", "journal")] >= 1
    assert said["lockstep_journal_waiting", ("file", "revocations")] >= 0


async def test_a_source_that_never_spoke_is_there(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        said = samples(await scrape(deployment))
    assert said["lockstep_feeds_lag_seconds_count", EVENT, SOURCE] == 0
    assert said["lockstep_feed_late_total", EVENT, SOURCE] == 0
