"""Whatever the origin does, the stream goes on when it comes to its senses, and cues stay with their pictures."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.dates import parse_date
from kernel.io.system_time import wall
from tests.e2e.recorder import record
from tests.e2e.stage import FIXTURES, PATIENCE_S, Command, Server, Stage
from tests.e2e.test_spine import Checker
from tests.e2e.vendor import Vendor, play
from tests.support.canned_http import answer, canned_http, ok
from tests.support.hostile_origin import (
    EventAnswers,
    Fault,
    HostileOrigin,
    altered,
    always,
    compressed,
    compressed_in_secret,
    cut_segment,
    cut_unknown_segment,
    hostile_origin,
    moved_segment,
    redirected,
    shrunken,
    silent,
    stale,
    too_long,
    too_short,
    trickling,
)

PAGE = b"<!doctype html><title>Sorry</title><p>We will be back soon.</p>\n"


def _without_commas(text: str) -> str:
    return re.sub(r"^(#EXTINF:[^,\n]*),.*$", r"\1", text, flags=re.MULTILINE)


def _with_comments(text: str) -> str:
    return re.sub(r"^(?=#EXTINF)", "# made by hand\n\n#no tag at all\n", text, flags=re.MULTILINE)


PLAYLIST_FAULTS: dict[str, Fault] = {
    "404": always(answer(404, b"", "Content-Length: 0")),
    "503": always(answer(503, b"", "Content-Length: 0")),
    "silence": silent,
    "one byte at a time": trickling,
    "a page with 200": always(ok(PAGE, "Content-Type: text/html")),
    "nothing with 200": always(ok(b"")),
    "no HTTP": always(b"\x00\x01\x02"),
    "an older copy": stale,
    "a shorter copy": shrunken,
    "EXTINF without a comma": altered(_without_commas),
    "comments": altered(_with_comments),
    "NaN": altered(lambda text: re.sub(r"#EXTINF:[0-9.]+", "#EXTINF:NaN", text)),
    "a negative duration": altered(lambda text: re.sub(r"#EXTINF:", "#EXTINF:-", text)),
    "a huge sequence number": altered(lambda text: re.sub(r"(SEQUENCE:)[0-9]+", r"\g<1>" + "9" * 30, text, count=1)),
    "a redirect": redirected("/moved/index.m3u8"),
    "redirects without end": redirected("/live/index.m3u8"),
    "a redirect inside": redirected("http://127.0.0.1:9/index.m3u8"),
    "a redirect to a file": redirected("file:///etc/passwd"),
    "a length that is too long": too_long,
    "a length that is too short": too_short,
    "gzip": compressed,
    "gzip that nobody mentions": compressed_in_secret,
}
SEGMENT_FAULTS: dict[str, Fault] = {
    "segment: 404": always(answer(404, b"", "Content-Length: 0")),
    "segment: 500": always(answer(500, b"", "Content-Length: 0")),
    "segment: silence": silent,
    "segment: cut": cut_segment,
    "segment: cut, of unknown version": cut_unknown_segment,
    "segment: moved": moved_segment,
    "segment: a redirect inside": redirected("http://169.254.169.254/latest"),
}
REWIND = "a rewound sequence"


class Watch:
    """Ask for cues at the moment in which something happens, and see them with their pictures."""

    def __init__(self, playlist: str, edge: Command, vendor: Vendor) -> None:
        self.playlist = playlist
        self.cues: list[dict[str, Any]] = []
        self._edge = edge
        self._vendor = vendor
        self._client = httpx2.AsyncClient(trust_env=False)

    async def goes_on(self, name: str) -> None:
        """Post a play that happens now; see that its cue comes, and names the segment that shows this moment."""
        id_ = re.sub(r"[^a-z0-9]+", "-", name.lower())
        at = wall()
        assert (await self._vendor.post(id_, play(id_, at))).status_code == 202
        cue = (await self._edge.until(lambda frame: frame.get("id") == f"desk:{id_}"))[-1]
        self.cues.append(cue)
        text = await self.text()
        listed = re.findall(r"DATE-TIME:(\S+)\n(?:#.*\n)*[^#\n]*?\d+-(\d+)\.ts", text)
        dates = {int(msn): parse_date(date) for date, msn in listed}
        assert cue["msn"] in dates, f"after {name}: {cue} is not in\n{text}"
        # Segments of 0.6 s, frames of 50 ms.
        assert -0.051 <= at - dates[cue["msn"]] <= 0.651, f"after {name}: {cue}\n{text}"
        assert abs(cue["off"] / 90_000 - (at - dates[cue["msn"]])) <= 0.11, f"after {name}: {cue}"

    async def text(self) -> str:
        """Return the gated playlist."""
        return (await self._client.get(self.playlist)).text

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._vendor.aclose()


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[HostileOrigin]:
    folder = tmp_path / "recording"
    await record(folder, segment_s=0.6, duration_s=24)
    async with hostile_origin(folder) as made:
        yield made


def resident_mb(command: Server) -> float:
    assert isinstance(command, Command)
    status = Path(f"/proc/{command.process.pid}/status").read_text("ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


async def test_the_stream_goes_on_whatever_the_origin_does(
    stage: Stage, origin: HostileOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_LIMITS__READ_TIMEOUT_S", "0.4")
    monkeypatch.setenv("LOCKSTEP_LIMITS__TOTAL_TIMEOUT_S", "0.8")
    server, url = await stage.serve(origin.url, "--source", "desk=lockstep")
    edge = await stage.subscribe(url, await stage.token("watch,wager,server"), "--mode", "edge")
    await edge.until(lambda frame: frame["op"] == "sub")
    playlist = f"{url}/hls/{await stage.token()}/game/index.m3u8"
    watch = Watch(playlist, edge, Vendor(url, stage.data_dir))
    checker = Checker(playlist)
    polling = asyncio.create_task(checker.run())
    await watch.goes_on("nothing")
    before_mb = resident_mb(server)
    for name, fault in PLAYLIST_FAULTS.items():
        await origin.suffer(playlist=fault, times=2)
        await watch.goes_on(name)
    for name, fault in SEGMENT_FAULTS.items():
        await origin.suffer(segment=fault)
        await watch.goes_on(name)
    generations = re.findall(r"^main/(\d+)-", (await watch.text()), re.MULTILINE)
    # Neither older and shorter copies nor redirects and cut names were taken for an origin that began anew.
    assert set(generations) == {"0"}
    origin.rewind()
    await watch.goes_on(REWIND)
    assert "\nmain/1-" in await watch.text()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    await watch.aclose()

    msns = [cue["msn"] for cue in watch.cues]
    assert msns == sorted(msns)
    assert len(checker.polls) > 100
    assert checker.early(watch.cues) == []
    assert resident_mb(server) - before_mb < 64
    assert await server.end() == 0
    assert "Traceback" not in server.log
    assert "part.failed" not in server.log
    assert server.log.count('"event": "playlist.unavailable"') >= 12
    assert server.log.count('"event": "segment.unreadable"') <= 1


def _processor_s(command: Server) -> tuple[float, float]:
    """Return the processor time that a server's loop has had, and that of all its threads."""
    assert isinstance(command, Command)
    process = Path(f"/proc/{command.process.pid}")
    loop_s, all_s = (
        # proc(5): user and system time, behind a name that may hold blanks.
        sum(map(int, (path / "stat").read_text("ascii").rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
        for path in (process / "task" / process.name, process)
    )
    return loop_s, all_s


async def test_a_list_of_a_hundred_thousand_segments(stage: Stage) -> None:
    async with canned_http({}) as canned, httpx2.AsyncClient(trust_env=False) as client:
        canned.answers = await asyncio.to_thread(EventAnswers, FIXTURES / "plain", 99_900)
        server, url = await stage.serve(f"{canned.url}/live/index.m3u8")
        playlist = f"{url}/hls/{await stage.token()}/game/index.m3u8"

        async def listed() -> list[str]:
            return re.findall(r"^main/0-(\d+)\.ts", (await client.get(playlist)).text, re.MULTILINE)

        first = last = await listed()
        before = _processor_s(server)
        async with asyncio.timeout(PATIENCE_S):
            while int(last[-1]) < int(first[-1]) + 3:
                assert (await client.get(f"{url}/livez")).status_code == 200
                await asyncio.sleep(0.5)  # as players do
                last = await listed()
        loop_s, all_s = (now - then for now, then in zip(_processor_s(server), before, strict=True))
        # Three copies that differ came meanwhile. Read on the loop, each would hold it for half a second, twice.
        assert loop_s < all_s / 2
        assert resident_mb(server) < 1024
        assert await server.end() == 0
        assert "Traceback" not in server.log
