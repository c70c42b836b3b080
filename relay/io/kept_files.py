"""A file that is read again when it has changed, while what was read last stays in use until then.

* A file is looked at by its inode, time and size. It is read once it has been at rest from one look to the next: what
  somebody is still writing would be read by half.
* What cannot be read, or does not say what it should, is refused, said once, and changes nothing. So is a file that
  has gone. It is tried again when it changes, and when the reason was not in what it says (no memory, no file
  descriptors), at the next look.
* At the start there is nothing yet to stay in use: then it is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from kernel.errors import DecodeError, SettingsError

log = structlog.get_logger("place")

T = TypeVar("T")
_Stamp = tuple[int, int, int]


class KeptFile(Generic[T]):
    """Keep what a file says.

    Args:
        source: what it is called in logs and metrics.
        path: of the file.
        read: reads it, which may take its time; raises DecodeError or OSError.
        reread: the same while others are served: nothing of it may hold up the loop.
    """

    def __init__(
        self, source: str, path: Path, read: Callable[[Path], T], reread: Callable[[Path], Awaitable[T]]
    ) -> None:
        self.source = source
        self.path = path
        self.taken = 0
        self.refused = 0
        self._read = read
        self._reread = reread
        self._value: T | None = None
        self._used: _Stamp | None = None
        self._seen: _Stamp | None = None
        self._tried: _Stamp | None = None
        self._said = ""

    @property
    def value(self) -> T:
        """Return what it said when it was read last; only after `open`."""
        assert self._value is not None
        return self._value

    @property
    def is_open(self) -> bool:
        """Return whether it was read."""
        return self._value is not None

    def open(self) -> None:
        """Read it for the first time, waiting for the disk.

        Raises:
            SettingsError: it cannot be read, or is not what it should be.
        """
        try:
            self._used = self._seen = _stamp(self.path)
            self._value = self._read(self.path)
        except OSError as error:
            raise SettingsError(f"place: {self.source} {self.path}: {error.strerror or error}") from error
        except DecodeError as error:
            raise SettingsError(f"place: {self.source} {error}") from error

    async def look(self) -> T | None:
        """Read it again if it has changed and is at rest; return what was used until now, None if nothing changed."""
        try:
            # The disk may be slow or gone: never on the loop.
            stamp = await asyncio.to_thread(_stamp, self.path)
        except OSError as error:
            self._refuse(error.strerror or str(error))
            self._seen = None
            return None
        at_rest, self._seen = stamp == self._seen, stamp
        if stamp == self._used:
            # Back to what is in use, whatever it was meanwhile.
            self._said, self._tried = "", None
            return None
        if not at_rest or stamp == self._tried:
            return None
        return await self._take(stamp)

    async def _take(self, stamp: _Stamp) -> T | None:
        try:
            value = await self._reread(self.path)
        except DecodeError as error:
            self._tried = stamp
            self._refuse(str(error))
            return None
        except OSError as error:
            self._refuse(error.strerror or str(error))
            return None
        before, self._value = self.value, value
        self._used, self._tried, self._said = stamp, None, ""
        self.taken += 1
        log.info("place.taken", source=self.source, path=str(self.path), said=str(value))
        return before

    def _refuse(self, why: str) -> None:
        if why == self._said:
            return
        self._said = why
        self.refused += 1
        log.error(
            "place.refused", source=self.source, path=str(self.path), error=why, remedy="the old one stays in use"
        )


def _stamp(path: Path) -> _Stamp:
    told = path.stat()
    return told.st_ino, told.st_mtime_ns, told.st_size
