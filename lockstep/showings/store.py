"""Showings that were made by API, on disk. A deleted one stays for a week: whoever was away learns of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from kernel.errors import JournalError
from kernel.io.group_commit import GroupCommit
from lockstep.showings.words import MadeShowing, ShowingFields

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

DELETED_KEEP_S = 7 * 86_400
"""How long it stays on record that a showing was deleted, in seconds."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS showings (
    n INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, origin TEXT NOT NULL,
    body TEXT, made REAL NOT NULL, changed REAL NOT NULL, changed_by TEXT NOT NULL)
"""
_COLUMNS = "n, event_id, version, origin, body, made, changed, changed_by"


class ShowingStore:
    """The only owner of the file. Make it with `open`, inside a running loop.

    Every method raises JournalError where the disk cannot keep the promise.
    """

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the file, readable by its owner only.

        Raises:
            JournalError: it is damaged, held by another process, or cannot be written.
        """
        return cls(await GroupCommit.open(path, schema=_SCHEMA, version=_VERSION))

    @property
    def writes(self) -> GroupCommit:
        """Return what commits, to see how it does."""
        return self._commits

    async def aclose(self) -> None:
        """Write what is waiting, then close the file."""
        await self._commits.aclose()

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
