from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feeds.io import segments as module
from feeds.io.demux import Demuxer
from feeds.io.segments import SegmentReader, read_init
from feeds.media import SegmentMedia
from fixtures.encoding import BASE
from fixtures.encrypted import IV, KEY, encrypted
from fixtures.packets import PAT_PID, PMT_PID, packets_of, pid_of
from kernel.errors import MediaError, OriginMissing, OriginRefused
from kernel.io.origin import Fetcher, resolve
from kernel.playlist import PlaylistSegment, parse_media_playlist
from tests.support.boxes import Track, fragment, init
from tests.support.recordings import RECORDINGS


@pytest.fixture
def made() -> Path:
    return RECORDINGS


@pytest.fixture
async def demuxer() -> AsyncIterator[Demuxer]:
    demuxer = Demuxer()
    yield demuxer
    await demuxer.aclose()


class CountingFetcher(Fetcher):
    """A fetcher that remembers what it was asked for."""

    def __init__(self, ref: str) -> None:
        super().__init__([ref], now=lambda: 0.0)
        self.asked: list[tuple[str, int]] = []

    async def segment(self, ref: str, **more: Any) -> Any:
        self.asked.append((ref.rpartition("/")[2], more["generation"]))
        return await super().segment(ref, **more)

    async def key(self, ref: str, **more: Any) -> Any:
        self.asked.append((ref.rpartition("/")[2], more["generation"]))
        return await super().key(ref, **more)


class Desk:
    """A reader on a folder."""

    def __init__(self, folder: Path, demuxer: Demuxer) -> None:
        self.base = (folder / "index.m3u8").as_uri()
        self.fetcher = CountingFetcher(self.base)
        self.reader = SegmentReader(self.fetcher, demuxer)
        text = (folder / "index.m3u8").read_text("utf-8") if (folder / "index.m3u8").exists() else ""
        self.segments = parse_media_playlist(text).segments if text else ()

    async def measure(self, segment: PlaylistSegment, *, generation: int = 0) -> SegmentMedia:
        ref = resolve(self.base, segment.uri)
        body = (await Fetcher.segment(self.fetcher, ref, byte_range=segment.byte_range)).body
        return await self.reader.measure(segment, body, base=self.base, generation=generation)


def listed(uri: str = "segment", *, keys: tuple[str, ...] = (), map_line: str | None = None) -> PlaylistSegment:
    return PlaylistSegment(uri, 2.0, 0, False, 0, None, (), keys, map_line)


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("plain", "mpegts"),
        ("aes128", "mpegts"),
        ("sample_aes", "mpegts"),
        ("fmp4", "fmp4"),
        ("fmp4_cenc", "fmp4"),
        ("fmp4_ranges", "fmp4"),
        ("packed_aac", "packed_audio"),
    ],
)
async def test_every_kind_is_timed_from_its_playlist(made: Path, demuxer: Demuxer, name: str, container: str) -> None:
    desk, at = Desk(made / name, demuxer), BASE
    for segment in desk.segments:
        media = await desk.measure(segment)
        assert (media.container, media.lead.start) == (container, at)
        at += media.lead.duration
        assert media.lead.duration == (172_800 if container == "packed_audio" else 180_000)
    # Samples that are encrypted need no key, and none is asked for.
    keys = [name for name, _ in desk.fetcher.asked if name == "key.bin"]
    assert bool(keys) is (name == "aes128")


async def test_an_init_section_is_fetched_once_for_each_generation(made: Path, demuxer: Demuxer) -> None:
    desk = Desk(made / "fmp4", demuxer)
    for generation in (0, 0, 1, 1):
        await desk.measure(desk.segments[0], generation=generation)
    assert desk.fetcher.asked == [("init.mp4", 0), ("init.mp4", 1)]


