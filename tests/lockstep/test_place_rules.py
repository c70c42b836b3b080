from __future__ import annotations

import json

import pytest

from kernel.errors import DecodeError
from kernel.tokens import Reason
from lockstep.place_rules import compile_text, findings_of
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
