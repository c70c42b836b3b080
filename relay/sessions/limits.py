"""Which limits count a session, by its token and the session policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.sessions.model import Limit
from relay.sessions.networks import network_limit

if TYPE_CHECKING:
    from kernel.tokens import Claims
    from relay.sessions.policies import SessionPolicies

SESSION_LIMIT = "session_limit"
"""What who has to go by one of these limits, or is not let in, is told."""


def limits_for(claims: Claims, policies: SessionPolicies) -> tuple[Limit, ...]:
    """Return the limits that count the session of `claims`, in the order in which they are judged.

    The policy of the event, else that of the token's plan, else what is usual: one session of what was bought once,
    three of a plan. A token with neither purchase nor plan, where no policy is of its event, is counted by none.
    Where a policy counts networks, too, that limit comes last (`relay/sessions/networks.py` looks at it first).
    """
    found = policies.governing(claims)
    if found is None:
        return ()
    policy = found.policy
    sessions = Limit(found.key, policy.most, policy.order, SESSION_LIMIT, policy.grace_ms)
    if policy.most_networks is None:
        return (sessions,)
    return (sessions, network_limit(found.key, policy.most_networks))
