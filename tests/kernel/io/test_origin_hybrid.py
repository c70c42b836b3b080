"""Local copies: the same path below the folder, nothing outside it, and never instead of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kernel.io.origin_hybrid import LocalCopies

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://origin.example/live/game/index.m3u8?token=x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "copies"
    (made / "video").mkdir(parents=True)
    (made / "video" / "a b.ts").write_bytes(b"0123456789")
    (tmp_path / "secret.ts").write_bytes(b"secret")
    return made


async def read(copies: LocalCopies, ref: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
    return await copies.segment(ref, 100, byte_range, patience_s=0.4)


async def test_the_path_below_the_playlists_folder_counts(folder: Path) -> None:
    copies = LocalCopies({URL: str(folder)})
    assert await read(copies, "http://origin.example/live/game/video/a%20b.ts?v=1") == b"0123456789"
    assert await read(copies, "http://ORIGIN.example/live/game/video/a%20b.ts", (2, 3)) == b"234"
    for elsewhere in (
        "http://origin.example/live/other/video/a%20b.ts",
        "http://origin.example/live/game/",
        "http://origin.example/live/game/video/none.ts",
        "https://origin.example/live/game/video/a%20b.ts",
        "http://origin.example:81/live/game/video/a%20b.ts",
        "http://cdn.example/live/game/video/a%20b.ts",
    ):
        assert await read(copies, elsewhere) is None


async def test_nothing_outside_the_folder(folder: Path) -> None:
    (folder / "out.ts").symlink_to(folder.parent / "secret.ts")
    (folder / "in.ts").symlink_to(folder / "video" / "a b.ts")
    copies = LocalCopies({URL: str(folder)})
    base = "http://origin.example/live/game/"
    assert await read(copies, base + "in.ts") == b"0123456789"
    absolute = str(folder.parent / "secret.ts")
    for name in ("out.ts", "../secret.ts", "%2e%2e/secret.ts", "video/../../secret.ts", "%00", "video", absolute):
        assert await read(copies, base + name) is None


async def test_what_is_too_large_or_too_short_comes_from_the_origin(folder: Path) -> None:
    (folder / "big.ts").write_bytes(bytes(101))
    copies = LocalCopies({URL: str(folder)})
    assert await read(copies, "http://origin.example/live/game/big.ts") is None
    assert await read(copies, "http://origin.example/live/game/video/a%20b.ts", (8, 4)) is None


async def test_after_a_redirect_names_count_from_there(folder: Path) -> None:
    copies = LocalCopies({URL: str(folder)})
    moved = "http://edge.example/s/1/video/a%20b.ts"
    assert await read(copies, moved) is None
    copies.moved(URL, "http://edge.example/s/1/index.m3u8")
    assert await read(copies, moved) == b"0123456789"
    assert await read(copies, "http://origin.example/live/game/video/a%20b.ts") == b"0123456789"
    # Only where it leads now.
    copies.moved(URL, "http://edge.example/s/2/index.m3u8")
    assert await read(copies, moved) is None
    copies.moved("http://unknown/", "http://x/")


async def test_without_folders_nothing_is_local() -> None:
    assert await read(LocalCopies({}), "http://origin.example/a.ts") is None
