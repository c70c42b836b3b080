"""The hub end to end on loopback: uvicorn's front door, real sockets, a bus that the tests publish to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import uvicorn
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from hub.io import driver
from hub.io.driver import Hub
from hub.settings import HubSettings
from kernel.bus import (
    entries_topic,
    epoch_signal,
    feeds_signal,
    opened_signal,
    served_signal,
    state_signal,
    timings_topic,
)
from kernel.cues import CueType
from kernel.decisions import Decision, Scope, Verdict, Whence
from kernel.feed_state import FeedState, Health
from kernel.io.memory_bus import MemoryBus
from kernel.marks import Served
from kernel.revocation import Subject, SubjectKind
from kernel.showings import Source
from kernel.tokens import Claims, Reason
from kernel.value import replace as changed
from lockstep.guard import GuardedHttp
from tests.hub.makers import SHOWING, STREAM, Gate, at, claims, entry, opened, state, timing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub.io.socket import Socket
    from kernel.timeline import MediaTime

FAR = int(time.time()) + 3_600
GATE = Gate(
    viewer=claims(Scope.WATCH, Scope.WAGER, expires=FAR),
    server=claims(Scope.SERVER, account="srv", expires=FAR),
    desk=claims(Scope.SERVER, Scope.TRADING, account="srv", expires=FAR),
    other=claims(Scope.WATCH, account="bob", expires=FAR),
    elsewhere=claims(Scope.WATCH, event_id="elsewhere", expires=FAR),
    old=claims(Scope.WATCH, expires=1_000),
    fresh=changed(claims(Scope.WATCH, expires=FAR), jti="fresh", session="fresh"),
)


class WatchedHub(Hub):
    """A hub that says when somebody has subscribed, and when a socket has gone."""

    gone: asyncio.Event
    subscribed: asyncio.Event

    def start(self) -> None:
        self.gone, self.subscribed = asyncio.Event(), asyncio.Event()
        super().start()

    def message(self, socket: Socket, data: bytes) -> None:
        super().message(socket, data)
        if self.counts()["subscribed"]:
            self.subscribed.set()

    def lost(self, socket: Socket) -> None:
        super().lost(socket)
        self.gone.set()


class Rig:
    """A running hub, its bus, and ways to reach both."""

    def __init__(self, settings: HubSettings) -> None:
        self.bus = MemoryBus(asyncio.get_running_loop().time)
        self.hub = WatchedHub(
            self.bus,
            {STREAM: SHOWING, "fenced": replace(SHOWING, event_id="fenced", allowed_origins=("https://a.example",))},
            GATE,
            settings,
            wall=time.time,
            new_id=lambda: "node",
        )
        self.port = 0
        self._timings = 0

    def url(self, event_id: str = STREAM) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/wagering/subscribe?event_id={event_id}"

    @asynccontextmanager
    async def client(self, token: str | None = "viewer", **more: Any) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with connect(
            more.pop("url", self.url()), additional_headers=headers, compression=None, ping_interval=None, **more
        ) as client:
            yield client

    def segment(self, msn: int, *, marked: bool = True) -> None:
        self.bus.publish(timings_topic(STREAM), self._timings, timing(msn))
        self._timings += 1
        self.bus.signal(opened_signal(STREAM), opened(msn, self.bus.now(), marked=marked))

    def publish(self, o: int, due: MediaTime | None, **more: Any) -> None:
        self.bus.publish(entries_topic(STREAM), o, entry(o, due, **more))


@asynccontextmanager
async def running(settings: HubSettings | None = None) -> AsyncIterator[Rig]:
    rig = Rig(settings or HubSettings(heartbeat_ms=30_000, drain_s=0.05))
    rig.bus.signal(epoch_signal(STREAM), "e1")
    rig.bus.signal(state_signal(STREAM), state())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("no request is meant for the app")

    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http=GuardedHttp, ws=rig.hub.protocol_class(), access_log=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    rig.hub.start()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        rig.port = listening.getsockname()[1]
        await server.startup(sockets=[listening])
        try:
            yield rig
        finally:
            await rig.hub.drain()
            await server.shutdown()


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def hear(client: ClientConnection, op: str | None = None) -> dict[str, Any]:
    """Return the next frame, or the next with `op`."""
    while True:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 5))
        if op is None or frame["op"] == op:
            return frame


async def farewell(client: ClientConnection) -> tuple[dict[str, Any], int]:
    """Return the `bye`, and the code of the Close frame that follows it."""
    bye = await hear(client, "bye")
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(client.recv(), 5)
    assert closed.value.rcvd is not None
    return bye, closed.value.rcvd.code


async def subscribe(client: ClientConnection, **fields: Any) -> dict[str, Any]:
    await say(client, op="sub", **fields)
    answer = await hear(client, "sub")
    await hear(client, "hb")
    while not answer["resumed"]:
        snap = await hear(client, "snap")
        if snap["i"] == snap["n"]:
            break
    return answer


async def test_hello_sub_heartbeat_with_bearer() -> None:
    async with running() as rig, rig.client(subprotocols=["lockstep.v1.json", "lockstep.v1.msgpack"]) as client:
        assert client.subprotocol == "lockstep.v1.json"
        hello = await hear(client)
        assert (hello["op"], hello["v"], hello["event_id"], hello["epoch"]) == ("hello", 1, STREAM, "e1")
        await say(client, op="sub")
        answer = await hear(client)
        assert (answer["op"], answer["mode"], answer["types"], answer["resumed"]) == ("sub", "viewer", None, False)
        beat = await hear(client)
        assert (beat["op"], beat["sync"], beat["may_wager"], beat["sent"]) == ("hb", "waiting", False, 0)
        assert beat["feeds"] == {"nba": "unmonitored"}


async def test_token_in_the_first_frame_and_ping() -> None:
    async with running() as rig, rig.client(None) as client:
        assert (await hear(client, "hello"))["epoch"] is None
        await say(client, op="sub")
        assert (await hear(client))["code"] == "auth_required"
        await say(client, op="auth", token="viewer")
        await say(client, op="ping", t=7)
        assert (await hear(client, "pong"))["t"] == 7
        assert (await subscribe(client))["mode"] == "viewer"


@pytest.mark.parametrize(
    ("token", "event_id", "code", "reason"),
    [
        ("forged", STREAM, 4501, "unauthorized"),
        ("forged", "unknown", 4501, "unauthorized"),
        ("old", STREAM, 4511, "expired"),
        ("elsewhere", STREAM, 4501, "wrong_event"),
        ("elsewhere", "elsewhere", 4501, "unknown_event"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
async def test_refused(token: str, event_id: str, code: int, reason: str, early: bool) -> None:
    async with running() as rig, rig.client(token if early else None, url=rig.url(event_id)) as client:
        if not early:
            await say(client, op="auth", token=token)
        bye, closed = await farewell(client)
        assert (bye["code"], closed, bye["reason"]) == (code, code, reason)
        assert "retry_ms" not in bye


async def test_origins_are_held_to_the_list() -> None:
    async with running() as rig:
        GATE.tokens["fenced"] = claims(Scope.WATCH, event_id="fenced", expires=FAR)
        async with rig.client("fenced", url=rig.url("fenced"), origin="https://b.example") as client:
            assert (await farewell(client))[1] == 4505
        async with rig.client("fenced", url=rig.url("fenced"), origin="https://a.example") as client:
            await subscribe(client)


async def test_auth_timeout() -> None:
    settings = HubSettings(auth_timeout_s=0.05, drain_s=0.05)
    async with running(settings) as rig, rig.client(None) as client:
        bye, code = await farewell(client)
        assert (bye["reason"], code) == ("auth_timeout", 4430)
        assert bye["retry_ms"] > 0


async def test_expiry_ends_a_running_connection() -> None:
    async with running() as rig:
        GATE.tokens["short"] = claims(Scope.WATCH, expires=int(time.time()) + 1)
        async with rig.client("short") as client:
            await subscribe(client)
            assert (await farewell(client))[1] == 4511


async def test_a_refresh_is_for_the_same_account() -> None:
    async with running() as rig, rig.client("viewer") as client:
        await subscribe(client)
        await say(client, op="auth", token="viewer")
        await say(client, op="auth", token="other")
        bye, code = await farewell(client)
        assert (bye["reason"], code) == ("wrong_account", 4501)
        assert "cur" in bye


async def test_edge_takes_a_server_token() -> None:
    async with running() as rig, rig.client("viewer") as client:
        await say(client, op="sub", mode="edge")
        assert (await hear(client, "error"))["code"] == "scope_missing"
        await subscribe(client)
        await say(client, op="sub")
        assert (await hear(client, "error"))["code"] == "already_subscribed"


async def test_a_cue_waits_for_its_picture() -> None:
    async with running() as rig, rig.client("server") as client:
        rig.segment(0)
        await subscribe(client, mode="edge")
        rig.publish(0, at(3.5), body={"txt": "goal", "op": "bye", "score": {"home": 1, "away": 0}})
        rig.publish(1, at(3.0), id="nba:x")
        rig.publish(2, at(3.0), id="nba:x", rev=2)
        rig.publish(3, at(5.0))
        await say(client, op="ping", t=1)
        assert (await hear(client))["op"] == "pong"
        rig.segment(1)
        first, second = await hear(client), await hear(client)
        assert (first["o"], first["rev"], second["o"]) == (2, 2, 0)
        assert (second["op"], second["txt"], second["score"]) == ("cue", "goal", {"home": 1, "away": 0})
        assert (second["tl"], second["pts"], "late_ms" in second, "part" in second) == (0, 315_000, False, False)
        rig.publish(4, at(1.0))
        assert (await hear(client))["o"] == 4


async def test_viewers_are_held_back_and_see_frame_by_frame() -> None:
    async with running() as rig, rig.client("viewer") as client:
        opened_at = rig.bus.now()
        for msn in range(6):
            rig.segment(msn)
        await subscribe(client)
        # The opened end is at 12 s, so the player is at 6 s.
        rig.publish(0, at(6.3))
        rig.publish(1, at(6.2))
        rig.publish(2, at(7.9))
        assert (await hear(client, "cue"))["o"] == 1
        assert rig.bus.now() - opened_at >= 0.19
        assert (await hear(client, "cue"))["o"] == 0
        assert rig.bus.now() - opened_at >= 0.29


async def test_types_hide_and_safety_passes() -> None:
    async with running() as rig, rig.client("server") as client, rig.client("desk") as desk:
        await subscribe(client, mode="edge", types=["score"])
        await subscribe(desk, mode="edge")
        rig.publish(0, at(1), type=CueType.PLAY)
        rig.publish(1, None, type=CueType.SUSPEND)
        rig.publish(2, at(1), type=CueType.SCORE)
        rig.publish(3, at(1), source="desk", type=CueType.SCORE)
        assert (await hear(client, "cue"))["o"] == 1
        rig.segment(0)
        assert (await hear(client, "cue"))["o"] == 2
        assert [(await hear(desk, "cue"))["o"] for _ in range(4)] == [1, 0, 2, 3]
        rig.publish(4, None)
        assert (await hear(client, "cue"))["o"] == 4


async def test_lost_sync_suspends_at_once_and_comes_back() -> None:
    async with running() as rig, rig.client("viewer") as client:
        await subscribe(client)
        rig.segment(0)
        assert (await hear(client, "hb"))["may_wager"] is True
        rig.bus.signal(opened_signal(STREAM), opened(1, rig.bus.now(), marked=False))
        beat = await hear(client, "hb")
        assert (beat["sync"], beat["may_wager"]) == ("lost", False)
        rig.segment(2)
        assert (await hear(client, "hb"))["may_wager"] is True


async def test_unsubscribed_hears_nothing() -> None:
    async with running() as rig, rig.client("server") as client:
        await subscribe(client, mode="edge")
        await say(client, op="unsub")
        assert (await hear(client))["op"] == "unsub"
        rig.publish(0, at(1))
        rig.segment(0)
        await say(client, op="unsub")
        assert (await hear(client))["code"] == "not_subscribed"
        await subscribe(client, mode="edge")
        rig.publish(1, at(3))
        rig.segment(1)
        assert (await hear(client, "cue"))["o"] == 1


async def test_heartbeats_come_by_themselves() -> None:
    settings = HubSettings(min_heartbeat_ms=50, drain_s=0.05)
    async with running(settings) as rig, rig.client("server") as client:
        await subscribe(client, mode="edge", heartbeat_ms=50)
        rig.publish(0, at(1))
        rig.segment(0)
        await hear(client, "cue")
        beats = [await hear(client, "hb") for _ in range(3)]
        assert [beat["sent"] for beat in beats] == [1, 1, 1]
        assert beats[0]["behind_ms"] == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [("{", "bad_frame"), ("[]", "bad_frame"), (b"{}", "bad_frame"), ("x" * 5_000, "bad_frame"), ('{"op":1}', "bad")],
)
async def test_bad_frames_end_the_connection(data: str | bytes, reason: str) -> None:
    async with running() as rig, rig.client("viewer") as client:
        await client.send(data)
        bye, code = await farewell(client)
        assert code == 4400
        assert bye["reason"].startswith(reason)


async def test_fragments_are_one_message() -> None:
    async with running() as rig, rig.client("viewer") as client:
        await hear(client, "hello")
        await client.send(['{"op":"pi', 'ng","t":', '"x"}'])
        assert (await hear(client))["t"] == "x"


async def test_too_many_frames() -> None:
    async with running() as rig, rig.client("viewer") as client:
        for _ in range(60):
            await say(client, op="ping", t=0)
        assert (await farewell(client))[1] == 4429


async def test_too_many_sockets() -> None:
    async with running(HubSettings(max_subscribers=1, drain_s=0.05)) as rig, rig.client(), rig.client() as late:
        assert (await farewell(late))[1] == 4413


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/wagering/subscribe", 400),
        ("/api/v1/wagering/subscribe?event_id=a.b", 400),
        ("/api/v1/wagering/subscribe?event_id=game&event_id=game", 400),
        ("/api/v1/wagering/subscribe?event_id=game&token=x", 400),
        ("/api/v1/wagering/subscribe?" + "&".join("abcdefghijk"), 400),
        ("/elsewhere?event_id=game", 404),
    ],
)
async def test_a_programmers_mistake_is_answered_in_http(target: str, status: int) -> None:
    async with running() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status)
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status
        writer.close()
        await writer.wait_closed()


async def test_a_bad_handshake_is_a_problem_too() -> None:
    async with running() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(
            b"GET /api/v1/wagering/subscribe?event_id=game HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"Sec-WebSocket-Key" in answer
        writer.close()
        await writer.wait_closed()


async def test_a_frame_in_the_packet_of_the_upgrade_is_not_lost() -> None:
    async with running() as rig:
        core = ClientProtocol(parse_uri(rig.url()))
        request = core.connect()
        request.headers["Authorization"] = "Bearer viewer"
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(request.serialize() + Frame(Opcode.TEXT, b'{"op":"ping","t":"early"}').serialize(mask=True))
        answer = await asyncio.wait_for(reader.readuntil(b'"early"'), 5)
        assert b'"op":"pong"' in answer
        writer.close()
        await writer.wait_closed()


async def stalled_reader(rig: Rig) -> socket.socket:
    """Return a subscribed raw socket that reads no more and whose kernel buffers are small."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", rig.port))
    core = ClientProtocol(parse_uri(rig.url()))
    request = core.connect()
    request.headers["Authorization"] = "Bearer server"
    await loop.sock_sendall(
        raw, request.serialize() + Frame(Opcode.TEXT, b'{"op":"sub","mode":"edge"}').serialize(mask=True)
    )
    seen = b""
    while b'"op":"hb"' not in seen:
        seen += await loop.sock_recv(raw, 65_536)
    return raw


