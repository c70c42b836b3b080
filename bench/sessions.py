"""What the book of sessions costs: `python -m bench sessions`.

* Letting somebody in, in one process, among 100,000 who watch: the step alone, for the first session of an account and
  for a third where two may be; and with its commit, one after the other. The yardsticks are the same without rules (a
  dict, a row that is committed by the same means), in the same run.
* The same over Redis, one loopback redis-server with an append-only file; the yardstick is a PING over a link of ours.
* What 100,000 sessions take in memory, in the book that is also on disk; the yardstick are as many plain dicts.
* How many signs of life a second it takes in batches, in one process and over Redis.
* What book and keeper take together of 100,000 sessions, and with them the leak detector; what a request for a segment
  costs more for having its session counted and watched (`bench/_segments.py`); the yardstick is what the gates take for
  it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uvloop

from bench._packages import Absent, program
from bench._proc import rss_bytes
from bench._segments import Segments
from bench._skips import skip
from bench._stage import machine, report
from bench.redis import Redis
from kernel.io.committed_file import CommittedFile
from kernel.io.redis_link import RedisLink
from kernel.io.system_time import wall
from kernel.tokens import Claims
from lockstep.collector import set_up_collector
from lockstep.logs import configure_logs
from relay.io.embedded_book import EmbeddedBook
from relay.io.redis_book import RedisBook
from relay.sessions.book import SessionBook
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Limit, Order, Seated, Sign, Wish

LIVE = 100_000
TRIALS = 2_000
BATCH = 256
HOUR_MS = 3_600_000
IN_PROCESS_US, OVER_REDIS_MS, MEMORY_MB, SEGMENT_US = 50, 1, 200, 1


class _Rows(CommittedFile):
    """The yardstick of a commit: one row, and no rules."""

    schema, version = "CREATE TABLE IF NOT EXISTS rows (name TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID", 1

    async def put(self, name: str, text: str) -> None:
        await self._commits.run(lambda db: db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (name, text)))


def wish(account: int, session: int) -> Wish:
    """Return a wish as a token makes it: every text an object of its own."""
    limit = Limit("".join(["event:", "final"]), 2, Order.OLDEST_FIRST, grace_ms=30_000)
    about = {
        "device": "desktop", "place": f"US-CA {account % 500}", "network": f"{account * 7919:012x}",
        "fingerprint": f"{account * 104_729:016x}",
    }  # fmt: skip
    return Wish(
        f"account-{account:012x}", f"{account:011x}{session:011x}", "".join(["fin", "al"]), (limit,),
        int(wall() * 1_000) + 4 * HOUR_MS, 30_000, about,
    )  # fmt: skip


async def fill(book: SessionBook, count: int, first: int = 0) -> None:
    """Have so many accounts watch, a session each."""
    for begin in range(first, first + count, 500):
        await asyncio.gather(*(book.admit(wish(n, 0)) for n in range(begin, min(begin + 500, first + count))))


async def each(trials: int, run: Callable[[int], Awaitable[object]]) -> list[float]:
    """Return how long each of some calls took, one after the other, in us."""
    taken = []
    for n in range(trials):
        began = time.perf_counter_ns()
        await run(n)
        taken.append((time.perf_counter_ns() - began) / 1e3)
    return taken


async def admissions(book: SessionBook, trials: int) -> tuple[float, float]:
    """Return the medians of letting in a first session, and a third where two may be, in us."""
    firsts = [wish(LIVE + n, 0) for n in range(trials)]
    first = statistics.median(await each(trials, lambda n: book.admit(firsts[n])))
    for n in range(trials):
        assert isinstance(await book.admit(wish(LIVE + n, 1)), Seated)
    thirds = [wish(LIVE + n, 2) for n in range(trials)]

    async def third(n: int) -> None:
        outcome = await book.admit(thirds[n])
        assert isinstance(outcome, Seated)
        assert len(outcome.leaving) == 1

    return first, statistics.median(await each(trials, third))


async def signs_a_second(book: SessionBook, count: int) -> float:
    """Return how many signs of life a second are taken, in batches as a keeper sends them."""
    now_ms = int(wall() * 1_000)
    signs = [Sign(f"account-{n:012x}", f"{n:011x}{0:011x}", now_ms) for n in range(count)]
    began = time.perf_counter()
    for at in range(0, count, BATCH):
        await book.saw(signs[at : at + BATCH])
    return count / (time.perf_counter() - began)


def plain_bytes() -> int:
    """Return what as many sessions take as plain dicts, in bytes."""
    gc.collect()
    before = rss_bytes(os.getpid())
    kept = {}
    for n in range(LIVE):
        one = wish(n, 0)
        now_ms = int(wall() * 1_000)
        kept[one.account] = {
            one.session: {
                "account": one.account, "session": one.session, "event_id": one.event_id, "began_ms": now_ms,
                "seen_ms": now_ms + 1, "until_ms": one.until_ms, "dead_after_ms": one.dead_after_ms,
                "keys": [one.limits[0].key], "about": one.about, "leaving": None,
            }
        }  # fmt: skip
    gc.collect()
    return rss_bytes(os.getpid()) - before if kept else 0


async def measure_one_process(folder: Path) -> list[dict[str, Any]]:
    """Measure what one process has."""
    gc.collect()
    before = rss_bytes(os.getpid())
    book = await EmbeddedBook.open(folder / "sessions.sqlite", wall=wall)
    await fill(book, LIVE)
    gc.collect()
    taken = rss_bytes(os.getpid()) - before
    kept, rows = await admissions(book, TRIALS // 4), await _Rows.open(folder / "rows.sqlite")
    row = statistics.median(await each(TRIALS // 4, lambda n: rows.put(f"{n}", "x" * 300)))
    await rows.aclose()
    await book.aclose()
    del book
    memory = MemoryBook(wall=wall)
    await fill(memory, LIVE)
    first, third = await admissions(memory, TRIALS)
    plain: dict[str, Wish] = {}

    async def put(n: int) -> None:
        plain.setdefault(wishes[n].account, wishes[n])

    wishes = [wish(n, 0) for n in range(TRIALS)]
    bare = statistics.median(await each(TRIALS, put))
    signs = await signs_a_second(memory, LIVE)
    del memory
    plain_taken = plain_bytes()
    where, beside = machine(), {"yardstick_what": "a dict, without rules", "yardstick": round(bare, 2)}
    commit = {"yardstick_what": "a row of 300 bytes, committed by the same means", "yardstick": round(row, 1)}
    return [
        {
            "what": f"a first session is let in, among {LIVE:,} who watch, median", "unit": "us",
            "ours": round(first, 1), **beside, "ratio": round(first / bare, 1), "figure": f"<= {IN_PROCESS_US} us",
            "met": first <= IN_PROCESS_US, **where,
        },
        {
            "what": "a third session where two may be, median", "unit": "us", "ours": round(third, 1), **beside,
            "ratio": round(third / bare, 1), "figure": f"<= {IN_PROCESS_US} us", "met": third <= IN_PROCESS_US, **where,
        },
        {
            "what": "a first session is let in, and that is on disk, median", "unit": "us", "ours": round(kept[0], 1),
            **commit, "ratio": round(kept[0] / row, 2), **where,
        },
        {
            "what": "a third session where two may be, and that is on disk, median", "unit": "us",
            "ours": round(kept[1], 1), **commit, "ratio": round(kept[1] / row, 2), **where,
        },
        {
            "what": f"memory of {LIVE:,} live sessions, the book alone", "unit": "MB", "ours": round(taken / 1e6, 1),
            "bytes_each": round(taken / LIVE), "yardstick_what": "as plain dicts",
            "yardstick": round(plain_taken / 1e6, 1), "ratio": round(taken / plain_taken, 2),
            "figure": f"<= {MEMORY_MB} MB for all that is kept of them", "met": taken <= MEMORY_MB * 1e6, **where,
        },
        {
            "what": f"signs of life in batches of {BATCH}, in one process", "unit": "a second", "ours": round(signs),
            **where,
        },
    ]  # fmt: skip


def claims_of(account: int) -> Claims:
    """Return what a session's token says."""
    now = int(wall())
    return Claims(
        jti=f"{account:032x}", account=f"account-{account:012x}", event_id="final", not_before=now - 60,
        expires=now + 14_400, window=(now - 60, now + 14_400), session=f"{account:011x}{0:011x}",
        scopes=frozenset({"watch", "wager"}), purchase="p",
    )  # fmt: skip


