"""What there is to say of a token to whoever holds the keys: what it claims, whether it is good now, and why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS, Purpose
from relay.issuer_verifier import IssuerVerifier, claims_faults
from relay.jwks import ALGORITHMS
from relay.token_verifier import Flaw, TokenVerifier, Verified, claims_fault, from_base64url

REMEDIES: Mapping[Flaw, str] = {
    Flaw.TOO_LONG: f"it is longer than {MAX_TOKEN_CHARS} characters",
    Flaw.MALFORMED: "it is not three parts of Base64url without padding, joined by two dots",
    Flaw.BAD_HEADER: "its header must say alg HS256 and a kid, typ JWT if any, and neither crit nor b64",
    Flaw.UNKNOWN_KEY: "no key of this deployment has that kid: it was rotated out, or belongs to another deployment",
    Flaw.BAD_SIGNATURE: "the key of that kid did not sign this",
    Flaw.BAD_CLAIMS: "a claim is missing or of another type",
    Flaw.WRONG_PURPOSE: "it is for something else than a session or an entitlement (claim typ)",
    Flaw.WRONG_ISSUER: "its iss or aud is not what the settings say below [issuer]",
}

ELSEWHERE: Mapping[Flaw, str] = {
    **REMEDIES,
    Flaw.BAD_HEADER: (
        "its header must say one of the issuer's algorithms, the one that its key is for, and a kid, typ JWT if any, "
        "and neither crit nor b64"
    ),
    Flaw.UNKNOWN_KEY: "no key in the issuer's file has that kid",
    Flaw.WRONG_PURPOSE: "it is for something else than an entitlement (claim typ)",
}
"""The same for tokens of another issuer."""


@dataclass(frozen=True, slots=True)
class TokenReport:
    """What is known of one token.

    `why` is a word for programs, None if it is valid; `detail` the same in a sentence. `kid` is the key id that its
    header names; `genuine` tells whether that key signed it, and `signs` whether it is the one that signs now. `claims`
    are as they stand in it, proven or not; None if they cannot be read. `purpose` is what it is for, None if it is not
    known to be for anything; `elsewhere` that it was looked at by the keys of the issuer in the settings.
    """

    why: str | None
    detail: str
    genuine: bool
    kid: str | None
    signs: bool
    claims: Mapping[str, Any] | None
    purpose: Purpose | None = None
    elsewhere: bool = False

    @property
    def valid(self) -> bool:
        """Return whether the token is good now."""
        return self.why is None

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(
            {
                "valid": self.valid,
                "why": self.why,
                "detail": self.detail,
                "genuine": self.genuine,
                "kid": self.kid,
                "signs": self.signs,
                "claims": self.claims,
                "purpose": self.purpose,
                "elsewhere": self.elsewhere,
            }
        )

    def lines(self) -> list[str]:
        """Return it line by line. What strangers wrote is in JSON, so it cannot write to the terminal."""
        ours = "which signs now" if self.signs else "still accepted"
        whose = "of the issuer in the settings" if self.elsewhere else ours
        key = f"{json.dumps(self.kid)}, {whose}"
        told = [
            f"valid now  {'yes' if self.valid else f'no: {self.why} ({self.detail})'}",
            f"signed by  {key if self.genuine else f'nobody we know; it names the key {json.dumps(self.kid)}'}",
        ]
        if self.claims is None:
            return [*told, "claims     cannot be read"]
        told.append(f"claims     {'proven' if self.genuine else 'NOT proven'}")
        return told + [f"  {_safe(name)}  {_shown(name, value)}" for name, value in self.claims.items()]


def report(
    token: str, keys: Mapping[str, bytes], *, now: float, elsewhere: IssuerVerifier | None = None
) -> TokenReport:
    """Say of a token what there is to say.

    Args:
        token: any text.
        keys: our own, secret by key id; the first one signs.
        now: Unix time in seconds.
        elsewhere: verifies what another issuer signed; None: there is none.

    Guaranteed: the signature and the token as a whole are no part of it.
    """
    header, payload = _readable(token, 0), _readable(token, 1)
    header = header if isinstance(header, dict) else {}
    kid = header.get("kid")
    kid = kid if isinstance(kid, str) else None
    claims = payload if isinstance(payload, dict) else None
    # As at the door (`relay/entitlements.py`): by the algorithm, before anything else.
    foreign = elsewhere is not None and header.get("alg") in ALGORITHMS
    if elsewhere is not None and foreign:
        opened, purpose = elsewhere.open(token), Purpose.ENTITLEMENT
    else:
        opened, purpose = _opened(token, keys)
    signs = not foreign and kid == next(iter(keys))
    if isinstance(opened, Flaw):
        genuine = opened in (Flaw.BAD_CLAIMS, Flaw.WRONG_PURPOSE, Flaw.WRONG_ISSUER)
        remedy = (ELSEWHERE if foreign else REMEDIES)[opened]
        fault = _fault(token, claims, elsewhere if foreign else None) if opened is Flaw.BAD_CLAIMS else ""
        detail = f"{remedy}: {fault}" if fault else remedy
        return TokenReport(str(opened), detail, genuine, kid, genuine and signs, claims, elsewhere=foreign)
    said = opened.claims
    # Of its own showing, and for any scope that it has: what else it is asked for is the request's affair.
    reason = said.reason_at(now, said.event_id, min(said.scopes, default=""))
    good = "it admits to its showing" if purpose is Purpose.SESSION else "it begins a session at its showing's playlist"
    detail = f"this token does not admit: {reason}" if reason else good
    return TokenReport(
        reason and str(reason), detail, genuine=True, kid=kid, signs=signs, claims=claims, purpose=purpose,
        elsewhere=foreign,
    )  # fmt: skip


def _opened(token: str, keys: Mapping[str, bytes]) -> tuple[Verified | Flaw, Purpose]:
    opened = TokenVerifier(keys).open(token)
    if opened is not Flaw.WRONG_PURPOSE:
        return opened, Purpose.SESSION
    return TokenVerifier(keys, Purpose.ENTITLEMENT).open(token), Purpose.ENTITLEMENT


def _fault(token: str, claims: Mapping[str, Any] | None, elsewhere: IssuerVerifier | None) -> str:
    """Return which claim is wrong, naming no value of it."""
    if elsewhere is None:
        return claims_fault(from_base64url(token.split(".")[1].encode()) or b"")
    return ", ".join(claims_faults(claims, elsewhere.issuer.names)) if claims is not None else "no JSON object"


def _readable(token: str, part: int) -> Any:
    parts = token.split(".")
    if len(token) > MAX_TOKEN_CHARS or not token.isascii() or len(parts) != 3:
        return None
    plain = from_base64url(parts[part].encode())
    try:
        return None if plain is None else decode(plain, CLIENT_LIMITS)
    except DecodeError:
        return None


def _safe(name: str) -> str:
    return name if name.isalnum() and name.isascii() else json.dumps(name)


def _shown(name: str, value: Any) -> str:
    times = value if name == "win" and isinstance(value, list) else [value] if name in ("nbf", "exp", "iat") else []
    told = [_date(time) for time in times]
    return json.dumps(value) + (f"  ({' to '.join(told)})" if told and all(told) else "")


def _date(time: Any) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
