"""The one fetcher: one request for many askers, a cache with a budget, and what a setting means."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused, PlaylistError, SettingsError
from kernel.io.origin import Fetched, Fetcher, FetchLimits, playlist_ref, resolve
from tests.support.canned_http import answer, canned_http, ok


class Clock:
    """Stand still until told otherwise."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_playlist_ref_of_folders(tmp_path: Path) -> None:
    def folder(*names: str) -> str:
        made = tmp_path / "-".join(["d", *names])
        made.mkdir()
        for name in names:
            (made / name).touch()
        return str(made)

    assert playlist_ref(folder("index.m3u8", "playlist.m3u8", "z.m3u8")).endswith("/index.m3u8")
    assert playlist_ref(folder("playlist.m3u8", "a.m3u8")).endswith("/playlist.m3u8")
    only = folder("x y.m3u8", "a.ts")
    assert playlist_ref(only) == (Path(only) / "x y.m3u8").as_uri()
    assert playlist_ref(only + "/x y.m3u8") == playlist_ref(only)
    assert playlist_ref(Path(only).as_uri()) == playlist_ref(only)
    with pytest.raises(SettingsError, match=r"no \*\.m3u8"):
        playlist_ref(folder("a.ts"))
    with pytest.raises(SettingsError, match="2 playlists"):
        playlist_ref(folder("a.m3u8", "b.m3u8"))
    with pytest.raises(SettingsError, match="no such folder"):
        playlist_ref(str(tmp_path / "none"))


def test_playlist_ref_of_urls() -> None:
    for url in ("http://h/a.m3u8?x=1", "https://h:8443/b"):
        assert playlist_ref(url) == url
    for url, says in (
        ("ftp://h/a", "use http"),
        ("http:///a", "use http"),
        ("http://h:x/", "host and port"),
        ("http://u:p@h/", "no user name"),
    ):
        with pytest.raises(SettingsError, match=says) as raised:
            playlist_ref(url)
        assert "u:p" not in str(raised.value)


@pytest.mark.parametrize(
    ("base", "uri", "ref"),
    [
        ("http://h/a/i.m3u8?t=1", "s.ts", "http://h/a/s.ts"),
        ("http://h/a/i.m3u8", "b/s.ts?x=1", "http://h/a/b/s.ts?x=1"),
        ("http://h/a/i.m3u8", "/s.ts", "http://h/s.ts"),
        ("http://h/a/i.m3u8", "//cdn/s.ts", "http://cdn/s.ts"),
        ("http://h/a/i.m3u8", "https://cdn/s.ts", "https://cdn/s.ts"),
        ("http://h/a/b/i.m3u8", "../s.ts", "http://h/a/s.ts"),
        ("file:///a/i.m3u8", "b/s%20.ts", "file:///a/b/s%20.ts"),
        ("file:///a/i.m3u8", "http://cdn/s.ts", "http://cdn/s.ts"),
    ],
)
def test_resolve(base: str, uri: str, ref: str) -> None:
    assert resolve(base, uri) == ref


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "data:,x", "ftp://h/x", "javascript:1", "http://[bad/"])
def test_resolve_refuses(uri: str) -> None:
    with pytest.raises(OriginRefused):
        resolve("http://h/i.m3u8", uri)


async def test_files_are_read_within_limits(tmp_path: Path) -> None:
    (tmp_path / "index.m3u8").write_text("#EXTM3U\n")
    (tmp_path / "a.ts").write_bytes(b"0123456789")
    ref = (tmp_path / "index.m3u8").as_uri()
    limits = FetchLimits(max_playlist_bytes=8, max_segment_bytes=9)
    fetcher = Fetcher([ref], limits=limits, now=Clock())
    assert await fetcher.playlist(ref) == Fetched(ref, b"#EXTM3U\n", None, 100.0)
    assert (await fetcher.segment(resolve(ref, "a.ts"), byte_range=(1, 2))).body == b"12"
    with pytest.raises(OriginRefused, match="10 bytes"):
        await fetcher.segment(resolve(ref, "a.ts"))
    with pytest.raises(OriginMissing):
        await fetcher.segment(resolve(ref, "b.ts"))
    await fetcher.aclose()


