"""What values are made of that come by the ten thousand a second: compact, quick to make, unseen by the collector.

The cyclic garbage collector walks over everything that holds something else, again and again, and nobody is sent
anything meanwhile. Values hold plain JSON, numbers and each other, never their holder: counting references is enough.
A second owner of msgspec beside `kernel/strict_json.py`: here it makes classes, there it reads and writes JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T", bound=msgspec.Struct)
S = TypeVar("S", bound="Shape")


class Record(msgspec.Struct, gc=False):
    """A value whose fields may be set. A subclass names its fields; nothing in them may lead back to it."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value that never changes; it may be hashed where its fields may."""


def replace(value: T, **changes: Any) -> T:
    """Return a copy of a record with some fields changed.

    Raises:
        TypeError: a name is no field of it.
    """
    return msgspec.structs.replace(value, **changes)


def set_aside(value: Value, name: str, what: Any) -> None:
    """Put into a field of a value what is no part of it: whatever is found by it again and again.

    Such a field says so where it is declared, and counts for nothing where values are compared.
    """
    msgspec.structs.force_setattr(value, name, what)


def to_map(value: Record | Value) -> dict[str, Any]:
    """Return the fields of a record by name."""
    return msgspec.structs.asdict(value)


LAST_MS = 4_102_444_800_000
"""The year 2100. A number beyond it is microseconds, or nonsense."""

FIRST_MS = 100_000_000_000
"""March 1973. A number below it is seconds: in milliseconds it would mean the winter of 1970."""

Chars = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""A name of 1 to 128 characters."""

Count = Annotated[int, msgspec.Meta(ge=1)]
"""A whole number from 1."""


Milliseconds = Annotated[int, msgspec.Meta(ge=FIRST_MS, lt=LAST_MS)]
"""A time of day in Unix milliseconds."""


class Shape(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What plain JSON may look like: a subclass names all fields, their types, and what holds of them."""


def reader(shape: type[S]) -> Callable[[Any], S | None]:
    """Return what reads plain JSON of exactly that shape; None for anything else, without saying what is wrong.

    Ten times as quick as asking field by field: whoever gets None asks.
    """
    convert, error = msgspec.convert, msgspec.ValidationError

    def read(value: Any) -> S | None:
        try:
            return convert(value, shape)
        except error:
            return None

    return read
