"""All sources of one showing: who speaks, whose clock is off, how far each has told; what to say when that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from feeds.health import SourceHealth
from feeds.skew import Skews
from feeds.vendors.contract import Alive
from kernel.feed_state import FeedProgress, FeedState, Health
from kernel.showings import Showing, Source


class Turn(NamedTuple):
    """What changed in a look at the sources: who fell, who rose again."""

    fell: list[str]
    rose: list[str]


class FeedWatch:
    """Watch the sources of a showing.

    Args:
        showing: names the sources.
        skews: their clocks.
        now: bus time.
        state: what `state` said before a restart.
    """

    def __init__(self, showing: Showing, skews: Skews, *, now: float) -> None:
        self._skews = skews
        self._sources: dict[str, Source] = {source.name: source for source in showing.sources}
        self._health = {
            source.name: SourceHealth(now=now, interval_s=source.interval_s, down_after_s=source.down_after_s)
            for source in showing.sources
        }
        self._down: dict[str, None] = {}
        self.progress: dict[str, FeedProgress] = {}

    def restore(self, kept: Mapping[str, Any], *, down: list[str], now: float) -> None:
        """Take up what was kept: the intervals that sources promised, and who was down."""
        for name, interval_s in kept.get("intervals", {}).items():
            if name in self._health:
                self._health[name].promise(float(interval_s), now=now)
        self._down = {name: None for name in down if name in self._health}

    def kept(self) -> dict[str, Any]:
        """Return what `restore` wants to know: a source that fell silent in a restart must be missed all the same."""
        return {"intervals": {name: health.interval_s for name, health in self._health.items() if health.interval_s}}

    def heard(self, source: str, alive: Alive | None, *, now: float) -> None:
        """Take in that a message of a source came, with its sign of life if it is one."""
        health = self._health.get(source)
        if health is None:
            return
        health.heard(now=now)
        if alive is not None:
            health.promise(alive.interval_s, now=now)
            health.heard(now=now)
            if alive.complete_to is not None:
                to = self._skews.correct(source, alive.complete_to)
                known = self.progress.get(source)
                self.progress[source] = FeedProgress(source, max(to, known.complete_to) if known else to)

    def look(self, *, now: float) -> Turn:
        """Bring every source up to bus time `now`; say who is down since the last look, and who is no more."""
        fell, rose = [], []
        for name, health in self._health.items():
            health.judge(now=now)
            is_down, was_down = health.state is Health.DOWN, name in self._down
            if is_down and not was_down:
                self._down[name] = None
                fell.append(name)
            elif was_down and not is_down and health.heard_at is not None:
                del self._down[name]
                rose.append(name)
        return Turn(fell, rose)

    def states(self) -> tuple[FeedState, ...]:
        """Return how all sources are, in the order of the settings."""
        return tuple(self._state(name, health) for name, health in self._health.items())

    def next_deadline(self) -> float | None:
        """Return the bus time at which to look again, None if only a message can change anything."""
        return min((at for health in self._health.values() if (at := health.next_deadline()) is not None), default=None)

    def _state(self, name: str, health: SourceHealth) -> FeedState:
        reasons = [text for text in (health.why, self._skews.complaint(name)) if text]
        return FeedState(name, health.state, "; ".join(reasons), health.since)
