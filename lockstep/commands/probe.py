"""`lockstep probe`: say what segments and playlists tell of time, by the code that serves them."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from feeds.io.demux import Demuxer, DemuxLimits
from feeds.io.segments import SegmentReader, read_init, timed
from feeds.reading import container_of
from feeds.timing import Placed, TimelineTracker
from feeds.utc import UtcModel
from kernel.errors import LockstepError, MediaError, OriginMissing
from kernel.io.origin import Fetcher, playlist_ref, resolve
from kernel.io.system_time import monotonic
from kernel.playlist import MediaPlaylist, PlaylistSegment, parse_media_playlist

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from feeds.io.segments import Init
    from feeds.media import SegmentMedia

Row = dict[str, Any]

MAX_SEGMENT_BYTES = DemuxLimits().max_segment_bytes

SEGMENT_SUFFIXES = (".ts", ".m4s", ".mp4", ".m4v", ".m4a", ".cmfv", ".cmfa", ".aac", ".mp3", ".ac3", ".ec3")
"""What the path of a URL ends with that is taken for a segment; anything else is a playlist."""


def probe(
    files: Annotated[list[str], typer.Argument(help="Segments; or a folder, .m3u8 file or http(s) URL each.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write a line of JSON each, flushed.")] = False,
    init: Annotated[
        str | None, typer.Option("--init", help="The init section (EXT-X-MAP) of the segments that are fMP4 files.")
    ] = None,
) -> None:
    """Print the media time of segments, or of every segment of a playlist.

    A segment's times are 90 kHz ticks modulo 2^33; a playlist's are unwrapped, with the UTC of each segment's first
    picture, and init sections, keys and byte ranges are taken from it. What cannot be read is said in its place; the
    exit code is 1 then, and the rest is still reported.
    """
    if not asyncio.run(_probe(files, init, _JsonLines() if as_json else _Tables())):
        raise typer.Exit(1)


class _JsonLines:
    """Write each row as it comes."""

    def write(self, row: Row) -> None:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Do nothing: all is written."""


