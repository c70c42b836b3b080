"""Tokens for tests: one keyring, claims that admit unless told otherwise."""

from __future__ import annotations

from typing import Any

from kernel.tokens import Claims, Keyring
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

NOW = 1_800_000_000
KEYS = {"k1": b"k" * 32}
KEYRING = Keyring(KEYS)
CLAIMS = Claims(
    jti="j1",
    account="a1",
    event_id="game",
    not_before=1000,
    expires=2000,
    window=(1100, 1900),
    session="s1",
    scopes=frozenset({"watch", "wager"}),
    purchase="p1",
)
"""One of each claim that was there from the start, with times that are easily told apart."""


def claims(**changes: Any) -> Claims:
    """Return claims that admit to showing `game` for all scopes of a viewer from NOW on, for an hour."""
    told: dict[str, Any] = {
        "jti": "token-1",
        "account": "ann",
        "event_id": "game",
        "not_before": NOW - 10,
        "expires": NOW + 3600,
        "window": (NOW - 10, NOW + 3600),
        "session": "session-1",
        "scopes": frozenset({"watch", "wager"}),
    }
    return Claims(**{**told, **changes})


def token(**changes: Any) -> str:
    """Return a signed token that says `claims(**changes)`."""
    return KEYRING.issue(claims(**changes))


def cache() -> TokenCache:
    """Return what verifies those tokens, remembering none yet."""
    return TokenCache(TokenVerifier(KEYS))
