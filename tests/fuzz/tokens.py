"""Tokens that are nearly right, and the oracle: what PyJWT makes of them, less what we refuse beyond it.

The rules are those of the docstring of `relay/token_verifier.py`, written a second time and without regard to speed.
"""

from __future__ import annotations

import base64
import hmac
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jwt

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS, Binding, Claims
from relay.token_verifier import TokenVerifier, Verified

OPTIONAL = ("pid", "geo", "fph", "net", "dev", "ent", "pln")
KEYS = {"new": b"n" * 32, "old": b"o" * 40}
STRANGER = b"s" * 32

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_JUNK = (
    "=",
    "==",
    "===",
    ".",
    "..",
    " ",
    "\n",
    "\x00",
    "+",
    "/",
    "é",
    "\u2028",
    "\ud800",
    "A",
    "_",
    "%3D",
    "\N{KELVIN SIGN}",
)
_HEADER = (("alg", '"HS256"'), ("typ", '"JWT"'), ("kid", '"new"'))
_PAYLOAD = (
    ("typ", '"session"'), ("jti", '"j"'), ("sub", '"a"'), ("evt", '"g"'), ("nbf", "10"), ("exp", "20"),
    ("win", "[11,19]"), ("sid", '"s"'), ("scp", '["watch"]'), ("pid", '"p"'), ("geo", '"us"'), ("net", '"n"'),
    ("dev", '"tv"'), ("ent", '"e"'), ("pln", '"s"'),
)  # fmt: skip
_NAMES = (
    *(name for name, _ in _HEADER), *(name for name, _ in _PAYLOAD), "fph", "crit", "b64", "jku", "jwk", "x5u", "zip",
    "iat", "iss", "aud", "x", "", "ex\\u0070", "\\u0074yp", "kid ", "é", "constructor",
)  # fmt: skip
_VALUES = (
    '"HS256"', '"hs256"', '"HS512"', '"HS384"', '"RS256"', '"ES256"', '"none"', '"None"', '""', '"JWT"', '"jwt"',
    '"JOSE"', '"at+jwt"', '"new"', '"old"', '"else"', '"NEW"', '"../new"', '"new\\u0000"', '"n\\u0065w"', '"session"',
    '"Session"', '"entitlement"', '"x"', '"a:b"', '"\\ud800"', '"\\ud83d\\ude00"', '"\N{GRINNING FACE}"', '"é"',
    '"\\u0000"', '"\\x"', '"\t"', '"\x7f"', "0", "1", "-1", "-0", "1000", "2000.0", "2e3", "02000", "1.", ".5",
    "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "nan", "9007199254740991", "9007199254740992",
    "18446744073709551616", "1" * 30, "null", "true", "false", "True", "[]", "{}", "[1100]", "[1100,1900]", "[1,2,3]",
    "[1.5,2]", "[true,2]", "[null,1]", '["watch"]', '["a","a"]', '["watch",1]', '[["b"]]', '["b64"]', '["exp"]',
    '{"a":1,"a":2}', '{"a":{"b":[1,{"c":null}]}}', "[" * 20 + "]" * 20,
)  # fmt: skip
_LARGE = ("1" * 500, "[" * 1100 + "]" * 1100, "[" * 900, '"' + "a" * 700 + '"', '"' + "a" * 3100 + '"')
_BYTES = b'{}[]:,"\\ \t\x00\x01\x7f\xff\xc3\xed\xa0\x80 019eE.+-untfNI'


_USUAL = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"new"}').decode().rstrip("=") + "."


