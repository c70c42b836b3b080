"""The verifier: RFC 7515, RFC 7519, RFC 8725, and what PyJWT alone would let through."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import SettingsError
from kernel.tokens import MAX_TOKEN_CHARS, Binding, Keyring, Purpose
from kernel.value import replace
from relay.token_verifier import MAX_HEADERS, Flaw, TokenVerifier, Verified, claims_fault, from_base64url
from tests.support.tokens import CLAIMS

KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = {"new": KEY, "old": OTHER}
RING, VERIFIER = Keyring(KEYS), TokenVerifier(KEYS)
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT", "kid": "new"}
PAYLOAD: dict[str, Any] = {
    "typ": "session", "jti": "j1", "sub": "a1", "evt": "game", "nbf": 1000, "exp": 2000, "win": [1100, 1900],
    "sid": "s1", "scp": ["wager", "watch"], "pid": "p1",
}  # fmt: skip


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, payload: object, key: bytes = KEY, digest: str = "sha256") -> str:
    """Sign as RFC 7515, 5.1 says, whatever stands in it."""
    parts = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in (header, payload)]
    text = f"{b64(parts[0])}.{b64(parts[1])}"
    return f"{text}.{b64(hmac.new(key, text.encode(), getattr(hashlib, digest)).digest())}"


def test_what_is_issued_is_verified() -> None:
    assert VERIFIER.verify(RING.issue(CLAIMS)) == CLAIMS
    without = replace(CLAIMS, purchase=None)
    assert VERIFIER.verify(RING.issue(without)) == without


def test_a_token_written_by_hand_is_verified() -> None:
    assert VERIFIER.verify(signed(HEADER, PAYLOAD)) == CLAIMS


def test_geo_and_fingerprint_are_kept() -> None:
    whole = replace(CLAIMS, geo="us-ny", fingerprint="sha256:ab", home="US-90012", plan="season")
    assert VERIFIER.verify(RING.issue(whole)) == whole
    assert VERIFIER.verify(signed(HEADER, {**PAYLOAD, "geo": None, "fph": None, "pid": None, "hzp": None})) == replace(
        CLAIMS, purchase=None
    )
    streams = replace(whole, streams=(("854", 1), ("", 4)))
    assert VERIFIER.verify(RING.issue(streams)) == streams
    vimond = {"https://vimond/entitlements": [{"svod": "854", "streamcount": "1"}], "https://vimond/streamcount": "4"}
    assert VERIFIER.verify(signed(HEADER, PAYLOAD | vimond)) == replace(CLAIMS, streams=(("854", 1), ("", 4)))
    text = json.dumps({**PAYLOAD, "pln": "season"}).replace('"pln"', '"pln": "x", "pln"')
    assert VERIFIER.open(signed(HEADER, text.encode())) is Flaw.BAD_CLAIMS


@pytest.mark.parametrize(
    "binding", [Binding("n", "tv", "e"), Binding("n"), Binding(None, "tv"), Binding(None, None, "e")]
)
def test_a_binding_is_kept(binding: Binding) -> None:
    bound = replace(CLAIMS, binding=binding)
    assert VERIFIER.verify(RING.issue(bound)) == bound
    said = {"net": binding.network, "dev": binding.device, "ent": binding.entitlement, "fph": None}
    assert VERIFIER.verify(signed(HEADER, {**PAYLOAD, **said})) == bound
    for name in ("net", "dev", "ent"):
        assert VERIFIER.open(signed(HEADER, {**PAYLOAD, **said, name: 7})) is Flaw.BAD_CLAIMS
        text = json.dumps({**PAYLOAD, "net": "n", "dev": "tv", "ent": "e"}).replace(
            f'"{name}"', f'"{name}": "x", "{name}"'
        )
        assert VERIFIER.open(signed(HEADER, text.encode())) is Flaw.BAD_CLAIMS
    assert VERIFIER.verify(signed(HEADER, {**PAYLOAD, "net": None, "dev": None, "ent": None})) == CLAIMS


def test_one_purpose_is_nothing_where_the_other_is_asked_for() -> None:
    entitlements = TokenVerifier(KEYS, Purpose.ENTITLEMENT)
    for purpose, mine, other in (
        (Purpose.SESSION, VERIFIER, entitlements),
        (Purpose.ENTITLEMENT, entitlements, VERIFIER),
    ):
        assert mine.verify(RING.issue(CLAIMS, purpose)) == CLAIMS
        assert other.open(RING.issue(CLAIMS, purpose)) is Flaw.WRONG_PURPOSE


def test_either_key_verifies() -> None:
    old = Keyring({"old": OTHER}).issue(CLAIMS)
    for token, kid in ((old, "old"), (RING.issue(CLAIMS), "new")):
        claims = VERIFIER.verify(token)
        assert claims == CLAIMS
        assert claims is not None
        assert claims.kid == kid
    assert TokenVerifier({"new": KEY}).verify(old) is None


def test_a_key_answers_to_its_own_id_only() -> None:
    assert VERIFIER.verify(signed({**HEADER, "kid": "old"}, PAYLOAD, KEY)) is None


def test_keys_are_rotated() -> None:
    verifier = TokenVerifier({"old": OTHER})
    old = signed({**HEADER, "kid": "old"}, PAYLOAD, OTHER)
    opened = verifier.open(old)
    assert isinstance(opened, Verified)
    verifier.rotate(KEYS)
    assert verifier.verify(old) == CLAIMS
    assert opened.key.accepted
    # The same id with another secret is another key.
    verifier.rotate({"new": KEY, "old": b"x" * 32})
    assert verifier.open(old) is Flaw.BAD_SIGNATURE
    assert not opened.key.accepted
    verifier.rotate({"new": KEY})
    assert verifier.open(old) is Flaw.UNKNOWN_KEY
    verifier.rotate({"old": OTHER})
    assert verifier.verify(old) == CLAIMS
    assert not opened.key.accepted


def test_keys_that_are_none_change_nothing() -> None:
    verifier = TokenVerifier({"new": KEY})
    for keys in ({}, {"a": b"short"}, {**KEYS, "third": KEY}):
        with pytest.raises(SettingsError):
            verifier.rotate(keys)
        assert verifier.verify(RING.issue(CLAIMS)) == CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256"},
        {"alg": "HS256", "kid": "unknown"},
        {"alg": "HS256", "kid": None},
        {"alg": "HS256", "kid": 7},
        {"alg": "HS256", "kid": ["new"]},
        {"alg": "HS256", "kid": {}},
        {"alg": "none", "kid": "new"},
        {"alg": "None", "kid": "new"},
        {"alg": "hs256", "kid": "new"},
        {"alg": None, "kid": "new"},
        {"kid": "new"},
        {**HEADER, "kid": "NEW"},
        {**HEADER, "kid": "new "},
        {**HEADER, "kid": "../new"},
        {**HEADER, "kid": ""},
        {**HEADER, "alg": ["HS256"]},
        {**HEADER, "typ": "at+jwt"},
        {**HEADER, "typ": "JOSE"},
        {**HEADER, "typ": None},
        {**HEADER, "typ": ["JWT"]},
        {**HEADER, "b64": False},
        {**HEADER, "b64": True},
        {**HEADER, "crit": None},
        b'{"alg":"none","alg":"HS256","kid":"new"}',
        b'{"alg":"HS256","kid":"old","kid":"new"}',
        b'{"alg":"HS256","kid":"new","x":NaN}',
        b'\xef\xbb\xbf{"alg":"HS256","kid":"new"}',
        '{"alg":"HS256","kid":"new"}'.encode("utf-16"),
        # RFC 7515, 4.1.11: what is critical must be understood
        {**HEADER, "crit": ["exp"]},
        {**HEADER, "crit": []},
        {**HEADER, "crit": ["b64"], "b64": False},
        [],
        "HS256",
        None,
        b"",
        b"\xff",
        b"{",
        b"[" * 3000,
    ],
)
def test_headers_that_are_refused(header: object) -> None:
    assert VERIFIER.verify(signed(header, PAYLOAD)) is None


@pytest.mark.parametrize("header", [
    {"alg": "HS256", "kid": "new"},
    {**HEADER, "typ": "jwt"},
    # RFC 8725, 3.10: nothing in a header leads to a key.
    {**HEADER, "jku": "https://attacker.test/keys", "jwk": {"kty": "oct", "k": "AA"}, "x5u": "https://attacker.test"},
])  # fmt: skip
def test_headers_that_are_taken(header: dict[str, Any]) -> None:
    assert VERIFIER.verify(signed(header, PAYLOAD)) == CLAIMS


def test_a_header_is_remembered_only_once_its_signature_held() -> None:
    verifier = TokenVerifier(KEYS)
    for number in range(2 * MAX_HEADERS):
        forged = signed({**HEADER, "x": number}, PAYLOAD, b"x" * 32)
        assert verifier.open(forged) is Flaw.BAD_SIGNATURE
    assert verifier._headers == {}
    for number in range(2 * MAX_HEADERS):
        assert verifier.verify(signed({**HEADER, "x": number}, PAYLOAD)) == CLAIMS
    assert len(verifier._headers) == MAX_HEADERS
    # Known or not, a header vouches for nothing.
    assert verifier.open(signed({**HEADER, "x": 0}, PAYLOAD, OTHER)) is Flaw.BAD_SIGNATURE


@pytest.mark.parametrize(("alg", "digest"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_other_algorithms_with_our_key_are_refused(alg: str, digest: str) -> None:
    assert VERIFIER.verify(signed({**HEADER, "alg": alg}, PAYLOAD, KEY, digest)) is None


def test_public_key_algorithms_are_refused() -> None:
    """RFC 8725, 2.1: no confusion of a public key with a secret."""
    for alg in ("RS256", "ES256", "PS256", "EdDSA"):
        assert VERIFIER.verify(signed({**HEADER, "alg": alg}, PAYLOAD)) is None


def test_unsigned_tokens_are_refused() -> None:
    text = signed({**HEADER, "alg": "none"}, PAYLOAD).rpartition(".")[0]
    for token in (text, text + ".", text + ".x"):
        assert VERIFIER.verify(token) is None


def test_a_token_has_one_spelling() -> None:
    """RFC 7515, 2: base64url without padding; a token that could be written twice defeats revocation by text."""
    token = RING.issue(CLAIMS)
    for other in (token + "=", token + "==", " " + token, token + "\n", token + ".", "." + token, token + ".x"):
        assert VERIFIER.verify(other) is None
    assert VERIFIER.verify(token.replace(".", ".=", 1)) is None
    for old, new in (("-", "+"), ("_", "/")):
        spelled = signed(HEADER, {**PAYLOAD, "sub": "\u07ff?>" * 9})
        assert old in spelled
        assert VERIFIER.verify(spelled.replace(old, new)) is None


@pytest.mark.parametrize("text", [HEADER, PAYLOAD])
def test_no_part_has_bits_beyond_its_last_byte(text: dict[str, Any]) -> None:
    """RFC 4648, 3.5: they must be zero. Signed so by somebody who has the key, they are refused all the same."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for spaces in range(3):
        part = b64(json.dumps(text).encode() + b" " * spaces)
        last = alphabet.index(part[-1])
        tail = part[:-1] + alphabet[last | 1] if len(part) % 4 else part + "A"
        head, payload = (
            (tail, b64(json.dumps(PAYLOAD).encode())) if text is HEADER else (b64(json.dumps(HEADER).encode()), tail)
        )
        forged = hmac.new(KEY, f"{head}.{payload}".encode(), hashlib.sha256).digest()
        assert VERIFIER.open(f"{head}.{payload}.{b64(forged)}") is Flaw.MALFORMED


