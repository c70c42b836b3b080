from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from asyncio import StreamReader, StreamWriter

import pytest

from tests.support.serving import Serving, serving


async def _echo(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(await reader.read(100))
    writer.close()


async def test_each_connection_is_served() -> None:
    async with serving(_echo) as one:
        for text in (b"a", b"b"):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(text)
            assert await reader.read() == text
            writer.close()


class Hasty(Serving):
    """One that gives a connection up before anything is done about it."""

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        super()._accept(reader, writer)
        for task in self._served:
            task.cancel()


@pytest.mark.parametrize("before", [True, False], ids=["before its first step", "in the middle"])
async def test_nothing_is_left_open(before: bool) -> None:
    served = asyncio.Event()

    async def wait(reader: StreamReader, writer: StreamWriter) -> None:
        served.set()
        await reader.read()

    one = await (Hasty if before else Serving)(wait).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    if before:
        assert await reader.read() == b""
    else:
        await served.wait()
    await one.aclose()
    assert served.is_set() is not before
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert caught == []
