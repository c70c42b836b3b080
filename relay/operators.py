"""Who operates the deployment: keys that are no session tokens, for the routes that change what others may do.

A key is 256 bits of randomness behind a prefix by which scanners and people recognise it. Only its SHA-256 is kept
here: of something that cannot be guessed a slow hash would protect no better. A key is looked for in a time that does
not depend on which one it is, or on how much of it is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "lko_"
_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")  # 32 bytes in URL-safe Base64


class OperatorScope(StrEnum):
    """What an operator may do."""

    READ = "read"
    REVOKE = "revoke"
    POLICY = "policy"
    SHOWING = "showing"
    BLACKOUT = "blackout"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with a key.

    Args:
        name: how logs and records call them; two keys may bear one name while the one takes over from the other.
        digest: the SHA-256 of the key, 32 bytes.
        scopes: what they may do.
        expires: when the key ends, in Unix seconds; None: never.
    """

    name: str
    digest: bytes
    scopes: frozenset[OperatorScope]
    expires: float | None = None


def operator_key(random: bytes) -> str:
    """Return the key of 32 random bytes.

    Raises:
        ValueError: there are not 32 of them.
    """
    if len(random) != 32:
        raise ValueError(f"an operator's key takes 32 random bytes, not {len(random)}")
    return PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key.

    Raises:
        ValueError: it does not look like one.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"an operator's key is {PREFIX} and 43 characters of URL-safe Base64")
    return hashlib.sha256(key.encode()).digest()


class Operators:
    """Find out whose a key is.

    Args:
        known: all that there are.
    """

    def __init__(self, known: Iterable[Operator]) -> None:
        self._known = tuple(known)

    def replace(self, known: Iterable[Operator]) -> None:
        """Know these from now on, and no others."""
        self._known = tuple(known)

    def find(self, key: str | None, *, now: float) -> Operator | None:
        """Return whose key this is at `now`, in Unix seconds; None if nobody's."""
        if key is None or not _KEY.fullmatch(key):
            return None
        return self.of_digest(hashlib.sha256(key.encode()).digest(), now=now)

    def of_digest(self, digest: bytes, *, now: float) -> Operator | None:
        """Return whose key has this SHA-256 at `now`, in Unix seconds; None if nobody's, or nobody's any more."""
        found = None
        for operator in self._known:
            if hmac.compare_digest(operator.digest, digest):
                found = operator
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        return found
