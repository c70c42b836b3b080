"""Look for an origin's segments in a local folder first, as an encoder's own disk or a mirror may hold them.

Only what a playlist names is looked up, never a playlist: a copy of a live list is old the moment it is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kernel.errors import OriginError
from kernel.io.origin_files import FileOrigin

if TYPE_CHECKING:
    from collections.abc import Mapping

_Base = tuple[str, str, str]


class LocalCopies:
    """Find the local copies of what lies below an origin's playlist.

    Args:
        dirs: a folder for each origin that has one, by the URL of its playlist. A file has the same path below it as
            below the playlist's own folder.
    """

    def __init__(self, dirs: Mapping[str, str]) -> None:
        self._sources = [(Path(folder), FileOrigin(folders=[Path(folder)]), url) for url, folder in dirs.items()]
        self._bases = {url: {_base(url)} for url in dirs}

    def moved(self, url: str, ref: str) -> None:
        """Take note that a playlist came from elsewhere after redirects: what it names counts from there."""
        if url in self._bases:
            # The latest alone: redirects may lead to a new place each time.
            self._bases[url] = {_base(url), _base(ref)}

    async def segment(
        self, ref: str, limit_bytes: int, byte_range: tuple[int, int] | None = None, *, patience_s: float
    ) -> bytes | None:
        """Return the bytes of a local copy, None where there is none that can be read: then the origin is asked.

        Args:
            ref: an http(s) URL.
            limit_bytes: larger ones are left.
            byte_range: offset and length.
            patience_s: how long to wait for a copy that is being written, in seconds.
        """
        for folder, files, url in self._sources:
            for base in self._bases[url]:
                name = _name_below(base, ref)
                if name:
                    # The folder's own reader says what is inside: names may climb, and links may lead outside.
                    try:
                        local = folder.absolute().joinpath(name).as_uri()
                        return await files.segment(local, limit_bytes, byte_range, patience_s=patience_s)
                    except OriginError:
                        continue
        return None


def _base(url: str) -> _Base:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower(), parts.path.rpartition("/")[0] + "/"


def _name_below(base: _Base, ref: str) -> str | None:
    parts = urlsplit(ref)
    scheme, place, folder = base
    if (parts.scheme, parts.netloc.lower()) != (scheme, place) or not parts.path.startswith(folder):
        return None
    return unquote(parts.path[len(folder) :])
