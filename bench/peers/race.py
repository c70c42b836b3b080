"""The race: every peer sends the same bytes to as many sockets, in turns, and each has its accounts kept alike.

All servers run at the same time, each in processes of its own, with their receivers connected; only one is told to
publish at a time. In each round a peer publishes a few messages, one after the other, and then ten at once; who goes
first changes from round to round. Machines change from one minute to the next, so ours is held against a peer round by
round, and the median of these ratios counts. The bytes are those that the hub puts on the wire for a play, without the
frame's head; the others are given these to publish. What is taken down of each:

* the processor time of its processes, all threads, user and system, from before the first message to after the last
  has arrived, divided by messages and sockets;
* when a message was in the receiving kernel of the median and the last socket, after it was published;
* resident memory that came with the sockets, divided by them, before the first message.

Receivers pause while a message goes out: on two cores they would otherwise be measured with the server.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench._packages import Absent
from bench._skips import skip
from bench._stage import OUT, raise_limits, report
from bench.peers import page, readers
from bench.peers.accounts import AT_ONCE, SOCKETS, Account, results
from bench.peers.bare_write import BareWrite
from bench.peers.lockstep_hub import LockstepHub
from bench.peers.mosquitto import Mosquitto
from bench.peers.nats import Nats
from bench.peers.nchan import Nchan
from bench.peers.node import NodeWs, SocketIo
from bench.peers.picows_send import PicowsSend
from bench.peers.readers import Readers
from bench.peers.websockets_broadcast import WebsocketsBroadcast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.contract import Peer

PEERS: tuple[type[Peer], ...] = (
    LockstepHub, BareWrite, WebsocketsBroadcast, PicowsSend, NodeWs, SocketIo, Nchan, Nats, Mosquitto,
)  # fmt: skip
ROUNDS, MESSAGES = 8, 4
WARM = 0.05
"""The share of the sockets that joins before memory is weighed: what is allocated once is nobody's."""
SPARE_FILES = 300
DOCS = Path(__file__).parents[2] / "docs"
PAUSE_MS, PAUSE_US_PER_SOCKET = 15, 40
"""Longer than a message takes to the last socket of the slowest peer."""


@dataclass(slots=True)
class Lane:
    """A peer in the race, with its receivers and what was taken down."""

    peer: Peer
    readers: Readers
    version: str
    bytes_per_socket: float = 0.0
    bytes_taken: int = 0
    """What all receivers together had of what was published last."""
    wire_bytes: float = 0.0
    single_us: list[float] = field(default_factory=list)
    at_once_us: list[float] = field(default_factory=list)
    median_ms: list[float] = field(default_factory=list)
    last_ms: list[float] = field(default_factory=list)

    def publish(self, payloads: list[bytes], pause_ms: int) -> tuple[float, float]:
        """Publish, wait for the last to have it, and return when the median and the last had, in ms."""
        began = time.monotonic_ns()
        self.peer.publish(payloads)
        taken = self.readers.take(len(payloads), pause_ms)
        self.bytes_taken = taken.bytes
        return (taken.median_ns - began) / 1e6, (taken.last_ns - began) / 1e6

    def stop(self) -> None:
        """End the server first: one whose thousands of clients vanish has much to do."""
        self.peer.stop()
        self.readers.stop()


def enter(kind: type[Peer], number: int, sockets: int, folder: Path, command: list[str]) -> Lane:
    """Start a peer and have everybody subscribe.

    Raises:
        Absent: it cannot be had on this machine.
    """
    folder.mkdir()
    peer = kind(folder, sockets)
    receivers = None
    try:
        version = peer.start()
        receivers = Readers(command, peer.port, number + 1, peer.steps(), folder)
        lane = Lane(peer, receivers, version)
        warm = max(1, round(sockets * WARM))
        receivers.join(warm)
        before = peer.rss_bytes()
        receivers.join(sockets - warm)
        lane.bytes_per_socket = (peer.rss_bytes() - before) / (sockets - warm)
    except BaseException:
        peer.stop()
        if receivers is not None:
            receivers.stop()
        raise
    return lane


def payload_of(lane: Lane, pause_ms: int) -> bytes:
    """Return what the hub sends for a play, without the head of its frame (RFC 6455, 5.2: 4 bytes at this length)."""
    lane.publish([b""], pause_ms)
    shown = lane.readers.show()
    begins = shown.index(b"{", shown.rindex(b"\x81\x7e"))
    payload = shown[begins:]
    if len(payload) != int.from_bytes(shown[begins - 2 : begins], "big") or b'"mark":' not in payload:
        raise RuntimeError(f"that is no play alone in a frame: {shown[:80]!r}")
    return payload


