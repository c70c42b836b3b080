"""What a relay tells the desk of revocations of a session that is to end: a signal of plain values."""

from __future__ import annotations

from typing import Any, NamedTuple

from kernel.bus import Signal
from kernel.revocation import MAX_VALUE_CHARS, Subject, SubjectKind

FRESH_S = 30.0
"""How old it may be: the bus gives the last one to whoever begins to listen, and an operator may have undone it."""

MAX_WORDS_CHARS = 400


class Suspect(NamedTuple):
    """A session that is to end.

    `at` is when it was found and `ends` when it would end by itself, both in Unix seconds; `words` say why.
    """

    subject: Subject
    words: str
    at: float
    ends: int


def suspects_signal() -> Signal[list[Any]]:
    """Return the signal; its records are `told_of` and `suspect_of`."""
    return Signal("leaks")


def told_of(suspect: Suspect) -> list[Any]:
    """Return a record of the signal."""
    return [suspect.subject.kind.value, suspect.subject.value, suspect.words, suspect.at, suspect.ends]


def suspect_of(record: Any, *, now: float) -> Suspect | None:
    """Return whom a record tells of, None where it is none of ours or too old; `now` is Unix time in seconds."""
    match record:
        case [("session" | "token") as kind, str(value), str(words), float(at) | int(at), int(ends)] if (
            0 < len(value) <= MAX_VALUE_CHARS
        ):
            if not now - FRESH_S <= at <= now + FRESH_S:
                return None
            return Suspect(Subject(SubjectKind(kind), value), words[:MAX_WORDS_CHARS], float(at), ends)
    return None
