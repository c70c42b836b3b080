from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lockstep import cli, commands


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["lockstep", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_help_names_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    for command in ("serve", "token", "subscribe", "replay", "origin", "probe", "config", "demo"):
        assert command in text


def test_what_is_wrong_with_the_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "token", "--event", "a b", "--account", "x") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "lockstep: --event 'a b': use 1 to 64 letters, digits, '_' or '-'\n"


def test_a_reader_that_has_gone_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "app", gone)
    assert run(monkeypatch) == 0


def test_every_command_stands_in_the_table() -> None:
    modules = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__"}
    assert {place.partition(":")[0] for place in cli.COMMANDS.values()} == modules


def test_a_command_loads_no_other() -> None:
    program = "import sys; from lockstep import cli; cli.Commands(cli.COMMANDS)['token']; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "lockstep.commands.token" in loaded
    assert not {"lockstep.commands.serve", "uvicorn", "redis"} & set(loaded)
