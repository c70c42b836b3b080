"""How fast a revocation bites, and what it costs to keep a million: `python -m bench.revocation`.

* The last byte at a slow client: viewers who read a large segment in small sips (a receive buffer of 16 KiB,
  emptied every 30 ms) over real sockets, from the routes, gate,
  desk and disk of production in one process. Each trial revokes one by the API and notes when its last byte was read,
  after the call was made. The yardstick is the same with an abort in place of the cut: what the kernel has, it sends.
* The same across processes: the API in one, the viewers at another, Redis between them.
* Un-revoke: from the call to the first byte of an answer that was refused before.
* Memory: what a million revocations add to a process, as the desk's refill brings them over the bus. The yardstick is a
  plain set of the same texts.
* The look-up of claims in a million, against one in that set.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bench._proc import rss_bytes
from bench._stage import Process, machine, percentile, raise_limits, report
from bench.redis import Redis
from kernel.bus import revocations_topic
from kernel.decisions import Scope
from kernel.io.cut import connection_of
from kernel.io.memory_bus import MemoryBus
from kernel.io.redis_bus import RedisBus
from kernel.io.system_time import monotonic, new_id, wall
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Claims, Keyring
from lockstep.enforcement import Enforcement
from lockstep.guard import GuardedHttp
from lockstep.logs import configure_logs
from relay.gate import Gate, StaleLimits
from relay.io.body import GrantedBody
from relay.io.flights import Flights
from relay.io.operator_door import OperatorDoor
from relay.io.repeats import Repeats
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.io.turns import Turns
from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key
from relay.quota import Quota, QuotaLimits
from relay.revocation_words import PATH
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

TRIALS = 1_000
ABORTS = 20
AT_A_TIME = 10
LIVE = 1_000_000
LOOKUPS = 200_000
BODY = memoryview(bytes(64 << 20))
READ_BYTES = 65_536
READ_EVERY_S = 0.03
RECEIVE_BYTES = 16_384
"""What lies in a client's own kernel has arrived, as far as we are concerned: a small buffer makes it count little."""
READ_FOR = 12
"""So many reads before it is revoked: the buffers have filled by then."""
OPERATOR = operator_key(b"the bench's own key, no secret.."[:32])
KEYS = {"bench": b"a key for the bench alone, no secret"}
KEYRING = Keyring(KEYS)


def claims_of(number: int) -> Claims:
    """Return the claims of a viewer."""
    now = int(wall())
    scopes = frozenset({"watch"})
    return Claims(f"jti-{number}", f"acct-{number}", "bench", now - 60, now + 36_000, (now - 60, now + 36_000),
                  f"sid-{number}", scopes)  # fmt: skip


class AbortingFlights(Flights):
    """End connections as one would without knowing better."""

    def _cut(self, connections: Any, why: str) -> None:
        for connection in connections:
            self._grants.remove(connection)
            connection.transport.abort()


async def serve(kind: str, redis: str | None) -> None:
    """Serve one large body to whoever is admitted, and the desk; `media` and `desk` are one of the two."""
    configure_logs("error")
    index, routes = RevocationIndex(), list[BaseRoute]()
    bus: MemoryBus | RedisBus = MemoryBus(asyncio.get_running_loop().time)
    if redis is not None:
        bus = RedisBus(redis, monotonic=time.monotonic, new_id=new_id)
        await bus.open([revocations_topic()] if kind == "desk" else [])
    gate = Gate(TokenCache(TokenVerifier(KEYS)), index, lag_s=bus.lag_s, limits=StaleLimits())
    flights = AbortingFlights() if kind == "abort" else Flights()
    operators = Operators([Operator("bench", digest_of(OPERATOR), frozenset(OperatorScope))])
    Enforcement(
        bus, index, [flights], judge=lambda claims, whence, scope: gate.decide(claims, "bench", scope, now=wall()),
        wall=wall, max_stale_running_s=60,
    ).start()  # fmt: skip

    async def media(request: Request) -> Response:
        decision = gate(request.path_params["token"], "bench", Scope.WATCH, now=wall())
        connection, claims = connection_of(request.scope), decision.claims
        if not decision.admitted or claims is None or connection is None:
            return Response(status_code=403)
        flights.bind(connection, claims)

        def granted() -> bool:
            return gate.decide(claims, "bench", Scope.WATCH, now=wall()).admitted

        return GrantedBody(BODY, granted=granted, turns=Turns(), status_code=200, headers={})

    with tempfile.TemporaryDirectory() as folder:
        if kind != "media":
            bus.begin(revocations_topic(), new_id())
            store = await RevocationStore.open(Path(folder) / "revocations.sqlite")
            door = OperatorDoor(
                operators,
                quota=Quota(QuotaLimits(requests_per_s=1e9, request_burst=1_000_000_000)),
                repeats=await Repeats.open(Path(folder) / "repeats.sqlite"),
                wall=wall,
                now=monotonic,
            )
            desk = RevocationDesk(
                store, bus, door, wall=wall, new_id=new_id, live=index.__len__, retain=redis is not None
            )
            routes += desk.routes()
        if kind != "desk":
            routes.append(Route("/{token}", media))
        if isinstance(bus, RedisBus):
            await bus.settled()
        app = Starlette(routes=routes)
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, http=GuardedHttp, loop="none")
        with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listening:
            print(listening.getsockname()[1], flush=True)
            await uvicorn.Server(config).serve(sockets=[listening])


