"""Blackouts that lead to another stream, on the real server: real players play on through both splices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import av
import httpx2

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.keys import read_keys
from relay.spliced import tag_of
from tests.e2e.apart import ApartStage
from tests.e2e.browser import browser, site
from tests.e2e.stage import FIXTURES, PATIENCE_S, Server, Stage
from tests.e2e.test_blackout import Operator
from tests.support.reading import read_playlist
from tests.support.validator import check_media, check_succession

TAG = tag_of("local")
ZONE = {"type": "zip", "code": "90012", "territory": "home", "action": "redirect", "redirect_stream": "local"}


async def origins(stage: Stage) -> Path:
    """Start the origins of a showing and of the stream that stands in for it, both live; return the settings."""
    game = await stage.origin(FIXTURES / "plain", "--loop")
    local = await stage.origin(FIXTURES / "wrap", "--loop")
    config = stage.folder / "lockstep.toml"
    text = f'[showings.game]\norigin = "{game}"\n[showings.local]\norigin = "{local}"\n'
    await asyncio.to_thread(config.write_text, text, "utf-8")
    return config


async def serve(stage: Stage, config: Path | None = None) -> tuple[Server, str]:
    """Serve both; by the same settings again, if there are some."""
    config = config or await origins(stage)
    command = await stage.start(
        "serve", "--data-dir", str(stage.data_dir), "--port", str(stage.port()), "--config", str(config)
    )
    url = str((await command.says("server.listening"))["url"])
    await command.says_often("picture.out", 2)
    return command, url


async def token_of(stage: Stage, home: str) -> str:
    """Issue a token to an account that is at home somewhere."""
    now = int(wall())
    claims = Claims(
        jti=new_id(), account="ann", event_id="game", not_before=now - 30, expires=now + 3_600,
        window=(now - 30, now + 3_600), session=new_id(), scopes=frozenset({"watch"}), home=home,
    )  # fmt: skip
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    return keys.keyring().issue(claims)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


class Watch:
    """Read a list again and again, and judge it as a player would."""

    def __init__(self, http: httpx2.AsyncClient, path: str) -> None:
        self._http = http
        self._path = path
        self.text = ""
        self.names: list[str] = []

    async def look(self) -> list[str]:
        """Return the segments in the list, after a look at how it came to be."""
        text = (await self._http.get(self._path)).raise_for_status().text
        assert check_media(text) == [], text
        if self.text and text != self.text:
            assert check_succession(self.text, text) == [], f"{self.text}\n---\n{text}"
        self.text = text
        names = [segment.uri for segment in read_playlist(text).segments]
        self.names += [name for name in names if name not in self.names]
        return names

    async def until(self, *, dark: bool) -> None:
        """Look until the newest segment is another stream's, or the showing's own."""
        async with asyncio.timeout(PATIENCE_S):
            while (TAG in (await self.look())[-1]) is not dark:
                pass


async def test_lists_inside_and_outside_through_both_edges(stage: Stage) -> None:
    _, url = await serve(stage)
    paths = [f"/hls/{await token_of(stage, home)}/game/" for home in ("US-90012", "US-10001")]
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        inside, outside = (Watch(http, f"{path}index.m3u8") for path in paths)
        now = wall()
        await operator.make(ZONE, start=iso(now + 3), end=iso(now + 9))
        for dark in (True, False):
            await inside.until(dark=dark)
            await outside.look()
        assert not any(TAG in name for name in outside.names)
        for name in inside.names[-3:]:
            assert (await http.get(paths[0] + name)).status_code == 200
        stand_ins = [name for name in inside.names if TAG in name]
        assert (await http.get(paths[1] + stand_ins[-1])).status_code == 404
        hidden = [name for name in outside.names if name not in inside.names]
        answers = [await http.get(paths[0] + name) for name in hidden]
        assert {answer.json().get("reason") for answer in answers if answer.status_code == 403} == {"blackout"}
        assert {answer.status_code for answer in answers} <= {403, 404}


async def test_hls_js_plays_on_through_both_splices(stage: Stage, tmp_path: Path) -> None:
    server, url = await serve(stage)
    inside, outside = [f"{url}/hls/{await token_of(stage, home)}/game/index.m3u8" for home in ("US-90012", "US-10001")]
    operator = await asyncio.to_thread(Operator, stage, url)
    with site(tmp_path / "site") as page:
        async with operator.http, browser(page) as one, browser(page) as two:
            await one.play(inside)
            await two.play(outside)
            await one.has_played(2)
            now = wall()
            await operator.make(ZONE, start=iso(now + 3), end=iso(now + 11))
            await one.has_played(24)
            await two.has_played(24)
            for player in (one, two):
                # It went on by itself: nothing was loaded anew, nothing stood still at the end.
                assert await player.errors() == []
    asked = [line for line in map(json.loads, server.log.splitlines()) if line["event"] == "http.answered"]
    assert any(TAG in line["path"] for line in asked)
    after = [line["path"] for line in asked if "/main/" in line["path"]][-4:]
    assert not any(TAG in path for path in after)
    assert {line["status"] for line in asked if line["path"].startswith("/hls/")} <= {200, 206}


async def test_hls_js_plays_on_when_it_is_dark_at_once(stage: Stage, tmp_path: Path) -> None:
    _, url = await serve(stage)
    inside = f"{url}/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    with site(tmp_path / "site") as page:
        async with operator.http, browser(page) as player:
            await player.play(inside)
            await player.has_played(3)
            await operator.make(ZONE)
            await player.has_played(14)
            assert await player.errors() == []


async def test_hls_js_plays_on_when_it_is_ended_in_the_middle(stage: Stage, tmp_path: Path) -> None:
    server, url = await serve(stage)
    path = f"/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    with site(tmp_path / "site") as page:
        async with (
            operator.http, httpx2.AsyncClient(base_url=url, trust_env=False) as http, browser(page) as player,
        ):  # fmt: skip
            await player.play(url + path)
            await player.has_played(2)
            watch = Watch(http, path)
            name = await operator.make(ZONE, start=iso(wall() + 3))
            await watch.until(dark=True)
            await player.has_played(12)
            await operator.end(name)
            await watch.until(dark=False)
            await player.has_played(26)
            assert await player.errors() == []
    asked = [line for line in map(json.loads, server.log.splitlines()) if line["event"] == "http.answered"]
    shown = [TAG in line["path"] for line in asked if "/main/" in line["path"]]
    assert True in shown
    assert not shown[-1]


def pictures(url: str, seconds: float) -> int:
    """Play for as long, and return how many pictures came."""
    count, until = 0, wall() + seconds
    with av.open(url, timeout=(20.0, 30.0)) as container:
        for _ in container.decode(video=0):
            count += 1
            if wall() > until:
                break
    return count


async def test_pyav_plays_on_through_both_splices(stage: Stage) -> None:
    server, url = await serve(stage)
    inside = f"{url}/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http:
        now = wall()
        # Not so soon that a slow machine makes it when segments of it are listed already: those would be refused.
        await operator.make(ZONE, start=iso(now + 7), end=iso(now + 14))
        assert await asyncio.to_thread(pictures, inside, 27.0) > 300
    asked = [line for line in map(json.loads, server.log.splitlines()) if line["event"] == "http.answered"]
    segments = [line["path"] for line in asked if "/main/" in line["path"]]
    assert any(TAG in path for path in segments)
    assert TAG not in segments[-1]
    assert {line["status"] for line in asked if line["path"].startswith("/hls/")} <= {200, 206}


async def test_two_relays_over_redis_write_the_same_lists(tmp_path: Path) -> None:
    stage = ApartStage(tmp_path)
    try:
        config = ("--config", str(await origins(stage)), "--data-dir", str(stage.data_dir))
        redis = await stage.start_redis()
        urls = []
        # `ingest` makes the keys.
        for name in ("ingest", "relay", "relay"):
            command = await stage.start(name, "--bus", redis.url, *config, "--port", "0")
            urls.append(str((await command.says("server.listening"))["url"]))
            if name == "relay":
                await command.says_often("picture.out", 2)
        path = f"/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8"
        operator = await asyncio.to_thread(Operator, stage, urls[0])
        async with operator.http, contextlib.AsyncExitStack() as stack:
            clients = [httpx2.AsyncClient(base_url=url, trust_env=False) for url in urls[1:]]
            for client in clients:
                await stack.enter_async_context(client)
            now = wall()
            await operator.make(ZONE, start=iso(now + 3), end=iso(now + 9))
            assert await compared(*(Watch(client, path) for client in clients)) > 5
    finally:
        await stage.aclose()


async def compared(one: Watch, other: Watch) -> int:
    """Look at two relays' lists through a splice; return how many were the same, of those that begin and end alike.

    Each asks the origin when its own turn comes, so for a moment one window may begin a segment before the other.
    """
    texts: tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]] = ({}, {})
    async with asyncio.timeout(PATIENCE_S):
        for dark in (True, False):
            while True:
                last = [(await watch.look())[-1] for watch in (one, other)]
                for seen, watch, name in zip(texts, (one, other), last, strict=True):
                    (begins,) = re.findall(r"#EXT-X-MEDIA-SEQUENCE:\d+", watch.text)
                    seen[name, begins] = watch.text
                if all((TAG in name) is dark for name in last) and last[0] == last[1]:
                    break
    common = texts[0].keys() & texts[1].keys()
    for which in common:
        assert texts[0][which] == texts[1][which]
    return len(common)