def test_forged_parts() -> None:
    token = signed(HEADER, PAYLOAD)
    head, payload, signature = token.split(".")
    forged = b64(json.dumps({**PAYLOAD, "evt": "other"}).encode())
    assert VERIFIER.verify(f"{head}.{forged}.{signature}") is None
    assert VERIFIER.verify(signed(HEADER, PAYLOAD, b"x" * 32)) is None
    assert VERIFIER.verify(f"{head}.{payload}.{b64(b'')}x") is None
    assert VERIFIER.verify(f"{head}.{payload}.{signature[:-4]}") is None


def test_tokens_have_a_limit() -> None:
    def padded(n: int) -> str:
        return signed(HEADER, {**PAYLOAD, "sub": "a" * n})

    longest = max(n for n in range(2500, 3200) if len(padded(n)) <= MAX_TOKEN_CHARS)
    assert VERIFIER.verify(padded(longest)) is not None
    assert VERIFIER.verify(padded(longest + 3)) is None
    assert VERIFIER.verify("a" * 1_000_000) is None


@pytest.mark.parametrize("name", sorted(PAYLOAD.keys() - {"pid"}))
def test_every_claim_must_be_there(name: str) -> None:
    assert VERIFIER.verify(signed(HEADER, {key: value for key, value in PAYLOAD.items() if key != name})) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"typ": "refresh"},
        {"typ": ["session"]},
        {"typ": "Session"},
        {"exp": 1 << 53},
        {"exp": -1},
        {"nbf": -1},
        {"nbf": 10**30},
        {"win": [1100, 10**400]},
        {"geo": 7},
        {"fph": ["x"]},
        {"pln": 7},
        {"stc": 4},
        {"stc": [["854", "1"]]},
        {"stc": [["854", 1], ["854", 2]]},
        {"https://vimond/streamcount": "many"},
        {"https://vimond/entitlements": [{"svod": "854", "streamcount": []}]},
        {"hzp": 90012},
        {"jti": 7},
        {"sub": None},
        {"sub": 7},
        {"evt": ["game"]},
        {"exp": "2000"},
        {"exp": 2000.5},
        {"exp": True},
        {"exp": None},
        {"nbf": "1000"},
        {"nbf": 1e3},
        {"nbf": False},
        {"sid": {}},
        {"win": "1100"},
        {"win": {"0": 1}},
        {"win": []},
        {"win": [1100]},
        {"win": [1100, 1900, 2000]},
        {"win": [1100, 1900.5]},
        {"win": [True, 1900]},
        {"win": [None, 1900]},
        {"scp": "watch"},
        {"scp": ["watch", 7]},
        {"scp": [["watch"]]},
        {"pid": 7},
    ],
)
def test_claims_of_a_wrong_type(changed: dict[str, Any]) -> None:
    assert VERIFIER.verify(signed(HEADER, {**PAYLOAD, **changed})) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # RFC 8259, 4: which of two counts is anybody's guess.
        ('"sub": "a1"', '"sub": "a1", "sub": "a2"'),
        ('"sub": "a1"', '"sub": "a1", "s\\u0075b": "a2"'),
        ('"exp": 2000', '"exp": "x", "exp": 2000'),
        ('"sub": "a1"', '"sub": "a1", "x": {"y": 1, "y": 2}'),
        ('"exp": 2000', '"exp": 02000'),
        ('"exp": 2000', '"exp": 2e3'),
        ('"exp": 2000', '"exp": 2000.0'),
        ('"exp": 2000', '"exp": NaN'),
        ('"sub": "a1"', '"sub": "a1", "x": NaN'),
        ('"sub": "a1"', '"sub": "a1", "x": -Infinity'),
        ('"sub": "a1"', '"sub": "a1", "x": 1e999'),
        ('"sub": "a1"', '"sub": "\\ud800"'),
        ('"sub": "a1"', '"sub": "a1", "x": "\\ud800"'),
        ('"sub": "a1"', '"sub": "a1", "x": "\x01"'),
        ('"sub": "a1"', '"sub": "a1", "x": "\\x"'),
        ('"sub": "a1"', '"sub": "a1", "x": ' + "[" * 1000 + "]" * 1000),
        ('"sub": "a1"', '"sub": "a1", "x": ' + "[" * 17 + "]" * 17),
        ('"sub": "a1"', '"sub": "a1", "x": ' + "9" * 21),
        ('"sub": "a1"', '"sub": "a1",'),
        ("{", "\ufeff{"),
        ("}", "} x"),
        ("}", ', "x": tru}'),
    ],
)  # fmt: skip
def test_payloads_that_are_no_strict_json(old: str, new: str) -> None:
    text = json.dumps(PAYLOAD)
    assert old in text
    assert VERIFIER.open(signed(HEADER, text.replace(old, new, 1).encode())) is Flaw.BAD_CLAIMS


