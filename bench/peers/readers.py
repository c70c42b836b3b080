"""Receivers that cost little: those of reader.c where there is a compiler, those of reader.py elsewhere."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers.contract import HERE

if TYPE_CHECKING:
    from bench.peers.contract import Step

TAKE_LIMIT_MS = 20_000
"""How long a message may take to the last socket: two hundred times what the slowest peer needs."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some messages: nanoseconds of CLOCK_MONOTONIC, in the receiver's kernel."""

    sockets: int
    bytes: int
    first_ns: int
    median_ns: int
    last_ns: int


class Faulty(Exception):
    """The receivers did not get what they were to get; the text says what."""


def program(out: Path) -> list[str]:
    """Return what runs the receivers; compiled into `out`, if `cc` is there."""
    source = HERE / "reader.c"
    compiler = shutil.which("cc")
    if compiler is None:
        return [sys.executable, str(HERE / "reader.py")]
    out.mkdir(parents=True, exist_ok=True)
    binary = out / "reader"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-o", str(binary), str(source)], check=True)
    return [str(binary)]


def script(steps: list[Step]) -> bytes:
    """Return what the receivers read of how to subscribe; reader.c describes it."""
    parts = [struct.pack("<I", len(steps))]
    for step in steps:
        parts += [struct.pack("<I", len(step.awaited)), step.awaited, struct.pack("<I", len(step.sent))]
        for sent in step.sent:
            parts += [struct.pack("<I", len(sent)), sent]
    return b"".join(parts)


class Readers:
    """A peer's receivers, in a process of their own.

    Args:
        command: what runs them.
        port: where the peer listens.
        address: 1 to 254; peers have different ones, so that no run is short of ports.
        steps: how to subscribe.
        folder: where they may write.
    """

    def __init__(self, command: list[str], port: int, address: int, steps: list[Step], folder: Path) -> None:
        path = folder / "script"
        path.write_bytes(script(steps))
        self._log = folder / "reader"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, str(port), str(address), str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def join(self, count: int) -> None:
        """Connect that many more, and wait until all are subscribed.

        Raises:
            Faulty: some were not.
        """
        self._ask(f"join {count}")

    def take(self, messages: int, pause_ms: int) -> Taken:
        """Wait until every socket has had as many more messages.

        Args:
            messages: how many were published since the last time.
            pause_ms: for how long nothing is read, so that receivers do not run beside the server.

        Raises:
            Faulty: somebody had none within 20 s, had too many, or was closed.
        """
        return Taken(*map(int, self._ask(f"take {messages} {pause_ms} {TAKE_LIMIT_MS}").split()))

    def show(self) -> bytes:
        """Return what was read last that held a mark, as it came."""
        return bytes.fromhex(self._ask("show"))

    def stop(self) -> None:
        """End them."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Faulty(f"{command}: {self._log.read_text('utf-8', 'replace').strip()[-500:]}")
        return line.strip()
