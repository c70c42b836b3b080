from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lockstep.demo.terminal import DemoError, run_in_terminal


async def test_a_part_that_does_not_come_up_is_named(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(DemoError, match="rehearsal origin"):
            await run_in_terminal(tmp_path / "none", tmp_path / "none.ndjson", 0, 1, tmp_path)
