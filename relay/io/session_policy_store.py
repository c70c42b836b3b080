"""Session policies on disk, also those that have been deleted, for a day: whoever has missed that hears of it again."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kernel.io.committed_file import CommittedFile
from relay.paging import Listed
from relay.sessions.policy_words import MAX_SESSION_POLICIES, SessionPolicyRecord

if TYPE_CHECKING:
    import sqlite3

    from relay.paging import Page

KEEP_DELETED_S = 86_400.0
"""For how long it is remembered that a policy was deleted, in seconds: no process runs without the bus that long."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session_policies (
    n INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL UNIQUE, body TEXT, made REAL NOT NULL,
    made_by TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS session_policies_there ON session_policies (n) WHERE body IS NOT NULL
"""


class Put(Enum):
    """What came of a write."""

    CREATED = "created"
    CHANGED = "changed"
    FULL = "full"


class SessionPolicyStore(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, 1

    async def put(self, record: SessionPolicyRecord) -> Put:
        """Keep a policy, in the place of the one of the same subject."""

        def work(db: sqlite3.Connection) -> Put:
            db.execute("DELETE FROM session_policies WHERE body IS NULL AND made < ?", (record.made - KEEP_DELETED_S,))
            if _find(db, record.subject) is not None:
                outcome = Put.CHANGED
            else:
                (there,) = db.execute("SELECT count(*) FROM session_policies WHERE body IS NOT NULL").fetchone()
                if there >= MAX_SESSION_POLICIES:
                    return Put.FULL
                outcome = Put.CREATED
            db.execute(
                "INSERT INTO session_policies (subject, body, made, made_by) VALUES (?, ?, ?, ?) ON CONFLICT (subject)"
                " DO UPDATE SET body = excluded.body, made = excluded.made, made_by = excluded.made_by",
                record,
            )
            return outcome

        return await self._commits.run(work, n_bytes=len(record.text or ""))

    async def delete(self, subject: str, *, now: float, by: str) -> SessionPolicyRecord | None:
        """Delete a policy; return what the bus is to be told, None if there is none. `now` is Unix time in seconds."""

        def work(db: sqlite3.Connection) -> SessionPolicyRecord | None:
            changed = db.execute(
                "UPDATE session_policies SET body = NULL, made = ?, made_by = ? WHERE subject = ? AND body IS NOT NULL",
                (now, by, subject),
            ).rowcount
            return SessionPolicyRecord(subject, None, now, by) if changed else None

        return await self._commits.run(work)

    async def find(self, subject: str) -> SessionPolicyRecord | None:
        """Return the policy of that, None if there is none."""
        return await self._commits.run(lambda db: _find(db, subject))

    async def page(self, page: Page) -> Listed[SessionPolicyRecord]:
        """Return those that are not deleted, in the order in which they were first made."""

        def work(db: sqlite3.Connection) -> Listed[SessionPolicyRecord]:
            rows = db.execute(
                "SELECT n, subject, body, made, made_by FROM session_policies WHERE body IS NOT NULL AND n > ?"
                " ORDER BY n LIMIT ?",
                (page.after, page.limit + 1),
            ).fetchall()
            more = len(rows) > page.limit
            rows = rows[: page.limit]
            return Listed([SessionPolicyRecord(*row[1:]) for row in rows], rows[-1][0] if more else None)

        return await self._commits.run(work)

    async def all(self, after: int, limit: int) -> list[tuple[int, SessionPolicyRecord]]:
        """Return at most `limit` of those behind number `after`, also deleted ones, with their numbers."""

        def work(db: sqlite3.Connection) -> list[tuple[int, SessionPolicyRecord]]:
            rows = db.execute(
                "SELECT n, subject, body, made, made_by FROM session_policies WHERE n > ? ORDER BY n LIMIT ?",
                (after, limit),
            )
            return [(row[0], SessionPolicyRecord(*row[1:])) for row in rows]

        return await self._commits.run(work)


def _find(db: sqlite3.Connection, subject: str) -> SessionPolicyRecord | None:
    row = db.execute(
        "SELECT subject, body, made, made_by FROM session_policies WHERE subject = ? AND body IS NOT NULL", (subject,)
    ).fetchone()
    return None if row is None else SessionPolicyRecord(*row)
