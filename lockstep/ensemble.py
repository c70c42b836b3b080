"""A recorded presentation as a live one: several renditions that slide in step behind one multivariant playlist.

The leading rendition's window is everybody's: each lists what overlaps it. A loop lasts as long as the longest
rendition, so that all begin anew, behind EXT-X-DISCONTINUITY, at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kernel.errors import PlaylistError
from kernel.multivariant import Item, MultivariantPlaylist, is_multivariant, parse_multivariant
from lockstep.rehearsal import Recording, Rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Programme:
    """What was recorded: one media playlist, or a multivariant playlist with several.

    Args:
        entry: the name under which a player begins.
        top: the multivariant playlist as it is served, None for a single media playlist.
        recordings: by the path of their playlists, the leading one first.
        extras: other files that the top names, by their path.
    """

    entry: str
    top: str | None
    recordings: Mapping[str, Recording]
    extras: Mapping[str, Path]

    @classmethod
    def read(cls, path: Path, text_of: Callable[[Path], str]) -> Programme:
        """Read a recording.

        Args:
            path: its playlist of either kind.
            text_of: reads a playlist.

        Raises:
            PlaylistError: a playlist cannot be read, or names what does not lie in the folder.
            LockstepError: whatever `text_of` raises.
        """
        text = text_of(path)
        if not is_multivariant(text):
            return cls("index.m3u8", None, {"index.m3u8": Recording.read(text, path.parent)}, {})
        playlist = parse_multivariant(text)
        recordings: dict[str, Recording] = {}
        extras: dict[str, Path] = {}
        listing = [item for item in playlist.items if item.role in ("variant", "rendition", "iframe")]
        for item in [playlist.lead, *listing]:
            if item.uri is not None and (name := _name(item.uri)) not in recordings:
                media = path.parent / name
                recording = Recording.read(text_of(media), media.parent, imported=playlist.variables)
                lead = next(iter(recordings.values()), recording)
                recordings[name] = recording.beside(lead)
        for item in playlist.items:
            if item.role == "session_data" and item.uri is not None and not urlsplit(item.uri).scheme:
                extras[_name(item.uri)] = path.parent / _name(item.uri)
        return cls(path.name, _top(playlist), recordings, extras)

    @property
    def files(self) -> list[Path]:
        """Return all that it consists of beside playlists."""
        media = [recording.folder / name for recording in self.recordings.values() for name in recording.names]
        return [*media, *self.extras.values()]


class Ensemble:
    """Play a programme as live.

    Args:
        programme: what is played.
        started_at: Unix seconds.
        loop: begin anew at the end, for ever; otherwise the lists end.
        window: how many segments of the leading rendition are listed.
        speed: how fast it plays; 2 is twice as fast.
    """

    def __init__(
        self, programme: Programme, started_at: float, *, loop: bool = False, window: int = 6, speed: float = 1.0
    ) -> None:
        self._programme = programme
        recordings = programme.recordings
        period_us = max(recording.ends_us[-1] for recording in recordings.values())
        lead = next(iter(recordings.values()))
        head_start_us = Rehearsal(lead, started_at, loop, window, speed, period_us).head_start
        # A rendition may have longer segments, subtitles often a single one: none is to begin with an empty list.
        head_start_us = max(head_start_us, *(recording.ends_us[0] for recording in recordings.values()), 0)
        self._rehearsals = {
            name: Rehearsal(recording, started_at, loop, window, speed, period_us, head_start_us)
            for name, recording in recordings.items()
        }

    def playlist(self, path: str, now: float) -> str | None:
        """Return the playlist of that path at `now`, in Unix seconds; None if there is none."""
        if path == self._programme.entry and self._programme.top is not None:
            return self._programme.top
        rehearsal = self._rehearsals.get(path)
        if rehearsal is None:
            return None
        lead = next(iter(self._rehearsals.values()))
        return rehearsal.playlist(now, since_us=None if rehearsal is lead else lead.window_start_us(now))

    def file(self, path: str, now: float) -> Path | None:
        """Return the file behind a path such as `audio/3/segment.aac`, None if there is none, or not yet."""
        if path in self._programme.extras:
            return self._programme.extras[path]
        for name, rehearsal in self._rehearsals.items():
            # Beside its playlist: several may lie in one folder.
            folder = name.rpartition("/")[0]
            prefix = f"{folder}/" if folder else ""
            if path.startswith(prefix):
                found = rehearsal.file(path.removeprefix(prefix), now)
                if found is not None:
                    return found
        return None


def _top(playlist: MultivariantPlaylist) -> str:
    return "\n".join(["#EXTM3U", *(line for item in playlist.items if _stays(item) for line in item.lines)]) + "\n"


def _stays(item: Item) -> bool:
    # A session key hastens what the media playlists say anyway, under the names that their keys bear in each loop.
    return not (item.role == "session_key" and item.uri is not None and not urlsplit(item.uri).scheme)


def _name(uri: str) -> str:
    parts = urlsplit(uri)
    name = unquote(parts.path)
    climbs = name.startswith("/") or ".." in name.split("/")
    if parts.scheme or parts.netloc or not name or climbs or "\0" in name:
        raise PlaylistError(f"{uri[:80]!r} does not lie in the recording's folder: record it whole, with relative URIs")
    return name
