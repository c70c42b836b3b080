"""Policies of place as they lie on disk and travel: texts with a name and a version. The relay knows what they mean."""

from __future__ import annotations

from kernel.value import Value


class PolicyRecord(Value, frozen=True):
    """One version of a policy, or that it is deleted.

    Args:
        policy_id: its name, `[A-Za-z0-9_-]{1,64}`.
        version: counts the changes of this policy from 1, its deletion included.
        text: canonical JSON; None: it is deleted.
        made: when, in Unix seconds.
        by: the operator who made it.
    """

    policy_id: str
    version: int
    text: str | None
    made: float
    by: str
