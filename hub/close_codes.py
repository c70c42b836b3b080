"""Why we close a socket: a table whose ranges mean something.

4400-4499: the client comes back with full-jitter back-off and resumes. 4500-4599: coming back would change nothing.
RFC 6455, 7.4.2 leaves 4000-4999 to private use; the meaning of the two ranges follows centrifuge's disconnect codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from kernel.tokens import Reason


class CloseCode(IntEnum):
    """The code of a `bye` and of the Close frame behind it; the name in lower case is its `reason`."""

    BAD_FRAME = 4400
    SLOW = 4408
    GOING_AWAY = 4412
    OVERLOADED = 4413
    RATE = 4429
    AUTH_TIMEOUT = 4430
    INSUFFICIENT_STATE = 4431
    INTERNAL = 4432
    UNAUTHORIZED = 4501
    GEO_BLOCKED = 4503
    BLACKOUT = 4504
    ORIGIN_REFUSED = 4505
    EVICTED = 4509
    REVOKED = 4510
    EXPIRED = 4511
    VPN_BLOCKED = 4512
    SESSION_LIMIT = 4513

    @property
    def text(self) -> str:
        """Return the name that stands on the wire."""
        return self.name.lower()

    @property
    def reconnects(self) -> bool:
        """Return whether a client should come back."""
        return self < 4500


@dataclass(frozen=True, slots=True)
class Bye:
    """Close the connection. `reason` says more than the code's name only to holders of a valid signature."""

    code: CloseCode
    reason: str | None = None


_REFUSALS = {
    Reason.EXPIRED: CloseCode.EXPIRED,
    Reason.REVOKED: CloseCode.REVOKED,
    Reason.BLACKOUT: CloseCode.BLACKOUT,
    Reason.EVICTED: CloseCode.EVICTED,
    Reason.SESSION_LIMIT: CloseCode.SESSION_LIMIT,
    # No fault of the client's: it may come back, here or elsewhere.
    Reason.STALE: CloseCode.OVERLOADED,
}


def code_of(reason: Reason | None) -> CloseCode:
    """Return the code by which a socket is refused for `reason`."""
    if reason is None:
        return CloseCode.UNAUTHORIZED
    if reason.is_network:
        return CloseCode.VPN_BLOCKED
    if reason.is_geo:
        return CloseCode.GEO_BLOCKED
    return _REFUSALS.get(reason, CloseCode.UNAUTHORIZED)