class Mutator:
    """Make tokens that are nearly right.

    Args:
        seed: the same seed makes the same tokens.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._good = [self._signed(_HEADER, _PAYLOAD[:n], KEYS["new"]) for n in (9, 10, 11, 14)]
        self._good.append(self._signed((*_HEADER[:2], ("kid", '"old"')), _PAYLOAD, KEYS["old"]))

    def token(self) -> str:
        """Return the next one."""
        draw = self._random.random()
        if draw < 0.4:
            return self._misspelled(self._random.choice(self._good))
        text = self._rewritten()
        return self._misspelled(text) if draw < 0.43 else text

    def _misspelled(self, token: str) -> str:
        """Change the text of a token: somebody in between, without the key."""
        draw = self._random
        kind, at = draw.randrange(9), draw.randrange(len(token) + 1)
        if kind == 0:
            return token[:at] + draw.choice(_ALPHABET) + token[at + 1 :]
        if kind == 1:
            return token[:at] + chr(draw.choice((draw.randrange(128), draw.randrange(0x11_0000)))) + token[at + 1 :]
        if kind == 2:
            return token[:at] + token[at + draw.randrange(1, 4) :]
        if kind == 3:
            return token[:at] + draw.choice(_JUNK) + token[at:]
        if kind == 4:
            return draw.choice((token + draw.choice(_JUNK), draw.choice(_JUNK) + token))
        parts, others = token.split("."), draw.choice(self._good).split(".")
        which = draw.randrange(len(parts))
        if kind == 5:
            parts[which] = others[which % 3]
        elif kind == 6:
            parts[which] = self._other_spelling(parts[which])
        elif kind == 7:
            parts = draw.choice(
                (parts[:which], parts[which:], parts + others[:1], parts[::-1], [*parts, ""], ["", *parts])
            )
        else:
            parts[which] = draw.choice(("", parts[which] * 2, parts[which].lower()))
        return ".".join(parts)

    def _other_spelling(self, part: str) -> str:
        """Spell the same bytes otherwise: padding, bits beyond the last byte, the other alphabet."""
        draw = self._random.randrange(4)
        if draw == 0 or not part:
            return part + "=" * (-len(part) % 4)
        if draw == 1:
            return part + self._random.choice(("=", "==", "A"))
        if draw == 2:
            return part.replace("-", "+").replace("_", "/")
        last = _ALPHABET.find(part[-1])
        return part[:-1] + _ALPHABET[(last | self._random.randrange(1, 16)) & 63]

    def _rewritten(self) -> str:
        """Say something else, and sign it: somebody with a key."""
        draw = self._random
        header, payload = list(_HEADER), list(_PAYLOAD[: draw.randrange(8, 15)])
        kid = draw.choice(("new", "new", "old"))
        header[2] = ("kid", f'"{kid}"')
        key = KEYS[kid] if draw.random() < 0.95 else draw.choice((*KEYS.values(), STRANGER))
        if draw.random() < 0.35:
            self._change(header)
        for _ in range(draw.choice((0, 1, 1, 1, 2))):
            self._change(payload)
        if draw.random() < 0.01:
            # Rare: what is large takes PyJWT long.
            payload.append((draw.choice(_NAMES), draw.choice(_LARGE)))
        return self._signed(header, payload, key, wild=True)

    def _change(self, members: list[tuple[str, str]]) -> None:
        draw = self._random
        kind, at = draw.randrange(7), draw.randrange(len(members))
        if kind == 0:
            del members[at]
        elif kind <= 2:
            members[at] = (members[at][0], draw.choice(_VALUES))
        elif kind == 3:
            members.insert(draw.randrange(len(members) + 1), (draw.choice(_NAMES), draw.choice(_VALUES)))
        elif kind == 4:
            members.append((members[at][0], draw.choice((members[at][1], draw.choice(_VALUES)))))
        elif kind == 5:
            members[at] = (draw.choice(_NAMES), members[at][1])
        else:
            draw.shuffle(members)

    def _signed(self, header: Any, payload: Any, key: bytes, *, wild: bool = False) -> str:
        parts = [base64.urlsafe_b64encode(self._text(part, wild)).rstrip(b"=").decode() for part in (header, payload)]
        digest = "sha256"
        if wild:
            odd = self._random.random()
            if odd < 0.02:
                which = self._random.randrange(2)
                parts[which] = self._other_spelling(parts[which])
            elif odd < 0.03:
                digest = self._random.choice(("sha512", "sha384", "sha1"))
        text = ".".join(parts)
        signature = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), digest)).rstrip(b"=").decode()
        if wild and self._random.random() < 0.02:
            signature = self._random.choice((self._other_spelling(signature), ""))
        return f"{text}.{signature}"

    def _text(self, members: Any, wild: bool) -> bytes:
        draw = self._random
        odd = draw.random() if wild else 1.0
        colon, comma = draw.choice(((":", ","), (" : ", " ,\n"), (":", ",\t"))) if odd < 0.1 else (":", ",")
        data = ("{" + comma.join([f'"{name}"{colon}{value}' for name, value in members]) + "}").encode(
            "utf-8", "surrogatepass"
        )
        if odd > 0.12:
            return data
        at = draw.randrange(len(data))
        if odd > 0.04:
            # A byte, anywhere.
            return data[:at] + bytes((draw.choice(_BYTES),)) + data[at + draw.randrange(2) :]
        if odd > 0.03:
            return data[:at]
        if odd > 0.02:
            return data + draw.choice((b" ", b"\n", b"x", b"\x00", b"{}", b","))
        if odd > 0.01:
            return draw.choice((b"\xef\xbb\xbf", b" ", b"[", b"\xff\xfe")) + data
        return draw.choice((data.decode("utf-8", "replace").encode("utf-16"), b"[]", b"null", b"7", b'"x"', b""))


def pyjwt(token: str) -> Mapping[str, Any] | None:
    """Return what PyJWT makes of a token (`header`, `payload`), None if it refuses it."""
    # Under the usual header only one key comes into question; else each is tried, and the `kid` looked at later.
    for key in (KEYS["new"],) if token.startswith(_USUAL) else KEYS.values():
        try:
            return jwt.decode_complete(
                token,
                key,
                algorithms=["HS256"],
                # Times are judged against the caller's `now`; audience and issuer decide nothing with us.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
    return None


def stricter(token: str, header: Mapping[str, Any], payload: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the rules by which we refuse a token that PyJWT takes."""
    rules = set()
    if len(token) > MAX_TOKEN_CHARS:
        rules.add(1)
    parts = token.split(".")
    if "=" in token:
        rules.add(2)
    try:
        for part in parts[:2]:
            decode(base64.urlsafe_b64decode(part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)), CLIENT_LIMITS)
    except DecodeError:
        rules.add(3)
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    own = isinstance(kid, str) and kid in KEYS and _key_signed(KEYS[kid], token)
    if not own or not isinstance(kind, str) or kind.upper() != "JWT" or header.keys() & {"crit", "b64"}:
        rules.add(4)
    if not _claims_fit(payload):
        rules.add(5)
    if payload.get("typ") != "session":
        rules.add(6)
    return rules


