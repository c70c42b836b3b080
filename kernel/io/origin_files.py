"""Read what an origin keeps in a local folder, and nothing outside it.

A packager may be at work in it. What that means:

* A playlist may be replaced (a new file under the old name) or written in place, and then be empty or cut anywhere for
  a moment. One that does not end with a line's end is half a playlist (RFC 8216, 4.1: lines are *terminated*); until
  it is whole the one before it stands. A list that was left without its last line's end is taken as it is.
* A segment may be listed before it is closed. While somebody has it open for writing it is not taken.
* Polling must cost little: a playlist is read again only if the file looks different, and once more after that,
  because a change within one tick of the file system's clock looks like none.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.system_time import wall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SETTLE_S = 0.2
"""Between two looks at a segment that is being written, or may be: a copy or a download writes every few ms."""

LEFT_S = 2.0
"""A playlist that nobody has touched for so long is not in the middle of being written: packagers write one at once."""

MAX_READINGS = 100
"""Playlists whose last reading is kept: the renditions of a dozen showings."""

_Looks = tuple[int, int, int]


@dataclass(slots=True)
class _Reading:
    """A playlist as it was read: what the file looked like, how often it did, what it held, and its last whole text."""

    looks: _Looks
    times: int
    body: bytes
    whole: bytes | None


class FileOrigin:
    """Read files inside the folders of the configured playlists.

    Args:
        playlists: their file references; each one's folder, with all below it, is open.
        folders: more folders that are open.
    """

    def __init__(self, playlists: Iterable[str] = (), *, folders: Iterable[Path] = ()) -> None:
        # As written: links are followed when something is read, which blocks, and then as they are by then.
        self._playlists = [Path(self.path_of(ref)) for ref in playlists]
        self._folders = list(folders)
        self._readings: dict[str, _Reading] = {}

    @staticmethod
    def path_of(ref: str) -> str:
        """Return the path that a file reference names (RFC 8089); a query string names the same file."""
        return unquote(urlsplit(ref).path)

    def read(self, ref: str, limit_bytes: int, byte_range: tuple[int, int] | None = None) -> bytes:
        """Return a file's bytes, or those of a range of it, as they are now. Blocks.

        Args:
            ref: a file reference.
            limit_bytes: larger files, or ranges, are refused.
            byte_range: offset and length.

        Raises:
            OriginMissing: there is no such file.
            OriginRefused: it lies outside the folders, is no regular file, or is too large.
            OriginError: it cannot be read, or is shorter than the range asks.
        """
        with self._open(ref) as file:
            return _body(file, limit_bytes, byte_range)

    def playlist(self, ref: str, limit_bytes: int) -> bytes:
        """Return a playlist's last whole text: the very same object while nothing changed. Blocks.

        Raises:
            OriginError: as `read`; also if it is only half written yet, and no former one is known.
        """
        with self._open(ref) as file:
            looks = _looks(file)
            reading = self._readings.pop(ref, None)
            if reading is None or reading.looks != looks:
                reading = _Reading(looks, 0, b"", reading.whole if reading else None)
            if reading.times < 2:
                body = _body(file, limit_bytes, None)
                reading.body = reading.whole if body == reading.whole and reading.whole is not None else body
            # Changed while we read: what we have may be of two minds.
            stirred = _looks(file) != looks
            reading.times = 0 if stirred else reading.times + 1
            left = abs(wall() - looks[1] / 1e9) > LEFT_S
        self._readings[ref] = reading
        if len(self._readings) > MAX_READINGS:
            del self._readings[next(iter(self._readings))]
        if not stirred and (reading.body.endswith(b"\n") or left):
            reading.whole = reading.body
        if reading.whole is None:
            raise OriginError(f"{self.path_of(ref)!r} is being written: its last line has no end yet")
        return reading.whole

    async def segment(
        self, ref: str, limit_bytes: int, byte_range: tuple[int, int] | None = None, *, patience_s: float
    ) -> bytes:
        """Return the bytes of a file that nobody writes any more, or those of a range of it.

        Args:
            ref: a file reference.
            limit_bytes: larger files, or ranges, are refused.
            byte_range: offset and length. A file that is read by ranges may grow on: what they name has been written.
            patience_s: how long to wait until the file is closed, in seconds.

        Raises:
            OriginError: as `read`; also if it is still being written after that time.
        """
        if byte_range is not None:
            return await asyncio.to_thread(self.read, ref, limit_bytes, byte_range)
        former: _Looks | None = None
        for look in range(max(2, round(patience_s / SETTLE_S))):
            if look:
                await asyncio.sleep(SETTLE_S)
            body, former = await asyncio.to_thread(self._closed, ref, limit_bytes, former)
            if body is not None:
                return body
        raise OriginError(f"{self.path_of(ref)!r} is still being written after {patience_s:g} s")

    def _closed(self, ref: str, limit_bytes: int, former: _Looks | None) -> tuple[bytes | None, _Looks]:
        """Return a file's bytes if it is closed, or cannot be told to be open and looks as it did before."""
        with self._open(ref) as file:
            looks = _looks(file)
            written_to = self._written_to(file)
            if written_to or (written_to is None and looks != former):
                return None, looks
            return _body(file, limit_bytes, None), looks

    def _written_to(self, file: BinaryIO) -> bool | None:
        return has_writer(file.fileno())

    @contextlib.contextmanager
    def _open(self, ref: str) -> Iterator[BinaryIO]:
        parts = urlsplit(ref)
        path = self.path_of(ref)
        if parts.netloc not in ("", "localhost") or "\0" in path:
            raise OriginRefused(f"{ref[:200]!r} names no local file")
        try:
            # The canonical path, links followed: a link that leads outside is outside.
            real = Path(path).resolve()
            folders = [*self._folders, *(playlist.resolve().parent for playlist in self._playlists)]
            if not any(real.is_relative_to(folder.resolve()) for folder in folders):
                raise OriginRefused(f"{path!r} lies outside the origin's folder")
            # A pipe or a device could keep us for ever.
            if not stat.S_ISREG(real.stat().st_mode):
                raise OriginRefused(f"{path!r} is no regular file")
            with real.open("rb") as file:
                yield file
        except (FileNotFoundError, NotADirectoryError):
            raise OriginMissing(f"{path!r} is not there") from None
        except OSError as error:
            raise OriginError(f"{path!r} cannot be read: {error.strerror}") from None


def has_writer(fd: int) -> bool | None:
    """Return whether somebody has a file open for writing; None where that cannot be told.

    Linux grants a read lease only on a file that nobody writes (fcntl(2), "Leases"), to the file's owner or with
    CAP_LEASE; network file systems know none. It is given back at once.
    """
    try:
        # Should a writer come in between, the kernel says so by this signal: one that is ignored unless asked for.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _looks(file: BinaryIO) -> _Looks:
    facts = os.fstat(file.fileno())
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _body(file: BinaryIO, limit_bytes: int, byte_range: tuple[int, int] | None) -> bytes:
    offset, length = byte_range or (0, os.fstat(file.fileno()).st_size)
    if length > limit_bytes:
        raise OriginRefused(f"{file.name!r} has {length} bytes; at most {limit_bytes} are taken")
    file.seek(offset)
    body = file.read(length)
    if len(body) < length:
        raise OriginError(f"{file.name!r} ends before byte {offset + length}")
    return body
