"""Admission to the video and the socket: token, then window. Later gates join here, in the order of their cost.

The gate answers with a `Decision` and knows nothing of HTTP or WebSockets; both turn the same decision into
their own refusals.
"""

from __future__ import annotations

from kernel.decisions import Decision, Scope, Verdict
from kernel.tokens import Claims, Reason
from relay.token_cache import TokenCache


class Gate:
    """Decide who may watch and wager; implements `kernel.decisions.Admit`.

    Args:
        tokens: what verifies tokens. That it remembers one says nothing of admission: that is decided here, each time.
    """

    def __init__(self, tokens: TokenCache) -> None:
        self._tokens = tokens

    def __call__(self, token: str | None, event_id: str, scope: Scope, *, now: float) -> Decision:
        """Decide whether the bearer of `token` may use `event_id` for `scope` at `now`, in Unix seconds.

        Guaranteed: a token whose signature does not hold yields a decision without claims, whatever it says.
        """
        if not token:
            return _refused(Reason.MISSING_TOKEN, None)
        claims = self._tokens.verify(token, now=now)
        if claims is None:
            return _refused(Reason.BAD_TOKEN, None)
        return decide(claims, event_id, scope, now=now)


def decide(claims: Claims, event_id: str, scope: Scope, *, now: float) -> Decision:
    """Judge claims that are known to be genuine, as the gate does for a request and a body between two steps."""
    reason = claims.reason_at(now, event_id, scope)
    if reason is not None:
        return _refused(reason, claims)
    return Decision(
        Verdict.ADMIT,
        None,
        may_watch=Scope.WATCH in claims.scopes,
        may_wager=Scope.WAGER in claims.scopes,
        claims=claims,
    )


def _refused(reason: Reason, claims: Claims | None) -> Decision:
    return Decision(Verdict.REFUSE, reason, may_watch=False, may_wager=False, claims=claims)
