"""What the cues of a subscription add up to: score, clock, period, possession, settlements, markets and prices.

Server and client fold with this same code; both end in the same state whatever the order in which late cues came:

Rule 1: a fact counts in its newest revision only; a retracted one not at all.
Rule 2: score, clock, period, possession and settlements are what the fact latest in the picture says, that is, the one
with the highest (tl, pts, o).
Rule 3: a market and its price are what the highest `ver` says; of equal ones the highest offset.
Rule 4: a price or a reopen at or below its floor is not folded. An open market at or below it is suspended.
Rule 5: the price of a market that is not open is void, up to the `ver` that said so; a reopen brings its own.

The last few claims on each of Rule 2's slots are kept, so that a retraction lets the one before it stand again.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any, NamedTuple

from hub.canonical import hash64
from hub.floors import Floors, claim_of
from kernel.cues import CueClass, CueType, Entry, Op

SLOTS = ("score", "clock", "period", "possession")

KEPT_CLAIMS = 8
"""How many claims on a slot are kept: that many facts in a row may be retracted before a snapshot is needed."""

_MARKET_TYPES = frozenset({CueType.MARKET, CueType.PRICE})


class Claim(NamedTuple):
    """What one fact says of one slot; ordered by where its picture is."""

    tl: int
    pts: int
    o: int
    id: str
    value: Any


def _place(claim: Claim) -> tuple[int, int, int]:
    return claim[:3]


class State:
    """Fold cues.

    Args:
        floors: shared by all states of a showing; whoever owns them raises them.
    """

    __slots__ = ("_claims", "_hash", "_markets", "_prices", "floors", "version")

    def __init__(self, floors: Floors) -> None:
        self.floors = floors
        self.version = 0
        self._claims: dict[str, list[Claim]] = {}
        self._markets: dict[str, tuple[int, int, Mapping[str, Any]]] = {}
        self._prices: dict[str, tuple[int, int, Mapping[str, Any]]] = {}
        self._hash: tuple[Any, str] | None = None

    def copy(self) -> State:
        """Return another state that knows the same; what is folded into either is no affair of the other's."""
        other = State(self.floors)
        other._claims = {slot: list(claims) for slot, claims in self._claims.items()}
        other._markets, other._prices = dict(self._markets), dict(self._prices)
        return other

    def fold(self, entry: Entry) -> None:
        """Take in an entry of the log; safety changes the floors alone, which are not ours."""
        cue = entry.cue
        if cue.at is not None:
            place = (cue.at.timeline, cue.at.pts, entry.o)
            self._fold(place, cue.id, cue.op, cue.type, cue.cls, cue.body, cue.before)

    def fold_cue(self, cue: Mapping[str, Any]) -> None:
        """Take in a cue as it stands on the wire."""
        if "tl" in cue and "pts" in cue:
            place = (cue["tl"], cue["pts"], cue["o"])
            self._fold(place, cue["id"], cue["kind"], cue["type"], cue["cls"], cue, cue.get("before"))

    def _fold(
        self,
        place: tuple[int, int, int],
        id_: str,
        op: str,
        type_: str,
        cls: str,
        body: Mapping[str, Any],
        before: Mapping[str, Any] | None,
    ) -> None:
        if self.floors.withhold(type_, cls, body):
            return
        self.version += 1
        if type_ in _MARKET_TYPES or cls == CueClass.REOPEN or "market" in body or "price" in body:
            self._fold_market(place[2], op, body, before or {})
        if type_ in _MARKET_TYPES:
            return
        said = _slots_of(body)
        if op == Op.CONFIRM and not said:
            return
        if op != Op.NEW:
            for claims in self._claims.values():
                claims[:] = [claim for claim in claims if claim.id != id_]
        if op != Op.RETRACT:
            for slot, value in said.items():
                claims = self._claims.setdefault(slot, [])
                insort(claims, Claim(*place, id_, value), key=_place)
                del claims[:-KEPT_CLAIMS]

    def _fold_market(self, o: int, op: str, body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        market, price = claim_of(body, "market"), claim_of(body, "price")
        for known, name in ((self._markets, "market"), (self._prices, "price")):
            if op == Op.RETRACT:
                gone = claim_of(before, name)
                if gone is not None and gone[0] in known and known[gone[0]][0] == gone[1]:
                    del known[gone[0]]
                continue
            claim = market if name == "market" else price
            if claim is None:
                continue
            mid, ver, told = claim
            if name == "price" and market is not None:
                # The prices that a reopen brings are as new as the reopening.
                ver = max(ver, market[1])
            if mid not in known or known[mid][:2] <= (ver, o):
                known[mid] = (ver, o, told)

    # What it adds up to.

    def visible(self) -> dict[str, Any]:
        """Return what holds: what client and server agree on, and what their hash is of.

        Markets and prices at or below their floor are left out: all that holds of them is that they are suspended.
        """
        shown: dict[str, Any] = {slot: claims[-1].value for slot, claims in self._claims.items() if claims}
        floors = self.floors
        markets = {mid: told for mid, (ver, _, told) in self._markets.items() if ver > floors.of(mid)}
        prices = {
            mid: told
            for mid, (ver, _, told) in self._prices.items()
            if ver > floors.of(mid) and not self._is_void(mid, ver)
        }
        return {**shown, "markets": markets, "prices": prices, "floor": floors.to_map()}

    def _is_void(self, mid: str, ver: int) -> bool:
        market = self._markets.get(mid)
        return market is not None and market[2].get("st") != "open" and ver <= market[0]

    def markets(self) -> dict[str, dict[str, Any]]:
        """Return every known market as it stands, `st` being suspended where the floor says so."""
        standing: dict[str, dict[str, Any]] = {}
        for mid, (ver, _, told) in self._markets.items():
            closed = told.get("st") == "open" and ver <= self.floors.closed_at(mid)
            standing[mid] = {**told, "st": "suspended"} if closed else dict(told)
        return standing

    def hash(self) -> str:
        """Return the 64-bit hash of what is visible; made anew only after a change."""
        mark = (self.version, self.floors.version)
        if self._hash is None or self._hash[0] != mark:
            self._hash = (mark, hash64(self.visible()))
        return self._hash[1]

    # On the wire.

    def atoms(self) -> list[tuple[str, str, Any]]:
        """Return the state in its smallest parts, to be sent in pieces: (section, key, value)."""
        parts: list[tuple[str, str, Any]] = [("floor", "", self.floors.to_map())]
        for slot, claims in self._claims.items():
            if claims:
                parts += [("", slot, claims[-1].value), ("claims", slot, [list(claim) for claim in claims])]
        for section, known in (("markets", self._markets), ("prices", self._prices)):
            parts += [(section, mid, [ver, o, dict(told)]) for mid, (ver, o, told) in known.items()]
        return parts

    def load(self, piece: Mapping[str, Any]) -> None:
        """Take in one piece of a snapshot; pieces may come between cues."""
        self.version += 1
        self.floors.merge(piece.get("floor", {}))
        for slot, claims in piece.get("claims", {}).items():
            self._claims[slot] = [Claim(*claim) for claim in claims]
        for section, known in (("markets", self._markets), ("prices", self._prices)):
            for mid, (ver, o, told) in piece.get(section, {}).items():
                known[mid] = (ver, o, told)


def _slots_of(body: Mapping[str, Any]) -> dict[str, Any]:
    said = {slot: body[slot] for slot in SLOTS if body.get(slot) is not None}
    settle = body.get("settle")
    if isinstance(settle, Mapping) and isinstance(settle.get("mid"), str):
        said[f"settle/{settle['mid']}"] = settle
    return said
