"""Which showings exist, and what belongs to each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kernel.errors import SettingsError

EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an `event_id` looks like on every wire; no dot, so that no token is mistaken for one."""

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Source:
    """One vendor's feed of one showing.

    `vendor` names the adapter. `audience` "trading" keeps its facts from everyone without that scope.

    Args:
        interval_s: how often it speaks at the latest, in seconds; None: as its own signs of life say, and without
            those it is not monitored.
        down_after_s: silence that its vendor's documentation calls down; None: twice the interval.
        binds: which markets close when it is down: "all" of the showing, or its "own", those that it quotes.
        latency_s: lag that is its ordinary slowness; a least lag beyond this is taken for a clock that is slow.
    """

    name: str
    vendor: str
    audience: Literal["public", "trading"] = "public"
    interval_s: float | None = None
    down_after_s: float | None = None
    binds: Literal["all", "own"] = "all"
    latency_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Showing:
    """What is sold and watched. Its one stream bears the same id.

    Args:
        event_id: `[A-Za-z0-9_-]{1,64}`.
        origin: a folder that holds one playlist, or the http(s) URL of one.
        sources: the vendor feeds pinned to its picture; a source serves one showing.
        hold_s: D, the constant delay of the picture, in seconds; 0: video never waits. With `auto_hold`, its limit.
        max_hold_s: how long beyond D a segment without a mark is kept back before it opens unsynchronised.
        due_sigma: how many standard deviations of the alignment a fact waits beyond its picture.
        program_delay_ms: how long after the camera the encoder stamps; None: nobody has calibrated it.
        allowed_origins: browser origins that may read the video and open the socket; empty: any.
        local_dir: a folder where what an http(s) origin's playlists name is looked up before the origin is asked.
        auto_hold: whether D is learned from the vendors' lag.
        suspend_scope: how wide a suspend is sent: "event" hides which market closed, "market" names it.
        price_invalidation: whether a changed price kills bet slips at once (`inv`), ahead of its picture.
        place_policy: the name of the policy of place that governs it; None: none does.
    """

    event_id: str
    origin: str
    sources: tuple[Source, ...] = ()
    hold_s: float = 0.0
    max_hold_s: float = 15.0
    due_sigma: float = 1.0
    program_delay_ms: int | None = None
    allowed_origins: tuple[str, ...] = ()
    local_dir: str | None = None
    auto_hold: bool = False
    suspend_scope: Literal["event", "market"] = "event"
    price_invalidation: bool = False
    place_policy: str | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise surface as a wrong route or a cue that never comes."""
        if not EVENT_ID.fullmatch(self.event_id):
            raise SettingsError(f"event id {self.event_id!r}: use 1 to 64 letters, digits, '_' or '-'")
        names = [source.name for source in self.sources]
        for name in names:
            if not SOURCE_NAME.fullmatch(name):
                raise SettingsError(f"source {name!r}: use 1 to 32 lower-case letters, digits, '_' or '-'")
            if names.count(name) > 1:
                raise SettingsError(f"source {name!r} stands twice in showing {self.event_id!r}: give each a name")
        for source in self.sources:
            times = [time for time in (source.interval_s, source.down_after_s) if time is not None]
            if any(time <= 0 for time in times) or source.latency_s < 0:
                raise SettingsError(f"source {source.name!r}: interval_s, down_after_s and latency_s are spans of time")
        if self.hold_s < 0 or self.max_hold_s <= 0 or self.due_sigma < 0:
            raise SettingsError(f"showing {self.event_id!r}: hold_s, max_hold_s and due_sigma cannot be negative")