def run_round(lane: Lane, payload: bytes, messages: int, pause_ms: int) -> None:
    """Have one peer publish a round's messages, and take everything down."""
    began = lane.peer.cpu_s()
    for _ in range(messages):
        median_ms, last_ms = lane.publish([payload], pause_ms)
        lane.median_ms.append(median_ms)
        lane.last_ms.append(last_ms)
    between = lane.peer.cpu_s()
    lane.wire_bytes = lane.bytes_taken / lane.peer.sockets
    lane.publish([payload] * AT_ONCE, 2 * pause_ms)
    after = lane.peer.cpu_s()
    lane.single_us.append(1e6 * (between - began) / messages / lane.peer.sockets)
    lane.at_once_us.append(1e6 * (after - between) / AT_ONCE / lane.peer.sockets)


def account(lane: Lane) -> Account:
    """Return what was taken down of a peer."""
    return Account(
        lane.peer.name, lane.version, lane.peer.figure, tuple(lane.single_us), tuple(lane.at_once_us),
        statistics.median(lane.median_ms), statistics.median(lane.last_ms), lane.bytes_per_socket, lane.wire_bytes,
    )  # fmt: skip


def measure(
    kinds: Sequence[type[Peer]], sockets: int, rounds: int, messages: int, pause_ms: int
) -> tuple[list[Lane], int]:
    """Run the race; return the lanes, ours first, and how many bytes a message has."""
    command = readers.program(OUT / "peers")
    print(f"receivers: {Path(command[-1]).name}, which pause for {pause_ms} ms", flush=True)
    lanes: list[Lane] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-peers-") as made:
        # nginx and mosquitto give up root's rights before they have read all.
        Path(made).chmod(0o755)
        try:
            for number, kind in enumerate(kinds):
                try:
                    lanes.append(enter(kind, number, sockets, Path(made) / str(number), command))
                except Absent as error:
                    skip(f"peers, {kind.name}", str(error))
            payload = payload_of(lanes[0], pause_ms)
            for lane in lanes:
                lane.publish([payload], pause_ms)
                if lane.peer.name != LockstepHub.name and payload not in lane.readers.show():
                    raise RuntimeError(f"{lane.peer.name} sends other bytes: {lane.readers.show()[:200]!r}")
            for number in range(rounds):
                turn = number % len(lanes)
                for lane in [*lanes[turn:], *lanes[:turn]]:
                    run_round(lane, payload, messages, pause_ms)
        finally:
            for lane in lanes:
                lane.stop()
    return lanes, len(payload)


def main(options: list[str]) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser("python -m bench peers", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--sockets", type=int, default=SOCKETS, help="of each peer")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="of a round, beside those that go out at once")
    parser.add_argument(
        "--pause-ms", type=int, help="for how long receivers do not read; 0: they read whatever comes as it comes"
    )
    parser.add_argument("--only", default="", help="names of peers, parted by commas; ours is always there")
    parser.add_argument("--docs", action="store_true", help="write what was measured into docs/performance.md")
    asked = parser.parse_args(options)
    raise_limits()
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < asked.sockets + SPARE_FILES:
        needed = asked.sockets + SPARE_FILES
        skip("peers", f"{asked.sockets} sockets take {needed} file descriptors, {allowed} are allowed: ulimit -Hn")
        return
    names = [name for name in asked.only.split(",") if name]
    unknown = [name for name in names if name not in [kind.name for kind in PEERS]]
    if unknown:
        parser.error(f"no peer is called {unknown[0]}; there are {', '.join(kind.name for kind in PEERS)}")
    kinds = [kind for kind in PEERS if not names or kind is LockstepHub or kind.name in names]
    pause_ms = asked.pause_ms
    if pause_ms is None:
        pause_ms = PAUSE_MS + asked.sockets * PAUSE_US_PER_SOCKET // 1_000
    lanes, payload_bytes = measure(kinds, asked.sockets, asked.rounds, asked.messages, pause_ms)
    rows = results([account(lane) for lane in lanes], asked.sockets, pause_ms, payload_bytes)
    if not rows:
        return
    report("peers", rows)
    print(page.table(rows))
    print(page.setups(rows))
    if asked.docs:
        page.write(rows, DOCS)
