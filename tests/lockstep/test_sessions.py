from __future__ import annotations

from pathlib import Path

from kernel.io.system_time import wall
from lockstep.sessions import BOOK, open_book
from lockstep.settings import BusSettings, Settings
from relay.sessions.model import Seated, Wish
from tests.support.redis_server import redis_server


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


async def test_houses_apart_share_the_book_in_their_redis(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "var", bus=BusSettings(prefix="arena"))
    async with redis_server(tmp_path) as server:
        ours, theirs = [await open_book(settings, server.url) for _ in range(2)]
        until_ms = int(wall() * 1_000) + 60_000
        assert isinstance(await ours.admit(Wish("anna", "s", "final", (), until_ms, 30_000, {})), Seated)
        assert [one.session for one in await theirs.of("anna")] == ["s"]
        assert await server.ask("EXISTS", "arena:sessions") == 1
        for book in (ours, theirs):
            await book.aclose()
    assert not (tmp_path / "var").exists()
