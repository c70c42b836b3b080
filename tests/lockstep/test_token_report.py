from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.tokens import Keyring, Purpose
from lockstep.token_report import ELSEWHERE, REMEDIES, report
from relay.token_verifier import Flaw
from tests.support.issuer import KIDS, payload, signed, verifier
from tests.support.tokens import KEYS, NOW, claims, token

BOTH = {"k2": b"n" * 32, **KEYS}


def told(text: str, now: float = NOW, keys: dict[str, bytes] = KEYS) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(report(text, keys, now=now).to_json())
    return answer


def test_a_valid_one() -> None:
    assert told(token()) == {
        "valid": True,
        "why": None,
        "detail": "it admits to its showing",
        "genuine": True,
        "kid": "k1",
        "signs": True,
        "claims": {
            "typ": "session", "jti": "token-1", "sub": "ann", "evt": "game", "nbf": NOW - 10, "exp": NOW + 3600,
            "win": [NOW - 10, NOW + 3600], "sid": "session-1", "scp": ["wager", "watch"],
        },
        "purpose": "session",
        "elsewhere": False,
    }  # fmt: skip
    assert report(token(), KEYS, now=NOW).lines() == [
        "valid now  yes",
        'signed by  "k1", which signs now',
        "claims     proven",
        '  typ  "session"',
        '  jti  "token-1"',
        '  sub  "ann"',
        '  evt  "game"',
        "  nbf  1799999990  (2027-01-15T07:59:50+00:00)",
        "  exp  1800003600  (2027-01-15T09:00:00+00:00)",
        "  win  [1799999990, 1800003600]  (2027-01-15T07:59:50+00:00 to 2027-01-15T09:00:00+00:00)",
        '  sid  "session-1"',
        '  scp  ["wager", "watch"]',
    ]


def test_the_key_that_signed_before() -> None:
    answer = told(token(), keys=BOTH)
    assert (answer["valid"], answer["kid"], answer["signs"]) == (True, "k1", False)
    assert 'signed by  "k1", still accepted' in report(token(), BOTH, now=NOW).lines()


@pytest.mark.parametrize(
    ("changes", "now", "why"),
    [
        ({}, NOW + 3600, "expired"),
        ({}, NOW - 11, "not_yet_valid"),
        ({"window": (NOW + 5, NOW + 9)}, NOW, "outside_window"),
        ({"scopes": frozenset()}, NOW, "scope_missing"),
    ],
)
def test_a_genuine_one_that_is_not_valid_now(changes: dict[str, Any], now: float, why: str) -> None:
    answer = told(token(**changes), now)
    assert (answer["valid"], answer["why"], answer["genuine"]) == (False, why, True)
    assert why in answer["detail"]


def test_every_flaw_has_a_sentence() -> None:
    head, payload, signature = token().split(".")
    ring = Keyring(KEYS)
    stranger = Keyring({"k1": b"o" * 32}).issue(claims())
    cases = {
        "x" * 5000: Flaw.TOO_LONG,
        "hello": Flaw.MALFORMED,
        f"{head}.{payload}.{signature}=": Flaw.BAD_SIGNATURE,
        f"e30.{payload}.{signature}": Flaw.BAD_HEADER,
        Keyring({"k9": b"o" * 32}).issue(claims()): Flaw.UNKNOWN_KEY,
        stranger: Flaw.BAD_SIGNATURE,
        ring.sign({"typ": "session"}): Flaw.BAD_CLAIMS,
        ring.sign({**told(token())["claims"], "typ": "other"}): Flaw.WRONG_PURPOSE,
    }
    assert set(cases.values()) == set(Flaw) - {Flaw.WRONG_ISSUER}
    assert set(Flaw) == REMEDIES.keys() == ELSEWHERE.keys()
    for text, flaw in cases.items():
        answer = told(text)
        assert (answer["valid"], answer["why"]) == (False, flaw), text
        assert answer["detail"].startswith(REMEDIES[flaw])
        assert answer["genuine"] is (flaw in (Flaw.BAD_CLAIMS, Flaw.WRONG_PURPOSE))
        assert f"no: {flaw}" in report(text, KEYS, now=NOW).lines()[0]


