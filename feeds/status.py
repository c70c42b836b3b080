"""What an operator wants to know of the feeds, as plain JSON values: for `lockstep feed status`, and for `/metrics`."""

from __future__ import annotations

from typing import Any

from feeds.lag import LagGauge
from feeds.stream import StreamFeed
from feeds.watch import FeedWatch
from kernel.feed_state import FeedState


def stream_status(feed: StreamFeed, watch: FeedWatch, *, journal_faults: int, now: float) -> dict[str, Any]:
    """Return how one showing's feeds are.

    Args:
        feed: the stream's state.
        watch: its sources.
        journal_faults: how often the disk failed.
        now: bus time.
    """
    sequencer = feed.sequencer
    counts, dropped = sequencer.counts, sequencer.revisions.dropped
    return {
        "event_id": feed.stream,
        "hold_s": round(feed.release.hold_s, 3),
        "hold": "auto" if feed.learns_hold else "fixed",
        "sealed": counts.sealed,
        "late": counts.late,
        "late_share": _rounded(sequencer.lag.late_share()),
        "waiting": counts.waiting,
        "absurd": counts.absurd,
        "dropped": {
            "duplicate": dropped.duplicates, "out_of_date": dropped.stale, "retracted": dropped.retracted,
            "stale_open": sequencer.markets.stale,
        },
        "journal_faults": journal_faults,
        "sources": [_source_status(feed, watch, state, now) for state in watch.states()],
    }  # fmt: skip


def _source_status(feed: StreamFeed, watch: FeedWatch, state: FeedState, now: float) -> dict[str, Any]:
    gauge = feed.sequencer.lags.get(state.source) or LagGauge()
    progress = watch.progress.get(state.source)
    return {
        "source": state.source,
        "state": state.state.value,
        "why": state.why,
        "since_s": round(max(0.0, now - state.since), 1),
        "facts": len(gauge),
        "lag_p50_s": _rounded(gauge.quantile(0.5)),
        "lag_p99_s": _rounded(gauge.quantile(0.99)),
        "skew_s": _rounded(feed.sequencer.skews.skew_s(state.source)),
        "late_share": _rounded(gauge.late_share()),
        "complete_to_ms": None if progress is None else round(progress.complete_to * 1000),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3) + 0.0
