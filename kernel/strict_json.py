r"""The one decoder of JSON that vendors and clients send (RFC 8259), stricter than the standard library's.

Taken for granted behind it: the text is UTF-8 without lone surrogates, so it can be encoded again for every
subscriber; numbers are finite and integers fit 64 bits; no object names a key twice; nothing nests, counts or
weighs more than the limits say. The standard library alone takes NaN and 1e999, lets the last of two equal keys
win, reads `\ud800` and recurses until it raises RecursionError.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from kernel.errors import DecodeError, MessageTooLarge

_MAX_INTEGER_CHARS = 20
"""An unsigned 64-bit integer has 20 digits; converting a longer one costs time quadratic in its length."""

_MAX_NUMBER_CHARS = 64
"""A double is written exactly enough with 17 significant digits; more than 64 characters is no measurement."""

_INTEGERS = range(-(1 << 63), 1 << 64)
"""What MessagePack can carry, hence what every subscriber can be sent."""

# The closing quote is optional and the quantifiers possessive: an unclosed string is passed over in one go, so the
# cost is linear whatever the text. Where it misreads broken text, the parser behind it stops at the same place.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_EMPTY = re.compile(r"\[\s*+\]|\{\s*+\}")
_BRACKET = re.compile(r"[\[\]{}]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_COLONS_APART = (" :", "\n:", "\r:", "\t:")
_TO_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS = b"0" * 19
"""An integer of so many digits may not fit 64 bits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a message may be.

    Args:
        max_bytes: its length in UTF-8.
        max_depth: how deep arrays and objects may nest; a bare number has depth 0.
        max_nodes: how many values it may hold, itself included; keys do not count.
    """

    max_bytes: int
    max_depth: int
    max_nodes: int


CLIENT_LIMITS = Limits(max_bytes=4 << 10, max_depth=16, max_nodes=2_000)
"""A subscription with all its filters takes under 2 KiB; the socket's own limit is 4 KiB as well."""

VENDOR_LIMITS = Limits(max_bytes=4 << 20, max_depth=32, max_nodes=200_000)
"""A whole NBA game is 0.4 MB and 20,000 values, an MLB one up to 2 MB."""


def decode(data: bytes | str, limits: Limits) -> Any:
    """Decode one JSON document.

    Raises:
        MessageTooLarge: it exceeds one of `limits`, or holds a number of absurd length.
        DecodeError: it is not JSON as this module's docstring has it.
    """
    text = _text(data, limits.max_bytes)
    _check_shape(text, limits, roots=1)
    value = _parse_fast(text)
    return _parse(text) if value is None else value


def decode_lines(data: bytes | str, limits: Limits) -> list[Any]:
    """Decode JSON documents that stand one a line; blank lines are passed over.

    The limits hold for all lines together. Errors name the line, counted from 1.

    Raises:
        MessageTooLarge: as for `decode`.
        DecodeError: as for `decode`.
    """
    text = _text(data, limits.max_bytes)
    _check_shape(text, limits, roots=text.count("\n") + 1)
    documents = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(" \t\r"):
            try:
                documents.append(_parse(line))
            except DecodeError as error:
                raise type(error)(f"line {number}: {error}") from None
    return documents


def encode(value: Any) -> str:
    """Return `value` as compact JSON that `decode` reads back.

    Raises:
        ValueError: a number is not finite, or a text has no UTF-8 form.
        TypeError: something in it has no place in JSON.
    """
    try:
        text = _fast_encoder.encode(value)
    except OverflowError:
        # An integer beyond 64 bits: JSON itself has no bound.
        return _encoder.encode(value)
    # To the fast encoder what is not finite is null; where there is a null at all, the strict one has the word.
    return _encoder.encode(value) if b"null" in text else text.decode()


def encode_known(value: Any) -> bytes:
    """Return what was decoded here, or is made of such, as compact JSON in UTF-8: its numbers are finite already.

    Tuples and dataclasses are written as arrays and objects.

    Raises:
        TypeError: something in it has no place in JSON.
    """
    return _fast_encoder.encode(value)


