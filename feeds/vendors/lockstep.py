"""Lockstep's own format: facts as JSON, single or as a list, and a sign of life at the source's own interval.

    {"id": "p17", "rev": 1, "op": "new", "occurred_at": "2026-03-27T19:30:00.250Z", "type": "play", "body": {...}}
    {"type": "alive", "interval_s": 2, "complete_to": "2026-03-27T19:30:04Z"}

It is refused where it is unclear: who sends it can mend it, and a typing error in `occurred_at` would otherwise
show as a cue in the wrong place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feeds.market_bodies import check_body, nested
from feeds.vendors.contract import Adapted, Alive
from feeds.vendors.times import parse_time
from kernel.cues import CueType, Fact, Op
from kernel.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_ID_CHARS = 128
"""Room for a UUID with a prefix; the id travels in every cue."""

MAX_INTERVAL_S = 3_600
"""A source that speaks less than hourly cannot be watched by its silence."""

_FACT_FIELDS = frozenset({"id", "rev", "op", "occurred_at", "type", "body"})
_ALIVE_FIELDS = frozenset({"type", "interval_s", "complete_to"})
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
        where = f"item {index}: " if isinstance(message, list) else ""
        if not isinstance(item, dict):
            raise DecodeError(f"{where}a JSON object is expected, not {item!a:.40}")
        if item.get("type") == "alive":
            alive = _alive(item, where)
        else:
            facts.append(_fact(source, item, where))
    return Adapted(facts, alive)


def _fact(source: str, item: Mapping[str, Any], where: str) -> Fact:
    _check_fields(item, _FACT_FIELDS, where)
    identifier, rev = item.get("id"), item.get("rev")
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= MAX_ID_CHARS or not identifier.isprintable():
        raise DecodeError(f"{where}id: 1 to {MAX_ID_CHARS} printable characters are expected, not {identifier!a:.40}")
    if identifier.startswith("~"):
        raise DecodeError(f"{where}id: {identifier!a:.40} begins with '~', as do the names that we give ourselves")
    where = f"{where}{identifier!a:.40}: "
    if rev is not None and (type(rev) is not int or rev < 1):
        raise DecodeError(f"{where}rev: an integer from 1 is expected, or none, not {rev!a:.40}")
    op = Op(_one_of([op.value for op in Op], item, "op", where))
    kind = CueType(_one_of([kind.value for kind in CueType], item, "type", where))
    body = item.get("body", {} if op in _BODILESS else None)
    if not isinstance(body, dict):
        raise DecodeError(f"{where}body: a JSON object is expected, not {body!a:.40}")
    _check_odds(kind, body, where)
    body = nested(kind, body)
    if op is not Op.RETRACT:
        check_body(kind, body, where)
    occurred_at, sigma_s = None, 0.0
    if item.get("occurred_at") is not None:
        occurred_at, sigma_s = parse_time(item["occurred_at"], f"{where}occurred_at")
    return Fact(source, identifier, op, kind, occurred_at, body, rev=rev, sigma_s=sigma_s)


def _alive(item: Mapping[str, Any], where: str) -> Alive:
    _check_fields(item, _ALIVE_FIELDS, where)
    interval_s = item.get("interval_s")
    if isinstance(interval_s, bool) or not isinstance(interval_s, int | float) or not 0 < interval_s <= MAX_INTERVAL_S:
        raise DecodeError(f"{where}interval_s: seconds up to {MAX_INTERVAL_S} are expected, not {interval_s!a:.40}")
    complete_to = item.get("complete_to")
    if complete_to is not None:
        complete_to = parse_time(complete_to, f"{where}complete_to").unix_s
    return Alive(float(interval_s), complete_to)


def _check_fields(item: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(item.keys() - known)
    if unknown:
        raise DecodeError(f"{where}{unknown[0]!a:.40} is no field of this format: use {', '.join(sorted(known))}")


def _one_of(known: list[str], item: Mapping[str, Any], field: str, where: str) -> Any:
    value = item.get(field)
    if not isinstance(value, str) or value not in known:
        raise DecodeError(f"{where}{field}: one of {', '.join(known)} is expected, not {value!a:.40}")
    return value


def _check_odds(kind: CueType, body: Mapping[str, Any], where: str) -> None:
    """Refuse odds that are no whole thousandths: a float price is another number at the next reader."""
    for path, key, value in _members(body, "body"):
        if key == "milli" and (type(value) is not int or value < 1):
            raise DecodeError(f"{where}{path}: odds in thousandths are expected, such as 1850, not {value!a:.40}")
        if kind is CueType.PRICE and isinstance(value, float):
            raise DecodeError(f"{where}{path}: a price holds integers only (milli: 1850 for 1.85), not {value!a:.40}")


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