async def a_slow_reader_is_closed_and_delays_nobody() -> None:
    settings = HubSettings(slow_after_s=0.3, heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=0.2)
    async with running(settings) as rig, rig.client("server") as healthy:
        await subscribe(healthy, mode="edge")
        raw = await stalled_reader(rig)
        rig.segment(0)
        count = 400
        for o in range(count):
            rig.publish(o, at(1), body={"txt": "x" * 500})
        assert rig.hub.counts()["behind"] >= 1
        assert [(await hear(healthy, "cue"))["o"] for _ in range(count)] == list(range(count))
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        raw.close()
        rig.publish(count, None)
        assert (await hear(healthy, "cue"))["o"] == count


async def a_paused_reader_gets_safety_and_catches_up() -> None:
    async with running() as rig:
        raw = await stalled_reader(rig)
        rig.segment(0)
        o = 0
        while not rig.hub.counts()["behind"]:
            rig.publish(o, at(1), body={"txt": "x" * 500})
            o += 1
        rig.publish(o, None, type=CueType.SUSPEND)
        for late in range(o + 1, o + 50):
            rig.publish(late, at(1))
        last = f'"o":{o + 49},'.encode()
        seen = b""
        loop = asyncio.get_running_loop()
        while last not in seen:
            seen += await asyncio.wait_for(loop.sock_recv(raw, 65_536), 5)
        assert seen.index(b'"cls":"safety"') < seen.index(f'"o":{o + 1},'.encode())
        assert [seen.count(f'"o":{number},'.encode()) for number in range(o + 50)] == [1] * (o + 50)
        assert rig.hub.counts()["behind"] == 0
        raw.close()


