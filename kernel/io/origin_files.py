"""Read what an origin keeps in a local folder, and nothing outside it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kernel.errors import OriginError, OriginMissing, OriginRefused

if TYPE_CHECKING:
    from collections.abc import Iterable


class FileOrigin:
    """Read files inside the folders of the configured playlists.

    Args:
        playlists: their file references; each one's folder, with all below it, is open.
    """

    def __init__(self, playlists: Iterable[str]) -> None:
        # As written: links are followed when something is read, which blocks, and then as they are by then.
        self._playlists = [Path(self.path_of(ref)) for ref in playlists]

    @staticmethod
    def path_of(ref: str) -> str:
        """Return the path that a file reference names (RFC 8089); a query string names the same file."""
        return unquote(urlsplit(ref).path)

    def read(self, ref: str, limit_bytes: int, byte_range: tuple[int, int] | None = None) -> bytes:
        """Return a file's bytes, or those of a range of it. Blocks.

        Args:
            ref: a file reference.
            limit_bytes: larger files, or ranges, are refused.
            byte_range: offset and length.

        Raises:
            OriginMissing: there is no such file.
            OriginRefused: it lies outside the folders, is no regular file, or is too large.
            OriginError: it cannot be read, or is shorter than the range asks.
        """
        parts = urlsplit(ref)
        path = self.path_of(ref)
        if parts.netloc not in ("", "localhost") or "\0" in path:
            raise OriginRefused(f"{ref[:200]!r} names no local file")
        try:
            # The canonical path, links followed: a link that leads outside is outside.
            real = Path(path).resolve()
            if not any(real.is_relative_to(playlist.resolve().parent) for playlist in self._playlists):
                raise OriginRefused(f"{path!r} lies outside the origin's folder")
            facts = real.stat()
            # A pipe or a device could keep us for ever.
            if not stat.S_ISREG(facts.st_mode):
                raise OriginRefused(f"{path!r} is no regular file")
            offset, length = byte_range or (0, facts.st_size)
            if length > limit_bytes:
                raise OriginRefused(f"{path!r} has {length} bytes; at most {limit_bytes} are taken")
            with real.open("rb") as file:
                file.seek(offset)
                body = file.read(length)
        except (FileNotFoundError, NotADirectoryError):
            raise OriginMissing(f"{path!r} is not there") from None
        except OSError as error:
            raise OriginError(f"{path!r} cannot be read: {error.strerror}") from None
        if len(body) < length:
            raise OriginError(f"{path!r} ends before byte {offset + length}")
        return body
