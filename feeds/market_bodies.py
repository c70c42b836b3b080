"""What facts say of markets, read from their bodies; `docs/http.md` has the shapes.

* market: `{"market": {"mid", "st", "spec"?, "delay_s"?}, "price"?: {"out": [{"oid", "milli"}]}}`
* price: `{"price": {"mid", "out": [{"oid", "milli"}]}}`
* settle: `{"settle": {"mid", ...}}`
* suspend: `{"market": {"mid"}}`, or nothing: then all that the source quotes is meant
* inv: `{"inv": {"mid"}}`

The inner object may also be the body itself, where it says no more: `{"mid", "out"}` is a price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernel.cues import Body, Cue, CueType, Fact, Op
from kernel.errors import DecodeError

STATUSES = ("open", "suspended", "closed", "settled")

MAX_MID_CHARS = 128
"""Room for a vendor's market and specifiers; it travels in every price."""

MAX_DELAY_S = 60
"""In-play bets are delayed by 1 to 12 s; Betfair's longest is 12."""

_KEYS: Mapping[CueType, str] = {
    CueType.MARKET: "market",
    CueType.PRICE: "price",
    CueType.SETTLE: "settle",
    CueType.SUSPEND: "market",
    CueType.INV: "inv",
}


_FLAT: Mapping[CueType, frozenset[str]] = {
    CueType.MARKET: frozenset({"mid", "st", "spec", "delay_s"}),
    CueType.PRICE: frozenset({"mid", "out"}),
    CueType.SUSPEND: frozenset({"mid"}),
    CueType.INV: frozenset({"mid"}),
}
"""The fields that belong into the inner object; of a settlement all do."""


class Statement(NamedTuple):
    """What a `market` or `settle` says: its status, what describes the market, and prices if it names any."""

    st: str
    about: dict[str, Any]
    out: list[tuple[str, int]]


def mid_of(fact: Fact) -> str | None:
    """Return the market that a fact is about, None if it names none."""
    named = fact.body.get(_KEYS[fact.type])
    mid = named.get("mid") if type(named) is dict or isinstance(named, Mapping) else None
    return mid if isinstance(mid, str) else None


def price_market_of(cue: Cue) -> str | None:
    """Return the market whose price a cue is, and that a newer one replaces; None for everything else."""
    if cue.type is not CueType.PRICE or cue.op is Op.RETRACT:
        return None
    price = cue.body.get("price")
    mid = price.get("mid") if type(price) is dict or isinstance(price, Mapping) else None
    return mid if type(mid) is str else None


def is_urgent(fact: Fact) -> bool:
    """Return whether a fact closes a market, or more: then it waits for nothing."""
    if fact.type is CueType.MARKET:
        market = fact.body.get("market")
        return isinstance(market, Mapping) and market.get("st") != "open"
    return fact.type is CueType.SUSPEND or fact.type is CueType.SETTLE


def statement_of(fact: Fact) -> Statement:
    """Return what a fact of type market or settle says; it names its market."""
    if fact.type is CueType.SETTLE:
        return Statement("settled", {}, [])
    market = fact.body["market"]
    about = {key: market[key] for key in ("spec", "delay_s") if market.get(key) is not None}
    price = fact.body.get("price")
    return Statement(market["st"], about, _outcomes(price) if isinstance(price, Mapping) else [])


def price_list(fact: Fact) -> list[tuple[str, int]]:
    """Return the outcomes and odds (thousandths) of a price."""
    return _outcomes(fact.body["price"])


def merge_prices(known: Mapping[str, int], told: list[tuple[str, int]]) -> tuple[dict[str, int], bool]:
    """Return known prices with told ones over them, and whether a known one changed."""
    merged, changed = dict(known), False
    for oid, milli in told:
        if merged.get(oid, milli) != milli:
            changed = True
        merged[oid] = milli
    return merged, changed


def nested(kind: CueType, body: Body) -> Body:
    """Return a body in the one shape that the rest relies on: what it says of a market in an object of its own."""
    key = _KEYS.get(kind)
    if key is None or key in body or "mid" not in body:
        return body
    flat = _FLAT.get(kind, frozenset(body))
    return {key: {name: body[name] for name in body if name in flat}} | {
        name: value for name, value in body.items() if name not in flat
    }


def check_body(kind: CueType, body: Body, where: str) -> None:
    """Check the shape of a body that says something of markets; others pass.

    Raises:
        DecodeError: something in it is not as documented; the text begins with `where` and names the field.
    """
    key = _KEYS.get(kind)
    if key is None or (kind is CueType.SUSPEND and key not in body):
        return
    named = body.get(key)
    # Plain dicts first: what an abstract class has to say takes long, and prices are many.
    if type(named) is not dict and not isinstance(named, Mapping):
        raise DecodeError(f"{where}body.{key}: an object with a `mid` is expected, not {named!a:.40}")
    mid = named.get("mid")
    if not isinstance(mid, str) or not 1 <= len(mid) <= MAX_MID_CHARS or not mid.isprintable():
        raise DecodeError(f"{where}body.{key}.mid: 1 to {MAX_MID_CHARS} printable characters, not {mid!a:.40}")
    if kind is CueType.MARKET:
        _check_market(named, where)
        if "price" in body:
            _check_outcomes(body["price"], where)
    elif kind is CueType.PRICE:
        _check_outcomes(named, where)


def _check_market(market: Mapping[str, Any], where: str) -> None:
    st, delay_s = market.get("st"), market.get("delay_s")
    if st not in STATUSES:
        raise DecodeError(f"{where}body.market.st: one of {', '.join(STATUSES)} is expected, not {st!a:.40}")
    is_span = isinstance(delay_s, int | float) and not isinstance(delay_s, bool) and 0 <= delay_s <= MAX_DELAY_S
    if delay_s is not None and not is_span:
        raise DecodeError(f"{where}body.market.delay_s: 0 to {MAX_DELAY_S} seconds are expected, not {delay_s!a:.40}")


def _check_outcomes(price: Any, where: str) -> None:
    out = price.get("out") if type(price) is dict or isinstance(price, Mapping) else None
    if not isinstance(out, list):
        raise DecodeError(f"{where}body.price.out: a list of outcomes is expected, not {out!a:.40}")
    for index, outcome in enumerate(out):
        oid = outcome.get("oid") if type(outcome) is dict or isinstance(outcome, Mapping) else None
        if not isinstance(oid, str) or "milli" not in outcome:
            raise DecodeError(f"{where}body.price.out[{index}]: an `oid` and its `milli` are expected")


def _outcomes(price: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(outcome["oid"], outcome["milli"]) for outcome in price.get("out", ())]
