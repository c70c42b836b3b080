from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.errors import DecodeError, MessageTooLarge
from kernel.policies import PolicyRecord
from relay.policy_words import (
    POLICY_LIMITS,
    PolicyHead,
    head_map_of,
    map_of,
    text_of,
    version_of,
)


def test_the_same_policy_has_the_same_text() -> None:
    one = text_of("west", b'{"watch": {"rules": [{"b": 1, "a": [2.5, {}]}], "default": "deny"}, "policy_id": "west"}')
    other = text_of("west", b'{"policy_id":"west","watch":{"default":"deny","rules":[{"a":[2.5,{}],"b":1}]}}')
    assert one == other == '{"policy_id":"west","watch":{"default":"deny","rules":[{"a":[2.5,{}],"b":1}]}}'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "an object"),
        (b"{}", "policy_id: it is 'west' in the path"),
        (b'{"policy_id":"east"}', "policy_id"),
        (b'{"policy_id":"west","policy_id":"west"}', "twice"),
        (b'{"policy_id":"west","a":NaN}', "NaN"),
        (b"{", "not JSON"),
    ],
)
def test_what_is_no_policy_is_named(body: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        text_of("west", body)


def test_limits() -> None:
    for body in (
        b'{"policy_id":"west","a":"' + b"x" * POLICY_LIMITS.max_bytes + b'"}',
        b'{"policy_id":"west","a":' + b"[" * 41 + b"]" * 41 + b"}",
        # Written out, each of these takes four times as much.
        json.dumps({"policy_id": "west", "a": []}).encode()[:-2] + b",".join([b"1E9"] * 60_000) + b"]}",
    ):
        with pytest.raises(MessageTooLarge):
            text_of("west", body)


def test_versions() -> None:
    assert (version_of({}), version_of({"version": "12"})) == (None, 12)
    for text in ("", "0", "-1", "1.0", "9" * 30, "٣"):
        with pytest.raises(DecodeError, match="version"):
            version_of({"version": text})


def test_what_is_told() -> None:
    told: dict[str, Any] = {"policy_id": "west", "version": 2, "made": 1500, "by": "ops", "bytes": 20}
    assert head_map_of(PolicyHead("west", 2, 1.5, "ops", 20)) == told
    record = PolicyRecord("west", 2, '{"policy_id":"west"}', 1.5, "ops")
    assert map_of(record) == {**told, "policy": {"policy_id": "west"}}
    assert map_of(record, [{"a": 1}])["findings"] == [{"a": 1}]
    assert map_of(PolicyRecord("west", 3, None, 1.5, "ops"))["policy"] is None
