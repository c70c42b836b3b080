"""The one fetcher: everything that comes from an origin comes through here, for feeds and relay alike.

Guaranteed:

* One request at a time for a thing, however many ask for it (single flight); an asker who gives up does not fail
  the others.
* A segment is fetched once: its body is kept, newest use last, within a budget of bytes.
* Nothing larger than its limit is ever held, and nothing lasts longer than its time.
* A configured origin's host, port and folder are trusted, loopback too. Whatever a playlist or a redirect names
  beside them is fetched only from a public address; a file only from inside a configured folder, and never because
  an http playlist names it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from kernel.errors import OriginRefused, PlaylistError, SettingsError
from kernel.io.origin_files import FileOrigin
from kernel.io.origin_http import HttpOrigin, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What is taken from an origin, and how long it may take.

    Args:
        max_playlist_bytes: 100,000 segments with date and EXTINF are 8 MB; hls.js has no limit at all.
        max_segment_bytes: ten seconds of 50 Mbit/s, UHD's upper end; nginx's default for a body is 1 MiB.
        connect_timeout_s: one lost SYN (resent after 1 s, RFC 6298) and its answer.
        read_timeout_s: between two reads; hls.js gives up on a manifest's first byte after 10 s.
        total_timeout_s: from the call to the last byte, against an origin that gives one byte a second; hls.js's
            own figure for a fragment is 20 s (`maxLoadTimeMs` 120 s).
        max_redirects: a CDN needs one or two; browsers stop at 20.
        cache_bytes: bodies kept, two minutes of 16 Mbit/s.
    """

    max_playlist_bytes: int = 8 << 20
    max_segment_bytes: int = 64 << 20
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 5.0
    total_timeout_s: float = 15.0
    max_redirects: int = 3
    cache_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an origin gave.

    Args:
        ref: where it came from after redirects; what relative URIs in it are resolved against (RFC 3986, 5.1.3).
        body: all of it.
        content_type: as the origin says, None for files.
        at: bus time in seconds when the last byte was here.
    """

    ref: str
    body: bytes
    content_type: str | None
    at: float

    @property
    def text(self) -> str:
        """Return the body as text; raises PlaylistError where it is not UTF-8 (RFC 8216, 4.1)."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PlaylistError(f"{without_secrets(self.ref)} is not UTF-8 text: byte {error.start}") from None


def playlist_ref(dir_or_url: str) -> str:
    """Return the reference of the playlist that a setting means.

    Args:
        dir_or_url: a folder that holds one playlist (index.m3u8, playlist.m3u8 or the only *.m3u8), a playlist file,
            or an http(s) URL, which is returned unchanged.

    Raises:
        SettingsError: there is no such playlist, or more than one that could be meant.
    """
    if "://" in dir_or_url and not dir_or_url.startswith("file://"):
        return _checked_url(dir_or_url)
    path = Path(FileOrigin.path_of(dir_or_url) if dir_or_url.startswith("file://") else dir_or_url)
    if path.is_file():
        return path.resolve().as_uri()
    if not path.is_dir():
        raise SettingsError(f"origin {dir_or_url!r}: no such folder or file; an http(s) URL will do as well")
    for name in ("index.m3u8", "playlist.m3u8"):
        if (path / name).is_file():
            return (path / name).resolve().as_uri()
    found = sorted(path.glob("*.m3u8"))
    if len(found) != 1:
        what = "no *.m3u8 in it" if not found else f"{len(found)} playlists in it: name one of the files"
        raise SettingsError(f"origin {dir_or_url!r}: {what}")
    return found[0].resolve().as_uri()


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise SettingsError("an origin's URL cannot be read: check its host and port") from None
    if not usable:
        raise SettingsError(f"origin {without_secrets(url)!r}: use http:// or https:// with a host, or a folder")
    if parts.username is not None:
        raise SettingsError(f"origin {without_secrets(url)!r}: no user name or password may stand in the URL")
    return url


