"""Turn facts into sealed entries: the only place that assigns classes and offsets.

Rules:
* Safety is sealed at once. Everything else is sealed when the picture it belongs to is known.
* What a word about a market leads to is numbered with it (`ver`), in the order in which the messages came; what waits
  for its picture keeps that number, so a suspend that came after it outranks it.
* An entry never changes after it is sealed; offsets rise by one and are never used again.
* Of one message all that belongs to one picture is sealed together: a crash keeps all of it or none.
* A retraction that comes before its target leads to no entry. Its message stays unsettled, so that a restart hands it
  out again: what was retracted must not come back because we were killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feeds.align import Placement, TimelineMap
from feeds.lag import LagGauge
from feeds.market_book import Kept
from feeds.markets import STATEFUL, Change, Markets
from feeds.release import ReleaseSchedule
from feeds.revisions import Known, Revision, Revisions
from feeds.skew import Skews
from kernel.cues import Body, Cue, CueClass, CueType, Entry, Fact, Op
from kernel.timeline import MediaTime
from kernel.value import Record, replace

MAX_WAITING = 50_000
"""Beyond how many cues that wait for their picture prices among them are thinned out: 5 s of 10,000 a second."""

THIN_AT_ONCE = 1_000
"""How many of them are looked at with each message that comes: a millisecond."""

TRIES = 5
"""How many cues without a picture are passed over for each that may be sealed at a time: as much work."""

MAX_AHEAD = 1_000
"""Retractions that are kept at hand for a target that has not come: messages overtake each other by seconds."""


class Waiting(Record, gc=False):
    """A cue that is numbered, but whose picture is not known yet. `fact_id` is None for what we say ourselves."""

    source: str
    fact_id: str | None
    id: str
    rev: int
    op: Op
    type: CueType
    cls: CueClass
    body: Body
    before: Body | None
    known: Known
    message_seq: int
    received: float
    ver: int = 0
    kept: tuple[Kept, ...] = ()


class Sealed(Record, gc=False):
    """An entry, the vendor's fact and message it came from, what `restore` wants to know of it, and what to keep."""

    entry: Entry
    source: str | None
    fact_id: str | None
    message_seq: int
    note: dict[str, Any]
    ver: int = 0
    kept: tuple[Kept, ...] = ()


class _When(Record, gc=False):
    """When facts happened that were told together, how uncertain that is, and the vendor's word on it, if usable."""

    wall: float
    sigma_s: float
    said: float | None
    new: int = 0


class _Message(NamedTuple):
    """What the facts of one message have in common, and what was found out about their times already."""

    seq: int
    received: float
    live: bool
    now: float
    whens: dict[tuple[float | None, float], _When]


@dataclass(slots=True)
class _Walk:
    """How far those that wait have been thinned out, and of which market and while the newest was met."""

    untried: int
    stuck: int
    seen: set[tuple[str, str, int]] = field(default_factory=set)


@dataclass(slots=True)
class Counts:
    """What became of the facts of a stream."""

    sealed: int = 0
    late: int = 0
    absurd: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Offer:
    """What one message led to at once: safety entries, and whether nothing of it waits."""

    safety: list[Sealed] = field(default_factory=list)
    settled: bool = True


