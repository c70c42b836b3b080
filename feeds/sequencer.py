"""Turn facts into sealed entries: the only place that assigns revisions, classes and offsets.

Rules:
* A fact is known by (source, id). What repeats a known revision, or is older than it, is dropped.
* A data-entry correction (an amend or retract without a time, or with the original's) stands where its original stands.
  A reversal in the game (with a later time) stands at its own picture.
* Safety is sealed at once. Everything else is sealed when the picture it belongs to is known.
* An entry never changes after it is sealed; offsets rise by one and are never used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from feeds.align import Placement, TimelineMap
from feeds.release import ReleaseSchedule
from kernel import strict_json
from kernel.cues import Body, Cue, CueClass, CueType, Entry, Fact, Op
from kernel.timeline import MediaTime

MAX_KNOWN_FACTS = 200_000
"""Facts whose revisions are remembered: a game has 600 plays, an odds feed some tens of thousands of prices."""


@dataclass(slots=True)
class Known:
    """What is remembered of a fact: enough to number its next revision and to place its corrections."""

    rev: int
    stamp: int | None
    digest: str
    wall: float
    sigma_s: float
    body: Body
    retracted: bool = False
    placement: Placement | None = None


@dataclass(slots=True)
class Waiting:
    """A revision that is numbered, but whose picture is not known yet."""

    fact: Fact
    rev: int
    op: Op
    before: Body | None
    known: Known
    message_seq: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry, the vendor's fact and message it came from, and what `Sequencer.restore` wants to know of it."""

    entry: Entry
    source: str
    fact_id: str
    message_seq: int
    note: dict[str, Any]