class Slow:
    """A viewer on a slow line."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.claims = claims_of(number)
        self.last_at = 0.0
        self.full = asyncio.Event()
        self.bytes_after = 0
        self.revoked_at = float("inf")

    async def read(self) -> None:
        """Read until the connection ends."""
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.settimeout(0)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        await loop.sock_connect(raw, ("127.0.0.1", self.port))
        path = KEYRING.issue(self.claims)
        await loop.sock_sendall(raw, f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reads = 0
        with raw:
            while True:
                try:
                    piece = await loop.sock_recv(raw, READ_BYTES)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                self.last_at = time.monotonic()
                if self.last_at > self.revoked_at:
                    self.bytes_after += len(piece)
                reads += 1
                if reads == READ_FOR:
                    self.full.set()
                await asyncio.sleep(READ_EVERY_S)


async def trials(kinds: list[list[str]], count: int) -> tuple[list[float], list[float], list[float]]:
    """Return when the last byte came after the call, how long un-revoking took (ms), and how many bytes came.

    Args:
        kinds: what each process serves, that of the viewers first, that of the desk last.
        count: how many viewers are revoked.
    """
    servers = [Process("bench.revocation", *kind) for kind in kinds]
    for each in servers:
        each.port = int(each.line())
    media, url = (f"http://127.0.0.1:{each.port}" for each in (servers[0], servers[-1]))
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    late_ms: list[float] = []
    back_ms: list[float] = []
    after: list[float] = []

    async def one(client: httpx2.AsyncClient, number: int) -> None:
        viewer = Slow(servers[0].port, number)
        reading = asyncio.create_task(viewer.read())
        await viewer.full.wait()
        body = {"kind": "session", "value": viewer.claims.session}
        viewer.revoked_at = time.monotonic()
        answer = await client.post(PATH, json=body)
        assert answer.status_code == 201, answer.text
        await reading
        late_ms.append(max(0.0, viewer.last_at - viewer.revoked_at) * 1e3)
        after.append(viewer.bytes_after)
        token = KEYRING.issue(viewer.claims)
        assert (await client.get(f"{media}/{token}")).status_code == 403
        begun = time.monotonic()
        assert (await client.delete(f"{PATH}/{answer.json()['id']}")).status_code == 204
        while True:
            async with client.stream("GET", f"{media}/{token}") as stream:
                if stream.status_code == 200:
                    back_ms.append((time.monotonic() - begun) * 1e3)
                    return
                # Another process hears of it a little later.
                assert len(servers) > 1

    try:
        limits = httpx2.Limits(max_connections=AT_A_TIME)
        async with httpx2.AsyncClient(
            base_url=url, headers=headers, trust_env=False, timeout=60, limits=limits
        ) as client:
            numbers = iter(range(count))

            async def lane() -> None:
                for number in numbers:
                    await one(client, number)

            await asyncio.gather(*(lane() for _ in range(AT_A_TIME)))
    finally:
        for each in servers:
            each.end()
    return late_ms, back_ms, after


async def trials_across(count: int) -> tuple[list[float], list[float], list[float]]:
    """Do the same with the desk in one process and the viewers at another."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        redis = Redis(Path(folder))
        await redis.start()
        try:
            return await trials([["media", redis.url], ["desk", redis.url]], count)
        finally:
            redis.kill()


def values(count: int) -> list[str]:
    """Return ids as tokens have them."""
    return [new_id() for _ in range(count)]


