"""Lists in pages, the same for all routes: `after` and `limit` are asked for, `next_after` is told.

What stands behind which page is told by a value of the list's own, a number or a name, that only grows. So a page is
neither doubled nor skipped when something before it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kernel.errors import DecodeError

T = TypeVar("T")

MAX_PAGE = 1_000
DEFAULT_PAGE = 100
MAX_AFTER = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Which entries of a list are wanted: at most `limit` of those behind number `after`."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Some entries of a list, and the number behind which the next ones are, None at the end."""

    entries: list[T]
    next_after: int | None


def page_of(query: Mapping[str, str]) -> Page:
    """Read the query of a GET.

    Raises:
        DecodeError: a number is none, or out of range.
    """
    return Page(_number(query, "after", 0, 0, MAX_AFTER), _number(query, "limit", DEFAULT_PAGE, 1, MAX_PAGE))


PAGE_QUERY: Mapping[str, Mapping[str, Any]] = {
    "after": {
        "description": "`next_after` of the page before; 0: from the beginning.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_AFTER, "default": 0},
    },
    "limit": {
        "description": "How many at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    },
}
"""What `page_of` takes, as an API description says it."""


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    # An integer of thousands of digits would raise.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise DecodeError(f"{name}: a number from {least} to {most} is expected")
    return int(text)
