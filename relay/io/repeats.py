"""What operators' POSTs were answered, by their `Idempotency-Key`, for a day: sent again, they do nothing twice.

The key belongs to the operator who names it (draft-ietf-httpapi-idempotency-key-header-07). With it comes the digest
of what was asked: the same key with something else is refused. Two at once with one key wait for each other. What
failed on our side is not kept; it may be tried again. A crash between the work and its answer's being kept leaves the
work done and the answer unknown: whoever asks again is answered by what the desk then finds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from kernel.io.committed_file import CommittedFile
from kernel.io.group_commit import GroupCommit
from kernel.io.http import problem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

KEEP_S = 86_400
"""How long an answer is kept, in seconds; Stripe keeps them for a day at least."""

MAX_KEPT = 100_000
"""Beyond it the oldest go: 50 MB, a key each second for a day."""

_HEADERS = ("content-type", "etag", "location", "cache-control", "retry-after")
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    n INTEGER PRIMARY KEY AUTOINCREMENT, operator TEXT NOT NULL, key TEXT NOT NULL, asked BLOB NOT NULL,
    status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, made REAL NOT NULL, UNIQUE (operator, key));
CREATE INDEX IF NOT EXISTS answers_made ON answers (made)
"""


class _Kept(NamedTuple):
    asked: bytes
    status: int
    headers: str
    body: bytes


class Repeats(CommittedFile):
    """The only owner of the file."""

    schema, version = _SCHEMA, _VERSION

    def __init__(self, commits: GroupCommit) -> None:
        super().__init__(commits)
        self._running: dict[tuple[str, str], asyncio.Event] = {}

    async def once(
        self, operator: str, key: str, asked: bytes, work: Callable[[], Awaitable[Response]], *, now: float
    ) -> Response:
        """Do some work, or return what it was answered before.

        Args:
            operator: whose key it is.
            key: 1 to 128 printable characters.
            asked: the digest of what is wanted.
            work: does it.
            now: Unix time in seconds.

        Raises:
            JournalError: the disk cannot keep the promise.
        """
        slot = (operator, key)
        while (running := self._running.get(slot)) is not None:
            await running.wait()
        done = self._running[slot] = asyncio.Event()
        try:
            kept = await self._find(slot, now)
            if kept is not None:
                return _again(kept) if kept.asked == asked else _another()
            response = await work()
            if response.status_code < 500:
                await self._keep(slot, asked, response, now)
            return response
        finally:
            del self._running[slot]
            done.set()

    async def _find(self, slot: tuple[str, str], now: float) -> _Kept | None:
        def work(db: sqlite3.Connection) -> _Kept | None:
            row = db.execute(
                "SELECT asked, status, headers, body FROM answers WHERE operator = ? AND key = ? AND made > ?",
                (*slot, now - KEEP_S),
            ).fetchone()
            return None if row is None else _Kept(*row)

        return await self._commits.run(work)

    async def _keep(self, slot: tuple[str, str], asked: bytes, response: Response, now: float) -> None:
        headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items() if name in _HEADERS)
        row = (*slot, asked, response.status_code, headers, bytes(response.body), now)

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM answers WHERE made <= ?", (now - KEEP_S,))
            db.execute("DELETE FROM answers WHERE operator = ? AND key = ?", slot)
            db.execute(
                "INSERT INTO answers (operator, key, asked, status, headers, body, made) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            db.execute("DELETE FROM answers WHERE n <= (SELECT max(n) FROM answers) - ?", (MAX_KEPT,))

        await self._commits.run(work, n_bytes=len(response.body))


def _again(kept: _Kept) -> Response:
    headers = dict(line.split(": ", 1) for line in kept.headers.splitlines())
    return Response(kept.body, kept.status, headers={**headers, "Idempotent-Replayed": "true"})


def _another() -> Response:
    return problem(
        422,
        "Unprocessable Content",
        reason="idempotency_key_reused",
        detail="Idempotency-Key: this key came with another request before; each request needs one of its own",
    )
