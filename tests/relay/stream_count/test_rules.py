from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.api import read_as
from relay.stream_count.rules import Asset, StreamCountBody, StreamRules, read_rules, rules_of, text_of

BODY: dict[str, Any] = {
    "stream_count": {
        "order": "lifo",
        "grace_sec": 5,
        "event_interval_sec": 20,
        "per_entitlement": False,
        "global": 4,
        "categories": {"sport": {"max": 3}, "football": {"parent": "sport"}},
        "assets": {"final": {"asset_id": "5001", "category": "football", "max": 2, "entitlement": "854"}, "quiz": {}},
    }
}


def body(**fields: Any) -> dict[str, Any]:
    return {"stream_count": fields}


def test_what_rules_mean() -> None:
    read = read_as(StreamCountBody, BODY)
    rules = rules_of(read)
    assert rules == StreamRules(
        lifo=True,
        grace_ms=5_000,
        interval_s=20,
        per_entitlement=False,
        everywhere=4,
        categories={"sport": 3, "football": None},
        assets={
            "final": Asset("5001", 2, "854", ("football", "sport")),
            "quiz": Asset("quiz", None, None, ()),
        },
    )
    assert rules.asset("other") == Asset("other", None, None, ())
    # What is written says the same when it is read.
    assert read_rules(text_of(read)) == rules
    assert rules_of(read_as(StreamCountBody, body())) == StreamRules()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"global": -1}, "global"),
        ({"order": "random"}, "order"),
        ({"categories": {"a b": {}}}, "a b"),
        ({"categories": {"a": {"parent": "b"}}}, "no category b"),
        ({"categories": {"a": {"parent": "a"}}}, "in itself"),
        ({"categories": {"a": {"parent": "b"}, "b": {"parent": "a"}}}, "in itself"),
        ({"categories": {str(n): {"parent": str(n + 1)} for n in range(9)} | {"9": {}}}, "below more than 8"),
        ({"assets": {"final": {"category": "x"}}}, "no category x"),
        ({"assets": {"a/b": {}}}, "a/b"),
        ({"assets": {"final": {"asset_id": "1"}, "semi": {"asset_id": "1"}}}, "is final already"),
        ({"more": 1}, "more"),
    ],
)
def test_what_does_not_hang_together_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(DecodeError, match=named):
        read_as(StreamCountBody, body(**fields))
