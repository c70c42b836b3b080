"""Measures of the leak detector: whom it remembers, whom it suspects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.measures.measure import Reading, counter, gauge, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.io.leak_watch import LeakWatch

SESSIONS = gauge("lockstep_leak_sessions", "Sessions that the leak detector remembers; none where it is off.")
SUSPECTS = gauge("lockstep_leak_suspects", "Sessions that it suspects now, by what is done about them.", "action")
FOUND = counter("lockstep_leak_findings_total", "How often it began to do something about a session.", "action")

MEASURES = measures_in(globals())


def leak_readings(watch: LeakWatch | None) -> Iterator[Reading]:
    """Read who watches a relay's sessions; None: nobody does."""
    if watch is None:
        return
    yield one(SESSIONS, watch.n_sessions)
    for measure, counts in ((SUSPECTS, watch.suspects()), (FOUND, watch.found)):
        yield Reading(measure, [((level.name.lower(),), count) for level, count in counts.items()])
