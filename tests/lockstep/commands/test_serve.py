from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import SettingsError
from lockstep.cli import app
from lockstep.commands.serve import overrides, shown
from lockstep.settings import load_settings


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


def test_where_showings_are_made_by_api_there_may_be_none_yet(tmp_path: Path) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text("[showings_api]\n", "utf-8")
    assert shown(load_settings(path)) == {}
    path.write_text('[showings_api]\norigin_hosts = ["a b"]\n', "utf-8")
    with pytest.raises(SettingsError, match="origin_hosts"):
        shown(load_settings(path))
