"""Local origins: nothing outside the folder, nothing that is no file, nothing half written."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.origin_files import MAX_READINGS, FileOrigin, has_writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "in side"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "a b.ts").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    return inside


@pytest.fixture
def files(folder: Path) -> FileOrigin:
    return FileOrigin([(folder / "index.m3u8").as_uri()])


def test_reads_below_the_folder(files: FileOrigin, folder: Path) -> None:
    ref = (folder / "sub" / "a b.ts").as_uri()
    assert files.read(ref, 10) == b"0123456789"
    assert files.read(ref + "?v=1", 10) == b"0123456789"
    assert files.read(ref, 10, (2, 3)) == b"234"


def test_follows_a_link_only_to_the_inside(files: FileOrigin, folder: Path) -> None:
    (folder / "good.ts").symlink_to(folder / "sub" / "a b.ts")
    (folder / "bad.ts").symlink_to(folder.parent / "secret")
    assert files.read((folder / "good.ts").as_uri(), 10) == b"0123456789"
    with pytest.raises(OriginRefused, match="outside"):
        files.read((folder / "bad.ts").as_uri(), 10)


@pytest.mark.parametrize("tail", ["/../secret", "/%2e%2e/secret", "/sub/../../secret", "/..%2fsecret"])
def test_refuses_to_climb(files: FileOrigin, folder: Path, tail: str) -> None:
    with pytest.raises(OriginRefused, match="outside"):
        files.read(folder.as_uri() + tail, 10)


def test_refuses_what_is_no_local_file(files: FileOrigin, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for ref in ((folder / "pipe").as_uri(), folder.as_uri(), (folder / "sub").as_uri()):
        with pytest.raises(OriginRefused, match="regular file"):
            files.read(ref, 10)
    for ref in (folder.as_uri() + "/%00", "file://elsewhere/a.ts"):
        with pytest.raises(OriginRefused, match="names no local file"):
            files.read(ref, 10)


def test_missing_too_large_too_short_unreadable(files: FileOrigin, folder: Path) -> None:
    ref = (folder / "sub" / "a b.ts").as_uri()
    with pytest.raises(OriginMissing):
        files.read((folder / "none.ts").as_uri(), 10)
    with pytest.raises(OriginMissing):
        files.read(ref + "/deeper", 10)
    with pytest.raises(OriginRefused, match="10 bytes; at most 9"):
        files.read(ref, 9)
    with pytest.raises(OriginError, match="ends before byte 12"):
        files.read(ref, 10, (8, 4))
    with pytest.raises(OriginError, match="cannot be read"):
        files.read(folder.as_uri() + "/" + "n" * 300, 10)


def test_without_folders_everything_is_refused(folder: Path) -> None:
    with pytest.raises(OriginRefused):
        FileOrigin([]).read((folder / "sub" / "a b.ts").as_uri(), 10)


def test_more_folders_may_be_open(folder: Path) -> None:
    assert FileOrigin(folders=[folder / "sub"]).read((folder / "sub" / "a b.ts").as_uri(), 10) == b"0123456789"


@pytest.fixture
def listing(folder: Path) -> Path:
    path = folder / "index.m3u8"
    path.write_bytes(b"#EXTM3U\none\n")
    return path


def test_an_unchanged_playlist_is_the_same_object(files: FileOrigin, listing: Path) -> None:
    ref = listing.as_uri()
    first = files.playlist(ref, 100)
    assert first == b"#EXTM3U\none\n"
    assert files.playlist(ref, 100) is first
    # Not even opened for its bytes any more.
    with listing.open("r+b") as file:
        file.write(b"#EXTM3U\ntwo\n")
    facts = listing.stat()
    files.playlist(ref, 100)
    assert files.playlist(ref, 100) == b"#EXTM3U\ntwo\n"
    assert listing.stat().st_mtime_ns == facts.st_mtime_ns


def test_a_change_within_one_tick_of_the_clock_is_seen(files: FileOrigin, listing: Path) -> None:
    facts = listing.stat()
    files.playlist(listing.as_uri(), 100)
    with listing.open("r+b") as file:
        file.write(b"#EXTM3U\ntwo\n")
    os.utime(listing, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert files.playlist(listing.as_uri(), 100) == b"#EXTM3U\ntwo\n"


def test_a_replaced_playlist_is_read_anew(files: FileOrigin, listing: Path) -> None:
    files.playlist(listing.as_uri(), 100)
    draft = listing.with_suffix(".tmp")
    draft.write_bytes(b"#EXTM3U\nnew\n")
    draft.replace(listing)
    assert files.playlist(listing.as_uri(), 100) == b"#EXTM3U\nnew\n"


def test_half_a_playlist_leaves_the_former_one_standing(files: FileOrigin, listing: Path) -> None:
    whole = files.playlist(listing.as_uri(), 100)
    for half in (b"", b"#EXTM3U\nseg", b"#EXTM3U\nseg1"):
        listing.write_bytes(half)
        assert files.playlist(listing.as_uri(), 100) is whole
    listing.write_bytes(b"#EXTM3U\nseg12\n")
    assert files.playlist(listing.as_uri(), 100) == b"#EXTM3U\nseg12\n"


def test_half_a_playlist_at_the_start_is_an_error(files: FileOrigin, listing: Path) -> None:
    listing.write_bytes(b"#EXTM3U\nse")
    with pytest.raises(OriginError, match="being written"):
        files.playlist(listing.as_uri(), 100)


def test_a_playlist_left_without_its_last_lines_end_is_taken(files: FileOrigin, listing: Path) -> None:
    listing.write_bytes(b"#EXTM3U\none")
    os.utime(listing, (1_000_000_000, 1_000_000_000))
    assert files.playlist(listing.as_uri(), 100) == b"#EXTM3U\none"


def test_a_playlist_has_a_limit_and_a_place(files: FileOrigin, listing: Path, folder: Path) -> None:
    with pytest.raises(OriginRefused, match="12 bytes; at most 11"):
        files.playlist(listing.as_uri(), 11)
    with pytest.raises(OriginRefused, match="outside"):
        files.playlist((folder.parent / "secret").as_uri(), 100)
    listing.unlink()
    with pytest.raises(OriginMissing):
        files.playlist(listing.as_uri(), 100)


def test_readings_are_bounded(files: FileOrigin, listing: Path) -> None:
    for number in range(MAX_READINGS + 1):
        files.playlist(f"{listing.as_uri()}?{number}", 100)
    assert len(files._readings) == MAX_READINGS


async def test_a_segment_is_taken_when_it_is_closed(files: FileOrigin, folder: Path) -> None:
    path = folder / "s.ts"
    with path.open("wb") as file:
        file.write(b"half")
        file.flush()
        reading = asyncio.create_task(files.segment(path.as_uri(), 100, patience_s=5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(reading)
        file.write(b" and half")
    assert await reading == b"half and half"


async def test_a_segment_that_is_never_closed(files: FileOrigin, folder: Path) -> None:
    path = folder / "s.ts"
    with path.open("wb"):
        with pytest.raises(OriginError, match="still being written"):
            await files.segment(path.as_uri(), 100, patience_s=0.4)
        # A single file in which each segment is a range.
        assert await files.segment(path.as_uri(), 100, (0, 0), patience_s=0.4) == b""


async def test_a_segment_is_refused_as_any_file(files: FileOrigin, folder: Path) -> None:
    with pytest.raises(OriginMissing):
        await files.segment((folder / "none.ts").as_uri(), 100, patience_s=1)
    with pytest.raises(OriginRefused, match="10 bytes"):
        await files.segment((folder / "sub" / "a b.ts").as_uri(), 9, patience_s=1)


class WithoutLeases(FileOrigin):
    """Stand on a file system that does not say who writes; the file grows between the first two looks."""

    looks = 0

    def _written_to(self, file: BinaryIO) -> bool | None:
        self.looks += 1
        if self.looks == 1:
            with Path(file.name).open("ab") as writer:
                writer.write(b"!")
        return None


async def test_where_nobody_can_tell_a_segment_must_keep_its_looks(folder: Path) -> None:
    files = WithoutLeases([(folder / "index.m3u8").as_uri()])
    assert await files.segment((folder / "sub" / "a b.ts").as_uri(), 100, patience_s=5) == b"0123456789!"
    assert files.looks == 3


def test_who_has_it_open_for_writing(folder: Path) -> None:
    path = folder / "sub" / "a b.ts"
    with path.open("rb") as file:
        assert has_writer(file.fileno()) is False
        with path.open("ab"):
            assert has_writer(file.fileno()) is True
        assert has_writer(file.fileno()) is False
        # Given back at once.
        assert fcntl.fcntl(file.fileno(), fcntl.F_GETLEASE) == fcntl.F_UNLCK
    read_end, write_end = os.pipe()
    assert has_writer(read_end) is None
    os.close(read_end)
    os.close(write_end)
