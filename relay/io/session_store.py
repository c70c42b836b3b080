"""The sessions of one process on disk: a row for each account, as `relay/sessions/kept.py` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kernel.io.committed_file import CommittedFile
from relay.sessions.kept import to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from relay.sessions.account import Gone
    from relay.sessions.model import Session

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (account BLOB PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID
"""
# Names are bytes there: SQLite takes no text that is no Unicode, and one such name is not to keep all others off the
# disk.


class Snapshot(NamedTuple):
    """What is to be kept of an account; nothing where nothing is known of it any more."""

    account: str
    sessions: tuple[Session, ...]
    evicted: tuple[Gone, ...]


class SessionStore(CommittedFile):
    """The only owner of the sessions' file."""

    schema, version = _SCHEMA, 1

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep accounts as they are now, all of them in one transaction.

        Raises:
            JournalError: the disk keeps none of it.
        """

        def work(db: sqlite3.Connection) -> None:
            # Writing them out is done here too, beside the loop.
            kept = [
                (_bytes(one.account), to_text(one.sessions, one.evicted))
                for one in snapshots
                if one.sessions or one.evicted
            ]
            gone = [(_bytes(one.account),) for one in snapshots if not (one.sessions or one.evicted)]
            db.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?)", kept)
            db.executemany("DELETE FROM accounts WHERE account = ?", gone)

        await self._commits.run(work)

    async def page(self, after: str | None, count: int) -> list[tuple[str, str]]:
        """Return up to `count` accounts beyond one in their order, as name and text; None: from the first.

        Raises:
            JournalError: they cannot be read.
        """

        def work(db: sqlite3.Connection) -> list[tuple[str, str]]:
            beyond = ("WHERE account > ?", (_bytes(after),)) if after is not None else ("", ())
            rows = db.execute(
                f"SELECT account, state FROM accounts {beyond[0]} ORDER BY account LIMIT ?",  # noqa: S608
                (*beyond[1], count),
            )
            return [(account.decode("utf-8", "surrogatepass"), state) for account, state in rows]

        return await self._commits.run(work)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
