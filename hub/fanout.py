"""Cues as framed bytes, made once however many subscribers, flushes and replays ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from hub.messages import cue_map, frame

if TYPE_CHECKING:
    from kernel.cues import Entry

log = structlog.get_logger("hub")

KEPT_FRAMES = 4_096
"""How many frames are kept for who is behind: 2 MB at the 450 bytes of an NBA play."""


class Frames:
    """Keep the frames of one stream's latest cues, by offset."""

    def __init__(self) -> None:
        self._frames: dict[int, bytes] = {}

    def of(self, entry: Entry) -> bytes:
        """Return the frame of an entry; empty, and said in the log, if its body cannot be written."""
        known = self._frames.get(entry.o)
        if known is not None:
            return known
        try:
            made = frame(cue_map(entry))
        except (ValueError, TypeError, RecursionError) as error:
            # One vendor's broken body must not silence every subscriber.
            log.error("cue.unwritable", o=entry.o, id=entry.cue.id, error=str(error))
            made = b""
        self._frames[entry.o] = made
        if len(self._frames) > KEPT_FRAMES:
            del self._frames[next(iter(self._frames))]
        return made

    def clear(self) -> None:
        """Forget all: the log's epoch has changed, offsets mean something else."""
        self._frames.clear()
