"""Verify our own tokens on the hot path: JWS compact form, HS256, claims of known types (RFC 7515, RFC 7519, RFC 8725).

Of what PyJWT refuses nothing is taken here. Of what PyJWT takes, these are refused:

1. Longer than 4 KiB.
2. Padding: a token has one spelling (RFC 7515, 2: no padding; RFC 4648, 3.5: the bits beyond the last byte are zero).
3. A header or payload that is not strict JSON (`kernel/strict_json.py`): not UTF-8, a key that stands twice, NaN, half
   a surrogate pair, integers beyond 64 bits, nesting beyond 16 levels. PyJWT lets the last of two keys win.
4. A header whose `kid` is not one of ours, whose `typ` is there and not "JWT", or with `crit` or `b64` whatever they
   say: we understand no extension (RFC 7515, 4.1.11; RFC 7797).
5. Claims that are missing or of another type; a time that is no integer from 0 to 2**53 - 1 (RFC 7493, 2.2).
6. Claims of the stream count that are not what they should be: as if there were none, they would limit nothing.
7. Another purpose (`typ` among the claims) than the verifier's.

Unknown claims and header parameters decide nothing: `jku`, `jwk` or `x5u` never lead to a key (RFC 8725, 3.10). Times
are not judged here but by `Claims.reason_at`: the holder of a valid signature is told the reason.

What makes it fast: the two SHA-256 states that a key sets up are copied, not made; a header that has been verified once
is recognised by its bytes; pybase64 decodes sixteen characters and more at a time; msgspec decodes and type-checks the
claims in one pass.
"""

from __future__ import annotations

import hashlib
from binascii import Error as Base64Error
from collections.abc import Mapping
from enum import StrEnum
from hmac import compare_digest
from typing import Annotated, Any, Protocol

import msgspec
from pybase64 import b64decode, b64encode

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS, Binding, Claims, Purpose, checked_keys
from kernel.value import Record
from relay.stream_count.claims import ENTITLEMENTS, STREAM_COUNT, Streams, is_streams, streams_of

MAX_HEADERS = 64
"""How many spellings of the header are remembered: an issuer has one per key, and a handful of issuers is many."""

USUAL_SCOPES = 2
"""Who watches and wagers has two."""

_BLOCK_BYTES = 64
_SIGNATURE_CHARS = 43  # 32 bytes in Base64 without padding
_PLUS, _SLASH, _BACKSLASH = b"+/\\"
_PADDING = (b"", b"", b"==", b"=")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])
"""By the length modulo 4: which characters leave no bit set beyond the last byte."""

_Time = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class _Payload(msgspec.Struct, gc=False, rename={"entitlements": ENTITLEMENTS, "stream_count": STREAM_COUNT}):
    """The claims as they stand in a token."""

    typ: str
    jti: str
    sub: str
    evt: str
    nbf: _Time
    exp: _Time
    win: tuple[_Time, _Time]
    sid: str
    scp: frozenset[str]
    pid: str | None = None
    geo: str | None = None
    fph: str | None = None
    net: str | None = None
    dev: str | None = None
    ent: str | None = None
    hzp: str | None = None
    pln: str | None = None
    stc: tuple[tuple[str, int], ...] | None = None
    entitlements: Any = None
    stream_count: Any = None


_REQUIRED = 9
_decode_payload = msgspec.json.Decoder(_Payload).decode


class Flaw(StrEnum):
    """What is wrong with a token. It is for whoever holds the keys; a stranger learns nothing of it."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    BAD_HEADER = "bad_header"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIMS = "bad_claims"
    WRONG_PURPOSE = "wrong_purpose"
    WRONG_ISSUER = "wrong_issuer"


class SigningParty(Protocol):
    """Whose signature it was: our own key, or another issuer's."""

    accepted: bool


