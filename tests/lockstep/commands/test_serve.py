from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import SettingsError
from lockstep.cli import app
from lockstep.commands.serve import overrides


def test_options_become_settings() -> None:
    wanted = overrides(Path("d"), "game", "http://o.test/x.m3u8", ["nba=nba", "desk=lockstep"], "0.0.0.0", 1)
    assert wanted == {
        "data_dir": Path("d"),
        "host": "0.0.0.0",
        "port": 1,
        "showings": {
            "game": {
                "origin": "http://o.test/x.m3u8",
                "sources": {"nba": {"vendor": "nba"}, "desk": {"vendor": "lockstep"}},
            }
        },
    }
    assert overrides(None, None, None, [], None, None) == {}


@pytest.mark.parametrize(
    ("event", "origin", "sources", "complaint"),
    [
        ("game", None, [], "belong together"),
        (None, "x", [], "belong together"),
        (None, None, ["nba=nba"], "belongs to --event"),
        ("game", "x", ["nba"], "write NAME=VENDOR"),
        ("game", "x", ["=nba"], "write NAME=VENDOR"),
    ],
)
def test_what_is_wrong_is_said(event: str | None, origin: str | None, sources: list[str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        overrides(None, event, origin, sources, None, None)


def test_there_must_be_something_to_show() -> None:
    with pytest.raises(SettingsError, match="nothing to show"):
        CliRunner().invoke(app, ["serve"], catch_exceptions=False)