@dataclass(slots=True)
class Counts:
    """What became of the facts of a stream."""

    sealed: int = 0
    late: int = 0
    duplicates: int = 0
    stale: int = 0
    retracted: int = 0
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
        next_offset: the first offset to be used.
    """

    def __init__(self, map_: TimelineMap, release: ReleaseSchedule, *, next_offset: int = 0) -> None:
        self._map = map_
        self._release = release
        self._known: dict[tuple[str, str], Known] = {}
        self._waiting: list[Waiting] = []
        self._open: dict[int, int] = {}
        self.next_offset = next_offset
        self.counts = Counts()

    def restore(self, entry: Entry, source: str, fact_id: str, note: Mapping[str, Any]) -> None:
        """Take in an entry sealed before a restart, in the order of offsets; `note` is what `Sealed` said of it."""
        cue = entry.cue
        known = Known(
            rev=cue.rev,
            stamp=note["stamp"],
            digest=note["digest"],
            wall=note["wall"],
            sigma_s=note["sigma_s"],
            body=cue.body,
            retracted=cue.op is Op.RETRACT,
        )
        if cue.at is not None and entry.due is not None and cue.msn is not None:
            wall = (cue.wall_ms or 0) / 1000
            known.placement = Placement(cue.at, entry.due, cue.msn, cue.off or 0, wall, cue.sigma_ms)
        self._remember((source, fact_id), known)

    def offer(self, facts: list[Fact], *, message_seq: int, received: float, live: bool) -> Offer:
        """Take in the facts of one message and number them; those that need a picture wait for `seal`.

        Args:
            facts: what the message says.
            message_seq: the message's number in the journal.
            received: when it was received, in Unix seconds.
            live: whether the stream is live, so that a clock can be told to be absurd.
        """
        offer = Offer()
        for fact in facts:
            waiting = self._number(fact, message_seq, received, live=live)
            if waiting is None:
                continue
            if _class_of(waiting.fact) is CueClass.SAFETY:
                offer.safety.append(self._sealed(waiting, None, now=0.0))
                continue
            self._waiting.append(waiting)
            self._open[message_seq] = self._open.get(message_seq, 0) + 1
            offer.settled = False
        self.counts.waiting = len(self._waiting)
        return offer

    def seal(self, *, now: float) -> tuple[list[Sealed], list[int]]:
        """Seal what has its picture by now.

        Args:
            now: bus time, to tell what is late.

        Returns:
            The sealed entries in the order of their offsets, and the numbers of the messages of which nothing
            waits any more.
        """
        sealed: list[Sealed] = []
        settled: list[int] = []
        still: list[Waiting] = []
        for waiting in self._waiting:
            known = waiting.known
            placement = known.placement or self._map.place(known.wall, known.sigma_s)
            if placement is None:
                still.append(waiting)
                continue
            known.placement = placement
            sealed.append(self._sealed(waiting, placement, now=now))
            self._open[waiting.message_seq] -= 1
            if self._open[waiting.message_seq] == 0:
                del self._open[waiting.message_seq]
                settled.append(waiting.message_seq)
        self._waiting = still
        self.counts.waiting = len(still)
        return sealed, settled

    def _number(self, fact: Fact, message_seq: int, received: float, *, live: bool) -> Waiting | None:
        key = (fact.source, fact.id)
        known = self._known.get(key)
        digest = _digest(fact.type, fact.body)
        op = self._op_of(fact, known, digest)
        if op is None:
            return None
        rev = fact.rev if fact.rev is not None else (known.rev + 1 if known else 1)
        wall, sigma_s = self._when(fact, received, live=live)
        if known is None:
            known = Known(rev, fact.stamp, digest, wall, sigma_s, fact.body, retracted=op is Op.RETRACT)
            self._remember(key, known)
            if op is Op.RETRACT:
                # Its target has not come yet; when it does, it is retracted already.
                self.counts.retracted += 1
                return None
            return Waiting(fact, rev, op, None, known, message_seq)
        before = known.body if op in (Op.AMEND, Op.RETRACT) else None
        reversal = fact.occurred_at is not None and wall > known.wall and op is not Op.CONFIRM
        known.rev, known.digest = rev, digest
        known.stamp = fact.stamp if fact.stamp is not None else known.stamp
        known.retracted = op is Op.RETRACT
        if op is not Op.RETRACT:
            known.body = fact.body
        if reversal:
            # From here on corrections of the verdict stand with the verdict.
            known = replace(known, wall=wall, sigma_s=sigma_s, placement=None)
            self._known[key] = known
        return Waiting(fact, rev, op, before, known, message_seq)

    def _op_of(self, fact: Fact, known: Known | None, digest: str) -> Op | None:
        """Return what a fact does to what is known, or None if there is nothing left for it to do."""
        if known is None:
            # A correction that comes before its target is all we know of it.
            return Op.NEW if fact.op in (Op.AMEND, Op.CONFIRM) else fact.op
        if known.retracted:
            self.counts.retracted += 1
            return None
        if fact.rev is not None and fact.rev <= known.rev:
            self.counts.duplicates += 1
            return None
        if fact.stamp is not None and known.stamp is not None and fact.stamp < known.stamp:
            self.counts.stale += 1
            return None
        if fact.op is Op.RETRACT:
            return Op.RETRACT
        if digest != known.digest:
            return Op.AMEND
        newer = fact.rev is not None or (fact.stamp is not None and fact.stamp != known.stamp)
        if newer or fact.op is Op.CONFIRM:
            return Op.CONFIRM
        self.counts.duplicates += 1
        return None

    def _when(self, fact: Fact, received: float, *, live: bool) -> tuple[float, float]:
        if fact.occurred_at is None:
            # Nothing happens after it is told: the time of receipt errs on the safe side.
            return received, 0.0
        if self._map.is_absurd(fact.occurred_at, received, live=live):
            self.counts.absurd += 1
            return received, 0.0
        return fact.occurred_at, fact.sigma_s

    def _remember(self, key: tuple[str, str], known: Known) -> None:
        self._known[key] = known
        if len(self._known) > MAX_KNOWN_FACTS:
            del self._known[next(iter(self._known))]

    def _sealed(self, waiting: Waiting, placement: Placement | None, *, now: float) -> Sealed:
        fact = waiting.fact
        offset = self.next_offset
        self.next_offset += 1
        due = placement.due if placement else None
        late_ms = self._late_ms(due, now)
        cue = Cue(
            id=f"{fact.source}:{fact.id}",
            rev=waiting.rev,
            op=waiting.op,
            type=fact.type,
            cls=_class_of(fact),
            at=placement.at if placement else None,
            msn=placement.msn if placement else None,
            part=None,
            off=placement.off if placement else None,
            wall_ms=round(placement.wall * 1000) if placement else None,
            sigma_ms=placement.sigma_ms if placement else 0,
            # Safety tells no sporting detail: even which market closes is a leak.
            body=fact.body if placement else {},
            late_ms=late_ms,
            before=waiting.before if placement else None,
        )
        self.counts.sealed += 1
        self.counts.late += late_ms is not None
        known = waiting.known
        note = {"stamp": known.stamp, "digest": known.digest, "wall": known.wall, "sigma_s": known.sigma_s}
        return Sealed(Entry(offset, cue, due), fact.source, fact.id, waiting.message_seq, note)

    def _late_ms(self, due: MediaTime | None, now: float) -> int | None:
        if due is None:
            return None
        since = self._release.out_since(due, now=now)
        return None if since is None else round((now - since) * 1000)


def _class_of(fact: Fact) -> CueClass:
    if fact.type in (CueType.SUSPEND, CueType.INV):
        return CueClass.SAFETY
    market: Any = fact.body.get("market")
    if fact.type is CueType.MARKET and isinstance(market, Mapping) and market.get("st") == "open":
        return CueClass.REOPEN
    return CueClass.LOCKED


def _digest(type_: CueType, body: Body) -> str:
    return hashlib.sha256(f"{type_}\n{strict_json.encode(body)}".encode()).hexdigest()
