"""Verify entitlement tokens of another issuer: RS256, ES256 or EdDSA, by its published keys (RFC 7515, RFC 7519).

No key of ours is known here and no HMAC is computed, so nothing that is public can ever be taken for a secret
(RFC 8725, 2.1 and 3.1). The rules are those of `relay/token_verifier.py`, and:

1. `alg` is one of those configured, and the one that the key named by `kid` is for; `kid` is required.
2. `iss` is the configured issuer, `aud` the configured audience or a list that holds it (RFC 8725, 3.8 and 3.9).
3. `jti`, `exp`, account and event are required; `nbf`, the window, the scopes, `pid`, `geo`, `hzp` and the plan may
   be absent. The texts are printable ASCII of at most 255 characters (OpenID Connect Core, 2, has the same for
   `sub`): they must fit into the session's token.
4. `typ` among the claims, where there is one, is "entitlement".

Scopes are those of viewers: whatever another issuer says, nobody becomes a server or a trader by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kernel.decisions import Scope
from kernel.errors import DecodeError
from kernel.showings import EVENT_ID
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS, Claims, Purpose
from relay.jwks import ALGORITHMS, IssuerKey
from relay.stream_count.claims import streams_of
from relay.token_verifier import MAX_HEADERS, Flaw, Verified, from_base64url

GRANTED = frozenset({Scope.WATCH, Scope.WAGER})
"""What another issuer may grant."""

_TEXT = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_MAX_TIME = (1 << 53) - 1  # RFC 7493, 2.2


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where the issuer writes what we need, by the name of the claim.

    Args:
        account: whose it is; a text.
        event: the event id it admits to; a text.
        window: [start, end] in Unix seconds; where it is absent, from `nbf` to `exp`.
        scopes: a list of texts, or one text with spaces (RFC 8693, 4.2); where it is absent, watch.
        plan: what was subscribed to, a text; it may be absent.
    """

    account: str = "sub"
    event: str = "evt"
    window: str = "win"
    scopes: str = "scp"
    plan: str = "pln"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who else may issue entitlement tokens.

    Args:
        name: the claim `iss`.
        audience: the claim `aud`, or one of its list: what the issuer calls us.
        algorithms: those that are accepted, of `relay.jwks.ALGORITHMS`.
        names: where it writes what.
    """

    name: str
    audience: str
    algorithms: tuple[str, ...] = ALGORITHMS
    names: ClaimNames = field(default_factory=ClaimNames)


class IssuerVerifier:
    """Verify the entitlement tokens of one issuer.

    Args:
        issuer: who it is, and how it writes.
        keys: its public keys by key id.
    """

    def __init__(self, issuer: Issuer, keys: Mapping[str, IssuerKey]) -> None:
        self.issuer = issuer
        self._keys: dict[str, IssuerKey] = {}
        self._headers: dict[bytes, IssuerKey] = {}
        self.rotate(keys)

    def rotate(self, keys: Mapping[str, IssuerKey]) -> None:
        """Accept `keys` from now on, and no others. What stays the same goes on being the same key."""
        former = self._keys
        self._keys = {
            kid: known if (known := former.get(kid)) is not None and known.same_as(key) else key
            for kid, key in keys.items()
        }
        for key in former.values():
            key.accepted = self._keys.get(key.kid) is key
        self._headers.clear()

    def open(self, token: str) -> Verified | Flaw:
        """Return what a token says and under which key, or its flaw.

        Guaranteed: never raises, whatever the text; nothing of the payload is decoded unless the signature holds, and
        no signature is computed unless the header names a key and its algorithm.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return Flaw.TOO_LONG
        if not token.isascii() or token.count(".") != 2:
            return Flaw.MALFORMED
        signed, _, tail = token.encode().rpartition(b".")
        header, _, payload = signed.partition(b".")
        key = self._headers.get(header)
        if key is None:
            named = self._key_of(header)
            if isinstance(named, Flaw):
                return named
            key = named
        signature = from_base64url(tail)
        if signature is None:
            return Flaw.MALFORMED
        if not key.signed(signed, signature):
            return Flaw.BAD_SIGNATURE
        if len(self._headers) < MAX_HEADERS:
            # Only now: what strangers write is not remembered.
            self._headers[header] = key
        said = readable(payload)
        claims = None if said is None else entitled(said, self.issuer, key.kid)
        if claims is None:
            return Flaw.BAD_CLAIMS
        return claims if isinstance(claims, Flaw) else Verified(claims, key, claims.ends)

    def _key_of(self, text: bytes) -> IssuerKey | Flaw:
        header = readable(text)
        if header is None:
            return Flaw.BAD_HEADER
        alg = header.get("alg")
        if alg not in self.issuer.algorithms or "crit" in header or "b64" in header:
            return Flaw.BAD_HEADER
        kind, kid = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.upper() != "JWT":
            return Flaw.BAD_HEADER
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            return Flaw.UNKNOWN_KEY
        # RFC 8725, 3.1: each key is for one algorithm, whatever the header would like.
        return key if key.alg == alg else Flaw.BAD_HEADER


