"""Admission to the video and the socket: token, window, revocation, binding, place, blackouts, who has to go.

In order of their cost.

The gate answers with a `Decision` and knows nothing of HTTP or WebSockets; both turn the same decision into
their own refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from kernel.blackouts import ZoneSet
from kernel.decisions import NOWHERE, Decision, Ending, Scope, Verdict, Whence
from kernel.histogram import Histogram
from kernel.revocation import RevocationIndex
from kernel.tokens import Claims, Purpose, Reason
from relay.audit import Judged
from relay.blackouts import NONE, Blackouts, Concern, refuses
from relay.entitlements import Entitlements
from relay.running import RunningSessions
from relay.token_cache import TokenCache
from relay.whereabouts import FREE, PERSONS, Standing, Whereabouts

BOUNDS_S = (1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2)
"""A token seen before takes a microsecond, a new one ten; what takes a millisecond stops the loop for everybody."""


MAX_READY = 65_536
"""Decisions that are kept to be given again: as many as tokens are remembered."""


class Notes(Protocol):
    """Who keeps the record of decisions; `relay.audit.Auditor`."""

    def note(
        self, claims: Claims, scope: Scope, decision: Decision, *, now: float, judged: Judged | None = None,
        address: str = "",
    ) -> None:  # fmt: skip
        """Say what was decided; costs next to nothing where nothing has changed."""
        ...


@dataclass(frozen=True, slots=True)
class StaleLimits:
    """How long one may go on without knowing what has been revoked (INVARIANTS I9).

    Args:
        admission_s: until nobody new is admitted, in seconds.
        running_s: until what runs ends too, in seconds.
    """

    admission_s: float = 5.0
    running_s: float = 60.0


class Gate:
    """Decide who may watch and wager; implements `kernel.decisions.Admit`.

    Args:
        tokens: what verifies tokens. That it remembers one says nothing of admission: that is decided here, each time.
        revocations: what is known to be revoked.
        entitlements: opens tokens that are exchanged for a session; None: those are strangers'.
        lag_s: how old that knowledge may be, in seconds.
        limits: how old it may be at most.
        clock: tells how long decisions take, in seconds.
        whereabouts: what place says of sessions; None: it is not asked.
        notes: keeps the record; None: there is none.
        blackouts: who is inside of which; None: there are none.
        endings: the sessions that have to go, or had to, looked into each time.
        seated: tells whether claims' session has a seat, and so runs; None: nobody counts sessions. Who has none runs
            for a while after it was admitted.
    """

    def __init__(
        self,
        tokens: TokenCache,
        revocations: RevocationIndex,
        *,
        entitlements: Entitlements | None = None,
        lag_s: Callable[[], float] = lambda: 0.0,
        limits: StaleLimits | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        whereabouts: Whereabouts | None = None,
        notes: Notes | None = None,
        blackouts: Blackouts | None = None,
        endings: Mapping[str, Ending] | None = None,
        seated: Callable[[Claims], bool] | None = None,
    ) -> None:
        self._seated = seated
        self._endings = endings if endings is not None else {}
        self._whereabouts = whereabouts
        self._blackouts = blackouts
        self._notes = notes
        self._ready: dict[str, tuple[Claims, Standing, Scope, Concern, Decision]] = {}
        self._tokens = tokens
        self._revocations = revocations
        self._entitlements = entitlements
        self._lag_s = lag_s
        self._limits = limits or StaleLimits()
        self._running = RunningSessions()
        self._clock = clock
        self.took = Histogram(BOUNDS_S)
        """How long decisions on requests took, in seconds."""
        self.decisions: dict[Scope, dict[Reason | None, int]] = {
            scope: dict.fromkeys((None, *Reason), 0) for scope in Scope
        }
        """How many requests were admitted (None), or refused for each reason, by what they were for."""

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Decide whether the bearer of `token` may use `event_id` for `scope` at `now`, in Unix seconds.

        Guaranteed: a token whose signature does not hold yields a decision without claims, whatever it says.
        """
        began = self._clock()
        decision = self._decision(token, event_id, scope, now, whence)
        self.took.add(self._clock() - began)
        self.decisions[scope][decision.reason] += 1
        return decision

    def _decision(self, token: str | None, event_id: str, scope: Scope, now: float, whence: Whence) -> Decision:
        if not token:
            return _refused(Reason.MISSING_TOKEN, None)
        claims = self._tokens.verify(token, now=now)
        if claims is None:
            return self._exchange(token, event_id, scope, now, whence)
        return self.decide(claims, event_id, scope, now=now, whence=whence)

    def _exchange(self, token: str, event_id: str, scope: Scope, now: float, whence: Whence) -> Decision:
        """Decide on what is no session's token: an entitlement that admits is told to begin a session first.

        Of blackouts the session is told: what one of them hides may lie behind or ahead of what it sees first.
        """
        claims = None if self._entitlements is None else self._entitlements.open(token, now=now)
        if claims is None:
            return _refused(Reason.BAD_TOKEN, None)
        reason, standing = claims.reason_at(now, event_id, scope), FREE
        if reason is None and self._revocations.covers(claims, now):
            reason = Reason.REVOKED
        if reason is None and self._lag_s() > self._limits.admission_s:
            # Who begins a session is new.
            reason = Reason.STALE
        if reason is None and self._whereabouts is not None and scope in PERSONS:
            standing = self._whereabouts.standing(claims, whence.address, now=now)
            reason = standing.watch if scope is Scope.WATCH else standing.wager
        if reason is not None:
            return self._noted(_refused(reason, claims), claims, scope, standing, now, whence)
        return Decision(Verdict.REDIRECT, Reason.WRONG_PURPOSE, may_watch=False, may_wager=False, claims=claims)

    def decide(self, claims: Claims, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE) -> Decision:
        """Judge claims that are known to be genuine, as for a request, and for a body between two steps."""
        reason, standing = claims.reason_at(now, event_id, scope), FREE
        if reason is None and self._revocations.covers(claims, now):
            reason = Reason.REVOKED
        if reason is None and self._is_stale(claims, now):
            reason = Reason.STALE
        if reason is None and claims.binding is not None and self._entitlements is not None:
            reason = self._entitlements.binder.breach(claims, whence)
        if reason is None and self._whereabouts is not None and scope in PERSONS:
            standing = self._whereabouts.standing(claims, whence.address, now=now)
            reason = standing.watch if scope is Scope.WATCH else standing.wager
        concern = NONE
        if reason is None and self._blackouts is not None and scope in PERSONS:
            concern = self._blackouts.concern(claims, whence.address, now=now)
            if concern.at_once and refuses(concern.zones, now):
                reason = Reason.BLACKOUT
        if reason is None and self._endings:
            ending = self._endings.get(claims.session or claims.jti)
            if ending is not None:
                decision = _ended(claims, ending, standing, concern, now)
                return self._noted(decision, claims, scope, standing, now, whence)
        if reason is not None:
            return self._noted(_refused(reason, claims, concern.zones), claims, scope, standing, now, whence)
        ready = self._ready.get(claims.jti)
        if (
            ready is None
            or ready[0] is not claims
            or ready[1] is not standing
            or ready[2] is not scope
            or ready[3] is not concern
        ):
            ready = self._made_ready(claims, standing, scope, concern)
        return self._noted(ready[4], claims, scope, standing, now, whence)

    def open(self, token: str, *, now: float) -> tuple[Claims, Purpose] | None:
        """Return what a genuine token says and is for, whether or not it admits; None for any other."""
        claims = self._tokens.verify(token, now=now)
        if claims is not None:
            return claims, Purpose.SESSION
        claims = None if self._entitlements is None else self._entitlements.open(token, now=now)
        return None if claims is None else (claims, Purpose.ENTITLEMENT)

    def lapse(self, claims: Claims, *, now: float) -> Reason | None:
        """Return why genuine claims admit to nothing at all at `now`, wherever their bearer is; None if they do."""
        reason = claims.reason_at(now, claims.event_id, next(iter(claims.scopes), ""))
        return Reason.REVOKED if reason is None and self._revocations.covers(claims, now) else reason

    def unfit(self, claims: Claims, *, now: float, whence: Whence) -> Reason | None:
        """Return why the bearer of genuine claims may not act for their session or account at `now`; None if it may.

        Place is not asked, nor what the claims are good for: they only have to be valid, and where they belong.
        """
        reason = self.lapse(claims, now=now)
        if reason is None and claims.binding is not None and self._entitlements is not None:
            reason = self._entitlements.binder.breach(claims, whence)
        return reason

    def _made_ready(
        self, claims: Claims, standing: Standing, scope: Scope, concern: Concern
    ) -> tuple[Claims, Standing, Scope, Concern, Decision]:
        """Keep a decision that admits: it is asked for again and again, and making one takes a microsecond."""
        decision = _admitted(claims, standing, concern)
        if len(self._ready) >= MAX_READY:
            self._ready.clear()
        ready = self._ready[claims.jti] = (claims, standing, scope, concern, decision)
        return ready

    def _noted(
        self, decision: Decision, claims: Claims, scope: Scope, standing: Standing, now: float, whence: Whence
    ) -> Decision:
        # What is asked for beside what a token is for says nothing of its bearer.
        if self._notes is not None and decision.reason is not Reason.SCOPE_MISSING:
            self._notes.note(claims, scope, decision, now=now, judged=standing.judged, address=whence.address)
        return decision

    def _is_stale(self, claims: Claims, now: float) -> bool:
        """Tell whether we know too little of what was revoked to admit, and note who runs while we do know."""
        lag_s, seated = self._lag_s(), self._seated
        if lag_s <= self._limits.admission_s:
            # Whoever has a seat is remembered there.
            if seated is None or claims.seat is None or claims.seat.plain_in is None:
                self._running.note(claims.session, now)
            return False
        if lag_s > self._limits.running_s:
            return True
        return claims.session not in self._running and (seated is None or not seated(claims))


def _admitted(claims: Claims, standing: Standing, concern: Concern) -> Decision:
    warning = standing.warning or concern.warning
    return Decision(
        Verdict.ADMIT if warning is None else Verdict.WARN,
        warning,
        may_watch=Scope.WATCH in claims.scopes and standing.watch is None,
        may_wager=Scope.WAGER in claims.scopes and standing.wager is None,
        claims=claims,
        zones=concern.zones,
    )


def _ended(claims: Claims, ending: Ending, standing: Standing, concern: Concern, now: float) -> Decision:
    """Warn a session that has to go until its time has come, then refuse it. It is not kept: it changes by itself."""
    decision = _admitted(claims, standing, concern)
    if ending.at_ms > 1_000 * now:
        return replace(decision, verdict=Verdict.WARN, reason=Reason.EVICTED, ending=ending)
    return replace(_refused(Reason.EVICTED, claims, concern.zones), ending=ending)


def _refused(reason: Reason, claims: Claims | None, zones: ZoneSet = ()) -> Decision:
    return Decision(Verdict.REFUSE, reason, may_watch=False, may_wager=False, claims=claims, zones=zones)
