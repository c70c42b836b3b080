from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kernel.errors import SettingsError
from kernel.io.system_time import wall
from lockstep.cli import app
from lockstep.keys import ensure_keys, read_keys
from relay.operators import Operators, OperatorScope


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["key", *arguments, "--data-dir", str(folder)], catch_exceptions=False)


def made(folder: Path, *arguments: str) -> str:
    answer = run(folder, *arguments)
    assert answer.exit_code == 0
    return answer.stdout.removesuffix("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, [])
    return tmp_path


def who(folder: Path, key: str) -> str | None:
    found = Operators(read_keys(folder).known_operators()).find(key, now=wall())
    return found.name if found else None


def test_a_key_is_printed_alone_and_once(folder: Path) -> None:
    key = made(folder, "create", "--name", "ann", "--scopes", "read,showing", "--expires", "30d")
    assert key.startswith("lko_")
    assert who(folder, key) == "ann"
    assert key not in run(folder, "list").stdout


def test_a_key_is_rotated_and_revoked(folder: Path) -> None:
    first = made(folder, "create", "--name", "ann", "--scopes", "read")
    second = made(folder, "rotate", "ann")
    assert (who(folder, first), who(folder, second)) == ("ann", "ann")
    third = made(folder, "rotate", "ann", "--overlap", "0s")
    assert (who(folder, second), who(folder, third)) == (None, "ann")
    assert run(folder, "revoke", "ann").exit_code == 0
    assert who(folder, third) is None


def test_they_are_listed(folder: Path) -> None:
    made(folder, "create", "--name", "ann", "--scopes", "read", "--expires", "2100-01-31T09:00:00Z")
    made(folder, "rotate", "ann", "--overlap", "1h")
    own, ann = run(folder, "list").stdout.splitlines()
    assert own.startswith("cli  blackout policy read revoke session showing")
    assert ann.startswith("ann  read  made 20")
    assert "expires 2100-01-31T09:00:00.000Z  key before until" in ann
    told = [json.loads(line) for line in run(folder, "list", "--json").stdout.splitlines()]
    assert told[0]["scopes"] == sorted(OperatorScope)
    assert (told[1]["name"], told[1]["expired"], told[1]["expires"]) == ("ann", False, "2100-01-31T09:00:00.000Z")


def test_what_is_wrong_is_said(folder: Path) -> None:
    for arguments, says in (
        (("create", "--name", "ann", "--scopes", "fly"), "use one or more of"),
        (("create", "--name", "cli", "--scopes", "read"), "there is an operator"),
        (("rotate", "bob"), "no operator 'bob'"),
        (("rotate", "cli", "--overlap", "31d"), "at most 30d"),
        (("revoke", "bob"), "no operator 'bob'"),
    ):
        with pytest.raises(SettingsError, match=says):
            run(folder, *arguments)
