"""Lockstep's own format (FORMATS 1)."""

from __future__ import annotations

from typing import Any

import pytest

from feeds.vendors import lockstep
from feeds.vendors.contract import Adapted, Alive
from feeds.vendors.lockstep import adapt
from kernel.cues import CueType, Fact, Op
from kernel.errors import DecodeError

T = 1_774_639_800
PLAY = {
    "id": "p17",
    "rev": 1,
    "op": "new",
    "occurred_at": "2026-03-27T19:30:00.250Z",
    "type": "play",
    "body": {"txt": "Goal"},
}
FACT = Fact("src", "p17", Op.NEW, CueType.PLAY, T + 0.25, {"txt": "Goal"}, rev=1, sigma_s=0.0003)
PRICE = {"mid": "1x2", "out": [{"oid": "home", "milli": 1850}]}


def test_a_fact() -> None:
    assert adapt("src", PLAY) == Adapted([FACT])


def test_a_list_keeps_its_order() -> None:
    second = {**PLAY, "id": "p18"}
    assert [fact.id for fact in adapt("src", [second, PLAY]).facts] == ["p18", "p17"]
    assert adapt("src", []) == Adapted()


def test_only_id_op_type_and_a_body_are_needed() -> None:
    bare = {"id": "p", "op": "new", "type": "stat", "body": {}}
    assert adapt("src", bare) == Adapted([Fact("src", "p", Op.NEW, CueType.STAT, None, {})])


def test_a_time_in_milliseconds() -> None:
    assert adapt("src", {**PLAY, "occurred_at": T * 1000 + 250}) == Adapted([FACT])


@pytest.mark.parametrize("op", ["retract", "confirm"])
def test_a_retraction_and_a_confirmation_need_no_body(op: str) -> None:
    (fact,) = adapt("src", {"id": "p17", "op": op, "type": "play"}).facts
    assert (fact.op, fact.body, fact.occurred_at) == (Op(op), {}, None)


BODIES: dict[str, Any] = {
    "market": {"market": {"mid": "1x2", "st": "open"}},
    "price": {"price": PRICE},
    "settle": {"settle": {"mid": "1x2"}},
    "inv": {"inv": {"mid": "1x2"}},
}


@pytest.mark.parametrize("kind", [kind.value for kind in CueType])
def test_every_type_of_ours_is_known(kind: str) -> None:
    (fact,) = adapt("src", {**PLAY, "type": kind, "body": BODIES.get(kind, {})}).facts
    assert fact.type is CueType(kind)
    # What is taken back need not be said again.
    assert adapt("src", {"id": "p17", "op": "retract", "type": kind}).facts[0].op is Op.RETRACT


def test_a_name_of_ours_is_refused() -> None:
    with pytest.raises(DecodeError, match="begins with '~'"):
        adapt("src", {**PLAY, "id": "~health"})


def test_alive() -> None:
    assert adapt("src", {"type": "alive", "interval_s": 2}) == Adapted([], Alive(2.0, None))
    told = {"type": "alive", "interval_s": 0.5, "complete_to": T * 1000}
    assert adapt("src", [PLAY, told]) == Adapted([FACT], Alive(0.5, float(T)))


def test_odds_are_thousandths() -> None:
    for body in ({"price": PRICE}, PRICE):
        (fact,) = adapt("src", {**PLAY, "type": "price", "body": body}).facts
        assert fact.body == {"price": PRICE}