async def test_a_file_is_out_of_reach_without_a_configured_folder(tmp_path: Path) -> None:
    (tmp_path / "a.ts").touch()
    fetcher = Fetcher(["http://127.0.0.1:1/index.m3u8"], now=Clock())
    with pytest.raises(OriginRefused):
        await fetcher.segment((tmp_path / "a.ts").as_uri())
    await fetcher.aclose()


async def test_a_segment_is_fetched_once() -> None:
    async with canned_http({"/a.ts": ok(b"bytes", "Content-Type: video/mp2t")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        first, second = await asyncio.gather(
            fetcher.segment(canned.url + "/a.ts"), fetcher.segment(canned.url + "/a.ts")
        )
        assert first is second is await fetcher.segment(canned.url + "/a.ts")
        assert first == Fetched(canned.url + "/a.ts", b"bytes", "video/mp2t", 100.0)
        assert canned.paths == ["/a.ts"]
        await fetcher.segment(canned.url + "/a.ts", generation=1)
        assert canned.paths == ["/a.ts"] * 2
        await fetcher.aclose()


async def test_the_first_askers_cancellation_does_not_reach_the_others() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def held(_: str, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go.wait()
        writer.write(ok(b"bytes"))
        await writer.drain()

    async with canned_http({"/a.ts": held}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        first = asyncio.create_task(fetcher.segment(canned.url + "/a.ts"))
        second = asyncio.create_task(fetcher.segment(canned.url + "/a.ts"))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert (await second).body == b"bytes"
        assert canned.paths == ["/a.ts"]
        await fetcher.aclose()


async def test_closing_ends_what_is_under_way() -> None:
    asked = asyncio.Event()

    async def held(_: str, __: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with canned_http({"/a.ts": held}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        asker = asyncio.create_task(fetcher.segment(canned.url + "/a.ts"))
        await asked.wait()
        await fetcher.aclose()
        with pytest.raises(asyncio.CancelledError):
            await asker


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    async with canned_http({"/a.ts": answer(500, b"", "Content-Length: 0")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        ref = canned.url + "/a.ts"
        failures = await asyncio.gather(fetcher.segment(ref), fetcher.segment(ref), return_exceptions=True)
        assert [type(failure) for failure in failures] == [OriginError, OriginError]
        canned.answers["/a.ts"] = ok(b"now")
        assert (await fetcher.segment(ref)).body == b"now"
        await fetcher.aclose()


async def test_the_least_lately_used_goes_when_the_budget_is_spent() -> None:
    async with canned_http({path: ok(b"12345") for path in ("/a", "/b", "/c")} | {"/big": ok(b"1" * 11)}) as canned:
        fetcher = Fetcher([canned.url], limits=FetchLimits(cache_bytes=10), now=Clock())
        for path in ("/a", "/b", "/a", "/c", "/a", "/big", "/a", "/b"):
            await fetcher.segment(canned.url + path)
        assert canned.paths == ["/a", "/b", "/c", "/big", "/b"]
        await fetcher.aclose()


async def test_a_playlist_is_shared_while_it_is_young_enough() -> None:
    async with canned_http({"/i.m3u8": ok(b"1")}) as canned:
        clock = Clock()
        fetcher = Fetcher([canned.url], now=clock)
        ref = canned.url + "/i.m3u8"
        await fetcher.playlist(ref)
        canned.answers["/i.m3u8"] = ok(b"22")
        clock.time += 2
        assert (await fetcher.playlist(ref, max_age_s=2)).body == b"1"
        assert (await fetcher.playlist(ref, max_age_s=1.9)).body == b"22"
        assert (await fetcher.playlist(ref)).body == b"22"
        assert len(canned.paths) == 3
        await fetcher.aclose()


async def test_relative_names_count_from_where_a_redirect_led() -> None:
    """RFC 3986, 5.1.3."""
    moved = answer(302, b"", "Location: /deep/i.m3u8", "Content-Length: 0")
    async with canned_http({"/i.m3u8": moved, "/deep/i.m3u8": ok(b"#EXTM3U")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        got = await fetcher.playlist(canned.url + "/i.m3u8")
        assert resolve(got.ref, "s.ts") == canned.url + "/deep/s.ts"
        await fetcher.aclose()


def test_text_is_utf8() -> None:
    assert Fetched("http://h/a", "é".encode(), None, 0.0).text == "é"
    with pytest.raises(PlaylistError, match="byte 1"):
        _ = Fetched("http://h/a", b"a\xff", None, 0.0).text
