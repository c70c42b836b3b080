from __future__ import annotations

import pytest
from pydantic import ValidationError

from lockstep.session_settings import SessionsSettings
from relay.sessions.model import Order
from relay.sessions.policy_text import FOR_EVENT, FOR_PLAN, SessionPolicy


def test_what_counts_where_no_policy_says_so() -> None:
    assert SessionsSettings().to_policies() == (FOR_EVENT, FOR_PLAN)
    said = SessionsSettings(ppv_max=2, plan_max=5, order=Order.REJECT, grace_s=4)
    assert said.to_policies() == (SessionPolicy(2, Order.REJECT, 4_000), SessionPolicy(5, Order.REJECT, 4_000))


@pytest.mark.parametrize("fields", [{"ppv_max": 0}, {"grace_s": -1}, {"dead_after_s": 1}, {"tenant": "a b"}, {"x": 1}])
def test_what_cannot_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SessionsSettings.model_validate(fields)
