"""A vendor's odds connector and its suspends, through the real door: `python -m bench._door PORT SECRET`.

Prices come in batches on two connections, suspends one by one on another. Commands, one JSON array a line: `open` opens
all markets; `prices RATE` changes how many prices a second are sent from now on; `bet SUSPENDS PAUSE_S` sends that many
suspends of one market each, and answers when the last was accepted: with the instants (CLOCK_MONOTONIC, ns) at which
the first byte of each was handed to the kernel. The n-th suspend has the id `stopN`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from feeds.standard_webhooks import sign
from kernel.io.system_time import wall

SOURCE = "odds"
MARKETS = 500
BATCH = 200


class Door:
    """One keep-alive connection to the vendors' front door."""

    def __init__(self, port: int, secret: bytes, name: str) -> None:
        self._port = port
        self._secret = secret
        self._name = name
        self._number = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.answered_ms: list[float] = []

    async def post(self, facts: list[dict[str, Any]]) -> int:
        """Send a message and await its answer; return when its first byte went out, in ns."""
        body = json.dumps(facts, separators=(",", ":")).encode()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None  # opened together
        self._number += 1
        at, message_id = int(wall()), f"{self._name}-{self._number}"
        head = (
            f"POST /api/v1/feeds/{SOURCE} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nwebhook-id: {message_id}\r\nwebhook-timestamp: {at}\r\n"
            f"webhook-signature: {sign(self._secret, message_id, at, body)}\r\n\r\n"
        )
        began = time.monotonic_ns()
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in answer if line.startswith("content-length:"))
        text = await self._reader.readexactly(length)
        if int(answer[0].split(" ")[1]) != 202:
            raise RuntimeError(f"{message_id} was answered {answer[0]}: {text.decode()}")
        self.answered_ms.append((time.monotonic_ns() - began) / 1e6)
        return began


class Vendor:
    """Send what it is told to."""

    def __init__(self, port: int, secret: bytes) -> None:
        self._odds = [Door(port, secret, f"odds{number}") for number in range(2)]
        self._desk = Door(port, secret, "desk")
        self._rate = 0.0
        self._sent = 0
        self._behind_s = 0.0
        self._suspends = 0
        self._pouring: asyncio.Task[None] | None = None

    async def open(self) -> bool:
        """Open all markets."""
        await self._desk.post([_open(f"m{number}", self._suspends) for number in range(MARKETS)])
        return True

    async def prices(self, rate: float) -> bool:
        """Change prices that often a second from now on."""
        if self._pouring is not None:
            self._pouring.cancel()
            await asyncio.gather(self._pouring, return_exceptions=True)
            self._pouring = None
        if rate:
            self._pouring = asyncio.create_task(self._pour(rate))
        return True

    async def bet(self, suspends: int, pause_s: float) -> dict[str, Any]:
        """Suspend now and then, and open again."""
        sent, began = self._sent, time.monotonic()
        self._behind_s = 0.0
        for door in self._odds:
            door.answered_ms.clear()
        instants = []
        for _ in range(suspends):
            self._suspends += 1
            body = {"market": {"mid": f"m{self._suspends * 13 % MARKETS}"}}
            number = f"stop{self._suspends}"
            fact = {"id": number, "op": "new", "type": "suspend", "occurred_at": _now_ms(), "body": body}
            instants.append((self._suspends, await self._desk.post([fact])))
            await asyncio.sleep(pause_s)
        if self._pouring is not None and self._pouring.done():
            self._pouring.result()
        answered = sorted(one for door in self._odds for one in door.answered_ms)
        return {
            "instants": instants,
            "prices_a_s": (self._sent - sent) / (time.monotonic() - began),
            "behind_s": self._behind_s,
            "answered_p99_ms": answered[len(answered) * 99 // 100] if answered else None,
        }

    async def _pour(self, rate: float) -> None:
        began, sent = time.monotonic(), 0
        free: asyncio.Queue[Door] = asyncio.Queue()
        for door in self._odds:
            free.put_nowait(door)
        posting: set[asyncio.Task[None]] = set()

        async def post(door: Door, facts: list[dict[str, Any]]) -> None:
            await door.post(facts)
            self._sent += len(facts)
            free.put_nowait(door)

        while True:
            due = began + sent / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            door = await free.get()
            self._behind_s = max(self._behind_s, time.monotonic() - due)
            task = asyncio.create_task(post(door, [_price(sent + each) for each in range(BATCH)]))
            posting.add(task)
            task.add_done_callback(posting.discard)
            sent += BATCH


def _price(number: int) -> dict[str, Any]:
    out = [{"oid": "1", "milli": 1_500 + number % 997}, {"oid": "2", "milli": 2_050 + number % 499}]
    return {
        "id": f"p{number}", "op": "new", "type": "price", "occurred_at": _now_ms(),
        "body": {"price": {"mid": f"m{number * 7 % MARKETS}", "out": out}},
    }  # fmt: skip


def _open(mid: str, number: int) -> dict[str, Any]:
    return {
        "id": f"open-{mid}-{number}", "op": "new", "type": "market", "occurred_at": _now_ms(),
        "body": {"market": {"mid": mid, "st": "open"}},
    }  # fmt: skip


def _now_ms() -> int:
    return round(wall() * 1000)


async def main() -> None:
    """Obey until standard input ends."""
    vendor = Vendor(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    known: dict[str, Callable[..., Awaitable[Any]]] = {"open": vendor.open, "prices": vendor.prices, "bet": vendor.bet}
    print("ready", flush=True)
    while line := await reader.readline():
        name, *arguments = json.loads(line)
        print(json.dumps(await known[name](*arguments)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
