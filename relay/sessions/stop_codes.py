"""Codes by which whoever finds no room ends one of the sessions that take it up: for one thing, for two minutes.

A code names an account and a session, and is good for ending that session and nothing else: its key is derived from the
one that signs tokens, under a label of its own, so that neither is ever taken for the other.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode, encode_known
from kernel.tokens import checked_keys

TTL_S = 120.0
"""For how long a code is good, in seconds: somebody reads what is playing where, and decides."""

MAX_CODE_CHARS = 1_024
_LABEL = b"lockstep: stopping sessions"


class Stop(NamedTuple):
    """Which session a code ends."""

    account: str
    session: str


class StopCodes:
    """Make codes, and read them.

    Args:
        keys: secret by key id, as tokens are signed with; the first one signs.

    Raises:
        SettingsError: the keys are none that tokens may be signed with.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._secrets: tuple[bytes, ...] = ()
        self.rotate(keys)

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Make codes by the first of `keys` from now on, and take those of all of them.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay.
        """
        self._secrets = tuple(hmac.digest(secret, _LABEL, "sha256") for secret in checked_keys(keys).values())

    def make(self, stop: Stop, *, now: float) -> str:
        """Return a code; `now` is Unix time in seconds."""
        said = encode_known([stop.account, stop.session, int(now + TTL_S)])
        return f"{_text(said)}.{_text(hmac.digest(self._secrets[0], said, 'sha256'))}"

    def read(self, code: str, *, now: float) -> Stop | None:
        """Return what a code ends; None if it is none of ours, or too old. Constant time over the signature.

        Args:
            code: any text.
            now: Unix time in seconds.
        """
        if len(code) > MAX_CODE_CHARS or not code.isascii() or code.count(".") != 1:
            return None
        said, _, signature = code.partition(".")
        plain = _plain(said)
        if plain is None:
            return None
        held = False
        for secret in self._secrets:
            held |= hmac.compare_digest(_text(hmac.digest(secret, plain, "sha256")), signature)
        if not held:
            return None
        try:
            account, session, ends = decode(plain, CLIENT_LIMITS)
        except (DecodeError, TypeError, ValueError):
            return None
        return Stop(account, session) if now < ends else None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
