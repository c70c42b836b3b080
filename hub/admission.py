"""Who may have a socket, and what of a showing it may subscribe to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.close_codes import Bye, CloseCode, code_of
from kernel.decisions import Admit, Decision, Judge, Scope, Whence
from kernel.grants import Grants
from kernel.tokens import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from hub.subscriber import Subscriber

_NO_PERSONS = (Scope.SERVER, Scope.TRADING)
"""Any scope opens the socket; what may be subscribed depends on which."""


class Admission:
    """Decide on tokens by the contract `Admit`, which the composition root hands in.

    Args:
        showings: the event ids that there are.
        admit: decides on one token for one scope.

    `grants` are the numbers of those who are in, by their claims.
    """

    def __init__(self, showings: Container[str], admit: Admit) -> None:
        self._showings = showings
        self._admit = admit
        self.grants: Grants[int] = Grants()

    def refusal(self, subscriber: Subscriber, token: str, wall: float) -> Bye | None:
        """Admit a subscriber by its token, or return why not. `wall` is Unix time in seconds."""
        decision = self._decide(token, subscriber, wall)
        claims = decision.claims
        if claims is None:
            return Bye(CloseCode.UNAUTHORIZED)
        if not decision.admitted:
            return _bye(decision)
        if subscriber.event_id not in self._showings:
            return Bye(CloseCode.UNAUTHORIZED, "unknown_event")
        if subscriber.account is not None and subscriber.account != claims.account:
            return Bye(CloseCode.UNAUTHORIZED, "wrong_account")
        if subscriber.origin_refused:
            return Bye(CloseCode.ORIGIN_REFUSED)
        subscriber.admit(claims, may_wager=decision.may_wager, inside=decision.zones)
        subscriber.ending = decision.ending
        self.grants.add(subscriber.number, claims)
        return None

    def review(self, subscriber: Subscriber, judge: Judge) -> Bye | None:
        """Ask again about a subscriber that is in; return why it must go."""
        claims = self.grants.of(subscriber.number)
        if claims is None:
            return None
        # Of the device it is the video's requests that tell: a socket may be another library's.
        whence = Whence(subscriber.address, None)
        decision = _first(lambda scope: judge(claims, whence, scope))
        if not decision.admitted:
            return _bye(decision)
        subscriber.may_wager, subscriber.inside = decision.may_wager, decision.zones
        return None

    def _decide(self, token: str, subscriber: Subscriber, wall: float) -> Decision:
        event_id, whence = subscriber.event_id, Whence(subscriber.address, None)
        return _first(lambda scope: self._admit(token, event_id, scope, now=wall, whence=whence))


def _first(decide: Callable[[Scope], Decision]) -> Decision:
    """Return the decision for the first scope that opens the socket, else the first that says why not.

    Socket and video end together (PROTOCOL): whoever may not watch where they are is not let in to wager there. A token
    that is for wagering alone is asked about that; of servers and desks place is not asked.
    """
    first = decide(Scope.WATCH)
    if first.reason is Reason.SCOPE_MISSING:
        first = decide(Scope.WAGER)
    if first.admitted or not (first.reason is Reason.SCOPE_MISSING or _is_of_place(first.reason)):
        return first
    for scope in _NO_PERSONS:
        decision = decide(scope)
        if decision.admitted:
            return decision
        if first.reason is Reason.SCOPE_MISSING:
            first = decision
    return first


def _bye(decision: Decision) -> Bye:
    """Return the farewell to the holder of a genuine token; a session that had to go is told what for."""
    why = str(decision.reason) if decision.ending is None else decision.ending.code
    return Bye(code_of(decision.reason), why)


def _is_of_place(reason: Reason | None) -> bool:
    return reason is not None and (reason.is_geo or reason.is_network or reason is Reason.BLACKOUT)
