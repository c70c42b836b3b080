"""What the bus says, handed to the streams and their guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kernel.bus import (
    Bus,
    Cancel,
    entries_topic,
    epoch_signal,
    feeds_signal,
    opened_signal,
    safety_topic,
    served_signal,
    state_signal,
    timings_topic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.guard import Guard
    from hub.stream import Stream
    from kernel.cues import Entry
    from kernel.feed_state import FeedState
    from kernel.marks import Opened, Served
    from kernel.timeline import StreamState


class Listener(Protocol):
    """Who acts on what has changed."""

    def settle(self, event_id: str) -> None:
        """Write what has come out of a stream."""
        ...

    def begin_epoch(self, event_id: str) -> None:
        """Send everybody of a stream away: no cursor means anything any more."""
        ...

    def tell_feeds(self, event_id: str, changed: list[FeedState]) -> None:
        """Say how sources are."""
        ...


def follow(bus: Bus, stream: Stream, guard: Guard, listener: Listener) -> list[Cancel]:
    """Subscribe a stream to all that the bus says of it; what is retained is taken in before this returns."""
    event_id = stream.showing.event_id

    def told(change: Callable[[Any, float], object]) -> Callable[[Any], None]:
        def receive(record: Any) -> None:
            change(record, bus.now())
            listener.settle(event_id)

        return receive

    def numbered(change: Callable[[Any, float], object]) -> Callable[[int, Any], None]:
        receive = told(change)
        return lambda _, record: receive(record)

    # Entries that come together are taken in together, and what is due of them is written in one go.
    run: list[Entry] = []

    def take_run() -> None:
        entries, run[:] = tuple(run), ()
        stream.add_entries(entries, bus.now())
        listener.settle(event_id)

    def open_(opened: Opened, now: float) -> None:
        if opened.epoch is not None and stream.epoch is not None and opened.epoch != stream.epoch:
            # A relay that has not heard of the new log yet, or its last word on the old one: another media time.
            return
        # The guard first: what follows may be sent at once.
        guard.note_opened(opened)
        stream.open(opened, now)

    def set_state(state: StreamState, now: float) -> None:
        guard.note_state(state)
        stream.set_state(state, now)

    def set_feeds(states: tuple[FeedState, ...], now: float) -> None:
        changed = stream.set_feeds(states, now)
        if changed:
            listener.tell_feeds(event_id, changed)

    def set_epoch(epoch: str) -> None:
        if stream.set_epoch(epoch):
            listener.begin_epoch(event_id)

    return [
        bus.listen(epoch_signal(event_id), set_epoch),
        bus.listen(state_signal(event_id), told(set_state)),
        bus.listen(feeds_signal(event_id), told(set_feeds)),
        bus.subscribe(timings_topic(event_id), numbered(stream.add_timing)),
        bus.subscribe(safety_topic(event_id), numbered(stream.add_entry)),
        bus.subscribe(entries_topic(event_id), lambda _, entry: run.append(entry), settled=take_run),
        bus.listen(opened_signal(event_id), told(open_)),
        bus.listen(served_signal(event_id), _serving(bus, stream, listener)),
    ]


def _serving(bus: Bus, stream: Stream, listener: Listener) -> Callable[[Served], None]:
    """Hand on what relays serve; most of it concerns nobody here, and then nothing is to be written."""

    def serve(served: Served) -> None:
        if stream.serve(served, bus.now()):
            listener.settle(stream.showing.event_id)

    return serve
