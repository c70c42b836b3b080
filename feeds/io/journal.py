"""What was acknowledged is on disk: vendor messages, sealed entries, the state of markets, timings, marks.

Every `async` method that writes returns only when the write is committed and synchronised; work takes effect in the
order in which it was asked for. After a restart `load` gives back what a stream's log and timeline were, and
`unsettled` the messages whose facts had not all been sealed. Records older than six hours are forgotten by `trim`,
never a message that is still owed, and never a stream's newest timing and mark, by which its numbering goes on.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Self

from feeds.io.log_head import Head, LogHeads
from feeds.journal_records import Appended, SealedRow, StoredMark, StoredMessage, StoredTiming, StreamRecord
from feeds.market_bodies import price_market_of
from feeds.market_book import Kept
from kernel import strict_json, wire
from kernel.errors import DecodeError, JournalError
from kernel.io.group_commit import GroupCommit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

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
CREATE TABLE IF NOT EXISTS price_blocks (
    stream TEXT NOT NULL, first_o INTEGER NOT NULL, last_o INTEGER NOT NULL, n INTEGER NOT NULL, rows BLOB NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (stream, first_o));
CREATE TABLE IF NOT EXISTS timings (
    stream TEXT NOT NULL, n INTEGER NOT NULL, map TEXT NOT NULL, state TEXT, at REAL NOT NULL,
    PRIMARY KEY (stream, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    stream TEXT NOT NULL, n INTEGER NOT NULL, map TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (stream, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    stream TEXT NOT NULL, key TEXT NOT NULL, ver INTEGER NOT NULL, state TEXT, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heads (
    stream TEXT PRIMARY KEY, sealed_o INTEGER NOT NULL DEFAULT -1, reserved_ver INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS timelines (stream TEXT PRIMARY KEY, reserved INTEGER NOT NULL) WITHOUT ROWID
"""
_KEEP = (
    "INSERT INTO kept SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')"
    " FROM json_each(?) WHERE true"
    " ON CONFLICT DO UPDATE SET ver = excluded.ver, state = excluded.state WHERE excluded.ver >= kept.ver"
)
"""All pieces in one statement: at each row of its own the interpreter's lock is given away and fought for again, and a
slice of prices changes hundreds of markets. WHERE true: else SQLite takes ON CONFLICT for the ON of a join."""
_SETTLE = (
    "UPDATE messages SET open_facts = 0, body = CASE WHEN length(body) > 4096 THEN x'' ELSE body END"
    " WHERE seq IN (SELECT value FROM json_each(?))"
)
"""Of a settled message its id is all that is asked for any more; what is large makes room."""


