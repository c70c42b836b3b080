from __future__ import annotations

import json

import pytest

from kernel.errors import DecodeError
from kernel.tokens import Reason
from lockstep.place_rules import ANYWHERE, compile_text, findings_of
from relay.place.model import ClassAction, Fix, Point
from tests.support.auditing import PLACE
from tests.support.tokens import NOW

RULE = {"name": "abroad", "effect": "deny", "where": {"country": ["US"]}}
POLICY = {"policy_id": "west", "watch": {"default": "allow", "rules": [RULE]}}


def test_a_text_becomes_a_policy() -> None:
    verdict = compile_text(json.dumps(POLICY)).decide(PLACE, None, now=NOW)
    assert (verdict.watch, verdict.wager, verdict.watch_rule) == (Reason.GEO_BLOCKED, None, "abroad")


def test_what_is_no_policy_is_said() -> None:
    with pytest.raises(DecodeError):
        compile_text(json.dumps({**POLICY, "moon": 1}))


def test_what_is_odd_is_plain_json() -> None:
    policy = compile_text(json.dumps(POLICY))
    assert findings_of(policy) == json.loads(json.dumps(findings_of(policy)))


def test_anywhere_is_judged_by_the_session_policy_alone() -> None:
    far, policy = Fix(Point(0, 0), 10.0, NOW), ANYWHERE.policy
    assert policy.decide(PLACE, far, now=NOW, mismatch=ClassAction.BLOCK).watch is Reason.GEO_MISMATCH
    warned = policy.decide(PLACE, far, now=NOW, mismatch=ClassAction.WARN)
    assert (warned.watch, warned.warning) == (None, Reason.GEO_MISMATCH)
    for fix in (far, None):
        allowed = policy.decide(PLACE, fix, now=NOW, mismatch=ClassAction.ALLOW)
        assert (allowed.watch, allowed.wager, allowed.warning) == (None, None, None)
    assert policy.decide(PLACE, None, now=NOW, mismatch=ClassAction.BLOCK).watch is None
