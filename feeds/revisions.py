"""What is known of each fact, and what a vendor's next word does to it: repeat, correct, reverse, retract.

Rules:
* A fact is known by (source, id). What repeats a known revision, or is older than it, is dropped.
* A data-entry correction (an amend or retract without a time, or with the original's) stands where its original stands.
  A reversal in the game (with a later time) stands at its own picture, and from then on its corrections with it.
* What was retracted stays retracted. A correction that comes before its target is all we know of it.
* A confirmation without a body (a nod) says nothing of its own: it neither stands for a fact that was not told, nor
  makes a correction out of date that it has overtaken. So our numbers rise in the order in which the words came.
* A word about a market is no correction of the word before it, but a new state: it stands at its own time, and the
  same word said anew is no repeat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from feeds.align import Placement
from feeds.markets import STATEFUL
from kernel import strict_json
from kernel.cues import Body, CueType, Entry, Fact, Op

MAX_KNOWN_FACTS = 200_000
"""Facts whose revisions are remembered: a game has 600 plays, an odds feed some tens of thousands of prices."""

_STANDING = STATEFUL - {CueType.SETTLE}
"""Words that say how a thing stands. A settlement is a fact like any other: corrected, it is corrected where it was."""


@dataclass(slots=True)
class Known:
    """What is remembered of a fact: enough to number its next revision and to place its corrections.

    `said` is the vendor's own time, by which a reversal is told; `wall` is when it happened, its clock corrected. `rev`
    is our number of its last word, `heard` the vendor's, `told` the vendor's of the last word that was no nod.
    """

    rev: int
    stamp: int | None
    digest: str
    said: float | None
    wall: float
    sigma_s: float
    body: Body
    retracted: bool = False
    placement: Placement | None = None
    heard: int = 0
    told: int = 0

    def note(self) -> dict[str, Any]:
        """Return what `Revisions.restore` wants to know of it beside its entry."""
        return {
            "stamp": self.stamp, "digest": self.digest, "said": self.said, "wall": self.wall, "sigma_s": self.sigma_s,
            "heard": self.heard, "told": self.told,
        }  # fmt: skip


class Revision(NamedTuple):
    """A numbered word about a fact; `before` is the body it replaces."""

    rev: int
    op: Op
    before: Body | None
    known: Known


@dataclass(slots=True)
class Dropped:
    """How many words were dropped, by why; `stale` are those that say nothing, or nothing that still holds."""

    duplicates: int = 0
    stale: int = 0
    retracted: int = 0


class Revisions:
    """Remember the facts of one stream."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Known] = {}
        self.dropped = Dropped()

    def __len__(self) -> int:
        """Return how many facts are remembered."""
        return len(self._known)

    def knows(self, fact: Fact) -> bool:
        """Return whether anything was heard of a fact before."""
        return (fact.source, fact.id) in self._known

    def restore(self, entry: Entry, source: str, fact_id: str, note: Mapping[str, Any]) -> None:
        """Take in an entry sealed before a restart, in the order of offsets; `note` is what `Known` said of it."""
        cue = entry.cue
        known = Known(
            rev=cue.rev,
            stamp=note["stamp"],
            digest=note["digest"],
            said=note["said"],
            wall=note["wall"],
            sigma_s=note["sigma_s"],
            body=cue.body,
            retracted=cue.op is Op.RETRACT,
            heard=note.get("heard", cue.rev),
            told=note.get("told", cue.rev),
        )
        if cue.at is not None and entry.due is not None and cue.msn is not None:
            wall = (cue.wall_ms or 0) / 1000
            known.placement = Placement(cue.at, entry.due, cue.msn, cue.off or 0, wall, cue.sigma_ms)
        self._remember((source, fact_id), known)

    def number(self, fact: Fact, *, wall: float, sigma_s: float) -> Revision | None:
        """Give a word about a fact its number; None if there is nothing left for it to do.

        Args:
            fact: as the adapter read it.
            wall: when it happened, as far as is known, in Unix seconds.
            sigma_s: uncertainty of that, one standard deviation.
        """
        key = (fact.source, fact.id)
        known = self._known.get(key)
        digest = _digest(fact)
        op = self._op_of(fact, known, digest)
        if op is None:
            return None
        if known is None:
            rev = fact.rev if fact.rev is not None else 1
            known = Known(rev, fact.stamp, digest, fact.occurred_at, wall, sigma_s, fact.body, heard=rev, told=rev)
            known.retracted = op is Op.RETRACT
            self._remember(key, known)
            if op is Op.RETRACT:
                # Its target has not come yet; when it does, it is retracted already.
                self.dropped.retracted += 1
                return None
            return Revision(rev, op, None, known)
        before = known.body if op in (Op.AMEND, Op.RETRACT) else None
        if (fact.type in _STANDING or _is_later(fact, wall, known)) and op is not Op.CONFIRM:
            # The word before it may still wait for its picture: what is noted of that one must not be this one's.
            known = Known(
                known.rev, known.stamp, known.digest, fact.occurred_at, wall, sigma_s, known.body, known.retracted,
                heard=known.heard, told=known.told,
            )  # fmt: skip
            self._known[key] = known
        known.rev = known.rev + 1 if fact.rev is None else max(fact.rev, known.rev + 1)
        known.heard = max(known.heard, fact.rev or known.rev)
        if not _is_nod(fact):
            known.told = fact.rev or known.rev
        known.stamp = fact.stamp if fact.stamp is not None else known.stamp
        known.retracted = op is Op.RETRACT
        if op is not Op.CONFIRM:
            known.digest = digest
        if op in (Op.NEW, Op.AMEND):
            known.body = fact.body
        return Revision(known.rev, op, before, known)

    def _op_of(self, fact: Fact, known: Known | None, digest: str) -> Op | None:
        """Return what a fact does to what is known, or None if there is nothing left for it to do."""
        if known is None:
            if _is_nod(fact):
                self.dropped.stale += 1
                return None
            return Op.NEW if fact.op in (Op.AMEND, Op.CONFIRM) else fact.op
        if known.retracted:
            self.dropped.retracted += 1
            return None
        if fact.rev is not None and fact.rev <= (known.heard if _is_nod(fact) else known.told):
            self.dropped.duplicates += 1
            return None
        if fact.stamp is not None and known.stamp is not None and fact.stamp < known.stamp:
            self.dropped.stale += 1
            return None
        if fact.op is Op.RETRACT:
            return Op.RETRACT
        if _is_nod(fact):
            return Op.CONFIRM
        if digest != known.digest:
            return Op.AMEND
        newer = fact.rev is not None or (fact.stamp is not None and fact.stamp != known.stamp)
        if newer or fact.op is Op.CONFIRM:
            return Op.AMEND if fact.type in _STANDING and fact.op is not Op.CONFIRM else Op.CONFIRM
        self.dropped.duplicates += 1
        return None

    def _remember(self, key: tuple[str, str], known: Known) -> None:
        self._known[key] = known
        if len(self._known) > MAX_KNOWN_FACTS:
            del self._known[next(iter(self._known))]


def _is_nod(fact: Fact) -> bool:
    return fact.op is Op.CONFIRM and not fact.body


def _is_later(fact: Fact, wall: float, known: Known) -> bool:
    """Return whether a word names a later time than the one before it: by the vendor's clock, if it told both."""
    if fact.occurred_at is None:
        return False
    return wall > known.wall if known.said is None else fact.occurred_at > known.said


def _digest(fact: Fact) -> str:
    said = fact.occurred_at if fact.type in _STANDING else None
    return hashlib.sha256(b"%s\n%r\n%s" % (fact.type.encode(), said, strict_json.encode_known(fact.body))).hexdigest()
