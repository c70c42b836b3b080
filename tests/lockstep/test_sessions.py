from __future__ import annotations

from pathlib import Path

from kernel.io.system_time import wall
from lockstep.sessions import BOOK, open_book
from lockstep.settings import Settings
from relay.sessions.model import Seated, Wish


async def test_one_process_keeps_its_book_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "var")
    book = await open_book(settings)
    until_ms = int(wall() * 1_000) + 60_000
    assert isinstance(await book.admit(Wish("anna", "s", "final", (), until_ms, 30_000, {})), Seated)
    await book.aclose()
    assert (tmp_path / "var" / BOOK).stat().st_size
    book = await open_book(settings)
    assert [one.session for one in await book.of("anna")] == ["s"]
    await book.aclose()
