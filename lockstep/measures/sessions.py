"""Measures of sessions: who has a seat, who had to go, how the book answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.measures.measure import Reading, counter, gauge, histogram, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.io.session_keeper import SessionKeeper

SEATS = gauge("lockstep_sessions", "Sessions that are served here and have a seat.")
ENDINGS = gauge("lockstep_sessions_ended", "Sessions that have to go, or had to and are remembered here.")
ADMISSIONS = counter(
    "lockstep_session_admissions_total", "Times that the book was asked to let a session in, by what it answered.",
    "outcome",
)  # fmt: skip
EVICTIONS = counter(
    "lockstep_session_evictions_total", "Sessions that this process has sent away, wherever they are served.", "code"
)
REFILLED = counter("lockstep_session_refills_total", "Sessions that took their seats again in a book that was lost.")
DEVICES = counter(
    "lockstep_session_devices_changed_total",
    "How often a session was asked about on another device than it belongs to.",
)
ASKING = histogram("lockstep_session_book_seconds", "How long the book takes, by what it is asked.", "kind")
FAILURES = counter("lockstep_session_book_failures_total", "How often the book could not be asked.")

MEASURES = measures_in(globals())


def session_readings(keeper: SessionKeeper) -> Iterator[Reading]:
    """Read how many watch, and how the book is."""
    counts = keeper.counts
    yield one(SEATS, len(keeper))
    yield one(ENDINGS, len(keeper.endings))
    yield Reading(ADMISSIONS, [((outcome,), count) for outcome, count in counts.admissions.items()])
    yield Reading(EVICTIONS, [((code,), count) for code, count in counts.evictions.items()])
    yield one(REFILLED, counts.refilled)
    yield one(DEVICES, counts.devices_changed)
    yield Reading(ASKING, [((call,), took) for call, took in counts.took.items()])
    yield one(FAILURES, counts.failures)