@pytest.mark.parametrize(
    ("message", "says"),
    [
        # Form
        ("x", "a JSON object is expected"),
        (None, "a JSON object is expected"),
        ([PLAY, 7], "item 1: a JSON object is expected, not 7"),
        ({**PLAY, "ocurred_at": 1}, "'ocurred_at' is no field of this format: use body, id, occurred_at"),
        # Fields
        ({**PLAY, "id": 17}, "id: 1 to 128 printable characters are expected, not 17"),
        ({**PLAY, "id": ""}, "id: 1 to 128"),
        ({**PLAY, "id": "x" * 129}, "id: 1 to 128"),
        ({**PLAY, "id": "a\u202eb"}, "id: 1 to 128"),
        ({**PLAY, "rev": 0}, "'p17': rev: an integer from 1"),
        ({**PLAY, "rev": True}, "rev: an integer from 1"),
        ({**PLAY, "rev": "1"}, "rev: an integer from 1"),
        ({**PLAY, "op": "update"}, "op: one of new, amend, retract, confirm is expected, not 'update'"),
        ({**PLAY, "op": ["new"]}, "op: one of"),
        ([PLAY, {**PLAY, "type": "goal"}], "item 1: 'p17': type: one of play, score"),
        ({"id": "p", "op": "new", "body": {}}, "type: one of .* is expected, not None"),
        ({**PLAY, "occurred_at": "noon"}, "occurred_at: a time such as"),
        ({**PLAY, "body": []}, r"body: a JSON object is expected, not \[\]"),
        ({"id": "p", "op": "amend", "type": "play"}, "body: a JSON object is expected, not None"),
        # Odds
        ({**PLAY, "body": {"out": [{"milli": 1.85}]}}, r"body.out\[0\].milli: odds in thousandths .* not 1.85"),
        ({**PLAY, "body": {"milli": True}}, "body.milli: odds in thousandths"),
        ({**PLAY, "body": {"milli": 0}}, "body.milli: odds in thousandths"),
        ({**PLAY, "type": "price", "body": {"mid": 1, "odds": 1.85}}, "body.odds: a price holds integers only"),
        ({**PLAY, "type": "price", "body": {"out": [1.85]}}, r"body.out\[0\]: a price holds integers only"),
        # Markets
        ({**PLAY, "type": "market", "body": {}}, "'p17': body.market: an object with a `mid` is expected, not None"),
        # Alive
        ({"type": "alive"}, "interval_s: seconds up to 3600 are expected, not None"),
        ({"type": "alive", "interval_s": True}, "interval_s: seconds"),
        ({"type": "alive", "interval_s": 0}, "interval_s: seconds"),
        ({"type": "alive", "interval_s": 3601}, "interval_s: seconds"),
        ({"type": "alive", "interval_s": 2, "complete_to": "soon"}, "complete_to: a time"),
        ({"type": "alive", "interval_s": 2, "id": "x"}, "'id' is no field"),
    ],
)
def test_what_is_unclear_is_refused(message: Any, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        adapt("src", message)


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(DecodeError) as caught:
        adapt("src", {**PLAY, "op": "x" * 100_000})
    assert len(str(caught.value)) < 200


PLAIN: dict[str, Any] = {
    "id": "p", "op": "new", "type": "price", "occurred_at": 1_800_000_000_123,
    "body": {"price": {"mid": "m", "out": [{"oid": "1", "milli": 1850}]}},
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, {"rev": 3}, {"rev": None}, {"id": "x" * 128}, {"occurred_at": 100_000_000_000}])
def test_a_plain_price_is_read_as_the_long_way_would(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    item = PLAIN | change
    assert lockstep._plain_price(item) is not None
    quick = adapt("own", item)
    monkeypatch.setattr(lockstep, "_plain_price", lambda _: None)
    assert adapt("own", item) == quick
    assert quick.facts[0].type is CueType.PRICE


@pytest.mark.parametrize("change", [{"id": "~p"}, {"id": "a\u0007"}, {"id": ""}, {"rev": 0}, {"occurred_at": 5}])
def test_a_price_is_refused_by_the_quick_way_too(change: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        adapt("own", PLAIN | change)


def test_a_price_with_more_to_say_takes_the_long_way() -> None:
    body = {"price": {"mid": "m", "out": [{"oid": "1", "milli": 1850, "name": "over"}], "limit": 500}}
    (fact,) = adapt("own", PLAIN | {"body": body}).facts
    assert fact.body == body