class Journal:
    """The only owner of the journal's file. Make it with `open`, inside a running loop.

    Every method raises JournalError where the disk cannot keep the promise; the next call may succeed again.
    """

    def __init__(self, commits: GroupCommit, heads: LogHeads, now: Callable[[], float]) -> None:
        self._commits = commits
        self._heads = heads
        self._now = now
        self._last_seq = 0

    @classmethod
    async def open(cls, path: Path, *, now: Callable[[], float], commits: type[GroupCommit] = GroupCommit) -> Self:
        """Open or make the journal at `path`, readable by its owner only.

        Args:
            path: the SQLite file; its folder is made where it is absent.
            now: the wall clock in Unix seconds, by which records grow old.
            commits: what runs its work: a thread, unless somebody has another place for it.

        Raises:
            JournalError: it is damaged, held by another process, or cannot be written; the text says what to do.
        """
        opened = await commits.open(path, schema=_SCHEMA, version=_VERSION)
        self = cls(opened, LogHeads(path.with_suffix(".heads")), now)
        self._last_seq = await opened.run(_last_seq)
        return self

    @property
    def writes(self) -> GroupCommit:
        """Return what commits, to see how it does."""
        return self._commits

    def next_message_seq(self) -> int:
        """Return the number that the next message is to have; each is given once, used or not."""
        self._last_seq += 1
        return self._last_seq

    async def aclose(self) -> None:
        """Write what is waiting, then close the file. Closing again does nothing."""
        await self._commits.aclose()

    async def name(self, new_id: Callable[[], str]) -> str:
        """Return what this journal is called: given once, and the same in each of its copies.

        Args:
            new_id: gives an unguessable name, without spaces.
        """

        def work(db: sqlite3.Connection) -> str:
            row = db.execute("SELECT name FROM journal").fetchone()
            if row is None:
                row = (new_id(),)
                db.execute("INSERT INTO journal VALUES (?)", row)
            return str(row[0])

        return await self._commits.run(work)

    async def append_message(
        self, source: str, message_id: str, body: bytes, *, received: float, open_facts: int = 1, seq: int | None = None
    ) -> Appended:
        """Keep a vendor message; one with the id of another of the same source is a duplicate and is not kept.

        Args:
            source: the source's name.
            message_id: the transport's idempotency key.
            body: as it came.
            received: Unix seconds.
            open_facts: how many of its facts wait to be sealed; with 0 it is settled from the start.
            seq: its number, from `next_message_seq`; None: it is given one.
        """
        number = self.next_message_seq() if seq is None else seq

        def work(db: sqlite3.Connection) -> Appended:
            cursor = db.execute(
                "INSERT INTO messages (seq, source, message_id, received, body, open_facts) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (source, message_id) DO NOTHING",
                (number, source, message_id, received, body, open_facts),
            )
            if cursor.rowcount == 1:
                return Appended(number, duplicate=False)
            key = (source, message_id)
            (known,) = db.execute("SELECT seq FROM messages WHERE source = ? AND message_id = ?", key).fetchone()
            return Appended(known, duplicate=True)

        return await self._commits.run(work, n_bytes=len(body))

    async def settle(self, message_seqs: Sequence[int]) -> None:
        """Note that every fact of these messages is sealed or dropped for good."""
        await self._many(_SETTLE, [(json.dumps(list(message_seqs)),)])

    async def seal(
        self, stream: str, entries: Sequence[SealedRow], *, kept: Sequence[Kept] = (), settled: Sequence[int] = ()
    ) -> None:
        """Append entries to a stream's log, with what goes with them; all of it is kept or none.

        Args:
            stream: the stream.
            entries: in the order of their offsets.
            kept: what the entries changed in the state of markets; what was kept under a higher `ver` stays.
            settled: messages whose every fact is now sealed or dropped for good.

        Raises:
            JournalError: also where an offset is taken: an entry never changes.
        """
        at = self._now()
        prices: list[SealedRow] = []
        others: list[SealedRow] = []
        for row in entries:
            (others if row.entry.due is None or price_market_of(row.entry.cue) is None else prices).append(row)
        head_o = max((row.entry.o for row in entries), default=-1)

        def work(db: sqlite3.Connection) -> None:
            # Written out here, off the loop: ten thousand prices a second are a megabyte or two.
            if prices:
                _add_block(db, stream, prices, at)
            db.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (stream, row.entry.o, _text(wire.to_map(row.entry)), row.source, row.fact_id, row.rev,
                     _text(row.note), row.message_seq, at)
                    for row in others
                ],
            )  # fmt: skip
            if kept:
                db.execute(_KEEP, (stream, strict_json.encode_known(kept).decode()))
            if settled:
                db.execute(_SETTLE, (json.dumps(list(settled)),))
            db.execute(
                "INSERT INTO heads (stream, sealed_o) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET sealed_o = max(sealed_o, excluded.sealed_o)",
                (stream, head_o),
            )

        await self._commits.run(work, after=lambda: self._heads.advance(stream, o=head_o))

    async def forget_prices(self, stream: str, offsets: Sequence[int]) -> None:
        """Forget prices that newer ones have replaced; one that is not there is passed over."""

        def work(db: sqlite3.Connection) -> None:
            _forget_in_blocks(db, stream, sorted(offsets))

        await self._commits.run(work)

    async def reserve(self, stream: str, upto: int, *, ver: int = 0) -> None:
        """Promise away the offsets below `upto` and every `ver` below `ver`: after a crash numbering goes on beyond.

        Neither ever goes back.
        """

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO streams (stream, reserved_o) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET reserved_o = max(reserved_o, excluded.reserved_o)",
                (stream, upto),
            )
            db.execute(
                "INSERT INTO heads (stream, reserved_ver) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET reserved_ver = max(reserved_ver, excluded.reserved_ver)",
                (stream, ver),
            )

        await self._commits.run(work, after=lambda: self._heads.advance(stream, ver=ver))

    async def reserve_timelines(self, stream: str, upto: int) -> None:
        """Promise away the timelines below `upto`: video goes out also when its timing cannot be written."""
        await self._many(
            "INSERT INTO timelines VALUES (?, ?) ON CONFLICT DO UPDATE SET reserved = max(reserved, excluded.reserved)",
            [(stream, upto)],
        )

    async def begin_epoch(self, stream: str, epoch: str) -> None:
        """Name the epoch of a stream's log. What is left of the log before it stays: its offsets are history now."""

        def work(db: sqlite3.Connection) -> int:
            db.execute(
                "INSERT INTO streams (stream, epoch) VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
                (stream, epoch),
            )
            # What is noted beside it counts from now on, so that the next start finds nothing lost.
            db.execute(
                "INSERT INTO heads (stream, reserved_ver) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET reserved_ver = max(reserved_ver, excluded.reserved_ver)",
                (stream, self._heads.ver(stream)),
            )
            row = db.execute("SELECT sealed_o FROM heads WHERE stream = ?", (stream,)).fetchone()
            return -1 if row is None else int(row[0])

        sealed_o = await self._commits.run(work)
        await self._commits.run(lambda _: self._heads.begin(stream, epoch, sealed_o))

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
            row = db.execute("SELECT sealed_o, reserved_ver FROM heads WHERE stream = ?", (stream,)).fetchone()
            known = Head(epoch or "", *(row or (-1, 0)))
            seen = self._heads.recall(stream, known)
            reserved = db.execute("SELECT reserved FROM timelines WHERE stream = ?", (stream,)).fetchone()
            key = (stream, since_wall)
            try:
                return StreamRecord(
                    epoch, reserved_o, _map(state), _entries(db, key), _timings(db, key), _marks(db, key),
                    _kept(db, stream), max(known.ver, seen.ver), reserved[0] if reserved else 0,
                    # Safety is published before it is sealed, under numbers promised away: those count, too.
                    lost=seen.epoch != known.epoch or seen.o > known.o or seen.ver > known.ver,
                )  # fmt: skip
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
            db.execute("DELETE FROM price_blocks WHERE at < ?", (before_wall,))
            for table in ("timings", "marks"):
                newest = f"SELECT max(n) FROM {table} AS same WHERE same.stream = {table}.stream"  # noqa: S608 - ours
                db.execute(f"DELETE FROM {table} WHERE at < ? AND n < ({newest})", (before_wall,))  # noqa: S608 - ours

        await self._commits.run(work)

    async def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.executemany(statement, rows)

        await self._commits.run(work)


