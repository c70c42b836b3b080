"""Faults that take longer than a suite may: `python -m tests.e2e.long_faults [SECONDS]` stops a server for a minute.

Clients give a silent connection up after ten seconds, and come back in vain while nobody answers; vendors go on trying.
Afterwards the same is asked as of a short stop: said before it goes on, nothing early, nothing lost, nothing doubled.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.e2e.evening import SEGMENT_S
from tests.e2e.recorder import record
from tests.e2e.stage import Stage
from tests.e2e.test_faults import stop_for


async def stop(seconds: float) -> None:
    """Stop a server for so long."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            recorded = stage.folder / "recorded"
            # Longer than the stop, so that the stream has not come round meanwhile.
            await record(recorded, segment_s=SEGMENT_S, duration_s=seconds + 20)
            origin = await stage.origin(recorded, "--loop", "--window", "12")
            await stop_for(stage, origin, segments=round(seconds / SEGMENT_S))
        finally:
            await stage.aclose()
    print(f"stopped for {seconds:.0f} s: said so, caught up, nothing early, lost or doubled")


if __name__ == "__main__":
    os.environ["LOCKSTEP_HEARTBEAT_MS"] = "500"
    asyncio.run(stop(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
