"""Measures of the hub: who is here, what they were sent and how promptly, why they went."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from hub.census import census
from hub.frontier import Sync
from lockstep.measures.measure import Reading, counter, gauge, histogram, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.io.driver import Hub

SOCKETS = gauge("lockstep_hub_sockets", "Connections that were upgraded.")
SUBSCRIBERS = gauge(
    "lockstep_hub_subscribers", "Subscribed connections, by mode and format.", "event_id", "mode", "format"
)  # fmt: skip
REPORTING = gauge("lockstep_hub_reporting", "Subscribers whose players report where they are.", "event_id")
PAUSED = gauge("lockstep_hub_paused", "Subscribers whose sockets have not drained.", "event_id")
BEHIND = gauge("lockstep_hub_behind", "Subscribers who are owed more than was written.", "event_id")
CATCHING_UP = gauge("lockstep_hub_catching_up", "Subscribers who wait for their turn to be written what is owed.")
BUFFERED = gauge("lockstep_hub_buffered_bytes", "What waits in all sockets together.")
CONNECTIONS = counter("lockstep_hub_connections_total", "Connections greeted.")
JOINS = counter(
    "lockstep_hub_joins_total", "Subscriptions: new, resumed, or why a cursor could not be resumed from.",
    "event_id", "how",
)  # fmt: skip
CLOSES = counter("lockstep_hub_closes_total", "Connections that we closed, by code.", "code", "reason")
CUT = counter("lockstep_hub_cut_total", "Connections that we ended without a word: nobody read there.")
CUES = counter(
    "lockstep_hub_cues_total", "Cues delivered in flushes, one for each subscriber, by class.", "event_id", "class"
)  # fmt: skip
CAUGHT_UP = counter("lockstep_hub_caught_up_total", "Cues delivered to subscribers who were behind.", "event_id")
FLUSHES = counter("lockstep_hub_flushes_total", "How often the same bytes were written to some.", "event_id")
LATE = histogram(
    "lockstep_hub_late_seconds",
    "From the moment at which a cue might go (its frontier has passed, and it is here) to the last of its writes;"
    " each delivery counts.",
    "event_id",
)
SAFETY_LATE = histogram(
    "lockstep_hub_safety_late_seconds", "The same of suspends and the like, from their coming here.", "event_id"
)  # fmt: skip
ENTRIES = gauge("lockstep_hub_entries", "Entries of the log that are kept.", "event_id")
HELD = gauge("lockstep_hub_held", "Of them, those whose picture is not out yet.", "event_id")
GUARD = counter("lockstep_hub_guard_stops_total", "How often the last look before the socket had to stop something.")
MAY_WAGER = gauge("lockstep_hub_may_wager", "1 if bets may be taken, 0 if all markets are suspended.", "event_id")
SYNC = gauge("lockstep_hub_sync", "1 for whether what is out is known: ok, lost or waiting.", "event_id", "state")

MEASURES = measures_in(globals())


def hub_readings(hub: Hub) -> Iterator[Reading]:
    """Read a hub."""
    counts, done, streams = hub.counts(), hub.tallies, hub.streams
    yield one(SOCKETS, counts["sockets"])
    yield one(CATCHING_UP, counts["catching_up"])
    yield one(BUFFERED, hub.all_buffered_bytes())
    yield one(CONNECTIONS, done.connections)
    yield Reading(CLOSES, [((str(code.value), code.text), count) for code, count in done.closed.items()])
    yield one(CUT, done.cut)
    yield one(GUARD, counts["alarms"])
    taken = {event_id: census(stream.subscribers.values()) for event_id, stream in streams.items()}
    yield Reading(
        SUBSCRIBERS,
        [
            ((event_id, mode, form), count)
            for event_id, found in taken.items()
            for (mode, form), count in found.subscribed.items()
        ],
    )
    yield Reading(REPORTING, [((event_id,), found.reporting) for event_id, found in taken.items()])
    yield Reading(PAUSED, [((event_id,), found.paused) for event_id, found in taken.items()])
    yield Reading(BEHIND, [((event_id,), found.behind) for event_id, found in taken.items()])
    yield Reading(
        JOINS,
        [((event_id, how), count) for event_id, stream in streams.items() for how, count in stream.joins.items()],
    )
    held = {event_id: stream.held() for event_id, stream in streams.items()}
    yield Reading(ENTRIES, [((event_id,), kept) for event_id, (kept, _) in held.items()])
    yield Reading(HELD, [((event_id,), waiting) for event_id, (_, waiting) in held.items()])
    yield Reading(MAY_WAGER, [((event_id,), stream.may_wager) for event_id, stream in streams.items()])
    yield Reading(
        SYNC,
        [
            ((event_id, state), float(stream.sync == state))
            for event_id, stream in streams.items()
            for state in get_args(Sync)
        ],
    )
    yield from _delivered(hub)


def _delivered(hub: Hub) -> Iterator[Reading]:
    delivered = hub.tallies.delivered
    yield Reading(
        CUES,
        [((event_id, cls.value), count) for event_id, each in delivered.items() for cls, count in each.cues.items()],
    )
    yield Reading(CAUGHT_UP, [((event_id,), each.caught_up) for event_id, each in delivered.items()])
    yield Reading(FLUSHES, [((event_id,), each.flushes) for event_id, each in delivered.items()])
    yield Reading(LATE, [((event_id,), each.late) for event_id, each in delivered.items()])
    yield Reading(SAFETY_LATE, [((event_id,), each.safety_late) for event_id, each in delivered.items()])
