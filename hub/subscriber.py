"""One connection's state, without its socket.

    GREETED --auth--> ADMITTED --sub--> SUBSCRIBED --unsub--> ADMITTED
       any state --bye, slow, dead--> CLOSING (nothing more is sent, the peer's Close is awaited)

Of the subscribed, some are *behind*: paused, or with more owed than one flush may write. They stand outside their
cohort with their own cursor until they have caught up, so the hot loop asks nothing of its members.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from hub.canonical import hash64
from hub.floors import market_of
from kernel.cues import CueClass, CueType, Entry
from kernel.decisions import Scope

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from hub.cursor import Cursor
    from hub.frontier import Clock
    from hub.playhead import Playhead
    from hub.settings import HubSettings
    from hub.snapshot import Batch, Message
    from kernel.blackouts import ZoneSet
    from kernel.decisions import Ending
    from kernel.timeline import MediaTime
    from kernel.tokens import Claims

Mode = Literal["edge", "viewer", "realtime"]
Format = Literal["json", "msgpack"]

_BETTING = frozenset({CueType.MARKET, CueType.PRICE, CueType.SETTLE, CueType.SUSPEND, CueType.INV})


MAX_SESSIONS = 4
"""How many sessions of one connection count: a player may go on with the URLs of the one before for a while."""


class Phase(IntEnum):
    """Where a connection stands in its life."""

    GREETED = 0
    ADMITTED = 1
    SUBSCRIBED = 2
    CLOSING = 3


class Filter(NamedTuple):
    """What of a stream a subscriber wants and may have. Subscribers with equal filters share every byte.

    None stands for all. `hidden` are the sources it may not see. What names no market or no team passes `markets` and
    `teams`: it concerns all of them.
    """

    types: frozenset[CueType] | None
    hidden: frozenset[str]
    markets: frozenset[str] | None = None
    teams: frozenset[str] | None = None

    def passes(self, entry: Entry) -> bool:
        """Return whether an entry is for subscribers with this filter; safety passes every filter."""
        cue = entry.cue
        if cue.cls is CueClass.SAFETY:
            return True
        if self.types is not None and cue.type not in self.types:
            return False
        if self.markets is not None and (mid := market_of(cue.body)) is not None and mid not in self.markets:
            return False
        if self.teams is not None:
            team = cue.body.get("team")
            if isinstance(team, str) and team not in self.teams:
                return False
        return not self.hidden or cue.id.partition(":")[0] not in self.hidden

    @property
    def bets(self) -> bool:
        """Return whether markets are among what is wanted: then silence must be short."""
        return self.types is None or not self.types.isdisjoint(_BETTING)


EVERYTHING = Filter(types=None, hidden=frozenset())


@lru_cache(maxsize=1_024)
def wish_mark(mode: Mode, wanted: Filter) -> str:
    """Return a short name of what is wanted, the same in every process: a cursor holds for it alone."""
    return hash64([mode, *(None if part is None else sorted(map(str, part)) for part in wanted)])[:8]


class Counter(Protocol):
    """What counts the cues of many at once, and knows how to write to them."""

    cues: int

    def renew(self) -> None:
        """Look again at how they are written to."""
        ...


class Subscriber:
    """Keep what is known of one connection. `write` and `buffered` are its socket's; times are bus time in seconds."""

    __slots__ = (
        "account",
        "address",
        "ahead",
        "based",
        "beat_at",
        "behind",
        "buffer_mark",
        "clock",
        "close_by",
        "cohort",
        "conflate_ms",
        "counted_from",
        "ending",
        "ends",
        "event_id",
        "file",
        "filter",
        "format",
        "frames_at",
        "frames_left",
        "group",
        "hash_at",
        "heartbeat_at",
        "heartbeat_s",
        "inside",
        "known",
        "lead_ms",
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
        "place",
        "playhead",
        "revoked",
        "scopes",
        "sent",
        "sessions",
        "slot",
        "target",
        "told",
        "told_may_wager",
        "wish",
        "write",
        "zones",
    )  # fmt: skip

    def __init__(self, number: int, event_id: str, settings: HubSettings, now: float) -> None:
        self.number = number
        self.event_id = event_id
        self.phase = Phase.GREETED
        self.write: Callable[[bytes], None] = _nowhere
        # The descriptor that the same bytes may be written to, while nothing waits that they would overtake; else -1.
        self.file = -1
        # Admission
        self.address = ""
        self.account: str | None = None
        self.origin_refused = False
        self.scopes: frozenset[str] = frozenset()
        self.may_wager = False
        self.ends = 0
        self.ending: Ending | None = None
        # The blackouts that it is inside of, and those by which it has its cues.
        self.inside: ZoneSet = ()
        self.zones: ZoneSet = ()
        # Subscription
        self.mode: Mode = "viewer"
        self.format: Format = "json"
        self.filter = EVERYTHING
        self.wish = ""
        self.conflate_ms = 0
        self.cohort = -1
        # That of its own, which it has left while its player plays on: what it changes takes it back nowhere.
        self.clock: Clock | None = None
        self.heartbeat_s = settings.heartbeat_ms / 1000
        # What its player reports, and the sessions in which it may have been served pictures, the present one first.
        self.playhead: Playhead | None = None
        self.lead_ms = 0
        self.sessions: tuple[str, ...] = ()
        # What was sent before it became a member of `group`, and where that one's count stood then.
        self.sent = 0
        self.group: Counter | None = None
        self.counted_from = 0
        self.told_may_wager: bool | None = None
        # Being behind: the cursor to go on from, what is to be written next, the cursor once all up to it is sent, and
        # how far towards it things have been handed out. Without a base no cursor is told: a snapshot is on its way.
        self.behind: Cursor | None = None
        self.owed: deque[Batch | Message] | None = None
        self.target: Cursor | None = None
        self.place: tuple[MediaTime, int] | None = None
        self.based = True
        # How far it had come elsewhere, before it came here: it knows more than those it stands with.
        self.ahead: MediaTime | None = None
        # What it said to have been sent there.
        self.known: Cursor | None = None
        # What it was told last to have been sent, there or here.
        self.told: Cursor | None = None
        self.paused_at: float | None = None
        self.buffer_mark = 0
        # Time limits
        self.opened_at = now
        self.heartbeat_at = now
        self.hash_at = now
        self.ping_at = now + settings.ping_interval_s
        self.missed_pings = 0
        self.close_by: float | None = None
        self.revoked = False
        self.beat_at = now
        self.slot = -1
        # Frames the client may still send
        self.frames_left = settings.frames_burst
        self.frames_at = now

    def admit(self, claims: Claims, *, may_wager: bool, inside: ZoneSet = ()) -> None:
        """Take over what a token says, and of which blackouts its bearer is inside."""
        self.inside = inside
        self.account = claims.account
        # A token that says no session is one by itself.
        current = claims.session or claims.jti
        others = (session for session in self.sessions if session != current)
        self.sessions = (current, *others)[:MAX_SESSIONS]
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

    def tell(self, cursor: Cursor, through: int = -1) -> Cursor:
        """Return what to tell it to have been sent: `cursor`, or what it was told before if that leaves less owed.

        Those it stands with may hold a price that came late, or have come less far: what it has had is no less sent.
        Nor do they count safety that it had before a restart: `through` is up to where nothing lies before the cursor's
        `upto` but what its `o` counts, and safety.
        """
        told = self.told
        if told is not None and cursor.o < told.o <= through:
            cursor = cursor._replace(o=told.o)
        if told is None or (cursor.o >= told.o and cursor.upto >= told.upto):
            self.told = cursor
            return cursor
        return told

    def put_back(self, item: Batch | Message) -> None:
        """Owe it again what was just handed out, ahead of everything else."""
        assert self.owed is not None  # only who is behind is handed anything
        self.owed.appendleft(item)

    def write_by(self, write: Callable[[bytes], None], file: int = -1) -> None:
        """Be written to by `write` from now on, and where many are written the same, straight to `file`."""
        changes = file != self.file or write is not self.write
        self.write, self.file = write, file
        if changes and self.group is not None:
            self.group.renew()

    def hang_up(self) -> None:
        """Write to this socket no more."""
        self.write_by(_nowhere)

    def start_over(self) -> None:
        """Leave the subscription; the connection stays."""
        self.cohort = -1
        self.clock = self.ahead = self.known = self.told = None
        self.catch_up()
        self.told_may_wager = None

    def catch_up(self) -> None:
        """Be no longer behind."""
        self.behind = self.owed = self.target = self.place = None
        self.based = True

    @property
    def sent_in_all(self) -> int:
        """Return how many cues went out on this connection."""
        return self.sent if self.group is None else self.sent + self.group.cues - self.counted_from

    @property
    def dark_in(self) -> ZoneSet:
        """Return the zones whose blackouts hide the stream from it: those of its player, if it waits for one."""
        return self.zones if self.mode == "viewer" else ()

    @property
    def sees_trading(self) -> bool:
        """Return whether sources for trading desks are among what this subscriber may see."""
        return Scope.TRADING in self.scopes


def _nowhere(data: bytes) -> None:
    """Stand for the socket of a connection that has none yet or any more."""
