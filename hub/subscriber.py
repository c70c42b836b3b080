"""One connection's state, without its socket.

    GREETED --auth--> ADMITTED --sub--> SUBSCRIBED --unsub--> ADMITTED
       any state --bye, slow, dead--> CLOSING (nothing more is sent, the peer's Close is awaited)

Of the subscribed, some are *behind*: paused, or with more owed than one flush may write. They stand outside their
cohort with their own cursor until they have caught up, so the hot loop asks nothing of its members.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from kernel.cues import CueClass, CueType, Entry
from kernel.decisions import Scope

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from hub.cursor import Cursor
    from hub.settings import HubSettings
    from kernel.tokens import Claims

Mode = Literal["edge", "viewer"]


class Phase(IntEnum):
    """Where a connection stands in its life."""

    GREETED = 0
    ADMITTED = 1
    SUBSCRIBED = 2
    CLOSING = 3


class Filter(NamedTuple):
    """What of a stream a subscriber wants and may have. Subscribers with equal filters share every byte.

    `types` None stands for all; `hidden` are the sources it may not see.
    """

    types: frozenset[CueType] | None
    hidden: frozenset[str]

    def passes(self, entry: Entry) -> bool:
        """Return whether an entry is for subscribers with this filter; safety passes every filter."""
        cue = entry.cue
        if cue.cls is CueClass.SAFETY:
            return True
        if self.types is not None and cue.type not in self.types:
            return False
        return not self.hidden or cue.id.partition(":")[0] not in self.hidden


EVERYTHING = Filter(types=None, hidden=frozenset())


class Subscriber:
    """Keep what is known of one connection. `write` and `buffered` are its socket's; times are bus time in seconds."""

    __slots__ = (
        "account",
        "beat_at",
        "behind",
        "buffer_mark",
        "close_by",
        "cohort",
        "ends",
        "event_id",
        "filter",
        "frames_at",
        "frames_left",
        "heartbeat_at",
        "heartbeat_s",
        "may_wager",
        "missed_pings",
        "mode",
        "number",
        "opened_at",
        "origin_refused",
        "owed",
        "paused_at",
        "phase",
        "ping_at",
        "scopes",
        "sent",
        "slot",
        "target",
        "told_may_wager",
        "write",
    )  # fmt: skip

    def __init__(self, number: int, event_id: str, settings: HubSettings, now: float) -> None:
        self.number = number
        self.event_id = event_id
        self.phase = Phase.GREETED
        self.write: Callable[[bytes], None] = _nowhere
        # Admission
        self.account: str | None = None
        self.origin_refused = False
        self.scopes: frozenset[str] = frozenset()
        self.may_wager = False
        self.ends = 0
        # Subscription
        self.mode: Mode = "viewer"
        self.filter = EVERYTHING
        self.cohort = -1
        self.heartbeat_s = settings.heartbeat_ms / 1000
        self.sent = 0
        self.told_may_wager: bool | None = None
        # Being behind: the cursor to go on from, what is still owed, and the cursor once that is sent.
        self.behind: Cursor | None = None
        self.owed: deque[Entry] | None = None
        self.target: Cursor | None = None
        self.paused_at: float | None = None
        self.buffer_mark = 0
        # Time limits
        self.opened_at = now
        self.heartbeat_at = now
        self.ping_at = now + settings.ping_interval_s
        self.missed_pings = 0
        self.close_by: float | None = None
        self.beat_at = now
        self.slot = -1
        # Frames the client may still send
        self.frames_left = settings.frames_burst
        self.frames_at = now

    def admit(self, claims: Claims, *, may_wager: bool) -> None:
        """Take over what a token says."""
        self.account = claims.account
        self.scopes = claims.scopes
        self.ends = claims.ends
        self.may_wager = may_wager
        self.phase = max(self.phase, Phase.ADMITTED)

    def allows_frame(self, settings: HubSettings, now: float) -> bool:
        """Count a frame from the client; return False when there were too many (token bucket)."""
        earned = (now - self.frames_at) * settings.frames_per_s
        self.frames_left = min(settings.frames_burst, self.frames_left + earned) - 1
        self.frames_at = now
        return self.frames_left >= 0

    def hang_up(self) -> None:
        """Write to this socket no more."""
        self.write = _nowhere

    def start_over(self) -> None:
        """Leave the subscription; the connection stays."""
        self.cohort = -1
        self.catch_up()
        self.told_may_wager = None

    def catch_up(self) -> None:
        """Be no longer behind."""
        self.behind = self.owed = self.target = None

    @property
    def sees_trading(self) -> bool:
        """Return whether sources for trading desks are among what this subscriber may see."""
        return Scope.TRADING in self.scopes


def _nowhere(data: bytes) -> None:
    """Stand for the socket of a connection that has none yet or any more."""
