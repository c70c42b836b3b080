from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.io import playlists as module
from kernel.io.origin import Fetcher
from kernel.io.playlists import OriginReader, PlaylistReader
from tests.support.origins import write_list


@pytest.fixture
def ref(tmp_path: Path) -> str:
    return Path(write_list(tmp_path, ["a.ts", "b.ts"])).as_uri()


async def test_it_gives_a_copy_only_when_it_changed(tmp_path: Path, ref: str) -> None:
    fetcher = Fetcher([ref], now=asyncio.get_running_loop().time)
    reader = PlaylistReader(fetcher, "game")
    first = await reader.read(ref, max_age_s=0.0)
    assert first is not None
    assert first.refs == [(tmp_path / name).as_uri() for name in ("a.ts", "b.ts")]
    assert first.resolve("k") == (tmp_path / "k").as_uri()
    assert await reader.read(ref, max_age_s=0.0) is None
    write_list(tmp_path, ["a.ts", "b.ts", "c.ts"])
    second = await reader.read(ref, max_age_s=0.0)
    assert second is not None
    assert len(second.playlist.segments) == 3
    await fetcher.aclose()


async def test_what_cannot_be_had_is_said_once(tmp_path: Path, ref: str, capsys: pytest.CaptureFixture[str]) -> None:
    fetcher = Fetcher([ref], now=asyncio.get_running_loop().time)
    reader = PlaylistReader(fetcher, "game")
    path = tmp_path / "index.m3u8"
    text = path.read_text("utf-8")
    path.write_text("<html>busy</html>", "utf-8")
    for _ in range(3):
        assert await reader.read(ref, max_age_s=0.0) is None
    assert capsys.readouterr().out.count("playlist.unavailable") == 1
    path.write_text(text, "utf-8")
    assert await reader.read(ref, max_age_s=0.0) is not None
    path.unlink()
    assert await reader.read(ref, max_age_s=0.0) is None
    assert "playlist.unavailable" in capsys.readouterr().out
    await fetcher.aclose()


async def test_a_long_one_is_read_off_the_loop(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OFF_LOOP_BYTES", 10)
    fetcher = Fetcher([ref], now=asyncio.get_running_loop().time)
    assert await PlaylistReader(fetcher, "game").read(ref, max_age_s=0.0) is not None
    await fetcher.aclose()


async def test_the_top_playlist_leads_to_the_one_that_is_timed(tmp_path: Path, ref: str) -> None:
    now = asyncio.get_running_loop().time
    top = tmp_path / "top.m3u8"
    top.write_text(
        '#EXTM3U\n#EXT-X-DEFINE:NAME="list",VALUE="index"\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\na.m3u8\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=2x2\n{$list}.m3u8\n",
        "utf-8",
    )
    fetcher = Fetcher([top.as_uri()], now=now)
    reader = OriginReader(fetcher, top.as_uri(), event_id="game", now=now)
    assert await reader.read_lead(max_age_s=0.0) is None
    found = await reader.read_top(max_age_s=0.0)
    assert found is not None
    assert found.lead == ref
    assert found.playlist is not None
    assert found.resolve("x") == (tmp_path / "x").as_uri()
    # It is not read again at every turn.
    assert await reader.read_top(max_age_s=0.0) is None
    copy = await reader.read_lead(max_age_s=0.0)
    assert copy is not None
    assert len(copy.refs) == 2
    await fetcher.aclose()


async def test_a_media_playlist_leads_to_itself(ref: str, tmp_path: Path) -> None:
    now = asyncio.get_running_loop().time
    fetcher = Fetcher([ref], now=now)
    reader = OriginReader(fetcher, ref, event_id="game", now=now)
    path = tmp_path / "index.m3u8"
    text = path.read_text("utf-8")
    path.unlink()
    assert await reader.read_top(max_age_s=0.0) is None
    path.write_text(text, "utf-8")
    found = await reader.read_top(max_age_s=0.0)
    assert found is not None
    assert (found.lead, found.playlist) == (ref, None)
    assert await reader.read_lead(max_age_s=0.0) is not None
    await fetcher.aclose()
