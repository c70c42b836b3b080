"""Key sets: RFC 7517, RFC 7518, RFC 8037, and what no set of public keys may hold."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from kernel.errors import SettingsError
from relay.jwks import MAX_JWKS_BYTES, MAX_JWKS_KEYS, parse_jwks
from tests.support.issuer import KIDS, b64, jwk_of, jwks, private_key, public_jwk


def test_one_key_for_each_algorithm() -> None:
    keys = parse_jwks(jwks())
    assert {key.alg: kid for kid, key in keys.items()} == KIDS
    assert all(key.accepted for key in keys.values())


@pytest.mark.parametrize("alg", KIDS)
def test_a_key_without_an_algorithm_is_for_the_one_of_its_kind(alg: str) -> None:
    member = jwk_of(alg)
    del member["alg"], member["use"]
    assert parse_jwks(jwks(member))[KIDS[alg]].alg == alg


def _without(member: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in member.items() if key != name}


@pytest.mark.parametrize(
    "member",
    [
        jwk_of("RS256", kid="x", use="enc"),
        jwk_of("RS256", kid="x", key_ops=["encrypt"]),
        jwk_of("RS256", kid="x", key_ops="verify"),
        jwk_of("RS256", kid="x", alg="PS256"),
        jwk_of("RS256", kid="x", alg="RS512"),
        jwk_of("RS256", kid="x", alg="HS256"),
        jwk_of("RS256", kid="x", alg="none"),
        jwk_of("RS256", kid="x", alg=7),
        jwk_of("ES256", kid="x", alg="RS256"),
        jwk_of("ES256", kid="x", crv="P-384"),
        jwk_of("EdDSA", kid="x", crv="X25519"),
        public_jwk(ec.generate_private_key(ec.SECP384R1()), kid="x"),
        public_jwk(ed448.Ed448PrivateKey.generate(), kid="x"),
        {"kty": "AKP", "kid": "x", "alg": "ML-DSA-44", "pub": "AA"},
        {"kid": "x"},
        {},
    ],
    ids=lambda member: "-".join(str(member.get(name)) for name in ("kty", "crv", "alg", "use")),
)
def test_keys_for_something_else_are_passed_over(member: dict[str, Any]) -> None:
    assert list(parse_jwks(jwks(member, jwk_of("EdDSA")))) == ["ed-1"]
    with pytest.raises(SettingsError, match="no signature key"):
        parse_jwks(jwks(member))


def test_only_the_configured_algorithms_count() -> None:
    assert list(parse_jwks(jwks(), ["ES256"])) == ["ec-1"]
    with pytest.raises(SettingsError, match="no signature key for EdDSA"):
        parse_jwks(jwks(jwk_of("RS256")), ["EdDSA"])


PRIVATE = {**jwk_of("RS256"), **json.loads(RSAAlgorithm.to_jwk(private_key("RS256")))}


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ({"kty": "oct", "kid": "x", "k": b64(b"s" * 32)}, "secret"),
        ({"kty": "oct", "kid": "x"}, "secret"),
        (PRIVATE, "private key"),
        (jwk_of("EdDSA", d="AA"), "private key"),
        (jwk_of("RS256", kid=None), "has no kid"),
        (jwk_of("RS256", kid=""), "has no kid"),
        (jwk_of("RS256", kid=7), "has no kid"),
        (jwk_of("RS256", kid="x" * 257), "has no kid"),
        (_without(jwk_of("ES256"), "kid"), "has no kid"),
        (public_jwk(rsa.generate_private_key(65537, 1024), kid="weak"), "1024 bits"),
        (jwk_of("RS256", n=b64(b"\xff" * 513)), "4104 bits"),
        (jwk_of("RS256", e=b64(b"\x01" + b"\x00" * 4 + b"\x01")), "exponent"),
        (jwk_of("RS256", e=b64(b"\x01")), "no usable RS256 key"),
        (jwk_of("RS256", n=""), "no usable RS256 key"),
        (jwk_of("RS256", n="!!"), "no usable RS256 key"),
        (_without(jwk_of("RS256"), "n"), "has the texts n, e"),
        (jwk_of("ES256", x=7), "has the texts crv, x, y"),
        (jwk_of("ES256", y=b64(b"\x01" * 32)), "no usable ES256 key"),
        (jwk_of("ES256", y=b64(b"\x01" * 31)), "no usable ES256 key"),
        (jwk_of("EdDSA", x=b64(b"\x01" * 31)), "no usable EdDSA key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_a_mistake_refuses_the_set(member: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        parse_jwks(jwks(jwk_of("EdDSA", kid="good"), member))
    assert "key 2" in str(refused.value)
    for name in ("n", "x", "d", "k"):
        if isinstance(member.get(name), str) and len(member[name]) > 8:
            assert member[name] not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"7", b"null", b"{}", b'{"keys":{}}', b'{"keys":[7]}', b'{"keys":[[]]}', b"\xff",
        b'{"keys":[],"keys":[]}', b'{"keys":' + b"[" * 20 + b"]" * 20 + b"}", b'{"keys":[]}',
        b" " * MAX_JWKS_BYTES + jwks(),
    ],
)  # fmt: skip
def test_what_is_no_set(text: bytes) -> None:
    with pytest.raises(SettingsError):
        parse_jwks(text)


def test_keys_are_counted_and_told_apart() -> None:
    several = [jwk_of("EdDSA", kid=f"k{n}") for n in range(MAX_JWKS_KEYS + 1)]
    assert len(parse_jwks(jwks(*several[1:]))) == MAX_JWKS_KEYS
    with pytest.raises(SettingsError, match="at most 16"):
        parse_jwks(jwks(*several))
    with pytest.raises(SettingsError, match="stands twice"):
        parse_jwks(jwks(jwk_of("EdDSA", kid="a"), jwk_of("RS256", kid="a")))


def test_a_key_is_the_same_by_what_it_is_made_of() -> None:
    known, again = parse_jwks(jwks()), parse_jwks(jwks())
    other = parse_jwks(jwks(public_jwk(private_key("RS256", "other"), kid="rsa-1")))
    assert known["rsa-1"].same_as(again["rsa-1"])
    assert not known["rsa-1"].same_as(other["rsa-1"])
    assert not known["rsa-1"].same_as(None)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "kid", "alg", "use", "crv", "n", "e", "x", "y", "d", "k", "key_ops"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=2)
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "RS256", "AQAB", "A" * 43]),
    )
)  # fmt: skip
def test_whatever_stands_in_it_it_is_read_or_refused(member: dict[str, Any]) -> None:
    with suppress(SettingsError):
        assert parse_jwks(json.dumps({"keys": [member]}).encode())
