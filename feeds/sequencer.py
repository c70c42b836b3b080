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
from dataclasses import dataclass, field, replace
from typing import Any

from feeds.align import Placement, TimelineMap
from feeds.lag import LagGauge
from feeds.market_book import Kept
from feeds.markets import STATEFUL, Change, Markets
from feeds.release import ReleaseSchedule
from feeds.revisions import Known, Revision, Revisions
from feeds.skew import Skews
from kernel.cues import Body, Cue, CueClass, CueType, Entry, Fact, Op
from kernel.timeline import MediaTime

MAX_WAITING = 50_000
"""Beyond how many cues that wait for their picture prices among them are thinned out: 5 s of 10,000 a second."""

MAX_AHEAD = 1_000
"""Retractions that are kept at hand for a target that has not come: messages overtake each other by seconds."""


@dataclass(slots=True)
class Waiting:
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


@dataclass(slots=True)
class Sealed:
    """An entry, the vendor's fact and message it came from, what `restore` wants to know of it, and what to keep."""

    entry: Entry
    source: str | None
    fact_id: str | None
    message_seq: int
    note: dict[str, Any]
    ver: int = 0
    kept: tuple[Kept, ...] = ()


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
            facts: what the message says.
            message_seq: the message's number in the journal.
            received: when it was received, in Unix seconds.
            live: whether the stream is live, so that a clock can be told to be absurd.
            now: bus time at which it was received.
        """
        self._seq = max(self._seq, message_seq)
        offer = Offer()
        for fact in facts:
            if fact.op is Op.RETRACT and not self.revisions.knows(fact):
                offer.settled = False
                self._keep_open(message_seq)
            self._take(offer, self._numbered(fact, message_seq, received, live=live, now=now), message_seq)
        self.counts.waiting = len(self._untried) + len(self._stuck)
        if self.counts.waiting > self._thin_beyond:
            self._thin_out()
        return offer

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
            self._untried, self._stuck = [*self._stuck, *self._untried], []
        sealed: list[Sealed] = []
        settled, self._given_up = self._given_up, []
        placements: dict[tuple[float, float], Placement | None] = {}
        tried = 0
        for waiting in self._untried:
            if limit is not None and len(sealed) >= limit:
                break
            tried += 1
            known = waiting.known
            placement = known.placement or self._placed(known, placements)
            if placement is None:
                self._stuck.append(waiting)
                continue
            known.placement = placement
            sealed.append(self._sealed(waiting, placement, now=now))
            if self.release(waiting.message_seq):
                settled.append(waiting.message_seq)
        del self._untried[:tried]
        self.counts.waiting = len(self._untried) + len(self._stuck)
        return sealed, settled

    def _thin_out(self) -> None:
        """Leave of the prices that wait only the newest of each market and while: the picture stands still."""
        waiting = [*self._stuck, *self._untried]
        keys = [_price_key(each, self._while_s) for each in waiting]
        newest = {key: each for key, each in zip(keys, waiting, strict=True) if key is not None}
        self._stuck, self._untried = [], []
        for key, each in zip(keys, waiting, strict=True):
            if key is None or newest[key] is each:
                self._untried.append(each)
            elif self.release(each.message_seq):
                self._given_up.append(each.message_seq)
        self.counts.waiting = len(self._untried)
        self._thin_beyond = max(MAX_WAITING, 2 * len(self._untried))
        self._while_s *= 2

    def _placed(self, known: Known, placements: dict[tuple[float, float], Placement | None]) -> Placement | None:
        """Return where a fact's picture is; many prices of one message happened at the same time."""
        key = (known.wall, known.sigma_s)
        if key not in placements:
            placements[key] = self._map.place(*key)
        return placements[key]

    def _take(self, offer: Offer, numbered: Iterable[Waiting], message_seq: int) -> None:
        for waiting in numbered:
            if waiting.cls is CueClass.SAFETY:
                offer.safety.append(self._sealed(waiting, None, now=0.0))
                continue
            self._untried.append(waiting)
            self._open[message_seq] = self._open.get(message_seq, 0) + 1
            offer.settled = False

    def _numbered(self, fact: Fact, message_seq: int, received: float, *, live: bool, now: float) -> Iterable[Waiting]:
        wall, sigma_s, said = self._when(fact, received, live=live)
        if live and said is not None and fact.op is Op.NEW and not self.revisions.knows(fact):
            for gauge in (self.lag, self._lag_of(fact.source)):
                gauge.add(received - said)
        revision = self.revisions.number(fact, wall=wall, sigma_s=sigma_s)
        if revision is None:
            return []
        if fact.type not in STATEFUL:
            body = revision.known.body if revision.op is Op.CONFIRM else fact.body
            own = Change(fact.source, None, fact.type, CueClass.LOCKED, 0, body)
            return [self._waits(own, fact, revision, message_seq, now)]
        said_fact = fact if said == fact.occurred_at else replace(fact, occurred_at=said)
        changes = self.markets.read(said_fact, revision.op, seq=message_seq, at=wall)
        return [self._waits(change, fact, revision, message_seq, now) for change in changes]

    def _waits(self, change: Change, fact: Fact, revision: Revision, message_seq: int, received: float) -> Waiting:
        known = revision.known
        if change.id is None:
            if change.not_before is not None:
                # From here on it stands there, and what corrects it does.
                known.wall = max(known.wall, change.not_before)
            if revision.op in (Op.NEW, Op.AMEND):
                known.body = change.body
            id_, rev, op, before = fact.id, revision.rev, revision.op, revision.before
        else:
            wall = max(known.wall, change.not_before or known.wall)
            known = Known(change.ver, None, "", None, wall, known.sigma_s, change.body)
            id_, rev, op, before = change.id, change.ver, Op.NEW, None
        return Waiting(
            change.source, None if change.id else fact.id, f"{change.source}:{id_}", rev, op, change.type, change.cls,
            change.body, before, known, message_seq, received, change.ver, change.kept,
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
            sealed.append(self._sealed(waiting, None, now=0.0))
        return sealed

    def _when(self, fact: Fact, received: float, *, live: bool) -> tuple[float, float, float | None]:
        """Return when a fact happened, how uncertain that is, and the vendor's word on it, corrected, if usable."""
        if fact.occurred_at is None:
            # Nothing happens after it is told: the time of receipt errs on the safe side.
            return received, 0.0, None
        if not live:
            # What was recorded has no "now" to compare its clock with.
            return fact.occurred_at, fact.sigma_s, fact.occurred_at
        if self._map.is_absurd(fact.occurred_at, received, live=live):
            self.counts.absurd += 1
            self.skews.absurd(fact.source, fact.occurred_at - received)
            return received, 0.0, None
        if fact.op is Op.NEW and not self.revisions.knows(fact):
            self.skews.observe(fact.source, fact.occurred_at, received)
        said = self.skews.correct(fact.source, fact.occurred_at)
        return said, fact.sigma_s, said

    def _sealed(self, waiting: Waiting, placement: Placement | None, *, now: float) -> Sealed:
        offset = self.next_offset
        self.next_offset += 1
        due = placement.due if placement else None
        late_ms = self._late_ms(due, now)
        cue = Cue(
            id=waiting.id,
            rev=waiting.rev,
            op=waiting.op,
            type=waiting.type,
            cls=waiting.cls,
            at=placement.at if placement else None,
            msn=placement.msn if placement else None,
            part=None,
            off=placement.off if placement else None,
            wall_ms=round(placement.wall * 1000) if placement else None,
            sigma_ms=placement.sigma_ms if placement else 0,
            body=waiting.body,
            late_ms=late_ms,
            before=waiting.before if placement else None,
        )
        self.counts.sealed += 1
        self.counts.late += late_ms is not None
        if due is not None:
            self._release.note_sealed(due, now=now)
            needed_s = self._release.needed_hold_s(due, received=waiting.received)
            for gauge in (self.lag, self._lag_of(waiting.source)):
                gauge.needed(needed_s, late=late_ms is not None)
        own = waiting.fact_id is None
        return Sealed(
            Entry(offset, cue, due), None if own else waiting.source, waiting.fact_id, waiting.message_seq,
            {} if own else waiting.known.note(), waiting.ver, waiting.kept,
        )  # fmt: skip

    def _lag_of(self, source: str) -> LagGauge:
        # Sources are those of the settings: there are few.
        gauge = self.lags.get(source)
        if gauge is None:
            gauge = self.lags[source] = LagGauge()
        return gauge

    def _late_ms(self, due: MediaTime | None, now: float) -> int | None:
        if due is None:
            return None
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
