"""What a relay knows of a showing's cuts: found by itself, or kept for all.

Every relay finds the same cuts, as a rule. Where it matters when something was heard (a blackout that was made late),
or what has left the origin's list since, they may not: so each says what it finds, one process keeps it, in the order
in which it came and on disk (`relay/io/cut_keeper.py`), and tells everybody, also who begins later.

Rules:
* What was found here counts at once: nothing waits for the bus, or for a process that is away.
* What is kept outweighs it: where the two contradict each other, all is added up anew, the kept first. So all who have
  heard the same are of one mind.
* What is not yet kept is said again, until it is, or is contradicted. In a new epoch everything is.
"""

from __future__ import annotations

from typing import Any

from kernel.bus import Signal, Topic
from kernel.errors import DecodeError
from relay.cuts import Cuts, Record

AGAIN_S = 2.0
"""How long it may take until what was said is kept: a signal reaches somebody at most once."""

MAX_SAID = 500
"""Records that are said at a time: some 30 KB."""


def cuts_topic(stream: str) -> Topic[list[Any]]:
    """Return where blackouts of a stream open and close, and what stands where there, as it is kept for all relays.

    A record is a list of records as in `relay/cuts.py`; one may come again. Offsets rise, with gaps.
    """
    return Topic(f"{stream}/cuts")


def cut_found_signal(stream: str) -> Signal[list[Any]]:
    """Return the signal by which a relay says what it has found of that: `[epoch, records]`."""
    return Signal(f"{stream}/cut_found")


class CutLedger:
    """Add up a showing's cuts from both.

    Args:
        cuts: what comes of it; nobody else adds what is kept.
    """

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        # In the order in which they came; by their text, which is the same on both sides of a bus.
        self._kept: dict[str, Record] = {}
        self._waiting: dict[str, Record] = {}
        self._said: set[str] = set()
        self._said_at = float("-inf")

    @property
    def n_waiting(self) -> int:
        """Return how many records were found here and are not kept."""
        return len(self._waiting)

    def found(self, records: list[Record]) -> None:
        """Take note of what has just been added to the cuts here."""
        self._waiting |= {repr(record): record for record in records}

    def confirm(self, records: list[Record]) -> str | None:
        """Take in what is kept; return why some of it is not understood, None if all of it is."""
        fresh = {repr(record): record for record in records}
        fresh = {text: record for text, record in fresh.items() if text not in self._kept}
        why, is_one_mind = None, True
        for text, record in fresh.items():
            waits = self._waiting.pop(text, None) is not None
            try:
                agrees = waits or self._cuts.add(record) or self._cuts.holds(record)
            except DecodeError as error:
                why = str(error)
                continue
            self._kept[text] = record
            is_one_mind = is_one_mind and agrees
        if not is_one_mind:
            self._add_up()
        elif fresh:
            # A beginning that turned out to be earlier has taken the place of one that waits.
            self._waiting = {text: record for text, record in self._waiting.items() if self._cuts.holds(record)}
        self._said &= self._waiting.keys()
        return why

    def begin_epoch(self) -> None:
        """Have everything said again: what was kept belongs to a log that is over."""
        self._waiting = self._kept | self._waiting
        self._kept, self._said = {}, set()

    def due(self, *, now: float) -> list[Record]:
        """Return what is to be said now, in the order in which it was found. `now` is bus time in seconds."""
        if now - self._said_at >= AGAIN_S:
            self._said.clear()
        due = [text for text in self._waiting if text not in self._said][:MAX_SAID]
        if due:
            self._said.update(due)
            self._said_at = now
        return [self._waiting[text] for text in due]

    def _add_up(self) -> None:
        """Begin anew: what is kept, then what else was found here, as far as it still says something."""
        self._cuts.clear()
        for record in self._kept.values():
            self._cuts.add(record)
        self._waiting = {text: record for text, record in self._waiting.items() if self._cuts.add(record)}