class VerifyingKey:
    """One key, set up once.

    `accepted` turns false when it is rotated out, and never true again: whoever keeps what it signed looks there.
    """

    __slots__ = ("_inner", "_outer", "accepted", "kid", "secret")

    def __init__(self, kid: str, secret: bytes) -> None:
        self.kid = kid
        self.secret = secret
        self.accepted = True
        # RFC 2104, 2 and 4: what both hashes begin with is hashed once. The library's object costs twice as much.
        block = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Tell whether `signature`, in Base64url, is this key's of `text`. Constant time (RFC 8725, 3.2)."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        # Compared as text: only one spelling of the right signature is the right signature.
        expected = b64encode(outer.digest(), b"-_")[:_SIGNATURE_CHARS]
        return compare_digest(expected, signature)


class Verified(Record):
    """A token whose signature holds: its claims, and the key it holds under.

    `ends` is when it admits nobody any more, in Unix seconds. `is_usual` says that no claim's text takes more bytes
    than the token spends on it (ASCII, nothing escaped), and that there is no claim of many parts. The rest is what the
    cache notes on it (`relay/token_cache.py`): one object for each token rather than two.
    """

    claims: Claims
    key: SigningParty
    ends: int
    is_usual: bool = False
    n_bytes: int = 0
    used: bool = False