def decode_known(data: bytes | str) -> Any:
    """Read back what was written by `encode_known` or `encode`.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return _fast_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"damaged: {error}") from error


def _text(data: bytes | str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise MessageTooLarge(f"the message is longer than {max_bytes} bytes")
    if isinstance(data, bytes):
        try:
            # RFC 3629, 3: surrogates have no UTF-8 form; Python's decoder refuses them.
            return data.decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"not UTF-8: byte {error.start} {error.reason}") from None
    try:
        encoded = len(data) if data.isascii() else len(data.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(f"not UTF-8: a lone surrogate at character {error.start}") from None
    if encoded > max_bytes:
        raise MessageTooLarge(f"the message is longer than {max_bytes} bytes")
    return data


def _check_shape(text: str, limits: Limits, roots: int) -> None:
    """Check depth and number of values before anything recurses or allocates."""
    openings = text.count("[") + text.count("{")
    if openings + text.count(",") + roots <= limits.max_nodes and (
        openings <= limits.max_depth or _nests_within(limits.max_depth, text)
    ):
        return
    bare = _STRING.sub("0", text)
    openings = bare.count("[") + bare.count("{")
    at_least = max(roots + bare.count(","), openings)
    # Every container but an empty one holds one value more than commas.
    if at_least > limits.max_nodes or (
        roots + bare.count(",") + openings - len(_EMPTY.findall(bare)) > limits.max_nodes
    ):
        raise MessageTooLarge(f"the message holds more than {limits.max_nodes} values")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > limits.max_depth:
            raise MessageTooLarge(f"the message nests deeper than {limits.max_depth} levels")
        if depth < 0:
            break  # not JSON; the parser says where


def _nests_within(max_depth: int, text: str) -> bool:
    """Return whether brackets are in pairs and no deeper; False where that would take a closer look."""
    if "\\" in text:
        return False
    # Nothing is escaped, so quotes open and close strings in turn. Where none is left between brackets once pairs of
    # them are gone, every bracket had an even number of quotes before it: it stands in no string.
    brackets = text.encode(errors="replace").translate(None, _ALL_BUT_BRACKETS).replace(b'""', b"")
    for _ in range(max_depth):
        if not brackets:
            return True
        # One level at a time: the innermost.
        brackets = brackets.replace(b"{}", b".").replace(b"[]", b".").translate(None, b".")
    return not brackets


def _parse(text: str) -> Any:
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if "\\ud" in text or "\\uD" in text:
        # RFC 8259, 8.2: an escape can name half a pair, which no UTF-8 can carry onwards.
        try:
            _encoder.encode(value).encode()
        except UnicodeEncodeError:
            at = min(i for i in (text.find("\\ud"), text.find("\\uD")) if i >= 0)
            raise DecodeError(f"a lone surrogate is escaped at or after character {at}") from None
    return value


def _parse_fast(text: str) -> Any:
    """Return what a text says; None where it is null, in doubt, or wrong: the strict decoder then says what.

    The fast decoder lets the last of two equal keys win; then what it read, written again, has fewer members than the
    text. They are counted by the quote and colon behind each key: so nothing may be escaped, and no colon stand apart.
    Nor is it asked about integers of many digits.
    """
    if "\\" in text or any(apart in text for apart in _COLONS_APART):
        return None
    if _MANY_DIGITS in text.encode(errors="replace").translate(_TO_ONE_DIGIT):
        return None
    try:
        value = _fast_decoder.decode(text)
        again = _fast_encoder.encode(value)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return value if b"\\" not in again and again.count(b'":') == text.count('":') else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # RFC 8259, 4: names should be unique; readers differ on which of two counts, so neither does.
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DecodeError(f"the key {twice[:64]!a} stands twice in one object")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_CHARS or (value := int(digits)) not in _INTEGERS:
        raise MessageTooLarge(f"the integer {digits[:24]}... does not fit 64 bits")
    return value


def _float(digits: str) -> float:
    if len(digits) > _MAX_NUMBER_CHARS:
        raise MessageTooLarge(f"the number {digits[:24]}... is longer than {_MAX_NUMBER_CHARS} characters")
    value = float(digits)
    if not math.isfinite(value):
        raise DecodeError(f"the number {digits} is not finite")
    return value


def _constant(name: str) -> NoReturn:
    raise DecodeError(f"{name} is no JSON number")  # RFC 8259, 6


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)
_fast_decoder = msgspec.json.Decoder(strict=True)
_fast_encoder = msgspec.json.Encoder()
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
