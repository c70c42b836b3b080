"""Who may know of an account's sessions, and end them: operators with the scope, and whoever holds its token.

This is decided here and nowhere else. A token is taken as elsewhere: genuine, not lapsed or revoked, and from where its
session is tied to. What belongs to another account is, to its bearer, not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kernel.decisions import Whence
from kernel.io.http import bearer_token, peer_address, problem
from relay.operators import PREFIX, Operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from kernel.tokens import Claims
    from relay.gate import Gate
    from relay.io.operator_door import OperatorDoor
    from relay.operators import OperatorScope

Asker = Operator | str
"""Who asks: an operator, or the account whose token it is."""


class OwnerDoor:
    """Let operators and account holders in.

    Args:
        operators: knows operators' keys.
        gate: knows tokens.
        wall: the time of day in Unix seconds.
    """

    def __init__(self, operators: OperatorDoor, gate: Gate, *, wall: Callable[[], float]) -> None:
        self._operators = operators
        self._gate = gate
        self._wall = wall

    def admit(self, request: Request, scope: OperatorScope) -> Asker | Response:
        """Return who asks, or the answer to who may not ask anything."""
        token = bearer_token(request.headers)
        if token is None or token.startswith(PREFIX):
            return self._operators.admit(request, scope)
        now = self._wall()
        opened = self._gate.open(token, now=now)
        if opened is None:
            return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        claims: Claims = opened[0]
        whence = Whence(peer_address(request.scope), request.headers.get("user-agent", ""))
        reason = self._gate.unfit(claims, now=now, whence=whence)
        if reason is not None:
            return problem(403, "Forbidden", reason=reason, detail=f"this token does not admit: {reason}")
        return claims.account


def may_see(asker: Asker, account: str) -> bool:
    """Tell whether what is of an account is any business of who asks."""
    return isinstance(asker, Operator) or asker == account


def name_of(asker: Asker) -> str:
    """Return how records call who has ended a session."""
    return asker.name if isinstance(asker, Operator) else "account"
