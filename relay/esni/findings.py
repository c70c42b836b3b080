"""What was not understood, or not taken over as it stands: each with its path and line, none in silence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class At(NamedTuple):
    """Where something stands in a document.

    Args:
        path: the elements that hold it, such as `/Media/MediaPoint[2]/Apply`.
        line: counted from 1; 0: it stands in no document.
        document: which one, as it was called.
    """

    path: str = ""
    line: int = 0
    document: str = ""


NOWHERE = At()


class FindingKind(StrEnum):
    """What sort of thing a reader should know."""

    UNKNOWN_ELEMENT = "unknown_element"
    UNKNOWN_ATTRIBUTE = "unknown_attribute"
    UNKNOWN_AUDIENCE = "unknown_audience"
    UNKNOWN_ACTION = "unknown_action"
    BAD_VALUE = "bad_value"
    UNRESOLVED = "unresolved"
    DUPLICATE_ID = "duplicate_id"
    SIGNAL = "signal"
    WINDOW = "window"
    WIDENED = "widened"
    NOT_CARRIED = "not_carried"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader should know.

    Args:
        kind: its sort.
        at: where it stands.
        text: what was found, and what is made of it.
    """

    kind: FindingKind
    at: At
    text: str


class Findings:
    """What was found so far, each thing once: what is referred to twice is found once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, kind: FindingKind, at: At, text: str) -> None:
        """Note one."""
        self._found.setdefault(Finding(kind, at, text))

    def all(self) -> tuple[Finding, ...]:
        """Return them by document and line; what stands on one line as it was found."""
        return tuple(sorted(self._found, key=lambda one: (one.at.document, one.at.line)))
