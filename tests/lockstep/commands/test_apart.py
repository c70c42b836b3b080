from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import SettingsError
from lockstep.cli import app
from lockstep.keys import ensure_keys

SHOW = ["--event", "game", "--origin", "http://127.0.0.1:9/index.m3u8"]


@pytest.mark.parametrize("house", ["ingest", "relay", "hub"])
def test_a_house_apart_needs_a_bus(house: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="pass --bus redis://"):
        CliRunner().invoke(app, [house, *SHOW, "--data-dir", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize("house", ["relay", "hub"])
def test_only_ingest_makes_keys(house: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="start `lockstep serve` or `lockstep ingest` there once"):
        CliRunner().invoke(
            app, [house, *SHOW, "--bus", "redis://127.0.0.1:1", "--data-dir", str(tmp_path)], catch_exceptions=False
        )


def test_a_bus_that_is_none_is_said_without_its_password(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])
    arguments = ["hub", *SHOW, "--bus", "amqp://:secret@h", "--data-dir", str(tmp_path), "--port", "0"]
    with pytest.raises(SettingsError, match="the bus is no Redis") as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "secret" not in str(caught.value)