def _last_seq(db: sqlite3.Connection) -> int:
    """Return the highest number given to a message; one that suspended may be in the log and not among the messages."""
    messages = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    entries = db.execute("SELECT max(message_seq) FROM entries").fetchone()
    return max(messages[0] if messages else 0, entries[0] or 0)


def _entries(db: sqlite3.Connection, key: tuple[str, float]) -> list[SealedRow]:
    rows = db.execute(
        "SELECT map, source, fact_id, rev, message_seq, note FROM entries WHERE stream = ? AND at >= ? ORDER BY o", key
    )
    known = [
        SealedRow(wire.entry_from_map(json.loads(text)), source, fact_id, rev, message_seq, _map(note))
        for text, source, fact_id, rev, message_seq, note in rows
    ]
    blocks = db.execute("SELECT rows FROM price_blocks WHERE stream = ? AND at >= ?", key)
    prices = [_row_of(row) for (text,) in blocks for row in json.loads(text)]
    return sorted([*known, *prices], key=lambda row: row.entry.o) if prices else known


def _add_block(db: sqlite3.Connection, stream: str, prices: Sequence[SealedRow], at: float) -> None:
    """Put prices that are sealed together into one row: single rows would be ten thousand a second.

    An entry's fields bear the names of its map (kernel/wire.py), so it is written as it is; a test reads it back.
    """
    first_o, last_o = prices[0].entry.o, prices[-1].entry.o
    span = (stream, first_o, last_o)
    taken = (
        db.execute("SELECT 1 FROM price_blocks WHERE stream = ? AND last_o >= ? AND first_o <= ?", span).fetchone()
        or db.execute("SELECT 1 FROM entries WHERE stream = ? AND o BETWEEN ? AND ?", span).fetchone()
    )
    rows = [(row.entry, row.source, row.fact_id, row.rev, row.message_seq, row.note) for row in prices]
    if taken and _are_taken(db, stream, {row.entry.o for row in prices}):
        raise JournalError(f"stream {stream!r}: an offset between {first_o} and {last_o} is taken")
    db.execute(
        "INSERT INTO price_blocks VALUES (?, ?, ?, ?, ?, ?)", (*span, len(rows), strict_json.encode_known(rows), at)
    )


