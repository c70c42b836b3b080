from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kernel.errors import DecodeError, SettingsError
from lockstep.asking import AskError
from lockstep.cli import app
from lockstep.keys import ensure_keys
from tests.support.desk_double import DeskDouble, desk_double

__all__ = ["desk_double"]

BLACKOUTS = "/api/v1/ppv/blackout"
DARK = "<action:Content>urn:scte:224:action:blackout</action:Content>"
LA = "<Audience><audience:DMA>803</audience:DMA></Audience>"
HEAD = (
    'xmlns="http://www.scte.org/schemas/224" xmlns:action="urn:scte:224:action"'
    ' xmlns:audience="urn:scte:224:audience" xmlns:xlink="http://www.w3.org/1999/xlink"'
)
MEDIA = f"""<Results {HEAD}>
<Media id="tv.example/ball">
<MediaPoint matchTime="2126-03-27T19:30:00Z">
<Apply duration="PT1H"><Policy xlink:href="tv.example/la"/></Apply></MediaPoint>
</Media>
</Results>"""
POLICY = f"""<Results {HEAD}>
<Policy id="tv.example/la"><ViewingPolicy>{LA}<action:Content>tv.example/local</action:Content></ViewingPolicy></Policy>
<Policy id="urn:lockstep:policy:west"><ViewingPolicy description="la">{LA}{DARK}</ViewingPolicy></Policy>
</Results>"""
BODY: dict[str, Any] = {
    "event_id": "final",
    "blackout_zones": [{"type": "dma", "code": "803", "action": "redirect", "redirect_stream": "local"}],
    "start": "2126-03-27T19:30:00Z",
    "end": "2126-03-27T20:30:00Z",
}
WEST: dict[str, Any] = {
    "policy_id": "west",
    "watch": {
        "default": "allow",
        "rules": [{"name": "la", "effect": "deny", "where": {"dma": {"codes": ["803"]}}}],
    },
}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "media.xml", tmp_path / "policy.xml"]
    for path, text in zip(paths, (MEDIA, POLICY), strict=True):
        path.write_text(text)
    return [str(path) for path in paths]


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    ensure_keys(tmp_path, [])
    return str(tmp_path)


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["esni", *arguments], input=text, catch_exceptions=False)


TAKE = ("--event", "final", "--content", "tv.example/local=local")


def test_import_prints_what_it_comes_to(files: list[str]) -> None:
    told = run("import", *files, *TAKE)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == (
        "blackout final from 2126-03-27T19:30:00Z to 2126-03-27T20:30:00Z: dma redirect\n"
        "policy west: 1 rules that refuse\n"
    )
    told = run("import", *files, *TAKE, "--json")
    assert json.loads(told.stdout) == {"blackouts": [BODY], "policies": [WEST], "findings": []}


def test_findings_go_to_standard_error_and_strict_refuses(files: list[str]) -> None:
    told = run("import", *files, "--event", "final")
    assert told.stdout.startswith("blackout final from 2126-03-27T19:30:00Z to 2126-03-27T20:30:00Z: dma block\n")
    place = f"{files[1]}:2: unknown_action: /Results/Policy[1]/ViewingPolicy[1]/Content[1]: "
    assert told.stderr.startswith(place)
    with pytest.raises(DecodeError, match="1 findings, and --strict: nothing is taken over"):
        run("import", *files, "--event", "final", "--strict")


def test_import_to_a_server(files: list[str], desk_double: DeskDouble, data_dir: str) -> None:
    desk_double.answers |= {f"POST {BLACKOUTS}": (201, {}), "PUT /api/v1/policies/west": (200, {})}
    told = run("import", *files, *TAKE, "--to", desk_double.url, "--data-dir", data_dir)
    assert told.exit_code == 0
    first, second = desk_double.asked
    assert (first.method, json.loads(first.content)) == ("POST", BODY)
    assert (second.method, json.loads(second.content)) == ("PUT", WEST)
    assert second.headers["if-none-match"] == "*"
    run("import", *files, *TAKE, "--replace", "--to", desk_double.url, "--data-dir", data_dir)
    assert "if-none-match" not in desk_double.asked[-1].headers


