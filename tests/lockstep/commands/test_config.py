from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fixtures.places import make_city
from kernel.errors import SettingsError
from lockstep.cli import app
from tests.support.origins import write_list


def test_check_says_what_serve_would_take(tmp_path: Path) -> None:
    origin = write_list(tmp_path, ["a.ts"])
    config = tmp_path / "lockstep.toml"
    config.write_text(f'[showings.game]\norigin = "{origin}"\n', "utf-8")
    answer = CliRunner().invoke(app, ["config", "check", "--config", str(config)], catch_exceptions=False)
    assert answer.exit_code == 0
    assert answer.stdout.startswith("ok: 1 showing(s)")


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "lockstep.toml"
    config.write_text('[showings.game]\norigin = "none"\n', "utf-8")
    with pytest.raises(SettingsError):
        CliRunner().invoke(app, ["config", "check", "--config", str(config)], catch_exceptions=False)


def test_check_tries_what_says_where_addresses_are(tmp_path: Path) -> None:
    config = tmp_path / "lockstep.toml"
    make_city(tmp_path)
    config.write_text('[place]\ncity_database = "city.mmdb"\n', "utf-8")
    answer = CliRunner().invoke(app, ["config", "check", "--config", str(config)], catch_exceptions=False)
    assert answer.exit_code == 0
    config.write_text('[place]\nasn_database = "city.mmdb"\n', "utf-8")
    with pytest.raises(SettingsError, match="for asn_database one is wanted of ASN, ISP"):
        CliRunner().invoke(app, ["config", "check", "--config", str(config)], catch_exceptions=False)


def test_show_prints_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_PORT", "9999")
    answer = CliRunner().invoke(app, ["config", "show"], catch_exceptions=False)
    assert json.loads(answer.stdout)["port"] == 9999


def test_check_refuses_proxies_that_are_everybody(tmp_path: Path) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text('trusted_proxies = ["*"]\n')
    for command in (["config", "check"], ["serve"]):
        with pytest.raises(SettingsError, match="write those of your proxies"):
            CliRunner().invoke(app, [*command, "--config", str(path)], catch_exceptions=False)