def readable(part: bytes) -> dict[str, Any] | None:
    """Return the object that a part of a token encodes, None if it is none, or not written canonically."""
    plain = from_base64url(part)
    try:
        value = None if plain is None else decode(plain, CLIENT_LIMITS)
    except DecodeError:
        return None
    return value if isinstance(value, dict) else None


def entitled(said: Mapping[str, Any], issuer: Issuer, kid: str) -> Claims | Flaw:
    """Return what a genuine payload of `issuer` grants, or its flaw."""
    if said.get("typ", Purpose.ENTITLEMENT) != Purpose.ENTITLEMENT:
        return Flaw.WRONG_PURPOSE
    audience = said.get("aud")
    # RFC 7519, 4.1.3: a text, or a list of them.
    audiences = audience if isinstance(audience, list) else [audience]
    ours = issuer.audience in audiences and all(isinstance(one, str) for one in audiences)
    if said.get("iss") != issuer.name or not ours:
        return Flaw.WRONG_ISSUER
    return Flaw.BAD_CLAIMS if claims_faults(said, issuer.names) else _claims(said, issuer.names, kid)


def claims_faults(said: Mapping[str, Any], names: ClaimNames) -> list[str]:
    """Return the names of the claims that are missing or of another type, by the rules of this module."""
    window = said.get(names.window)
    fits = {
        "jti": _is_text(said.get("jti")),
        names.account: _is_text(said.get(names.account)),
        names.event: isinstance(event := said.get(names.event), str) and EVENT_ID.fullmatch(event) is not None,
        "exp": _is_time(said.get("exp")),
        "nbf": "nbf" not in said or _is_time(said["nbf"]),
        names.window: window is None
        or (isinstance(window, list) and len(window) == 2 and all(_is_time(edge) for edge in window)),
        names.scopes: _scopes(said.get(names.scopes, "watch")) is not None,
        "pid": said.get("pid") is None or _is_text(said["pid"]),
        "geo": said.get("geo") is None or _is_text(said["geo"]),
        "hzp": said.get("hzp") is None or _is_text(said["hzp"]),
        "stream counts": streams_of(said) is not None,
        names.plan: said.get(names.plan) is None or _is_text(said[names.plan]),
    }
    return [name for name, does in fits.items() if not does]


def _claims(said: Mapping[str, Any], names: ClaimNames, kid: str) -> Claims:
    not_before, expires = said.get("nbf", 0), said["exp"]
    start, end = said.get(names.window) or (not_before, expires)
    return Claims(
        jti=said["jti"],
        account=said[names.account],
        event_id=said[names.event],
        not_before=not_before,
        expires=expires,
        window=(start, end),
        # It is no session yet.
        session="",
        scopes=(_scopes(said.get(names.scopes, "watch")) or frozenset()) & GRANTED,
        purchase=said.get("pid"),
        geo=said.get("geo"),
        home=said.get("hzp"),
        plan=said.get(names.plan),
        streams=streams_of(said) or (),
        kid=kid,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and _TEXT.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    # A truth value is an integer to Python, and none to JSON.
    return type(value) is int and 0 <= value <= _MAX_TIME


def _scopes(value: object) -> frozenset[str] | None:
    several = value.split(" ") if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        return None
    return frozenset(several)
