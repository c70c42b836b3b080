"""Who is logged in to the console, and for how long.

A log-in is found by an identifier of 256 random bits that only its cookie holds; here its SHA-256 is kept. It ends 12
hours after it began, after an hour without a request, when its operator logs out, and with the key that it came by:
revoked, expired or rotated out. There are 256 at most; beyond that the one that was idle for longest ends.

Each form bears a token made of the identifier and a secret of this process: who can make a browser send a form, but
cannot read our pages, does not know it. Before the log-in, too, there is an identifier; it becomes another one with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from relay.operators import Operator, Operators

MAX_LOGINS = 256
LIFE_S = 12 * 3_600.0
IDLE_S = 3_600.0

_ID = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes in URL-safe Base64


@dataclass(slots=True)
class _Login:
    digest: bytes
    began: float
    seen: float


class Logins:
    """Know who is logged in.

    Args:
        operators: whose keys are taken.
        new_id: makes identifiers of 256 random bits.
        secret: of this process, for forms' tokens.
    """

    def __init__(self, operators: Operators, *, new_id: Callable[[], str], secret: bytes) -> None:
        self._operators = operators
        self._new_id = new_id
        self._secret = secret
        # The one that was seen last comes last.
        self._known: dict[bytes, _Login] = {}

    def __len__(self) -> int:
        return len(self._known)

    def visit(self, name: str | None) -> str:
        """Return an identifier for somebody who has not logged in, the one they have or a new one; none is kept."""
        return name if name is not None and _ID.fullmatch(name) else self._new_id()

    def begin(self, key: str, *, wall: float, now: float) -> str | None:
        """Log somebody in by an operator's key and return their new identifier; None: it is nobody's key.

        Args:
            key: as it was written.
            wall: the time of day in Unix seconds, by which keys expire.
            now: seconds that never step back.
        """
        operator = self._operators.find(key, now=wall)
        if operator is None:
            return None
        self._sweep(now)
        name = self._new_id()
        self._known[_hash(name)] = _Login(operator.digest, now, now)
        while len(self._known) > MAX_LOGINS:
            del self._known[next(iter(self._known))]
        return name

    def find(self, name: str | None, *, wall: float, now: float) -> Operator | None:
        """Return who is logged in by an identifier, and count that as a request of theirs; None: nobody is."""
        if name is None or not _ID.fullmatch(name):
            return None
        key = _hash(name)
        login = self._known.pop(key, None)
        if login is None or _is_over(login, now):
            return None
        operator = self._operators.of_digest(login.digest, now=wall)
        if operator is not None:
            login.seen = now
            self._known[key] = login
        return operator

    def end(self, name: str | None) -> None:
        """Log somebody out."""
        if name is not None:
            self._known.pop(_hash(name), None)

    def token(self, name: str) -> str:
        """Return what each form of theirs bears."""
        return hmac.digest(self._secret, name.encode(), "sha256").hex()

    def is_token(self, name: str | None, token: str) -> bool:
        """Return whether a form's token is that of an identifier."""
        if name is None or not _ID.fullmatch(name):
            return False
        return hmac.compare_digest(self.token(name).encode(), token.encode())

    def _sweep(self, now: float) -> None:
        for key in [key for key, login in self._known.items() if _is_over(login, now)]:
            del self._known[key]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _is_over(login: _Login, now: float) -> bool:
    return now - login.began >= LIFE_S or now - login.seen >= IDLE_S
