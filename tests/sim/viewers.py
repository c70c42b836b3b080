"""Viewers, by seed: the real Python client over the simulated network, and a player that asks for the video."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

from hub.client import Session
from hub.close_codes import CloseCode
from hub.cursor import read_cursor
from hub.io.client import Client, Refused
from tests.sim.course import EVERYWHERE
from tests.sim.http_client import Reply, request
from tests.sim.loop import WHO
from tests.sim.record import Seen
from tests.support.invariants import Wire
from tests.support.tokens import KEYRING, claims

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from websockets.asyncio.client import ClientConnection

    from hub.subscriber import Format
    from tests.sim.world import World

PLAYER_POLL_S = 1.6
AGAIN_S = 0.4
"""How often somebody inside of a blackout looks whether it is over."""

_SEGMENT = re.compile(r"^main/([0-9]+)-([0-9]+)\.ts$", re.MULTILINE)


def listed_in(body: bytes) -> list[tuple[int, int]]:
    """Return the segments that a list names, by generation and number; those of another showing are not among them."""
    return [(int(one[0]), int(one[1])) for one in _SEGMENT.findall(body.decode())]


class TappedSession(Session):
    """The client's own session; what comes in and what its application is shown is noted."""

    def __init__(self, wish: Mapping[str, Any], seen: Seen) -> None:
        super().__init__(wish)
        self.seen = seen
        self.connection = 0
        self.to_say: list[dict[str, Any]] = []
        self.is_subscribed = False
        self.beat_at = 0.0
        """The server's time of day when it sent the last heartbeat that was read here."""

    def connected(self) -> dict[str, Any]:
        """Begin a connection."""
        self.connection += 1
        self.is_subscribed = False
        return super().connected()

    def receive(self, frame: Mapping[str, Any], now: float) -> bool:
        """Take in a frame."""
        seen, op = self.seen, frame.get("op")
        if op == "hb":
            self.beat_at = frame["now"] / 1000
        self.is_subscribed = self.is_subscribed or op == "sub"
        if op == "sub" and self._epoch is not None and frame["epoch"] != self._epoch:
            # Another log: what was before is judged by itself.
            seen.wires.append(seen.wire)
            seen.wire, seen.based = Wire(), None
        seen.wire.frames.append((now, self.connection, frame))
        if op == "snap":
            told = read_cursor(frame["cur"])
            assert told is not None
            place = frame["as_of"]
            # Of who sees everything at once it tells everything.
            all_told = EVERYWHERE if seen.wish["mode"] == "realtime" else told.cursor.upto
            upto = (place["tl"], int(place["pts"])) if place else all_told
            seen.based, seen.based_at = ((upto[0], int(upto[1])), told.cursor.o), now
        elif op == "sub":
            seen.conflates = seen.conflates or bool(frame["conflate_ms"])
            if not frame["resumed"]:
                seen.based = None
        is_new = super().receive(frame, now)
        if is_new:
            seen.wire.shown.append(frame)
        return is_new

    def take_outgoing(self) -> list[dict[str, Any]]:
        """Return what the session says by itself, and what its user says."""
        own = super().take_outgoing()
        self.seen.mismatches += sum(message["op"] == "unsub" for message in own)
        said, self.to_say = self.to_say, []
        return [*own, *said]


class SpeakingClient(Client):
    """The client, and a way to say something over its connection at any time."""

    socket: ClientConnection | None = None

    async def _listen(self, socket: ClientConnection) -> AsyncGenerator[dict[str, Any], None]:
        self.socket = socket
        async for frame in super()._listen(socket):
            yield frame
        self.socket = None

    async def say(self, message: Mapping[str, Any]) -> None:
        """Send a message, if there is a connection."""
        if self.socket is not None:
            await self._send(self.socket, message)


