"""The policies that are in force, compiled: one for each name, kept by what the bus says.

A version that is heard of but not compiled yet leaves the one before it in force; that takes milliseconds. One that
does not compile (a newer Lockstep wrote it) puts the policy out of force altogether, and so does its deletion: whoever
needs it is refused with `Reason.POLICY_UNKNOWN`. What of it is to be compiled, and when, is the driver's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from kernel.policies import PolicyRecord
from relay.place.model import ClassAction, Fix, IpPlace, PlaceVerdict


class CompiledPolicy(Protocol):
    """What a policy's text becomes; made by `relay.place.policy.compile_policy`."""

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None,
        mismatch: ClassAction | None = None,
    ) -> PlaceVerdict:  # fmt: skip
        """Judge a place. `now` is Unix time in seconds; `mismatch`, if set, counts before the policy's own."""
        ...

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        """Return whether a device's position can be true, after the one before it that could."""
        ...


Compile = Callable[[str], CompiledPolicy]
"""Raises DecodeError where a text is no policy."""


class PolicyInForce(NamedTuple):
    """A policy with the record that it came from."""

    record: PolicyRecord
    policy: CompiledPolicy

    @property
    def policy_id(self) -> str:
        """Return its name."""
        return self.record.policy_id

    @property
    def version(self) -> int:
        """Return its version."""
        return self.record.version


class PolicyIndex:
    """Know the policies in force.

    `revision` rises whenever `find` could answer otherwise than before: whoever keeps verdicts looks at it.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._heard: dict[str, PolicyRecord] = {}
        self._in_force: dict[str, PolicyInForce] = {}
        self._waiting: dict[str, None] = {}
        self._listeners: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Return how many are in force."""
        return len(self._in_force)

    def find(self, policy_id: str) -> PolicyInForce | None:
        """Return the policy of that name, None where nothing is known of it: then nobody who needs it is admitted."""
        return self._in_force.get(policy_id)

    def listen(self, changed: Callable[[str], None]) -> None:
        """Have `changed` called, with a policy's name, after each change of what `find` says of it."""
        self._listeners.append(changed)

    def heard(self, record: PolicyRecord) -> bool:
        """Take note of what the bus says; return whether its text is to be compiled.

        The last word counts, also when its version is lower: then the desk's file was put back from a copy.
        """
        known = self._heard.get(record.policy_id)
        if known is not None and (known.version, known.text) == (record.version, record.text):
            return False
        self._heard[record.policy_id] = record
        if record.text is None:
            self._waiting.pop(record.policy_id, None)
            self._put(record.policy_id, None)
            return False
        self._waiting[record.policy_id] = None
        return True

    def waiting(self) -> list[PolicyRecord]:
        """Return what is to be compiled, in the order in which it was heard of first."""
        return [self._heard[policy_id] for policy_id in self._waiting]

    def install(self, record: PolicyRecord, policy: CompiledPolicy | None) -> None:
        """Put what a record was compiled to in force, unless a newer one has been heard of meanwhile.

        Args:
            record: what was compiled.
            policy: what became of it; None: it does not compile.
        """
        if self._heard.get(record.policy_id) is not record:
            return
        self._waiting.pop(record.policy_id, None)
        self._put(record.policy_id, None if policy is None else PolicyInForce(record, policy))

    def broken(self) -> list[str]:
        """Return the names of policies that are there but do not compile."""
        return [
            policy_id
            for policy_id, record in self._heard.items()
            if record.text is not None and policy_id not in self._in_force and policy_id not in self._waiting
        ]

    def _put(self, policy_id: str, policy: PolicyInForce | None) -> None:
        if policy is not None:
            self._in_force[policy_id] = policy
        elif self._in_force.pop(policy_id, None) is None:
            return
        self.revision += 1
        for changed in self._listeners:
            changed(policy_id)
