"""Fields of a policy's text, read strictly; each error names the path of the field, as `watch.rules[3].where`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from kernel.errors import DecodeError
from relay.place.model import Point

E = TypeVar("E", bound=StrEnum)

_QUOTED_CHARS = 64


def quoted(value: object) -> str:
    """Return what was written, short and printable, for a message."""
    text = ascii(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    return text if len(text) <= _QUOTED_CHARS else text[: _QUOTED_CHARS - 3] + "..."


def inside(path: str, name: str) -> str:
    """Return the path of a field of an object."""
    return f"{path}.{name}" if path else name


def object_of(value: object, path: str, fields: Mapping[str, bool]) -> Mapping[str, Any]:
    """Return an object that has no other fields than these.

    Args:
        value: what was written.
        path: where.
        fields: names, and whether each is required.

    Raises:
        DecodeError: it is none, has another field, or lacks one.
    """
    if not isinstance(value, Mapping):
        raise DecodeError(f"{path or 'the policy'}: an object is expected, not {quoted(value)}")
    for name in value:
        if name not in fields:
            shown = inside(path, ascii(str(name)[:_QUOTED_CHARS])[1:-1])
            raise DecodeError(f"{shown}: there is no such field; there are {', '.join(fields)}")
    for name, required in fields.items():
        if required and name not in value:
            raise DecodeError(f"{inside(path, name)}: the field is missing")
    return value


def list_of(value: object, path: str, *, least: int = 1) -> list[Any]:
    """Return a list with at least so many entries.

    Raises:
        DecodeError: it is none, or has fewer.
    """
    if not isinstance(value, list):
        raise DecodeError(f"{path}: a list is expected, not {quoted(value)}")
    if len(value) < least:
        raise DecodeError(f"{path}: the list has {len(value)} entries; at least {least} is expected")
    return value


def text_of(value: object, path: str, *, most: int) -> str:
    """Return a text of 1 to `most` characters that can be printed.

    Raises:
        DecodeError: it is none.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable() or value.isspace():
        raise DecodeError(f"{path}: a text of 1 to {most} printable characters is expected, not {quoted(value)}")
    return value


def flag_of(value: object, path: str) -> bool:
    """Return true or false.

    Raises:
        DecodeError: it is neither.
    """
    if not isinstance(value, bool):
        raise DecodeError(f"{path}: true or false is expected, not {quoted(value)}")
    return value


def number_of(value: object, path: str, least: float, most: float) -> float:
    """Return a finite number from `least` to `most`.

    Raises:
        DecodeError: it is none, or out of range.
    """
    # True is an integer to Python; a number that is not finite can come as an object only, never as JSON.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DecodeError(f"{path}: a number is expected, not {quoted(value)}")
    if not least <= value <= most:
        raise DecodeError(f"{path}: {quoted(value)} is out of range; from {least:g} to {most:g} is expected")
    return float(value)


def choice_of(value: object, path: str, kind: type[E]) -> E:
    """Return one of the words of `kind`.

    Raises:
        DecodeError: it is none of them.
    """
    if not isinstance(value, str) or value not in set(kind):
        raise DecodeError(f"{path}: {quoted(value)} is none of {', '.join(kind)}")
    return kind(value)


def position_of(value: object, path: str) -> Point:
    """Return a position, [longitude, latitude] in degrees (RFC 7946, 3.1.1, without an altitude).

    Raises:
        DecodeError: it is none.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise DecodeError(f"{path}: [longitude, latitude] is expected")
    return Point(number_of(value[0], f"{path}[0]", -180, 180), number_of(value[1], f"{path}[1]", -90, 90))