def test_bytes_that_are_no_utf_8() -> None:
    for text in (json.dumps(PAYLOAD).replace("a1", "\xe9").encode("latin-1"), json.dumps(PAYLOAD).encode("utf-16")):
        assert VERIFIER.open(signed(HEADER, text)) is Flaw.BAD_CLAIMS
    unknown = json.dumps({**PAYLOAD, "x": "y"}).replace('"y"', '"\xff"').encode("latin-1")
    assert VERIFIER.open(signed(HEADER, unknown)) is Flaw.BAD_CLAIMS


def test_an_account_may_be_written_in_any_script() -> None:
    for account in ("ünï", "a:b", "\N{SOCCER BALL}", 'q"\\'):
        for ascii_only in (True, False):
            text = json.dumps({**PAYLOAD, "sub": account}, ensure_ascii=ascii_only).encode()
            assert VERIFIER.verify(signed(HEADER, text)) == replace(CLAIMS, account=account)


def test_a_token_is_for_one_purpose() -> None:
    """RFC 8725, 3.12: one kind of token is never taken for another, in either direction."""
    other = cast("Purpose", "entitlement")
    for_other = TokenVerifier(KEYS, other)
    assert VERIFIER.open(RING.issue(CLAIMS, other)) is Flaw.WRONG_PURPOSE
    assert for_other.open(RING.issue(CLAIMS)) is Flaw.WRONG_PURPOSE
    assert for_other.verify(RING.issue(CLAIMS, other)) == CLAIMS


