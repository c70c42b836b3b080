"""`lockstep align`: pin a recorded feed to a recorded playlist, and say where nothing can be pinned."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feeds.io.demux import Demuxer
from feeds.io.segments import SegmentReader
from kernel.dates import format_date
from kernel.errors import DecodeError, LockstepError, OriginMissing
from kernel.io.origin import Fetcher, playlist_ref, resolve
from kernel.io.system_time import monotonic
from kernel.playlist import parse_media_playlist
from kernel.pts import s_of_ticks
from lockstep.aligning import PlaylistTimer, align, first_wall, moved, read_feed
from lockstep.replaying import RECORDING_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from feeds.align import TimedSegment


def align_command(
    playlist: Annotated[str, typer.Option("--playlist", help="A folder, .m3u8 file or http(s) URL.")],
    vendor: Annotated[str, typer.Option("--vendor", help="Whose format the feed is in.")],
    feed: Annotated[Path, typer.Option("--feed", help="The recorded feed: a JSON document, or one message a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write a line of JSON per cue, flushed.")] = False,
    shift_to_start: Annotated[
        bool, typer.Option("--shift-to-start", help="Move the feed so that its first fact is at the first picture.")
    ] = False,
) -> None:
    """Print the media time of every fact of a recorded feed.

    A line per cue, in the order in which things happened. Where the recording has no picture of it, the cue has no
    media time but a reason.
    """
    from rich.console import Console

    errors = Console(stderr=True)
    messages = read_feed(_read(feed), vendor)
    segments = asyncio.run(_timed(playlist_ref(playlist), errors, quiet=as_json))
    if shift_to_start:
        start = first_wall(segments)
        if start is None:
            raise LockstepError(f"{playlist}: no date tells the UTC of its pictures: there is no start to move to")
        messages = moved(messages, start)
    rows = align(segments, messages)
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            sys.stdout.flush()
    else:
        _print(rows, Console())


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            # One byte more than may be: the decoder then says that it is too large.
            return stream.read(RECORDING_LIMITS.max_bytes + 1)
    except (OSError, ValueError) as error:
        raise DecodeError(f"{file}: it cannot be read: {getattr(error, 'strerror', None) or error}") from None


async def _timed(ref: str, console: Console, *, quiet: bool) -> list[TimedSegment]:
    """Time all segments of a playlist; those that cannot be are told, and passed over."""
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("timing segments", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return await _timings(ref, console, tell)


async def _timings(ref: str, console: Console, tell: Callable[[int, int], None]) -> list[TimedSegment]:
    fetcher, demuxer = Fetcher([ref], now=monotonic), Demuxer()
    try:
        reader = SegmentReader(fetcher, demuxer)
        copy = await fetcher.playlist(ref)
        playlist = parse_media_playlist(copy.text)
        timer = PlaylistTimer(playlist)
        for done, segment in enumerate(playlist.segments, 1):
            try:
                if segment.gap:
                    raise OriginMissing("the playlist says that it is absent (EXT-X-GAP)")
                body = await fetcher.segment(resolve(copy.ref, segment.uri), byte_range=segment.byte_range)
                timer.place(segment, await reader.measure(segment, body.body, base=copy.ref))
            except LockstepError as error:
                timer.skip(segment)
                console.print(f"segment {segment.msn}: {error}", markup=False, highlight=False)
            tell(done, len(playlist.segments))
        return timer.finish()
    finally:
        await demuxer.aclose()
        await fetcher.aclose()


def _line(row: dict[str, Any]) -> str:
    """Return a cue as people read it: the UTC, where its picture is or why it has none, and what it says."""
    if row["pts"] is None:
        place = f"-- {row['reason']}"
    else:
        place = f"{row['tl']}:{row['pts']} segment {row['msn']} +{s_of_ticks(row['off']):.3f} s"
    what = f"{row['id']} rev {row['rev']} {row['kind']} {row['type']}"
    text = f"  {row['txt']}" if isinstance(row.get("txt"), str) else ""
    return f"{format_date(row['wall'] / 1000)} +-{row['sigma_ms']:<4} {place:<40} {what}{text}"


def _print(rows: list[dict[str, Any]], console: Console) -> None:
    for row in rows:
        # Plain text: what comes from outside must not be taken for rich's markup.
        console.print(_line(row), markup=False, highlight=False, soft_wrap=True)
    pinned = sum(row["pts"] is not None for row in rows)
    console.print(f"{pinned} of {len(rows)} cues have their picture", markup=False, highlight=False)
