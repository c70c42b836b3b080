"""What Redis adds to the contract: its clock, its forgetting, and that it may be away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from kernel.errors import BookUnavailable
from relay.io.redis_book import LOOKED_AT_ONCE, SIGNS_AT_ONCE, RedisBook
from relay.io.redis_steps import LINGER_MS
from relay.sessions.model import Evicted, Full, Life, Limit, Order, Seated, Sign, Wish
from tests.support.redis_server import PATIENCE_S, RedisServer, redis_server

ONE = Limit("event:final", 1, Order.OLDEST_FIRST, grace_ms=30_000, memory_ms=60_000)
HOUR_MS = 3_600_000


def wish(session: str, *limits: Limit, account: str = "anna", dead_after_ms: int = 30_000) -> Wish:
    return Wish(account, session, "final", limits, int(time.time() * 1_000) + HOUR_MS, dead_after_ms, {"at": "tv"})


async def ends_ms(server: RedisServer, account: str) -> int:
    end = await server.ask("PEXPIRETIME", f"test:sessions:of:{account}")
    assert isinstance(end, int)
    return end - LINGER_MS


async def test_time_is_redis_own_and_of_a_sign_it_counts_how_long_ago_it_was(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        # The clock of this process is an hour behind.
        late = RedisBook(server.url, wall=lambda: time.time() - 3_600, prefix="test", patience_s=PATIENCE_S)
        before = int(time.time() * 1_000)
        outcome = await late.admit(wish("a", ONE))
        after = int(time.time() * 1_000)
        assert isinstance(outcome, Seated)
        assert before <= outcome.session.began_ms <= after
        assert [one.life for one in await late.saw([Sign("anna", "a", before - HOUR_MS)])] == [Life.LIVE]
        (seen,) = await late.of("anna")
        assert outcome.session.seen_ms <= seen.seen_ms <= int(time.time() * 1_000)
        await late.aclose()
        await late.aclose()


async def test_an_account_runs_out_when_all_that_it_says_is_over(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        book = RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S)
        outcome = await book.admit(wish("a", ONE))
        assert isinstance(outcome, Seated)
        # Redis counts from when the script runs out, or begins: its versions differ by what it took.
        assert 0 <= await ends_ms(server, "anna") - (outcome.session.seen_ms + 30_000) < LINGER_MS
        # From the cut it is remembered for a minute.
        outcome = await book.admit(wish("b", ONE))
        assert isinstance(outcome, Seated)
        (leaving,) = [one.leaving for one in outcome.leaving]
        assert leaving is not None
        assert 0 <= await ends_ms(server, "anna") - leaving.until_ms < LINGER_MS
        dismissed = await book.dismiss("anna", "b", code="kicked", by="op")
        assert dismissed is not None
        assert 0 <= await ends_ms(server, "anna") - dismissed.until_ms < LINGER_MS
        await book.admit(wish("c", account="ben"))
        assert await book.release("ben", "c")
        assert await server.ask("EXISTS", "test:sessions:of:ben") == 0
        assert await server.ask("ZRANGE", "test:sessions", 0, -1) == [b"anna"]
        await book.aclose()


async def test_what_ran_out_leaves_the_index(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        book = RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S)

        async def come(kind: str, count: int) -> None:
            await asyncio.gather(*(book.admit(wish("s", account=f"{kind} {n:03}")) for n in range(count)))

        async def run_out(*kinds: str) -> None:
            for kind in kinds:
                assert await server.ask("EVAL", "return redis.call('DEL', unpack(redis.call('KEYS', ARGV[1])))", 0,
                                        f"test:sessions:of:{kind} *")  # fmt: skip

        await come("a", 100)
        await run_out("a")
        # Each that comes has some others looked at.
        await come("b", 60)
        known = await server.ask("ZCARD", "test:sessions")
        assert known == 60
        await run_out("b")
        await come("c", 1)
        assert await book.accounts("", 9) == ["c 000"]
        assert await server.ask("ZCARD", "test:sessions") == 1
        await book.aclose()


async def test_lists_and_signs_beyond_one_script(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        book = RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S)
        names = [f"{n:04}" for n in range(2 * LOOKED_AT_ONCE + 1)]
        await asyncio.gather(*(book.admit(wish("s", account=name)) for name in names))
        await asyncio.gather(*(book.dismiss(name, "s", code="kicked", by="op") for name in names[:LOOKED_AT_ONCE]))
        assert await book.accounts("", 2) == names[LOOKED_AT_ONCE : LOOKED_AT_ONCE + 2]
        assert await book.accounts("0100", 999) == names[LOOKED_AT_ONCE:]
        assert await book.accounts(names[-1], 9) == []
        signs = [Sign(name, "s", 0) for name in names]
        assert len(signs) > 2 * SIGNS_AT_ONCE
        lives = [one.life for one in await book.saw(signs)]
        assert lives == [Life.EVICTED] * LOOKED_AT_ONCE + [Life.LIVE] * (LOOKED_AT_ONCE + 1)
        assert await book.saw([]) == []
        await book.aclose()


async def test_many_processes_at_once_never_let_in_more(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        books = [RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S) for _ in range(3)]
        three = ONE._replace(most=3, order=Order.REJECT)
        outcomes = await asyncio.gather(*(books[n % 3].admit(wish(f"{n}", three)) for n in range(60)))
        assert sum(isinstance(one, Seated) for one in outcomes) == 3
        assert all(isinstance(one, Full) and one.limit == three for one in outcomes if not isinstance(one, Seated))
        assert len(await books[0].of("anna")) == 3
        for book in books:
            await book.aclose()


async def test_a_redis_that_is_away_is_said_and_one_that_lost_all_is_filled_again(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        book = RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S)
        await book.admit(wish("a", ONE))
        await server.kill()
        for asked in (
            book.admit(wish("b", ONE)),
            book.saw([Sign("anna", "a", 0)]),
            book.release("anna", "a"),
            book.dismiss("anna", "a", code="kicked", by="op"),
            book.of("anna"),
            book.accounts("", 1),
        ):
            with pytest.raises(BookUnavailable, match="Redis"):
                await asked
        await server.start()
        assert [one.life for one in await book.saw([Sign("anna", "a", 0)])] == [Life.GONE]
        began_ms = int(time.time() * 1_000) - 60_000
        outcome = await book.admit(wish("a", ONE)._replace(began_ms=began_ms))
        assert isinstance(outcome, Seated)
        assert outcome.session.began_ms == began_ms
        await book.aclose()


async def test_what_redis_wrote_down_outlives_its_kill(tmp_path: Path) -> None:
    async with redis_server(tmp_path, appendonly=True) as server:
        # Written with each answer, and never waited for: a kill, unlike a power cut, takes nothing of it.
        await server.ask("CONFIG", "SET", "appendfsync", "no")
        book = RedisBook(server.url, wall=time.time, prefix="test", patience_s=PATIENCE_S)
        at_once = ONE._replace(grace_ms=0)
        await book.admit(wish("a", at_once))
        await book.admit(wish("b", at_once))
        await server.kill()
        await server.start()
        assert [one.session for one in await book.of("anna")] == ["b"]
        assert isinstance(await book.admit(wish("a", at_once)), Evicted)
        await book.aclose()
