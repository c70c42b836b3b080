"""What stores share: one file, one owner, a schema of its own."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from kernel.errors import JournalError
from kernel.io.committed_file import CommittedFile


class Words(CommittedFile):
    schema = "CREATE TABLE IF NOT EXISTS words (word TEXT)"
    version = 3


class Later(Words):
    version = 4


async def test_it_is_made_kept_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "there" / "words.sqlite"
    one = await Words.open(path)
    await one.writes.run(lambda db: db.execute("INSERT INTO words VALUES ('a')"))
    with pytest.raises(JournalError, match="another process"):
        await Words.open(path)
    await one.aclose()
    mode = (await asyncio.to_thread(path.stat)).st_mode
    assert stat.S_IMODE(mode) == 0o600
    again = await Later.open(path)
    assert await again.writes.run(lambda db: db.execute("SELECT word FROM words").fetchall()) == [("a",)]
    await again.aclose()
    with pytest.raises(JournalError):
        await Words.open(path)
