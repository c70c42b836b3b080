"""What goes on record of admission: one note per session and scope whenever verdict, reason or policy version changes.

The gate says what it decided, each time; that nothing has changed must cost next to nothing to find out. What is noted
goes to whoever writes it down, which never makes the gate wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kernel.policies import PolicyRecord
from kernel.value import Value
from relay.place.model import ClassAction, Fix, IpPlace, PlaceVerdict

if TYPE_CHECKING:
    from kernel.blackouts import ZoneSet
    from kernel.decisions import Decision, Scope, Verdict
    from kernel.tokens import Claims, Reason

MAX_SESSIONS = 200_000
"""How many sessions' last words are remembered at least. Of one that is forgotten there is a record too many, not too
few."""


class Judged(Value, frozen=True):
    """What a policy said of a place, with everything that it was told: enough to ask it again.

    Args:
        policy: the version that was asked, with its text.
        verdict: what it answered.
        now: the time that it was told, in Unix seconds.
        place: what was known of the address.
        fix: what the device said of itself.
        previous: what it had said before that.
        locator: the version of the databases and lists that `place` comes from.
        beside: what another policy said of the same place at the same time, where two must agree; `policy` is that
            which decided.
        mismatch: what a session policy had the policy do about a device that is elsewhere than its address.
    """

    policy: PolicyRecord
    verdict: PlaceVerdict
    now: float
    place: IpPlace
    fix: Fix | None = None
    previous: Fix | None = None
    locator: str = ""
    beside: Judged | None = None
    mismatch: ClassAction | None = None


class Note(NamedTuple):
    """One decision that differs from the one before it.

    Args:
        at: when, in Unix seconds.
        session: the claim `sid`.
        account: the claim `sub`.
        event_id: the claim `evt`.
        scope: what was asked for.
        verdict: what was answered.
        reason: why not.
        policy_id: the policy that the token names, None without one; one that is not in force has no `judged`.
        judged: what the policy said, None where none was asked.
        address: whence the request came, where `judged` does not say it.
        blackouts: those that applied, the strongest first.
    """

    at: float
    session: str
    account: str
    event_id: str
    scope: Scope
    verdict: Verdict
    reason: Reason | None
    policy_id: str | None = None
    judged: Judged | None = None
    address: str = ""
    blackouts: tuple[str, ...] = ()


_Mark = tuple[
    "Scope", "Verdict", "Reason | None", "Reason | None", "PolicyRecord | None", "PolicyRecord | None", "ZoneSet"
]  # fmt: skip


class Auditor:
    """Find out what is worth a record.

    Args:
        put: is given each note; must not block.
        max_sessions: how many sessions are remembered at least.
    """

    def __init__(self, put: Callable[[Note], None], *, max_sessions: int = MAX_SESSIONS) -> None:
        self._put = put
        self._max = max_sessions
        # Two generations: when the young one is full the old one is let go of, at once and not one by one.
        # By the session alone: hashing a member of an enumeration costs more than looking at two marks.
        self._young: dict[str, tuple[_Mark, ...]] = {}
        self._old: dict[str, tuple[_Mark, ...]] = {}

    def note(
        self,
        claims: Claims,
        scope: Scope,
        decision: Decision,
        *,
        now: float,
        judged: Judged | None = None,
        address: str = "",
    ) -> None:
        """Say what was decided.

        Args:
            claims: those of a genuine token; of strangers there is no record.
            scope: what was asked for.
            decision: what was answered.
            now: Unix time in seconds.
            judged: what the policy said, also where it was asked earlier and its verdict kept; None: none was asked.
            address: whence the request came, where `judged` is None.
        """
        policy = warning = other = None
        if judged is not None:
            policy, warning = judged.policy, judged.verdict.warning
            if judged.beside is not None:
                other = judged.beside.policy
        marks = self._young.get(claims.session)
        if marks is None:
            marks = self._recalled(claims.session)
        # Written out: this is asked for every request.
        for mark in marks:
            if (
                mark[0] is scope
                and mark[1] is decision.verdict
                and mark[2] is decision.reason
                and mark[3] is warning
                and (mark[4] is policy or _are_same(mark[4], policy))
                and (mark[5] is other or _are_same(mark[5], other))
                and (mark[6] is decision.zones or mark[6] == decision.zones)
            ):
                return
        now_so = (scope, decision.verdict, decision.reason, warning, policy, other, decision.zones)
        self._young[claims.session] = (now_so, *(mark for mark in marks if mark[0] is not scope))
        self._put(
            Note(
                now, claims.session, claims.account, claims.event_id, scope, decision.verdict, decision.reason,
                claims.geo, judged, address, tuple([veil.blackout_id for veil in decision.zones]),
            )
        )  # fmt: skip

    def _recalled(self, session: str) -> tuple[_Mark, ...]:
        """Return what is known of a session that has not been here since the generations changed."""
        marks = self._old.get(session, ())
        if len(self._young) >= self._max:
            self._young, self._old = {}, self._young
        if marks:
            self._young[session] = marks
        return marks


def _are_same(one: PolicyRecord | None, other: PolicyRecord | None) -> bool:
    if one is None or other is None:
        return False
    return one.version == other.version and one.policy_id == other.policy_id
