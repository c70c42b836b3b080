from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kernel.errors import SettingsError
from kernel.io.system_time import wall
from kernel.policies import PolicyRecord
from kernel.value import replace
from lockstep.cli import app
from lockstep.commands.audit import AuditError
from lockstep.place_rules import compile_text
from relay.audit import Judged
from relay.io.audit_store import FOLDER, AuditStore
from tests.support.auditing import PLACE, note

TEXT = (
    '{"policy_id":"west","watch":{"default":"allow","rules":[{"effect":"deny","name":"abroad",'
    '"where":{"country":["DE"]}}]}}'
)


async def _write(data_dir: Path) -> None:
    now = wall()
    policy = PolicyRecord("west", 1, TEXT, 1.0, "ops")
    for node in ("relay", "hub"):
        store = await AuditStore.open(data_dir / FOLDER, node, retention_days=30, wall=wall)
        for number, country in enumerate(("US", "DE", "CA")):
            place = replace(PLACE, locality=replace(PLACE.locality, country=country), classes=frozenset())
            verdict = compile_text(TEXT).decide(place, None, now=now)
            asked = Judged(policy, verdict, now, place)
            store.put(note(f"{node}{number}", account=country, at=now - number * 3_600, asked=asked))
        await store.aclose()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    asyncio.run(_write(tmp_path))
    return tmp_path


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments, "--data-dir", str(data_dir)], catch_exceptions=False)


def test_verify_makes_every_decision_again(data_dir: Path) -> None:
    told = run(data_dir, "verify")
    assert told.exit_code == 0
    hub, end, relay, _ = told.stdout.splitlines()
    assert hub.startswith("hub-1: 4 records, 3 decisions: 3 replayed to the same answer, 0 whose key is gone")
    assert relay.startswith("relay-1: 4 records")
    assert end.startswith("  whole up to ")
    lines = [json.loads(line) for line in run(data_dir, "verify", "--json").stdout.splitlines()]
    assert [(line["node"], line["replayed"], line["n_faults"]) for line in lines] == [
        ("hub-1", 3, 0),
        ("relay-1", 3, 0),
    ]


def test_verify_finds_what_was_changed(data_dir: Path) -> None:
    path = data_dir / FOLDER / "hub-1.chain"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    told = run(data_dir, "verify")
    assert told.exit_code == 1
    assert "  1 faults, the first: after " in told.stdout
    assert " records: the link does not fit" in told.stdout
    assert "relay-1: 4 records" in told.stdout


def test_a_hash_that_was_noted_is_looked_for(data_dir: Path) -> None:
    links = [json.loads(line)["link"] for line in run(data_dir, "verify", "--json").stdout.splitlines()]
    assert len(links) == 2
    told = run(data_dir, "verify", "--noted", links[0], "--noted", links[1])
    assert told.exit_code == 0
    # All of it made anew, without a fault of its own.
    for path in [*(data_dir / FOLDER).glob("hub-*")]:
        path.unlink()
    told = run(data_dir, "verify", "--noted", links[0])
    assert told.exit_code == 1
    assert f"{links[0]}: no chain has it any more" in told.stderr
    with pytest.raises(SettingsError, match="64 hexadecimal"):
        run(data_dir, "verify", "--noted", "abc")


def test_show(data_dir: Path) -> None:
    told = run(data_dir, "show", "--account", "DE")
    assert told.exit_code == 0
    first, second = sorted(told.stdout.splitlines())
    assert "hub-1#2 DE hub1 game watch: refuse (geo_blocked) by west version 1 rule 'abroad' from 203.0" in first
    assert "relay-1#2 DE relay1" in second
    assert run(data_dir, "show", "--account", "DE", "--since", "30m").stdout == ""
    lines = [json.loads(line) for line in run(data_dir, "show", "--event", "game", "--json").stdout.splitlines()]
    assert [line["account"] for line in lines] == ["CA", "CA", "DE", "DE", "US", "US"]
    assert lines[0]["inputs"]["place"]["country"] == "CA"
    assert run(data_dir, "show", "--session", "hub0").stdout.count("\n") == 1


def test_show_says_where_a_chain_is_broken_and_shows_the_others(data_dir: Path) -> None:
    (data_dir / FOLDER / "hub-1.chain").write_bytes(b"x")
    told = run(data_dir, "show", "--account", "US")
    assert (told.exit_code, told.stdout.count("\n")) == (0, 1)
    assert "hub-1.chain: it does not begin as a chain does" in told.stderr


def test_what_is_wrong_is_said(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name whose"):
        run(data_dir, "show")
    with pytest.raises(SettingsError, match="--since"):
        run(data_dir, "show", "--account", "US", "--since", "x")
    with pytest.raises(AuditError, match="there is no audit"):
        run(tmp_path / "other", "verify")