async def measure_segments() -> list[dict[str, Any]]:
    """Measure what a process has that serves the sessions, and watches them for leaks."""
    served = Segments(
        [claims_of(n) for n in range(LIVE)], lambda: Limit("".join(["event:", "final"]), 2, grace_ms=30_000),
        lambda claims: wish(int(claims.jti, 16), 0).about,
    )  # fmt: skip
    seated, watched = await served.fill()
    us, where = await served.measure(), machine()
    gates = us["gates"]
    beside = {"unit": "us", "yardstick_what": "what the gates take for it", "yardstick": round(gates, 2)}
    both = us["both"]
    return [
        {
            "what": f"memory of {LIVE:,} live sessions, book and keeper", "unit": "MB", "ours": round(seated / 1e6, 1),
            "bytes_each": round(seated / LIVE), "figure": f"<= {MEMORY_MB} MB", "met": seated <= MEMORY_MB * 1e6,
            **where,
        },
        {
            "what": f"memory of {LIVE:,} live sessions, book, keeper and leak detector", "unit": "MB",
            "ours": round((seated + watched) / 1e6, 1), "bytes_each": round((seated + watched) / LIVE),
            "figure": f"<= {MEMORY_MB} MB", "met": seated + watched <= MEMORY_MB * 1e6, **where,
        },
        {
            "what": f"a request for a segment, its session counted and watched for leaks: more than without,"
            f" of {LIVE:,} in random order, median", **beside, "ours": round(both, 2),
            "ratio": round(both / gates, 2), "figure": f"<= {SEGMENT_US} us", "met": both <= SEGMENT_US, **where,
        },
        {
            "what": "the same, its session counted alone", **beside, "ours": round(us["counted"], 2),
            "ratio": round(us["counted"] / gates, 2), **where,
        },
        {
            "what": "the same, its session watched alone", **beside, "ours": round(us["watched"], 2),
            "ratio": round(us["watched"] / gates, 2), **where,
        },
    ]  # fmt: skip


