"""Which book of sessions a process has."""

from __future__ import annotations

from kernel.io.system_time import wall
from lockstep.settings import Settings
from relay.io.embedded_book import EmbeddedBook
from relay.io.redis_book import RedisBook

BOOK = "sessions.sqlite"
"""The file of the book below the data folder, where one process has all houses."""


async def open_book(settings: Settings, bus_url: str | None = None) -> EmbeddedBook | RedisBook:
    """Open the book of sessions; whoever opens it closes it, after all that asks it.

    Args:
        settings: say where it lies, and what its keys begin with.
        bus_url: the Redis that houses share where they run apart: the book is there, and is asked when it is needed;
            None: one process has all houses, and the book is in its memory and on its disk.

    Raises:
        JournalError: it is damaged, held by another process, or cannot be written.
        SettingsError: the URL is none of a Redis.
    """
    if bus_url is not None:
        return RedisBook(bus_url, wall=wall, prefix=settings.bus.prefix)
    return await EmbeddedBook.open(settings.data_dir / BOOK, wall=wall)