async def test_a_long_flush_goes_in_pieces() -> None:
    async with running() as rig, rig.client("server") as client:
        await subscribe(client, mode="edge")
        for o in range(300):
            rig.publish(o, at(1 + o / 1_000), body={"txt": "x" * 500})
        rig.segment(0)
        assert [(await hear(client, "cue"))["o"] for _ in range(300)] == list(range(300))
        await say(client, op="ping", t=0)
        await hear(client, "pong")
        counts = {"sockets": 1, "subscribed": 1, "behind": 0, "catching_up": 0, "cues_sent": 300, "alarms": 0}
        assert rig.hub.counts() == counts


async def test_an_unwritable_body_silences_nobody() -> None:
    async with running() as rig, rig.client("server") as client:
        await subscribe(client, mode="edge")
        rig.publish(0, at(1), body={"txt": float("nan")})
        rig.publish(1, at(1))
        rig.segment(0)
        assert (await hear(client, "cue"))["o"] == 1


async def test_msgpack_says_the_same_in_binary_frames() -> None:
    async with running() as rig, rig.client("server", subprotocols=["lockstep.v1.msgpack"]) as client:
        assert client.subprotocol == "lockstep.v1.msgpack"

        async def unpacked(op: str) -> dict[str, Any]:
            while True:
                data = await asyncio.wait_for(client.recv(), 5)
                assert isinstance(data, bytes)
                frame: dict[str, Any] = msgpack.unpackb(data)
                if frame["op"] == op:
                    return frame

        assert (await unpacked("hello"))["epoch"] == "e1"
        await client.send(msgpack.packb({"op": "sub", "mode": "edge"}))
        assert (await unpacked("snap"))["n"] == 1
        rig.segment(0)
        rig.publish(0, at(1), body={"txt": "é", "score": {"home": 1, "away": 0}})
        cue = await unpacked("cue")
        assert (cue["o"], cue["txt"], cue["score"]) == (0, "é", {"home": 1, "away": 0})
        await client.send('{"op":"ping"}')
        assert (await unpacked("bye"))["code"] == 4400


