"""Policies on disk, every version that there ever was: a verdict of last month names the one that it was made by."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from kernel.io.committed_file import CommittedFile
from kernel.policies import PolicyRecord
from relay.paging import Listed
from relay.policy_words import MAX_POLICIES, PolicyHead

if TYPE_CHECKING:
    import sqlite3

    from relay.paging import Page
    from relay.preconditions import Condition

MAX_NAMES = 10 * MAX_POLICIES
"""How many names there may be, those of deleted policies included: each is a record on the bus."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS policies (
    n INTEGER PRIMARY KEY AUTOINCREMENT, policy_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
    deleted INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS policies_there ON policies (n) WHERE deleted = 0;
CREATE TABLE IF NOT EXISTS versions (
    policy_id TEXT NOT NULL, version INTEGER NOT NULL, made REAL NOT NULL, made_by TEXT NOT NULL,
    n_bytes INTEGER NOT NULL, body TEXT, UNIQUE (policy_id, version))
"""
_NEWEST = " FROM policies p JOIN versions v ON v.policy_id = p.policy_id AND v.version = p.version WHERE "
_RECORD = "v.policy_id, v.version, v.body, v.made, v.made_by"


class Outcome(Enum):
    """What came of a write."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    SAME = "same"
    CONDITION_FAILED = "condition_failed"
    ABSENT = "absent"
    FULL = "full"


class Written(NamedTuple):
    """What came of a write, and the newest version after it; None where there is none."""

    outcome: Outcome
    record: PolicyRecord | None


class PolicyStore(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, _VERSION

    async def put(self, policy_id: str, text: str, condition: Condition, *, now: float, by: str) -> Written:
        """Make a new version, unless the newest says the same.

        Args:
            policy_id: its name.
            text: canonical JSON.
            condition: which version must be there; not asked when the text is there already, so that a request may be
                sent again (RFC 9110, 13.1.1).
            now: Unix time in seconds.
            by: the operator's name.
        """

        def work(db: sqlite3.Connection) -> Written:
            known = _find(db, policy_id)
            there = known if known is not None and known.text is not None else None
            if there is not None and there.text == text:
                return Written(Outcome.SAME, there)
            if not condition.holds(None if there is None else there.version):
                return Written(Outcome.CONDITION_FAILED, there)
            if there is None and _is_full(db, is_new=known is None):
                return Written(Outcome.FULL, None)
            outcome = Outcome.CREATED if there is None else Outcome.CHANGED
            return Written(outcome, _add(db, known, PolicyRecord(policy_id, 1, text, now, by)))

        return await self._commits.run(work, n_bytes=len(text))

    async def delete(self, policy_id: str, condition: Condition, *, now: float, by: str) -> Written:
        """Delete a policy: a last version says so, the earlier ones stay. `now` is Unix time in seconds."""

        def work(db: sqlite3.Connection) -> Written:
            known = _find(db, policy_id)
            if known is None or known.text is None:
                return Written(Outcome.ABSENT, None)
            if not condition.holds(known.version):
                return Written(Outcome.CONDITION_FAILED, known)
            return Written(Outcome.DELETED, _add(db, known, PolicyRecord(policy_id, 1, None, now, by)))

        return await self._commits.run(work)

    async def find(self, policy_id: str, version: int | None = None) -> PolicyRecord | None:
        """Return one version of a policy, the newest for None; None if there is none of that name and number."""

        def work(db: sqlite3.Connection) -> PolicyRecord | None:
            if version is None:
                return _find(db, policy_id)
            row = db.execute(
                "SELECT policy_id, version, body, made, made_by FROM versions WHERE policy_id = ? AND version = ?",
                (policy_id, version),
            ).fetchone()
            return None if row is None else PolicyRecord(*row)

        return await self._commits.run(work)

    async def page(self, page: Page) -> Listed[PolicyHead]:
        """Return policies that are not deleted, in the order in which their names came up first."""

        def work(db: sqlite3.Connection) -> Listed[PolicyHead]:
            rows = db.execute(
                f"SELECT p.n, v.policy_id, v.version, v.made, v.made_by, v.n_bytes {_NEWEST}"
                " p.deleted = 0 AND p.n > ? ORDER BY p.n LIMIT ?",
                (page.after, page.limit + 1),
            ).fetchall()
            more = len(rows) > page.limit
            rows = rows[: page.limit]
            return Listed([PolicyHead(*row[1:]) for row in rows], rows[-1][0] if more else None)

        return await self._commits.run(work)

    async def newest(self, after: int, limit: int) -> list[tuple[int, PolicyRecord]]:
        """Return the newest versions, deleted ones too, of at most `limit` policies behind number `after`."""

        def work(db: sqlite3.Connection) -> list[tuple[int, PolicyRecord]]:
            rows = db.execute(
                f"SELECT p.n, {_RECORD} {_NEWEST} p.n > ? ORDER BY p.n LIMIT ?",
                (after, limit),
            )
            return [(row[0], PolicyRecord(*row[1:])) for row in rows]

        return await self._commits.run(work)


def _find(db: sqlite3.Connection, policy_id: str) -> PolicyRecord | None:
    row = db.execute(f"SELECT {_RECORD} {_NEWEST} p.policy_id = ?", (policy_id,)).fetchone()
    return None if row is None else PolicyRecord(*row)


def _is_full(db: sqlite3.Connection, *, is_new: bool) -> bool:
    names, there = db.execute("SELECT count(*), count(*) FILTER (WHERE deleted = 0) FROM policies").fetchone()
    return bool(there >= MAX_POLICIES or (is_new and names >= MAX_NAMES))


def _add(db: sqlite3.Connection, known: PolicyRecord | None, wanted: PolicyRecord) -> PolicyRecord:
    version = 1 if known is None else known.version + 1
    made = PolicyRecord(wanted.policy_id, version, wanted.text, wanted.made, wanted.by)
    db.execute(
        "INSERT INTO policies (policy_id, version, deleted) VALUES (?, ?, ?)"
        " ON CONFLICT (policy_id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted",
        (made.policy_id, made.version, made.text is None),
    )
    db.execute(
        "INSERT INTO versions (policy_id, version, made, made_by, n_bytes, body) VALUES (?, ?, ?, ?, ?, ?)",
        (made.policy_id, made.version, made.made, made.by, len((made.text or "").encode()), made.text),
    )
    return made
