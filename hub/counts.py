"""What the hub has done, counted once a flush: nothing here is asked or told for each subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.close_codes import CloseCode
from kernel.cues import CueClass
from kernel.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.cohort import Delivery

LATE_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""What is asked of the hub are among them: half of the cues within 5 ms, 99 of 100 within 25, suspends within 100."""


class Delivered:
    """Count what one stream's subscribers were sent."""

    def __init__(self) -> None:
        self.cues = dict.fromkeys(CueClass, 0)
        """Deliveries in flushes by class: a cue to a subscriber is one."""
        self.caught_up = 0
        """Deliveries to who was behind: replays, and what was too much for one flush."""
        self.flushes = 0
        """How often the same bytes were written to some."""
        self.late = Histogram(LATE_BOUNDS_S)
        """From the moment at which a cue might go to its last subscriber's write, in seconds; one for each delivery."""
        self.safety_late = Histogram(LATE_BOUNDS_S)
        """The same of safety, from its coming here."""

    def flushed(self, delivery: Delivery, n_subscribers: int, now: float) -> None:
        """Count what was just written to some, all of it at bus time `now`."""
        self.flushes += 1
        entries = delivery.entries
        if delivery.safety:
            self.cues[CueClass.SAFETY] += len(entries) * n_subscribers
            late = self.safety_late
        else:
            reopens = sum([entry.cue.cls is CueClass.REOPEN for entry in entries])
            self.cues[CueClass.REOPEN] += reopens * n_subscribers
            self.cues[CueClass.LOCKED] += (len(entries) - reopens) * n_subscribers
            late = self.late
        if delivery.since is not None:
            late.add(now - delivery.since, len(entries) * n_subscribers)


class HubCounts:
    """Count what goes on in one hub.

    Args:
        event_ids: of its showings.
    """

    def __init__(self, event_ids: Iterable[str]) -> None:
        self.connections = 0
        """How many were ever greeted."""
        self.closed = dict.fromkeys(CloseCode, 0)
        """How many we closed, by code."""
        self.cut = 0
        """How many we ended without a word."""
        self.delivered = {event_id: Delivered() for event_id in event_ids}

    def add(self, event_id: str) -> None:
        """Count what goes out of a showing that is new."""
        self.delivered[event_id] = Delivered()

    def remove(self, event_id: str) -> None:
        """Forget a showing that is gone."""
        del self.delivered[event_id]
