"""Below which version nothing opens a market any more: what every suspend and `inv` raises, and nothing lowers.

`ver` is one counter per showing; it rises with every change of any market. A suspend says: whatever was said of markets
up to here is void. An `inv` says it of the prices of one market below `min_ver`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel.cues import Cue, CueClass, CueType, Op

NO_FLOOR = -1


class Floors:
    """Keep the floors of one showing. Both server and client have one; safety raises both alike."""

    __slots__ = ("closed", "dead", "everywhere", "version")

    def __init__(self) -> None:
        self.version = 0
        self.everywhere = NO_FLOOR
        self.closed: dict[str, int] = {}
        self.dead: dict[str, int] = {}

    def raise_by(self, type_: str, body: Mapping[str, Any]) -> None:
        """Take in a suspend or an `inv`; anything else changes nothing."""
        self.version += 1
        if type_ == CueType.SUSPEND:
            ver, mid = version_of(body), market_of(body)
            if mid is None:
                self.everywhere = max(self.everywhere, ver)
            else:
                self.closed[mid] = max(self.closed.get(mid, NO_FLOOR), ver)
        elif type_ == CueType.INV:
            told = body.get("inv")
            inv = told if isinstance(told, Mapping) else body
            mid, min_ver = inv.get("mid"), inv.get("min_ver")
            if isinstance(mid, str) and isinstance(min_ver, int):
                self.dead[mid] = max(self.dead.get(mid, NO_FLOOR), min_ver - 1)

    def of(self, mid: str) -> int:
        """Return the version at or below which nothing of this market is told."""
        return max(self.everywhere, self.closed.get(mid, NO_FLOOR), self.dead.get(mid, NO_FLOOR))

    def closed_at(self, mid: str) -> int:
        """Return the version at or below which an open market counts as suspended."""
        return max(self.everywhere, self.closed.get(mid, NO_FLOOR))

    def withhold(self, type_: str, cls: str, body: Mapping[str, Any]) -> bool:
        """Return whether a cue is a price or a reopen at or below its floor: never sent, never folded."""
        if type_ != CueType.PRICE and cls != CueClass.REOPEN:
            return False
        told = [claim for name in ("market", "price") if (claim := claim_of(body, name)) is not None]
        # One that says more than one version is as new as the newest.
        return bool(told) and all(max(ver for _, ver, _ in told) <= self.of(mid) for mid, _, _ in told)

    def merge(self, told: Mapping[str, Any]) -> None:
        """Take in what a snapshot says; what has been raised since stays."""
        self.version += 1
        self.everywhere = max(self.everywhere, int(told.get("all", NO_FLOOR)))
        for name, floors in (("closed", self.closed), ("dead", self.dead)):
            for mid, ver in told.get(name, {}).items():
                floors[mid] = max(floors.get(mid, NO_FLOOR), int(ver))

    def to_map(self) -> dict[str, Any]:
        """Return the floors as they stand in a snapshot; what lies at or below the common one is left out."""
        return {
            "all": self.everywhere,
            "closed": {mid: ver for mid, ver in self.closed.items() if ver > self.everywhere},
            "dead": {mid: ver for mid, ver in self.dead.items() if ver > self.everywhere},
        }


def claim_of(body: Mapping[str, Any], name: str) -> tuple[str, int, Mapping[str, Any]] | None:
    """Return market id, version and map of what a body says under `name` (market or price), None if nothing."""
    told = body.get(name)
    if told is None or not (type(told) is dict or isinstance(told, Mapping)) or not isinstance(told.get("mid"), str):
        return None
    ver = told.get("ver", body.get("ver", 0))
    return told["mid"], ver if isinstance(ver, int) else 0, told


def market_of(body: Mapping[str, Any]) -> str | None:
    """Return the market that a body is about, None if it names none."""
    for name in ("market", "price", "settle", "inv"):
        told = body.get(name)
        if told is None:
            continue
        # Plain dicts first: what an abstract class has to say takes longer than all the rest, and prices are many.
        if (type(told) is dict or isinstance(told, Mapping)) and isinstance(told.get("mid"), str):
            mid: str = told["mid"]
            return mid
    mid_alone = body.get("mid")
    return mid_alone if isinstance(mid_alone, str) else None


def price_market_of(cue: Cue) -> str | None:
    """Return the market whose price a cue is: a newer one of it replaces it. None for all that nothing replaces so."""
    if cue.type is not CueType.PRICE or cue.op is Op.RETRACT:
        return None
    body = cue.body
    price = body.get("price")
    if type(price) is dict and "market" not in body:
        mid = price.get("mid")
        if type(mid) is str:
            return mid
    return market_of(body)


def version_of(body: Mapping[str, Any]) -> int:
    """Return the version that a body says, 0 if it says none."""
    ver = body.get("ver")
    if isinstance(ver, int):
        return ver
    price = body.get("price")
    if type(price) is dict and "market" not in body and type(ver := price.get("ver")) is int:
        return ver
    claims = [claim_of(body, name) for name in ("market", "price")]
    return max((claim[1] for claim in claims if claim is not None), default=0)
