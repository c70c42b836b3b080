"""Local origins: nothing outside the folder, nothing that is no file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.origin_files import FileOrigin

if TYPE_CHECKING:
    from pathlib import Path


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
