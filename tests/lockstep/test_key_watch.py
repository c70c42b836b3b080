from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel.errors import SettingsError
from kernel.tokens import checked_keys
from lockstep.key_watch import KeyWatch
from lockstep.keys import ensure_keys, read_keys, rotate_keys
from lockstep.operator_keys import create_operator, revoke_operator, rotate_operator
from relay.operators import Operator, OperatorScope, digest_of, operator_key

NEVER_S = 3600.0
PATIENCE_S = 60.0
"""A limit for what hangs, never a measurement."""


class Taker:
    """Be handed keys, and let a test wait for them."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[list[str]] = asyncio.Queue()
        self.operators: asyncio.Queue[list[Operator]] = asyncio.Queue()

    def __call__(self, keys: Mapping[str, bytes]) -> None:
        self.taken.put_nowait(list(checked_keys(keys)))

    def take_operators(self, operators: Sequence[Operator]) -> None:
        self.operators.put_nowait(list(operators))


@asynccontextmanager
async def watching(folder: Path, taker: Taker, poll_s: float) -> AsyncIterator[KeyWatch]:
    watch = KeyWatch(folder, taker, take_operators=taker.take_operators, poll_s=poll_s)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE_S):
        yield watch
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def kids(folder: Path) -> list[str]:
    return list((await asyncio.to_thread(read_keys, folder)).signing)


async def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    taker = Taker()
    async with watching(tmp_path, taker, 0.01):
        assert await taker.taken.get() == await kids(tmp_path)
        done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        while (taken := await taker.taken.get()) != [done.signing, done.accepted]:
            # What was announced may have been seen, too.
            assert taken == [done.accepted, done.signing]


async def test_it_looks_when_asked(tmp_path: Path) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    taker = Taker()
    async with watching(tmp_path, taker, NEVER_S) as watch:
        await taker.taken.get()
        done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        watch.look()
        assert await taker.taken.get() == [done.signing, done.accepted]


async def test_what_has_not_changed_is_not_handed_on(tmp_path: Path) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    taker = Taker()
    async with watching(tmp_path, taker, NEVER_S) as watch:
        first = await taker.taken.get()
        # Another secret for a source, and a second look: the signing keys are the same.
        await asyncio.to_thread(ensure_keys, tmp_path, ["desk"])
        watch.look()
        done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        watch.look()
        taken = [first]
        while taken[-1] != [done.signing, done.accepted]:
            taken.append(await taker.taken.get())
        assert taken.count(first) == 1


async def test_whoever_asks_during_a_look_is_heard(tmp_path: Path) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    taker = Taker()
    async with watching(tmp_path, taker, NEVER_S) as watch:
        done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        for _ in range(20):
            watch.look()
            done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        watch.look()
        while await taker.taken.get() != [done.signing, done.accepted]:
            pass


@pytest.mark.parametrize("content", ["not toml [", "[signing]\n", '[signing]\nk = "c2hvcnQ="', None])
async def test_a_slip_in_the_file_leaves_the_keys_as_they_are(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    path, taker = tmp_path / "keys.toml", Taker()
    good = await asyncio.to_thread(path.read_text)
    async with watching(tmp_path, taker, 0.01):
        first = await taker.taken.get()
        if content is None:
            await asyncio.to_thread(path.unlink)
        else:
            await asyncio.to_thread(path.write_text, content)
        said = ""
        while "keys.refused" not in said:
            await asyncio.sleep(0)
            said += capsys.readouterr().out
        assert taker.taken.empty()
        # Put right: it is read again. Nothing has changed, so the next change is what is heard of.
        await asyncio.to_thread(path.touch, 0o600)
        await asyncio.to_thread(path.write_text, good)
        done = await asyncio.to_thread(rotate_keys, tmp_path, lambda: None)
        while (taken := await taker.taken.get()) != [done.signing, first[0]]:
            assert taken == [first[0], done.signing]


async def test_keys_that_the_verifier_refuses_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])

    def refuse(_: Mapping[str, bytes]) -> None:
        raise SettingsError("no such keys here")

    watch = KeyWatch(tmp_path, refuse, take_operators=lambda _: None, poll_s=NEVER_S)
    task = asyncio.create_task(watch.run())
    said = ""
    while "no such keys here" not in said:
        await asyncio.sleep(0)
        said += capsys.readouterr().out
    task.cancel()


async def test_operators_are_taken_up_as_they_come_and_go(tmp_path: Path) -> None:
    await asyncio.to_thread(ensure_keys, tmp_path, [])
    taker = Taker()
    first, second = operator_key(b"1" * 32), operator_key(b"2" * 32)
    async with watching(tmp_path, taker, 0.01):
        assert [one.name for one in await taker.operators.get()] == ["cli"]
        scopes = {OperatorScope.READ}
        await asyncio.to_thread(create_operator, tmp_path, "ann", first, scopes, expires=None, now=1_000.0)
        assert [one.name for one in await taker.operators.get()] == ["cli", "ann"]
        await asyncio.to_thread(rotate_operator, tmp_path, "ann", second, overlap_s=60, now=2_000.0)
        digests = [(one.name, one.digest, one.expires) for one in await taker.operators.get()]
        assert digests[1:] == [("ann", digest_of(second), None), ("ann", digest_of(first), 2_060.0)]
        await asyncio.to_thread(revoke_operator, tmp_path, "ann")
        assert [one.name for one in await taker.operators.get()] == ["cli"]
        # The signing keys have not changed: nobody hears of them.
        assert taker.taken.qsize() == 1
