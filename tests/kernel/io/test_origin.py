"""The one fetcher: one request for many askers, a cache with a budget, and what a setting means."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused, SettingsError
from kernel.io.origin import Fetcher, FetchLimits, playlist_ref, resolve
from kernel.io.origin_cache import Fetched, cost_bytes
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
    assert playlist_ref(folder("index.m3u8", "master.m3u8")).endswith("/master.m3u8")
    # A packager may start later.
    assert playlist_ref(only + "/later.m3u8") == (Path(only) / "later.m3u8").as_uri()
    with pytest.raises(SettingsError, match="no such folder"):
        playlist_ref(str(tmp_path / "none" / "later.m3u8"))
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
        ("http://h", "s.ts", "http://h/s.ts"),
        ("http://h/a/b/?x=/y", "s.ts", "http://h/a/b/s.ts"),
        ("http://h/a/i.m3u8", "..", "http://h/"),
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
    counts = fetcher.counts
    assert {key: count for key, count in counts.fetches.items() if count} == {
        ("playlist", "fetched"): 1, ("segment", "fetched"): 1, ("segment", "refused"): 1, ("segment", "missing"): 1,
    }  # fmt: skip
    assert (counts.took["segment"].count, counts.fetched_bytes["segment"], counts.spared["segment"]) == (3, 2, 0)
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
        # One shared its flight, one had it from the cache.
        assert fetcher.counts.spared["segment"] == 2
        assert fetcher.counts.fetches["segment", "fetched"] == 1
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


async def test_a_failure_is_told_to_all_and_kept_for_a_moment() -> None:
    async with canned_http({"/a.ts": answer(500, b"", "Content-Length: 0")}) as canned:
        clock = Clock()
        fetcher = Fetcher([canned.url], now=clock)
        ref = canned.url + "/a.ts"
        failures = await asyncio.gather(fetcher.segment(ref), fetcher.segment(ref), return_exceptions=True)
        assert [type(failure) for failure in failures] == [OriginError, OriginError]
        canned.answers["/a.ts"] = ok(b"now")
        with pytest.raises(OriginError, match="answers 500"):
            await fetcher.segment(ref)
        # Another thing is asked for all the same.
        assert (await fetcher.segment(ref, generation=1)).body == b"now"
        assert len(canned.paths) == 2
        clock.time += 1
        assert (await fetcher.segment(ref)).body == b"now"
        await fetcher.aclose()


@pytest.mark.parametrize("status", [404, 410, 503])
async def test_who_paces_himself_may_ask_again(status: int) -> None:
    async with canned_http({"/a.ts": answer(status, b"", "Content-Length: 0")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        ref = canned.url + "/a.ts"
        for again in (False, True, False):
            with pytest.raises(OriginError, match=str(status)):
                await fetcher.segment(ref, again=again)
        assert len(canned.paths) == 2
        canned.answers["/a.ts"] = ok(b"now")
        assert (await fetcher.segment(ref, again=True)).body == b"now"
        assert (await fetcher.segment(ref)).body == b"now"
        await fetcher.aclose()


async def test_a_playlists_failure_is_not_kept() -> None:
    async with canned_http({"/i.m3u8": answer(404, b"", "Content-Length: 0")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        with pytest.raises(OriginMissing):
            await fetcher.playlist(canned.url + "/i.m3u8")
        canned.answers["/i.m3u8"] = ok(b"#EXTM3U")
        assert (await fetcher.playlist(canned.url + "/i.m3u8")).body == b"#EXTM3U"
        await fetcher.aclose()


async def test_the_least_lately_used_goes_when_the_budget_is_spent() -> None:
    async with canned_http(
        {path: ok(b"12345") for path in ("/a", "/b", "/c", "/d", "/e")} | {"/big": ok(b"1" * 999)}
    ) as canned:
        ref = canned.url + "/a"
        budget = 4 * cost_bytes(("segment", ref, 0, None), Fetched(ref, b"12345", None, 0.0))
        fetcher = Fetcher([canned.url], limits=FetchLimits(cache_bytes=budget), now=Clock())
        for path in ("/a", "/b", "/c", "/d", "/a", "/e", "/a", "/big", "/big", "/b"):
            await fetcher.segment(canned.url + path)
        assert canned.paths == ["/a", "/b", "/c", "/d", "/e", "/big", "/big", "/b"]
        await fetcher.aclose()


async def test_a_key_has_a_limit_of_its_own() -> None:
    async with canned_http({"/k": ok(b"k" * 17)}) as canned:
        fetcher = Fetcher([canned.url], limits=FetchLimits(max_key_bytes=16), now=Clock())
        with pytest.raises(OriginRefused, match="17 bytes"):
            await fetcher.key(canned.url + "/k")
        canned.answers["/k"] = ok(b"k" * 16)
        assert (await fetcher.key(canned.url + "/k", again=True)).body == b"k" * 16
        assert (await fetcher.key(canned.url + "/k")).body == b"k" * 16
        assert len(canned.paths) == 2
        await fetcher.aclose()


async def test_a_playlist_that_did_not_change_is_not_sent_again() -> None:
    """RFC 9110, 13.1.2."""
    async with canned_http({"/i.m3u8": ok(b"1", 'ETag: "a"')}) as canned:
        clock = Clock()
        fetcher = Fetcher([canned.url], now=clock)
        first = await fetcher.playlist(canned.url + "/i.m3u8")
        canned.answers["/i.m3u8"] = answer(304, b"", 'ETag: "a"')
        clock.time += 5
        second = await fetcher.playlist(canned.url + "/i.m3u8")
        assert second.body is first.body
        assert second.at == 105.0
        assert 'if-none-match: "a"' in canned.heads[1].lower()
        canned.answers["/i.m3u8"] = ok(b"2")
        assert (await fetcher.playlist(canned.url + "/i.m3u8")).body == b"2"
        # The newest copy has no version.
        await fetcher.playlist(canned.url + "/i.m3u8")
        assert "if-none-match" not in canned.heads[3].lower()
        await fetcher.aclose()


async def test_a_copy_that_is_cut_within_a_line_is_no_copy() -> None:
    async with canned_http({"/i.m3u8": ok(b"#EXTM3U\nseg1.ts")}) as canned:
        fetcher = Fetcher([canned.url], now=Clock())
        ref = canned.url + "/i.m3u8"
        # An origin that never ends its last line is taken as it is.
        assert (await fetcher.playlist(ref)).body == b"#EXTM3U\nseg1.ts"
        canned.answers["/i.m3u8"] = ok(b"#EXTM3U\nseg1.ts\nseg2.ts\n")
        await fetcher.playlist(ref)
        canned.answers["/i.m3u8"] = ok(b"#EXTM3U\nseg1.ts\nseg2.ts\nseg")
        with pytest.raises(OriginError, match="middle of a line"):
            await fetcher.playlist(ref)
        canned.answers["/i.m3u8"] = ok(b"#EXTM3U\nseg1.ts\n#EXT-X-ENDLIST")
        assert (await fetcher.playlist(ref)).body.endswith(b"ENDLIST")
        await fetcher.aclose()


async def test_a_playlist_has_at_most_so_many_segments() -> None:
    async with canned_http({"/i.m3u8": ok(b"#EXTINF:2,\na.ts\n" * 3)}) as canned:
        for most in (2, 3):
            fetcher = Fetcher([canned.url], limits=FetchLimits(max_playlist_segments=most), now=Clock())
            if most == 3:
                await fetcher.playlist(canned.url + "/i.m3u8")
            else:
                with pytest.raises(OriginRefused, match="3 segments; at most 2"):
                    await fetcher.playlist(canned.url + "/i.m3u8")
            await fetcher.aclose()


async def test_a_segment_is_looked_up_locally_first(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"local")
    (tmp_path / "i.m3u8").write_bytes(b"an old copy")
    async with canned_http({"/i.m3u8": ok(b"#EXTM3U"), "/b.ts": ok(b"remote")}) as canned:
        origin = canned.url + "/i.m3u8"
        fetcher = Fetcher([origin], local_dirs={origin: str(tmp_path)}, now=Clock())
        assert (await fetcher.playlist(origin)).body == b"#EXTM3U"
        ref = canned.url + "/a.ts"
        assert await fetcher.segment(ref) == Fetched(ref, b"local", None, 100.0)
        assert (await fetcher.segment(canned.url + "/b.ts")).body == b"remote"
        assert canned.paths == ["/i.m3u8", "/b.ts"]
        await fetcher.aclose()


async def test_a_disk_has_no_longer_than_a_network(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    limits = FetchLimits(total_timeout_s=0.1)
    fetcher = Fetcher([(tmp_path / "index.m3u8").as_uri()], limits=limits, now=Clock())
    with path.open("wb"), pytest.raises(OriginError, match=r"not read within 0\.1 s"):
        await fetcher.segment(path.as_uri())
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


async def test_folders_are_open_for_origins_that_come_later(tmp_path: Path) -> None:
    for name in ("in/cup", "out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.ts").write_bytes(b"media")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    fetcher = Fetcher([], folders=[tmp_path / "in"], now=Clock())
    assert (await fetcher.segment((tmp_path / "in" / "cup" / "a.ts").as_uri())).body == b"media"
    for path in (tmp_path / "out" / "a.ts", tmp_path / "in" / "link" / "a.ts", tmp_path / "in" / ".." / "out" / "a.ts"):
        with pytest.raises(OriginRefused):
            await fetcher.segment("file://" + str(path))
    # An http playlist names no file, whichever folder is open.
    with pytest.raises(OriginRefused):
        resolve("http://o.test/i.m3u8", (tmp_path / "in" / "cup" / "a.ts").as_uri())
    await fetcher.aclose()