def test_a_missing_claim_is_named() -> None:
    text = Keyring(KEYS).sign({**told(token())["claims"], "exp": "soon"})
    assert told(text)["detail"] == "a claim is missing or of another type: Expected `int`, got `str` - at `$.exp`"


def test_what_a_forged_one_claims_is_said_to_be_unproven() -> None:
    stranger = Keyring({"k9": b"o" * 32}).issue(claims(account="eve"))
    lines = report(stranger, KEYS, now=NOW).lines()
    assert 'signed by  nobody we know; it names the key "k9"' in lines
    assert "claims     NOT proven" in lines
    assert '  sub  "eve"' in lines
    assert report("hello", KEYS, now=NOW).lines()[-1] == "claims     cannot be read"


@pytest.mark.parametrize("text", [token(), token()[:-1] + "A", Keyring({"k9": b"o" * 32}).issue(claims())])
def test_neither_the_signature_nor_the_whole_is_shown(text: str) -> None:
    _, payload, signature = text.split(".")
    for shown in (report(text, KEYS, now=NOW).to_json(), "\n".join(report(text, KEYS, now=NOW).lines())):
        assert signature not in shown
        assert payload not in shown


def test_a_stranger_cannot_write_to_the_terminal() -> None:
    nasty = "\x1b[2J\u202e\n\r"
    forged = Keyring({nasty: b"o" * 32}).sign({nasty: nasty, "sub": nasty, "exp": 1e300, "nbf": [], "win": "x"})
    shown = "\n".join(report(forged, KEYS, now=NOW).lines())
    assert "x1b" not in ascii(shown)
    assert shown.isascii()
    assert "\r" not in shown


def test_an_entitlement_of_ours() -> None:
    text = Keyring(KEYS).issue(claims(), Purpose.ENTITLEMENT)
    answer = told(text)
    assert (answer["valid"], answer["purpose"], answer["elsewhere"]) == (True, "entitlement", False)
    assert "begins a session" in answer["detail"]
    assert told(text, now=NOW + 3600)["why"] == "expired"


@pytest.mark.parametrize("alg", KIDS)
def test_one_from_elsewhere(alg: str) -> None:
    told = report(signed(alg), KEYS, now=NOW, elsewhere=verifier())
    assert (told.valid, told.genuine, told.signs, told.kid) == (True, True, False, KIDS[alg])
    assert told.purpose is Purpose.ENTITLEMENT
    assert told.lines()[1] == f'signed by  "{KIDS[alg]}", of the issuer in the settings'
    assert report(signed(alg), KEYS, now=NOW + 3600, elsewhere=verifier()).why == "expired"
    # Without the issuer in the settings nobody can say.
    alone = report(signed(alg), KEYS, now=NOW)
    assert (alone.why, alone.genuine, alone.elsewhere) == ("bad_header", False, False)


@pytest.mark.parametrize(
    ("text", "why", "told", "genuine"),
    [
        (signed("EdDSA", payload(evt="a/b", exp="soon")), "bad_claims", "another type: evt, exp", True),
        (signed("EdDSA", payload(aud="x")), "wrong_issuer", "iss or aud", True),
        (signed("EdDSA", payload(typ="session")), "wrong_purpose", "entitlement", True),
        (signed("EdDSA", b"[]"), "bad_claims", "no JSON object", True),
        (signed("EdDSA", None, {"kid": "x"}), "unknown_key", "issuer's file", False),
        (signed("EdDSA", None, {"kid": "rsa-1"}), "bad_header", "issuer's algorithms", False),
        (signed("EdDSA", name="eve"), "bad_signature", "did not sign", False),
    ],
    ids=["claims", "audience", "purpose", "list", "kid", "other kid", "another key"],
)
def test_what_is_wrong_with_one_from_elsewhere(text: str, why: str, told: str, genuine: bool) -> None:
    found = report(text, KEYS, now=NOW, elsewhere=verifier())
    assert (found.why, found.genuine, found.elsewhere) == (why, genuine, True)
    assert told in found.detail


def test_ours_are_ours_beside_an_issuer() -> None:
    assert report(token(), KEYS, now=NOW, elsewhere=verifier()) == report(token(), KEYS, now=NOW)