def _key_signed(key: bytes, token: str) -> bool:
    text, _, signature = token.rpartition(".")
    return (
        base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).rstrip(b"=")
        == signature.rstrip("=").encode()
    )


def _claims_fit(payload: Mapping[str, Any]) -> bool:
    def time(value: object) -> bool:
        return type(value) is int and 0 <= value < 1 << 53

    window, scopes = payload.get("win"), payload.get("scp")
    return (
        all(isinstance(payload.get(name), str) for name in ("typ", "jti", "sub", "evt", "sid"))
        and all(payload.get(name) is None or isinstance(payload[name], str) for name in OPTIONAL)
        and time(payload.get("nbf"))
        and time(payload.get("exp"))
        and isinstance(window, list)
        and len(window) == 2
        and all(time(edge) for edge in window)
        and isinstance(scopes, list)
        and all(isinstance(scope, str) for scope in scopes)
    )


def compare(token: str, verifier: TokenVerifier) -> str:
    """Hold the verifier against PyJWT and return, in a word, what both made of the token.

    Raises:
        AssertionError: they differ, and by no rule that is written down.
    """
    ours, theirs = verifier.open(token), pyjwt(token)
    if theirs is None:
        assert not isinstance(ours, Verified), f"PyJWT refuses {token!r}"
        return f"both refuse: {ours}"
    header, payload = theirs["header"], theirs["payload"]
    rules = stricter(token, header, payload)
    if rules:
        assert not isinstance(ours, Verified), f"taken against rules {rules}: {token!r}"
        return f"we refuse by rule {min(rules)}"
    assert isinstance(ours, Verified), f"refused as {ours}, but by no rule: {token!r}"
    binding = Binding(payload.get("net"), payload.get("dev"), payload.get("ent"))
    assert ours.claims == Claims(
        jti=payload["jti"],
        account=payload["sub"],
        event_id=payload["evt"],
        not_before=payload["nbf"],
        expires=payload["exp"],
        window=tuple(payload["win"]),
        session=payload["sid"],
        scopes=frozenset(payload["scp"]),
        purchase=payload.get("pid"),
        geo=payload.get("geo"),
        fingerprint=payload.get("fph"),
        binding=None if binding == Binding() else binding,
        plan=payload.get("pln"),
    ), token
    assert ours.claims.kid == header["kid"], token
    return "both take"


def fuzz(examples: int, seed: int) -> Counter[str]:
    """Hold the verifier against PyJWT on so many tokens, and return how often both made what of them."""
    mutator, verifier = Mutator(seed), TokenVerifier(KEYS)
    return Counter(compare(mutator.token(), verifier) for _ in range(examples))
