"""One connection: in time or not at all, and never with a password in what it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from kernel.errors import BusUnavailable, SettingsError
from kernel.io.redis_link import RedisLink, address_of, is_refusal, is_unknown_script
from tests.support.ports import HeldPort
from tests.support.redis_server import redis_server


async def test_commands_go_together_and_answers_come_in_their_order(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        link = RedisLink(server.url)
        answers = await link.call(("SET", "k", "v"), ("NOSUCH",), ("GET", b"k"))
        assert (answers[0], answers[2]) == (b"OK", b"v")
        assert is_refusal(answers[1])
        assert not is_unknown_script(answers[1])
        (unknown,) = await link.call(("EVALSHA", "0" * 40, 0))
        assert is_refusal(unknown)
        assert is_unknown_script(unknown)
        await link.aclose()
        await link.aclose()


async def test_a_transaction_takes_effect_or_fails(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        link = RedisLink(server.url)
        await link.transact([("XADD", "s", "1-2", "f", "v"), ("XADD", "s", "1-3", "f", "v")])
        # What was tried again is there already.
        await link.transact([("XADD", "s", "1-2", "f", "v"), ("XADD", "s", "1-3", "f", "v")])
        assert await link.call(("XLEN", "s")) == [2]
        with pytest.raises(BusUnavailable, match="refuses"):
            await link.transact([("XADD", "s", "1-4", "f", "v"), ("XADD", "s")])
        assert await link.call(("XLEN", "s")) == [2]
        await link.call(("SET", "text", "x"))
        with pytest.raises(BusUnavailable, match="WRONGTYPE"):
            await link.transact([("XADD", "text", "1-4", "f", "v")])
        await link.aclose()


async def test_what_does_not_answer_in_time_is_unavailable_and_connected_anew(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        link = RedisLink(server.url)
        await link.call(("PING",))
        server.stop_answering()
        with pytest.raises(BusUnavailable, match="no answer in time"):
            await link.call(("PING",))
        with pytest.raises(BusUnavailable):
            await link.call(("PING",), timeout_s=0.05)
        server.go_on()
        assert await link.call(("ECHO", "now")) == [b"now"]
        await link.aclose()


def test_a_connection_that_died_between_two_calls_is_unavailable_under_uvloop_too(tmp_path: Path) -> None:
    async def die_and_come_back() -> None:
        async with redis_server(tmp_path) as server:
            link = RedisLink(server.url)
            await link.call(("PING",))
            # As when the network resets it while nobody waits for an answer.
            lost = asyncio.get_running_loop().create_future()
            writer = link._connection._writer
            writer.transport.get_protocol().connection_lost = lost.set_result
            writer.transport.abort()
            assert await lost is None
            with pytest.raises(BusUnavailable, match="dead"):
                await link.call(("PING",))
            assert await link.call(("PING",)) == [b"PONG"]
            await link.aclose()

    uvloop.run(die_and_come_back())


async def test_nobody_there_is_unavailable() -> None:
    with HeldPort() as port, pytest.raises(BusUnavailable):
        await RedisLink(f"redis://:secret@127.0.0.1:{port.number}/0").call(("PING",))


@pytest.mark.parametrize(
    "url",
    ["http://x:secret@y", "secret", "redis://h/0?no_such_option=secret", "redis://:secret@h:port/0", ""],
)
def test_what_is_no_redis_is_said_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="write redis://") as caught:
        RedisLink(url)
    assert "secret" not in str(caught.value)


def test_an_address_is_fit_for_a_log() -> None:
    assert address_of("redis://user:secret@h.test:6380/2?x=y") == "redis://h.test:6380/2"
    assert address_of("rediss://h.test") == "rediss://h.test"
    assert address_of("unix:///run/redis.sock") == "unix:///run/redis.sock"
