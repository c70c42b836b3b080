"""What the relay costs beside nginx, and its gates beside none: `python -m bench.relay`.

One `lockstep serve` with the access log in a file, and one nginx worker with its own, serve the same bytes to the same
client (wrk, one thread, keep-alive) on the loopback, in turn: a segment of 2 s and 6 Mbit/s, and a playlist of a live
window. The relay answers behind its gates, token in the path; nginx serves plain files to anybody. The last row is the
relay beside itself with gates that admit everybody.

Both are Debian's packages, installed where we are root; without them there is nothing to measure with, and the bench
says so.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._packages import Absent, program
from bench._skips import skip
from bench._stage import machine, report
from bench.timing import segment
from kernel.io.system_time import wall
from kernel.tokens import Claims
from lockstep.keys import ensure_keys

EVENT = "bench"
SEGMENTS = 10
SECONDS = 4
ROUNDS = 3
CONNECTIONS = {"segment": 16, "playlist": 64}
NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log {folder}/access.log; sendfile on; keepalive_requests 100000000;
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
scgi_temp_path {folder}/s; types {{ }} default_type application/octet-stream;
server {{ listen 127.0.0.1:{port}; root {folder}/origin; }} }}
"""


class Scene:
    """A folder with an origin, and the servers on it, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # nginx's worker is nobody where its master is root.
        folder.chmod(0o755)
        self.origin = folder / "origin"
        self.origin.mkdir()
        body = segment().read_bytes()
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:VOD"]
        for number in range(SEGMENTS):
            (self.origin / f"{number}.ts").write_bytes(body)
            # Each begins anew, as the clock within the copies does.
            lines += ["#EXT-X-DISCONTINUITY"] * (number > 0) + ["#EXTINF:2.0,", f"{number}.ts"]
        (self.origin / "index.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
        self.keys = ensure_keys(folder / "data", [])
        now = int(wall())
        scopes = frozenset({"watch"})
        claims = Claims("bench", "bench", EVENT, now - 60, now + 36_000, (now - 60, now + 36_000), "s", scopes)
        self.path = f"/hls/{self.keys.keyring().issue(claims)}/{EVENT}"

    def nginx(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start nginx."""
        port = free_port()
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=port))
        nginx = program("nginx")
        return subprocess.Popen([nginx, "-p", str(self.folder), "-c", str(config)], stderr=subprocess.DEVNULL), port

    def ours(self, *, gates: bool = True) -> tuple[subprocess.Popen[bytes], int]:
        """Start our own server, and wait for its picture."""
        port = free_port()
        # One address asks for everything here: its limits must count, and never bite.
        limits = {f"LOCKSTEP_PER_ADDRESS__{name}": "1000000000" for name in ("REQUESTS_PER_S", "REQUEST_BURST")}
        module = ["-m", "lockstep"] if gates else ["-m", "bench.relay"]
        log = self.folder / f"ours-{port}.log"
        data = shutil.copytree(self.folder / "data", self.folder / f"data-{port}")
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    sys.executable, *module, "serve", "--event", EVENT, "--origin", str(self.origin),
                    "--port", str(port), "--data-dir", str(data),
                ],
                stderr=file, env={**os.environ, **limits},
            )  # fmt: skip
        while b"picture.out" not in log.read_bytes():
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        return process, port


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def ask(port: int, path: str, connections: int, *, seconds: float = SECONDS) -> float:
    """Return how many answers a second came, all of them good ones."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server of ours."""
    process.send_signal(signal.SIGTERM)
    process.wait()


def measure(scene: Scene) -> dict[str, list[float]]:
    """Return answers a second by what was asked, a value a round; servers take turns, since machines change."""
    playlist = scene.origin / "playlist.m3u8"
    found: dict[str, list[float]] = {name: [] for name in ("segment", "playlist", "open", "nginx", "plain")}
    process, port = scene.ours()
    free, free_port_ = scene.ours(gates=False)
    nginx, nginx_port = scene.nginx()
    try:
        text = fetch(port, f"{scene.path}/index.m3u8")
        playlist.write_bytes(text)
        for _ in range(ROUNDS):
            many = CONNECTIONS["playlist"]
            found["playlist"].append(ask(port, f"{scene.path}/index.m3u8", many))
            found["open"].append(ask(free_port_, f"/hls/{EVENT}/index.m3u8", many))
            found["plain"].append(ask(nginx_port, "/playlist.m3u8", many))
            found["segment"].append(ask(port, f"{scene.path}/main/0-0.ts", CONNECTIONS["segment"]))
            found["nginx"].append(ask(nginx_port, "/0.ts", CONNECTIONS["segment"]))
    finally:
        for one in (process, free, nginx):
            end(one)
    return found


def fetch(port: int, path: str) -> bytes:
    """Return a body."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: one.recv(1 << 20), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    return body


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/relay.json`."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        scene = Scene(Path(folder))
        found = measure(scene)
        playlist_bytes = (scene.origin / "playlist.m3u8").stat().st_size
    segment_bytes = segment().stat().st_size
    where = machine()
    rows = [
        (f"segment of {segment_bytes:,} bytes", "segment", "nginx", "nginx, the same file", 0.7),
        (f"gated playlist of {playlist_bytes:,} bytes", "playlist", "plain", "nginx, a plain file of that size", 0.3),
        ("gated playlist", "playlist", "open", "the same server without gates", 0.75),
    ]
    return [
        {
            "what": what,
            "unit": "answers a second",
            "ours": round(statistics.median(found[ours])),
            "yardstick": round(statistics.median(found[theirs])),
            "yardstick_what": yardstick,
            # Round by round: what the machine did meanwhile, it did to both.
            "ratio": round(statistics.median(a / b for a, b in zip(found[ours], found[theirs], strict=True)), 2),
            "figure": f">= {figure} x",
            "met": statistics.median(a / b for a, b in zip(found[ours], found[theirs], strict=True)) >= figure,
            **where,
        }
        for what, ours, theirs, yardstick, figure in rows
    ]


def _serve_without_gates() -> None:
    """Run `lockstep serve` with a gate that admits everybody: a yardstick, in this process alone."""
    import lockstep.compose
    from kernel.decisions import Decision, Scope, Verdict
    from lockstep.cli import main as lockstep_main

    now = int(wall())
    claims = Claims("x", "x", EVENT, 0, now + 36_000, (0, now + 36_000), "x", frozenset({Scope.WATCH}))
    decision = Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=claims)

    class Everybody:
        """Admit everybody."""

        def __init__(self, *_: object, **__: object) -> None: ...

        def __call__(self, *_: object, **__: object) -> Decision:
            return decision

        decide = __call__

    setattr(lockstep.compose, "Gate", Everybody)  # noqa: B010 - mypy knows better than to let us
    lockstep_main()


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    if sys.argv[1:2] == ["serve"]:
        _serve_without_gates()
        return
    try:
        program("nginx", "nginx-light")
        program("wrk", "wrk")
    except Absent as error:
        skip("relay", str(error))
        return
    report("relay", run())


if __name__ == "__main__":
    main()
