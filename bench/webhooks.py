"""Time the acknowledgement of webhooks: `python -m bench.webhooks`.

A real server process with its journal on disk takes 500 signed messages a second over keep-alive connections. Beside
it, in the same run, the yardstick: the same front door, which checks and decodes the same messages and answers without
putting them anywhere. Times count from when a message was due to be sent, so that a server that stalls is not let off
the messages that could not be sent meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel.io.system_time import monotonic, wall

OUT = Path(__file__).with_name("out")
ROOT = Path(__file__).parents[1]
RATE, SECONDS, CONNECTIONS = 500, 20, 16
WARM_UP = 500
FIGURE_MS = 20.0
SOURCE = "desk"


def _request(secret: bytes, number: int) -> bytes:
    from feeds.standard_webhooks import sign

    fact = {
        "id": f"p{number}", "op": "new", "type": "play", "occurred_at": round(wall() * 1000),
        "body": {"txt": f"Basket {number}", "team": "HAR", "score": {"home": number, "away": 0}},
    }  # fmt: skip
    body, at, message_id = json.dumps(fact).encode(), int(wall()), f"m{number}"
    head = (
        f"POST /api/v1/feeds/{SOURCE} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nwebhook-id: {message_id}\r\nwebhook-timestamp: {at}\r\n"
        f"webhook-signature: {sign(secret, message_id, at, body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(lines[0].split(" ")[1])


async def _drive(port: int, secret: bytes, first: int, count: int) -> list[float]:
    """Send `count` messages at the rate, over all connections in turn; return the times of their answers in ms."""
    waiting: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    times: list[float] = []

    async def lane() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                number, due = await waiting.get()
                writer.write(_request(secret, number))
                status = await _answer(reader)
                times.append(1000 * (monotonic() - due))
                if status != 202:
                    raise RuntimeError(f"message {number} was answered {status}")
        finally:
            writer.close()

    lanes = [asyncio.create_task(lane()) for _ in range(CONNECTIONS)]
    begun = monotonic()
    for index in range(count):
        due = begun + index / RATE
        await asyncio.sleep(max(0.0, due - monotonic()))
        waiting.put_nowait((first + index, due))
    while len(times) < count:
        done, _ = await asyncio.wait(lanes, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    for task in lanes:
        task.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    return times


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _secret(data_dir: Path) -> bytes:
    from feeds.standard_webhooks import parse_secret

    keys = tomllib.loads((data_dir / "keys.toml").read_text("utf-8"))
    return parse_secret(keys["webhooks"][SOURCE])


def _measure(command: list[str], data_dir: Path, port: int) -> list[float]:
    server = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "LOCKSTEP_LOG_LEVEL": "warning"},
    )  # fmt: skip
    try:
        _await_port(server, port)
        secret = _secret(data_dir)

        async def both() -> list[float]:
            await _drive(port, secret, 0, WARM_UP)
            return await _drive(port, secret, WARM_UP, RATE * SECONDS)

        return asyncio.run(both())
    finally:
        server.terminate()
        server.wait(30)


def _await_port(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = monotonic() + 30
    pause = asyncio.run
    while monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            pause(asyncio.sleep(0.1))
        else:
            return
    raise RuntimeError("the server did not come up")


def run() -> dict[str, Any]:
    """Measure both, write `out/webhooks.json`, and return what stands in it."""
    OUT.mkdir(parents=True, exist_ok=True)
    # On the disk that the bench stands on: a folder in memory would flatter the journal.
    folder = Path(tempfile.mkdtemp(prefix="webhooks-", dir=OUT))
    try:
        data_dir, origin = folder / "data", ROOT / "fixtures" / "out" / "plain"
        port = _free_port()
        ours = _measure(
            [
                sys.executable, "-m", "lockstep", "serve", "--data-dir", str(data_dir), "--port", str(port),
                "--event", "bench", "--origin", str(origin), "--source", f"{SOURCE}=lockstep",
            ],
            data_dir, port,
        )  # fmt: skip
        port = _free_port()
        plain = _measure(
            [sys.executable, "-m", "bench.webhooks", "yardstick", str(data_dir), str(port)], data_dir, port
        )
    finally:
        shutil.rmtree(folder)
    ours_ms, plain_ms = _p99(ours), _p99(plain)
    result = {
        "what": f"webhook acknowledged, {RATE} a second over {CONNECTIONS} connections, p99",
        "unit": "ms",
        "ours": ours_ms,
        "ours_p50": round(statistics.median(ours), 3),
        "ours_max": round(max(ours), 3),
        "messages": len(ours),
        "yardstick": plain_ms,
        "yardstick_p50": round(statistics.median(plain), 3),
        "ratio": round(ours_ms / plain_ms, 2),
        "figure": FIGURE_MS,
        "met": ours_ms <= FIGURE_MS,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds"),
    }
    (OUT / "webhooks.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _p99(times: list[float]) -> float:
    return round(statistics.quantiles(times, n=100)[98], 3)


async def _serve_yardstick(data_dir: Path, port: int) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from feeds.standard_webhooks import SignatureFault, verify
    from feeds.vendors.lockstep import adapt
    from hub.io.socket import Socket
    from kernel.io.http import read_body
    from kernel.strict_json import VENDOR_LIMITS, decode
    from lockstep.allowances import AddressLimits, Allowances
    from lockstep.front_door import listen, make_server
    from lockstep.peers import TrustedProxies

    secret = _secret(data_dir)

    async def receive(request: Request) -> Response:
        body = await read_body(request, VENDOR_LIMITS.max_bytes)
        assert body is not None
        if isinstance(verify([secret], request.headers, body, now=wall()), SignatureFault):
            return Response(status_code=401)
        adapted = adapt(SOURCE, decode(body, VENDOR_LIMITS))
        return JSONResponse({"accepted": len(adapted.facts), "duplicate": False}, 202)

    app = Starlette(routes=[Route("/api/v1/feeds/{source}", receive, methods=["POST"])])
    allowances = Allowances(AddressLimits())
    server = make_server(app, Socket, proxies=TrustedProxies(), allowances=allowances)
    await server.serve(sockets=[listen("127.0.0.1", port)])


def main() -> None:
    """Run it and print the result."""
    if sys.argv[1:2] == ["yardstick"]:
        import uvloop

        uvloop.run(_serve_yardstick(Path(sys.argv[2]), int(sys.argv[3])))
        return
    result = run()
    print(f"{result['what']}: {result['ours']} ms (median {result['ours_p50']}, longest {result['ours_max']})")
    print(f"yardstick, the same door without a journal: {result['yardstick']} ms; ratio {result['ratio']}")
    print(f"figure: at most {result['figure']} ms: {'met' if result['met'] else 'MISSED'}")
    print(f"{result['machine']}; {result['date']}")


if __name__ == "__main__":
    main()