def test_what_the_server_refuses_is_said_with_what_is_in_force(
    files: list[str], desk_double: DeskDouble, data_dir: str
) -> None:
    desk_double.answers |= {
        f"POST {BLACKOUTS}": (201, {}),
        "PUT /api/v1/policies/west": (409, {"detail": "there are too many"}),
    }
    with pytest.raises(AskError, match="there are too many; 1 of 2 are in force, the others are not"):
        run("import", *files, *TAKE, "--to", desk_double.url, "--data-dir", data_dir)


def test_what_has_ended_is_not_made(files: list[str], desk_double: DeskDouble, data_dir: str) -> None:
    Path(files[0]).write_text(MEDIA.replace("2126", "2025"))
    desk_double.answers |= {"PUT /api/v1/policies/west": (200, {})}
    told = run("import", *files, *TAKE, "--to", desk_double.url, "--data-dir", data_dir)
    assert "it has ended, and is not made" in told.stderr
    assert [one.method for one in desk_double.asked] == ["PUT"]


def test_export_of_what_import_printed(files: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(run("import", *files, *TAKE, "--json").stdout)
    written = tmp_path / "written.xml"
    written.write_text(run("export", "--event", "final", "--from", str(kept)).stdout)
    assert json.loads(run("import", str(written), "--json").stdout) == json.loads(kept.read_text())
    assert run("lint", str(written)).exit_code == 0
    other = run("export", "--event", "other", "--from", str(kept)).stdout
    assert "urn:lockstep:policy:west" in other
    assert "<Media " not in other


def test_export_of_what_a_server_has(desk_double: DeskDouble, data_dir: str) -> None:
    listed = [
        {"blackout_id": "a", "event_id": "final", "blackout": {**BODY, "vpn_policy": "block"}},
        {"blackout_id": "b", "event_id": "other", "blackout": {**BODY, "event_id": "other"}},
    ]
    desk_double.answers |= {
        "GET /api/v1/showings/final": (200, {"event_id": "final", "place_policy": "west"}),
        f"GET {BLACKOUTS}?limit=1000&after=0": (200, {"blackouts": listed, "next_after": None}),
        "GET /api/v1/policies/west": (200, {"policy": WEST}),
    }
    told = run("export", "--event", "final", "--to", desk_double.url, "--data-dir", data_dir)
    assert told.stderr.startswith("extension: blackout[0].vpn_policy: ")
    assert told.stdout.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Results ')
    taken = json.loads(run("import", "-", "--json", text=told.stdout).stdout)
    assert taken["blackouts"] == [{**BODY, "vpn_policy": "block"}]
    assert taken["policies"] == [WEST]


def test_lint(files: list[str]) -> None:
    told = run("lint", *files)
    assert told.exit_code == 1
    assert told.stdout.startswith(
        f"{files[1]}:2: unknown_action: /Results/Policy[1]/ViewingPolicy[1]/Content[1]: which"
    )
    told = run("lint", *files, "--json")
    (one,) = json.loads(told.stdout)
    assert (one["kind"], one["document"], one["line"]) == ("unknown_action", files[1], 2)
    told = run("lint", *files, "--content", "tv.example/local=local")
    assert (told.exit_code, told.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["import", "gone.xml"], "gone.xml: No such file"),
        (["import", "-", "--event", "a b"], "is no showing"),
        (["import", "-", "--content", "x"], "the content's URI"),
        (["import", "-", "--content", "x=a b"], "the content's URI"),
    ],
)
def test_what_is_wrong_with_the_arguments(arguments: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        run(*arguments, text=POLICY)


@pytest.mark.parametrize("text", ["[]", "{}x", '{"blackouts": {}}', '{"policies": [1]}'])
def test_what_is_no_list_of_blackouts(text: str) -> None:
    with pytest.raises(DecodeError):
        run("export", "--event", "final", "--from", "-", text=text)


def test_a_bomb_is_refused() -> None:
    with pytest.raises(DecodeError, match="a document type is not read"):
        run("lint", "-", text='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>')
