from __future__ import annotations

from pathlib import Path

import pytest

from feeds.io.log_head import Head, LogHeads


def test_what_is_noted_is_recalled(tmp_path: Path) -> None:
    heads = LogHeads(tmp_path / "heads")
    assert heads.recall("game", Head("", -1, 0)) == Head("", -1, 0)
    heads.begin("game", "e1", -1)
    heads.advance("game", o=7)
    heads.advance("game", ver=1000)
    heads.advance("game", o=5, ver=900)
    assert LogHeads(tmp_path / "heads").recall("game", Head("e1", 3, 0)) == Head("e1", 7, 1000)


def test_a_shorter_note_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    heads = LogHeads(tmp_path)
    heads.recall("game", Head("", -1, 0))
    heads.begin("game", "a-long-epoch-" * 5, 1_000_000)
    heads.begin("game", "e2", 1)
    assert LogHeads(tmp_path).recall("game", Head("", -1, 0)) == Head("e2", 1, 0)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"e1 7", b"e1 7 8 00000000\n", b"e1 seven 8 00000000"])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "game").write_bytes(content)
    assert LogHeads(tmp_path).recall("game", Head("e1", 3, 0)) == Head("e1", 3, 0)


def test_a_disk_that_takes_no_note_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "heads").write_bytes(b"a file where the folder should be")
    heads = LogHeads(tmp_path / "heads")
    heads.recall("game", Head("e1", 3, 0))
    heads.advance("game", o=4)
    heads.advance("stranger", o=4)
