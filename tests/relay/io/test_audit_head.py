from __future__ import annotations

from pathlib import Path

import pytest

from relay.io.audit_head import ChainHead, read_head, write_head

HEAD = ChainHead("abc", 12, 4_000, bytes(range(32)))


def test_a_head_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "serve-1.head"
    write_head(path, HEAD._replace(n_records=1 << 60, size=1 << 60))
    write_head(path, HEAD)
    assert read_head(path) == HEAD
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 160


@pytest.mark.parametrize("text", ["", "abc", "abc 12 4000 zz 0", "abc 12 4000 00 00000000", "é"])
def test_what_is_no_head(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serve-1.head"
    assert read_head(path) is None
    path.write_text(text)
    assert read_head(path) is None
