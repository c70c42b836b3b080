"""Another issuer: key pairs of every kind, their public set, and tokens signed by them, whatever stands in those."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from relay.issuer_verifier import Issuer, IssuerVerifier
from relay.jwks import parse_jwks
from tests.support.tokens import NOW

ISSUER = Issuer("https://shop.example", "lockstep")
KIDS = {"RS256": "rsa-1", "ES256": "ec-1", "EdDSA": "ed-1"}
"""Key id by algorithm."""


def private_key(alg: str, name: str = "") -> Any:
    """Return a key pair for an algorithm; other names have other ones."""
    return _private_key(alg, name)


@cache
def _private_key(alg: str, _: str) -> Any:
    if alg == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: Any, **members: Any) -> dict[str, Any]:
    """Return the public half of a key pair as a JWK, with other members beside."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        jwk: dict[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, **members}


def jwk_of(alg: str, /, **members: Any) -> dict[str, Any]:
    """Return the issuer's public key for an algorithm, changed as told."""
    return public_jwk(private_key(alg), **{"kid": KIDS[alg], "alg": alg, "use": "sig", **members})


def jwks(*keys: dict[str, Any]) -> bytes:
    """Return a set of these keys, or of all three."""
    return json.dumps({"keys": list(keys) or [jwk_of(alg) for alg in KIDS]}).encode()


def payload(**changes: Any) -> dict[str, Any]:
    """Return claims that entitle to `game` for an hour from NOW; None leaves one out."""
    said = {
        "iss": ISSUER.name, "aud": ISSUER.audience, "sub": "ann", "evt": "game", "jti": "order-7", "nbf": NOW - 10,
        "exp": NOW + 3600, "win": [NOW - 10, NOW + 3000], "scp": ["watch", "wager"],
        **changes,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}


def b64(data: bytes) -> str:
    """Return Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    alg: str = "RS256", said: object = None, header: dict[str, Any] | None = None, *, key: Any = None, name: str = ""
) -> str:
    """Sign by an algorithm, whatever the header says of it.

    Args:
        alg: what really signs; HS256 with `key` as its secret.
        said: the payload; `payload()` if left out. Bytes stand as they are.
        header: replaces members of the usual one.
        key: the key pair, or the secret; the issuer's own if left out.
        name: of the issuer's key pair.
    """
    head = {"alg": alg, "typ": "JWT", "kid": KIDS.get(alg, "rsa-1"), **(header or {})}
    body = said if isinstance(said, bytes) else json.dumps(payload() if said is None else said).encode()
    text = f"{b64(json.dumps(head).encode())}.{b64(body)}"
    if alg == "HS256":
        return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest())}"
    algorithm = get_default_algorithms()[alg]
    return f"{text}.{b64(algorithm.sign(text.encode(), private_key(alg, name) if key is None else key))}"


def verifier(issuer: Issuer = ISSUER, text: bytes | None = None) -> IssuerVerifier:
    """Return what verifies the issuer's tokens."""
    return IssuerVerifier(issuer, parse_jwks(jwks() if text is None else text, issuer.algorithms))