def weigh(kind: str) -> None:
    """Keep a million and print what they weigh, in bytes, and what a look-up takes, in ns."""
    import os

    now = int(wall())
    started = rss_bytes(os.getpid())
    if kind == "weigh-set":
        plain: set[str] = set()
        for _ in range(LIVE):
            plain.add(new_id())
        gc.collect()
        weight = rss_bytes(os.getpid()) - started
        asked = values(1_000)
        begun = time.process_time_ns()
        for _ in range(LOOKUPS // len(asked)):
            for value in asked:
                value in plain  # noqa: B015 - what it costs is what is asked
        print(weight, (time.process_time_ns() - begun) / LOOKUPS, 0)
        return
    bus, index = MemoryBus(time.monotonic), RevocationIndex()
    gate = Gate(TokenCache(TokenVerifier(KEYS)), index)
    Enforcement(
        bus, index, [Flights()], judge=lambda claims, whence, scope: gate.decide(claims, "bench", scope, now=wall()),
        wall=wall, max_stale_running_s=60,
    ).start()  # fmt: skip
    longest = 0
    for number in range(LIVE):
        expires = now + 60 * (1 + number % (30 * 1_440))
        change = Revocation(new_id(12), Subject(SubjectKind.TOKEN, new_id()), "shared it", now, expires, "bench")
        begun = time.process_time_ns()
        bus.publish(revocations_topic(), number, change)
        longest = max(longest, time.process_time_ns() - begun)
        bus.trim(revocations_topic(), number + 1)
    gc.collect()
    weight = rss_bytes(os.getpid()) - started
    assert len(index) == LIVE
    several = [claims_of(number) for number in range(1_000)]
    begun = time.process_time_ns()
    for _ in range(LOOKUPS // len(several)):
        for claims in several:
            index.covers(claims, now)
    print(weight, (time.process_time_ns() - begun) / LOOKUPS, longest / 1e6)


def weighed(kind: str) -> tuple[float, float, float]:
    """Weigh in a process of its own."""
    one = Process("bench.revocation", kind)
    try:
        weight, lookup_ns, longest_ms = map(float, one.line().split())
    finally:
        one.end()
    return weight, lookup_ns, longest_ms


def run() -> list[dict[str, Any]]:
    """Measure everything and return the results."""
    raise_limits()
    late_ms, back_ms, after = uvloop.run(trials([["cut"]], TRIALS))
    aborted_ms, _, aborted_after = uvloop.run(trials([["abort"]], ABORTS))
    across_ms, across_back_ms, _ = uvloop.run(trials_across(TRIALS))
    ours, lookup_ns, longest_ms = weighed("weigh")
    yardstick, set_ns, _ = weighed("weigh-set")
    here = machine()
    return [
        {
            "what": f"last byte at a slow client after the call to revoke, {TRIALS} trials, p100",
            "unit": "ms", "ours": round(max(late_ms), 1), "p50": round(percentile(late_ms, 50), 1),
            "p99": round(percentile(late_ms, 99), 1), "most_bytes_after": max(after),
            "figure": "<= 250 ms", "met": max(late_ms) <= 250,
            "yardstick": round(max(aborted_ms), 1), "yardstick_what": f"transport.abort() alone, {ABORTS} trials",
            "yardstick_most_bytes_after": max(aborted_after),
            "ratio": round(max(late_ms) / max(aborted_ms), 3), **here,
        },
        {
            "what": f"the same across two processes and Redis, {TRIALS} trials, p100",
            "unit": "ms", "ours": round(max(across_ms), 1), "p50": round(percentile(across_ms, 50), 1),
            "p99": round(percentile(across_ms, 99), 1), "undone_p100": round(max(across_back_ms), 1),
            "figure": "<= 1000 ms", "met": max(across_ms) <= 1_000,
            "yardstick": round(max(late_ms), 1), "yardstick_what": "within one process",
            "ratio": round(max(across_ms) / max(late_ms), 2), **here,
        },
        {
            "what": f"undone to the first byte of an answer, {TRIALS} trials, p100",
            "unit": "ms", "ours": round(max(back_ms), 1), "p50": round(percentile(back_ms, 50), 1),
            "figure": "<= 250 ms", "met": max(back_ms) <= 250, **here,
        },
        {
            "what": f"memory of {LIVE} live revocations", "unit": "MB", "ours": round(ours / 1e6, 1),
            "figure": "<= 150 MB", "met": ours <= 150e6, "yardstick": round(yardstick / 1e6, 1),
            "yardstick_what": "a set of their ids", "ratio": round(ours / yardstick, 2),
            "longest_insert_ms": round(longest_ms, 2), **here,
        },
        {
            "what": f"look-up of claims among {LIVE}", "unit": "ns", "ours": round(lookup_ns),
            "figure": "<= 1,000 ns", "met": lookup_ns <= 1_000, "yardstick": round(set_ns),
            "yardstick_what": "one look into that set", "ratio": round(lookup_ns / set_ns, 2), **here,
        },
    ]  # fmt: skip


def main() -> None:
    """Print ours, the yardsticks' and the ratios."""
    report("revocation", run())


if __name__ == "__main__":
    match sys.argv[1:]:
        case [("cut" | "abort" | "media" | "desk") as kind, *redis]:
            raise_limits()
            uvloop.run(serve(kind, redis[0] if redis else None))
        case [("weigh" | "weigh-set") as kind]:
            weigh(kind)
        case _:
            main()
