from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kernel.errors import DecodeError
from relay.io import audit_keys
from relay.io.audit_keys import DayKeys

DAY = 20_784  # 2026-11-27
DAY_S = 86_400


def test_what_is_sealed_can_be_opened_on_its_day_and_in_its_place(tmp_path: Path) -> None:
    keys = DayKeys(tmp_path / "keys")
    assert not keys.has(DAY)
    sealed = keys.seal(DAY, b"203.0.113.7", b"here")
    assert b"203" not in sealed
    assert sealed != keys.seal(DAY, b"203.0.113.7", b"here")
    # Another process has the same key.
    other = DayKeys(tmp_path / "keys")
    assert other.unseal(DAY, sealed, b"here") == b"203.0.113.7"
    other.seal(DAY + 1, b"", b"")
    for day, data, place in (
        (DAY, sealed, b"there"),
        (DAY, sealed[:-1], b"here"),
        (DAY, b"", b""),
        (DAY + 1, sealed, b"here"),
    ):
        with pytest.raises(DecodeError, match="was changed"):
            other.unseal(day, data, place)
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["2026-11-27.key", "2026-11-28.key"]
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_a_key_is_destroyed_when_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DayKeys(tmp_path)
    sealed = keys.seal(DAY, b"x", b"")
    (tmp_path / "notes.key").write_bytes(b"somebody else's")
    path = tmp_path / "2026-11-27.key"
    # What was overwritten is seen through another name of the same file.
    os.link(path, tmp_path / "remnant")
    assert keys.destroy((DAY + 31) * DAY_S - 1, 30) == []
    assert keys.destroy((DAY + 31) * DAY_S, 30) == ["2026-11-27"]
    assert not path.exists()
    assert (tmp_path / "remnant").read_bytes() == bytes(32)
    assert not keys.has(DAY)
    with pytest.raises(DecodeError, match="destroyed"):
        keys.unseal(DAY, sealed, b"")
    assert (tmp_path / "notes.key").exists()
    assert keys.destroy((DAY + 31) * DAY_S, 30) == []


def test_what_another_process_destroyed_is_not_kept_in_memory(tmp_path: Path) -> None:
    keys, other = DayKeys(tmp_path), DayKeys(tmp_path)
    keys.seal(DAY, b"x", b"")
    other.destroy((DAY + 31) * DAY_S, 30)
    assert keys.destroy((DAY + 31) * DAY_S, 30) == []
    assert not keys.has(DAY)


def test_who_comes_second_takes_the_key_that_is_there(tmp_path: Path) -> None:
    first, second = DayKeys(tmp_path), DayKeys(tmp_path)
    sealed = first.seal(DAY, b"x", b"")
    second._make(DAY)
    assert second.unseal(DAY, sealed, b"") == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-27.key"]


def test_a_key_that_is_damaged_is_none(tmp_path: Path) -> None:
    (tmp_path / "2026-11-27.key").write_bytes(b"x" * 31)
    with capture_logs() as logs:
        assert not DayKeys(tmp_path).has(DAY)
    assert logs[0]["event"] == "audit.key_damaged"
    assert audit_keys.KEY_BYTES == 32