def resolve(base_ref: str, uri: str) -> str:
    """Return the absolute reference of a URI that a playlist names (RFC 3986, 5.2); query strings are kept.

    Raises:
        OriginRefused: it is no http(s) URL, or a file that an http playlist names.
    """
    try:
        ref = urljoin(base_ref, uri)
        scheme = urlsplit(ref).scheme
    except ValueError:
        raise OriginRefused(f"{uri[:80]!r} is no URI") from None
    if scheme not in ("http", "https") and not (scheme == "file" and base_ref.startswith("file:")):
        raise OriginRefused(f"{uri[:80]!r} is not fetched: a playlist may name http and https only, or its own folder")
    return ref


Key = tuple[str, str, int, tuple[int, int] | None]


class Fetcher:
    """Fetch playlists and segments; the module's docstring says what is guaranteed.

    Args:
        origins: the references of the configured playlists, as `playlist_ref` gives them.
        limits: sizes and times.
        now: bus time in seconds.
        http: replaces the client, for tests with a certificate of their own.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        limits: FetchLimits = FetchLimits(),
        now: Callable[[], float],
        http: HttpOrigin | None = None,
    ) -> None:
        self._limits = limits
        self._now = now
        self._files = FileOrigin(ref for ref in origins if ref.startswith("file:"))
        self._http = http or HttpOrigin(
            [ref for ref in origins if not ref.startswith("file:")],
            connect_timeout_s=limits.connect_timeout_s,
            read_timeout_s=limits.read_timeout_s,
            total_timeout_s=limits.total_timeout_s,
            max_redirects=limits.max_redirects,
        )
        self._flights: dict[Key, asyncio.Task[Fetched]] = {}
        self._kept: OrderedDict[Key, Fetched] = OrderedDict()
        self._kept_bytes = 0

    async def playlist(self, ref: str, *, max_age_s: float = 0.0) -> Fetched:
        """Return a playlist, the last one fetched if it is no older than `max_age_s`.

        Raises:
            OriginMissing: the origin has none (404, 410, no such file).
            OriginRefused: we do not fetch it: an address or folder that is not allowed, or too large.
            OriginError: anything else went wrong.
        """
        key: Key = ("playlist", ref, 0, None)
        known = self._kept.get(key)
        if known is not None and max_age_s > 0 and self._now() - known.at <= max_age_s:
            self._kept.move_to_end(key)
            return known
        return await self._fly(key, lambda: self._fetch(key, self._limits.max_playlist_bytes))

    async def segment(self, ref: str, *, generation: int = 0, byte_range: tuple[int, int] | None = None) -> Fetched:
        """Return a segment, an init section or a key: what never changes while its reference stands in a playlist.

        Args:
            ref: absolute.
            generation: raised when the origin began anew, and may give other bytes under the same name.
            byte_range: offset and length, None for all of it.

        Raises:
            OriginError: as `playlist`.
        """
        key: Key = ("segment", ref, generation, byte_range)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        return await self._fly(key, lambda: self._fetch(key, self._limits.max_segment_bytes))

    async def aclose(self) -> None:
        """Give up what is under way and close all connections."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self._http.aclose()

    async def _fly(self, key: Key, start: Callable[[], Coroutine[Any, Any, Fetched]]) -> Fetched:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(start())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        # The task belongs to all who ask: one asker's cancellation must not reach it.
        return await asyncio.shield(flight)

    def _landed(self, key: Key, flight: asyncio.Task[Fetched]) -> None:
        del self._flights[key]
        # Asking for the exception also says that it was seen, should every asker have gone.
        if not flight.cancelled() and flight.exception() is None:
            self._keep(key, flight.result())

    def _keep(self, key: Key, fetched: Fetched) -> None:
        former = self._kept.pop(key, None)
        if former is not None:
            self._kept_bytes -= len(former.body)
        if len(fetched.body) > self._limits.cache_bytes:
            return
        self._kept[key] = fetched
        self._kept_bytes += len(fetched.body)
        while self._kept_bytes > self._limits.cache_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.body)

    async def _fetch(self, key: Key, limit_bytes: int) -> Fetched:
        _, ref, _, byte_range = key
        if ref.startswith("file:"):
            body = await asyncio.to_thread(self._files.read, ref, limit_bytes, byte_range)
            return Fetched(ref, body, None, self._now())
        answer = await self._http.read(ref, limit_bytes, byte_range)
        return Fetched(answer.url, answer.body, answer.content_type, self._now())
