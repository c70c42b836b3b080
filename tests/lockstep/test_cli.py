from __future__ import annotations

import sys

import pytest

from lockstep import cli


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
