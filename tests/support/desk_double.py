"""A server that answers from a table, over real HTTP, and keeps what was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Asked:
    """A request; the names of `headers` are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes


@dataclass
class DeskDouble:
    """Where it is, what it answers (status and body, by method and path), and what it was asked."""

    url: str
    closed_url: str
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    desk: DeskDouble

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.desk.asked.append(Asked(self.command, self.path, headers, content))
        status, told = self.desk.answers[f"{self.command} {self.path}"]
        body = b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def desk_double() -> Iterator[DeskDouble]:
    """Serve until the test ends; at `closed_url` nobody listens."""
    closed = HTTPServer(("127.0.0.1", 0), _Handler)
    closed_url = f"http://127.0.0.1:{closed.server_port}"
    closed.server_close()

    class Handler(_Handler):
        pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Handler.desk = DeskDouble(f"http://127.0.0.1:{server.server_port}", closed_url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Handler.desk
    server.shutdown()
    thread.join()
    server.server_close()
