"""The one fetcher: everything that comes from an origin comes through here, for feeds and relay alike.

Guaranteed:

* One request at a time for a thing, however many ask for it (single flight); an asker who gives up does not fail
  the others.
* A segment is fetched once: its body is kept, newest use last, within a budget of bytes that counts what keeping it
  costs. A failure is kept for a moment too: those who ask again meanwhile get it without a request.
* Nothing larger than its limit is ever held, nothing lasts longer than its time, and no piece of a body is ever taken
  for the whole.
* A configured origin's host, port and folder are trusted, loopback too. Whatever a playlist or a redirect names
  beside them is fetched only from a public address; a file only from inside a configured folder, and never because
  an http playlist names it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from kernel.errors import OriginError, OriginRefused, SettingsError
from kernel.io.origin_cache import BodyCache, Fetched, Key
from kernel.io.origin_counts import FetchCounts
from kernel.io.origin_files import FileOrigin
from kernel.io.origin_http import Answer, HttpOrigin, without_secrets
from kernel.io.origin_hybrid import LocalCopies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What is taken from an origin, and how long it may take.

    Args:
        max_playlist_bytes: 100,000 segments with date and EXTINF are 8 MB; hls.js has no limit at all.
        max_segment_bytes: ten seconds of 50 Mbit/s, UHD's upper end; nginx's default for a body is 1 MiB.
        max_key_bytes: a key has 16 bytes (RFC 8216, 4.3.2.4), a licence some kilobytes.
        max_playlist_segments: fifty-five hours of 2 s segments.
        connect_timeout_s: one lost SYN (resent after 1 s, RFC 6298) and its answer.
        read_timeout_s: between two reads; hls.js gives up on a manifest's first byte after 10 s.
        total_timeout_s: from the call to the last byte, against an origin that gives one byte a second; hls.js's
            own figure for a fragment is 20 s (`maxLoadTimeMs` 120 s).
        max_redirects: a CDN needs one or two; browsers stop at 20.
        cache_bytes: bodies kept and what keeping them costs, two minutes of 16 Mbit/s.
        negative_s: how long a failure is remembered: no longer than hls.js waits before it asks for a fragment again.
    """

    max_playlist_bytes: int = 8 << 20
    max_segment_bytes: int = 64 << 20
    max_key_bytes: int = 64 << 10
    max_playlist_segments: int = 100_000
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 5.0
    total_timeout_s: float = 15.0
    max_redirects: int = 3
    cache_bytes: int = 256 << 20
    negative_s: float = 1.0


def playlist_ref(dir_or_url: str) -> str:
    """Return the reference of the playlist that a setting means.

    Args:
        dir_or_url: a folder that holds one playlist (master.m3u8, index.m3u8, playlist.m3u8 or the only *.m3u8), a
            playlist file, also one that a packager has yet to write, or an http(s) URL, which is returned unchanged.

    Raises:
        SettingsError: there is no such playlist, or more than one that could be meant.
    """
    if "://" in dir_or_url and not dir_or_url.startswith("file://"):
        return _checked_url(dir_or_url)
    path = Path(FileOrigin.path_of(dir_or_url) if dir_or_url.startswith("file://") else dir_or_url)
    if path.is_file() or (path.suffix == ".m3u8" and path.parent.is_dir() and not path.exists()):
        return path.resolve().as_uri()
    if not path.is_dir():
        raise SettingsError(f"origin {dir_or_url!r}: no such folder or file; an http(s) URL will do as well")
    # A multivariant playlist goes before the media playlists that it lists: FFmpeg and Bento4 call it so.
    for name in ("master.m3u8", "index.m3u8", "playlist.m3u8"):
        if (path / name).is_file():
            return (path / name).resolve().as_uri()
    found = sorted(path.glob("*.m3u8"))
    if len(found) != 1:
        what = (
            "no *.m3u8 in it: name the file that will be there"
            if not found
            else f"{len(found)} playlists in it: name one of the files"
        )
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


# A name in the playlist's own folder, in letters that mean nothing to a resolver: a list may hold 100,000 of them.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*")


