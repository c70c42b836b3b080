"""A live origin that misbehaves on command, and counts what is asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kernel.dates import format_date
from kernel.io.system_time import wall
from kernel.playlist import parse_media_playlist
from lockstep.rehearsal import Recording, Rehearsal
from tests.support.canned_http import Answer, answer, ok
from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, raw: bytes) -> None:
        """Answer with these bytes."""
        self.writer.write(raw)
        await self.writer.drain()

    async def until_it_gives_up(self, piece: bytes) -> None:
        """Write a piece now and then for as long as the other side is there."""
        while not self.reader.at_eof() and not self.writer.transport.is_closing():
            self.writer.write(piece)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.reader.read()


Fault = Callable[["HostileOrigin", Asked], Awaitable[None]]
"""Answers one request instead of the origin."""

PLAYLIST = "/live/index.m3u8"
PATIENCE_S = 30.0


class HostileOrigin:
    """Play a recording as live, with 12 segments listed.

    Args:
        folder: the recording.
    """

    def __init__(self, folder: Path) -> None:
        recording = Recording.read((folder / "index.m3u8").read_text("utf-8"), folder)
        self._runs = [Rehearsal(recording, wall(), loop=True, window=12)]
        self._playlist_fault: Fault | None = None
        self._segment_fault: Fault | None = None
        self._suffered = 0
        self._happened = asyncio.Condition()
        self.url = ""

    def text(self, *, ago_s: float = 0.0, window: int | None = None) -> str:
        """Return the playlist as it is, or was, with all of its window or less."""
        run = self._runs[-1]
        if window is not None:
            run = replace(run, window=window, head_start_us=run.head_start)
        # Each run has names of its own.
        return re.sub(r"^(?=[^#\n])", f"r{len(self._runs) - 1}/", run.playlist(wall() - ago_s), flags=re.MULTILINE)

    def rewind(self) -> None:
        """Begin anew, with media sequence number 0, other names, and one segment."""
        run = self._runs[-1]
        self._runs.append(replace(run, started_at=wall(), head_start_us=run.recording.ends_us[0]))

    async def suffer(self, *, playlist: Fault | None = None, segment: Fault | None = None, times: int = 1) -> None:
        """Answer so for that many requests, then as usual again."""
        async with self._happened:
            self._playlist_fault, self._segment_fault, self._suffered = playlist, segment, 0
            async with asyncio.timeout(PATIENCE_S):
                await self._happened.wait_for(lambda: self._suffered >= times)
            self._playlist_fault = self._segment_fault = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's one request."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            fault = self._playlist_fault if path == PLAYLIST else self._segment_fault
            if path != PLAYLIST and ("range:" in head.lower() or path.startswith("/moved/")):
                # Whoever asks for the rest, or went where he was sent, gets what he wants.
                fault = None
            if fault is None:
                writer.write(self._usual(path, head))
                await writer.drain()
                return
            try:
                await fault(self, Asked(path, reader, writer))
            finally:
                async with self._happened:
                    self._suffered += 1
                    self._happened.notify_all()

    def body(self, path: str) -> bytes | None:
        """Return what belongs under a path of a segment."""
        match = re.fullmatch(r"/(?:live|moved)/r(\d+)/(.+)", path)
        file = self._runs[int(match[1])].file(match[2], wall()) if match else None
        return file.read_bytes() if file else None

    def _usual(self, path: str, head: str) -> bytes:
        if path in (PLAYLIST, PLAYLIST.replace("/live/", "/moved/")):
            return ok(self.text().encode())
        body = self.body(path)
        if body is None:
            return answer(404, b"", "Content-Length: 0")
        start = re.search(r"\r\nrange: bytes=(\d+)-\r\n", head.lower())
        if start is None:
            return ok(body, 'ETag: "v1"')
        rest = body[int(start[1]) :]
        place = f"Content-Range: bytes {start[1]}-{len(body) - 1}/{len(body)}"
        return answer(206, rest, f"Content-Length: {len(rest)}", place, 'ETag: "v1"')


class EventAnswers(dict[str, bytes | Answer]):
    """List nearly all the segments of an EVENT playlist that may be listed, and one more every two seconds.

    Args:
        folder: a recording with segments of 2 s, which is listed again and again.
        n: how many segments are listed at the start.
    """

    def __init__(self, folder: Path, n: int) -> None:
        super().__init__({PLAYLIST: self._list})
        playlist = parse_media_playlist((folder / "index.m3u8").read_text("utf-8"))
        self._bodies = [(folder / segment.uri).read_bytes() for segment in playlist.segments]
        self._began = wall()
        self._n = n
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:EVENT"]
        for number in range(n):
            lines += self._block(number)
        self._head = "\n".join(lines) + "\n"

    def __missing__(self, path: str) -> bytes:
        number = re.fullmatch(r"/live/e(\d+)\.ts", path)
        return ok(self._bodies[int(number[1]) % len(self._bodies)]) if number else answer(404, b"")

    def _block(self, number: int) -> list[str]:
        lines = ["#EXTINF:2,", f"e{number}.ts"]
        if number % len(self._bodies) == 0:
            date = format_date(self._began + 2 * (number - self._n))
            lines = ["#EXT-X-DISCONTINUITY", f"#EXT-X-PROGRAM-DATE-TIME:{date}", *lines]
        return lines

    async def _list(self, _: str, writer: asyncio.StreamWriter) -> None:
        count = self._n + int((wall() - self._began) / 2)
        tail = [line for number in range(self._n, count) for line in self._block(number)]
        writer.write(ok((self._head + "".join(f"{line}\n" for line in tail)).encode()))
        await writer.drain()


def always(raw: bytes) -> Fault:
    """Answer with these bytes."""
    return lambda _, asked: asked.say(raw)


def altered(change: Callable[[str], str]) -> Fault:
    """Answer with the playlist, changed."""
    return lambda origin, asked: asked.say(ok(change(origin.text()).encode()))


async def silent(_: HostileOrigin, asked: Asked) -> None:
    """Take the request and say nothing until the other side gives up."""
    await asked.until_it_gives_up(b"")


async def trickling(_: HostileOrigin, asked: Asked) -> None:
    """Give a byte now and then."""
    await asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n#EXTM3U\n")
    await asked.until_it_gives_up(b"#")


async def stale(origin: HostileOrigin, asked: Asked) -> None:
    """Answer with a copy that is two seconds old."""
    await asked.say(ok(origin.text(ago_s=2.0).encode()))


async def shrunken(origin: HostileOrigin, asked: Asked) -> None:
    """List two segments only."""
    await asked.say(ok(origin.text(window=2).encode()))


async def too_long(origin: HostileOrigin, asked: Asked) -> None:
    """Announce more than comes."""
    body = origin.text().encode()
    await asked.say(answer(200, body, f"Content-Length: {len(body) + 100}"))


async def too_short(origin: HostileOrigin, asked: Asked) -> None:
    """Announce less than comes, so that the last name is cut."""
    body = origin.text().encode()
    await asked.say(answer(200, body, f"Content-Length: {len(body) - 5}"))


async def compressed(origin: HostileOrigin, asked: Asked) -> None:
    """Compress, though asked not to."""
    await asked.say(ok(gzip.compress(origin.text().encode()), "Content-Encoding: gzip"))


async def compressed_in_secret(origin: HostileOrigin, asked: Asked) -> None:
    """Compress, and do not say so."""
    await asked.say(ok(gzip.compress(origin.text().encode())))


async def cut_segment(origin: HostileOrigin, asked: Asked) -> None:
    """Die in the middle of a segment; its version is known."""
    body = origin.body(asked.path) or b""
    await asked.say(answer(200, body[: len(body) // 2], f"Content-Length: {len(body)}", 'ETag: "v1"'))


async def cut_unknown_segment(origin: HostileOrigin, asked: Asked) -> None:
    """Die in the middle of a segment of unknown version."""
    body = origin.body(asked.path) or b""
    await asked.say(answer(200, body[: len(body) // 2], f"Content-Length: {len(body)}"))


async def moved_segment(origin: HostileOrigin, asked: Asked) -> None:
    """Send to where it lies now."""
    await asked.say(_redirect(asked.path.replace("/live/", "/moved/")))


def redirected(target: str) -> Fault:
    """Send elsewhere."""
    return always(_redirect(target))


def _redirect(target: str) -> bytes:
    return answer(302, b"", f"Location: {target}", "Content-Length: 0")


@contextlib.asynccontextmanager
async def hostile_origin(folder: Path) -> AsyncIterator[HostileOrigin]:
    """Serve on a free port of the loopback for as long as the block runs."""
    origin = HostileOrigin(folder)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await origin.serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async with serving(serve) as server:
        origin.url = f"http://127.0.0.1:{server.port}{PLAYLIST}"
        yield origin
