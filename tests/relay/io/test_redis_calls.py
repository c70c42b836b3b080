from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.errors import BookUnavailable, SettingsError
from relay.io import redis_calls
from relay.io.redis_calls import RedisCalls
from relay.io.redis_steps import Script
from tests.support.ports import HeldPort
from tests.support.redis_server import PATIENCE_S, redis_server

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])", "8cd00688c05c46bde4a2e60658ef20a2e5c0b248")
FAULTY = Script("return redis.call('NOSUCH')", "no such name")


async def test_those_who_wait_go_together_and_a_script_that_is_not_known_is_told(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        calls = RedisCalls(server.url, patience_s=PATIENCE_S)
        sums = await asyncio.gather(*(calls.run(ADD, [b"n"], [n]) for n in range(1, 601)))
        assert sorted(sums) == [n * (n + 1) // 2 for n in range(1, 601)]
        told = await server.ask("INFO", "commandstats")
        assert isinstance(told, bytes)
        before = told.count(b"cmdstat_eval:")
        await server.ask("SCRIPT", "FLUSH")
        assert await calls.run(ADD, [b"n"], [0]) == sums[-1]
        assert before == 1
        await calls.aclose()


async def test_a_fault_of_one_is_not_the_others(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        calls = RedisCalls(server.url, patience_s=PATIENCE_S)
        answers = await asyncio.gather(
            calls.run(ADD, [b"n"], [1]),
            calls.run(FAULTY, [], []),
            calls.run(ADD, [b"n"], ["x"]),
            return_exceptions=True,
        )
        assert answers[0] == 1
        for fault in answers[1:]:
            assert isinstance(fault, BookUnavailable)
            assert "Redis refuses" in str(fault)
        assert await calls.run(ADD, [b"n"], [1]) == 2
        await calls.aclose()


async def test_a_connection_that_died_meanwhile_is_nobodys_trouble(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        calls = RedisCalls(server.url, patience_s=PATIENCE_S)
        await calls.run(ADD, [b"n"], [1])
        await server.kill()
        with pytest.raises(BookUnavailable):
            await calls.run(ADD, [b"n"], [1])
        await server.start()
        assert await calls.run(ADD, [b"n"], [5]) == 5
        await server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await calls.run(ADD, [b"n"], [1]) == 6
        await calls.aclose()


async def test_what_does_not_answer_is_unavailable_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with redis_server(tmp_path) as server:
        calls = RedisCalls(server.url)
        server.stop_answering()
        first = asyncio.gather(*(calls.run(ADD, [b"n"], [1]) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(one, BookUnavailable) for one in await first)
        monkeypatch.setattr(redis_calls, "MAX_WAITING", 1)
        waiting = asyncio.create_task(calls.run(ADD, [b"n"], [1]))
        await asyncio.sleep(0)
        with pytest.raises(BookUnavailable, match="too many wait"):
            await calls.run(ADD, [b"n"], [1])
        # Whoever waits at the end is told, too; whoever went away in between is not missed.
        monkeypatch.undo()
        leaving = asyncio.create_task(calls.run(ADD, [b"n"], [1]))
        await asyncio.sleep(0)
        leaving.cancel()
        await calls.aclose()
        with pytest.raises(BookUnavailable, match="closed"):
            await waiting
        with pytest.raises(BookUnavailable, match="closed"):
            await calls.run(ADD, [b"n"], [1])
        await calls.aclose()
        server.go_on()


async def test_nobody_there_is_unavailable_and_nonsense_is_said() -> None:
    with HeldPort() as port, pytest.raises(BookUnavailable):
        await RedisCalls(f"redis://:secret@127.0.0.1:{port.number}/0").run(ADD, [b"n"], [1])
    with pytest.raises(SettingsError, match="write redis://"):
        RedisCalls("http://x")
