"""Where the origin of a showing may lie that is made by API: what an operator with a key says is less than a setting.

The fetcher holds to the same at every request: a host that the settings do not name is reached at public addresses
only, a file only below the folder that they name. Here it is said at once, and before anything else happens.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from kernel.errors import DecodeError, SettingsError
from kernel.io.origin import playlist_ref
from kernel.io.origin_files import FileOrigin
from kernel.io.origin_http import is_public

LOOK_UP_S = 5.0
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def urls_of(hosts: Iterable[str]) -> list[str]:
    """Return URLs of hosts that the settings trust, such as the fetcher takes.

    Args:
        hosts: HOST, which stands for its ports 80 and 443, or HOST:PORT.

    Raises:
        SettingsError: one is none.
    """
    urls: list[str] = []
    for host in hosts:
        found = _HOST.fullmatch(host)
        if found is None or int((found[2] or ":1")[1:]) not in range(1, 65_536):
            raise SettingsError(f"showings_api.origin_hosts: {host!r:.80} is neither HOST nor HOST:PORT")
        urls += [f"http://{host}"] if found[2] else [f"http://{host}", f"https://{host}"]
    return urls


class AllowedOrigins:
    """Judge origins.

    Args:
        trusted: URLs whose host and port may be private.
        folder: below which files may lie; None: there are none.
    """

    def __init__(self, trusted: Iterable[str], folder: Path | None) -> None:
        self._trusted = {_place(url) for url in trusted}
        self._folder = folder

    async def ref_of(self, origin: str) -> str:
        """Return the reference of the playlist that an operator means.

        Raises:
            DecodeError: it may not lie there, or nothing lies there.
        """
        if "://" in origin and not origin.startswith("file://"):
            return await self._url(origin)
        return await asyncio.to_thread(self._file, origin)

    async def _url(self, origin: str) -> str:
        try:
            ref = playlist_ref(origin)
            host, port = _place(ref)
        except (SettingsError, ValueError) as error:
            raise DecodeError(f"origin: {error}") from None
        if not ref.isascii() or any(ord(char) <= 32 for char in ref):
            raise DecodeError("origin: a URL is written in ASCII, without blanks")
        if (host, port) in self._trusted:
            return ref
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            raise DecodeError("origin: the host's address is not known") from None
        # All of them, as the fetcher wants it.
        if not found or not all(is_public(str(address[0])) for *_, address in found):
            raise DecodeError(
                "origin: its address is not a public one; the settings can allow it (showings_api.origin_hosts)"
            )
        return ref

    def _file(self, origin: str) -> str:
        if self._folder is None:
            raise DecodeError("origin: files are not taken; the settings can allow a folder (showings_api.origin_dir)")
        if "\0" in origin:
            raise DecodeError("origin: no path has a NUL")
        folder = self._folder.resolve()
        try:
            path = Path(FileOrigin.path_of(origin) if origin.startswith("file://") else origin)
            # A relative path counts from the folder. Nothing is said of what lies outside it, not even that it does.
            if not (folder / path).resolve().is_relative_to(folder):
                raise DecodeError("origin: it lies outside the folder that the settings allow")
            ref = playlist_ref(str(folder / path))
        except SettingsError:
            raise DecodeError("origin: no playlist lies there, or more than one that could be meant") from None
        except (OSError, ValueError, RuntimeError):
            raise DecodeError("origin: the path cannot be read") from None
        if not Path(FileOrigin.path_of(ref)).is_relative_to(folder):
            raise DecodeError("origin: it lies outside the folder that the settings allow")
        return ref


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
