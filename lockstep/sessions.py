"""Which book of sessions a process has."""

from __future__ import annotations

from kernel.io.system_time import wall
from lockstep.settings import Settings
from relay.io.embedded_book import EmbeddedBook

BOOK = "sessions.sqlite"
"""The file of the book below the data folder, where one process has all houses."""


async def open_book(settings: Settings) -> EmbeddedBook:
    """Open the book of sessions; whoever opens it closes it, after all that asks it.

    Args:
        settings: say where it lies.

    Raises:
        JournalError: it is damaged, held by another process, or cannot be written.
    """
    return await EmbeddedBook.open(settings.data_dir / BOOK, wall=wall)