class TokenVerifier:
    """Verify tokens of one purpose.

    Args:
        keys: secret by key id, one or two, each of at least 32 bytes.
        purpose: what the tokens must be for.

    Raises:
        SettingsError: the keys are none that tokens may be signed with.
    """

    def __init__(self, keys: Mapping[str, bytes], purpose: Purpose = Purpose.SESSION) -> None:
        self._purpose = str(purpose)
        self._keys: dict[str, VerifyingKey] = {}
        self._headers: dict[bytes, VerifyingKey] = {}
        self.rotate(keys)

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Accept `keys` from now on, and no others.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay accepted.
        """
        former, self._keys = (
            self._keys,
            {
                kid: key
                if (key := self._keys.get(kid)) is not None and key.secret == secret
                else VerifyingKey(kid, secret)
                for kid, secret in checked_keys(keys).items()
            },
        )
        for key in former.values():
            key.accepted = self._keys.get(key.kid) is key
        self._headers.clear()

    def verify(self, token: str) -> Claims | None:
        """Return the claims of a token whose signature holds, or None: a stranger's token has no meaning."""
        verified = self.open(token)
        return verified.claims if isinstance(verified, Verified) else None

    def open(self, token: str) -> Verified | Flaw:
        """Return what a token says and under which key, or its flaw.

        Guaranteed: never raises, whatever the text; nothing of the payload is decoded unless the signature holds.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return Flaw.TOO_LONG
        # RFC 7515, 7.1: three parts, two dots.
        if not token.isascii():
            return Flaw.MALFORMED
        text = token.encode()
        # A fourth part would be in the payload, which then is no Base64.
        signed, _, signature = text.rpartition(b".")
        header, dot, payload = signed.partition(b".")
        if not dot:
            return Flaw.MALFORMED
        key = self._headers.get(header)
        if key is None:
            named = self._key_of(header)
            if isinstance(named, Flaw):
                return named
            key = named
        if not key.signed(signed, signature):
            return Flaw.BAD_SIGNATURE
        if len(self._headers) < MAX_HEADERS:
            # Only now: what strangers write is not remembered.
            self._headers[header] = key
        return self._claims(payload, key)

    def _key_of(self, text: bytes) -> VerifyingKey | Flaw:
        plain = from_base64url(text)
        if plain is None:
            return Flaw.MALFORMED
        try:
            header = decode(plain, CLIENT_LIMITS)
        except DecodeError:
            return Flaw.BAD_HEADER
        if not isinstance(header, dict) or header.get("alg") != "HS256" or "crit" in header or "b64" in header:
            return Flaw.BAD_HEADER
        # RFC 7519, 5.1: "JWT" should be spelled in uppercase, but is a media type's name, which has no case.
        kind, kid = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.upper() != "JWT":
            return Flaw.BAD_HEADER
        key = self._keys.get(kid) if isinstance(kid, str) else None
        return Flaw.UNKNOWN_KEY if key is None else key

    def _claims(self, text: bytes, key: VerifyingKey) -> Verified | Flaw:
        plain = from_base64url(text)
        if plain is None:
            return Flaw.MALFORMED
        try:
            said = _decode_payload(plain)
            # Each member of an object has its colon. As many colons as claims: none stands twice, none is unknown, and
            # all have been read. If there are more, it may be a session's binding; else the whole text is looked at.
            colons = plain.count(b":")
            if colons == _REQUIRED and said.typ == self._purpose:
                # Nothing but what all have: the usual one, and nothing else need be asked of it.
                ends, window, scopes = said.exp, said.win, said.scp
                claims = Claims(said.jti, said.sub, said.evt, said.nbf, ends, window, said.sid, scopes, kid=key.kid)
                if window[1] < ends:
                    ends = window[1]
                is_usual = plain.isascii() and _BACKSLASH not in plain and len(scopes) <= USUAL_SCOPES
                return Verified(claims, key, ends, is_usual)
            known = _REQUIRED + (said.pid is not None) + (said.geo is not None) + (said.fph is not None)
            known += (said.hzp is not None) + (said.pln is not None) + (said.stc is not None)
            binding = None
            if colons != known:
                binding = _binding(said)
                bound = 0 if binding is None else 3 - binding.count(None)
                if colons != known + bound:
                    decode(plain, CLIENT_LIMITS)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecodeError):
            return Flaw.BAD_CLAIMS
        if said.typ != self._purpose:
            return Flaw.WRONG_PURPOSE
        streams: Streams = ()
        if said.stc is not None or said.entitlements is not None or said.stream_count is not None:
            counted = _streams(said)
            if counted is None:
                return Flaw.BAD_CLAIMS
            streams = counted
        claims = Claims(
            said.jti, said.sub, said.evt, said.nbf, said.exp, said.win, said.sid, said.scp, None,
            None, said.pid, said.geo, said.fph, binding, key.kid, said.hzp, said.pln, streams,
        )  # fmt: skip
        is_usual = binding is None and not streams and len(said.scp) <= USUAL_SCOPES
        is_usual = is_usual and plain.isascii() and _BACKSLASH not in plain
        return Verified(claims, key, claims.ends, is_usual)


def _binding(said: _Payload) -> Binding | None:
    binding = Binding(said.net, said.dev, said.ent)
    return None if binding == (None, None, None) else binding


def _streams(said: _Payload) -> Streams | None:
    """Return how many streams a token speaks of: our own claim, else those of others; None where it is wrong."""
    if said.stc is not None:
        return said.stc if is_streams(said.stc) else None
    others = {ENTITLEMENTS: said.entitlements, STREAM_COUNT: said.stream_count}
    return streams_of({name: value for name, value in others.items() if value is not None})


def from_base64url(text: bytes) -> bytes | None:
    """Return what `text` encodes in Base64url without padding (RFC 7515, appendix C), None if it is not canonical."""
    rest = len(text) % 4
    # What plain Base64 has instead of "-" and "_" would be taken, too.
    if not text or text[-1] not in _LAST[rest] or _PLUS in text or _SLASH in text:
        return None
    try:
        return b64decode(text + _PADDING[rest], b"-_", True)  # noqa: FBT003 - `validate`; by name it takes longer
    except Base64Error:
        return None


def claims_fault(payload: bytes) -> str:
    """Return in words what is wrong with a payload that was refused for its claims, naming no value of it."""
    try:
        said = _decode_payload(payload)
        decode(payload, CLIENT_LIMITS)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecodeError) as error:
        return str(error)
    return "" if _streams(said) is not None else f"stc, {ENTITLEMENTS} or {STREAM_COUNT}"
