"""Weigh an idle subscriber: `python -m bench.sockets`.

A server process with the hub alone, and this process with the clients: raw sockets on loopback that authenticate,
subscribe and then only take heartbeats. What the server's resident memory grew by, divided by their number, is the
figure. The yardstick, in the same run on the same machine, is a plain `websockets.asyncio.server` without compression
whose handler waits for messages: what one would write without a protocol class of one's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from hub.io.driver import Hub
from hub.settings import HubSettings
from kernel.bus import epoch_signal, state_signal
from kernel.decisions import NOWHERE, Decision, Scope, Verdict, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import monotonic, new_id, wall
from kernel.showings import Showing
from kernel.timeline import StreamState
from kernel.tokens import Claims, Keyring
from lockstep.collector import set_up_collector
from lockstep.guard import GuardedHttp
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

OUT = Path(__file__).with_name("out")
SOCKETS = 4_000
FIGURE_BYTES = 8_192
EVENT = "bench"
KEYS = {"bench": b"a key for the bench alone, no secret"}
AT_A_TIME = 100
PORTS_PER_ADDRESS = 10_000
"""Loopback has a /8 of source addresses: no run is short of ports."""

_SETTLE_S = 3.0
"""How long the server idles before it is weighed: longer than a heartbeat, so that every socket has had one."""


async def _serve_hub() -> None:
    bus = MemoryBus(asyncio.get_running_loop().time)
    tokens = TokenCache(TokenVerifier(KEYS))

    def admit(token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE) -> Decision:
        claims = tokens.verify(token or "", now=now)
        reason = claims.reason_at(now, event_id, scope) if claims is not None else None
        verdict = Verdict.ADMIT if claims is not None and reason is None else Verdict.REFUSE
        return Decision(verdict, reason, may_watch=True, may_wager=True, claims=claims)

    showings = {EVENT: Showing(EVENT, "http://127.0.0.1:9/index.m3u8")}
    hub = Hub(bus, showings, admit, HubSettings(max_subscribers=2 * SOCKETS), wall=wall, new_id=new_id)
    bus.signal(epoch_signal(EVENT), "bench")
    bus.signal(state_signal(EVENT), StreamState(EVENT, 6, live=True, ended=False, begun=True, last=None))
    hub.start()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("no request is meant for the app")

    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, http=GuardedHttp, ws=hub.protocol_class(), backlog=4_096
    )
    await _announce(uvicorn.Server(config).serve)


async def _announce(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4_096) as listening:
        print(listening.getsockname()[1], flush=True)
        await run(sockets=[listening])


async def _serve_yardstick() -> None:
    async def listen(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def run(sockets: list[socket.socket]) -> None:
        async with serve(listen, sock=sockets[0], compression=None, ping_interval=None, max_size=4_096):
            await asyncio.get_running_loop().create_future()

    await _announce(run)


def _rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the server has no resident memory: it is gone")


async def _connect(number: int, port: int, handshake: bytes, messages: bytes, expect: bytes) -> socket.socket:
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.settimeout(0)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Linux, ip(7): the port is chosen at connect, when the whole pair is known.
    raw.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    raw.bind((f"127.0.0.{2 + number // PORTS_PER_ADDRESS}", 0))
    await loop.sock_connect(raw, ("127.0.0.1", port))
    await loop.sock_sendall(raw, handshake)
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += await loop.sock_recv(raw, 4_096)
    await loop.sock_sendall(raw, messages)
    while expect not in seen:
        part = await loop.sock_recv(raw, 4_096)
        if not part:
            raise RuntimeError(f"the server closed: {seen[-300:]!r}")
        seen += part
    return raw


def _spawn(kind: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "bench.sockets", kind], stdout=subprocess.PIPE, text=True)


async def _weigh(kind: str, handshake: bytes, messages: bytes, expect: bytes) -> float:
    """Return the bytes of resident memory an idle connection costs the server of that kind."""
    server = _spawn(kind)
    connections: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    try:
        assert server.stdout is not None  # it is a pipe
        port = int(await asyncio.to_thread(server.stdout.readline))
        # What is loaded and allocated once, for the first connections, is not theirs.
        warm = [await _connect(number, port, handshake, messages, expect) for number in range(AT_A_TIME)]
        await asyncio.sleep(_SETTLE_S)
        before = _rss_bytes(server.pid)
        for first in range(0, SOCKETS, AT_A_TIME):
            wanted = range(first, first + AT_A_TIME)
            connections += await asyncio.gather(
                *(_connect(number, port, handshake, messages, expect) for number in wanted)
            )
        until = monotonic() + _SETTLE_S
        for connection in connections:
            loop.add_reader(connection, connection.recv, 65_536)
        await asyncio.sleep(max(0.0, until - monotonic()))
        after = _rss_bytes(server.pid)
        for connection in connections:
            loop.remove_reader(connection)
        connections += warm
        return (after - before) / SOCKETS
    finally:
        # First: a server whose thousands of clients vanish writes a trace for each.
        server.kill()
        server.wait()
        for connection in connections:
            connection.close()
        if server.stdout is not None:
            server.stdout.close()


def _handshake(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: lockstep.v1.json\r\n\r\n"
    ).encode()


def _text(message: dict[str, Any]) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


async def _measure() -> tuple[float, float]:
    now = int(wall())
    claims = Claims("bench", "bench", EVENT, now - 60, now + 3_600, (now - 60, now + 3_600), "s", frozenset({"watch"}))
    token = Keyring(KEYS).issue(claims)
    messages = _text({"op": "auth", "token": token}) + _text({"op": "sub"})
    path = f"/api/v1/wagering/subscribe?event_id={EVENT}"
    ours = await _weigh("hub", _handshake(path), messages, b'"op":"hb"')
    yardstick = await _weigh("yardstick", _handshake("/"), _text({"op": "hb"}), b'"hb"')
    return ours, yardstick


def run() -> dict[str, Any]:
    """Weigh both, write `out/sockets.json`, and return what stands in it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < SOCKETS + 500:
        raise SystemExit(
            f"{SOCKETS} sockets take {SOCKETS + 500} file descriptors, {hard} are allowed: raise ulimit -Hn"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOCKETS + 500, hard))
    ours, yardstick = uvloop.run(_measure())
    result: dict[str, Any] = {
        "what": f"resident memory of an idle subscriber, {SOCKETS} sockets",
        "unit": "bytes",
        "ours": round(ours),
        "figure": FIGURE_BYTES,
        "met": ours <= FIGURE_BYTES,
        "yardstick": round(yardstick),
        "yardstick_what": "websockets.asyncio.server, no compression",
        "ratio": round(ours / yardstick, 3),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds"),
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "sockets.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    result = run()
    print(f"{result['what']}: {result['ours']} bytes")
    print(f"yardstick, {result['yardstick_what']}: {result['yardstick']} bytes; ratio {result['ratio']}")
    print(f"figure: at most {result['figure']} bytes: {'met' if result['met'] else 'MISSED'}")
    print(f"{result['machine']}; {result['date']}")


def _serve(kind: str) -> None:
    # As `lockstep serve` does, for the yardstick too.
    set_up_collector()
    uvloop.run({"hub": _serve_hub, "yardstick": _serve_yardstick}[kind]())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        _serve(sys.argv[1])
    else:
        main()