async def test_realtime_is_for_desks_and_leaves_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as rig, rig.client("server") as client, rig.client("desk") as desk:
        await say(client, op="sub", mode="realtime")
        assert (await hear(client, "error"))["code"] == "scope_missing"
        await subscribe(desk, mode="realtime")
        rig.publish(0, at(999))
        assert (await hear(desk, "cue"))["o"] == 0
        assert "realtime.subscribed" in capsys.readouterr().out
        assert rig.hub.counts()["alarms"] == 0


async def test_the_health_of_feeds_is_told_at_once() -> None:
    async with running() as rig, rig.client("viewer") as client, rig.client("desk") as desk:
        rig.segment(0)
        for each in (client, desk):
            await subscribe(each, mode="viewer")
        states = [FeedState(name, Health.DOWN, "silent", 0.0) for name in ("nba", "desk")]
        rig.bus.signal(feeds_signal(STREAM), tuple(states))
        assert (await hear(client)) == {"op": "feed", "source": "nba", "state": "down", "why": "silent"}
        beat = await hear(client)
        assert (beat["op"], beat["may_wager"], beat["feeds"]) == ("hb", False, {"nba": "down"})
        assert [(await hear(desk, "feed"))["source"] for _ in range(2)] == ["nba", "desk"]
        rig.bus.signal(
            feeds_signal(STREAM), (FeedState("nba", Health.UP, "", 1.0), FeedState("desk", Health.UP, "", 1.0))
        )
        assert (await hear(client, "feed"))["state"] == "up"
        assert (await hear(client, "hb"))["may_wager"] is True


