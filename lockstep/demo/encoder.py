"""The parent's side of the demo's encoder: start it, start it again when it ends, cut it off when asked."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import structlog

from lockstep.demo.live_list import PLAYLIST

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger("demo")

REST_S = 0.5
"""Between two runs; one that fails at once must not keep the machine busy."""


class Encoder:
    """Keep an encoder running.

    Args:
        folder: where it writes.
        kickoff_ms: when the game began, Unix milliseconds.
        seed: of the game.
    """

    def __init__(self, folder: Path, kickoff_ms: int, seed: int) -> None:
        self._folder = folder
        self._kickoff_ms = kickoff_ms
        self._seed = seed
        self._process: asyncio.subprocess.Process | None = None
        self.runs = 0

    @property
    def playlist(self) -> Path:
        """Return where its playlist will be."""
        return self._folder / PLAYLIST

    def restart(self) -> None:
        """Cut it off in the middle of whatever it does; another run follows, behind a discontinuity."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def run(self) -> None:
        """Keep it running until cancelled."""
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "lockstep.demo.encoder_child",
                    str(self._folder), str(self._kickoff_ms), str(self._seed), str(self.runs),
                    stdin=asyncio.subprocess.DEVNULL,
                    # Ctrl-C reaches the demo alone, which ends its parts in their order.
                    start_new_session=True,
                )  # fmt: skip
                self.runs += 1
                code = await self._process.wait()
                log.info("encoder.ended", code=code)
                await asyncio.sleep(REST_S)
        finally:
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
