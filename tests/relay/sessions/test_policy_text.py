from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.api import read_as
from relay.place.model import ClassAction
from relay.sessions.model import Order
from relay.sessions.policy_text import (
    FOR_EVENT,
    FOR_PLAN,
    SessionPolicy,
    SessionPolicyBody,
    check_subject,
    read_policy,
    text_of,
)

VERBATIM = (
    '{"event_id":"game","session_policy":{"max_concurrent":2,"eviction":"oldest_first","grace_period_sec":30,'
    '"device_fingerprint":true,"geo_mismatch_action":"block","ip_sharing_threshold":3}}'
)


def body(**changes: Any) -> SessionPolicyBody:
    return read_as(SessionPolicyBody, {"event_id": "game", "session_policy": {}, **changes})


def test_the_body_as_the_formats_have_it() -> None:
    read = read_as(SessionPolicyBody, json.loads(VERBATIM))
    assert read.subject == "event:game"
    expected = SessionPolicy(2, Order.OLDEST_FIRST, 30_000, by_device=True, mismatch=ClassAction.BLOCK, most_networks=3)
    assert read_policy(text_of(read)) == expected
    # The same policy has the same text, however it was written.
    turned = json.loads(VERBATIM)
    turned["session_policy"] = dict(reversed(turned["session_policy"].items()))
    assert text_of(read_as(SessionPolicyBody, turned)) == text_of(read)


def test_what_is_left_out_is_as_usual() -> None:
    assert read_policy(text_of(body())) == FOR_EVENT
    plan = body(event_id=None, plan="season:2026")
    assert (plan.subject, read_policy(text_of(plan))) == ("plan:season:2026", FOR_PLAN)
    assert (FOR_EVENT.most, FOR_PLAN.most) == (1, 3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"plan": "season"}, "event_id or plan"),
        ({"event_id": None}, "event_id or plan"),
        ({"event_id": "a/b"}, "event_id"),
        ({"event_id": None, "plan": "a b"}, "plan"),
        ({"session_policy": {"max_concurrent": 0}}, "max_concurrent"),
        ({"session_policy": {"max_concurrent": 65}}, "max_concurrent"),
        ({"session_policy": {"max_concurrent": True}}, "max_concurrent"),
        ({"session_policy": {"eviction": "at_random"}}, "eviction"),
        ({"session_policy": {"grace_period_sec": -1}}, "grace_period_sec"),
        ({"session_policy": {"grace_period_sec": 3601}}, "grace_period_sec"),
        ({"session_policy": {"device_fingerprint": 1}}, "device_fingerprint"),
        ({"session_policy": {"geo_mismatch_action": "redirect"}}, "geo_mismatch_action"),
        ({"session_policy": {"ip_sharing_threshold": 0}}, "ip_sharing_threshold"),
        ({"session_policy": {"moon": 1}}, "session_policy.moon"),
        ({"session_policy": None}, "session_policy"),
    ],
)
def test_what_is_no_policy_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        body(**changes)


def test_a_path_names_an_event_or_a_plan() -> None:
    assert check_subject("event", "game") == "event:game"
    assert check_subject("plan", "season.2026") == "plan:season.2026"
    for kind, name in (("event", "season.2026"), ("plan", "a/b"), ("moon", "game"), ("event", "")):
        with pytest.raises(DecodeError):
            check_subject(kind, name)
