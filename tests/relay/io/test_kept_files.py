from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from kernel.errors import DecodeError, SettingsError
from relay.io.kept_files import KeptFile


def parse(path: Path) -> str:
    text = path.read_text("utf-8")
    if text == "bad":
        raise DecodeError(f"{path} is bad")
    return text


async def reparse(path: Path) -> str:
    return await asyncio.to_thread(parse, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("one", "utf-8")
    return path


@pytest.fixture
def kept(path: Path) -> KeptFile[str]:
    kept = KeptFile("city", path, parse, reparse)
    assert not kept.is_open
    kept.open()
    assert kept.is_open
    return kept


async def write(path: Path, text: str) -> None:
    # Another inode, as whoever replaces files properly does it.
    fresh = path.with_suffix(".new")
    await asyncio.to_thread(fresh.write_text, text, "utf-8")
    await asyncio.to_thread(fresh.replace, path)


async def test_a_changed_file_is_taken_once_it_is_at_rest(path: Path, kept: KeptFile[str]) -> None:
    assert await kept.look() is None
    await write(path, "two")
    assert await kept.look() is None
    assert kept.value == "one"
    # What was in use is handed back, to be let go of.
    assert await kept.look() == "one"
    assert (kept.value, kept.taken, kept.refused) == ("two", 1, 0)
    assert await kept.look() is None


async def test_what_somebody_is_writing_is_left_alone(path: Path, kept: KeptFile[str]) -> None:
    for number in range(5):
        await write(path, f"{number}")
        assert await kept.look() is None
    assert await kept.look() == "one"
    assert kept.value == "4"


async def test_a_file_written_in_place_is_taken(path: Path, kept: KeptFile[str]) -> None:
    await asyncio.to_thread(path.write_text, "longer", "utf-8")
    await kept.look()
    assert await kept.look() == "one"
    assert kept.value == "longer"


async def test_a_touched_file_is_read_again(path: Path, kept: KeptFile[str]) -> None:
    await asyncio.to_thread(os.utime, path, (1, 1))
    await kept.look()
    assert await kept.look() == "one"


async def test_what_is_refused_is_said_once_and_changes_nothing(
    path: Path, kept: KeptFile[str], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(path, "bad")
    for _ in range(4):
        assert await kept.look() is None
    assert (kept.value, kept.taken, kept.refused) == ("one", 0, 1)
    said = capsys.readouterr().out
    assert said.count("place.refused") == 1
    assert "is bad" in said
    assert "the old one stays in use" in said
    # Put right.
    await write(path, "three")
    await kept.look()
    await kept.look()
    assert (kept.value, kept.taken, kept.refused) == ("three", 1, 1)


async def test_what_is_bad_is_not_read_over_and_over(path: Path) -> None:
    read: list[str] = []

    async def reread(path: Path) -> str:
        read.append(await asyncio.to_thread(path.read_text, "utf-8"))
        return await reparse(path)

    kept = KeptFile("city", path, parse, reread)
    await asyncio.to_thread(kept.open)
    await write(path, "bad")
    for _ in range(5):
        await kept.look()
    assert read == ["bad"]


async def test_a_file_that_has_gone_is_said_once_and_changes_nothing(
    path: Path, kept: KeptFile[str], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = path.with_name("gone")
    await asyncio.to_thread(path.rename, gone)
    for _ in range(3):
        assert await kept.look() is None
    assert (kept.value, kept.refused) == ("one", 1)
    assert capsys.readouterr().out.count("No such file") == 1
    # The same one comes back: there is nothing to take up, and its next going is said again.
    await asyncio.to_thread(gone.rename, path)
    assert await kept.look() is None
    assert kept.taken == 0
    await asyncio.to_thread(path.rename, gone)
    await kept.look()
    assert kept.refused == 2


async def test_what_failed_for_a_reason_of_its_own_is_tried_again(path: Path) -> None:
    trouble = [OSError(12, "Cannot allocate memory"), OSError(12, "Cannot allocate memory")]

    async def reread(path: Path) -> str:
        if trouble:
            raise trouble.pop()
        return await reparse(path)

    kept = KeptFile("city", path, parse, reread)
    await asyncio.to_thread(kept.open)
    await write(path, "two")
    for _ in range(3):
        assert await kept.look() is None
    assert (kept.value, kept.refused) == ("one", 1)
    assert await kept.look() == "one"
    assert kept.value == "two"


@pytest.mark.parametrize(("text", "why"), [("bad", "place: city .*file is bad"), (None, "place: city .*No such file")])
def test_at_the_start_it_is_an_error(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=why):
        KeptFile("city", path, parse, reparse).open()
