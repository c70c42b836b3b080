"""Those who share one frontier and have been sent the same: computed once, encoded once per format and filter."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.backlog import Backlog, newest_revisions
from hub.conflation import Conflation, newest_prices
from hub.cursor import NOTHING_SENT, Cursor, cursor_text
from hub.group import Group, shares_of
from hub.ledger import merged, place_of
from hub.shares import Shares
from hub.snapshot import Batch, Message, batches, snapshot
from hub.state import State
from hub.subscriber import wish_mark
from kernel.timeline import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.curtain import Curtain
    from hub.floors import Floors
    from hub.frontier import Clock
    from hub.ledger import Place
    from hub.subscriber import Filter, Format, Subscriber
    from kernel.blackouts import Veil
    from kernel.cues import Entry
    from kernel.timeline import MediaTime

MAX_STATES = 64
"""How many filters' states are kept up to date for a cohort that may grow: beyond it, those without members go."""

MAX_CHUNKS = 64
"""How many replays are kept at hand: those who lose one server together come back from a few places."""

_offset = attrgetter("o")

CHUNK = 4_096
"""How many entries somebody who is behind is handed at a time: 32 KiB of references."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes to whom in one flush; all of `to` have the same filter and format.

    `before` is where they stood, for those who cannot take it all at once; `frontier` is what nothing in it may lie
    at or beyond. `safety` goes to paused sockets too. `trading` says that the one rule does not hold for them. `since`
    is the bus time from which on it might have gone out, None where nobody asks.
    """

    to: tuple[Subscriber, ...]
    entries: tuple[Entry, ...]
    before: Cursor
    frontier: MediaTime
    format: Format = "json"
    safety: bool = False
    trading: bool = False
    group: Group | None = None
    since: float | None = None


