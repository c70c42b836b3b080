"""What was acknowledged is on disk: vendor messages, sealed entries, timings, marks (DESIGN 3, "what is on disk").

Every `async` method that writes returns only when the write is committed and synchronised; work takes effect in the
order in which it was asked for. After a restart `load` gives back what a stream's log and timeline were, and
`unsettled` the messages whose facts had not all been sealed. Records older than six hours are forgotten by `trim`,
never a message that is still owed, and never a stream's newest timing and mark, by which its numbering goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from feeds.io.group_commit import GroupCommit
from kernel import strict_json, wire
from kernel.errors import DecodeError, JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kernel.cues import Entry
    from kernel.marks import ReleaseMark
    from kernel.timeline import SegmentTiming

KEEP_S = 6 * 3600
"""How far back a subscriber may resume (PROTOCOL, promise 3), hence how much is kept."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, message_id TEXT NOT NULL, received REAL NOT NULL,
    body BLOB NOT NULL, open_facts INTEGER NOT NULL, UNIQUE (source, message_id));
CREATE INDEX IF NOT EXISTS messages_open ON messages (source, seq) WHERE open_facts > 0;
CREATE INDEX IF NOT EXISTS messages_received ON messages (received);
CREATE TABLE IF NOT EXISTS streams (
    stream TEXT PRIMARY KEY, epoch TEXT, reserved_o INTEGER NOT NULL DEFAULT 0, state TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    stream TEXT NOT NULL, o INTEGER NOT NULL, map TEXT NOT NULL, source TEXT, fact_id TEXT, rev INTEGER, note TEXT,
    message_seq INTEGER, at REAL NOT NULL, PRIMARY KEY (stream, o));