def four_parts() -> str:
    """Return a text with a dot too many that our key has signed."""
    head, payload, _ = RING.issue(CLAIMS).split(".")
    text = f"{head}.{payload}.{payload}"
    return f"{text}.{b64(hmac.new(KEY, text.encode(), hashlib.sha256).digest())}"


def test_a_flaw_says_which() -> None:
    good = RING.issue(CLAIMS)
    head, payload, signature = good.split(".")
    flaws = {
        "a" * (MAX_TOKEN_CHARS + 1): Flaw.TOO_LONG,
        "": Flaw.MALFORMED,
        head: Flaw.MALFORMED,
        f"{head}.{payload}": Flaw.MALFORMED,
        f"..{signature}": Flaw.MALFORMED,
        f"{head}.{payload}.{signature}é": Flaw.MALFORMED,
        f"{head}.{payload}.": Flaw.BAD_SIGNATURE,
        f"{head}..{signature}": Flaw.BAD_SIGNATURE,
        f"{good}.{signature}": Flaw.BAD_SIGNATURE,
        four_parts(): Flaw.MALFORMED,
        signed([], PAYLOAD): Flaw.BAD_HEADER,
        signed({**HEADER, "alg": "none"}, PAYLOAD): Flaw.BAD_HEADER,
        signed({**HEADER, "kid": "else"}, PAYLOAD): Flaw.UNKNOWN_KEY,
        signed(HEADER, {}): Flaw.BAD_CLAIMS,
    }
    assert {text: VERIFIER.open(text) for text in flaws} == flaws