class Viewer:
    """One subscriber and its habits."""

    def __init__(
        self, world: World, name: str, event_id: str, wish: dict[str, Any], format_: Format, *, healthy: bool
    ) -> None:
        trading = wish["mode"] == "realtime"
        scopes = {"watch", "wager"} | (
            {"server", "trading"} if trading else {"server"} if wish["mode"] == "edge" else set()
        )
        hidden = frozenset() if trading else frozenset({f"{event_id}-quant"})
        self.seen = Seen(name, event_id, wish, hidden, healthy)
        self.name = name
        self.frozen_until = 0.0
        self.pace_s = 0.0
        self._world = world
        self.token = token = KEYRING.issue(
            claims(
                event_id=event_id, scopes=frozenset(scopes), jti=name, account=name, session=name,
                home=world.plan.home_of(name),
            )
        )  # fmt: skip
        url = f"ws://server:80/api/v1/wagering/subscribe?event_id={event_id}"
        self.client = SpeakingClient(url, lambda: token, wish, world.dice.random, format_)
        self.session = self.client.session = TappedSession(wish, self.seen)

    async def run(self) -> None:
        """Read for ever, as fast or as slowly as it does."""
        WHO.set(self.name)
        mine = {"token": self.name, "account": self.name, "session": self.name, "event": self.seen.event_id}
        while True:
            try:
                await self._read()
            except Refused as refused:
                if refused.code == CloseCode.BLACKOUT:
                    await asyncio.sleep(AGAIN_S)
                elif refused.code == CloseCode.REVOKED:
                    await self._world.operator.let_in(mine)
                    self.try_again()
                else:
                    raise

    def try_again(self) -> None:
        """Take note that what was refused may be had."""

    async def _read(self) -> None:
        loop = self._world.loop
        async for _ in self.client.frames():
            if self.pace_s:
                await asyncio.sleep(self.pace_s)
            # Another fault may prolong it, and healing ends it.
            while loop.time() < self.frozen_until:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    def is_caught_up(self) -> bool:
        """Return whether it has read a heartbeat that was sent since nothing breaks any more, and is not in the dark.

        What is dark is owed to nobody inside before it is over, and then by a snapshot.
        """
        judge = self._world.judge
        record = judge.records[self.seen.event_id]
        if self.session.beat_at < self._world.healed_at or self.session.cur is None:
            return False
        told = read_cursor(self.session.cur)
        if told is None or told.epoch != record.log.epoch:
            return False
        upto = (told.cursor.upto.timeline, int(told.cursor.upto.pts))
        mine = [conn for conn in judge.conns.values() if conn.who == self.name and conn.subscribed is not None]
        return not any(judge.answers.dark.waits(conn, record, upto) for conn in mine)


class Player:
    """Ask for the playlist, and for its newest segments; nothing may be had before it is out."""

    def __init__(self, world: World, event_id: str) -> None:
        self._world = world
        self._event_id = event_id
        name = f"player-{event_id}"
        home = world.plan.home_of(name)
        token = KEYRING.issue(claims(event_id=event_id, jti=name, account=name, session=name, home=home))
        self._base = f"/hls/{token}/{event_id}"
        self._have: set[tuple[int, int]] = set()
        self.segments = 0
        self.listed: list[tuple[int, int]] = []
        """What the list named when it was read last."""

    @property
    def newest(self) -> tuple[int, int]:
        """Return what the list ended with when it was read last."""
        return self.listed[-1] if self.listed else (-1, -1)

    async def run(self) -> None:
        """Play for ever."""
        WHO.set(f"player-{self._event_id}")
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._look()
            await asyncio.sleep(PLAYER_POLL_S)

    async def _look(self) -> None:
        record, judge = self._world.judge.records[self._event_id], self._world.judge
        reply = await request("GET", f"{self._base}/index.m3u8")
        if reply.status != 200 or not reply.whole:
            return
        listed = listed_in(reply.body)
        if not listed:
            judge.fail("video", f"a playlist without segments: {reply.body!r}")
            return
        if record.key is None or listed[-1] > record.key:
            judge.fail("I1", f"{listed[-1]} is listed, {record.key} is open")
        if listed != sorted(listed) or [msn for _, msn in listed] != list(
            range(listed[0][1], listed[0][1] + len(listed))
        ):
            judge.fail("video", f"the list runs {listed}")
        self.listed = listed
        for key in listed[-2:]:
            if key not in self._have:
                await self._fetch(key)
        if self._world.dice.random() < 0.3:
            await self._peek(listed[-1])

    async def _fetch(self, key: tuple[int, int]) -> None:
        record, judge = self._world.judge.records[self._event_id], self._world.judge
        reply = await request("GET", f"{self._base}/main/{key[0]}-{key[1]}.ts")
        if reply.status == 200 and reply.whole:
            self._have.add(key)
            self.segments += 1
            timing = next((one for one, _ in record.timings.values() if tuple(one.key) == key), None)
            made = self._world.origin.by_uri.get(timing.uri) if timing is not None else None
            if made is not None and made.body != reply.body:
                judge.fail("video", f"{key} has other bytes than {made.uri}")

    async def _peek(self, last: tuple[int, int]) -> None:
        """Ask for what is not out yet."""
        record, judge = self._world.judge.records[self._event_id], self._world.judge
        reply: Reply = await request("GET", f"{self._base}/main/{last[0]}-{last[1] + 1}.ts")
        # It may have opened while the answer was on its way; what was open then is open now.
        if reply.status == 200 and (record.key is None or (last[0], last[1] + 1) > record.key):
            judge.fail("I1", f"{last[1] + 1} was served, {record.key} is open")
