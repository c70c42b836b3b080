"""The rules of place as the composition root hands them on: compiling a text, and what is odd about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.policies import PolicyRecord
from relay.place.lint import findings
from relay.place.policy import Policy, compile_policy
from relay.policies import PolicyInForce

if TYPE_CHECKING:
    from relay.policies import CompiledPolicy


def compile_text(text: str) -> Policy:
    """Return the policy that a text says.

    Raises:
        DecodeError: it is none; the message names the field.
    """
    return compile_policy(text)


def findings_of(policy: CompiledPolicy) -> list[dict[str, Any]]:
    """Return what is odd about a policy, as plain JSON."""
    assert isinstance(policy, Policy)
    return [{"kind": one.kind.value, "path": one.path, "rule": one.rule, "says": one.text} for one in findings(policy)]


_ANYWHERE = '{"gps":{"implausible":"allow"},"policy_id":"anywhere"}'
ANYWHERE = PolicyInForce(PolicyRecord("session policy", 1, _ANYWHERE, 0.0, ""), compile_policy(_ANYWHERE))
"""What is asked where a session policy looks at place and no policy of place governs; no policy may be called so."""
