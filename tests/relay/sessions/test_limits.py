from __future__ import annotations

from relay.sessions.limits import limits_for
from relay.sessions.model import Limit, Order
from relay.sessions.networks import network_limit
from relay.sessions.policies import SessionPolicies
from tests.support.tokens import claims


def test_a_purchase_is_for_one_and_a_plan_for_three() -> None:
    policies = SessionPolicies()
    grace_ms = 30_000
    assert limits_for(claims(purchase="p"), policies) == (
        Limit("event:game", 1, Order.OLDEST_FIRST, "session_limit", grace_ms),
    )
    assert limits_for(claims(purchase="p", plan="season"), policies) == (
        Limit("plan:season", 3, Order.OLDEST_FIRST, "session_limit", grace_ms),
    )
    assert limits_for(claims(), policies) == ()


def test_a_policy_says_otherwise() -> None:
    policies = SessionPolicies()
    policies.heard(
        "event:game",
        '{"event_id":"game","session_policy":{"eviction":"viewer_choice","grace_period_sec":5,"max_concurrent":2}}',
    )
    assert limits_for(claims(), policies) == (Limit("event:game", 2, Order.VIEWER_CHOICE, "session_limit", 5_000),)


def test_networks_are_counted_where_the_policy_does() -> None:
    policies = SessionPolicies()
    policies.heard("event:game", '{"event_id":"game","session_policy":{"ip_sharing_threshold":3}}')
    sessions, networks = limits_for(claims(), policies)
    assert (sessions.key, networks) == ("event:game", network_limit("event:game", 3))
