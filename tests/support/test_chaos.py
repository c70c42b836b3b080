"""The proxy does to real connections what it says, and undoes it."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.chaos import Chaos, chaos

LIMIT_S = 30.0
"""Nothing here may hang for longer."""


class Echo:
    """A server that says everything back, and notes in which pieces it came."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 16):
                self.heard.put_nowait(piece)
                writer.write(piece)
                await writer.drain()
            self.ended.put_nowait("end")
        except OSError:
            self.ended.put_nowait("reset")
        finally:
            writer.close()


@asynccontextmanager
async def network() -> AsyncIterator[tuple[Echo, Chaos]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(LIMIT_S), chaos(server.sockets[0].getsockname()[1], seed=7) as proxy:
            yield echo, proxy
    finally:
        server.close()


async def connect(proxy: Chaos) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_what_is_well_goes_through_with_its_end() -> None:
    async with network() as (echo, proxy):
        reader, writer = await connect(proxy)
        writer.write(b"a" * 300_000)
        writer.write_eof()
        assert await reader.read() == b"a" * 300_000
        assert await echo.ended.get() == "end"
        assert (proxy.taken, proxy.resets) == (1, 0)
        writer.close()


async def test_a_delay_holds_and_keeps_the_order() -> None:
    async with network() as (_, proxy):
        now = asyncio.get_running_loop().time
        reader, writer = await connect(proxy)
        proxy.delay(0.05, 0.05)
        began = now()
        for number in range(50):
            writer.write(bytes([number]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(50) == bytes(range(50))
        assert now() - began >= 0.1
        writer.close()


async def test_crumbs_are_small_and_complete() -> None:
    async with network() as (echo, proxy):
        reader, writer = await connect(proxy)
        proxy.crumble(3)
        writer.write(bytes(range(200)))
        assert await reader.readexactly(200) == bytes(range(200))
        assert echo.heard.qsize() > 20
        writer.close()


async def test_a_reset_ends_both_sides_and_the_next_one_lives() -> None:
    async with network() as (echo, proxy):
        reader, writer = await connect(proxy)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await echo.ended.get() == "reset"
        writer.close()
        reader, writer = await connect(proxy)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
        writer.close()


async def _count(proxy: Chaos, asked: bytes) -> int:
    """Return how many bytes came back before the connection was reset."""
    reader, writer = await connect(proxy)
    n_bytes = 0
    try:
        for index in range(len(asked)):
            writer.write(asked[index : index + 1])
            await writer.drain()
            n_bytes += len(await reader.readexactly(1))
    except (ConnectionResetError, asyncio.IncompleteReadError):
        return n_bytes
    finally:
        writer.close()
    raise AssertionError("it was never reset")


async def test_resets_come_after_as_many_bytes_as_the_seed_says() -> None:
    counts = []
    for _ in range(2):
        async with network() as (_, proxy):
            proxy.reset(within=100)
            counts.append([await _count(proxy, b"z" * 100) for _ in range(4)])
            assert proxy.resets == 4
            await proxy.heal()
            reader, writer = await connect(proxy)
            writer.write(b"z" * 500)
            assert await reader.readexactly(500) == b"z" * 500
            writer.close()
    assert counts[0] == counts[1]
    assert len(set(counts[0])) > 1


async def test_a_black_hole_swallows_one_direction_and_gives_it_back_when_healed() -> None:
    async with network() as (echo, proxy):
        reader, writer = await connect(proxy)
        proxy.stall("back")
        writer.write(b"heard?")
        assert await echo.heard.get() == b"heard?"
        answer = asyncio.create_task(reader.readexactly(6))
        proxy.stall()
        # It takes connections, and nobody hears of them.
        other_reader, other = await connect(proxy)
        other.write(b"nobody")
        await proxy.takes(2)
        assert echo.heard.empty()
        assert not answer.done()
        await proxy.heal()
        assert await answer == b"heard?"
        assert await other_reader.readexactly(6) == b"nobody"
        for one in (writer, other):
            one.close()


async def test_a_partition_loses_what_was_under_way_and_refuses_what_is_new() -> None:
    async with network() as (echo, proxy):
        reader, writer = await connect(proxy)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        assert await echo.heard.get() == b"x"
        proxy.part()
        writer.write(b"lost")
        other_reader, other = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await other_reader.read()
        other.close()
        assert echo.heard.empty()
        await proxy.heal()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await echo.ended.get() == "reset"
        assert echo.heard.empty()
        writer.close()
        reader, writer = await connect(proxy)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
        writer.close()
