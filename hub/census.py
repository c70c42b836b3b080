"""Who is here now: taken when it is asked for, so that nothing has to be kept up to date for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from hub.subscriber import Format, Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hub.subscriber import Subscriber

KINDS: tuple[tuple[Mode, Format], ...] = tuple(
    (mode, form) for mode in get_args(Mode) for form in get_args(Format)
)  # fmt: skip


class Census(NamedTuple):
    """How many there are, of one showing."""

    subscribed: Mapping[tuple[Mode, Format], int]
    reporting: int
    """Of them, viewers whose players report."""
    paused: int
    """Of them, those whose sockets have not drained."""
    behind: int
    """Of them, those who are owed more than was written."""


def census(subscribers: Iterable[Subscriber]) -> Census:
    """Count subscribers; 10,000 take some four milliseconds."""
    subscribed = dict.fromkeys(KINDS, 0)
    reporting = paused = behind = 0
    for one in subscribers:
        subscribed[one.mode, one.format] += 1
        reporting += one.playhead is not None
        paused += one.paused_at is not None
        behind += one.behind is not None
    return Census(subscribed, reporting, paused, behind)
