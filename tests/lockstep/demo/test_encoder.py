from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kernel.io.system_time import wall
from lockstep.demo.encoder import Encoder
from lockstep.demo.encoder_child import HISTORY_S


async def until(holds: Callable[[], bool]) -> None:
    # Nothing tells of a new file or process.
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def test_it_starts_again_when_it_is_cut_off_and_ends_with_its_owner(tmp_path: Path) -> None:
    encoder = Encoder(tmp_path, int(wall() * 1000) - HISTORY_S * 1000, 7)
    running = asyncio.create_task(encoder.run())
    async with asyncio.timeout(60):
        await until(encoder.playlist.exists)
        assert encoder.runs == 1
        encoder.restart()
        await until(lambda: encoder.runs == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert encoder.playlist.read_text("utf-8").startswith("#EXTM3U")
    encoder.restart()
    assert encoder.runs == 2
