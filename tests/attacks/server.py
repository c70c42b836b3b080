"""A real server under attack: one process for all tests, raw sockets, an address of its own for each attacker."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from kernel.io.system_time import wall
from lockstep.keys import ensure_keys
from tests.support.issuer import jwks
from tests.support.tokens import claims

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "out"
PATIENCE_S = 30.0
PROXY = "127.0.9.1"
OTHER_PROXY = "127.0.9.2"

CONFIG = """
port = 0
trusted_proxies = ["127.0.9.0/24"]
proxy_hops = 2

[per_address]
max_connections = 24
max_half_open = 8
requests_per_s = 1
request_burst = 40
refused_tokens_per_s = 0.01
refused_token_burst = 10

[issuer]
jwks = "issuer.json"
name = "https://shop.example"
audience = "lockstep"

[place]
city_database = "{place}/city.mmdb"
anonymous_database = "{place}/anonymous.mmdb"

[showings.game]
origin = "{origin}"

[showings.guarded]
origin = "{origin}"
allowed_origins = ["https://player.test"]

[showings.game.sources.desk]
vendor = "lockstep"
"""


class Answer:
    """What came back until the connection ended, or the answer was whole."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split(" ")[1]) if line.startswith("HTTP/1.1 ") else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        return found


class Server:
    """`lockstep serve`, its log, and tokens for it."""

    def __init__(self, folder: Path) -> None:
        config = folder / "lockstep.toml"
        config.write_text(CONFIG.format(origin=FIXTURES / "plain", place=FIXTURES / "place"), "utf-8")
        (folder / "issuer.json").write_bytes(jwks())
        self.keys = ensure_keys(folder / "data", ["desk"])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", "serve", "--config", str(config), "--data-dir", str(folder / "data")],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )  # fmt: skip
        self.log: list[str] = []
        self._grew = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._addresses = count(1)
        self.port = int(self.says("server.listening")["url"].rpartition(":")[2])
        self.says("picture.out", event_id="game")
        self.says("picture.out", event_id="guarded")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._grew:
                self.log.append(line)
                self._grew.notify_all()
        with self._grew:
            self._ended = True
            self._grew.notify_all()

    def says(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait until the log has a line of an event with these fields, and return it."""

        def found() -> dict[str, Any] | None:
            for text in self.log:
                line: dict[str, Any] = json.loads(text)
                if line["event"] == event and all(line.get(name) == value for name, value in fields.items()):
                    return line
            return None

        with self._grew:
            self._grew.wait_for(lambda: found() is not None or self._ended, PATIENCE_S)
            line = found()
        assert line is not None, f"{event} {fields} never came:\n{''.join(self.log[-20:])}"
        return line

    def token(self, **changes: Any) -> str:
        """Return a token that admits to `game` for an hour, or what else it is told to say."""
        now = int(wall())
        told = {"not_before": now - 60, "expires": now + 3600, "window": (now - 60, now + 3600), **changes}
        return self.keys.keyring().issue(claims(**told))

    def address(self) -> str:
        """Return an address that nobody has come from."""
        number = next(self._addresses)
        return f"127.1.{number // 250}.{1 + number % 250}"

    def connect(self, source: str | None = None) -> socket.socket:
        """Return a connection from an address."""
        one = socket.create_connection(
            ("127.0.0.1", self.port), timeout=PATIENCE_S, source_address=(source or self.address(), 0)
        )
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def send(self, request: bytes, source: str | None = None) -> Answer:
        """Send bytes and return all that comes until the server ends the connection."""
        with self.connect(source) as one:
            one.sendall(request)
            return Answer(read_all(one))

    def get(
        self,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        source: str | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Answer:
        """Ask for a target as it stands, nothing tidied up."""
        fields = {"Host": "relay.test", "Connection": "close", **(headers or {})}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b""), source)

    def close(self) -> None:
        """End it, and see that it ended well."""
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def read_all(one: socket.socket) -> bytes:
    """Return all that comes until the other side ends the connection, be it rudely."""
    pieces = []
    try:
        while piece := one.recv(1 << 16):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)
