"""Cues as framed bytes, made once a format however many subscribers, flushes and replays ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from hub.messages import cue_map, frame

if TYPE_CHECKING:
    from hub.snapshot import Batch, Message
    from hub.subscriber import Format
    from kernel.cues import Entry

log = structlog.get_logger("hub")

KEPT_FRAMES = 4_096
"""How many frames are kept for who is behind: 2 MB at the 450 bytes of an NBA play."""


class Frames:
    """Keep the frames of one stream's latest cues in one format, by offset."""

    def __init__(self, format_: Format = "json") -> None:
        self._format: Format = format_
        self._frames: dict[int, bytes] = {}

    def of(self, entry: Entry) -> bytes:
        """Return the frame of an entry; empty, and said in the log, if its body cannot be written."""
        known = self._frames.get(entry.o)
        if known is not None:
            return known
        try:
            made = frame(cue_map(entry), self._format)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            # One vendor's broken body must not silence every subscriber.
            log.error("cue.unwritable", o=entry.o, id=entry.cue.id, error=str(error))
            made = b""
        self._frames[entry.o] = made
        if len(self._frames) > KEPT_FRAMES:
            del self._frames[next(iter(self._frames))]
        return made

    def of_batch(self, batch: Batch) -> tuple[bytes, int]:
        """Return the joined frames of some cues, and how many they are."""
        made = batch.frames.get(self._format)
        if made is None:
            frames = [one for entry in batch.entries if (one := self.of(entry))]
            made = batch.frames[self._format] = (b"".join(frames), len(frames))
        return made

    def of_message(self, message: Message) -> bytes:
        """Return the frame of a map that goes to several."""
        made = message.frames.get(self._format)
        if made is None:
            made = message.frames[self._format] = frame(message.map, self._format)
        return made

    def clear(self) -> None:
        """Forget all: the log's epoch has changed, offsets mean something else."""
        self._frames.clear()