class _Tables:
    """Keep all rows, then print those of one kind under each other."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)

    def close(self) -> None:
        from rich.console import Console

        console = Console()
        for columns in (_FILE_COLUMNS, _SEGMENT_COLUMNS):
            rows = [row for row in self._rows if columns[0] in row]
            if rows:
                console.print(_table(columns, rows))


_FILE_COLUMNS = ("file", "container", "start", "end", "tracks")
_SEGMENT_COLUMNS = ("msn", "timeline", "start", "end", "wall", "sigma_ms", "method")


def _table(columns: tuple[str, ...], rows: list[Row]) -> Any:
    from rich.table import Table

    shown = (*columns, "error") if any("error" in row for row in rows) else columns
    table = Table(*shown)
    for row in rows:
        # Plain text: what comes from outside must not be taken for rich's markup.
        table.add_row(*(_cell(row.get(column)) for column in shown))
    return table


def _cell(value: Any) -> Any:
    from rich.text import Text

    if isinstance(value, list):
        value = "\n".join(f"{track['kind']} {track['codec']}, {track['frames']} frames" for track in value)
    return Text("" if value is None else str(value))


async def _probe(arguments: list[str], init_file: str | None, out: _JsonLines | _Tables) -> bool:
    """Report on every argument; return whether all could be read."""
    demuxer = Demuxer()
    good = True
    try:
        init = None if init_file is None else await _init(init_file)
        for argument in arguments:
            try:
                rows = (_playlist_rows if _is_playlist(argument) else _file_rows)(argument, demuxer, init)
                async for row in rows:
                    good = good and "error" not in row
                    out.write(row)
            except LockstepError as error:
                good = False
                out.write({"file": argument, "error": str(error)})
    except MediaError as error:
        good = False
        out.write({"file": init_file, "error": str(error)})
    finally:
        out.close()
        await demuxer.aclose()
    return good


def _is_playlist(argument: str) -> bool:
    if argument.startswith(("http://", "https://", "file://")):
        return True
    path = Path(argument)
    return path.is_dir() or path.suffix.lower() in (".m3u8", ".m3u")


async def _init(file: str) -> Init:
    body = await asyncio.to_thread(_read, Path(file))
    return await asyncio.to_thread(read_init, body)


async def _file_rows(argument: str, demuxer: Demuxer, init: Init | None) -> AsyncIterator[Row]:
    body = await asyncio.to_thread(_read, Path(argument))
    yield _file_row(argument, await _timed(body, demuxer, init))


async def _timed(body: bytes, demuxer: Demuxer, init: Init | None) -> SegmentMedia:
    if len(body) > MAX_SEGMENT_BYTES:
        raise MediaError(f"it has more than the {MAX_SEGMENT_BYTES} bytes that are read: cut shorter segments")
    # Files of other kinds may stand beside those that need the init section.
    return await timed(body, demuxer, init if container_of(body) == "fmp4" else None)


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError("it is no regular file: give a segment, a playlist or a folder with one")
        with path.open("rb") as file:
            # One byte more than may be: the reader then says that it is too large.
            return file.read(MAX_SEGMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise MediaError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _file_row(file: str, media: SegmentMedia) -> Row:
    tracks = [
        {
            "kind": track.kind,
            "codec": track.codec,
            "timescale": track.timescale,
            "frames": track.frames,
            "start": track.start,
            "end": track.end,
        }
        for track in media.tracks
    ]
    lead = media.lead
    return {"file": file, "container": media.container, "start": lead.start, "end": lead.end, "tracks": tracks}


async def _playlist_rows(argument: str, demuxer: Demuxer, init: Init | None) -> AsyncIterator[Row]:
    ref = playlist_ref(argument)
    fetcher = Fetcher([ref], now=monotonic)
    try:
        if urlsplit(ref).path.lower().endswith(SEGMENT_SUFFIXES):
            yield _file_row(argument, await _timed((await fetcher.segment(ref)).body, demuxer, init))
            return
        reader = SegmentReader(fetcher, demuxer)
        fetched = await fetcher.playlist(ref)
        timeline = _PlaylistTimeline(parse_media_playlist(fetched.text))
        for segment in timeline.playlist.segments:
            try:
                body = await _fetch(segment, fetched.ref, fetcher)
                media = await reader.measure(segment, body, base=fetched.ref)
                timeline.place(segment, media)
            except LockstepError as error:
                timeline.skip(segment, error)
            for row in timeline.ready(segment):
                yield row
    finally:
        await fetcher.aclose()


async def _fetch(segment: PlaylistSegment, playlist: str, fetcher: Fetcher) -> bytes:
    if segment.gap:
        raise OriginMissing("the playlist says that it is absent (EXT-X-GAP)")
    fetched = await fetcher.segment(resolve(playlist, segment.uri), byte_range=segment.byte_range)
    return fetched.body


class _PlaylistTimeline:
    """Place the segments of one playlist and hold rows back until a later date can tell their UTC."""

    def __init__(self, playlist: MediaPlaylist) -> None:
        self.playlist = playlist
        self._tracker = TimelineTracker()
        self._utc = UtcModel()
        self._waiting: list[tuple[int, Placed | str]] = []
        self._last_dated = max((segment.msn for segment in playlist.segments if segment.pdt is not None), default=-1)
        self._known = False
        self._skipped_s = 0.0
        self._discontinuity = False

    def place(self, segment: PlaylistSegment, media: SegmentMedia) -> None:
        placed = self._tracker.place(
            media,
            discontinuity=segment.discontinuity or self._discontinuity,
            target_duration_s=self.playlist.target_duration_s,
            skipped_s=self._skipped_s,
        )
        self._utc.observe_media(placed, media, pdt=segment.pdt, arrival=None)
        self._known = self._utc.wall_at(placed.timeline, placed.start) is not None
        self._waiting.append((segment.msn, placed))
        self._skipped_s, self._discontinuity = 0.0, False

    def skip(self, segment: PlaylistSegment, error: LockstepError) -> None:
        self._waiting.append((segment.msn, str(error)))
        self._skipped_s += segment.duration_s
        self._discontinuity = self._discontinuity or segment.discontinuity

    def ready(self, segment: PlaylistSegment) -> list[Row]:
        """Return the rows that nothing to come can complete, once `segment` is placed or skipped."""
        is_last = segment is self.playlist.segments[-1]
        if not (self._known or segment.msn >= self._last_dated or is_last):
            return []
        rows = [self._row(msn, placed) for msn, placed in self._waiting]
        self._waiting = []
        return rows

    def _row(self, msn: int, placed: Placed | str) -> Row:
        if isinstance(placed, str):
            return {"msn": msn, "part": None, "error": placed}
        found = self._utc.wall_at(placed.timeline, placed.start)
        return {
            "msn": msn,
            "part": None,
            "timeline": placed.timeline,
            "start": placed.start,
            "end": placed.end,
            "wall": None if found is None else round(found.wall * 1000),
            "sigma_ms": None if found is None else found.sigma_ms,
            "method": None if found is None else found.method,
        }
