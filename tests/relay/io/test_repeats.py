from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from kernel.errors import JournalError
from relay.io import repeats as module
from relay.io.repeats import KEEP_S, Repeats

NOW = 1_000_000.0
THIS, OTHER = b"t" * 32, b"o" * 32


class Work:
    """Count how often something is done."""

    def __init__(self, status: int = 201) -> None:
        self.done = 0
        self.status = status
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self) -> Response:
        self.done += 1
        number = self.done
        self.begun.set()
        await self.may_go_on.wait()
        return JSONResponse({"number": number}, self.status, {"ETag": '"x"', "Cache-Control": "no-store"})


@pytest.fixture
async def repeats(tmp_path: Path) -> AsyncIterator[Repeats]:
    one = await Repeats.open(tmp_path / "repeats.sqlite")
    yield one
    await one.aclose()


async def test_the_same_again_gets_the_first_answer(repeats: Repeats) -> None:
    work = Work()
    first = await repeats.once("ann", "k", THIS, work, now=NOW)
    again = await repeats.once("ann", "k", THIS, work, now=NOW + KEEP_S - 1)
    assert work.done == 1
    assert (again.status_code, bytes(again.body)) == (201, bytes(first.body))
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    for name in ("etag", "content-type", "cache-control"):
        assert again.headers[name] == first.headers[name]


async def test_a_key_with_something_else_is_refused(repeats: Repeats) -> None:
    work = Work()
    await repeats.once("ann", "k", THIS, work, now=NOW)
    answer = await repeats.once("ann", "k", OTHER, work, now=NOW)
    assert (answer.status_code, work.done) == (422, 1)
    assert b"idempotency_key_reused" in bytes(answer.body)


async def test_a_key_belongs_to_its_operator_and_ends_after_a_day(repeats: Repeats) -> None:
    work = Work()
    await repeats.once("ann", "k", THIS, work, now=NOW)
    await repeats.once("bob", "k", OTHER, work, now=NOW)
    assert work.done == 2
    await repeats.once("ann", "k", OTHER, work, now=NOW + KEEP_S)
    assert work.done == 3


async def test_two_at_once_are_one(repeats: Repeats) -> None:
    work = Work()
    work.may_go_on.clear()
    asked = [asyncio.create_task(repeats.once("ann", "k", THIS, work, now=NOW)) for _ in range(5)]
    await work.begun.wait()
    work.may_go_on.set()
    answers = await asyncio.gather(*asked)
    assert work.done == 1
    assert {bytes(answer.body) for answer in answers} == {b'{"number":1}'}


async def test_what_failed_on_our_side_may_be_tried_again(repeats: Repeats) -> None:
    work = Work(503)
    await repeats.once("ann", "k", THIS, work, now=NOW)
    work.status = 201
    assert (await repeats.once("ann", "k", THIS, work, now=NOW)).status_code == 201

    async def fails() -> Response:
        raise JournalError("disk full")

    with pytest.raises(JournalError):
        await repeats.once("ann", "l", THIS, fails, now=NOW)
    assert (await repeats.once("ann", "l", THIS, work, now=NOW)).status_code == 201


async def test_it_outlives_the_process_and_is_private(tmp_path: Path) -> None:
    path, work = tmp_path / "repeats.sqlite", Work()
    answers = []
    for _ in range(2):
        one = await Repeats.open(path)
        answers.append(await one.once("ann", "k", THIS, work, now=NOW))
        await one.aclose()
    assert (work.done, answers[-1].headers["idempotent-replayed"]) == (1, "true")
    assert path.stat().st_mode & 0o077 == 0


async def test_the_oldest_go_beyond_a_bound(repeats: Repeats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    work = Work()
    for number in range(5):
        await repeats.once("ann", str(number), THIS, work, now=NOW)
    await repeats.once("ann", "4", THIS, work, now=NOW)
    await repeats.once("ann", "2", THIS, work, now=NOW)
    assert work.done == 5
    await repeats.once("ann", "1", THIS, work, now=NOW)
    assert work.done == 6
