"""Blackouts that lead to another stream, over kills: what viewers' lists say afterwards, in every rendition."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2

from kernel.io.system_time import wall
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Command, Stage
from tests.e2e.test_blackout import Operator
from tests.e2e.test_splice import TAG, ZONE, iso, serve, token_of
from tests.support.reading import read_playlist
from tests.support.validator import check_media, check_succession

LEAST_S = 6.0
"""Three target durations: as much as a live list holds (RFC 8216, 6.2.2)."""

RENDITIONS = 4
"""The ladder has two pictures, a sound and subtitles."""


async def origins(stage: Stage, fixture: str = "ladder") -> tuple[str, ...]:
    """Start the origins of a showing and of the one in its place; return the options of who serves them."""
    game, local = [await stage.origin(FIXTURES / fixture, "--loop") for _ in range(2)]
    config = stage.folder / "lockstep.toml"
    text = f'[showings.game]\norigin = "{game}"\n[showings.local]\norigin = "{local}"\n'
    await asyncio.to_thread(config.write_text, text, "utf-8")
    return "--config", str(config), "--data-dir", str(stage.data_dir)


async def renditions(http: httpx2.AsyncClient, path: str) -> list[str]:
    """Return the names of the media playlists that the top playlist leads to, but for those of I-frames."""
    top = (await http.get(f"{path}index.m3u8")).raise_for_status().text
    lines = [line for line in top.splitlines() if not line.startswith("#EXT-X-I-FRAME")]
    found = re.findall(r'URI="([^"]+\.m3u8)"|^([^#]\S*\.m3u8)', "\n".join(lines), re.MULTILINE)
    return sorted({one or two for one, two in found})


class Lists:
    """All playlists of a viewer on one relay, by what they end with."""

    def __init__(self, path: str, names: list[str]) -> None:
        self._path = path
        self._names = names
        self.texts: dict[tuple[str, str], str] = {}
        self.newest: dict[str, str] = {}

    async def look(self, http: httpx2.AsyncClient) -> None:
        """Read each of them, and judge it as it stands; then wait as players do, or the address is told 429."""
        for name in self._names:
            answer = await http.get(self._path + name)
            if answer.status_code == 404:
                continue  # A relay that has just begun: its picture is out, this rendition is not yet.
            text = answer.raise_for_status().text
            assert check_media(text) == [], text
            read = read_playlist(text)
            if read.duration_s < LEAST_S:
                continue  # So has one that takes up what went on without it.
            last = read.segments[-1].uri
            before = self.texts.setdefault((name, last), text)
            assert before == text or check_succession(before, text) == [], f"{before}\n---\n{text}"
            self.newest[name] = last
        await asyncio.sleep(0.05)

    def are(self, *, dark: bool) -> bool:
        """Tell whether all of them end with another stream's segments, or with the showing's own."""
        return len(self.newest) == len(self._names) and all((TAG in last) is dark for last in self.newest.values())


class Two:
    """Two relays, and one viewer of both."""

    def __init__(self, stage: ApartStage, options: tuple[str, ...], path: str) -> None:
        self._stage = stage
        self._options = options
        self._path = path
        self._names: list[str] = []
        self.relays: list[Command] = []
        self._clients: list[httpx2.AsyncClient] = []
        self.lists: list[Lists] = []

    async def begin(self, index: int) -> None:
        """Start a relay, again perhaps: it knows nothing but what is on the bus."""
        assert self._stage.redis is not None
        port = str(self._stage.port())
        relay = await self._stage.start("relay", "--bus", self._stage.redis.url, *self._options, "--port", port)
        client = httpx2.AsyncClient(base_url=str((await relay.says("server.listening"))["url"]), trust_env=False)
        await relay.says_often("picture.out", 2)
        self._names = self._names or await renditions(client, self._path)
        assert len(self._names) == RENDITIONS, self._names
        lists = Lists(self._path, self._names)
        self.relays[index:], self._clients[index:], self.lists[index:] = [relay], [client], [lists]

    async def kill(self, index: int) -> None:
        """Kill a relay."""
        self.relays[index].kill()
        await self.relays[index].exit_code()
        await self._clients[index].aclose()

    async def until(self, what: Callable[[], bool]) -> None:
        """Look at all lists on both until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not what():
                for lists, client in zip(self.lists, self._clients, strict=True):
                    await lists.look(client)

    async def first_alone(self, count: int) -> None:
        """Look at the first relay's lists until there have been so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.lists[0].texts) < count:
                await self.lists[0].look(self._clients[0])

    def has_seen(self, count: int) -> bool:
        """Tell whether each list of the second relay has been looked at in so many states."""
        seen = Counter(name for name, _ in self.lists[1].texts)
        return all(seen[name] >= count for name in self._names)

    def alike(self) -> int:
        """Return of how many states of the lists both relays said the same, byte for byte.

        One that has just begun has a shorter list, for it knows only what the origin lists still: until its list has
        been the other's once, it says the same of every segment that stands in both. From then on all is.
        """
        one, two = (lists.texts for lists in self.lists)
        settled: set[str] = set()
        count = 0
        for key in (key for key in two if key in one):
            if one[key] == two[key]:
                settled.add(key[0])
                count += 1
            else:
                assert key[0] not in settled, f"{key}\n{one[key]}\n---\n{two[key]}"
                assert not contradict(one[key], two[key]), f"{key}\n{one[key]}\n---\n{two[key]}"
        assert len(settled) == RENDITIONS
        return count

    async def aclose(self) -> None:
        """End the clients."""
        for client in self._clients:
            await client.aclose()


async def test_two_relays_say_the_same_though_one_is_killed_in_the_dark_and_behind_it(tmp_path: Path) -> None:
    stage = ApartStage(tmp_path)
    try:
        options = await origins(stage)
        redis = await stage.start_redis()
        ingest = await stage.start("ingest", "--bus", redis.url, *options, "--port", "0")
        operator_url = str((await ingest.says("server.listening"))["url"])
        two = Two(stage, options, f"/hls/{await token_of(stage, 'US-90012')}/game/")
        operator = await asyncio.to_thread(Operator, stage, operator_url)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(operator.http)
            stack.push_async_callback(two.aclose)
            for index in (0, 1):
                await two.begin(index)
            now = wall()
            name = await operator.make(ZONE, start=iso(now + 4))
            await two.until(lambda: all(lists.are(dark=True) for lists in two.lists))
            # So long that no list of the origin's goes back to where it began.
            await two.kill(1)
            asked = len(two.lists[0].texts)
            await two.first_alone(asked + RENDITIONS * 8)
            await two.begin(1)
            await two.until(lambda: all(lists.are(dark=True) for lists in two.lists) and two.has_seen(10))
            assert two.alike() >= 2 * RENDITIONS
            await operator.end(name)
            await two.until(lambda: all(lists.are(dark=False) for lists in two.lists))
            await two.kill(1)
            asked = len(two.lists[0].texts)
            await two.first_alone(asked + RENDITIONS * 12)
            await two.begin(1)
            await two.until(lambda: all(lists.are(dark=False) for lists in two.lists) and two.has_seen(10))
            assert two.alike() >= 2 * RENDITIONS
            assert not any(TAG in text for text in list(two.lists[1].texts.values()))
    finally:
        await stage.aclose()


async def test_one_process_goes_on_where_it_was_killed(stage: Stage) -> None:
    server, url = await serve(stage)
    path = f"/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    lists = Lists(path, [""])
    async with operator.http, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        name = await operator.make(ZONE, start=iso(wall() + 3))
        async with asyncio.timeout(PATIENCE_S):
            while not lists.are(dark=True) or len(lists.texts) < 12:
                await lists.look(http)
        before = list(lists.texts.values())[-1]
    server.kill()
    await server.exit_code()
    _, url = await serve(stage, config=stage.folder / "lockstep.toml")
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        known = len(lists.texts)
        async with asyncio.timeout(PATIENCE_S):
            while len(lists.texts) == known:
                await lists.look(http)
        after = list(lists.texts.values())[-1]
        # A player that waits for what comes next finds it under the number that comes next.
        assert not contradict(before, after), f"{before}\n---\n{after}"
        await operator.end(name)
        async with asyncio.timeout(PATIENCE_S):
            while not lists.are(dark=False):
                await lists.look(http)
        assert not contradict(after, list(lists.texts.values())[-1])


def contradict(text: str, later: str) -> bool:
    """Tell whether a later list says something else of a segment of an earlier one, or goes back."""
    one, two = (
        {each.msn: (each.uri, each.discontinuity_sequence) for each in read_playlist(each_text).segments}
        for each_text in (text, later)
    )
    return min(one) > min(two) or max(one) > max(two) or any(one[msn] != two[msn] for msn in one.keys() & two.keys())
