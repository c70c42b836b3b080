"""Session tokens: RFC 7515, RFC 7519, and what PyJWT alone would let through."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import SettingsError
from kernel.tokens import MAX_TOKEN_CHARS, Claims, Keyring, Reason

KEY, OTHER = b"k" * 32, b"o" * 32
CLAIMS = Claims(
    jti="j1",
    account="a1",
    event_id="game",
    not_before=1000,
    expires=2000,
    window=(1100, 1900),
    session="s1",
    scopes=frozenset({"watch", "wager"}),
    purchase="p1",
)
RING = Keyring({"new": KEY, "old": OTHER})
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
    assert RING.verify(RING.issue(CLAIMS)) == CLAIMS
    without = replace(CLAIMS, purchase=None)
    assert RING.verify(RING.issue(without)) == without


def test_a_token_written_by_hand_is_verified() -> None:
    assert RING.verify(signed(HEADER, PAYLOAD)) == CLAIMS


def test_either_key_verifies_and_the_first_one_signs() -> None:
    old = Keyring({"old": OTHER}).issue(CLAIMS)
    assert RING.verify(old) == CLAIMS
    assert Keyring({"new": KEY}).verify(RING.issue(CLAIMS)) == CLAIMS
    assert Keyring({"new": KEY}).verify(old) is None


def test_a_key_answers_to_its_own_id_only() -> None:
    assert RING.verify(signed({**HEADER, "kid": "old"}, PAYLOAD, KEY)) is None


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
    assert RING.verify(signed(header, PAYLOAD)) is None


@pytest.mark.parametrize(("alg", "digest"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_other_algorithms_with_our_key_are_refused(alg: str, digest: str) -> None:
    assert RING.verify(signed({**HEADER, "alg": alg}, PAYLOAD, KEY, digest)) is None


def test_public_key_algorithms_are_refused() -> None:
    """RFC 8725, 2.1: no confusion of a public key with a secret."""
    for alg in ("RS256", "ES256", "PS256", "EdDSA"):
        assert RING.verify(signed({**HEADER, "alg": alg}, PAYLOAD)) is None


def test_unsigned_tokens_are_refused() -> None:
    text = signed({**HEADER, "alg": "none"}, PAYLOAD).rpartition(".")[0]
    for token in (text, text + ".", text + ".x"):
        assert RING.verify(token) is None


def test_a_token_has_one_spelling() -> None:
    """RFC 7515, 2: base64url without padding; a token that could be written twice defeats revocation by text."""
    token = RING.issue(CLAIMS)
    for other in (token + "=", token + "==", " " + token, token + "\n", token + ".", "." + token, token + ".x"):
        assert RING.verify(other) is None
    assert RING.verify(token.replace(".", ".=", 1)) is None


def test_forged_parts() -> None:
    token = signed(HEADER, PAYLOAD)
    head, payload, signature = token.split(".")
    forged = b64(json.dumps({**PAYLOAD, "evt": "other"}).encode())
    assert RING.verify(f"{head}.{forged}.{signature}") is None
    assert RING.verify(signed(HEADER, PAYLOAD, b"x" * 32)) is None
    assert RING.verify(f"{head}.{payload}.{b64(b'')}x") is None
    assert RING.verify(f"{head}.{payload}.{signature[:-4]}") is None


def test_tokens_have_a_limit() -> None:
    def padded(n: int) -> str:
        return signed(HEADER, {**PAYLOAD, "sub": "a" * n})

    longest = max(n for n in range(2500, 3200) if len(padded(n)) <= MAX_TOKEN_CHARS)
    assert RING.verify(padded(longest)) is not None
    assert RING.verify(padded(longest + 3)) is None
    assert RING.verify("a" * 1_000_000) is None


@pytest.mark.parametrize("name", sorted(PAYLOAD.keys() - {"pid"}))
def test_every_claim_must_be_there(name: str) -> None:
    assert RING.verify(signed(HEADER, {key: value for key, value in PAYLOAD.items() if key != name})) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"typ": "refresh"},
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
    assert RING.verify(signed(HEADER, {**PAYLOAD, **changed})) is None


@pytest.mark.parametrize("payload", [[], "x", 7, None, b"", b"{", b"\xff\xfe", b"[" * 3000])
def test_payloads_that_are_none(payload: object) -> None:
    assert RING.verify(signed(HEADER, payload)) is None


def test_an_expired_token_still_says_whose_it_is() -> None:
    """Only then can a holder of a valid signature be told the reason."""
    ancient = replace(CLAIMS, not_before=1, expires=2)
    assert RING.verify(RING.issue(ancient)) == ancient


def test_further_registered_claims_decide_nothing() -> None:
    assert RING.verify(signed(HEADER, {**PAYLOAD, "iat": 1 << 40, "aud": "else", "iss": "else"})) == CLAIMS


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}"))
def test_any_text_is_refused_without_a_fault(text: str) -> None:
    assert RING.verify(text) is None


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_character_can_be_changed(at: int, character: int) -> None:
    token = RING.issue(CLAIMS)
    at %= len(token)
    changed = token[:at] + chr(character) + token[at + 1 :]
    claims = RING.verify(changed)
    # The last character of a signature has bits that mean nothing; all else is signed.
    assert claims is None or changed == token or at == len(token) - 1


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (999.999, Reason.NOT_YET_VALID),
        (1000, Reason.OUTSIDE_WINDOW),
        (1099.999, Reason.OUTSIDE_WINDOW),
        (1100, None),
        (1899.999, None),
        (1900, Reason.OUTSIDE_WINDOW),
        (1999.999, Reason.OUTSIDE_WINDOW),
        (2000, Reason.EXPIRED),
    ],
)
def test_the_edges_of_time(now: float, reason: Reason | None) -> None:
    """RFC 7519, 4.1.4 and 4.1.5: `exp` is exclusive, `nbf` inclusive."""
    assert CLAIMS.reason_at(now, "game", "watch") is reason


def test_event_and_scope() -> None:
    assert CLAIMS.reason_at(1500, "other", "watch") is Reason.WRONG_EVENT
    assert CLAIMS.reason_at(1500, "game", "trading") is Reason.SCOPE_MISSING
    assert CLAIMS.reason_at(1500, "game", "wager") is None


def test_ends_at_whatever_comes_first() -> None:
    assert CLAIMS.ends == 1900
    assert replace(CLAIMS, expires=1500).ends == 1500


def test_keys_are_checked_at_the_start() -> None:
    for keys in ({}, {"a": KEY, "b": KEY, "c": KEY}):
        with pytest.raises(SettingsError, match="one or two"):
            Keyring(keys)
    with pytest.raises(SettingsError, match="31 bytes"):
        Keyring({"a": b"k" * 31})
