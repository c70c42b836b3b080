"""kill -9 in ingest, sealing and fan-out, fifty times on one journal: the log is one log."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from random import Random

from tests.e2e.stage import PATIENCE_S, ROOT

KILLS = 50
SEED = 20_260_327
Seen = tuple[int, str, int, str, str | None, str | None, int | None]


class Witness:
    """All that vendor and subscribers of all lives were told, and what must be true of it."""

    def __init__(self) -> None:
        self.epochs: set[str] = set()
        self.acked: set[int] = set()
        self.by_offset: dict[int, Seen] = {}
        self.suspend_vers: list[int] = []

    @property
    def next(self) -> int:
        """Return the number of the first message that the vendor has to send."""
        return max(self.acked, default=-1) + 1

    def hear(self, line: str) -> None:
        """Take in one line of a life."""
        kind, _, rest = line.partition(" ")
        if kind == "epoch":
            self.epochs.add(rest)
        elif kind == "ack":
            self.acked.add(int(rest))
        else:
            entry: Seen = tuple(json.loads(rest))
            # I4: an offset is assigned once. What is told again after a restart is the same.
            assert self.by_offset.setdefault(entry[0], entry) == entry
            if entry[3] == "safety" and (not self.suspend_vers or entry[6] not in self.suspend_vers):
                assert entry[6] is not None
                # The floor never falls, though the suspend that set it may not have been on disk yet.
                assert entry[6] > max(self.suspend_vers, default=0)
                self.suspend_vers.append(entry[6])

    def judge(self) -> None:
        """Check the log as a whole."""
        assert len(self.epochs) == 1
        log = [entry for entry in self.by_offset.values() if entry[3] != "safety"]
        plays = [entry[1] for entry in log if entry[1].startswith("desk:p")]
        # I2, I3: what was acknowledged is there, once.
        assert {f"desk:p{number}" for number in self.acked} <= set(plays)
        assert len(plays) == len(set(plays))
        # I6: both markets end as their vendor left them, above the last floor.
        last: dict[str, tuple[int, str | None]] = {}
        for _, _, _, _, mid, st, ver in log:
            if mid is not None and ver is not None:
                last[mid] = max(last.get(mid, (0, None)), (ver, st))
        assert {mid: st for mid, (_, st) in last.items()} == {"a": "open", "b": "open"}
        assert all(ver > max(self.suspend_vers) for ver, _ in last.values())


async def _life(journal: Path, first: int, last: int, witness: Witness, kill_after: int | None) -> None:
    """Run a process; kill it after so much news, or else once nothing is owed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.log_child", str(journal), str(first), str(last),
        cwd=ROOT, stdin=DEVNULL, stdout=PIPE, limit=1 << 20,
    )  # fmt: skip
    assert child.stdout is not None
    n_news = 0
    async with asyncio.timeout(PATIENCE_S):
        # A line without its end was cut off by the kill: nobody has read it.
        while (line := await child.stdout.readline()).endswith(b"\n"):
            text = line.decode().rstrip("\n")
            # What is told again after a restart does not bring the kill nearer.
            n_news += text.startswith("ack") or n_news > 0
            if text == "done" or n_news == kill_after:
                child.kill()
            if text != "done":
                witness.hear(text)
        assert await child.wait() == -signal.SIGKILL


async def test_fifty_kills_leave_one_log(tmp_path: Path) -> None:
    journal, random, witness = tmp_path / "journal.sqlite", Random(SEED), Witness()
    for _ in range(KILLS):
        await _life(journal, witness.next, 1_000_000, witness, random.randint(1, 40))
    # The last life ends behind an `open`.
    await _life(journal, witness.next, (witness.next // 5 + 2) * 5, witness, None)
    witness.judge()
    assert len(witness.acked) > KILLS
