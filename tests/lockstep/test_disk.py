from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.errors import JournalError
from lockstep.disk import Disk


async def test_all_files_are_opened_or_none_is(tmp_path: Path) -> None:
    disk = await Disk.open(tmp_path)
    found = await asyncio.to_thread(lambda: {path.name for path in tmp_path.glob("*.sqlite")})
    assert {f"{name}.sqlite" for name in disk.writes()} == found
    with pytest.raises(JournalError):
        await Disk.open(tmp_path)
    await disk.aclose()
    # What was opened before the one that failed was closed again.
    (tmp_path / "session-policies.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(JournalError):
        await Disk.open(tmp_path)
    (tmp_path / "session-policies.sqlite").unlink()
    await (await Disk.open(tmp_path)).aclose()
