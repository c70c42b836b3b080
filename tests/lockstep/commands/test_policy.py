from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fixtures.places import make_city
from kernel.errors import DecodeError, SettingsError
from kernel.io.system_time import wall
from kernel.policies import PolicyRecord
from kernel.value import replace
from lockstep.asking import AskError
from lockstep.cli import app
from lockstep.keys import ensure_keys
from lockstep.place_rules import compile_text
from relay.audit import Judged
from relay.io.audit_store import FOLDER, AuditStore
from tests.support.auditing import PLACE, note
from tests.support.desk_double import DeskDouble, desk_double

__all__ = ["desk_double"]

PATH = "/api/v1/policies"
TOLD: dict[str, Any] = {"policy_id": "west", "version": 2, "made": 1_800_000_000_000, "by": "ops", "bytes": 20}


def policy(*denied: str) -> dict[str, Any]:
    rule = {"name": "abroad", "effect": "deny", "where": {"country": list(denied)}}
    return {"policy_id": "west", "watch": {"default": "allow", "rules": [rule]}}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "west.json"
    path.write_text(json.dumps(policy("DE"), indent=2))
    return str(path)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, [])
    return tmp_path


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments], input=text, catch_exceptions=False)


def at(desk: DeskDouble, data_dir: Path, *arguments: str) -> Result:
    return run(*arguments, "--to", desk.url, "--data-dir", str(data_dir))


def test_put(desk_double: DeskDouble, data_dir: Path, file: str) -> None:
    desk_double.answers[f"PUT {PATH}/west"] = (
        200,
        {**TOLD, "findings": [{"kind": "empty", "path": "watch", "rule": "abroad", "says": "odd"}]},
    )
    told = at(desk_double, data_dir, "put", file)
    assert (told.exit_code, told.stdout) == (0, "west version 2\nempty: watch (rule 'abroad'): odd\n")
    at(desk_double, data_dir, "put", file, "--if-version", "1")
    at(desk_double, data_dir, "put", file, "--if-version", "0")
    first, second, third = desk_double.asked
    assert json.loads(first.content) == policy("DE")
    assert "if-match" not in first.headers
    assert (second.headers["if-match"], third.headers["if-none-match"]) == ('"1"', "*")


def test_get_list_and_delete(desk_double: DeskDouble, data_dir: Path) -> None:
    desk_double.answers |= {
        f"GET {PATH}/west": (200, {**TOLD, "policy": policy("DE")}),
        f"GET {PATH}/west?version=1": (200, {**TOLD, "policy": None}),
        f"GET {PATH}?limit=1000&after=0": (200, {"policies": [TOLD], "next_after": None}),
        f"DELETE {PATH}/west": (204, None),
    }
    assert json.loads(at(desk_double, data_dir, "get", "west").stdout) == policy("DE")
    assert at(desk_double, data_dir, "get", "west", "--version", "1").stdout == "null\n"
    assert at(desk_double, data_dir, "list").stdout == "west  version 2, 20 bytes, 2027-01-15T08:00:00.000Z, ops\n"
    assert json.loads(at(desk_double, data_dir, "list", "--json").stdout) == TOLD
    assert at(desk_double, data_dir, "delete", "west", "--if-version", "2").stdout == ""
    assert desk_double.asked[-1].headers["if-match"] == '"2"'


def test_what_the_server_refuses_is_said(desk_double: DeskDouble, data_dir: Path, file: str) -> None:
    desk_double.answers[f"PUT {PATH}/west"] = (412, {"detail": "its version is 3: read it again first"})
    with pytest.raises(AskError, match="its version is 3"):
        at(desk_double, data_dir, "put", file)