CREATE INDEX IF NOT EXISTS entries_at ON entries (at);
CREATE TABLE IF NOT EXISTS timings (
    stream TEXT NOT NULL, n INTEGER NOT NULL, map TEXT NOT NULL, state TEXT, at REAL NOT NULL,
    PRIMARY KEY (stream, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    stream TEXT NOT NULL, n INTEGER NOT NULL, map TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (stream, n)) WITHOUT ROWID
"""


class Appended(NamedTuple):
    """Where a vendor message stands, and whether it stood there already."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A vendor message as it came; `received` is in Unix seconds."""

    seq: int
    source: str
    message_id: str
    received: float
    body: bytes


@dataclass(frozen=True, slots=True)
class SealedRow:
    """An entry, what it was made from, and whatever the sequencer wants to know again after a restart.

    `source`, `fact_id` and `rev` name the vendor's fact, `message_seq` the message that brought it; all None for what
    the sequencer said of its own accord. `note` is plain JSON.
    """

    entry: Entry
    source: str | None = None
    fact_id: str | None = None
    rev: int | None = None
    message_seq: int | None = None
    note: Mapping[str, Any] | None = None


class StoredTiming(NamedTuple):
    """The n-th timing of a stream, and the state from which the next segment can be placed."""

    n: int
    timing: SegmentTiming
    state: Mapping[str, Any] | None


class StoredMark(NamedTuple):
    """The n-th release mark of a stream. Its `at` is of a bus that is gone: refilled, it is due now."""

    n: int
    mark: ReleaseMark


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What the journal knows of a stream, each list in order.

    `epoch` is None for a stream never seen. `reserved_o` is the first offset that was not yet promised away:
    numbering goes on there. `state` is what `save_state` was given last.
    """

    epoch: str | None
    reserved_o: int
    state: Mapping[str, Any] | None
    entries: Sequence[SealedRow]
    timings: Sequence[StoredTiming]
    marks: Sequence[StoredMark]


class Journal:
    """The only owner of the journal's file. Make it with `open`, inside a running loop.

    Every method raises JournalError where the disk cannot keep the promise; the next call may succeed again.
    """

    def __init__(self, commits: GroupCommit, now: Callable[[], float]) -> None:
        self._commits = commits
        self._now = now

    @classmethod
    async def open(cls, path: Path, *, now: Callable[[], float]) -> Self:
        """Open or make the journal at `path`, readable by its owner only.

        Args:
            path: the SQLite file; its folder is made where it is absent.
            now: the wall clock in Unix seconds, by which records grow old.

        Raises:
            JournalError: it is damaged, held by another process, or cannot be written; the text says what to do.
        """
        return cls(await GroupCommit.open(path, schema=_SCHEMA, version=_VERSION), now)

    async def aclose(self) -> None:
        """Write what is waiting, then close the file. Closing again does nothing."""
        await self._commits.aclose()

    async def append_message(
        self, source: str, message_id: str, body: bytes, *, received: float, open_facts: int = 1
    ) -> Appended:
        """Keep a vendor message; one with the id of another of the same source is a duplicate and is not kept.

        Args:
            source: the source's name.
            message_id: the transport's idempotency key.
            body: as it came.
            received: Unix seconds.
            open_facts: how many of its facts wait to be sealed; with 0 it is settled from the start.
        """

        def work(db: sqlite3.Connection) -> Appended:
            cursor = db.execute(
                "INSERT INTO messages (source, message_id, received, body, open_facts) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (source, message_id, received, body, open_facts),
            )
            if cursor.rowcount == 1 and cursor.lastrowid is not None:
                return Appended(cursor.lastrowid, duplicate=False)
            key = (source, message_id)
            (seq,) = db.execute("SELECT seq FROM messages WHERE source = ? AND message_id = ?", key).fetchone()
            return Appended(seq, duplicate=True)

        return await self._commits.run(work, n_bytes=len(body))

    async def settle(self, message_seqs: Sequence[int]) -> None:
        """Note that every fact of these messages is sealed or dropped for good."""
        seqs = [(seq,) for seq in message_seqs]
        await self._many("UPDATE messages SET open_facts = 0 WHERE seq = ?", seqs)

    async def seal(self, stream: str, entries: Sequence[SealedRow]) -> None:
        """Append entries to a stream's log; all of them are kept or none.

        Raises:
            JournalError: also where an offset is taken: an entry never changes.
        """
        at = self._now()
        rows = [
            (stream, row.entry.o, _text(wire.to_map(row.entry)), row.source, row.fact_id, row.rev, _text(row.note),
             row.message_seq, at)
            for row in entries
        ]  # fmt: skip
        await self._many("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    async def reserve(self, stream: str, upto: int) -> None:
        """Promise away the offsets below `upto`: after a crash numbering goes on there or beyond. Never goes back."""
        await self._many(
            "INSERT INTO streams (stream, reserved_o) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET reserved_o = max(reserved_o, excluded.reserved_o)",
            [(stream, upto)],
        )

    async def begin_epoch(self, stream: str, epoch: str) -> None:
        """Name the epoch of a stream's log; where it is another one, the log before it is forgotten."""

        def work(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT epoch FROM streams WHERE stream = ?", (stream,)).fetchone()
            if row is not None and row[0] not in (None, epoch):
                db.execute("DELETE FROM entries WHERE stream = ?", (stream,))
                db.execute("UPDATE streams SET reserved_o = 0 WHERE stream = ?", (stream,))
            db.execute(
                "INSERT INTO streams (stream, epoch) VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
                (stream, epoch),
            )

        await self._commits.run(work)

    async def save_state(self, stream: str, state: Mapping[str, Any]) -> None:
        """Keep plain JSON about a stream as a whole, in place of what was kept before."""
        await self._many(
            "INSERT INTO streams (stream, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state",
            [(stream, _text(state))],
        )

    async def append_timing(
        self, stream: str, n: int, timing: SegmentTiming, state: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the n-th timing, and plain JSON from which the segment after it can be placed."""
        row = (stream, n, _text(wire.to_map(timing)), _text(state), self._now())
        await self._many("INSERT OR REPLACE INTO timings VALUES (?, ?, ?, ?, ?)", [row])

    async def append_mark(self, stream: str, n: int, mark: ReleaseMark) -> None:
        """Keep the n-th release mark."""
        row = (stream, n, _text(wire.to_map(mark)), self._now())
        await self._many("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", [row])

    async def load(self, stream: str, *, since_wall: float) -> StreamRecord:
        """Return what is known of a stream, of its records those kept since `since_wall` (Unix seconds).

        Raises:
            JournalError: a record cannot be read; the text names it.
        """

        def work(db: sqlite3.Connection) -> StreamRecord:
            row = db.execute("SELECT epoch, reserved_o, state FROM streams WHERE stream = ?", (stream,)).fetchone()
            epoch, reserved_o, state = row or (None, 0, None)
            key = (stream, since_wall)
            try:
                return StreamRecord(
                    epoch, reserved_o, _map(state), _entries(db, key), _timings(db, key), _marks(db, key)
                )
            except (DecodeError, ValueError) as error:
                raise JournalError(f"the journal's record of stream {stream!r} cannot be read: {error}") from error

        return await self._commits.run(work)

    async def unsettled(self, sources: Sequence[str]) -> list[StoredMessage]:
        """Return the messages of `sources` that are not settled, in the order in which they came."""

        def work(db: sqlite3.Connection) -> list[StoredMessage]:
            rows = db.execute(
                "SELECT seq, source, message_id, received, body FROM messages"
                " WHERE open_facts > 0 AND source IN (SELECT value FROM json_each(?)) ORDER BY seq",
                (json.dumps(list(sources)),),
            )
            return [StoredMessage(*row) for row in rows]

        return await self._commits.run(work)

    async def trim(self, before_wall: float) -> None:
        """Forget what is older than `before_wall` (Unix seconds) and owed to nobody."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM messages WHERE received < ? AND open_facts = 0", (before_wall,))
            db.execute("DELETE FROM entries WHERE at < ?", (before_wall,))
            for table in ("timings", "marks"):
                newest = f"SELECT max(n) FROM {table} AS same WHERE same.stream = {table}.stream"  # noqa: S608 - ours
                db.execute(f"DELETE FROM {table} WHERE at < ? AND n < ({newest})", (before_wall,))  # noqa: S608 - ours

        await self._commits.run(work)

    async def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.executemany(statement, rows)

        await self._commits.run(work)


def _entries(db: sqlite3.Connection, key: tuple[str, float]) -> list[SealedRow]:
    rows = db.execute(
        "SELECT map, source, fact_id, rev, message_seq, note FROM entries WHERE stream = ? AND at >= ? ORDER BY o", key
    )
    return [
        SealedRow(wire.entry_from_map(json.loads(text)), source, fact_id, rev, message_seq, _map(note))
        for text, source, fact_id, rev, message_seq, note in rows
    ]


def _timings(db: sqlite3.Connection, key: tuple[str, float]) -> list[StoredTiming]:
    rows = db.execute("SELECT n, map, state FROM timings WHERE stream = ? AND at >= ? ORDER BY n", key)
    return [StoredTiming(n, wire.timing_from_map(json.loads(text)), _map(state)) for n, text, state in rows]


def _marks(db: sqlite3.Connection, key: tuple[str, float]) -> list[StoredMark]:
    rows = db.execute("SELECT n, map FROM marks WHERE stream = ? AND at >= ? ORDER BY n", key)
    return [StoredMark(n, wire.mark_from_map(json.loads(text))) for n, text in rows]


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else strict_json.encode(value)


def _map(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
