"""Whether somebody may watch and wager from where they are: policies asked about a session, and their answers kept.

Which policies: the one that governs the showing, and the one that the token names. Both must agree; of two refusals the
showing's is told. A policy that is named and not in force refuses: nobody is let in because a rule got lost.

An answer is kept for as long as nothing that it came from can have changed: address, policies, databases and lists,
fixes, and a while of time, because fixes grow old. Asking again then costs a dictionary's look-up. When only policies
have changed, or time, the address is not looked up again.

What is done about a device that is elsewhere than its address a session policy may say otherwise than the policy of
place, and also where none of place governs.

Servers and trading desks (scopes `server` and `trading`) are not persons: place is not asked of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kernel.decisions import Scope
from kernel.tokens import Claims, Reason
from kernel.value import Value, replace
from relay.audit import Judged
from relay.fixes import FixBook
from relay.place.model import ClassAction, Fix, IpPlace
from relay.policies import PolicyIndex, PolicyInForce
from relay.sessions.policies import SessionPolicies

KEEP_S = 30.0
"""How long an answer is kept at most, in seconds."""

KEEP_FIX_S = 5.0
"""The same where a device's fix counts, which grows old meanwhile."""

MAX_SESSIONS = 65_536
"""As many as tokens are remembered; beyond it all are asked anew."""

PERSONS = frozenset({Scope.WATCH, Scope.WAGER})


class Locates(Protocol):
    """What knows where addresses are; made by `relay/io/locator.py`.

    `version` names what it knows it from: another text, another answer perhaps.
    """

    @property
    def version(self) -> str:
        """Return the name of the databases and lists in use."""
        ...

    def locate(self, address: str) -> IpPlace:
        """Return what is known of an address, whatever text it is; nothing outside the process is asked."""
        ...


class Standing(Value, frozen=True):
    """What place says of a session.

    Args:
        watch: why it may not watch, None if it may.
        wager: why it may not wager, None if it may.
        warning: what is let through and said nevertheless.
        judged: the answer that decided, with all that was asked; None where no policy is in force for it.
        recheck_s: when to ask a device for its place again, in seconds; None: not by time.
    """

    watch: Reason | None = None
    wager: Reason | None = None
    warning: Reason | None = None
    judged: Judged | None = None
    recheck_s: float | None = None


FREE = Standing()
"""No policy governs it."""


_Kept = tuple[str, "str | None", "str | None", int, str, float, Standing, int]
"""What was asked (address, the showing's policy, the token's), by what (revision of policies, version of databases and
lists), until when it counts, the answer, and the revision of session policies. A tuple: one is made for every session
that comes."""


class Whereabouts:
    """Ask policies about sessions.

    Args:
        locator: knows where addresses are.
        policies: those that are in force.
        governing: the name of a showing's policy, None where it has none.
        fixes: what devices have said.
        sessions: the session policies; None: there are none.
        anywhere: a policy that admits everywhere, asked where no other governs and a session policy looks at place.
    """

    def __init__(
        self,
        locator: Locates,
        policies: PolicyIndex,
        governing: Callable[[str], str | None],
        fixes: FixBook,
        *,
        sessions: SessionPolicies | None = None,
        anywhere: PolicyInForce | None = None,
    ) -> None:
        self._sessions = SessionPolicies() if sessions is None else sessions
        self._anywhere = anywhere
        self._locator = locator
        self._policies = policies
        self._governing = governing
        self._fixes = fixes
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        """Return how many sessions' answers are kept."""
        return len(self._kept)

    def standing(self, claims: Claims, address: str, *, now: float) -> Standing:
        """Return what place says of the bearer of `claims` at `address`. `now` is Unix time in seconds."""
        geo, governing = claims.geo, self._governing(claims.event_id)
        if governing is None and geo is None and not self._sessions.rules_place:
            return FREE
        # An entitlement has no session yet.
        key = claims.session or claims.jti
        kept = self._kept.get(key)
        if (
            kept is not None
            and kept[0] == address
            and now < kept[5]
            and kept[3] == self._policies.revision
            and kept[4] is self._locator.version
            and kept[2] == geo
            and kept[1] == governing
            and kept[7] == self._sessions.revision
        ):
            return kept[6]
        return self._asked(key, claims, governing, address, kept, now)

    def took_fix(self, session: str, fix: Fix) -> bool:
        """Take note of a device's fix; return False for one that is no newer than what is known."""
        if not self._fixes.take(session, fix):
            return False
        self.forget(session)
        return True

    def forget(self, session: str) -> None:
        """Ask anew the next time."""
        self._kept.pop(session, None)

    def _asked(
        self, key: str, claims: Claims, governing: str | None, address: str, kept: _Kept | None, now: float
    ) -> Standing:
        # Before they are asked: what changes meanwhile is asked about again.
        revision, version, sessions = self._policies.revision, self._locator.version, self._sessions.revision
        if kept is not None and kept[0] == address and kept[4] is version and kept[6].judged is not None:
            place = kept[6].judged.place
        else:
            place = self._locator.locate(address)
        fix, previous = self._fixes.of(key)
        mismatch = self._sessions.mismatch(claims) if self._sessions.rules_place else None
        geo = claims.geo
        standing = self._answer(governing or geo, place, fix, previous, version, now, mismatch)
        if geo is not None and governing is not None and geo != governing:
            standing = _stricter(standing, self._answer(geo, place, fix, previous, version, now, mismatch))
        if fix is not None and not self._is_trusted((governing, geo), fix, previous, now):
            self._fixes.doubt(key)
        until = now + (KEEP_S if fix is None else KEEP_FIX_S)
        if kept is None and len(self._kept) >= MAX_SESSIONS:
            self._kept.clear()
        self._kept[key] = (address, governing, geo, revision, version, until, standing, sessions)
        return standing

    def _is_trusted(self, names: tuple[str | None, ...], fix: Fix, previous: Fix | None, now: float) -> bool:
        found = (self._policies.find(name) for name in names if name is not None)
        return all(one.policy.trusts(fix, previous, now=now) for one in found if one is not None)

    def _answer(
        self, name: str | None, place: IpPlace, fix: Fix | None, previous: Fix | None, version: str, now: float,
        mismatch: ClassAction | None,
    ) -> Standing:  # fmt: skip
        if name is None and mismatch is None:
            return FREE
        found: PolicyInForce | None = self._anywhere if name is None else self._policies.find(name)
        if found is None:
            return Standing(Reason.POLICY_UNKNOWN, Reason.POLICY_UNKNOWN)
        verdict = found.policy.decide(place, fix, now=now, previous=previous, mismatch=mismatch)
        judged = Judged(found.record, verdict, now, place, fix, previous, version, None, mismatch)
        return Standing(verdict.watch, verdict.wager, verdict.warning, judged, verdict.recheck_s)


def _stricter(first: Standing, other: Standing) -> Standing:
    """Return what remains when both must agree."""
    decides, beside = (other, first) if first.watch is None and first.wager is None else (first, other)
    judged = decides.judged or beside.judged
    if judged is not None and decides.judged is not None and beside.judged is not None:
        judged = replace(judged, beside=beside.judged)
    rechecks = [one.recheck_s for one in (first, other) if one.recheck_s is not None]
    return Standing(
        first.watch or other.watch,
        first.wager or other.wager,
        first.warning or other.warning,
        judged,
        min(rechecks, default=None),
    )
