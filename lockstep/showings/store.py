"""Showings that were made by API, on disk. A deleted one stays for a week: whoever was away learns of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import JournalError
from kernel.io.committed_file import CommittedFile
from lockstep.showings.words import MadeShowing, ShowingFields

if TYPE_CHECKING:
    import sqlite3

DELETED_KEEP_S = 7 * 86_400
"""How long it stays on record that a showing was deleted, in seconds."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS showings (
    n INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, origin TEXT NOT NULL,
    body TEXT, made REAL NOT NULL, changed REAL NOT NULL, changed_by TEXT NOT NULL)
"""
_COLUMNS = "n, event_id, version, origin, body, made, changed, changed_by"


class ShowingStore(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, _VERSION

    async def load(self, *, now: float) -> list[MadeShowing]:
        """Return all that there are, deleted ones too, in the order in which their names came up first.

        What was deleted long before `now`, in Unix seconds, is forgotten.
        """

        def work(db: sqlite3.Connection) -> list[MadeShowing]:
            db.execute("DELETE FROM showings WHERE body IS NULL AND changed < ?", (now - DELETED_KEEP_S,))
            rows = db.execute(f"SELECT {_COLUMNS} FROM showings ORDER BY n").fetchall()  # noqa: S608
            return [_made(row) for row in rows]

        try:
            return await self._commits.run(work)
        except ValueError as error:
            raise JournalError(f"the showings on disk cannot be read: {error}") from error

    async def save(self, one: MadeShowing) -> MadeShowing:
        """Write a showing as it is now, and return it; one that is new is given its number."""
        body = None if one.fields is None else one.fields.model_dump_json()
        row = (one.event_id, one.version, one.origin, body, one.made, one.changed, one.by)

        def work(db: sqlite3.Connection) -> int:
            (n,) = db.execute(
                "INSERT INTO showings (event_id, version, origin, body, made, changed, changed_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET version = excluded.version,"
                " origin = excluded.origin, body = excluded.body, made = excluded.made, changed = excluded.changed,"
                " changed_by = excluded.changed_by RETURNING n",
                row,
            ).fetchone()
            assert isinstance(n, int)
            return n

        n = await self._commits.run(work)
        return MadeShowing(n, one.event_id, one.version, one.origin, one.fields, one.made, one.changed, one.by)


def _made(row: tuple[int, str, int, str, str | None, float, float, str]) -> MadeShowing:
    n, event_id, version, origin, body, made, changed, by = row
    fields = None if body is None else ShowingFields.model_validate_json(body)
    return MadeShowing(n, event_id, version, origin, fields, made, changed, by)
