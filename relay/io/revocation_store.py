"""Revocations on disk: what was acknowledged is there, with the offset under which the bus has it.

Every change takes the next offset, in the transaction that makes it, so a restart goes on where the last process
ended and can tell the bus all of it again. A reinstatement stays for a week: whoever was away learns of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kernel.io.committed_file import CommittedFile
from kernel.revocation import Reinstatement, Revocation, RevocationChange, Subject, SubjectKind
from relay.paging import Listed

if TYPE_CHECKING:
    import sqlite3

    from relay.paging import Page
    from relay.revocation_words import Wanted

UNDONE_KEEP_S = 7 * 86_400
"""How long it stays on record that a revocation was undone, in seconds."""

EXPIRED_KEEP_S = 3_600
"""How long an expired revocation stays, in seconds: no clock of ours is that far behind."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS revocations (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, value TEXT NOT NULL,
    event_id TEXT NOT NULL, reason TEXT NOT NULL, made REAL NOT NULL, expires INTEGER, made_by TEXT NOT NULL,
    bus_offset INTEGER NOT NULL UNIQUE, undone REAL, UNIQUE (kind, value, event_id));
CREATE INDEX IF NOT EXISTS revocations_expire ON revocations (expires) WHERE expires IS NOT NULL;
CREATE INDEX IF NOT EXISTS revocations_undone ON revocations (undone) WHERE undone IS NOT NULL;
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), bus_offset INTEGER NOT NULL);
INSERT OR IGNORE INTO head VALUES (1, -1)
"""
_COLUMNS = "n, id, kind, value, event_id, reason, made, expires, made_by, bus_offset, undone"


class Numbered(NamedTuple):
    """A change and its offset on the bus."""

    offset: int
    change: RevocationChange


class Made(NamedTuple):
    """What came of the wish to revoke. `new` says that the subject was not revoked before, `numbered` what changed."""

    revocation: Revocation
    new: bool
    numbered: Numbered | None


class RevocationStore(CommittedFile):
    """The only owner of the revocations' file."""

    schema, version = _SCHEMA, _VERSION

    async def revoke(self, wanted: Wanted, *, id: str, now: float, by: str) -> Made:  # noqa: A002 - the field's name
        """Revoke a subject. One that is revoked already keeps its id; reason and end become those of now.

        Args:
            wanted: whom, why and until when.
            id: what a new revocation will be called.
            now: Unix time in seconds.
            by: the operator's name.
        """
        subject = wanted.subject
        place = (subject.kind.value, subject.value, subject.event_id or "")

        def work(db: sqlite3.Connection) -> Made:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM revocations WHERE kind = ? AND value = ? AND event_id = ?",  # noqa: S608
                place,
            ).fetchone()
            known = _change(row) if row is not None else None
            if isinstance(known, Revocation) and (known.expires is None or now < known.expires):
                if (known.reason, known.expires) == (wanted.reason, wanted.expires):
                    return Made(known, new=False, numbered=None)
                offset = _next_offset(db)
                db.execute(
                    "UPDATE revocations SET reason = ?, expires = ?, bus_offset = ? WHERE id = ?",
                    (wanted.reason, wanted.expires, offset, known.id),
                )
                changed = Revocation(known.id, subject, wanted.reason, known.made, wanted.expires, known.by)
                return Made(changed, new=False, numbered=Numbered(offset, changed))
            offset = _next_offset(db)
            db.execute("DELETE FROM revocations WHERE kind = ? AND value = ? AND event_id = ?", place)
            db.execute(
                "INSERT INTO revocations (id, kind, value, event_id, reason, made, expires, made_by, bus_offset)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (id, *place, wanted.reason, now, wanted.expires, by, offset),
            )
            made = Revocation(id, subject, wanted.reason, now, wanted.expires, by)
            return Made(made, new=True, numbered=Numbered(offset, made))

        return await self._commits.run(work)

    async def undo(self, id: str, *, now: float) -> Numbered | None:  # noqa: A002 - the field's name
        """Undo a revocation; return None if there is none of that id. `now` is Unix time in seconds."""

        def work(db: sqlite3.Connection) -> Numbered | None:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM revocations WHERE id = ? AND undone IS NULL",  # noqa: S608
                (id,),
            ).fetchone()
            if row is None:
                return None
            offset = _next_offset(db)
            db.execute("UPDATE revocations SET undone = ?, bus_offset = ? WHERE id = ?", (now, offset, id))
            return Numbered(offset, Reinstatement(id, _subject(row)))

        return await self._commits.run(work)

    async def page(self, page: Page, *, now: float) -> Listed[Revocation]:
        """Return revocations in force at `now`, in the order in which they were made."""

        def work(db: sqlite3.Connection) -> Listed[Revocation]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM revocations WHERE n > ? AND undone IS NULL"  # noqa: S608
                " AND (expires IS NULL OR expires > ?) ORDER BY n LIMIT ?",
                (page.after, now, page.limit + 1),
            ).fetchall()
            more = len(rows) > page.limit
            rows = rows[: page.limit]
            found = [change for row in rows if isinstance(change := _change(row), Revocation)]
            return Listed(found, rows[-1][0] if more else None)

        return await self._commits.run(work)

    async def changes(self, after: int, limit: int) -> list[Numbered]:
        """Return the changes beyond an offset, at most so many, in the order of their offsets."""

        def work(db: sqlite3.Connection) -> list[Numbered]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM revocations WHERE bus_offset > ? ORDER BY bus_offset LIMIT ?",  # noqa: S608
                (after, limit),
            )
            return [Numbered(row[9], _change(row)) for row in rows]

        return await self._commits.run(work)

    async def forget(self, *, now: float) -> None:
        """Delete what expired a while ago, and what was undone long ago."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM revocations WHERE expires < ?", (now - EXPIRED_KEEP_S,))
            db.execute("DELETE FROM revocations WHERE undone < ?", (now - UNDONE_KEEP_S,))

        await self._commits.run(work)

    async def renumber(self, limit: int) -> tuple[list[Numbered], int]:
        """Give the oldest changes, at most so many, new offsets if the log has become much longer than what it says.

        Returns:
            Those changes under their new offsets, and the offset below which nothing is needed any more.
        """

        def work(db: sqlite3.Connection) -> tuple[list[Numbered], int]:
            (head,) = db.execute("SELECT bus_offset FROM head").fetchone()
            least, count = db.execute("SELECT min(bus_offset), count(*) FROM revocations").fetchone()
            if least is None:
                return [], head + 1
            moved: list[Numbered] = []
            if head - least > 2 * count + limit:
                rows = db.execute(
                    f"SELECT {_COLUMNS} FROM revocations ORDER BY bus_offset LIMIT ?",  # noqa: S608
                    (limit,),
                ).fetchall()
                for row in rows:
                    offset = _next_offset(db)
                    db.execute("UPDATE revocations SET bus_offset = ? WHERE n = ?", (offset, row[0]))
                    moved.append(Numbered(offset, _change(row)))
                (least,) = db.execute("SELECT min(bus_offset) FROM revocations").fetchone()
            return moved, least

        return await self._commits.run(work)


def _next_offset(db: sqlite3.Connection) -> int:
    (offset,) = db.execute("UPDATE head SET bus_offset = bus_offset + 1 RETURNING bus_offset").fetchone()
    assert isinstance(offset, int)
    return offset


def _subject(row: tuple[Any, ...]) -> Subject:
    return Subject(SubjectKind(row[2]), row[3], row[4] or None)


def _change(row: tuple[Any, ...]) -> RevocationChange:
    _, id_, _, _, _, reason, made, expires, by, _, undone = row
    if undone is not None:
        return Reinstatement(id_, _subject(row))
    return Revocation(id_, _subject(row), reason, made, expires, by)