def _are_taken(db: sqlite3.Connection, stream: str, offsets: set[int]) -> bool:
    span = (stream, min(offsets), max(offsets))
    entries = db.execute("SELECT o FROM entries WHERE stream = ? AND o BETWEEN ? AND ?", span)
    if any(o in offsets for (o,) in entries):
        return True
    blocks = db.execute("SELECT rows FROM price_blocks WHERE stream = ? AND last_o >= ? AND first_o <= ?", span)
    return any(row[0]["o"] in offsets for (text,) in blocks for row in json.loads(text))


def _forget_in_blocks(db: sqlite3.Connection, stream: str, offsets: list[int]) -> None:
    """Take prices out of their blocks; a block without any goes whole, and unread."""
    span = (stream, offsets[0], offsets[-1])
    blocks = db.execute(
        "SELECT first_o, last_o, n FROM price_blocks WHERE stream = ? AND last_o >= ? AND first_o <= ?", span
    ).fetchall()
    for first_o, last_o, n in blocks:
        gone = offsets[bisect_left(offsets, first_o) : bisect_right(offsets, last_o)]
        key = (stream, first_o)
        if len(gone) >= n:
            db.execute("DELETE FROM price_blocks WHERE stream = ? AND first_o = ?", key)
        elif gone:
            (text,) = db.execute("SELECT rows FROM price_blocks WHERE stream = ? AND first_o = ?", key).fetchone()
            none_of = set(gone)
            left = [row for row in strict_json.decode_known(text) if row[0]["o"] not in none_of]
            db.execute(
                "UPDATE price_blocks SET n = ?, rows = ? WHERE stream = ? AND first_o = ?",
                (len(left), strict_json.encode_known(left), *key),
            )


def _row_of(row: Sequence[Any]) -> SealedRow:
    entry, source, fact_id, rev, message_seq, note = row
    return SealedRow(wire.entry_from_map(entry), source, fact_id, rev, message_seq, note)


def _timings(db: sqlite3.Connection, key: tuple[str, float]) -> list[StoredTiming]:
    rows = db.execute("SELECT n, map, state FROM timings WHERE stream = ? AND at >= ? ORDER BY n", key)
    return [StoredTiming(n, wire.timing_from_map(json.loads(text)), _map(state)) for n, text, state in rows]


def _marks(db: sqlite3.Connection, key: tuple[str, float]) -> list[StoredMark]:
    rows = db.execute("SELECT n, map FROM marks WHERE stream = ? AND at >= ? ORDER BY n", key)
    return [StoredMark(n, wire.mark_from_map(json.loads(text))) for n, text in rows]


def _kept(db: sqlite3.Connection, stream: str) -> list[Kept]:
    rows = db.execute("SELECT key, ver, state FROM kept WHERE stream = ?", (stream,))
    return [Kept(key, ver, _map(state)) for key, ver, state in rows]


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else strict_json.encode_known(value).decode()


def _map(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