@lru_cache(maxsize=256)
def _folder_of(base_ref: str) -> str:
    return urljoin(base_ref, "x")[:-1]


def resolve(base_ref: str, uri: str) -> str:
    """Return the absolute reference of a URI that a playlist names (RFC 3986, 5.2); query strings are kept.

    Raises:
        OriginRefused: it is no http(s) URL, or a file that an http playlist names.
    """
    if _PLAIN_NAME.fullmatch(uri):
        # 0.4 us against 6.8.
        return _folder_of(base_ref) + uri
    try:
        ref = urljoin(base_ref, uri)
        scheme = urlsplit(ref).scheme
    except ValueError:
        raise OriginRefused(f"{uri[:80]!r} is no URI") from None
    if scheme not in ("http", "https") and not (scheme == "file" and base_ref.startswith("file:")):
        raise OriginRefused(f"{uri[:80]!r} is not fetched: a playlist may name http and https only, or its own folder")
    return ref


T = TypeVar("T")


class Fetcher:
    """Fetch playlists and segments; the module's docstring says what is guaranteed.

    Args:
        origins: the references of the configured playlists, as `playlist_ref` gives them.
        limits: sizes and times.
        local_dirs: a folder for each http(s) origin whose segments are looked up there first, by its reference.
        folders: folders below which further origins may lie.
        now: bus time in seconds.
        http: replaces the client, for tests with a certificate of their own.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        limits: FetchLimits = FetchLimits(),
        local_dirs: Mapping[str, str] | None = None,
        folders: Sequence[Path] = (),
        now: Callable[[], float],
        http: HttpOrigin | None = None,
    ) -> None:
        self._limits = limits
        self._now = now
        self._files = FileOrigin((ref for ref in origins if ref.startswith("file:")), folders=folders)
        self._copies = LocalCopies(local_dirs or {})
        self._http = http or HttpOrigin(
            [ref for ref in origins if not ref.startswith("file:")],
            connect_timeout_s=limits.connect_timeout_s,
            read_timeout_s=limits.read_timeout_s,
            total_timeout_s=limits.total_timeout_s,
            max_redirects=limits.max_redirects,
        )
        self.counts = FetchCounts()
        self._flights: dict[Key, asyncio.Task[Fetched]] = {}
        self._cache = BodyCache(limits.cache_bytes, limits.negative_s)

    async def playlist(self, ref: str, *, max_age_s: float = 0.0) -> Fetched:
        """Return a playlist, the last one fetched if it is no older than `max_age_s`.

        Its body is the very same object as long as the origin says that nothing changed.

        Raises:
            OriginMissing: the origin has none (404, 410, no such file).
            OriginRefused: we do not fetch it: an address or folder that is not allowed, or too large.
            OriginError: anything else went wrong.
        """
        key: Key = ("playlist", ref, 0, None)
        known = self._cache.get(key)
        if known is not None and max_age_s > 0 and self._now() - known.at <= max_age_s:
            self.counts.spared["playlist"] += 1
            return known
        return await self._fly(key, lambda: self._read_playlist(ref, known))

    async def segment(
        self, ref: str, *, generation: int = 0, byte_range: tuple[int, int] | None = None, again: bool = False
    ) -> Fetched:
        """Return a segment or an init section: what never changes while its reference stands in a playlist.

        Args:
            ref: absolute.
            generation: raised when the origin began anew, and may give other bytes under the same name.
            byte_range: offset and length, None for all of it.
            again: ask even if it failed a moment ago; for one who paces his attempts.

        Raises:
            OriginError: as `playlist`.
        """
        return await self._lasting(
            ("segment", ref, generation, byte_range), self._limits.max_segment_bytes, again=again
        )

    async def key(self, ref: str, *, generation: int = 0, again: bool = False) -> Fetched:
        """Return the key of encrypted segments; as `segment`, with a limit of its own."""
        return await self._lasting(("key", ref, generation, None), self._limits.max_key_bytes, again=again)

    async def aclose(self) -> None:
        """Give up what is under way and close all connections."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self._http.aclose()

    async def _lasting(self, key: Key, limit_bytes: int, *, again: bool) -> Fetched:
        known = self._cache.get(key)
        if known is not None:
            self.counts.spared[key[0]] += 1
            return known
        if not again and key not in self._flights:
            failure = self._cache.failure(key, self._now())
            if failure is not None:
                raise failure
        return await self._fly(key, lambda: self._read_lasting(key, limit_bytes))

    async def _fly(self, key: Key, start: Callable[[], Coroutine[Any, Any, Fetched]]) -> Fetched:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(start())
            self._flights[key] = flight
            began = self._now()
            flight.add_done_callback(lambda done: self._landed(key, done, began))
        else:
            self.counts.spared[key[0]] += 1
        # The task belongs to all who ask: one asker's cancellation must not reach it.
        return await asyncio.shield(flight)

    def _landed(self, key: Key, flight: asyncio.Task[Fetched], began: float) -> None:
        del self._flights[key]
        if flight.cancelled():
            return
        # Asking for the exception also says that it was seen, should every asker have gone.
        failure = flight.exception()
        n_bytes = 0 if failure is not None else len(flight.result().body)
        self.counts.landed(key[0], self._now() - began, failure, n_bytes)
        if failure is None:
            self._cache.keep(key, flight.result())
        elif isinstance(failure, OriginError) and key[0] != "playlist":
            self._cache.fail(key, failure, self._now())

    async def _read_playlist(self, ref: str, known: Fetched | None) -> Fetched:
        limit_bytes = self._limits.max_playlist_bytes
        if ref.startswith("file:"):
            body = await self._in_time(ref, asyncio.to_thread(self._files.playlist, ref, limit_bytes))
            fetched = Fetched(ref, body, None, self._now())
        else:
            former = Answer(known.ref, known.body, known.content_type, known.etag) if known else None
            answer = await self._http.read(ref, limit_bytes, known=former)
            self._copies.moved(ref, answer.url)
            fetched = Fetched(answer.url, answer.body, answer.content_type, self._now(), answer.etag)
        if known is not None and fetched.body == known.body:
            return replace(fetched, body=known.body)
        if known is not None and _is_terminated(known.body) and not _is_terminated(fetched.body):
            # It wrote whole lines until now. Half a name would be taken for another segment's, and that for a rewind.
            raise OriginError(f"{without_secrets(ref)}: it ends in the middle of a line")
        n_segments = fetched.body.count(b"#EXTINF")
        most = self._limits.max_playlist_segments
        if n_segments > most:
            raise OriginRefused(f"{without_secrets(ref)}: {n_segments:,} segments; at most {most:,} are taken")
        return fetched

    async def _read_lasting(self, key: Key, limit_bytes: int) -> Fetched:
        _, ref, _, byte_range = key
        patience_s = self._limits.read_timeout_s
        if ref.startswith("file:"):
            reading = self._files.segment(ref, limit_bytes, byte_range, patience_s=patience_s)
            return Fetched(ref, await self._in_time(ref, reading), None, self._now())
        copy = await self._in_time(ref, self._copies.segment(ref, limit_bytes, byte_range, patience_s=patience_s))
        if copy is not None:
            return Fetched(ref, copy, None, self._now())
        answer = await self._http.read(ref, limit_bytes, byte_range)
        return Fetched(answer.url, answer.body, answer.content_type, self._now())

    async def _in_time(self, ref: str, reading: Awaitable[T]) -> T:
        """Wait for a disk no longer than for a network: it may be one."""
        try:
            async with asyncio.timeout(self._limits.total_timeout_s):
                return await reading
        except TimeoutError:
            shown = without_secrets(ref)
            raise OriginError(f"{shown}: not read within {self._limits.total_timeout_s:g} s") from None


def _is_terminated(body: bytes) -> bool:
    """RFC 8216, 4.1: a line ends with LF or CRLF."""
    return body.endswith((b"\n", b"#EXT-X-ENDLIST"))
