"""Where blackouts open and close, on disk: what a relay needs that begins when the origin no longer lists it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from kernel.errors import DecodeError
from kernel.io.committed_file import CommittedFile

if TYPE_CHECKING:
    import sqlite3

    from relay.cuts import Record

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cuts (
    n INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, epoch TEXT NOT NULL, body TEXT NOT NULL)
"""


class KeptCuts(NamedTuple):
    """What was kept together: its number, by which the bus is told, and of which log it is."""

    number: int
    event_id: str
    epoch: str
    records: list[Record]


class CutStore(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, _VERSION

    async def keep(self, event_id: str, epoch: str, records: list[Record]) -> int:
        """Keep records of a showing; return their number, which rises."""
        body = json.dumps(records, separators=(",", ":"))

        def work(db: sqlite3.Connection) -> int:
            row = db.execute(
                "INSERT INTO cuts (event_id, epoch, body) VALUES (?, ?, ?) RETURNING n", (event_id, epoch, body)
            ).fetchone()
            return int(row[0])

        return await self._commits.run(work, n_bytes=len(body))

    async def all(self) -> list[KeptCuts]:
        """Return all that is kept, in order.

        Raises:
            DecodeError: a row cannot be read.
        """

        def work(db: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
            return db.execute("SELECT n, event_id, epoch, body FROM cuts ORDER BY n").fetchall()

        rows = await self._commits.run(work)
        try:
            return [KeptCuts(n, event_id, epoch, json.loads(body)) for n, event_id, epoch, body in rows]
        except ValueError as error:
            raise DecodeError(f"the file of cuts is damaged: {error}") from None

    async def replace(self, kept: list[KeptCuts]) -> None:
        """Keep these, and nothing else; numbers go on behind the highest that there ever was."""
        rows = [(*one[:3], json.dumps(one.records, separators=(",", ":"))) for one in kept]

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM cuts")
            db.executemany("INSERT INTO cuts (n, event_id, epoch, body) VALUES (?, ?, ?, ?)", rows)

        await self._commits.run(work, n_bytes=sum(len(row[3]) for row in rows))
