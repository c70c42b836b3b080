"""Who may have a socket, and what of a showing it may subscribe to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.close_codes import Bye, CloseCode, code_of
from kernel.decisions import Admit, Decision, Scope
from kernel.grants import Grants
from kernel.tokens import Reason

if TYPE_CHECKING:
    from collections.abc import Container

    from hub.subscriber import Subscriber

_SCOPES = (Scope.WATCH, Scope.WAGER, Scope.SERVER, Scope.TRADING)
"""Any of them opens the socket; what may be subscribed depends on which."""


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
        decision = self._decide(token, subscriber.event_id, wall)
        claims = decision.claims
        if claims is None:
            return Bye(CloseCode.UNAUTHORIZED)
        if not decision.admitted:
            return Bye(code_of(decision.reason), str(decision.reason) if decision.reason is not None else None)
        if subscriber.event_id not in self._showings:
            return Bye(CloseCode.UNAUTHORIZED, "unknown_event")
        if subscriber.account is not None and subscriber.account != claims.account:
            return Bye(CloseCode.UNAUTHORIZED, "wrong_account")
        if subscriber.origin_refused:
            return Bye(CloseCode.ORIGIN_REFUSED)
        subscriber.admit(claims, may_wager=decision.may_wager)
        self.grants.add(subscriber.number, claims)
        return None

    def _decide(self, token: str, event_id: str, wall: float) -> Decision:
        decision = self._admit(token, event_id, _SCOPES[0], now=wall)
        for scope in _SCOPES[1:]:
            if decision.reason is Reason.SCOPE_MISSING:
                decision = self._admit(token, event_id, scope, now=wall)
        return decision
