"""One way to write a JSON value, and 64 bits of its digest: what client and server compare.

The form is that of RFC 8785 (JSON Canonicalization Scheme): no space, members in the order of their names' UTF-16 code
units, numbers as ECMAScript writes them. So a client in any language agrees, also one that has only doubles.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_HASH_BYTES = 8
_MAX_PLAIN = 1e21
"""ECMAScript, Number::toString: from 10^21 on a number is written with an exponent."""
_MIN_PLAIN = 1e-6
_plain_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> str:
    """Return `value`, plain JSON, in its canonical form.

    Raises:
        ValueError: a number is not finite.
        TypeError: something in it has no place in JSON.
    """
    if not _has_fractions(value):
        text = _plain_encoder.encode(value)
        # Code points and UTF-16 code units sort alike as long as there are none but the first 128.
        if text.isascii():
            return text
    return _by_hand(value)


def _has_fractions(value: Any) -> bool:
    """Return whether there is anything but texts, integers and their like: those the standard encoder writes alike."""
    kind = type(value)
    if kind is dict:
        return any(map(_has_fractions, value.values()))
    if kind is list or kind is tuple:
        return any(map(_has_fractions, value))
    return kind is not str and kind is not int and kind is not bool and value is not None


def _by_hand(value: Any) -> str:
    if isinstance(value, dict):
        # RFC 8785, 3.2.3: sorted by UTF-16 code units, not by code points.
        names = sorted(value, key=_utf16)
        return "{" + ",".join(f"{_text(name)}:{_by_hand(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_by_hand, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, allow_nan=False)


def hash64(value: Any) -> str:
    """Return the first 8 bytes of the SHA-256 of the canonical form in UTF-8, as 16 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).digest()[:_HASH_BYTES].hex()


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


def _text(value: str) -> str:
    # RFC 8785, 3.2.2.2: what need not be escaped is not; the encoder's escapes are the ones prescribed.
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """Write a double as ECMAScript does (RFC 8785, 3.2.2.3): both use the shortest digits that read back."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value} is no JSON number")
    if value == 0:
        return "0"
    if value.is_integer() and abs(value) < _MAX_PLAIN:
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    if _MIN_PLAIN <= abs(value) < _MAX_PLAIN:
        # Python turns to exponents at 10^-5, ECMAScript below 10^-6.
        digits = mantissa.lstrip("-").replace(".", "")
        return ("-" if value < 0 else "") + "0." + "0" * (-int(exponent) - 1) + digits
    sign = "+" if int(exponent) > 0 else "-"
    return f"{mantissa}e{sign}{abs(int(exponent))}"
