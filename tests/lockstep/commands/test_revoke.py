"""The command against a server that answers as the desk does, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from kernel.errors import SettingsError
from lockstep.cli import app
from lockstep.commands.revoke import RevokeError
from lockstep.keys import ensure_keys
from tests.support.tokens import NOW

ONE: dict[str, Any] = {
    "id": "r1", "kind": "account", "value": "ann", "event_id": "game", "reason": "shared it", "made": NOW * 1000,
    "expires": (NOW + 3600) * 1000, "by": "cli",
}  # fmt: skip
OTHER = {**ONE, "id": "r2", "kind": "key", "value": "k1", "reason": "", "expires": None}
del OTHER["event_id"]


class Desk(BaseHTTPRequestHandler):
    """Answer from a table, and keep what was asked."""

    asked: ClassVar[list[tuple[str, str, Any]]] = []
    keys: ClassVar[list[str | None]] = []
    answers: ClassVar[dict[str, tuple[int, Any]]] = {}

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, json.loads(body) if body else None))
        self.keys.append(self.headers.get("Authorization"))
        status, told = self.answers[f"{self.command} {self.path}"]
        content = b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("asked", "keys"):
        monkeypatch.setattr(Desk, name, [])
    monkeypatch.setattr(Desk, "answers", {"POST /api/v1/revocations": (201, ONE)})
    server = HTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, [])
    return tmp_path


def run(data_dir: Path, url: str, *arguments: str) -> Result:
    options = ["--data-dir", str(data_dir), "--to", url]
    return CliRunner().invoke(app, ["revoke", *arguments, *options], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("--token-id", "j"), {"kind": "token", "value": "j", "reason": ""}),
        (("--session", "s"), {"kind": "session", "value": "s", "reason": ""}),
        (("--account", "ann", "--reason", "why"), {"kind": "account", "value": "ann", "reason": "why"}),
        (("--event", "game"), {"kind": "event", "value": "game", "reason": ""}),
        (("--key", "k1"), {"kind": "key", "value": "k1", "reason": ""}),
        (
            ("--account", "ann", "--event", "game", "--expires", "2027-01-15T09:00:00Z"),
            {"kind": "account", "value": "ann", "event_id": "game", "reason": "", "expires": "2027-01-15T09:00:00Z"},
        ),
    ],
)
def test_what_is_named_is_asked_for(data_dir: Path, url: str, arguments: tuple[str, ...], body: object) -> None:
    answer = run(data_dir, url, *arguments)
    assert answer.exit_code == 0
    assert Desk.asked == [("POST", "/api/v1/revocations", body)]
    assert Desk.keys[0] is not None
    assert Desk.keys[0].startswith("Bearer lko_")
    assert answer.stdout == (
        "r1  account ann at game, since 2027-01-15T08:00:00.000Z, until 2027-01-15T09:00:00.000Z: shared it\n"
    )


def test_undo(data_dir: Path, url: str) -> None:
    Desk.answers["DELETE /api/v1/revocations/r1"] = (204, None)
    answer = run(data_dir, url, "--undo", "r1")
    assert (answer.exit_code, answer.stdout) == (0, "")
    Desk.answers["DELETE /api/v1/revocations/r1"] = (404, {"title": "Not Found"})
    with pytest.raises(RevokeError, match="no revocation in force has that id"):
        run(data_dir, url, "--undo", "r1")


def test_list_goes_through_all_pages(data_dir: Path, url: str) -> None:
    path = "GET /api/v1/revocations?limit=1000&after="
    Desk.answers[path + "0"] = (200, {"revocations": [ONE], "next_after": 7})
    Desk.answers[path + "7"] = (200, {"revocations": [OTHER], "next_after": None})
    answer = run(data_dir, url, "--list")
    assert [line.split("  ")[0] for line in answer.stdout.splitlines()] == ["r1", "r2"]
    assert answer.stdout.splitlines()[1] == "r2  key k1, since 2027-01-15T08:00:00.000Z"
    answer = run(data_dir, url + "/", "--list", "--json")
    assert [json.loads(line) for line in answer.stdout.splitlines()] == [ONE, OTHER]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--undo", "r1", "--list"), ("--account", "a", "--list"), ("--account", "a", "--undo", "r")],
)
def test_one_thing_at_a_time(data_dir: Path, url: str, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="name what to revoke"):
        run(data_dir, url, *arguments)
    assert Desk.asked == []


def test_one_subject_at_a_time(data_dir: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="only --account and --event go together"):
        run(data_dir, url, "--session", "s", "--event", "game")
    assert Desk.asked == []


@pytest.mark.parametrize("id_", ["../feeds", "r1?x", "", "a b", "r" * 65])
def test_what_is_no_id_is_not_asked_for(data_dir: Path, url: str, id_: str) -> None:
    with pytest.raises(SettingsError, match="is no id of a revocation"):
        run(data_dir, url, "--undo", id_)
    assert Desk.asked == []


@pytest.mark.parametrize(
    ("status", "told", "says"),
    [
        (401, {}, "does not know the operator's key"),
        (422, {"title": "Unprocessable Content", "detail": "expires: it must lie ahead"}, "422: expires: it must"),
        (503, {"title": "Service Unavailable"}, "503: Service Unavailable"),
        (502, b"<html>", "502: Bad Gateway"),
        (500, b"[]", "500: Internal Server Error"),
    ],
)
def test_refusals_are_said(data_dir: Path, url: str, status: int, told: object, says: str) -> None:
    Desk.answers["POST /api/v1/revocations"] = (status, told)
    with pytest.raises(RevokeError, match=says):
        run(data_dir, url, "--account", "ann")


def test_a_server_that_is_not_there_is_said(data_dir: Path) -> None:
    with pytest.raises(RevokeError, match=r"cannot be reached.*is `lockstep serve` running"):
        run(data_dir, "http://127.0.0.1:1", "--account", "ann")


def test_without_keys_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no keys at"):
        run(tmp_path, "http://127.0.0.1:1", "--account", "ann")
