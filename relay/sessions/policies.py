"""Which session policy counts for whom: that of the event, else that of the plan, else what is usual.

What does not read (a newer version of Lockstep wrote it) counts as if it were not there, which is stricter than most:
one session of what was bought once, three of a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from kernel.bus import Topic
from kernel.errors import DecodeError
from relay.place.model import ClassAction
from relay.sessions.policy_text import FOR_EVENT, FOR_PLAN, SessionPolicy, read_policy, subject_of

if TYPE_CHECKING:
    from kernel.tokens import Claims

SESSION_POLICIES: Topic[list[Any]] = Topic("session-policies")
"""All session policies, one record each: `[subject, text or null, made, by]`; null: it is deleted."""

MAX_SUBJECT_CHARS = 190
"""A limit's key has 200 characters."""


class Governing(NamedTuple):
    """A policy, and what it counts by."""

    key: str
    policy: SessionPolicy


class SessionPolicies:
    """Know the session policies.

    Args:
        for_event: what counts where something was bought, and no policy says more.
        for_plan: the same by a plan.

    `revision` rises whenever `governing` could answer otherwise than before. `rules_place` says whether any of them
    has something to say of place: whoever asks for each request looks there first.
    """

    def __init__(self, for_event: SessionPolicy = FOR_EVENT, for_plan: SessionPolicy = FOR_PLAN) -> None:
        self._for_event, self._for_plan = for_event, for_plan
        self.revision = 0
        self.rules_place = False
        self._texts: dict[str, str] = {}
        self._known: dict[str, Governing] = {}
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Return how many there are, understood or not."""
        return len(self._texts)

    def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called after each change."""
        self._listeners.append(changed)

    def broken(self) -> list[str]:
        """Return what those are of that are there and do not read."""
        return [subject for subject in self._texts if subject not in self._known]

    def heard(self, subject: str, text: str | None) -> str | None:
        """Take note of what the bus says; return why it is not understood, None if it is."""
        if self._texts.get(subject) == text:
            return None
        self._known.pop(subject, None)
        why = None
        if text is None:
            self._texts.pop(subject, None)
        else:
            self._texts[subject] = text
            try:
                self._known[subject] = Governing(subject, read_policy(text))
            except DecodeError as error:
                why = str(error)
        self.rules_place = any(one.policy.mismatch is not None for one in self._known.values())
        self.revision += 1
        for changed in self._listeners:
            changed()
        return why

    def governing(self, claims: Claims) -> Governing | None:
        """Return what counts for the bearer of `claims`; None: whoever issued the token counts by himself."""
        event, plan = subject_of("event", claims.event_id), claims.plan
        found = self._known.get(event)
        if found is None and plan is not None:
            found = self._known.get(subject_of("plan", plan))
            if found is None:
                return Governing(subject_of("plan", plan)[:MAX_SUBJECT_CHARS], self._for_plan)
        if found is None and claims.purchase is not None:
            return Governing(event, self._for_event)
        return found

    def of(self, key: str) -> SessionPolicy | None:
        """Return the policy of what a limit counts by, made or usual; None where no policy counts so."""
        found = self._known.get(key)
        if found is not None:
            return found.policy
        kind, _, _ = key.partition(":")
        return {"event": self._for_event, "plan": self._for_plan}.get(kind)

    def mismatch(self, claims: Claims) -> ClassAction | None:
        """Return what becomes of the bearer of `claims` elsewhere than his network; None: no session policy says."""
        if not self.rules_place:
            return None
        found = self.governing(claims)
        return None if found is None else found.policy.mismatch
