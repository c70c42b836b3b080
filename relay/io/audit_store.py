"""Writes the audit: a chain in a file of its own for each process, by a thread of its own.

Theory of operation: the gate's thread puts notes into a queue and never waits. The writer takes what has come within
`FLUSH_S`, makes a block of it (relay/audit_chain.py), appends it, has it forced to disk, and notes the chain's new end
beside it. What would make the queue too long, and what the disk did not take, is counted, and the next block says in a
`Gap` that so many are missing. A process that is killed loses what had not been forced to disk, half a second at most;
what it leaves is a chain, perhaps with the beginning of a block behind it, which the next one removes.

A chain that cannot be continued (another process writes it, or its end is not where it was) is left as it is, and a new
one is begun beside it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import structlog

from kernel.errors import DecodeError, JournalError
from kernel.io.system_time import monotonic, new_id
from relay.audit_chain import Head, days_of, first_link, write_block
from relay.audit_records import decision_bytes, gap_bytes, inputs_of, policy_bytes
from relay.io.audit_head import ChainHead, read_head, write_head
from relay.io.audit_keys import KEYS, DayKeys, sync_folder
from relay.io.audit_reader import ChainFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kernel.policies import PolicyRecord
    from relay.audit import Judged, Note

log = structlog.get_logger("audit")

FOLDER = "audit"
"""The folder of all chains, within that of the data."""

SUFFIX, HEAD_SUFFIX = ".chain", ".head"
FLUSH_S = 0.5
"""How long notes are gathered before they are written: what a killed process loses at most."""

MAX_BATCH = 1_024
MAX_WAITING = 50_000
"""Notes that wait: 50 MB at most. A disk that stands still for long loses records rather than the video."""

HOUSEKEEPING_S = 600.0
_MS = 1000


class _Made(NamedTuple):
    at_ms: int
    record: bytes
    inputs: Any


class _Barrier(NamedTuple):
    reached: asyncio.Future[None]
    last: bool


class AuditStore:
    """Write one chain. Make it with `open`, inside a running loop; `put` is called from that loop's thread.

    Attributes:
        records: how many were written by this process.
        size: how long the chain is, in bytes.
    """

    def __init__(self, folder: Path, name: str, retention_days: int, wall: Callable[[], float]) -> None:
        self._folder = folder
        self._name = name
        self._retention_days = retention_days
        self._wall = wall
        self._keys = DayKeys(folder / KEYS)
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Note | _Barrier] = queue.SimpleQueue()
        self._overrun = self._unwritten = self._told = self._pending = 0
        self.records = self.size = 0
        # Of the thread, once it runs.
        self._chain = ""
        self._descriptor = -1
        self._head_path = folder
        self._link = b""
        self._next = 0
        self._tidy_at = 0.0
        self._policies: dict[str, PolicyRecord] = {}
        self._thread = threading.Thread(target=self._main, name="audit", daemon=True)
        self._closed = False

    @classmethod
    async def open(cls, folder: Path, name: str, *, retention_days: int, wall: Callable[[], float]) -> Self:
        """Continue the chain of that name, or begin one, and destroy keys whose time is up.

        Args:
            folder: where all chains are, and the keys; made with mode 0700.
            name: what the process is: `serve`, `relay`, `hub`.
            retention_days: how many days inputs can be read after theirs.
            wall: the time of day in Unix seconds.

        Raises:
            JournalError: the folder or the chain cannot be written.
        """
        self = cls(folder, name, retention_days, wall)
        try:
            await asyncio.to_thread(self._begin)
        except OSError as error:
            raise JournalError(f"audit {folder}: {error}; check the path, its owner and the disk") from error
        self._thread.start()
        return self

    @property
    def lost(self) -> int:
        """Return how many notes were not written, because too many came or the disk did not take them."""
        return self._overrun + self._unwritten

    @property
    def waiting(self) -> int:
        """Return how many notes wait."""
        return self._queue.qsize()

    def put(self, note: Note) -> None:
        """Have a note written, soon; if too many wait, count it as lost."""
        if self._queue.qsize() >= MAX_WAITING or self._closed:
            self._overrun += 1
        else:
            self._queue.put(note)

    async def flush(self) -> None:
        """Return when everything that was put before is on disk, or lost and said to be."""
        await self._barrier(last=False)

    async def aclose(self) -> None:
        """Write what is waiting, then close the file. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            await self._barrier(last=True)
            await asyncio.to_thread(self._thread.join)

    async def _barrier(self, *, last: bool) -> None:
        reached: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Barrier(reached, last))
        await reached

    # Before the thread.

    def _begin(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while not self._continue(f"{self._name}-{number}"):
            number += 1
        self._tidy()

    def _continue(self, name: str) -> bool:
        path, self._head_path = self._folder / (name + SUFFIX), self._folder / (name + HEAD_SUFFIX)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # flock(2): it ends with the process, however that ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end = self._found(path) if path.stat().st_size else self._made(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except DecodeError as error:
            # What is there may be evidence: it is not touched.
            log.error("audit.chain_broken", chain=path.name, error=str(error))
            os.close(descriptor)
            return False
        if (size := path.stat().st_size) > end.size:
            log.warning("audit.unfinished_block", chain=path.name, bytes=size - end.size)
            os.ftruncate(descriptor, end.size)
            os.fsync(descriptor)
        write_head(self._head_path, end)
        sync_folder(self._folder)
        self._descriptor, self._chain, self._next = descriptor, end.chain, end.n_records
        self.size, self._link = end.size, end.link
        return True

    def _made(self, path: Path, descriptor: int) -> ChainHead:
        if self._head_path.exists():
            raise DecodeError("it is gone, the note of its end is there")
        name = new_id(9)
        names = {"lockstep": "audit", "format": 1, "chain": name, "node": path.stem}
        header = json.dumps({**names, "made": round(self._wall() * _MS)}).encode() + b"\n"
        os.write(descriptor, header)
        os.fsync(descriptor)
        return ChainHead(name, 0, len(header), first_link(header))

    def _found(self, path: Path) -> ChainHead:
        """Return the end of a chain that is there: what is noted, and what was written behind it."""
        noted = read_head(self._head_path)
        with ChainFile(path) as chain:
            end = ChainHead(chain.name, 0, chain.position, chain.link)
            if noted is not None:
                if noted.chain != chain.name or noted.size > path.stat().st_size:
                    raise DecodeError("it ends before the place that is noted beside it")
                chain.go_on_from(noted.size, noted.n_records, noted.link)
                end = noted
            for _ in chain.blocks():
                if noted is None:
                    raise DecodeError("the note of its end is missing: whether it is whole cannot be known")
                end = ChainHead(chain.name, chain.count, chain.position, chain.link)
            return end

    # What follows runs in the thread.

    def _main(self) -> None:
        last = False
        while not last:
            notes, barrier = self._gathered()
            self._pending = len(notes)
            try:
                if notes or (barrier and self.lost > self._told):
                    self._write(notes)
            except Exception as error:
                # Disk full, or a fault of ours: the next block says how many are missing.
                self._unwritten += self._pending
                log.error("audit.not_written", records=self._pending, error=str(error))
                self._back_out()
            if self._tidy_at <= monotonic():
                self._tidy()
            if barrier is not None:
                last = barrier.last
                self._tell(barrier)
        os.close(self._descriptor)

    def _gathered(self) -> tuple[list[Note], _Barrier | None]:
        notes: list[Note] = []
        wait_s, until = HOUSEKEEPING_S, None
        while len(notes) < MAX_BATCH:
            try:
                one = self._queue.get(timeout=wait_s)
            except queue.Empty:
                break
            if isinstance(one, _Barrier):
                return notes, one
            notes.append(one)
            until = until or monotonic() + FLUSH_S
            wait_s = max(0.0, until - monotonic())
        return notes, None

    def _write(self, notes: Sequence[Note]) -> None:
        lost, made = self.lost, list[_Made]()
        if lost > self._told:
            now = self._wall()
            made.append(_Made(round(now * _MS), gap_bytes(self._next, now, lost - self._told), None))
        policies = dict(self._policies)
        for note in notes:
            at_ms = round(note.at * _MS)
            for one in _asked(note):
                policy = one.policy
                known = policies.get(policy.policy_id)
                if known is not policy and (
                    known is None or (known.version, known.text) != (policy.version, policy.text)
                ):
                    policies[policy.policy_id] = policy
                    made.append(_Made(at_ms, policy_bytes(self._next + len(made), note.at, one), None))
            made.append(_Made(at_ms, decision_bytes(self._next + len(made), note), inputs_of(note)))
        for begin, end in days_of([one.at_ms for one in made]):
            self._append(made[begin:end])
            self._told = lost
        self._policies = policies

    def _append(self, made: Sequence[_Made]) -> None:
        times = (made[0].at_ms, max(one.at_ms for one in made))
        day = Head(0, 0, *times).day
        block, link = write_block(
            self._link, self._next, times, [one.record for one in made],
            [one.inputs for one in made if one.inputs is not None],
            lambda plain, bound_to: self._keys.seal(day, plain, bound_to),
        )  # fmt: skip
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fdatasync(self._descriptor)
        self._link, self._next, self.size = link, self._next + len(made), self.size + len(block)
        self.records += len(made)
        self._pending -= sum(one.inputs is not None for one in made)
        write_head(self._head_path, ChainHead(self._chain, self._next, self.size, link))

    def _back_out(self) -> None:
        """Take away what may have been written of a block that failed."""
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError as error:
            log.error("audit.not_backed_out", error=str(error))

    def _tidy(self) -> None:
        self._tidy_at = monotonic() + HOUSEKEEPING_S
        try:
            for day in self._keys.destroy(self._wall(), self._retention_days):
                log.info("audit.key_destroyed", day=day)
        except OSError as error:
            log.error("audit.key_not_destroyed", error=str(error))

    def _tell(self, barrier: _Barrier) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, barrier.reached)
        except RuntimeError:
            log.warning("audit.loop_gone")  # the loop was closed before us: nobody waits any more


def _asked(note: Note) -> list[Judged]:
    judged = note.judged
    if judged is None:
        return []
    return [judged] if judged.beside is None else [judged, judged.beside]


def _settle(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)
