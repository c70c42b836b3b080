"""The public keys by which another issuer's tokens are verified: a JSON Web Key Set (RFC 7517, 5), read strictly.

Three algorithms, each with one kind of key, so that a key never serves two (RFC 8725, 3.1 and 3.5):

| `alg` | `kty` | |
|---|---|---|
| RS256 | RSA | 2,048 to 4,096 bits (RFC 7518, 3.3) |
| ES256 | EC | curve P-256 |
| EdDSA | OKP | curve Ed25519 (RFC 8037) |

Keys that are for something else (encryption, other algorithms, curves or kinds) are passed over: issuers publish one
set for all purposes (RFC 7517, 5). Secrets, private keys, weak keys, and signature keys without a `kid` are a mistake
that somebody should hear of: the whole set is refused. Certificates and URLs in a key (`x5c`, `x5u`) are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kernel.errors import DecodeError, SettingsError
from kernel.strict_json import Limits, decode

MAX_JWKS_BYTES = 64 << 10
"""Sixteen RSA keys with their chains of certificates."""

MAX_JWKS_KEYS = 16
"""An issuer has one that signs, one before it, one to come, and as many again for other purposes."""

MAX_KID_CHARS = 256

_LIMITS = Limits(max_bytes=MAX_JWKS_BYTES, max_depth=8, max_nodes=2_000)
_RSA_BITS = range(2_048, 4_097)  # RFC 7518, 3.3; what is longer costs each verification more than it is worth
_MAX_EXPONENT = (1 << 32) - 1  # the usual one is 65,537; verification takes time in proportion to its bits


class _Kind(NamedTuple):
    kty: str
    crv: str | None
    members: tuple[str, ...]


_KINDS: Mapping[str, _Kind] = {
    "RS256": _Kind("RSA", None, ("n", "e")),
    "ES256": _Kind("EC", "P-256", ("crv", "x", "y")),
    "EdDSA": _Kind("OKP", "Ed25519", ("crv", "x")),
}

ALGORITHMS = tuple(_KINDS)
"""What tokens of other issuers may be signed by: never HS256, whose keys are ours."""


class IssuerKey:
    """One public key, set up once.

    `accepted` turns false when it leaves the set, and never true again: whoever keeps what it signed looks there.
    """

    __slots__ = ("_key", "_verify", "accepted", "alg", "kid", "members")

    def __init__(self, kid: str, alg: str, members: Mapping[str, str]) -> None:
        """Set up a key from its members.

        Raises:
            jwt.PyJWTError, ValueError: they are no such key.
        """
        jwk = jwt.PyJWK.from_dict({"kty": _KINDS[alg].kty, **members}, algorithm=alg)
        self.kid, self.alg, self.members = kid, alg, dict(members)
        self.accepted = True
        self._key, self._verify = jwk.key, jwk.Algorithm.verify
        if isinstance(self._key, RSAPublicKey):
            numbers = self._key.public_numbers()
            if self._key.key_size not in _RSA_BITS or numbers.e > _MAX_EXPONENT:
                raise ValueError(f"an RSA key of {self._key.key_size} bits: use 2,048 to 4,096, exponent 65537")

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Tell whether `signature`, in bytes, is this key's of `text`."""
        return bool(self._verify(text, self._key, signature))

    def same_as(self, other: IssuerKey | None) -> bool:
        """Tell whether another is the same key, under the same id, for the same algorithm."""
        return other is not None and (self.kid, self.alg, self.members) == (other.kid, other.alg, other.members)


def parse_jwks(text: bytes, algorithms: Sequence[str] = ALGORITHMS) -> dict[str, IssuerKey]:
    """Return the signature keys of a set by key id.

    Args:
        text: the JSON.
        algorithms: those that are accepted, of `ALGORITHMS`.

    Raises:
        SettingsError: it is no key set, holds what it must not, or no key for any of `algorithms`. The message names
            the key by its id or its place, and nothing of what it is made of.
    """
    try:
        content = decode(text, _LIMITS)
    except DecodeError as error:
        raise SettingsError(f"the key set is no JSON: {error}") from None
    members = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise SettingsError('the key set is no JSON Web Key Set: {"keys": [{"kty": ...}, ...]} (RFC 7517, 5)')
    if len(members) > MAX_JWKS_KEYS:
        raise SettingsError(f"the key set holds {len(members)} keys: at most {MAX_JWKS_KEYS}")
    keys: dict[str, IssuerKey] = {}
    for number, member in enumerate(members, 1):
        key = _key(member, f"key {number}", algorithms)
        if key is None:
            continue
        if key.kid in keys:
            raise SettingsError(f"key {number}: the kid {key.kid!a} stands twice: each key needs its own")
        keys[key.kid] = key
    if not keys:
        raise SettingsError(f"the key set holds no signature key for {', '.join(algorithms)}")
    return keys


def _key(member: Mapping[str, Any], place: str, algorithms: Sequence[str]) -> IssuerKey | None:
    """Return a key, or None if it is for something else."""
    if member.get("kty") == "oct" or "k" in member:
        raise SettingsError(f"{place} is a secret (kty oct): a set of public keys has no place for it")
    if "d" in member:
        raise SettingsError(f"{place} is a private key: take it out of the file, and out of use")
    alg, operations = _algorithm(member), member.get("key_ops", ["verify"])
    # RFC 7517, 4.2 and 4.3: what a key is for, where it says so.
    verifies = member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if alg not in algorithms or not verifies:
        return None
    kid = member.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_CHARS:
        raise SettingsError(f"{place} has no kid: tokens name their key by it, 1 to {MAX_KID_CHARS} characters")
    place = f"{place} ({kid[:64]!a})"
    material = {name: member.get(name) for name in _KINDS[alg].members}
    texts = {name: value for name, value in material.items() if isinstance(value, str)}
    if len(texts) < len(material):
        raise SettingsError(f"{place}: an {_KINDS[alg].kty} key has the texts {', '.join(material)} (RFC 7518, 6)")
    try:
        return IssuerKey(kid, alg, texts)
    except (jwt.PyJWTError, ValueError) as error:
        raise SettingsError(f"{place} is no usable {alg} key: {error}") from None


def _algorithm(member: Mapping[str, Any]) -> str:
    """Return the one algorithm that a key is for, empty if none of ours."""
    for alg, kind in _KINDS.items():
        if member.get("kty") == kind.kty and member.get("crv") == kind.crv and member.get("alg", alg) == alg:
            return alg
    return ""
