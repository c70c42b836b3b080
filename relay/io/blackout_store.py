"""Blackouts on disk, also those that have been ended, for a while: whoever has missed the end hears of it again.

A redirect that was ended fades: for `FADE_S` it is told with its end, since lists go on behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kernel.blackouts import BlackoutRecord
from kernel.io.committed_file import CommittedFile
from relay.blackout_words import FADE_S, MAX_BLACKOUTS, ended_of
from relay.paging import Listed

if TYPE_CHECKING:
    import sqlite3

    from relay.paging import Page

KEEP_ENDED_S = 86_400.0
"""For how long it is remembered that a blackout was ended, in seconds: no process runs without the bus that long."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS blackouts (
    n INTEGER PRIMARY KEY AUTOINCREMENT, blackout_id TEXT NOT NULL UNIQUE, event_id TEXT NOT NULL,
    body TEXT NOT NULL, made REAL NOT NULL, made_by TEXT NOT NULL, ended REAL, ended_by TEXT);
CREATE INDEX IF NOT EXISTS blackouts_there ON blackouts (n) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS fading (blackout_id TEXT PRIMARY KEY, body TEXT NOT NULL, until REAL NOT NULL)
"""


class Kept(NamedTuple):
    """What the bus is told of one of those on disk."""

    number: int
    record: BlackoutRecord


class BlackoutStore(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, _VERSION

    async def make(self, record: BlackoutRecord) -> bool:
        """Keep a blackout; return False if there are as many as may be."""

        def work(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM blackouts WHERE ended < ?", (record.made - KEEP_ENDED_S,))
            (there,) = db.execute(
                "SELECT (SELECT count(*) FROM blackouts WHERE ended IS NULL) + (SELECT count(*) FROM fading)"
            ).fetchone()
            if there >= MAX_BLACKOUTS:
                return False
            db.execute(
                "INSERT INTO blackouts (blackout_id, event_id, body, made, made_by) VALUES (?, ?, ?, ?, ?)",
                (record.blackout_id, record.event_id, record.text, record.made, record.by),
            )
            return True

        return await self._commits.run(work, n_bytes=len(record.text or ""))

    async def end(self, blackout_id: str, *, now: float, by: str, forget: bool = False) -> BlackoutRecord | None:
        """End a blackout; return what the bus is to be told, None if there is none.

        Args:
            blackout_id: which.
            now: Unix time in seconds.
            by: the operator who ends it.
            forget: whether it is gone, also if lists go on behind it, or do already.
        """

        def work(db: sqlite3.Connection) -> BlackoutRecord | None:
            row = db.execute(
                "UPDATE blackouts SET ended = ?, ended_by = ? WHERE blackout_id = ?"
                " AND (ended IS NULL OR ? AND blackout_id IN (SELECT blackout_id FROM fading))"
                " RETURNING event_id, body, made, made_by",
                (now, by, blackout_id, forget),
            ).fetchone()
            if row is None:
                return None
            event_id, body, made, made_by = row
            ended = None if forget else ended_of(body, now)
            if ended is None or ended[1] + FADE_S <= now:
                db.execute("DELETE FROM fading WHERE blackout_id = ?", (blackout_id,))
                return BlackoutRecord(blackout_id, event_id, None, now, by)
            text, over = ended
            db.execute(
                "INSERT INTO fading (blackout_id, body, until) VALUES (?, ?, ?)", (blackout_id, text, over + FADE_S)
            )
            return BlackoutRecord(blackout_id, event_id, text, made, made_by)

        return await self._commits.run(work)

    async def fade(self, now: float) -> list[BlackoutRecord]:
        """Forget the redirects that were ended long ago; return what the bus is to be told.

        `now` is Unix time in seconds.
        """

        def work(db: sqlite3.Connection) -> list[BlackoutRecord]:
            rows = db.execute(
                "SELECT blackout_id, event_id, ended, ended_by FROM blackouts JOIN fading USING (blackout_id)"
                " WHERE until <= ? ORDER BY n",
                (now,),
            ).fetchall()
            db.execute("DELETE FROM fading WHERE until <= ?", (now,))
            return [BlackoutRecord(name, event_id, None, ended, by) for name, event_id, ended, by in rows]

        return await self._commits.run(work)

    async def find(self, blackout_id: str) -> BlackoutRecord | None:
        """Return a blackout that has not been ended, None if there is none of that id."""

        def work(db: sqlite3.Connection) -> BlackoutRecord | None:
            row = db.execute(
                "SELECT blackout_id, event_id, body, made, made_by FROM blackouts"
                " WHERE blackout_id = ? AND ended IS NULL",
                (blackout_id,),
            ).fetchone()
            return None if row is None else BlackoutRecord(*row)

        return await self._commits.run(work)

    async def page(self, page: Page, event_id: str | None = None) -> Listed[BlackoutRecord]:
        """Return those that have not been ended, in the order in which they were made."""

        def work(db: sqlite3.Connection) -> Listed[BlackoutRecord]:
            rows = db.execute(
                "SELECT n, blackout_id, event_id, body, made, made_by FROM blackouts"
                " WHERE ended IS NULL AND n > ? AND (? IS NULL OR event_id = ?) ORDER BY n LIMIT ?",
                (page.after, event_id, event_id, page.limit + 1),
            ).fetchall()
            more = len(rows) > page.limit
            rows = rows[: page.limit]
            return Listed([BlackoutRecord(*row[1:]) for row in rows], rows[-1][0] if more else None)

        return await self._commits.run(work)

    async def all(self, after: int, limit: int) -> list[Kept]:
        """Return what the bus is to be told of at most `limit` of those behind number `after`, also of ended ones."""

        def work(db: sqlite3.Connection) -> list[Kept]:
            rows = db.execute(
                "SELECT n, blackout_id, event_id, coalesce(fading.body, blackouts.body), made, made_by,"
                " iif(fading.body IS NULL, ended, NULL), ended_by"
                " FROM blackouts LEFT JOIN fading USING (blackout_id) WHERE n > ? ORDER BY n LIMIT ?",
                (after, limit),
            )
            return [
                Kept(number, BlackoutRecord(name, event_id, body, made, by))
                if ended is None
                else Kept(number, BlackoutRecord(name, event_id, None, ended, ended_by))
                for number, name, event_id, body, made, by, ended, ended_by in rows
            ]

        return await self._commits.run(work)