class Cohort:
    """Deliver by the one rule: an entry is owed when its due time lies before the frontier.

    Args:
        number: ties between cohorts are settled by it.
        clock: tells the frontier.
        backlog: the stream's log.
        floors: what is not sent any more.
        conflate_ms: how long a price may wait for a newer one of its market; 0: none waits.
        shared: whether it is kept when nobody is in it, and keeps states up to date.
        trading: whether its members see everything at once.
        curtain: where it is dark for its members; None: nowhere.
    """

    def __init__(
        self,
        number: int,
        clock: Clock,
        backlog: Backlog,
        floors: Floors,
        *,
        conflate_ms: int = 0,
        shared: bool = True,
        trading: bool = False,
        curtain: Curtain | None = None,
    ) -> None:
        self.curtain = curtain
        self.veil: Veil | None = None
        """What hides the stream from the members, as of the last look at their frontier."""
        self.number = number
        self.clock = clock
        self.cursor: Cursor = NOTHING_SENT
        self.is_due_sooner = False
        """Whether the last entries changed `next_instant`."""
        self.known: Cursor | None = None
        """What the one subscriber of a cohort of one was sent elsewhere before it resumed here, perhaps beyond the
        frontier: that is not sent again, or something older would come after something newer."""
        self.moved_at: float | None = None
        """When its stream last brought it to its frontier, in bus time; None if that may have moved otherwise since."""
        self._heard = -1
        # How far the members' players are, be it dark there.
        self._shown = BEGINNING
        self._next_due: MediaTime | None = None
        self._backlog = backlog
        self._floors = floors
        self._prices = Conflation(conflate_ms / 1000)
        self.shared = shared
        self._trading = trading
        # By what they were sent elsewhere as well, if that reaches beyond what members here are told.
        self._members: dict[tuple[Filter, Format, Cursor | None], Group] = {}
        self._ahead: dict[int, Cursor] = {}
        self._shares: list[frozenset[str]] | None = None
        self._share = 0
        self._states: dict[Filter, State] = {}
        self._chunks: dict[object, tuple[Place | None, list[Batch]]] = {}
        self._snapshots: dict[Filter, tuple[object, list[Message]]] = {}

    def __bool__(self) -> bool:
        return bool(self._members)

    def __contains__(self, subscriber: Subscriber) -> bool:
        """Return whether somebody is in the hot set."""
        key = (subscriber.filter, subscriber.format, self._ahead.get(subscriber.number))
        return subscriber in self._members.get(key, ())

    def members(self) -> list[Subscriber]:
        """Return everybody who is in the hot set."""
        return [one for group in self._members.values() for one in group.to]

    def release(self) -> list[Subscriber]:
        """Let all members go, and return them."""
        members = self.members()
        for subscriber in members:
            self.remove(subscriber)
        return members

    def is_veiled(self, now: float) -> bool:
        """Return whether the stream is hidden from the members at bus time `now`; nothing is taken note of."""
        return self.curtain is not None and self.curtain.look(self.clock.frontier(now))[0] is not None

    def comes_past_dark(self, now: float) -> bool:
        """Return whether it is dark anywhere on the way to the frontier at bus time `now`; nothing is taken note of."""
        if self.curtain is None:
            return False
        frontier = self.clock.frontier(now)
        _, begins = self.curtain.look(frontier)
        return self.curtain.hides(self.cursor.upto, frontier if begins is None else begins)

    def hides(self, since: MediaTime) -> bool:
        """Return whether it is dark anywhere between a frontier and where the members stand."""
        return self.curtain is not None and self.curtain.hides(since, self.cursor.upto)

    def add(self, subscriber: Subscriber) -> None:
        """Make somebody a member who has been sent what this cohort has, and perhaps more where it was before."""
        known = subscriber.known
        if known is not None and known.upto > self.told.upto:
            self._ahead[subscriber.number] = known
        else:
            known = None
        key = (subscriber.filter, subscriber.format, known)
        self._shares = None
        group = self._members.get(key)
        if group is None:
            group = self._members[key] = Group()
        group.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Let somebody go; who is no member stays none."""
        key = (subscriber.filter, subscriber.format, self._ahead.pop(subscriber.number, None))
        self._shares = None
        group = self._members.get(key)
        if group is not None:
            group.remove(subscriber)
            if not group:
                del self._members[key]

    @property
    def listens(self) -> bool:
        """Return whether anybody is served by it: members, or states that are kept up to date."""
        return bool(self._members or self._states)

    @property
    def next_due(self) -> MediaTime | None:
        """Return the due time of the next entry that waits here, as of the last `next_instant`."""
        return self._next_due

    @property
    def holds_prices(self) -> bool:
        """Return whether prices wait here to be conflated."""
        return bool(self._prices)

    @property
    def told(self) -> Cursor:
        """Return the cursor that members are told: it never passes a price that waits to be conflated."""
        held = self._prices.held
        return self.cursor if held is None or held >= self.cursor.upto else self.cursor._replace(upto=held)

    def advance(self, now: float, since: float | None = None) -> list[Delivery]:
        """Move to the frontier at `now`; return what the members are owed for it.

        Args:
            now: bus time.
            since: when the frontier came to stand there, to tell how late that is.
        """
        before, cursor, frontier = self.told, self.cursor, self.frontier(now)
        # What came since the cursor was taken was looked at as it came: only what waited is owed.
        had = cursor._replace(seen=max(cursor.seen, self._heard))
        facts, prices = self._backlog.owed_apart(had, frontier)
        if self.known is not None:
            facts, prices = _unknown(facts, self.known), _unknown(prices, self.known)
        highest = max(map(_offset, chain(facts, prices)), default=-1)
        if self.known is not None and frontier >= self.known.upto:
            highest = max(highest, self.known.o)
        self.cursor = Cursor(max(cursor.o, highest), frontier, self._backlog.head)
        deliveries = self._send(facts, prices, before, now, since)
        if self._ahead:
            self._overtake()
        return deliveries

    def frontier(self, now: float) -> MediaTime:
        """Return how far the members may see at bus time `now`: where it is dark, to where that began."""
        frontier = self.clock.frontier(now)
        if self.curtain is None:
            return frontier
        self._shown = frontier
        self.veil, begins = self.curtain.look(frontier)
        return frontier if begins is None else begins

    def begin_at(self, cursor: Cursor, now: float) -> None:
        """Stand where somebody else's cursor is, if that is not in the dark."""
        self.cursor = cursor._replace(upto=min(cursor.upto, self.frontier(now))) if self.curtain else cursor

    def take(self, entries: Sequence[Entry], now: float, first: MediaTime | None = None) -> list[Delivery]:
        """Take in the newest entries of the log; return what the members are owed of those that are due already.

        `first` is the earliest of their due times, where that is known: as a rule all wait for their picture.
        """
        if first is None:
            first = min(entry.due for entry in entries if entry.due is not None)
        cursor, self.is_due_sooner = self.cursor, False
        self._heard = entries[-1].o
        upto, due = cursor.upto, []
        if first < upto:
            due = [entry for entry in entries if entry.due is not None and entry.due < upto]
            if len(due) < len(entries):
                first = min(entry.due for entry in entries if entry.due is not None and entry.due >= upto)
        if len(due) < len(entries):
            self.is_due_sooner = self._next_due is None or first < self._next_due
        if not due:
            return []
        before, idle = self.told, not self._prices
        self.cursor = Cursor(max(cursor.o, due[-1].o), cursor.upto, self._heard)
        if len(due) > 1:
            due.sort(key=place_of)
        deliveries = self._send(due, [], before, now, now)
        self.is_due_sooner |= idle and bool(self._prices)
        return deliveries

    def waiting(self, subscriber: Subscriber) -> list[Entry]:
        """Return the prices that wait here for newer ones and are for this subscriber, in the order of (due, o)."""
        waiting = _unknown(self._prices.waiting(), subscriber.known)
        return [entry for entry in waiting if subscriber.filter.passes(entry)]

    def chunk(self, subscriber: Subscriber, target: Cursor) -> list[Batch]:
        """Return the next of what one who is behind needs to stand at `target`; none: it has had all of it.

        Made once for all who come back from the same place.
        """
        since, place, wanted = subscriber.behind, subscriber.place, subscriber.filter
        assert since is not None  # asked only for those outside the hot set
        known = subscriber.known
        if known is not None and known.upto <= since.upto:
            # What it was sent elsewhere says no more than where it stands.
            known = None
        key = (since, place, wanted, target, known, self._floors.version)
        found = self._chunks.get(key)
        if found is None:
            found = self._chunk(since, place, wanted, target, known)
            if len(self._chunks) >= MAX_CHUNKS:
                self._chunks.clear()
            self._chunks[key] = found
        subscriber.place, made = found
        return made

    def _chunk(
        self, since: Cursor, place: Place | None, wanted: Filter, target: Cursor, known: Cursor | None
    ) -> tuple[Place | None, list[Batch]]:
        owed = _unknown(_unknown(self._backlog.owed(since, target.upto), self.known), known)
        if place is not None:
            owed = [entry for entry in owed if place_of(entry) > place]
        owed = [entry for entry in owed if entry.o <= target.seen][:CHUNK]
        if owed:
            place = place_of(owed[-1])
        chosen = [entry for entry in self._choose(owed, target.upto) if wanted.passes(entry)]
        return place, batches(newest_prices(chosen) if self._prices.interval_s else chosen, self._floors.version)

    def count_safety(self, entry: Entry) -> None:
        """Take note that safety was sent to all."""
        self.cursor = self.cursor._replace(o=max(self.cursor.o, entry.o))

    def next_instant(self) -> float | None:
        """Return when the frontier passes the next waiting entry, None if that takes another opening."""
        self.is_due_sooner = False
        if not self.listens:
            self._next_due = None
            return None
        due = self._backlog.next_due(self.cursor.upto)
        if self.curtain is not None:
            stop = self.curtain.stop_behind(self._shown)
            # In the dark nothing is due.
            due = stop if due is None or self.veil is not None or (stop is not None and stop < due) else due
        self._next_due = due
        instant = self.clock.passes_at(due) if due is not None else None
        if self._prices and (instant is None or self._prices.flush_at < instant):
            return self._prices.flush_at
        return instant

    # What the members know.

    def state_of(self, wanted: Filter, base: Cohort | None = None) -> State:
        """Return what subscribers with this filter know who have been sent all up to the cursor.

        Args:
            wanted: the filter.
            base: a shared cohort that conflates nothing and has come less far: what it knows need not be made again.
        """
        state = self._states.get(wanted)
        if state is None:
            if base is not None:
                state, known = base.state_of(wanted).copy(), self._backlog.owed(base.cursor, self.cursor.upto)
            else:
                state, known = State(self._floors), self._backlog.before(self.cursor.upto)
            waiting = {entry.o for entry in self._prices.waiting()}
            due = [entry for entry in known if entry.o not in waiting]
            for entry in self._choose(due, self.cursor.upto):
                if wanted.passes(entry):
                    state.fold(entry)
            if self.shared:
                self._forget_states()
                self._states[wanted] = state
        return state

    def stop_waiting(self) -> None:
        """Count as sent what waits to be conflated: nobody is a member, and snapshots tell of it."""
        shares = Shares(self._choose(self._prices.waiting(), self.cursor.upto))
        self._prices.forget()
        for wanted, state in self._states.items():
            for entry in shares.of(wanted):
                state.fold(entry)

    def snapshot_for(
        self, subscriber: Subscriber, epoch: str, piece_bytes: int, base: Cohort | None = None
    ) -> list[Message]:
        """Return what a joiner is sent first; made once for all who come while nothing changes."""
        state = self.state_of(subscriber.filter, base)
        told = self.told
        mark = (told.o, told.upto, state.version, self._floors.version)
        known = self._snapshots.get(subscriber.filter)
        if known is not None and known[0] == mark:
            return known[1]
        cur = cursor_text(epoch, told, wish_mark(subscriber.mode, subscriber.filter))
        made = snapshot(state, self.cursor.upto, cur, piece_bytes)
        if self.shared:
            self._snapshots = {wanted: old for wanted, old in self._snapshots.items() if wanted in self._states}
            self._snapshots[subscriber.filter] = (mark, made)
        return made

    def forget_replays(self) -> None:
        """Forget the replays at hand: nobody else will come back here."""
        self._chunks.clear()

    def begin_anew(self) -> None:
        """Forget what was sent: the log's epoch has changed."""
        self.cursor = Cursor(-1, self.cursor.upto, -1)
        self.moved_at = None
        self._heard = -1
        self.known = None
        for subscriber in self.members():
            self.remove(subscriber)
            subscriber.known = None
            self.add(subscriber)
        self._states.clear()
        self._chunks.clear()
        self._snapshots.clear()
        self._prices.forget()

    # Within.

    def _overtake(self) -> None:
        """Put with the others those members who have been sent no more than they have by now."""
        upto = self.told.upto
        passed = [group for (*_, known), group in self._members.items() if known is not None and known.upto <= upto]
        for group in passed:
            for subscriber in group.to:
                self.remove(subscriber)
                self.add(subscriber)

    def _choose(self, owed: list[Entry], frontier: MediaTime) -> list[Entry]:
        """Leave out what counts as sent because it is superseded or below its floor."""
        backlog, withhold = self._backlog, self._floors.withhold
        return [
            entry
            for entry in newest_revisions(owed)
            if not withhold(entry.cue.type, entry.cue.cls, entry.cue.body)
            and not backlog.is_superseded(entry, frontier)
        ]

    def _send(
        self, owed: list[Entry], prices: list[Entry], before: Cursor, now: float, since: float | None
    ) -> list[Delivery]:
        """Deliver what is owed; both lists are in the order of (due, o)."""
        if not self._members and not self._states:
            return []
        if self._prices.interval_s:
            # Conflated before anything else is asked about them: most prices never go further than this.
            owed = merged(self._prices.hold(owed, now), self._prices.hold(prices, now))
            owed = merged(owed, self._released(now))
        else:
            owed = merged(owed, prices)
        chosen = self._choose(owed, self.cursor.upto) if owed else owed
        if not chosen:
            return []
        shares = Shares(chosen)
        for wanted, state in self._states.items():
            for entry in shares.of(wanted):
                state.fold(entry)
        deliveries, upto, trading = [], self.cursor.upto, self._trading
        for (wanted, format_, known), group in self._members.items():
            entries = shares.of(wanted)
            if known is not None:
                entries = tuple(_unknown([*entries], known))
            if entries:
                to = group.to
                deliveries.append(
                    Delivery(to, entries, before, upto, format_, trading=trading, group=group, since=since)
                )
        return deliveries

    def _released(self, now: float) -> list[Entry]:
        """Return the prices that have waited long enough, for some of the members: the others are next, in turns.

        Two thousand writes take as long as a suspend may take, which must not wait for them.
        """
        if not self._prices or now < self._prices.flush_at:
            return []
        if self._shares is None:
            self._shares = shares_of(self._members)
        if self._share < len(self._shares) - 1:
            self._share += 1
            return self._prices.release(now, self._shares[self._share - 1])
        self._share = 0
        return self._prices.release(now)

    def _forget_states(self) -> None:
        """Make room for one more state; a flood of filters must not make every cue dear."""
        if len(self._states) < MAX_STATES:
            return
        wanted_by_members = {wanted for wanted, *_ in self._members}
        for wanted in [one for one in self._states if one not in wanted_by_members]:
            del self._states[wanted]


def _unknown(owed: list[Entry], known: Cursor | None) -> list[Entry]:
    """Leave out what was sent elsewhere; None: nothing was."""
    if known is None:
        return owed
    return [entry for entry in owed if entry.o > known.o or (entry.due is not None and entry.due >= known.upto)]
