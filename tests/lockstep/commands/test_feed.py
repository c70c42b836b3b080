from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from lockstep.cli import app
from lockstep.commands.feed import FeedError, rows_of

SOURCE: dict[str, Any] = {
    "source": "desk", "state": "down", "why": "silent for longer than 4 s", "since_s": 3.0, "facts": 2,
    "lag_p50_s": 1.5, "lag_p99_s": 2.25, "skew_s": -10.0, "late_share": 0.125, "complete_to_ms": None,
}  # fmt: skip
TOLD = {
    "now_ms": 1,
    "showings": [
        {"event_id": "game", "hold": "auto", "hold_s": 2.2, "sources": [SOURCE]},
        {
            "event_id": "other", "hold": "fixed", "hold_s": 0.0,
            "sources": [{**SOURCE, "lag_p50_s": None, "late_share": None}],
        },
    ],
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Answer as the hub does."""

    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        assert self.path == "/api/v1/feeds"
        body = json.dumps(TOLD).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_rows() -> None:
    first, second = rows_of(TOLD)
    assert first == (
        "game", "desk", "down", "1.50 s", "2.25 s", "-10.00 s", "12.5%", "2.20 s (auto)", "silent for longer than 4 s"
    )  # fmt: skip
    assert (second[3], second[6], second[7]) == ("-", "-", "0.00 s")


def test_a_table_is_printed(url: str) -> None:
    answer = CliRunner().invoke(app, ["feed", "status", "--to", url], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "silent for longer than 4 s" in answer.stdout
    assert "lag p99" in answer.stdout


def test_json_is_printed_as_it_came(url: str) -> None:
    answer = CliRunner().invoke(app, ["feed", "status", "--to", url + "/", "--json"], catch_exceptions=False)
    assert json.loads(answer.stdout) == TOLD


def test_what_is_wrong_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "status", 403)
    with pytest.raises(FeedError, match="ask from the machine"):
        CliRunner().invoke(app, ["feed", "status", "--to", url], catch_exceptions=False)
    with pytest.raises(FeedError, match="cannot be reached"):
        CliRunner().invoke(app, ["feed", "status", "--to", "http://127.0.0.1:1"], catch_exceptions=False)
