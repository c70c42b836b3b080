"""Session tokens: JWT with HS256 (RFC 7519, RFC 7515), two live keys by `kid`.

A token is taken for what it says only when the signature holds, every claim is there and of its type, and it is
no longer than 4 KiB. PyJWT alone would take one without `exp`, an `exp` that is a string, and a token with
padding appended; the checks here close those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt

from kernel.errors import SettingsError

MAX_TOKEN_CHARS = 4096
"""Verification costs time in proportion to the length, before the signature is known: 1 MB takes 38 ms."""

MIN_KEY_BYTES = 32
"""RFC 7518, 3.2: a key of the same size as the hash output, or larger."""

_CANONICAL = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "typ": str, "jti": str, "sub": str, "evt": str, "nbf": int, "exp": int, "win": list, "sid": str, "scp": list,
}  # fmt: skip


class Reason(StrEnum):
    """Why a request is refused; strangers are told only that they are."""

    MISSING_TOKEN = "missing_token"  # noqa: S105 - a reason, not a secret
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason, not a secret
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    WRONG_EVENT = "wrong_event"
    OUTSIDE_WINDOW = "outside_window"
    SCOPE_MISSING = "scope_missing"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a session token says, checked for presence and type.

    Times are Unix seconds. `window` is the entitlement window, start and end, both inclusive of the start only.
    """

    jti: str
    account: str
    event_id: str
    not_before: int
    expires: int
    window: tuple[int, int]
    session: str
    scopes: frozenset[str]
    purchase: str | None = None

    def reason_at(self, now: float, event_id: str, scope: str) -> Reason | None:
        """Return why these claims do not admit to `event_id` for `scope` at `now`, or None if they do."""
        if now >= self.expires:
            return Reason.EXPIRED
        if now < self.not_before:
            return Reason.NOT_YET_VALID
        if self.event_id != event_id:
            return Reason.WRONG_EVENT
        if not self.window[0] <= now < self.window[1]:
            return Reason.OUTSIDE_WINDOW
        if scope not in self.scopes:
            return Reason.SCOPE_MISSING
        return None

    @property
    def ends(self) -> int:
        """Return when these claims cease to admit, whatever comes first, in Unix seconds."""
        return min(self.expires, self.window[1])


class Keyring:
    """Issue and verify session tokens with one or two keys.

    Args:
        keys: secret by key id, each of at least 32 bytes; the first one signs.

    Raises:
        SettingsError: there is no key, there are more than two, or one is too short.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not 1 <= len(keys) <= 2:
            raise SettingsError(f"one or two signing keys are live at a time, not {len(keys)}")
        for kid, key in keys.items():
            if len(key) < MIN_KEY_BYTES:
                raise SettingsError(f"signing key {kid!r} has {len(key)} bytes: use at least {MIN_KEY_BYTES}")
        self._keys = dict(keys)
        self._signing_kid = next(iter(keys))

    def issue(self, claims: Claims) -> str:
        """Return a signed token that says `claims`."""
        payload: dict[str, Any] = {
            "typ": "session",
            "jti": claims.jti,
            "sub": claims.account,
            "evt": claims.event_id,
            "nbf": claims.not_before,
            "exp": claims.expires,
            "win": list(claims.window),
            "sid": claims.session,
            "scp": sorted(claims.scopes),
        }
        if claims.purchase is not None:
            payload["pid"] = claims.purchase
        kid = self._signing_kid
        return jwt.encode(payload, self._keys[kid], algorithm="HS256", headers={"kid": kid})

    def verify(self, token: str) -> Claims | None:
        """Return the claims of a token whose signature holds, or None: a stranger's token has no meaning.

        Guaranteed: never raises, whatever the text. Expiry and window are judged by `Claims.reason_at`.
        """
        if len(token) > MAX_TOKEN_CHARS or not _CANONICAL.fullmatch(token):
            return None
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            # RFC 7515, 4.1.11: an extension that is not understood must be refused; we understand none.
            if key is None or header.get("alg") != "HS256" or "crit" in header:
                return None
            payload = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                # Times are judged against the caller's `now`, never against a clock that PyJWT reads.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return _claims(payload)


def _claims(payload: Mapping[str, Any]) -> Claims | None:
    for name, kind in _REQUIRED.items():
        value = payload.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return None
    window, scopes, purchase = payload["win"], payload["scp"], payload.get("pid")
    if payload["typ"] != "session" or not (purchase is None or isinstance(purchase, str)):
        return None
    if len(window) != 2 or not all(isinstance(edge, int) and not isinstance(edge, bool) for edge in window):
        return None
    if not all(isinstance(scope, str) for scope in scopes):
        return None
    return Claims(
        jti=payload["jti"],
        account=payload["sub"],
        event_id=payload["evt"],
        not_before=payload["nbf"],
        expires=payload["exp"],
        window=(window[0], window[1]),
        session=payload["sid"],
        scopes=frozenset(scopes),
        purchase=purchase,
    )
