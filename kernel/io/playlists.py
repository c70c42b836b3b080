"""Read an origin's playlists again and again: what is new in them, and, once, why they cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from kernel.errors import OriginError, PlaylistError
from kernel.io.origin import Fetcher, resolve
from kernel.multivariant import MultivariantPlaylist, is_multivariant, parse_multivariant
from kernel.playlist import MediaPlaylist, parse_media_playlist
from kernel.variables import NO_VARIABLES, Variables

log = structlog.get_logger("origin")

OFF_LOOP_BYTES = 64 * 1024
"""Larger playlists are read off the loop: 100,000 segments take most of a second, this about 7 ms."""

TOP_REFRESH_S = 30.0
"""How often a multivariant playlist is read again: it changes when a rendition comes or goes, if ever."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a media playlist that differs from the one before; `ref` is its own reference after redirects."""

    playlist: MediaPlaylist
    refs: list[str]
    ref: str

    def resolve(self, uri: str) -> str:
        """Return a URI of this copy as an absolute one."""
        return resolve(self.ref, uri)


@dataclass(frozen=True, slots=True)
class Top:
    """What an origin's configured playlist leads to.

    `lead` is the reference of the media playlist whose segments are timed. `playlist` is the multivariant playlist,
    None where the configured one is that media playlist itself; `ref` its own reference after redirects.
    """

    lead: str
    ref: str
    playlist: MultivariantPlaylist | None
    variables: Variables

    def resolve(self, uri: str) -> str:
        """Return a URI of this playlist as an absolute one."""
        return resolve(self.ref, uri)


class OriginReader:
    """Read one origin: its top playlist, and the media playlist that is timed. Feeds and relay each have one.

    Args:
        fetcher: the process's only one.
        origin: the configured reference.
        event_id: whose it is, for the log.
        now: bus time in seconds.
    """

    def __init__(self, fetcher: Fetcher, origin: str, *, event_id: str, now: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._origin = origin
        self._event_id = event_id
        self._now = now
        self._top_at = float("-inf")
        self._lead = PlaylistReader(fetcher, event_id)
        self.top: Top | None = None

    async def read_top(self, *, max_age_s: float) -> Top | None:
        """Read the top playlist if it is time; return it if it was read, None if not or if it cannot be had.

        Args:
            max_age_s: how old a copy may be that somebody else in this process has fetched, in seconds.
        """
        if self._now() - self._top_at < TOP_REFRESH_S:
            return None
        try:
            fetched = await self._fetcher.playlist(self._origin, max_age_s=max_age_s)
            if is_multivariant(fetched.text):
                playlist = parse_multivariant(fetched.text, query=urlsplit(fetched.ref).query)
                lead = resolve(fetched.ref, playlist.lead.uri or "")
                self.top = Top(lead, fetched.ref, playlist, playlist.variables)
                self._top_at = self._now()
            else:
                self.top = Top(self._origin, fetched.ref, None, NO_VARIABLES)
                if "#EXTINF" in fetched.text:
                    # One that lists segments will not turn into one that lists playlists; an error page may.
                    self._top_at = float("inf")
        except (OriginError, PlaylistError) as error:
            self._lead.complain(str(error))
            return None
        return self.top

    async def read_lead(self, *, max_age_s: float) -> Copy | None:
        """Return the media playlist that is timed, if it changed; None if it did not or cannot be had."""
        if self.top is None:
            return None
        return await self._lead.read(self.top.lead, max_age_s=max_age_s, variables=self.top.variables)


class PlaylistReader:
    """Fetch and read one media playlist.

    Args:
        fetcher: the process's only one.
        event_id: whose it is, for the log.
    """

    def __init__(self, fetcher: Fetcher, event_id: str) -> None:
        self._fetcher = fetcher
        self._event_id = event_id
        self._last = (b"", "")
        self._complaint: str | None = None

    async def read(self, ref: str, *, max_age_s: float, variables: Variables = NO_VARIABLES) -> Copy | None:
        """Return the playlist if it changed, None if it did not or cannot be had.

        Args:
            ref: absolute.
            max_age_s: how old a copy may be that somebody else in this process has fetched, in seconds.
            variables: those of its multivariant playlist.
        """
        try:
            fetched = await self._fetcher.playlist(ref, max_age_s=max_age_s)
            copy = None
            if (fetched.body, fetched.ref) != self._last:
                if len(fetched.body) > OFF_LOOP_BYTES:
                    copy = await asyncio.to_thread(_read, fetched.text, fetched.ref, variables)
                else:
                    copy = _read(fetched.text, fetched.ref, variables)
        except (OriginError, PlaylistError) as error:
            self.complain(str(error))
            return None
        if self._complaint is not None:
            self._complaint = None
            log.info("playlist.available", event_id=self._event_id)
        self._last = (fetched.body, fetched.ref)
        return copy

    def complain(self, error: str) -> None:
        """Log what is wrong, once, however long it lasts."""
        if error != self._complaint:
            self._complaint = error
            log.warning("playlist.unavailable", event_id=self._event_id, error=error)


def _read(text: str, ref: str, variables: Variables) -> Copy:
    playlist = parse_media_playlist(text, imported=variables, query=urlsplit(ref).query)
    return Copy(playlist, [resolve(ref, segment.uri) for segment in playlist.segments], ref)