class Sequencer:
    """Seal the facts of one stream.

    Args:
        map_: the stream's timed segments.
        release: the stream's release schedule, which tells how late a fact is.
        markets: what is known of markets.
        next_offset: the first offset to be used.
    """

    def __init__(
        self,
        map_: TimelineMap,
        release: ReleaseSchedule,
        *,
        markets: Markets | None = None,
        skews: Skews | None = None,
        next_offset: int = 0,
    ) -> None:
        self._map = map_
        self._release = release
        self._untried: list[Waiting] = []
        self._stuck: list[Waiting] = []
        self._tried_with: object = None
        self._given_up: list[int] = []
        self._thin_beyond = MAX_WAITING
        self._walk: _Walk | None = None
        self._while_s = 1
        self._open: dict[int, int] = {}
        self._ahead: deque[int] = deque()
        self._seq = 0
        self.markets = markets or Markets()
        self.skews = skews or Skews()
        self.revisions = Revisions()
        self.lag = LagGauge()
        self.lags: dict[str, LagGauge] = {}
        """By source what `lag` is of all."""
        self.next_offset = next_offset
        self.counts = Counts()

    def restore(self, entry: Entry, source: str, fact_id: str, note: Mapping[str, Any]) -> None:
        """Take in an entry sealed before a restart, in the order of offsets; `note` is what `Sealed` said of it."""
        self.revisions.restore(entry, source, fact_id, note)

    def offer(self, facts: list[Fact], *, message_seq: int, received: float, live: bool, now: float = 0.0) -> Offer:
        """Take in the facts of one message and number them; those that need a picture wait for `seal`.

        Args:
            facts: what the message says; one source sends it.
            message_seq: the message's number in the journal.
            received: when it was received, in Unix seconds.
            live: whether the stream is live, so that a clock can be told to be absurd.
            now: bus time at which it was received.
        """
        self._seq = max(self._seq, message_seq)
        offer, message, waiting = Offer(), _Message(message_seq, received, live, now, {}), self._untried
        waited = len(waiting)
        for fact in facts:
            is_new = not self.revisions.knows(fact)
            if is_new and fact.op is Op.RETRACT:
                offer.settled = False
                self._keep_open(message_seq)
            for each in self._numbered(fact, message, is_new=is_new):
                if each.cls is CueClass.SAFETY:
                    offer.safety.append(self._sealed(each, None, None))
                else:
                    waiting.append(each)
        if facts:
            self._note_waiting(offer, message, facts[0].source, len(waiting) - waited)
        return offer

    def _note_waiting(self, offer: Offer, message: _Message, source: str, n_waiting: int) -> None:
        """Count what of a message waits for its picture, and how long its facts took to be told."""
        if n_waiting:
            offer.settled = False
            self._open[message.seq] = self._open.get(message.seq, 0) + n_waiting
        for when in message.whens.values():
            if message.live and when.new and when.said is not None:
                for gauge in (self.lag, self._lag_of(source)):
                    gauge.add(message.received - when.said, when.new)
        self.counts.waiting = len(self._untried) + len(self._stuck)
        if self._walk is not None or self.counts.waiting > self._thin_beyond:
            self._thin_out()

    def _keep_open(self, message_seq: int) -> None:
        """Let a message with a retraction that is ahead of its target be handed out again by a restart."""
        self.hold(message_seq)
        self._ahead.append(message_seq)
        if len(self._ahead) > MAX_AHEAD and self.release(oldest := self._ahead.popleft()):
            self._given_up.append(oldest)

    def hold(self, message_seq: int) -> None:
        """Let a message that is offered piece by piece not count as settled before `release`."""
        self._open[message_seq] = self._open.get(message_seq, 0) + 1

    def release(self, message_seq: int) -> bool:
        """End a `hold`; return whether nothing of the message waits any more."""
        self._open[message_seq] -= 1
        if self._open[message_seq]:
            return False
        del self._open[message_seq]
        return True

    def fall(self, source: str, *, wall: float) -> list[Sealed]:
        """Suspend what a source binds, now that it is down; `wall` is Unix seconds."""
        return self._ours(self.markets.fall(source, seq=self._seq, at=wall), wall)

    def distrust(self, *, wall: float) -> list[Sealed]:
        """Suspend every market known, because what was said last may be lost; `wall` is Unix seconds."""
        return self._ours(self.markets.distrust(at=wall), wall)

    def seal(self, *, now: float, limit: int | None = None) -> tuple[list[Sealed], list[int]]:
        """Seal what has its picture by now.

        Args:
            now: bus time, to tell what is late.
            limit: how many entries are sealed at most: another call goes on. None: all.

        Returns:
            The sealed entries in the order of their offsets, and the numbers of the messages of which nothing
            waits any more.
        """
        if self._tried_with != self._map.version:
            # Only another segment can place what had none.
            self._tried_with = self._map.version
            self._untried, self._stuck, self._walk = [*self._stuck, *self._untried], [], None
        sealed: list[Sealed] = []
        settled, self._given_up = self._given_up, []
        placements: dict[tuple[float, float], Placement | None] = {}
        lates: dict[MediaTime, int | None] = {}
        needs: dict[tuple[str, MediaTime, float], int] = {}
        tried = 0
        for waiting in self._untried:
            if limit is not None and (len(sealed) >= limit or tried >= TRIES * limit):
                break
            tried += 1
            known = waiting.known
            placement = known.placement or self._placed(known, placements)
            if placement is None:
                self._stuck.append(waiting)
                continue
            known.placement, due = placement, placement.due
            if due not in lates:
                lates[due] = self._late_ms(due, now)
            sealed.append(self._sealed(waiting, placement, lates[due]))
            need = (waiting.source, due, waiting.received)
            needs[need] = needs.get(need, 0) + 1
            if self.release(waiting.message_seq):
                settled.append(waiting.message_seq)
        for (source, due, received), count in needs.items():
            self._note_needed(source, due, received, lates[due], now=now, count=count)
        del self._untried[:tried]
        if self._walk is not None:
            self._walk.untried = max(0, self._walk.untried - tried)
        self.counts.waiting = len(self._untried) + len(self._stuck)
        return sealed, settled

    @property
    def has_untried(self) -> bool:
        """Return whether `seal` has something left to try."""
        return bool(self._untried)

    def _thin_out(self) -> None:
        """Leave of the prices that wait only the newest of each market and while: the picture stands still.

        It goes piece by piece, newest first, one with each message; what comes meanwhile is not looked at.
        """
        walk = self._walk
        if walk is None:
            walk = self._walk = _Walk(len(self._untried), len(self._stuck))
        left = max(THIN_AT_ONCE, self.counts.waiting // 20)
        if walk.untried:
            walk.untried, left = self._thin_piece(walk, self._untried, walk.untried, left)
        if walk.stuck and not walk.untried:
            walk.stuck, left = self._thin_piece(walk, self._stuck, walk.stuck, left)
        self.counts.waiting = len(self._untried) + len(self._stuck)
        if not walk.untried and not walk.stuck:
            self._walk = None
            self._thin_beyond = max(MAX_WAITING, 2 * self.counts.waiting)
            self._while_s *= 2

    def _thin_piece(self, walk: _Walk, waiting: list[Waiting], end: int, count: int) -> tuple[int, int]:
        """Thin out up to so many before `end`; return where the rest ends, and how many more may be looked at."""
        low, kept = max(0, end - count), []
        for each in reversed(waiting[low:end]):
            key = _price_key(each, self._while_s)
            if key is None or key not in walk.seen:
                kept.append(each)
                if key is not None:
                    walk.seen.add(key)
            elif self.release(each.message_seq):
                self._given_up.append(each.message_seq)
        waiting[low:end] = reversed(kept)
        return low, count - (end - low)

    def _placed(self, known: Known, placements: dict[tuple[float, float], Placement | None]) -> Placement | None:
        """Return where a fact's picture is; many prices of one message happened at the same time."""
        key = (known.wall, known.sigma_s)
        if key not in placements:
            placements[key] = self._map.place(*key)
        return placements[key]

    def _numbered(self, fact: Fact, message: _Message, *, is_new: bool) -> Iterable[Waiting]:
        if is_new and fact.op is Op.NEW:
            # Many prices of one message happened at the same time: one look at the clock is enough.
            key = (fact.occurred_at, fact.sigma_s)
            when = message.whens.get(key)
            if when is None:
                when = message.whens[key] = self._when(fact, message, is_new=True)
            elif when.said is None and fact.occurred_at is not None:
                self.counts.absurd += 1
            when.new += 1
            known = self.revisions.begin(fact, wall=when.wall, sigma_s=when.sigma_s)
            revision: Revision | None = Revision(known.rev, Op.NEW, None, known)
        else:
            when = self._when(fact, message, is_new=False)
            revision = self.revisions.number(fact, wall=when.wall, sigma_s=when.sigma_s)
        if revision is None:
            return ()
        if fact.type not in STATEFUL:
            body = revision.known.stands() if revision.op is Op.CONFIRM else fact.body
            own = Change(fact.source, None, fact.type, CueClass.LOCKED, 0, body)
            return (self._waits(own, fact, revision, message),)
        said_fact = fact if when.said == fact.occurred_at else replace(fact, occurred_at=when.said)
        changes = self.markets.read(said_fact, revision.op, seq=message.seq, at=when.wall)
        return [self._waits(change, fact, revision, message) for change in changes]

    def _waits(self, change: Change, fact: Fact, revision: Revision, message: _Message) -> Waiting:
        known = revision.known
        if change.id is None:
            if change.not_before is not None:
                # From here on it stands there, and what corrects it does.
                known.wall = max(known.wall, change.not_before)
            if revision.op in (Op.NEW, Op.AMEND) and not (
                change.type is CueType.PRICE and known.put_away(fact, change.ver)
            ):
                known.body = change.body
            id_, rev, op, before = fact.id, revision.rev, revision.op, revision.before
        else:
            wall = max(known.wall, change.not_before or known.wall)
            known = Known(change.ver, None, "", None, wall, known.sigma_s, change.body)
            id_, rev, op, before = change.id, change.ver, Op.NEW, None
        return Waiting(
            change.source, None if change.id else fact.id, f"{change.source}:{id_}", rev, op, change.type, change.cls,
            change.body, before, known, message.seq, message.now, change.ver, change.kept,
        )  # fmt: skip

    def _ours(self, changes: list[Change], wall: float) -> list[Sealed]:
        """Return what we say by ourselves: no message is behind it, and no picture."""
        sealed = []
        for change in changes:
            known = Known(change.ver, None, "", None, wall, 0.0, change.body)
            waiting = Waiting(
                change.source, None, f"{change.source}:{change.id}", change.ver, Op.NEW, change.type, change.cls,
                change.body, None, known, 0, 0.0, change.ver, change.kept,
            )  # fmt: skip
            sealed.append(self._sealed(waiting, None, None))
        return sealed

    def _when(self, fact: Fact, message: _Message, *, is_new: bool) -> _When:
        """Return when a fact happened, by its vendor's clock, corrected, if that is usable."""
        said, received = fact.occurred_at, message.received
        if said is None:
            # Nothing happens after it is told: the time of receipt errs on the safe side.
            return _When(received, 0.0, None)
        if not message.live:
            # What was recorded has no "now" to compare its clock with.
            return _When(said, fact.sigma_s, said)
        if self._map.is_absurd(said, received, live=True):
            self.counts.absurd += 1
            self.skews.absurd(fact.source, said - received)
            return _When(received, 0.0, None)
        if is_new:
            self.skews.observe(fact.source, said, received)
        corrected = self.skews.correct(fact.source, said)
        return _When(corrected, fact.sigma_s, corrected)

    def _sealed(self, waiting: Waiting, placement: Placement | None, late_ms: int | None) -> Sealed:
        offset = self.next_offset
        self.next_offset += 1
        if placement is None:
            at = due = msn = off = wall_ms = before = None
            sigma_ms = 0
        else:
            at, due, msn, off = placement.at, placement.due, placement.msn, placement.off
            wall_ms, sigma_ms, before = round(placement.wall * 1000), placement.sigma_ms, waiting.before
        cue = Cue(
            waiting.id, waiting.rev, waiting.op, waiting.type, waiting.cls, at, msn, None, off, wall_ms, sigma_ms,
            waiting.body, late_ms, before,
        )  # fmt: skip
        self.counts.sealed += 1
        own = waiting.fact_id is None
        return Sealed(
            Entry(offset, cue, due), None if own else waiting.source, waiting.fact_id, waiting.message_seq,
            {} if own else waiting.known.note(), waiting.ver, waiting.kept,
        )  # fmt: skip

    def _note_needed(
        self, source: str, due: MediaTime, received: float, late_ms: int | None, *, now: float, count: int
    ) -> None:
        """Count how late cues were, and what hold would have let them come in time."""
        self._release.note_sealed(due, now=now, count=count)
        needed_s = self._release.needed_hold_s(due, received=received)
        for gauge in (self.lag, self._lag_of(source)):
            gauge.needed(needed_s, late=late_ms is not None, count=count)
        if late_ms is not None:
            self.counts.late += count

    def _lag_of(self, source: str) -> LagGauge:
        # Sources are those of the settings: there are few.
        gauge = self.lags.get(source)
        if gauge is None:
            gauge = self.lags[source] = LagGauge()
        return gauge

    def _late_ms(self, due: MediaTime, now: float) -> int | None:
        since = self._release.out_since(due, now=now)
        return None if since is None else round((now - since) * 1000)


def _price_key(waiting: Waiting, while_s: int) -> tuple[str, str, int] | None:
    """Return what a price has in common with those that replace it within a while; None if it is none."""
    if waiting.type is not CueType.PRICE or waiting.op is Op.RETRACT:
        return None
    price = waiting.body.get("price")
    if not isinstance(price, Mapping):
        return None
    return (waiting.source, price["mid"], int(waiting.known.wall // while_s))