def test_a_fault_of_the_claims_is_named_without_their_values() -> None:
    assert claims_fault(json.dumps(PAYLOAD).encode()) == ""
    assert claims_fault(json.dumps({**PAYLOAD, "exp": "s3cret"}).encode()).endswith("at `$.exp`")
    assert "s3cret" not in claims_fault(json.dumps({**PAYLOAD, "exp": "s3cret"}).encode())
    assert "`typ`" in claims_fault(b"{}")
    assert "twice" in claims_fault(json.dumps(PAYLOAD).replace("{", '{"x":1,"x":2,', 1).encode())


@given(st.binary(max_size=40))
def test_base64url_is_read_as_it_is_written(data: bytes) -> None:
    text = b64(data).encode()
    assert from_base64url(text) == (data or None)
    assert from_base64url(text + b"=") is None


@pytest.mark.parametrize("payload", [[], "x", 7, None, b"", b"{", b"\xff\xfe", b"[" * 3000])
def test_payloads_that_are_none(payload: object) -> None:
    assert VERIFIER.verify(signed(HEADER, payload)) is None


def test_an_expired_token_still_says_whose_it_is() -> None:
    """Only then can a holder of a valid signature be told the reason."""
    ancient = replace(CLAIMS, not_before=1, expires=2)
    assert VERIFIER.verify(RING.issue(ancient)) == ancient


def test_further_registered_claims_decide_nothing() -> None:
    assert VERIFIER.verify(signed(HEADER, {**PAYLOAD, "iat": 1 << 40, "aud": "else", "iss": "else"})) == CLAIMS


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}"))
def test_any_text_is_refused_without_a_fault(text: str) -> None:
    assert VERIFIER.verify(text) is None


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_character_can_be_changed(at: int, character: int) -> None:
    token = RING.issue(CLAIMS)
    at %= len(token)
    changed = token[:at] + chr(character) + token[at + 1 :]
    claims = VERIFIER.verify(changed)
    # Not one: the last character of the signature has bits that mean nothing, and they have to be zero.
    assert (claims is None) == (changed != token)
