"""`lockstep replay` against a real HTTP endpoint that verifies what it is sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from feeds.standard_webhooks import SignatureFault, parse_secret, verify
from kernel.errors import SettingsError
from kernel.io import system_time
from lockstep.commands.replay import GIVE_UP_S, ReplayError, Sender, replay
from lockstep.keys import ensure_keys, read_keys
from lockstep.replaying import Step, plan

ROOT = Path(__file__).parents[3]
KEY = bytes(range(32))
FACTS = [
    {"id": f"p{n}", "op": "new", "type": "play", "occurred_at": f"2026-01-01T00:00:{n:02}.000Z", "body": {}}
    for n in range(5)
]
TAKEN = (202, {"accepted": 1, "duplicate": False})


class Door(ThreadingHTTPServer):
    """A server that believes one key and gives the answers it is told to; 0 ends the connection without one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Knock)
        self.key = KEY
        self.answers: list[tuple[int, Any]] = []
        self.paths: list[str] = []
        self.ids: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.connections = 0
        self.first_came = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Knock(BaseHTTPRequestHandler):
    """One connection to the door."""

    protocol_version = "HTTP/1.1"
    server: Door

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        believed = verify([self.server.key], headers, body, now=system_time.wall())
        self.server.paths.append(self.path)
        self.server.ids.append(headers["webhook-id"])
        self.server.bodies.append(json.loads(body))
        self.server.first_came.set()
        status, said = self.server.answers.pop(0) if self.server.answers else TAKEN
        if isinstance(believed, SignatureFault):
            status, said = 401, {"title": "Not authenticated"}
        if not status:
            self.close_connection = True
            return
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Stay quiet."""


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Time:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.began = system_time.wall()
        self.passed = 0.0
        self.slept: list[float] = []

    def wall(self) -> float:
        return self.began + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.passed += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


def sender(client: httpx2.Client, url: str, time: Time) -> Sender:
    return Sender(
        client, f"{url}/api/v1/feeds/own", KEY,
        wall=time.wall, monotonic=time.monotonic, sleep=time.sleep, jitter=lambda: 1.0,
    )  # fmt: skip


def steps(n: int = 3) -> list[Step]:
    return plan(FACTS[:n], "lockstep", 2.0)


def test_messages_are_posted_at_their_time_over_one_connection(door: Door, client: httpx2.Client, time: Time) -> None:
    done: list[int] = []
    replaying = sender(client, door.url, time)
    replaying.run(steps(), run_id="r", progress=done.append)
    assert time.slept == [0.5, 0.5]
    assert door.ids == ["replay-r-0", "replay-r-1", "replay-r-2"]
    assert set(door.paths) == {"/api/v1/feeds/own"}
    assert door.connections == 1
    assert done == [1, 2, 3]
    assert (replaying.tally.posted, replaying.tally.facts, replaying.tally.retries) == (3, 3, 0)


def test_a_restart_in_the_middle_loses_nothing(door: Door, client: httpx2.Client, time: Time) -> None:
    door.answers = [TAKEN, (0, None), (503, {}), (500, b"<html>"), (429, {}), (200, {"accepted": 0, "duplicate": True})]
    replaying = sender(client, door.url, time)
    replaying.run(steps(), run_id="r")
    assert door.ids == ["replay-r-0", *["replay-r-1"] * 5, "replay-r-2"]
    # The pauses double; what is late then is posted at once.
    assert time.slept == [0.5, 0.1, 0.2, 0.4, 0.8]
    tally = replaying.tally
    assert (tally.posted, tally.facts, tally.duplicates, tally.retries) == (3, 2, 1, 4)


def test_a_refusal_stops_it_with_the_reason(door: Door, client: httpx2.Client, time: Time) -> None:
    door.answers = [TAKEN, (422, {"title": "Message not understood", "detail": "item 0:\x1b[31m op"})]
    replaying = sender(client, door.url, time)
    with pytest.raises(ReplayError, match=r"/api/v1/feeds/own answers 422: item 0:\?\[31m op"):
        replaying.run(steps(), run_id="r")
    assert replaying.tally.posted == 1


@pytest.mark.parametrize(
    ("status", "said", "says"),
    [
        (401, {"title": "Not authenticated"}, "answers 401: Not authenticated$"),
        (404, b"<html>", "answers 404$"),
        (404, [], "answers 404$"),
        (307, {}, "answers 307$"),
    ],
)
def test_any_other_answer_is_a_refusal(
    door: Door, client: httpx2.Client, time: Time, status: int, said: Any, says: str
) -> None:
    door.answers = [(status, said)]
    with pytest.raises(ReplayError, match=says):
        sender(client, door.url, time).run(steps(), run_id="r")


def test_a_server_that_stays_away_is_given_up(client: httpx2.Client, time: Time) -> None:
    with Door() as closed:
        url = closed.url
    with pytest.raises(ReplayError, match=r"cannot be reached .* for 120 s: is the server running there\?"):
        sender(client, url, time).run(steps(), run_id="r")
    assert GIVE_UP_S - 3 <= time.passed <= GIVE_UP_S
    assert max(time.slept) == 2.0


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1", "http://[::1"])
def test_what_is_no_server_is_named(client: httpx2.Client, time: Time, url: str) -> None:
    with pytest.raises(ReplayError, match="is no "):
        sender(client, url, time).run(steps(), run_id="r")


@pytest.mark.parametrize("said", [b"", b"[]", b'{"accepted":"?"}'])
def test_another_server_s_answer_is_good_enough(door: Door, client: httpx2.Client, time: Time, said: bytes) -> None:
    door.answers = [(204, b"") if not said else (200, said)]
    replaying = sender(client, door.url, time)
    replaying.run(steps(1), run_id="r")
    assert (replaying.tally.posted, replaying.tally.facts) == (1, 0)


# The command


@pytest.fixture
def command(tmp_path: Path, door: Door) -> list[str]:
    """Return arguments that replay three facts, fast, to the door."""
    ensure_keys(tmp_path / "var", ["own"])
    door.key = parse_secret(read_keys(tmp_path / "var").webhook_secrets["own"])
    recording = tmp_path / "game.ndjson"
    recording.write_text("\n".join(map(json.dumps, FACTS[:3])))
    return [str(recording), "--vendor=lockstep", "--source=own", f"--to={door.url}/", "--speed=10000",
            f"--data-dir={tmp_path / 'var'}"]  # fmt: skip


def run(arguments: list[str]) -> tuple[int, str, BaseException | None]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(replay)
    result = CliRunner().invoke(app, arguments)
    assert result.stdout == ""
    return result.exit_code, result.stderr, result.exception


def test_the_command_posts_and_sums_up(command: list[str], door: Door) -> None:
    exit_code, said, _ = run(command)
    assert (exit_code, said) == (0, "replayed 3 of 3 messages: 3 facts, 0 duplicates, 0 retries\n")
    assert door.paths == ["/api/v1/feeds/own"] * 3
    assert [body["id"] for body in door.bodies] == ["p0", "p1", "p2"]
    run(command)
    assert len(set(door.ids)) == 6


def test_the_command_finds_the_keys_by_the_settings(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "lockstep.toml").write_text('data_dir = "var"\n')
    assert run([*command[:-1], f"--config={tmp_path / 'lockstep.toml'}"])[0] == 0


def test_a_refusal_is_said_and_counted(command: list[str], door: Door) -> None:
    door.answers = [TAKEN, (422, {"detail": "no such op"})]
    exit_code, said, error = run(command)
    assert (exit_code, said) == (1, "replayed 1 of 3 messages: 1 facts, 0 duplicates, 0 retries\n")
    assert "answers 422: no such op" in str(error)


def test_what_is_missing_is_named_before_anything_is_sent(command: list[str], door: Door, tmp_path: Path) -> None:
    recording, *options = command
    (tmp_path / "empty").write_text("[]")
    for arguments, says in [
        (["nowhere.json", *options], "nowhere.json cannot be read: No such file"),
        ([str(tmp_path / "empty"), *options], "holds nothing to post"),
        ([recording, *options, "--source=nfl"], "holds no secret of source 'nfl' (there are: own)"),
        ([recording, *options, f"--data-dir={tmp_path}"], "no keys at"),
        ([recording, *options, "--vendor=nfl"], "no replay for vendor 'nfl'"),
    ]:
        error = run(arguments)[2]
        assert isinstance(error, SettingsError)
        assert says in str(error)
    assert door.paths == []


def test_ctrl_c_ends_it_quietly(command: list[str], door: Door) -> None:
    program = "import typer; from lockstep.commands.replay import replay; typer.run(replay)"
    slow = [argument if not argument.startswith("--speed") else "--speed=0.001" for argument in command]
    with subprocess.Popen([sys.executable, "-c", program, *slow], cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        assert door.first_came.wait(30)
        os.kill(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in said


def test_progress_is_shown_on_a_terminal_only(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    exit_code, said, _ = run(command)
    assert exit_code == 0
    assert "100%" in said
    assert "replayed 3 of 3 messages" in said
