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
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from feeds.align import Placement
from feeds.markets import STATEFUL
from kernel import strict_json
from kernel.cues import Body, CueType, Entry, Fact, Op
from kernel.value import Record

MAX_KNOWN_FACTS = 200_000
"""Facts whose revisions are remembered, prices not counted: a game has 600 plays."""

MAX_KNOWN_PRICES = 50_000
"""Prices that are remembered: 100 of each of 500 markets, 5 s of 10,000 a second. However many come, no play is
forgotten for them."""

_STANDING = STATEFUL - {CueType.SETTLE}
"""Words that say how a thing stands. A settlement is a fact like any other: corrected, it is corrected where it was."""


class Known(Record, gc=False):
    """What is remembered of a fact: enough to number its next revision and to place its corrections.

    `said` is the vendor's own time, by which a reversal is told; `wall` is when it happened, its clock corrected. `rev`
    is our number of its last word, `heard` the vendor's, `told` the vendor's of the last word that was no nod.
    `content` is what the last word said, by which a repeat is told: its bytes, or their hash where they came from disk.
    `body` is None for a price, of which a feed has tens of thousands: it is in `content`, all but the price's `ver`.
    """

    rev: int
    stamp: int | None
    content: bytes | str
    said: float | None
    wall: float
    sigma_s: float
    body: Body | None
    ver: int = 0
    retracted: bool = False
    placement: Placement | None = None
    heard: int = 0
    told: int = 0

    def note(self) -> dict[str, Any]:
        """Return what `Revisions.restore` wants to know of it beside its entry."""
        # Of a price the entry itself says it.
        digest = None if self.body is None else _digest(self.content)
        return {
            "stamp": self.stamp, "digest": digest, "said": self.said, "wall": self.wall, "sigma_s": self.sigma_s,
            "heard": self.heard, "told": self.told,
        }  # fmt: skip

    def put_away(self, fact: Fact, ver: int) -> bool:
        """Keep of a price's body only its bytes, which are here already, and its `ver`; return whether that will do."""
        price = fact.body.get("price")
        if type(price) is not dict or "mid" not in price or "ver" in price or type(self.content) is not bytes:
            return False
        self.body, self.ver = None, ver
        return True

    def stands(self) -> Body:
        """Return the body of its last word."""
        if self.body is not None:
            return self.body
        assert isinstance(self.content, bytes)  # else its body is here
        body: dict[str, Any] = strict_json.decode_known(self.content.split(b"\n", 2)[2])
        return {**body, "price": {**body["price"], "ver": self.ver}}


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
        # A dict finds its first key in no time only until many before it have gone.
        self._order: deque[tuple[str, str]] = deque()
        self._prices: deque[tuple[str, str]] = deque()
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
        last = self._known.get((source, fact_id))
        if last is not None and cue.rev < last.rev:
            # Its picture was known later than a newer word's: of a recording the last pictures are timed first.
            return
        known = Known(
            rev=cue.rev,
            stamp=note["stamp"],
            content=_content_of(entry, note["said"]) if note["digest"] is None else note["digest"],
            said=note["said"],
            wall=note["wall"],
            sigma_s=note["sigma_s"],
            body=None if note["digest"] is None else cue.body,
            ver=cue.body["price"]["ver"] if note["digest"] is None else 0,
            retracted=cue.op is Op.RETRACT,
            heard=note.get("heard", cue.rev),
            told=note.get("told", cue.rev),
        )
        if cue.at is not None and entry.due is not None and cue.msn is not None:
            wall = (cue.wall_ms or 0) / 1000
            known.placement = Placement(cue.at, entry.due, cue.msn, cue.off or 0, wall, cue.sigma_ms)
        self._remember((source, fact_id), known, cue.type)

    def begin(self, fact: Fact, *, wall: float, sigma_s: float) -> Known:
        """Take in the first word about a fact, which is no retraction, and return what is known of it now."""
        rev = fact.rev if fact.rev is not None else 1
        known = Known(
            rev, fact.stamp, _content(fact), fact.occurred_at, wall, sigma_s, fact.body, heard=rev, told=rev
        )  # fmt: skip
        self._remember((fact.source, fact.id), known, fact.type)
        return known

    def number(self, fact: Fact, *, wall: float, sigma_s: float) -> Revision | None:
        """Give a word about a fact its number; None if there is nothing left for it to do.

        Args:
            fact: as the adapter read it.
            wall: when it happened, as far as is known, in Unix seconds.
            sigma_s: uncertainty of that, one standard deviation.
        """
        key = (fact.source, fact.id)
        known = self._known.get(key)
        content = _content(fact)
        op = self._op_of(fact, known, content)
        if op is None:
            return None
        if known is None:
            known = self.begin(fact, wall=wall, sigma_s=sigma_s)
            known.retracted = op is Op.RETRACT
            if op is Op.RETRACT:
                # Its target has not come yet; when it does, it is retracted already.
                self.dropped.retracted += 1
                return None
            return Revision(known.rev, op, None, known)
        before = known.stands() if op in (Op.AMEND, Op.RETRACT) else None
        if (fact.type in _STANDING or _is_later(fact, wall, known)) and op is not Op.CONFIRM:
            # The word before it may still wait for its picture: what is noted of that one must not be this one's.
            known = Known(
                known.rev, known.stamp, known.content, fact.occurred_at, wall, sigma_s, known.body, known.ver,
                known.retracted, heard=known.heard, told=known.told,
            )  # fmt: skip
            self._known[key] = known
        known.rev = known.rev + 1 if fact.rev is None else max(fact.rev, known.rev + 1)
        known.heard = max(known.heard, fact.rev or known.rev)
        if not _is_nod(fact):
            known.told = fact.rev or known.rev
        known.stamp = fact.stamp if fact.stamp is not None else known.stamp
        known.retracted = op is Op.RETRACT
        if op is Op.RETRACT:
            known.body = {}
        if op is not Op.CONFIRM:
            known.content = content
        if op in (Op.NEW, Op.AMEND):
            known.body = fact.body
        return Revision(known.rev, op, before, known)

    def _op_of(self, fact: Fact, known: Known | None, content: bytes) -> Op | None:
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
        if not _is_same(content, known.content):
            return Op.AMEND
        newer = fact.rev is not None or (fact.stamp is not None and fact.stamp != known.stamp)
        if newer or fact.op is Op.CONFIRM:
            return Op.AMEND if fact.type in _STANDING and fact.op is not Op.CONFIRM else Op.CONFIRM
        self.dropped.duplicates += 1
        return None

    def _remember(self, key: tuple[str, str], known: Known, kind: CueType) -> None:
        is_price = kind is CueType.PRICE
        order, limit = (self._prices, MAX_KNOWN_PRICES) if is_price else (self._order, MAX_KNOWN_FACTS)
        if key not in self._known:
            order.append(key)
        self._known[key] = known
        if len(order) > limit:
            del self._known[order.popleft()]


def _is_nod(fact: Fact) -> bool:
    return fact.op is Op.CONFIRM and not fact.body


def _is_later(fact: Fact, wall: float, known: Known) -> bool:
    """Return whether a word names a later time than the one before it: by the vendor's clock, if it told both."""
    if fact.occurred_at is None:
        return False
    return wall > known.wall if known.said is None else fact.occurred_at > known.said


def _content(fact: Fact) -> bytes:
    said = fact.occurred_at if fact.type in _STANDING else None
    return b"%s\n%r\n%s" % (fact.type.encode(), said, strict_json.encode_known(fact.body))


def _content_of(entry: Entry, said: float | None) -> bytes:
    """Return the content of the price that an entry was made from."""
    body = entry.cue.body
    price = {name: value for name, value in body["price"].items() if name != "ver"}
    return b"%s\n%r\n%s" % (entry.cue.type.encode(), said, strict_json.encode_known({**body, "price": price}))


def _digest(content: bytes | str) -> str:
    return content if isinstance(content, str) else hashlib.sha256(content).hexdigest()


def _is_same(content: bytes, known: bytes | str) -> bool:
    return content == known if isinstance(known, bytes) else _digest(content) == known
