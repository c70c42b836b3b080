"""How far each log has reached, noted beside the journal: so that a journal put back from an older copy is found out.

A log that ends earlier than its subscribers know must not go on under the same epoch: their cursors lie beyond it, and
what they have is in no journal any more. The note is written after each commit and before anybody is told, one file a
stream. It is not synchronised: it outlives the process, not the machine, whose fall the journal itself survives whole;
a note that is behind the journal proves nothing and is put right.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger("journal")

_LINE_BYTES = 160
"""One line of fixed width, written in one call: a process that is killed leaves the old one or the new one."""


class Head(NamedTuple):
    """The end of a log: its epoch, the last offset sealed (-1: none), the first `ver` not promised away."""

    epoch: str
    o: int
    ver: int


class LogHeads:
    """Note the heads of all logs in a folder; call it from the journal's thread only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._heads: dict[str, Head] = {}

    def recall(self, stream: str, known: Head) -> Head:
        """Return what was noted of a stream, `known` where there is no note that can be read."""
        noted = self._read(stream)
        self._heads[stream] = known if noted is None else noted
        return self._heads[stream]

    def begin(self, stream: str, epoch: str, o: int) -> None:
        """Note a new epoch, whose log reaches up to `o`."""
        known = self._heads.get(stream)
        self._note(stream, Head(epoch, o, known.ver if known else 0))

    def ver(self, stream: str) -> int:
        """Return the first `ver` that is noted not to be promised away, 0 where nothing is noted."""
        known = self._heads.get(stream)
        return known.ver if known is not None else 0

    def advance(self, stream: str, *, o: int = -1, ver: int = 0) -> None:
        """Note that a log reaches further, or that more of `ver` is promised away."""
        known = self._heads.get(stream)
        if known is not None:
            self._note(stream, Head(known.epoch, max(known.o, o), max(known.ver, ver)))

    def _note(self, stream: str, head: Head) -> None:
        if self._heads.get(stream) == head:
            return
        self._heads[stream] = head
        text = f"{head.epoch} {head.o} {head.ver}"
        line = f"{text} {zlib.crc32(text.encode()):08x}".ljust(_LINE_BYTES - 1) + "\n"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(self._folder / stream, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(handle, line.encode(), 0)
            finally:
                os.close(handle)
        except OSError as error:
            # What is sealed is sealed; without the note only an old copy would go unnoticed.
            log.error("journal.head_not_noted", event_id=stream, error=str(error))

    def _read(self, stream: str) -> Head | None:
        try:
            text, _, check = (self._folder / stream).read_text("ascii").strip().rpartition(" ")
            epoch, o, ver = text.split(" ")
            if f"{zlib.crc32(text.encode()):08x}" != check:
                raise ValueError("its checksum does not fit")
            return Head(epoch, int(o), int(ver))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("journal.head_unreadable", event_id=stream, error=str(error))
            return None
