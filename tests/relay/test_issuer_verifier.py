"""Tokens of another issuer: RFC 7515, RFC 7519, RFC 8725; every way to pass one thing off for another."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from kernel.tokens import MAX_TOKEN_CHARS, Claims
from kernel.value import replace as changed
from relay.issuer_verifier import ClaimNames, claims_faults
from relay.jwks import parse_jwks
from relay.token_verifier import Flaw, TokenVerifier, Verified
from tests.support.issuer import ISSUER, KIDS, b64, jwk_of, jwks, payload, private_key, public_jwk, signed, verifier
from tests.support.tokens import KEYS, NOW, token

VERIFIER = verifier()
CLAIMS = Claims(
    jti="order-7",
    account="ann",
    event_id="game",
    not_before=NOW - 10,
    expires=NOW + 3600,
    window=(NOW - 10, NOW + 3000),
    session="",
    scopes=frozenset({"watch", "wager"}),
)


def opened(text: str) -> Claims | Flaw:
    found = VERIFIER.open(text)
    return found.claims if isinstance(found, Verified) else found


def part(value: object) -> str:
    return b64(json.dumps(value).encode())


@pytest.mark.parametrize("alg", KIDS)
def test_each_algorithm_is_verified(alg: str) -> None:
    # The header is looked at the first time, and known by its bytes the second.
    for _ in range(2):
        found = VERIFIER.open(signed(alg))
        assert isinstance(found, Verified)
        assert found.claims == CLAIMS
        assert found.claims.kid == KIDS[alg]


# What may be left out, or said otherwise


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ({"nbf": None}, {"not_before": 0}),
        ({"win": None}, {"window": (NOW - 10, NOW + 3600)}),
        ({"nbf": None, "win": None}, {"not_before": 0, "window": (0, NOW + 3600)}),
        ({"scp": None}, {"scopes": frozenset({"watch"})}),
        ({"scp": "wager watch"}, {}),
        ({"scp": []}, {"scopes": frozenset()}),
        # Nobody becomes a server or a trader by what another issuer says.
        ({"scp": ["watch", "trading", "server", "openid"]}, {"scopes": frozenset({"watch"})}),
        ({"aud": ["someone", "lockstep"]}, {}),
        ({"typ": "entitlement"}, {}),
        ({"pid": "p", "geo": "us", "hzp": "US-9"}, {"purchase": "p", "geo": "us", "home": "US-9"}),
        ({"pln": "season"}, {"plan": "season"}),
        ({"https://vimond/streamcount": "4"}, {"streams": (("", 4),)}),
        ({"iat": "whenever", "x": {"y": [1]}}, {}),
        # RFC 8725, 3.10: no claim and no URL leads to a key.
        ({"jku": "https://evil.test/keys"}, {}),
    ],
)
def test_what_may_stand_otherwise(said: dict[str, Any], changes: dict[str, Any]) -> None:
    assert opened(signed("EdDSA", payload(**said))) == changed(CLAIMS, **changes)


def test_claims_under_other_names() -> None:
    names = ClaimNames("https://shop.example/customer", "event_id", "valid", "scope", plan="https://shop.example/plan")
    said = payload(sub=None, evt=None, win=None, scp=None)
    said |= {"https://shop.example/customer": "bob", "event_id": "game", "valid": [1, 2], "scope": "watch"}
    said |= {"https://shop.example/plan": "season"}
    found = verifier(replace(ISSUER, names=names)).open(signed("ES256", said))
    assert isinstance(found, Verified)
    assert found.claims == changed(CLAIMS, account="bob", window=(1, 2), scopes=frozenset({"watch"}), plan="season")
    assert opened(signed("ES256", said)) is Flaw.BAD_CLAIMS


# What is a stranger's


@pytest.mark.parametrize(
    ("said", "flaw"),
    [
        ({"iss": None}, Flaw.WRONG_ISSUER),
        ({"iss": "https://shop.example/"}, Flaw.WRONG_ISSUER),
        ({"iss": ["https://shop.example"]}, Flaw.WRONG_ISSUER),
        ({"aud": None}, Flaw.WRONG_ISSUER),
        ({"aud": "lockstep2"}, Flaw.WRONG_ISSUER),
        ({"aud": []}, Flaw.WRONG_ISSUER),
        ({"aud": ["lockstep", 1]}, Flaw.WRONG_ISSUER),
        ({"aud": [["lockstep"]]}, Flaw.WRONG_ISSUER),
        ({"aud": {"lockstep": 1}}, Flaw.WRONG_ISSUER),
        ({"typ": "session"}, Flaw.WRONG_PURPOSE),
        ({"typ": "ID"}, Flaw.WRONG_PURPOSE),
        ({"typ": 7}, Flaw.WRONG_PURPOSE),
        *[
            ({name: value}, Flaw.BAD_CLAIMS)
            for name, values in {
                "jti": (None, "", 7, "a" * 256, "é", "a\n", " a"),
                "sub": (None, "", ["a"], "a" * 256, "\U0001f600"),
                "evt": (None, "", "a/b", "../game", "x" * 65, 7),
                "exp": (None, str(NOW), NOW + 0.5, True, -1, 1 << 53),
                "nbf": (str(NOW), 1.5, False, -1),
                "win": ([], [1], [1, 2, 3], [1, "2"], [True, 2], "1-2", {}, 0),
                "scp": (7, [7], ["watch", None], {"watch": 1}, [["watch"]]),
                "pid": (7, "", "é"),
                "geo": (7, "", "a" * 256),
                "hzp": (90012, "", "a" * 256),
                "pln": (7, "", "a" * 256),
                "https://vimond/streamcount": ("four", -1),
            }.items()
            for value in values
        ],
    ],
)
def test_claims_that_are_none(said: dict[str, Any], flaw: Flaw) -> None:
    assert opened(signed("EdDSA", payload(**said))) is flaw


def test_null_is_no_time_and_no_scope() -> None:
    for name in ("nbf", "scp", "typ"):
        assert isinstance(opened(signed("EdDSA", {**payload(), name: None})), Flaw)


def test_faults_name_the_claims_and_nothing_else() -> None:
    assert claims_faults({**payload(exp="soon"), "sub": 7}, ISSUER.names) == ["sub", "exp"]
    assert claims_faults(payload(), ISSUER.names) == []


@pytest.mark.parametrize(
    "text",
    [
        b'{"iss":"a","iss":"https://shop.example"}',
        json.dumps(payload()).encode().replace(b'"sub"', b'"sub": "eve", "sub"'),
        json.dumps(payload()).encode().replace(str(NOW + 3600).encode(), b"1e999"),
        json.dumps(payload()).encode() + b" x",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 1000 + b"]" * 1000,
    ],
)
def test_a_payload_that_is_no_strict_json(text: bytes) -> None:
    assert opened(signed("EdDSA", text)) is Flaw.BAD_CLAIMS


@pytest.mark.parametrize(
    ("header", "flaw"),
    [
        ({"kid": None}, Flaw.UNKNOWN_KEY),
        ({"kid": 7}, Flaw.UNKNOWN_KEY),
        ({"kid": ["ed-1"]}, Flaw.UNKNOWN_KEY),
        ({"kid": "ed-2"}, Flaw.UNKNOWN_KEY),
        ({"kid": "../../dev/null"}, Flaw.UNKNOWN_KEY),
        # The id of another key: that one is for another algorithm, or did not sign.
        ({"kid": "rsa-1"}, Flaw.BAD_HEADER),
        ({"alg": "RS256"}, Flaw.BAD_HEADER),
        ({"alg": "RS256", "kid": "rsa-1"}, Flaw.BAD_SIGNATURE),
        ({"alg": "none"}, Flaw.BAD_HEADER),
        ({"alg": "None"}, Flaw.BAD_HEADER),
        ({"alg": "eddsa"}, Flaw.BAD_HEADER),
        ({"alg": "HS256"}, Flaw.BAD_HEADER),
        ({"alg": "RS512"}, Flaw.BAD_HEADER),
        ({"alg": "PS256"}, Flaw.BAD_HEADER),
        ({"alg": "ES384"}, Flaw.BAD_HEADER),
        ({"alg": ["EdDSA"]}, Flaw.BAD_HEADER),
        ({"alg": {}}, Flaw.BAD_HEADER),
        ({"crit": ["exp"]}, Flaw.BAD_HEADER),
        ({"crit": []}, Flaw.BAD_HEADER),
        ({"b64": False}, Flaw.BAD_HEADER),
        ({"typ": "at+jwt"}, Flaw.BAD_HEADER),
        ({"typ": 7}, Flaw.BAD_HEADER),
    ],
)
def test_headers(header: dict[str, Any], flaw: Flaw) -> None:
    assert opened(signed("EdDSA", None, header)) is flaw


def test_keys_in_the_header_are_not_looked_at() -> None:
    """RFC 8725, 3.10: whoever could bring a key along could sign anything."""
    eve = private_key("EdDSA", "eve")
    brought = {"jwk": public_jwk(eve), "jku": "https://evil.test/keys", "x5u": "https://evil.test/", "x5c": ["MIIB"]}
    assert opened(signed("EdDSA", None, brought, key=eve)) is Flaw.BAD_SIGNATURE
    assert opened(signed("EdDSA", None, {**brought, "kid": "eve"}, key=eve)) is Flaw.UNKNOWN_KEY
    # Beside a good signature they are harmless.
    assert opened(signed("EdDSA", None, brought)) == CLAIMS


def public_forms() -> list[bytes]:
    key = private_key("RS256").public_key()
    spki, pkcs1 = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1
    jwk = jwk_of("RS256")
    return [
        key.public_bytes(Encoding.PEM, spki), key.public_bytes(Encoding.PEM, spki).rstrip(b"\n"),
        key.public_bytes(Encoding.DER, spki), key.public_bytes(Encoding.PEM, pkcs1),
        key.public_bytes(Encoding.DER, pkcs1), json.dumps(jwk).encode(), jwk["n"].encode(),
        base64.urlsafe_b64decode(jwk["n"] + "=="), jwks(),
    ]  # fmt: skip


@pytest.mark.parametrize("form", range(9))
def test_a_public_key_is_no_secret(form: int) -> None:
    """RFC 8725, 2.1: HS256 keyed with what everybody may read."""
    secret = public_forms()[form]
    for header in ({"alg": "HS256"}, {"alg": "RS256"}):
        text = signed("HS256", None, header, key=secret)
        assert isinstance(VERIFIER.open(text), Flaw)
        assert isinstance(TokenVerifier(KEYS).open(text), Flaw)


def test_neither_verifier_takes_what_the_others_keys_signed() -> None:
    assert VERIFIER.open(token()) is Flaw.BAD_HEADER
    for header in ({"alg": "RS256", "kid": "rsa-1"}, {"alg": "HS256", "kid": "k1"}):
        assert isinstance(VERIFIER.open(signed("HS256", None, header, key=KEYS["k1"])), Flaw)
    for alg in KIDS:
        for header in ({}, {"kid": "k1"}, {"alg": "HS256"}, {"alg": "HS256", "kid": "k1"}):
            assert isinstance(TokenVerifier(KEYS).open(signed(alg, None, header)), Flaw)


def test_another_curve() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    for header in ({"alg": "ES256", "kid": "ec-1"}, {"alg": "ES384", "kid": "ec-1"}):
        assert isinstance(VERIFIER.open(signed("ES384", None, header, key=other)), Flaw)
    assert VERIFIER.open(signed("ES256", key=ec.generate_private_key(ec.SECP256R1()))) is Flaw.BAD_SIGNATURE


def test_an_algorithm_that_is_not_configured() -> None:
    only = replace(ISSUER, algorithms=("ES256",))
    assert isinstance(verifier(only).open(signed("ES256")), Verified)
    assert verifier(only).open(signed("RS256")) is Flaw.BAD_HEADER
    assert isinstance(verifier(ISSUER, jwks(jwk_of("ES256"))).open(signed("ES256")), Verified)


# Spelling


@pytest.mark.parametrize("alg", KIDS)
def test_one_spelling(alg: str) -> None:
    text = signed(alg)
    head, body, signature = text.split(".")
    for other in (
        text + "=", text + ".", f"{head}..{signature}", f"{head}.{body}.", f"{head}.{body}", f".{body}.{signature}",
        f"{head}=.{body}.{signature}", f"{head}.{body}.{signature[:-1]}", f"{head}.{body}.{signature}AA", text + "é",
        f"{head}.{body}.{'A' * len(signature)}", "", "..", "a.b.c", " " + text, text + "\n",
        text + "A" * MAX_TOKEN_CHARS,
    ):  # fmt: skip
        assert isinstance(VERIFIER.open(other), Flaw), other
    assert VERIFIER.open("a" * (MAX_TOKEN_CHARS + 1)) is Flaw.TOO_LONG


def test_nothing_is_computed_before_a_key_is_named() -> None:
    asked: list[bytes] = []
    one = verifier()

    def verify(msg: bytes, key: Any, sig: bytes) -> bool:
        asked.append(msg)
        return False

    for key in one._keys.values():
        key._verify = verify
    headers: list[dict[str, Any]] = [{"kid": "x"}, {"alg": "none"}, {"alg": "RS256"}, {"crit": []}]
    for header in headers:
        one.open(signed("EdDSA", None, header))
    one.open(signed("EdDSA") + "=")
    one.open("a" * 5000)
    assert asked == []
    one.open(signed("EdDSA"))
    assert len(asked) == 1


@given(st.binary(max_size=200), st.sampled_from(list(KIDS)))
def test_it_never_raises(data: bytes, alg: str) -> None:
    head, body, signature = signed("EdDSA").split(".")
    junk = b64(data)
    for text in (
        f"{junk}.{body}.{signature}", f"{part({'alg': alg, 'kid': KIDS[alg]})}.{junk}.{junk}", f"{head}.{body}.{junk}",
        data.decode("latin-1"),
    ):  # fmt: skip
        assert isinstance(VERIFIER.open(text), Flaw)
    assert isinstance(VERIFIER.open(signed("EdDSA", data)), Flaw)


# Keys that come and go


def test_a_key_that_is_taken_out_is_gone() -> None:
    one = verifier()
    found = one.open(signed("RS256"))
    assert isinstance(found, Verified)
    one.rotate(parse_jwks(jwks()))
    # The same key, read again, is the same key.
    assert found.key.accepted
    assert isinstance(one.open(signed("RS256")), Verified)
    one.rotate(parse_jwks(jwks(jwk_of("ES256"))))
    assert not found.key.accepted
    assert one.open(signed("RS256")) is Flaw.UNKNOWN_KEY
    # The same id with another key brings nothing back.
    one.rotate(parse_jwks(jwks(public_jwk(private_key("RS256", "next"), kid="rsa-1"))))
    assert one.open(signed("RS256")) is Flaw.BAD_SIGNATURE
    assert isinstance(one.open(signed("RS256", name="next")), Verified)
    assert not found.key.accepted
