"""From a segment as the playlist lists it to its times: fetch what it needs, decrypt it, choose the reader.

What is pure Python and may take long runs in a thread; what is FFmpeg's runs in the demuxer's child process.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from feeds.aes128 import decrypted, whole_key
from feeds.fmp4_init import Fmp4Init, parse_init
from feeds.reading import container_of, is_boxes, read
from feeds.ts import garbage
from kernel.attributes import attribute_list
from kernel.errors import MediaError, PlaylistError
from kernel.io.origin import resolve

if TYPE_CHECKING:
    from feeds.aes128 import WholeKey
    from feeds.io.demux import Demuxer
    from feeds.media import SegmentMedia
    from kernel.io.origin import Fetcher
    from kernel.playlist import PlaylistSegment

MAX_INITS = 32
"""Init sections kept in their read form: one a rendition, and those of some breaks with other media between."""

MAX_TABLES_BYTES = 64 << 10
"""An init section of a transport stream is a PAT and a PMT (RFC 8216, 3.2): two packets, some more in a multiplex."""

_BYTERANGE = re.compile(r"([0-9]{1,18})(?:@([0-9]{1,18}))?")  # what a file offset of 64 bits can say

Init = Fmp4Init | bytes
"""What EXT-X-MAP may name: that of fMP4 in its read form, or the tables of a transport stream."""


class _Source(NamedTuple):
    """Where what a segment needs is fetched from, and how."""

    base: str
    generation: int
    again: bool


_InitKey = tuple[str, tuple[int, int] | None, int]


async def timed(body: bytes, demuxer: Demuxer, init: Init | None = None) -> SegmentMedia:
    """Return the timing of every track of a segment in the clear.

    Raises:
        MediaError: it cannot be timed.
    """
    tables = init if isinstance(init, bytes) else b""
    boxes = init if isinstance(init, Fmp4Init) else None
    if boxes is not None or container_of(body) != "mpegts":
        media = await asyncio.to_thread(read, body, boxes)
        if media is not None:
            return media
    # RFC 8216, 3.2: a player feeds the tables to its demuxer before the segment.
    return await demuxer.measure(tables + body if tables else body)


def read_init(body: bytes) -> Init:
    """Read an init section.

    Raises:
        MediaError: it is none.
    """
    if is_boxes(body):
        return parse_init(body)
    if container_of(body) == "mpegts" and garbage(body) is not None and len(body) <= MAX_TABLES_BYTES:
        return body
    raise MediaError("the init section (EXT-X-MAP) is neither fMP4 nor the tables of a transport stream")


class SegmentReader:
    """Time the segments of one stream.

    Args:
        fetcher: gets keys and init sections; it keeps them, too.
        demuxer: reads transport streams; streams may share it.
    """

    def __init__(self, fetcher: Fetcher, demuxer: Demuxer) -> None:
        self._fetcher = fetcher
        self._demuxer = demuxer
        self._inits: OrderedDict[_InitKey, Init] = OrderedDict()

    async def measure(
        self, segment: PlaylistSegment, body: bytes, *, base: str, generation: int = 0, again: bool = False
    ) -> SegmentMedia:
        """Return the timing of every track of a segment.

        Args:
            segment: as its playlist lists it, with the keys and the init section in force.
            body: what the origin gave for it.
            base: the reference of that playlist, which relative URIs of keys and init sections are resolved against.
            generation: raised when the origin began anew.
            again: ask for what failed a moment ago; for one who paces his attempts.

        Raises:
            MediaError: it cannot be decrypted or timed; the text never holds a key.
            OriginError: its key or its init section could not be fetched.
        """
        source = _Source(base, generation, again)
        try:
            lock = whole_key(segment.keys, segment.msn)
            init = await self._init(segment, lock, source)
        except PlaylistError as error:
            raise MediaError(f"its playlist does not say how to read it: {error}") from None
        if lock is None:
            return await timed(body, self._demuxer, init)
        key = await self._key(lock, source)
        clear = await asyncio.to_thread(decrypted, body, key, lock.iv)
        try:
            return await timed(clear, self._demuxer, init)
        except MediaError as error:
            # One wrong key in 256 leaves a right padding behind.
            raise MediaError(f"it is unreadable after decryption: a wrong key or IV? ({error})") from None

    async def _key(self, lock: WholeKey, source: _Source) -> bytes:
        ref = resolve(source.base, lock.uri)
        return (await self._fetcher.key(ref, generation=source.generation, again=source.again)).body

    async def _init(self, segment: PlaylistSegment, lock: WholeKey | None, source: _Source) -> Init | None:
        if segment.map_line is None:
            return None
        uri, byte_range = _map(segment.map_line)
        ref = resolve(source.base, uri)
        name = (ref, byte_range, source.generation)
        known = self._inits.get(name)
        if known is not None:
            self._inits.move_to_end(name)
            return known
        fetched = await self._fetcher.segment(
            ref, generation=source.generation, byte_range=byte_range, again=source.again
        )
        body = fetched.body
        if lock is not None and lock.iv_given and not is_boxes(body) and len(body) % 16 == 0:
            # RFC 8216, 4.3.2.5: it may be encrypted like the segments; the IV must then be given.
            body = await asyncio.to_thread(decrypted, body, await self._key(lock, source), lock.iv)
        init = await asyncio.to_thread(read_init, body)
        self._inits[name] = init
        if len(self._inits) > MAX_INITS:
            self._inits.popitem(last=False)
        return init


def _map(line: str) -> tuple[str, tuple[int, int] | None]:
    """Read EXT-X-MAP (RFC 8216, 4.3.2.5): URI, and the range of it if one is given."""
    attributes = attribute_list(line.partition(":")[2])
    uri, text = attributes.get("URI"), attributes.get("BYTERANGE")
    if not uri:
        raise PlaylistError("EXT-X-MAP without a URI (RFC 8216, 4.3.2.5)")
    if text is None:
        return uri, None
    match = _BYTERANGE.fullmatch(text)
    if match is None:
        raise PlaylistError(f"EXT-X-MAP with BYTERANGE={text[:40]!r}, which is no byte range (RFC 8216, 4.3.2.2)")
    return uri, (int(match[2] or 0), int(match[1]))