async def test_init_sections_are_kept_so_far(tmp_path: Path, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INITS", 2)
    for number in range(3):
        (tmp_path / f"{number}.mp4").write_bytes(init(Track(timescale=90_000)))
    desk = Desk(tmp_path, demuxer)
    for number in (0, 1, 0, 2, 0, 1):
        segment = listed(map_line=f'#EXT-X-MAP:URI="{number}.mp4"')
        await desk.reader.measure(segment, fragment(90, (1, 0)), base=desk.base)
    assert [name[0] for name, _ in desk.fetcher.asked] == ["0", "1", "2", "1"]


async def test_another_init_section_is_another_signature(tmp_path: Path, demuxer: Demuxer) -> None:
    (tmp_path / "a.mp4").write_bytes(init(Track(timescale=90_000)))
    (tmp_path / "b.mp4").write_bytes(init(Track(timescale=45_000)))
    desk = Desk(tmp_path, demuxer)
    found = [
        await desk.reader.measure(listed(map_line=f'#EXT-X-MAP:URI="{name}.mp4"'), fragment(90, (1, 0)), base=desk.base)
        for name in "aba"
    ]
    assert found[0].signature == found[2].signature != found[1].signature
    assert [media.lead.start for media in found] == [90, 180, 90]


async def test_tables_of_a_transport_stream_may_be_the_init_section(
    made: Path, tmp_path: Path, demuxer: Demuxer
) -> None:
    """RFC 8216, 3.2: EXT-X-MAP may name a PAT and a PMT, which the segments then need not have."""
    every = packets_of((made / "plain" / "plain-001.ts").read_bytes())
    tables = [packet for packet in every if pid_of(packet) in (PAT_PID, PMT_PID)]
    media = [packet for packet in every if packet not in tables]
    (tmp_path / "tables.ts").write_bytes(b"".join(tables[:2]))
    desk = Desk(tmp_path, demuxer)
    segment = listed(map_line='#EXT-X-MAP:URI="tables.ts"')
    found = await desk.reader.measure(segment, b"".join(media), base=desk.base)
    assert (found.lead.start, found.lead.frames) == (BASE + 180_000, 50)


async def test_an_init_section_may_be_encrypted_with_a_given_iv(made: Path, tmp_path: Path, demuxer: Demuxer) -> None:
    """RFC 8216, 4.3.2.5: the IV attribute is required then."""
    (tmp_path / "init.mp4").write_bytes(encrypted((made / "fmp4" / "init.mp4").read_bytes(), KEY, IV))
    (tmp_path / "key.bin").write_bytes(KEY)
    body = encrypted((made / "fmp4" / "fmp4-000.m4s").read_bytes(), KEY, IV)
    desk, key = Desk(tmp_path, demuxer), f'#EXT-X-KEY:METHOD=AES-128,URI="key.bin",IV=0x{IV.hex()}'
    segment = listed(keys=(key,), map_line='#EXT-X-MAP:URI="init.mp4"')
    assert (await desk.reader.measure(segment, body, base=desk.base)).lead.start == BASE
    # One in the clear will do as well.
    (tmp_path / "clear.mp4").write_bytes((made / "fmp4" / "init.mp4").read_bytes())
    segment = listed(keys=(key,), map_line='#EXT-X-MAP:URI="clear.mp4"')
    assert (await desk.reader.measure(segment, body, base=desk.base)).lead.start == BASE


async def test_a_wrong_key_is_said_and_not_shown(made: Path, tmp_path: Path, demuxer: Demuxer) -> None:
    secret = b"very secret key!"
    (tmp_path / "key.bin").write_bytes(secret)
    desk = Desk(tmp_path, demuxer)
    body = (made / "aes128" / "aes128-000.ts").read_bytes()
    segment = listed(keys=('#EXT-X-KEY:METHOD=AES-128,URI="key.bin"',))
    with pytest.raises(MediaError, match="wrong key or IV") as caught:
        await desk.reader.measure(segment, body, base=desk.base)
    # One wrong key in 256 leaves a right padding; what comes out is then no segment.
    accident = encrypted(b"no transport stream", secret, bytes(16))
    with pytest.raises(MediaError, match=r"unreadable after decryption: a wrong key or IV\? .*ffprobe") as also:
        await desk.reader.measure(segment, accident, base=desk.base)
    for error in (caught, also):
        assert "secret" not in str(error.value)
        assert secret.hex() not in str(error.value)


async def test_what_is_missing_or_not_allowed_is_the_origins_fault(tmp_path: Path, demuxer: Demuxer) -> None:
    desk = Desk(tmp_path, demuxer)
    key = '#EXT-X-KEY:METHOD=AES-128,URI="{}"'
    with pytest.raises(OriginMissing):
        await desk.reader.measure(listed(keys=(key.format("none"),)), bytes(16), base=desk.base)
    with pytest.raises(OriginMissing):
        await desk.reader.measure(listed(map_line='#EXT-X-MAP:URI="none"'), b"", base=desk.base)
    for uri in ("data:text/plain,x", "../../etc/passwd"):
        with pytest.raises(OriginRefused):
            await desk.reader.measure(listed(keys=(key.format(uri),)), bytes(16), base=desk.base)


async def test_who_paces_his_attempts_need_not_wait_for_the_memory_of_a_failure(
    made: Path, tmp_path: Path, demuxer: Demuxer
) -> None:
    desk = Desk(tmp_path, demuxer)
    body = (made / "aes128" / "aes128-000.ts").read_bytes()
    segment = listed(keys=('#EXT-X-KEY:METHOD=AES-128,URI="key.bin"',))
    with pytest.raises(OriginMissing):
        await desk.reader.measure(segment, body, base=desk.base)
    (tmp_path / "key.bin").write_bytes(KEY)
    assert (await desk.reader.measure(segment, body, base=desk.base, again=True)).lead.start == BASE


@pytest.mark.parametrize(
    ("map_line", "why"),
    [
        ("#EXT-X-MAP:BYTERANGE=5", "without a URI"),
        ('#EXT-X-MAP:URI="i",BYTERANGE="-1@0"', "is no byte range"),
        ("#EXT-X-MAP:nonsense", "is no attribute"),
    ],
)
async def test_a_map_that_cannot_be_read_is_said(tmp_path: Path, demuxer: Demuxer, map_line: str, why: str) -> None:
    with pytest.raises(MediaError, match=f"does not say how to read it: .*{why}"):
        await Desk(tmp_path, demuxer).reader.measure(listed(map_line=map_line), b"", base="file:///nowhere/x")


async def test_a_range_without_an_offset_begins_at_the_start(made: Path, demuxer: Demuxer) -> None:
    desk = Desk(made / "fmp4_ranges", demuxer)
    first = desk.segments[0]
    assert first.map_line is not None
    assert "@0" in first.map_line
    segment = replace(first, map_line=first.map_line.replace("@0", ""))
    assert (await desk.measure(segment)).lead.start == BASE


@pytest.mark.parametrize("body", [b"", b"<html>" * 100, bytes(5000), (b"\x47" + bytes(187)) * 400])
def test_what_is_no_init_section_is_said(body: bytes) -> None:
    with pytest.raises(MediaError, match="neither fMP4 nor the tables"):
        read_init(body)
