"""The one owner of the wall clock and of randomness: everybody else is handed what it needs."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Protocol


class WallClock(Protocol):
    """Tell the time of day."""

    def __call__(self) -> float:
        """Return Unix seconds."""
        ...


def wall() -> float:
    """Return the time of day in Unix seconds. It may step; never measure a span with it."""
    return time.time()


def monotonic() -> float:
    """Return seconds that never step back, for spans outside an event loop."""
    return time.perf_counter()


def new_id(n_bytes: int = 16) -> str:
    """Return an unguessable identifier of `n_bytes` random bytes in URL-safe Base64 without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(n_bytes)).rstrip(b"=").decode()


def new_key(n_bytes: int = 32) -> bytes:
    """Return `n_bytes` of randomness fit for a signing key."""
    return secrets.token_bytes(n_bytes)


def fraction() -> float:
    """Return a random number from 0 up to, but not including, 1: for jitter, never for secrets."""
    return secrets.randbelow(1 << 53) / (1 << 53)