async def test_an_update_of_rates_and_of_filters() -> None:
    async with running() as rig, rig.client("server") as client:
        rig.segment(0)
        answer = await subscribe(client, mode="edge", conflate_ms=90, teams=["HOM"])
        assert (answer["conflate_ms"], answer["heartbeat_ms"], answer["teams"]) == (100, 2_000, ["HOM"])
        await say(client, op="update", heartbeat_ms=500, conflate_ms=0)
        answer = await hear(client, "sub")
        assert (answer["resumed"], answer["heartbeat_ms"], answer["teams"]) == (True, 500, ["HOM"])
        rig.publish(0, at(1), body={"team": "AWY"})
        await say(client, op="update", teams=None)
        answer = await hear(client, "sub")
        assert (answer["resumed"], answer["why"], answer["teams"]) == (False, "filter_changed", None)
        await hear(client, "snap")
        rig.publish(1, at(1), body={"team": "AWY"})
        assert (await hear(client, "cue"))["o"] == 1


async def test_who_comes_back_is_given_what_it_missed() -> None:
    async with running() as rig:
        async with rig.client("server") as client:
            await subscribe(client, mode="edge")
            await say(client, op="unsub")
            cur = (await farewell_cursor(client, rig))["cur"]
        rig.segment(0)
        rig.publish(0, at(1))
        rig.publish(1, None, type=CueType.SUSPEND, body={"ver": 1})
        rig.publish(2, at(1.5))
        async with rig.client("server") as client:
            answer = await subscribe(client, mode="edge", cur=cur)
            assert answer["resumed"] is True
            assert [(await hear(client, "cue"))["o"] for _ in range(3)] == [1, 0, 2]


async def farewell_cursor(client: ClientConnection, rig: Rig) -> dict[str, Any]:
    """Subscribe again and return the heartbeat that says where that stands."""
    await say(client, op="sub", mode="edge", heartbeat_ms=500)
    while (beat := await hear(client, "hb"))["cur"] is None:
        pass
    return beat


async def test_too_many_who_catch_up_at_once_are_told_when_to_come_back() -> None:
    async with running(HubSettings(max_catching_up=0, drain_s=0.05)) as rig, rig.client("server") as client:
        await say(client, op="sub", mode="edge")
        bye, code = await farewell(client)
        assert (bye["reason"], code) == ("overloaded", 4413)
        assert 1_000 <= bye["retry_ms"] <= 6_000


async def test_a_reader_of_a_kilobyte_a_second_delays_nobody_and_is_let_go() -> None:
    settings = HubSettings(slow_after_s=0.4, heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=0.1)
    async with running(settings) as rig, rig.client("server") as healthy:
        await subscribe(healthy, mode="edge")
        raw = await stalled_reader(rig)
        loop = asyncio.get_running_loop()

        async def sip() -> None:
            for _ in range(600):
                await loop.sock_recv(raw, 100)
                await asyncio.sleep(0.1)

        sipping = asyncio.create_task(sip())
        rig.segment(0)
        for o in range(150):
            rig.publish(o, at(1), body={"txt": "x" * 500})
        assert [(await hear(healthy, "cue"))["o"] for _ in range(150)] == list(range(150))
        # TCP tells us nothing of a hundred bytes (RFC 9293, 3.8.6.2.2): to us it stands still, and may resume.
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        sipping.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sipping
        raw.close()


