"""Measures of feeds: what was sealed and how late, how the sources are, what the disk takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feeds.lag import LagGauge
from kernel.feed_state import Health
from kernel.histogram import Histogram
from lockstep.measures.measure import Measure, Reading, counter, gauge, histogram, measures_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from feeds.io.ingest import StreamIngest
    from kernel.io.group_commit import GroupCommit

SEALED = counter("lockstep_feeds_sealed_total", "Entries sealed, safety included.", "event_id")
LATE = counter("lockstep_feeds_late_total", "Entries sealed after their picture was out.", "event_id")
LEAD = histogram(
    "lockstep_feeds_lead_seconds", "How long before their picture goes out entries are sealed that are not late.",
    "event_id",
)  # fmt: skip
LATENESS = histogram("lockstep_feeds_late_seconds", "How long after their picture late entries are sealed.", "event_id")
WAITING = gauge("lockstep_feeds_waiting", "Cues that wait for their picture.", "event_id")
HOLD = gauge("lockstep_feeds_hold_seconds", "Constant delay of the picture.", "event_id")
NEEDED = histogram(
    "lockstep_feeds_needed_hold_seconds",
    "The added delay with which each cue would have come in time: 1 minus the share is late at that delay.",
    "event_id", "source",
)  # fmt: skip
LAG = histogram("lockstep_feeds_lag_seconds", "From the event to its message, of new facts.", "event_id", "source")
DROPPED = counter("lockstep_feeds_dropped_total", "Facts that changed nothing, by why.", "event_id", "why")
ABSURD = counter("lockstep_feeds_absurd_total", "Facts whose vendor's clock was more than a day off.", "event_id")
JOURNAL_FAULTS = counter("lockstep_feeds_journal_faults_total", "Writes that the disk did not take.", "event_id")
SEGMENTS = counter("lockstep_feeds_segments_total", "Segments, by what became of them.", "event_id", "outcome")
MEASURING = histogram(
    "lockstep_feeds_measuring_seconds", "From asking for a segment to knowing its times.", "event_id"
)  # fmt: skip
STATE = gauge("lockstep_feed_state", "1 for the state that a source is in.", "event_id", "source", "state")
SKEW = gauge("lockstep_feed_skew_seconds", "How far a source's clock is ahead.", "event_id", "source")
SOURCE_CUES = counter("lockstep_feed_cues_total", "Cues with a picture that were sealed.", "event_id", "source")
SOURCE_LATE = counter("lockstep_feed_late_total", "Of them, those after their picture was out.", "event_id", "source")
COMMIT = histogram("lockstep_journal_commit_seconds", "How long a transaction takes, until it is on disk.", "file")
COMMIT_WAITING = gauge("lockstep_journal_waiting", "Writes that wait for the disk.", "file")

MEASURES = measures_in(globals())


def feeds_readings(ingests: Mapping[str, StreamIngest], files: Mapping[str, GroupCommit]) -> Iterator[Reading]:
    """Read the feeds of all showings.

    Args:
        ingests: by event id.
        files: what commits to each file, by its name.
    """
    statuses = [ingest.status() for ingest in ingests.values()]
    for measure, key in (
        (SEALED, "sealed"), (LATE, "late"), (ABSURD, "absurd"), (JOURNAL_FAULTS, "journal_faults"),
        (WAITING, "waiting"), (HOLD, "hold_s"),
    ):  # fmt: skip
        yield Reading(measure, [((status["event_id"],), status[key]) for status in statuses])
    yield Reading(
        DROPPED,
        [((status["event_id"], why), count) for status in statuses for why, count in status["dropped"].items()],
    )
    by_event: tuple[tuple[Measure, Callable[[StreamIngest], Histogram]], ...] = (
        (LEAD, lambda ingest: ingest.feed.release.leads.leads),
        (LATENESS, lambda ingest: ingest.feed.release.leads.lates),
        (MEASURING, lambda ingest: ingest.measuring),
    )
    for measure, found in by_event:
        yield Reading(measure, [((event_id,), found(ingest)) for event_id, ingest in ingests.items()])
    yield Reading(
        SEGMENTS,
        [
            ((event_id, outcome), count)
            for event_id, ingest in ingests.items()
            for outcome, count in ingest.segments.items()
        ],
    )
    yield from _sources(ingests, statuses)
    yield Reading(COMMIT, [((name,), commits.commits) for name, commits in files.items()])
    yield Reading(COMMIT_WAITING, [((name,), commits.waiting) for name, commits in files.items()])


def _sources(ingests: Mapping[str, StreamIngest], statuses: list[dict[str, Any]]) -> Iterator[Reading]:
    """Read each source: those of the settings, whether they have spoken or not."""
    known = [(status["event_id"], source) for status in statuses for source in status["sources"]]
    yield Reading(
        STATE,
        [
            ((event_id, source["source"], state.value), float(source["state"] == state.value))
            for event_id, source in known
            for state in Health
        ],
    )
    yield Reading(SKEW, [((event_id, source["source"]), source["skew_s"]) for event_id, source in known])
    gauges = [
        ((event_id, source["source"]), ingests[event_id].feed.sequencer.lags.get(source["source"]) or LagGauge())
        for event_id, source in known
    ]
    yield Reading(SOURCE_CUES, [(names, found.sealed) for names, found in gauges])
    yield Reading(SOURCE_LATE, [(names, found.late) for names, found in gauges])
    yield Reading(LAG, [(names, found.lags) for names, found in gauges])
    yield Reading(NEEDED, [(names, found.holds) for names, found in gauges])