def segments() -> list[dict[str, Any]]:
    """Measure the same, as a process of its own."""
    return uvloop.run(measure_segments())


async def measure_redis(folder: Path) -> list[dict[str, Any]]:
    """Measure what is in Redis."""
    redis = Redis(folder)
    await redis.start()
    try:
        link = RedisLink(redis.url)
        before = await _used(link)
        book = RedisBook(redis.url, wall=wall)
        await fill(book, LIVE)
        taken = await _used(link) - before
        signs = await signs_a_second(book, LIVE)
        first, third = await admissions(book, TRIALS)
        ping = statistics.median(await each(TRIALS, lambda _: link.call(("PING",))))
        await book.aclose()
        await link.aclose()
    finally:
        redis.kill()
    where = machine()
    beside = {"yardstick_what": "a PING over the same link", "yardstick": round(ping / 1e3, 3)}
    figure: dict[str, Any] = {"unit": "ms", **beside, "figure": f"<= {OVER_REDIS_MS} ms"}
    return [
        {
            "what": f"a first session is let in over Redis, among {LIVE:,} who watch, median", **figure,
            "ours": round(first / 1e3, 3), "ratio": round(first / ping, 2), "met": first <= OVER_REDIS_MS * 1e3,
            **where,
        },
        {
            "what": "a third session where two may be, over Redis, median", **figure, "ours": round(third / 1e3, 3),
            "ratio": round(third / ping, 2), "met": third <= OVER_REDIS_MS * 1e3, **where,
        },
        {
            "what": f"signs of life in batches of {BATCH}, over Redis", "unit": "a second", "ours": round(signs),
            **where,
        },
        {
            "what": f"memory of {LIVE:,} live sessions in Redis", "unit": "MB", "ours": round(taken / 1e6, 1),
            "bytes_each": round(taken / LIVE), **where,
        },
    ]  # fmt: skip


async def _used(link: RedisLink) -> int:
    (told,) = await link.call(("INFO", "memory"))
    line = next(line for line in bytes(told).decode().splitlines() if line.startswith("used_memory:"))
    return int(line.partition(":")[2])


async def _measure(folder: Path) -> list[dict[str, Any]]:
    # In a process of its own: memory that is freed here would be taken again, and not be seen to be.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        rows = await asyncio.get_running_loop().run_in_executor(apart, segments)
    rows += await measure_one_process(folder)
    try:
        await asyncio.to_thread(program, "redis-server", "redis-server")
    except Absent as error:
        skip("sessions over Redis", str(error))
        return rows
    return rows + await measure_redis(folder)


def main() -> None:
    """Measure and report."""
    configure_logs("error")
    # As `lockstep serve` does.
    set_up_collector()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        report("sessions", uvloop.run(_measure(Path(folder))))


if __name__ == "__main__":
    main()