async def test_what_must_not_be_sent_closes_with_an_alarm() -> None:
    async with running() as rig, rig.client("server") as client:
        await subscribe(client, mode="edge")
        rig.publish(0, at(1))
        # The stream is told of an opening behind the guard's back.
        stream = rig.hub._streams[STREAM]
        stream.add_timing(timing(0), rig.bus.now())
        stream.open(opened(0, rig.bus.now()), rig.bus.now())
        rig.hub.settle(STREAM)
        bye = await hear(client)
        assert (bye["op"], bye["code"]) == ("bye", 4432)
        assert rig.hub.counts()["alarms"] == 1


async def test_drain_says_goodbye() -> None:
    async with running() as rig, rig.client() as client:
        await subscribe(client)
        draining = asyncio.create_task(rig.hub.drain())
        bye, code = await farewell(client)
        assert (bye["reason"], code) == ("going_away", 4412)
        assert bye["retry_ms"] >= 1_000
        await draining


async def test_the_servers_shutdown_says_goodbye_too() -> None:
    async with running() as rig, rig.client() as client:
        await subscribe(client)
        for each in list(rig.hub.sockets.values()):
            each.shutdown()
        assert (await farewell(client))[1] == 4412


async def test_a_new_epoch_sends_everyone_back() -> None:
    async with running() as rig, rig.client() as client:
        await subscribe(client)
        rig.bus.signal(epoch_signal(STREAM), "e1")
        rig.bus.signal(epoch_signal(STREAM), "e2")
        bye, code = await farewell(client)
        assert (bye["reason"], code) == ("epoch_changed", 4412)


async def test_a_dead_peer_is_cut() -> None:
    settings = HubSettings(ping_interval_s=0.05, max_missed_pings=2, drain_s=0.05, heartbeat_ms=30_000)
    async with running(settings) as rig, rig.client() as living:
        raw = await stalled_reader(rig)
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        await say(living, op="ping", t=1)
        await hear(living, "pong")
        raw.close()


async def test_a_heart_that_cannot_beat_stops_no_other() -> None:
    def dead(data: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    settings = HubSettings(heartbeat_ms=100, wheel_tick_s=0.2, drain_s=0.05)
    async with running(settings) as rig, rig.client() as first, rig.client() as second:
        for client in (first, second):
            await say(client, op="sub")
            await hear(client, "sub")
        # Both beat in one tick of the wheel, the dead one first; uvloop raises where asyncio is silent (TRAPS 16).
        next(iter(rig.hub.sockets.values())).subscriber.write = dead  # type: ignore[union-attr]
        for _ in range(4):
            await hear(second, "hb")
        await asyncio.wait_for(rig.hub.gone.wait(), 5)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_slow_and_paused_readers_on_both_loops(run: Any) -> None:
    """Transports differ in when they pause, and in what a dead one does when it is written to."""
    run(a_slow_reader_is_closed_and_delays_nobody())
    run(a_paused_reader_gets_safety_and_catches_up())


async def test_a_drain_goes_at_a_pace_and_cuts_who_does_not_answer() -> None:
    settings = HubSettings(drain_s=0.1, close_timeout_s=0.05, max_subscribers=200)
    async with running(settings) as rig:
        raws = [await stalled_reader(rig) for _ in range(101)]
        await rig.hub.drain()
        assert rig.hub.counts()["subscribed"] == 0
        async with rig.client() as late:
            assert (await farewell(late))[1] == 4412
        for raw in raws:
            raw.close()


async def test_a_drain_that_nobody_answers_ends_all_the_same() -> None:
    settings = HubSettings(drain_s=0.05, close_timeout_s=-0.9, wheel_tick_s=10)
    async with running(settings) as rig:
        raw = await stalled_reader(rig)
        await rig.hub.drain()
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        raw.close()


ANN, SERVER = Subject(SubjectKind.ACCOUNT, "ann"), Subject(SubjectKind.ACCOUNT, "srv")


async def test_who_is_revoked_is_told_at_once_and_does_not_come_back() -> None:
    async with running() as rig, rig.client() as mine, rig.client("server") as other:
        for client in (mine, other):
            await hear(client, "hello")
        await subscribe(mine)
        rig.hub.revoke(Subject(SubjectKind.EVENT, "elsewhere"))
        rig.hub.revoke(ANN)
        bye, code = await farewell(mine)
        assert (bye["code"], bye["reason"], code) == (4510, "revoked", 4510)
        await say(other, op="ping", t=1)
        assert (await hear(other, "pong"))["t"] == 1
        # It has left: once more ends nothing.
        rig.hub.revoke(ANN)
        rig.hub.revoke(SERVER)
        assert (await farewell(other))[1] == 4510


async def test_a_token_that_was_refreshed_counts_no_more() -> None:
    async with running() as rig, rig.client() as client:
        await hear(client, "hello")
        await say(client, op="auth", token="fresh")
        await say(client, op="ping", t=1)
        await hear(client, "pong")
        rig.hub.revoke(Subject(SubjectKind.TOKEN, "j"))
        await say(client, op="ping", t=2)
        await hear(client, "pong")
        rig.hub.revoke(Subject(SubjectKind.SESSION, "fresh"))
        assert (await farewell(client))[1] == 4510


async def test_a_revoked_reader_that_stands_still_is_cut() -> None:
    settings = HubSettings(heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=60, cut_after_s=0.05)
    async with running(settings) as rig, rig.client() as client:
        await subscribe(client)
        client.transport.pause_reading()
        rig.hub.revoke(ANN)
        # It does not answer our Close: the limit of those who are not revoked is a minute.
        await asyncio.wait_for(rig.hub.gone.wait(), 10)
        assert rig.hub.counts()["sockets"] == 0


async def test_who_is_revoked_while_it_is_sent_away_for_something_else_is_cut_all_the_same() -> None:
    settings = HubSettings(heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=60, cut_after_s=0.05)
    async with running(settings) as rig, rig.client() as client:
        await subscribe(client)
        client.transport.pause_reading()
        rig.hub.end_all()
        assert rig.hub.counts()["sockets"] == 1
        rig.hub.revoke(ANN)
        await asyncio.wait_for(rig.hub.gone.wait(), 10)
        assert rig.hub.counts()["sockets"] == 0
        rig.hub.revoke(ANN)


async def test_whoever_may_not_stay_where_they_are_is_told_and_whoever_may_not_wager_is_told_that() -> None:
    refused: dict[str, Reason] = {}
    barred: set[str] = set()

    def judge(claims: Claims, whence: Whence, scope: Scope) -> Decision:
        # What the player's device is no socket tells.
        assert whence.agent is None
        reason = refused.get(claims.account)
        if reason is not None or scope not in claims.scopes:
            return Decision(Verdict.REFUSE, reason or Reason.SCOPE_MISSING, False, False, claims)
        return Decision(Verdict.ADMIT, None, True, claims.account not in barred, claims)

    async with running() as rig, rig.client() as ann, rig.client("server") as srv, rig.client("other") as bob:
        rig.segment(1)
        for client in (ann, srv, bob):
            await subscribe(client, **({"mode": "edge"} if client is srv else {}))
        barred.add("ann")
        list(rig.hub.review(judge))
        assert (await hear(ann, "hb"))["may_wager"] is False
        barred.clear()
        list(rig.hub.review(judge))
        assert (await hear(ann, "hb"))["may_wager"] is True
        refused.update(ann=Reason.OUTSIDE_TERRITORY, bob=Reason.TOR)
        list(rig.hub.review(judge))
        bye, code = await farewell(ann)
        assert (bye["code"], bye["reason"], code) == (4503, "outside_territory", 4503)
        bye, code = await farewell(bob)
        assert (bye["code"], bye["reason"], code) == (4512, "tor", 4512)
        # Once they have gone they are asked about no more; the others stay.
        list(rig.hub.review(judge))
        await say(srv, op="ping", t=1)
        await hear(srv, "pong")


async def test_a_review_pauses_and_who_goes_meanwhile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_REVIEW_STEP", 2)
    seen: list[str] = []

    def judge(claims: Claims, whence: Whence, scope: Scope) -> Decision:
        seen.append(claims.account)
        return Decision(Verdict.ADMIT, None, True, True, claims)

    async with running() as rig, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(rig.client()) for _ in range(3)]
        for client in crowd:
            await hear(client, "hello")
        review = rig.hub.review(judge)
        next(review)
        assert len(seen) == 2
        await crowd[2].close()
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        assert list(review) == []
        assert len(seen) == 2


