"""Another issuer's tokens that are nearly right, held against PyJWT: of what it refuses nothing may be taken.

Ed25519 signs here, for it is the quickest; what differs between the algorithms is looked at in
`tests/relay/test_issuer_verifier.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import jwt

from kernel.tokens import Claims
from relay.issuer_verifier import IssuerVerifier
from relay.token_verifier import Verified
from tests.support.issuer import ISSUER, b64, jwk_of, jwks, private_key, verifier

_HEADER = {"alg": '"EdDSA"', "typ": '"JWT"', "kid": '"ed-1"'}
_PAYLOAD = {
    "iss": '"https://shop.example"', "aud": '"lockstep"', "sub": '"a"', "evt": '"g"', "jti": '"j"', "exp": "20",
    "nbf": "10", "win": "[11,19]", "scp": '["watch"]', "pid": '"p"', "geo": '"us"', "typ": '"entitlement"',
}  # fmt: skip
_NAMES = (*_HEADER, *_PAYLOAD, "crit", "b64", "jku", "jwk", "iat", "x", "", "ex\\u0070", "aud ", "é")
_VALUES = (
    '"EdDSA"', '"RS256"', '"HS256"', '"none"', '"ed-1"', '"rsa-1"', '"n\\u0065w"', '"JWT"', '"jwt"', '"lockstep"',
    '["lockstep"]', '["x","lockstep"]', '["lockstep",1]', '"https://shop.example"', '["https://shop.example"]',
    '"entitlement"', '"session"', '""', '"x"', '"é"', '"\\ud800"', '"\\u0000"', "0", "1", "-1", "20", "15.0", "2e1",
    '"20"', "1e999", "NaN", "Infinity", "9007199254740991", "9007199254740992", "1" * 30, "null", "true", "false", "[]",
    "{}", "[11,19]", "[11]", "[1,2,3]", "[1.5,2]", '["watch"]', '"watch wager"', '["watch",1]', '{"a":1,"a":2}',
    "[" * 20 + "]" * 20, '"' + "a" * 300 + '"', '"' + "a" * 3100 + '"',
)  # fmt: skip
_JUNK = ("=", "==", ".", "..", " ", "\n", "\x00", "+", "/", "é", "A", "_", "%3D")


class Mutator:
    """Make tokens that are nearly right.

    Args:
        seed: the same seed makes the same tokens.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._keys = [private_key("EdDSA"), private_key("EdDSA", "eve")]

    def token(self) -> str:
        """Return the next one."""
        draw = self._random
        header, payload = list(_HEADER.items()), list(_PAYLOAD.items())
        if draw.random() < 0.3:
            self._change(header)
        for _ in range(draw.choice((0, 1, 1, 2))):
            self._change(payload)
        key = self._keys[draw.random() < 0.03]
        text = f"{b64(self._text(header))}.{b64(self._text(payload))}"
        token = f"{text}.{b64(key.sign(text.encode()))}"
        return self._misspelled(token) if draw.random() < 0.15 else token

    def _change(self, members: list[tuple[str, str]]) -> None:
        draw = self._random
        kind, at = draw.randrange(5), draw.randrange(len(members))
        if kind == 0:
            del members[at]
        elif kind <= 2:
            members[at] = (members[at][0], draw.choice(_VALUES))
        elif kind == 3:
            members.insert(at, (draw.choice(_NAMES), draw.choice(_VALUES)))
        else:
            members.append((members[at][0], draw.choice((members[at][1], draw.choice(_VALUES)))))

    def _text(self, members: list[tuple[str, str]]) -> bytes:
        draw = self._random
        data = ("{" + ",".join([f'"{name}":{value}' for name, value in members]) + "}").encode("utf-8", "surrogatepass")
        if draw.random() > 0.05:
            return data
        at = draw.randrange(len(data))
        return draw.choice(
            (data[:at], data + b" x", data[:at] + draw.randbytes(1) + data[at + 1 :], b"\xef\xbb\xbf" + data)
        )

    def _misspelled(self, token: str) -> str:
        draw = self._random
        at, kind = draw.randrange(len(token)), draw.randrange(4)
        if kind == 0:
            return token[:at] + draw.choice("AZaz09-_") + token[at + 1 :]
        if kind == 1:
            return token[:at] + draw.choice(_JUNK) + token[at:]
        if kind == 2:
            return token[:at]
        return token + draw.choice(_JUNK)


_PYJWT_KEYS = {"ed-1": jwt.PyJWK.from_dict(jwk_of("EdDSA"))}


def pyjwt(token: str) -> dict[str, Any] | None:
    """Return what PyJWT makes of a token's claims, None if it refuses it."""
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        said: dict[str, Any] = jwt.decode(
            token, _PYJWT_KEYS[kid], algorithms=["EdDSA"], issuer=ISSUER.name, audience=ISSUER.audience,
            # Times are judged against the caller's `now`.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "jti"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return said


def compare(token: str, ours: IssuerVerifier) -> str:
    """Hold the verifier against PyJWT and return, in a word, what both made of the token.

    Raises:
        AssertionError: ours takes what PyJWT refuses, or reads it otherwise.
    """
    opened, said = ours.open(token), pyjwt(token)
    if not isinstance(opened, Verified):
        return f"both refuse: {opened}" if said is None else f"we refuse: {opened}"
    assert said is not None, f"PyJWT refuses {token!r}"
    nbf, exp, scopes = said.get("nbf", 0), said["exp"], said.get("scp", ["watch"])
    start, end = said.get("win") or (nbf, exp)
    assert opened.claims == Claims(
        jti=said["jti"],
        account=said["sub"],
        event_id=said["evt"],
        not_before=nbf,
        expires=exp,
        window=(start, end),
        session="",
        scopes=frozenset(scopes.split(" ") if isinstance(scopes, str) else scopes) & {"watch", "wager"},
        purchase=said.get("pid"),
        geo=said.get("geo"),
    ), token
    return "both take"


def fuzz(examples: int, seed: int) -> Counter[str]:
    """Hold the verifier against PyJWT on so many tokens, and return how often both made what of them."""
    mutator, ours = Mutator(seed), verifier(ISSUER, jwks(jwk_of("EdDSA")))
    return Counter(compare(mutator.token(), ours) for _ in range(examples))
