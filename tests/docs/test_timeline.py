"""docs/timeline.md is true: its Python is run, its commands answer what it shows."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from lockstep.cli import app
from tests.support.recordings import RECORDINGS

PAGE = (Path(__file__).parents[2] / "docs" / "timeline.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_answer_what_they_show() -> None:
    said: list[str] = []
    example = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "docs/timeline.md", None, 0)
    results = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert results.attempted > 15
    assert results.failed == 0, "".join(said)


def test_the_commands_answer_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plain", "discontinuity"):
        (tmp_path / name).symlink_to(RECORDINGS / name)
    (feed,) = blocks("json")
    (tmp_path / "feed.json").write_text(feed)
    monkeypatch.chdir(tmp_path)
    sessions = [session for block in blocks("console") for session in block.split("$ ") if session]
    assert len(sessions) >= 2
    for session in sessions:
        command, _, shown = session.partition("\n")
        with structlog.testing.capture_logs():
            result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        assert doctest.OutputChecker().check_output(shown, result.stdout, doctest.ELLIPSIS), result.stdout
