"""Kicks, as players are told of them: an event for each session that had to go, told to all sessions of its account.

They are remembered for a minute, which is as long as a kicked session may not come back under its id.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from relay.sessions.model import KICK_MEMORY_MS
from relay.stream_count.limits import CODES, USER_ERROR, message_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_KICKS = 100_000
"""Of all accounts: the oldest are forgotten first. Each takes some 600 bytes."""

ORIGINATOR = "lockstep"


class Kick(NamedTuple):
    """A session had to go, or has to at `at_ms`, in Unix milliseconds; `code` and `key` are those of its limit."""

    account: str
    session: str
    at_ms: int
    code: str
    key: str


class Kicks:
    """Remember who was kicked, by account."""

    def __init__(self) -> None:
        self._kicks: dict[tuple[str, str], Kick] = {}
        self._accounts: dict[str, dict[str, Kick]] = {}

    def __len__(self) -> int:
        return len(self._kicks)

    def note(self, kick: Kick, *, now_ms: int) -> None:
        """Take note of a kick; one that comes sooner than was said takes the place of what was said."""
        key = (kick.account, kick.session)
        # At the end of the order, where the newest are.
        self._kicks.pop(key, None)
        self._kicks[key] = kick
        self._accounts.setdefault(kick.account, {})[kick.session] = kick
        while self._kicks:
            oldest = next(iter(self._kicks.values()))
            if len(self._kicks) <= MAX_KICKS and oldest.at_ms + KICK_MEMORY_MS > now_ms:
                break
            self._forget(oldest)

    def of(self, account: str, *, now_ms: int) -> list[Kick]:
        """Return the kicks of an account that are remembered, in the order in which they were told."""
        kicks = list(self._accounts.get(account, {}).values())
        for kick in kicks:
            if kick.at_ms + KICK_MEMORY_MS <= now_ms:
                self._forget(kick)
        return [kick for kick in kicks if kick.at_ms + KICK_MEMORY_MS > now_ms]

    def _forget(self, kick: Kick) -> None:
        self._kicks.pop((kick.account, kick.session), None)
        mine = self._accounts.get(kick.account)
        if mine is not None:
            mine.pop(kick.session, None)
            if not mine:
                del self._accounts[kick.account]


def kick_events(kicks: list[Kick], allowed: Callable[[Kick], int | None], *, tenant: str) -> dict[str, Any]:
    """Return what all sessions of an account are told, by the id of the session that was kicked.

    Args:
        kicks: those to tell of.
        allowed: how many streams the limit of a kick allows; None: that is not known any more.
        tenant: whose sessions they are, the name of the deployment.

    Guaranteed: of one kick the same is told each time, with the same `guid`.
    """
    return {kick.session: _event(kick, allowed(kick), tenant) for kick in kicks}


def _event(kick: Kick, most: int | None, tenant: str) -> dict[str, Any]:
    code = kick.code if kick.code in CODES else USER_ERROR
    at = datetime.fromtimestamp(kick.at_ms / 1_000, UTC)
    return {
        "eventName": "kick-event",
        "originator": ORIGINATOR,
        "tenant": tenant,
        "originatorId": str(_uuid(ORIGINATOR, tenant)),
        "versions": ["1.0"],
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1_000:03}Z",
        "guid": str(_uuid(kick.session, str(kick.at_ms), kick.key)),
        "viewingSessionIdentifier": kick.session,
        "viewingSession": kick.session,
        "client": {"viewingSession": kick.session},
        "kickReason": {"errorCode": code, "errorMessage": _message(kick, code, most)},
    }


def _message(kick: Kick, code: str, most: int | None) -> str:
    if most is not None:
        return message_of(code, most)
    return "Stopped by the operator" if not kick.key else "Max number of active streams is reached"


def _uuid(*texts: str) -> UUID:
    """Return a name that is the same for the same texts (RFC 9562, 5.8: version 8, made our own way)."""
    made = bytearray(hashlib.blake2b("\0".join(texts).encode(), digest_size=16).digest())
    made[6] = made[6] & 0x0F | 0x80
    made[8] = made[8] & 0x3F | 0x80
    return UUID(bytes=bytes(made))
