"""Lockstep's own format: facts as JSON, single or as a list, and a sign of life at the source's own interval.

    {"id": "p17", "rev": 1, "op": "new", "occurred_at": "2026-03-27T19:30:00.250Z", "type": "play", "body": {...}}
    {"type": "alive", "interval_s": 2, "complete_to": "2026-03-27T19:30:04Z"}

It is refused where it is unclear: who sends it can mend it, and a typing error in `occurred_at` would otherwise
show as a cue in the wrong place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from feeds.market_bodies import check_body, nested
from feeds.vendors.contract import Adapted, Alive
from feeds.vendors.times import moment_of_ms, parse_time
from kernel.cues import CueType, Fact, Op
from kernel.errors import DecodeError
from kernel.value import Chars, Count, Milliseconds, Shape, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ID_CHARS = 128
"""Room for a UUID with a prefix; the id travels in every cue."""

MAX_INTERVAL_S = 3_600
"""A source that speaks less than hourly cannot be watched by its silence."""

_FACT_FIELDS = frozenset({"id", "rev", "op", "occurred_at", "type", "body"})
_ALIVE_FIELDS = frozenset({"type", "interval_s", "complete_to"})
_OPS: Mapping[str, Op] = {op.value: op for op in Op}
_KINDS: Mapping[str, CueType] = {kind.value: kind for kind in CueType}


class _Outcome(Shape, gc=False, forbid_unknown_fields=True):
    oid: str
    milli: Count


class _Price(Shape, gc=False, forbid_unknown_fields=True):
    mid: Chars
    out: list[_Outcome]


class _PriceBody(Shape, gc=False, forbid_unknown_fields=True):
    price: _Price


class _PlainPrice(Shape, gc=False, forbid_unknown_fields=True):
    """A price as most are, by the ten thousand: a new one that says nothing out of the ordinary."""

    id: Chars
    op: Literal["new"]
    type: Literal["price"]
    occurred_at: Milliseconds
    body: _PriceBody
    rev: Count | None = None


_plain_price = reader(_PlainPrice)
_BODILESS = frozenset({Op.RETRACT, Op.CONFIRM})


def adapt(source: str, message: Any) -> Adapted:
    """Read one fact, one `alive`, or a list of both.

    Raises:
        DecodeError: something in it is not as documented; the text names the item and the field.
    """
    items = message if isinstance(message, list) else [message]
    facts: list[Fact] = []
    alive: Alive | None = None
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise DecodeError(f"a JSON object is expected, not {item!a:.40}")
            if item.get("type") == "alive":
                alive = _alive(item)
            else:
                facts.append(_fact(source, item))
        except DecodeError as error:
            if not isinstance(message, list):
                raise
            raise DecodeError(f"item {index}: {error}") from None
    return Adapted(facts, alive)


def _fact(source: str, item: Mapping[str, Any]) -> Fact:
    plain = _plain_price(item)
    if plain is not None and plain.id.isprintable() and plain.id[0] != "~" and plain.body.price.mid.isprintable():
        at, sigma_s = moment_of_ms(plain.occurred_at)
        return Fact(source, plain.id, Op.NEW, CueType.PRICE, at, item["body"], plain.rev, None, sigma_s)
    _check_fields(item, _FACT_FIELDS)
    identifier, rev = item.get("id"), item.get("rev")
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= MAX_ID_CHARS or not identifier.isprintable():
        raise DecodeError(f"id: 1 to {MAX_ID_CHARS} printable characters are expected, not {identifier!a:.40}")
    if identifier.startswith("~"):
        raise DecodeError(f"id: {identifier!a:.40} begins with '~', as do the names that we give ourselves")
    try:
        return _named_fact(source, identifier, rev, item)
    except DecodeError as error:
        raise DecodeError(f"{identifier!a:.40}: {error}") from None


def _named_fact(source: str, identifier: str, rev: Any, item: Mapping[str, Any]) -> Fact:
    if rev is not None and (type(rev) is not int or rev < 1):
        raise DecodeError(f"rev: an integer from 1 is expected, or none, not {rev!a:.40}")
    op: Op = _one_of(_OPS, item, "op")
    kind: CueType = _one_of(_KINDS, item, "type")
    body = item.get("body", {} if op in _BODILESS else None)
    if not isinstance(body, dict):
        raise DecodeError(f"body: a JSON object is expected, not {body!a:.40}")
    if not _has_whole_odds(body, plain=kind is not CueType.PRICE):
        _complain_of_odds(kind, body)
    body = nested(kind, body)
    if op is not Op.RETRACT:
        check_body(kind, body, "")
    occurred_at, sigma_s = None, 0.0
    if item.get("occurred_at") is not None:
        occurred_at, sigma_s = parse_time(item["occurred_at"], "occurred_at")
    return Fact(source, identifier, op, kind, occurred_at, body, rev, None, sigma_s)


def _alive(item: Mapping[str, Any]) -> Alive:
    _check_fields(item, _ALIVE_FIELDS)
    interval_s = item.get("interval_s")
    if isinstance(interval_s, bool) or not isinstance(interval_s, int | float) or not 0 < interval_s <= MAX_INTERVAL_S:
        raise DecodeError(f"interval_s: seconds up to {MAX_INTERVAL_S} are expected, not {interval_s!a:.40}")
    complete_to = item.get("complete_to")
    if complete_to is not None:
        complete_to = parse_time(complete_to, "complete_to").unix_s
    return Alive(float(interval_s), complete_to)


def _check_fields(item: Mapping[str, Any], known: frozenset[str]) -> None:
    if not known.issuperset(item):
        unknown = sorted(item.keys() - known)
        raise DecodeError(f"{unknown[0]!a:.40} is no field of this format: use {', '.join(sorted(known))}")


def _one_of(known: Mapping[str, Any], item: Mapping[str, Any], field: str) -> Any:
    value = item.get(field)
    if not isinstance(value, str) or value not in known:
        raise DecodeError(f"{field}: one of {', '.join(known)} is expected, not {value!a:.40}")
    return known[value]


def _has_whole_odds(value: Any, *, plain: bool) -> bool:
    """Return whether odds are whole thousandths, and, unless it is `plain`, no number is a fraction.

    `value` is an object or a list. Prices come by the ten thousand: nothing is named here. The decoder has bounded the
    depth to 32 levels.
    """
    if type(value) is dict:
        for key, member in value.items():
            kind = type(member)
            if key == "milli":
                if kind is not int or member < 1:
                    return False
            elif kind is float:
                if not plain:
                    return False
            elif (kind is dict or kind is list) and not _has_whole_odds(member, plain=plain):
                return False
        return True
    for member in value:
        kind = type(member)
        if kind is float:
            if not plain:
                return False
        elif (kind is dict or kind is list) and not _has_whole_odds(member, plain=plain):
            return False
    return True


def _complain_of_odds(kind: CueType, body: Mapping[str, Any]) -> None:
    """Refuse odds that are no whole thousandths: a float price is another number at the next reader."""
    for path, key, value in _members(body, "body"):
        if key == "milli" and (type(value) is not int or value < 1):
            raise DecodeError(f"{path}: odds in thousandths are expected, such as 1850, not {value!a:.40}")
        if kind is CueType.PRICE and isinstance(value, float):
            raise DecodeError(f"{path}: a price holds integers only (milli: 1850 for 1.85), not {value!a:.40}")


def _members(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    # The decoder has bounded the depth to 32 levels.
    if isinstance(value, dict):
        for key, member in value.items():
            yield f"{path}.{key:.40}", key, member
            yield from _members(member, f"{path}.{key:.40}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield f"{path}[{index}]", "", member
            yield from _members(member, f"{path}[{index}]")