async def test_cut_off_from_the_bus_everybody_may_come_again_elsewhere() -> None:
    async with running() as rig, rig.client() as client, rig.client(None) as stranger:
        await hear(client, "hello")
        await hear(stranger, "hello")
        rig.hub.end_all()
        bye, code = await farewell(client)
        assert (code, bye["reason"], bye["retry_ms"] >= 1_000) == (4413, "stale", True)
        # Who has not been admitted has nothing that could be revoked.
        await say(stranger, op="sub")
        assert (await hear(stranger))["code"] == "auth_required"


async def test_a_viewer_that_reports_is_led_by_its_playhead_and_by_what_was_served() -> None:
    async with running() as rig, rig.client("viewer") as client:
        for msn in range(8):
            rig.segment(msn)
        rig.bus.signal(served_signal(STREAM), Served(STREAM, "s", 4, 6))
        await say(client, op="pos", msn=5, pts=at(11).pts, rate=0)
        await subscribe(client, lead_ms=250)
        rig.publish(0, at(10.9))
        assert (await hear(client, "cue"))["o"] == 0
        for o, seconds in enumerate((11.2, 11.3, 13.9, 14.1), 1):
            rig.publish(o, at(seconds))
        assert (await hear(client, "cue"))["o"] == 1
        # Far ahead, by its own account.
        await say(client, op="pos", tl=0, pts=at(999).pts, rate=1)
        assert [(await hear(client, "cue"))["o"] for _ in range(2)] == [2, 3]
        rig.bus.signal(served_signal(STREAM), Served(STREAM, "s", 7, 7))
        assert (await hear(client, "cue"))["o"] == 4


