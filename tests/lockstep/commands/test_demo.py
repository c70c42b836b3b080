from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import SettingsError
from lockstep.cli import app
from lockstep.front_door import listen
from tests.support.ports import HeldPort

ROOT = Path(__file__).parents[3]


def test_the_main_job_in_the_terminal() -> None:
    with HeldPort() as port:
        answer = subprocess.run(
            [sys.executable, "-m", "lockstep", "demo", "--port", str(port.number), "--count", "3"],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert f"picture  http://127.0.0.1:{port.number}/hls/" in answer.stdout
    assert answer.stdout.count("Q1 ") == 3
    assert "Traceback" not in answer.stderr


def test_without_recordings_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make setup"):
        CliRunner().invoke(app, ["demo", "--terminal", "--media", str(tmp_path / "none")], catch_exceptions=False)


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(SettingsError, match="cannot listen"):
            CliRunner().invoke(app, ["demo", "--port", str(taken.getsockname()[1])], catch_exceptions=False)
