"""Measures of the relay: what is out and how promptly, who is on the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.measures.leaks import leak_readings
from lockstep.measures.measure import Reading, counter, gauge, histogram, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.io.driver import StreamRelay
    from relay.io.flights import Flights
    from relay.io.leak_watch import LeakWatch

RELEASES = counter(
    "lockstep_relay_releases_total",
    "Openings: by a mark of feeds, or unsynchronised, of a segment that nobody marked.",
    "event_id", "how",
)  # fmt: skip
RELEASE_LATE = histogram("lockstep_relay_release_late_seconds", "How late marks are obeyed.", "event_id")
PICTURE = gauge("lockstep_relay_picture", "1 if a picture is out.", "event_id")
CONNECTIONS = gauge("lockstep_relay_connections", "Connections that are bound to a viewer's grant.")

MEASURES = measures_in(globals())


def relay_readings(
    relays: Mapping[str, StreamRelay], flights: Flights, leaks: LeakWatch | None = None
) -> Iterator[Reading]:
    """Read the relays of all showings; `flights` are the connections of all of them, `leaks` who watches them."""
    windows = {event_id: relay.presentation.window for event_id, relay in relays.items()}
    yield Reading(
        RELEASES,
        [
            row
            for event_id, window in windows.items()
            for row in (((event_id, "marked"), window.opened), ((event_id, "unsynchronised"), window.unsynchronised))
        ],
    )
    yield Reading(RELEASE_LATE, [((event_id,), window.late) for event_id, window in windows.items()])
    yield Reading(
        PICTURE, [((event_id,), relay.presentation.text(None) is not None) for event_id, relay in relays.items()]
    )
    yield one(CONNECTIONS, len(flights))
    yield from leak_readings(leaks)