async def test_who_alone_is_too_far_behind_is_told_at_once() -> None:
    limited = HubSettings(heartbeat_ms=30_000, drain_s=0.05, max_wager_lag_s=8)
    async with running(limited) as rig, rig.client("viewer") as client, rig.client("other") as other:
        for msn in range(8):
            rig.segment(msn)
        rig.bus.signal(served_signal(STREAM), Served(STREAM, "s", 0, 7))
        await subscribe(client)
        await subscribe(other)
        await say(client, op="pos", tl=0, pts=at(7).pts, rate=0)
        assert (await hear(client, "hb"))["may_wager"] is False
        rig.publish(0, at(15))
        await say(client, op="pos", tl=0, pts=at(15.5).pts, rate=0)
        # Bets open again behind what its picture has brought, from a snapshot.
        assert (await hear(client, "hb"))["may_wager"] is True
        assert (await hear(client, "resync"))["why"] == "lag"
        await say(other, op="ping")
        assert (await hear(other))["op"] == "pong"


async def test_a_new_epoch_forgets_what_was_out() -> None:
    async with running() as rig:
        rig.segment(0)
        async with rig.client("server") as client:
            await subscribe(client, mode="edge")
            rig.bus.signal(epoch_signal(STREAM), "e2")
            assert (await farewell(client))[0]["reason"] == "epoch_changed"
        rig.bus.signal(opened_signal(STREAM), replace(opened(0, rig.bus.now()), epoch="e2"))
        async with rig.client("server") as client:
            assert (await hear(client, "hello"))["epoch"] == "e2"
        assert rig.hub.logs_unknown() == 1  # the showing that nobody feeds here


# Showings that come and go


async def test_a_showing_that_comes_can_be_subscribed_to_and_goes_with_a_bye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "STEP", 1)
    cup = replace(SHOWING, event_id="elsewhere")
    async with running() as rig:
        async with rig.client("elsewhere", url=rig.url("elsewhere")) as client:
            assert (await farewell(client))[0]["reason"] == "unknown_event"
        rig.bus.signal(epoch_signal("elsewhere"), "e2")
        rig.bus.signal(state_signal("elsewhere"), replace(state(), stream="elsewhere"))
        rig.hub.add(cup)
        async with (
            rig.client("elsewhere", url=rig.url("elsewhere")) as first,
            rig.client("elsewhere", url=rig.url("elsewhere")) as second,
            rig.client(None, url=rig.url("elsewhere")) as stranger,
            rig.client() as other,
        ):
            for one in (first, second, other):
                await subscribe(one)
            await rig.hub.remove("elsewhere")
            for one in (first, second):
                bye, closed = await farewell(one)
                assert (bye["reason"], closed) == ("showing_ended", 4501)
            # Who was not admitted hears nothing of it, and is a stranger's.
            await say(stranger, op="auth", token="elsewhere")
            assert (await farewell(stranger))[0]["reason"] == "unknown_event"
            await say(other, op="ping")
            await hear(other, "pong")
        assert "elsewhere" not in rig.hub.streams
        # And comes back.
        rig.hub.add(cup)
        async with rig.client("elsewhere", url=rig.url("elsewhere")) as client:
            await subscribe(client)


async def test_a_list_of_origins_that_changes_counts_for_whoever_comes_next() -> None:
    async with running() as rig:
        GATE.tokens["fenced"] = claims(Scope.WATCH, event_id="fenced", expires=FAR)
        async with rig.client("fenced", url=rig.url("fenced"), origin="https://a.example") as inside:
            await subscribe(inside)
            rig.hub.change(replace(SHOWING, event_id="fenced", allowed_origins=("https://b.example",)))
            async with rig.client("fenced", url=rig.url("fenced"), origin="https://a.example") as client:
                assert (await farewell(client))[1] == 4505
            async with rig.client("fenced", url=rig.url("fenced"), origin="https://b.example") as client:
                await subscribe(client)
            await say(inside, op="ping")
            await hear(inside, "pong")


async def test_a_source_that_becomes_the_desks_is_kept_from_everybody_else_at_once() -> None:
    async with running() as rig:
        async with rig.client("server") as client, rig.client("desk") as trader:
            for one in (client, trader):
                await subscribe(one, mode="edge")
            hidden = replace(SHOWING, sources=(*SHOWING.sources, Source("tape", "lockstep", audience="trading")))
            rig.hub.change(hidden)
            rig.publish(0, at(1.0), id="tape:secret")
            rig.segment(0)
            frame = await hear(client)
            while frame["op"] not in ("cue", "bye"):
                frame = await hear(client)
            assert (frame["op"], frame.get("reason"), frame.get("code")) == ("bye", "sources_changed", 4431)
            assert (await hear(trader, "cue"))["id"] == "tape:secret"
        # Whoever comes back does not see it.
        async with rig.client("server") as client:
            await subscribe(client, mode="edge")
            rig.publish(1, at(3.0), id="tape:more")
            rig.publish(2, at(3.0), id="nba:plain")
            rig.segment(1)
            assert (await hear(client, "cue"))["id"] == "nba:plain"
