from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kernel.errors import SettingsError
from kernel.io.system_time import wall
from lockstep.cli import app
from lockstep.keys import ensure_keys


def issue(*arguments: str) -> str:
    answer = CliRunner().invoke(app, ["token", *arguments], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.stdout


def test_it_prints_the_token_alone(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path, [])
    text = issue("--event", "game", "--account", "ann", "--data-dir", str(tmp_path), "--ttl", "60")
    claims = keys.keyring().verify(text.removesuffix("\n"))
    assert claims is not None
    assert (claims.account, claims.event_id) == ("ann", "game")
    assert claims.scopes == {"watch", "wager"}
    assert claims.reason_at(wall(), "game", "watch") is None
    assert claims.reason_at(wall() + 61, "game", "watch") == "expired"


def test_scopes_and_ids_are_what_was_asked(tmp_path: Path) -> None:
    keyring = ensure_keys(tmp_path, []).keyring()
    options = ("--event", "game", "--account", "ann", "--data-dir", str(tmp_path), "--scope", "server, wager")
    first, second = (keyring.verify(issue(*options).strip()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.scopes == {"server", "wager"}
    assert first.jti != second.jti
    assert first.session != second.session


@pytest.mark.parametrize(
    "options",
    [
        ["--event", "a.b", "--account", "x"],
        ["--event", "a", "--account", ""],
        ["--event", "a", "--account", "x", "--ttl", "0"],
        ["--event", "a", "--account", "x", "--ttl", "99999999"],
        ["--event", "a", "--account", "x", "--scope", "admin"],
        ["--event", "a", "--account", "x", "--scope", ","],
        ["--event", "a", "--account", "x"],
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SettingsError):
        CliRunner().invoke(app, ["token", *options, "--data-dir", str(tmp_path)], catch_exceptions=False)
