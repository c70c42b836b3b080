"""How many watch, and who has to go: on real processes, through kills, in one process and apart."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.keys import read_keys
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage
from tests.e2e.test_revocation import LARGE_BYTES, SlowClient, large_origin

SEGMENT = "main/0-1.ts"
ALONE = {"Connection": "close"}
"""Devices share no connection: that of one that is cut is reset."""


class Device:
    """One device of an account that has bought the event: a session of its own."""

    def __init__(self, stage: Stage, client: httpx2.AsyncClient) -> None:
        self._stage, self._client = stage, client
        self.session, self.token = new_id(), ""

    async def sign_in(self) -> Device:
        """Get a session's token."""
        now = int(wall())
        claims = Claims(
            jti=new_id(), account="ann", event_id="game", not_before=now - 30, expires=now + 3_600,
            window=(now - 30, now + 3_600), session=self.session, scopes=frozenset({"watch", "wager"}), purchase="p",
        )  # fmt: skip
        keys = await asyncio.to_thread(read_keys, self._stage.data_dir)
        self.token = keys.keyring().issue(claims)
        return self

    def path(self, what: str) -> str:
        """Return the path of something of the showing."""
        return f"/hls/{self.token}/game/{what}"

    async def get(self, what: str = "index.m3u8") -> httpx2.Response:
        """Ask for something of the showing."""
        return await self._client.get(self.path(what))

    async def is_told(self, what: str = "index.m3u8") -> tuple[int, str]:
        """Return status and reason of the answer."""
        answer = await self.get(what)
        if answer.status_code == 200:
            return 200, answer.headers.get("lockstep-warning", "")
        return answer.status_code, answer.json().get("reason", "")

    async def until(self, what: str, wanted: tuple[int, str]) -> None:
        """Ask as a player does until the answer is another."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await self.is_told(what) == wanted:
                    return
                await asyncio.sleep(0.2)  # as players do


async def devices(stage: Stage, url: str, count: int) -> tuple[httpx2.AsyncClient, list[Device]]:
    client = httpx2.AsyncClient(base_url=url, headers=ALONE, trust_env=False)
    return client, [await Device(stage, client).sign_in() for _ in range(count)]


def configured(stage: Stage, **sessions: Any) -> tuple[str, str]:
    """Return options that say how many may watch; who asks for one segment again and again is no leak here."""
    lines = ["[sessions]", *[f"{name} = {value!r}" for name, value in sessions.items()], "[leaks]", "most = 'off'"]
    path = Path(stage.folder) / "lockstep.toml"
    path.write_text("\n".join([*lines, ""]).replace("'", '"'), "utf-8")
    return "--config", str(path)


PLAIN = str(FIXTURES / "plain")


@pytest.mark.both_shapes
async def test_a_third_device_of_two_gets_no_byte_of_video(stage: Stage) -> None:
    _, url = await stage.serve(PLAIN, *configured(stage, ppv_max=2, order="reject"))
    client, (one, other, third) = await devices(stage, url, 3)
    async with client:
        for device in (one, other):
            assert await device.is_told() == (200, "")
            assert await device.is_told(SEGMENT) == (200, "")
        for what in ("index.m3u8", "main/index.m3u8", SEGMENT, SEGMENT):
            assert await third.is_told(what) == (403, "session_limit")
        # Those who are here are not disturbed.
        assert await one.is_told(SEGMENT) == (200, "")
        assert await other.is_told() == (200, "")


@pytest.mark.both_shapes
async def test_the_oldest_is_warned_then_cut_with_its_socket_and_what_is_under_way(stage: Stage) -> None:
    origin = await asyncio.to_thread(large_origin, stage.folder / "origin")
    _, url = await stage.serve(origin, *configured(stage, ppv_max=1, grace_s=2))
    client, (old, new) = await devices(stage, url, 2)
    async with client:
        subscriber = await stage.subscribe(url, old.token)
        await subscriber.until(lambda frame: frame["op"] == "snap" and frame["i"] == frame["n"])
        # What stands in between would take the body, and go on giving it.
        relay = f"http://127.0.0.1:{stage.ports['relay']}" if isinstance(stage, ApartStage) else url
        slow = SlowClient(relay, old.path("main/0-0.ts"))
        await slow.begin()
        began = wall()
        assert await new.is_told() == (200, "")
        # It is told by what it asks for next, and by its socket: when, why and for whom.
        answer = await old.get(SEGMENT)
        assert (answer.status_code, answer.headers["lockstep-warning"]) == (200, "leaving")
        ends = int(answer.headers["lockstep-session-ends"])
        assert ends >= 1_000 * began + 2_000
        (*_, told) = await subscriber.until(lambda frame: frame["op"] == "session")
        # Each process tells it by its own clock.
        assert abs(told["ends"] - ends) <= 1_000
        assert {name: told[name] for name in ("state", "code", "by")} == {
            "state": "leaving", "code": "session_limit", "by": new.session,
        }  # fmt: skip
        (*_, bye) = await subscriber.until(lambda frame: frame["op"] == "bye")
        assert (bye["code"], bye["reason"]) == (4509, "session_limit")
        assert 1_000 * wall() >= ends
        assert await slow.read_on()
        assert slow.received < 1 << 20 < LARGE_BYTES
        for what in ("index.m3u8", SEGMENT):
            assert await old.is_told(what) == (403, "evicted")
            assert await new.is_told(what) == (200, "")
        again = await stage.subscribe(url, old.token)
        (*_, bye) = await again.until(lambda frame: frame["op"] == "bye")
        assert (bye["code"], bye["reason"]) == (4509, "session_limit")


@pytest.mark.both_shapes
async def test_there_is_one_too_many_during_a_grace_and_never_two(stage: Stage) -> None:
    _, url = await stage.serve(PLAIN, *configured(stage, ppv_max=1, grace_s=3_600))
    client, (first, second, third) = await devices(stage, url, 3)
    async with client:
        for device in (first, second):
            assert await device.is_told(SEGMENT) == (200, "")
        assert await first.is_told(SEGMENT) == (200, "leaving")
        assert await third.is_told(SEGMENT) == (200, "")
        assert await first.is_told(SEGMENT) == (403, "evicted")
        assert await second.is_told(SEGMENT) == (200, "leaving")


@pytest.mark.both_shapes
async def test_a_kill_frees_nobody_who_was_sent_away_and_loses_nobody_who_watches(stage: Stage) -> None:
    # A book that is elsewhere knows how long the restart takes.
    options = configured(stage, ppv_max=1, grace_s=0, dead_after_s=3_600)
    server, url = await stage.serve(PLAIN, *options)
    client, (gone, here, more) = await devices(stage, url, 3)
    async with client:
        for device in (gone, here):
            assert await device.is_told(SEGMENT) == (200, "")
        assert await gone.is_told(SEGMENT) == (403, "evicted")
    server.kill()
    await server.exit_code()
    configured(stage, ppv_max=1, order="reject", dead_after_s=3_600)
    server, url = await stage.serve(PLAIN, *options)
    async with httpx2.AsyncClient(base_url=url, headers=ALONE, trust_env=False) as client:
        for device in (gone, here, more):
            device._client = client
        # Nobody has asked yet: a socket of who was sent away is found all the same.
        subscriber = await stage.subscribe(url, gone.token)
        (*_, bye) = await subscriber.until(lambda frame: frame["op"] == "bye")
        assert (bye["code"], bye["reason"]) == (4509, "session_limit")
        assert await more.is_told(SEGMENT) == (403, "session_limit")
        assert await gone.is_told(SEGMENT) == (403, "evicted")
        assert await here.is_told(SEGMENT) == (200, "")
    assert await server.end(signal.SIGTERM) == 0


async def test_who_asks_no_more_makes_room(stage: Stage) -> None:
    _, url = await stage.serve(PLAIN, *configured(stage, ppv_max=1, order="reject", dead_after_s=6))
    client, (silent, waiting) = await devices(stage, url, 2)
    async with client:
        assert await silent.is_told(SEGMENT) == (200, "")
        assert await waiting.is_told(SEGMENT) == (403, "session_limit")
        await waiting.until(SEGMENT, (200, ""))
        # Its player only looks at the list; that it plays again is another matter.
        assert await silent.is_told() == (200, "")
        assert await silent.is_told(SEGMENT) == (403, "session_limit")


async def test_a_renewed_token_is_the_same_session(stage: Stage) -> None:
    _, url = await stage.serve(PLAIN, *configured(stage, ppv_max=1, order="reject"))
    client, (device,) = await devices(stage, url, 1)
    async with client:
        for _ in range(2):
            assert await device.is_told(SEGMENT) == (200, "")
            await device.sign_in()


async def player(device: Device) -> None:
    """Ask for segments until cancelled, and be refused none."""
    while True:
        assert await device.is_told(SEGMENT) == (200, "")
        await asyncio.sleep(0.3)  # as players do


@pytest.mark.parametrize("shape", ["apart"])
async def test_a_redis_that_is_emptied_frees_nobody_and_loses_nobody(stage: ApartStage) -> None:
    _, url = await stage.serve(PLAIN, *configured(stage, ppv_max=1, grace_s=0))
    client, (gone, here, more) = await devices(stage, url, 3)
    async with client:
        for device in (gone, here):
            assert await device.is_told(SEGMENT) == (200, "")
        playing = asyncio.create_task(player(here))
        redis = await stage.start_redis()
        await redis.ask("FLUSHALL")
        # The relay has the one whom it serves take its seat again, as old as it was.
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await redis.ask("EXISTS", "lockstep:sessions:of:ann") == 1:
                    break
                await asyncio.sleep(0.2)  # nobody says when
        assert await gone.is_told(SEGMENT) == (403, "evicted")
        assert await here.is_told(SEGMENT) == (200, "")
        assert await more.is_told(SEGMENT) == (200, "")
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        assert await here.is_told(SEGMENT) == (403, "evicted")


@pytest.mark.parametrize("shape", ["apart"])
async def test_on_another_relay_a_session_keeps_its_one_seat(stage: ApartStage) -> None:
    options = configured(stage, ppv_max=1, order="reject")
    _, url = await stage.serve(PLAIN, *options)
    other = await stage.house("relay", PLAIN, *options)
    second = str((await other.says("server.listening"))["url"])
    await other.says("picture.out")
    client, (one, late) = await devices(stage, url, 2)
    elsewhere = httpx2.AsyncClient(base_url=second, headers=ALONE, trust_env=False)
    async with client, elsewhere:
        assert await one.is_told(SEGMENT) == (200, "")
        late._client = elsewhere
        assert await late.is_told(SEGMENT) == (403, "session_limit")
        one._client = elsewhere
        assert await one.is_told(SEGMENT) == (200, "")
        one._client = client
        assert await one.is_told(SEGMENT) == (200, "")
        assert await late.is_told(SEGMENT) == (403, "session_limit")