def test_what_is_no_policy_is_said(desk_double: DeskDouble, data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, says in (
        ("{", "not JSON"),
        ("[]", "policy_id"),
        ('{"policy_id":"a/b"}', "policy_id"),
        ("{}", "policy_id"),
    ):
        path.write_text(text)
        with pytest.raises(DecodeError, match=says):
            at(desk_double, data_dir, "put", str(path))
    with pytest.raises(SettingsError, match="No such file"):
        at(desk_double, data_dir, "put", str(tmp_path / "none.json"))
    with pytest.raises(SettingsError, match="no policy's name"):
        at(desk_double, data_dir, "get", "../keys")
    assert desk_double.asked == []


def test_lint(file: str) -> None:
    assert (run("lint", file).exit_code, run("lint", "-", text=json.dumps(policy("DE"))).exit_code) == (0, 0)
    assert run("lint", file, "--json").stdout == "[]\n"
    with pytest.raises(DecodeError):
        run("lint", "-", text=json.dumps({**policy("DE"), "moon": 1}))


async def _write(data_dir: Path) -> None:
    now, text = wall(), json.dumps(policy("DE"))
    record = PolicyRecord("west", 1, text, 1.0, "ops")
    store = await AuditStore.open(data_dir / FOLDER, "serve", retention_days=30, wall=wall)
    for country in ("US", "DE", "CA"):
        place = replace(PLACE, locality=replace(PLACE.locality, country=country), classes=frozenset())
        asked = Judged(record, compile_text(text).decide(place, None, now=now), now, place)
        store.put(note(f"s{country}", account=country, at=now, asked=asked))
    await store.aclose()


def test_dry_run_says_whom_it_would_have_cut(tmp_path: Path) -> None:
    asyncio.run(_write(tmp_path))
    path = tmp_path / "new.json"
    path.write_text(json.dumps(policy("US")))
    told = run("dry-run", str(path), "--data-dir", str(tmp_path))
    assert told.exit_code == 0
    cut, let_in, sums = told.stdout.splitlines()
    assert cut.startswith("cut: US sUS game watch, ")
    assert cut.endswith("Z: admitted, would have been geo_blocked")
    assert let_in.startswith("let in: DE sDE game watch, ")
    assert sums == "3 decisions on 3 sessions: 1 cut, 1 let in, 0 refused otherwise"
    as_json = json.loads(run("dry-run", str(path), "--data-dir", str(tmp_path), "--json").stdout)
    assert [one["account"] for one in as_json["cut"]] == ["US"]
    same = tmp_path / "same.json"
    same.write_text(json.dumps(policy("DE")))
    assert "0 cut, 0 let in" in run("dry-run", str(same), "--data-dir", str(tmp_path)).stdout


def test_a_viewer_is_tried(tmp_path: Path, file: str) -> None:
    config = tmp_path / "lockstep.toml"
    config.write_text(f'[place]\ncity_database = "{make_city(tmp_path).name}"\n')
    told = run("test", "--policy", file, "--ip", "45.16.2.9", "--config", str(config))
    assert told.exit_code == 0
    assert "place     Pasadena, US-CA, 91101, US" in told.stdout
    assert "    deny 'abroad': false\n" in told.stdout
    options = ["--gps", "52.5,13.4", "--event", "game", "--at", "2026-03-27T19:30:00Z", "--json"]
    as_json = json.loads(run("test", "--policy", file, "--ip", "45.16.2.9", "--config", str(config), *options).stdout)
    # The device is in Berlin, its address in Pasadena.
    assert (as_json["watch"]["reason"], as_json["event_id"]) == ("geo_mismatch", "game")
    assert as_json["at"] == 1_774_639_800.0


def test_a_policy_of_the_server_is_tried(desk_double: DeskDouble, data_dir: Path) -> None:
    desk_double.answers[f"GET {PATH}/west"] = (200, {**TOLD, "policy": policy("DE")})
    told = at(desk_double, data_dir, "test", "--policy", "west", "--ip", "192.0.2.1")
    assert "address   192.0.2.1, which is not of the Internet" in told.stdout
    assert "  * deny 'abroad': unknown, applies" in told.stdout
    for options, says in ((["--policy", "a/b.json"], "no such file"), (["--policy", "west", "--at", "x"], "--at")):
        with pytest.raises(SettingsError, match=says):
            at(desk_double, data_dir, "test", *options, "--ip", "192.0.2.1")
