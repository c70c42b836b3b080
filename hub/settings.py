"""What can be set about the hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Say how the hub treats its subscribers. Every field has its unit in its name."""

    heartbeat_ms: int = 2_000
    """How often a subscriber that does not ask otherwise gets an `hb`, in ms. A client that has seen none for 3 s
    treats every market as suspended, so 2 s leaves one second for the way."""

    max_betting_heartbeat_ms: int = 2_000
    """The longest interval where markets are subscribed, in ms (PROTOCOL, promise 4)."""

    min_heartbeat_ms: int = 500
    """The shortest interval a subscriber may ask for, in ms: 2 a second is what 10,000 sockets can be given."""

    max_heartbeat_ms: int = 30_000
    """The longest interval a subscriber may ask for, in ms: proxies drop what was silent for 60 s (nginx)."""

    auth_timeout_s: float = 5.0
    """How long a socket may stay without a token, in seconds (PROTOCOL, Opening)."""

    ping_interval_s: float = 20.0
    """How often an RFC 6455 ping is sent, in seconds: websockets and uvicorn both use 20."""

    max_missed_pings: int = 2
    """How many pings may stay unanswered before the socket is taken for dead."""

    slow_after_s: float = 2.0
    """How long a paused socket may take nothing from its buffer before it is closed as slow, in seconds."""

    close_timeout_s: float = 1.0
    """How long we wait for the peer's Close frame before the connection is cut, in seconds. RFC 6455, 7.1.1 lets
    the server close first; websockets waits 10 s, but its servers do not have to make room for a reconnect storm."""

    cut_after_s: float = 0.2
    """How long a revoked connection has to take its `bye` before it is cut, in seconds: a round trip to anywhere, and
    with what the wheel is late no more than the 250 ms that a revocation may take (INVARIANTS I9)."""

    drain_s: float = 2.0
    """Over how long the farewells of a drain are spread, in seconds: one pass would make a deploy a reconnect storm."""

    max_subscribers: int = 10_000
    """How many sockets are open at a time; the next one is told `overloaded`."""

    max_message_bytes: int = 4_096
    """The longest message a client may send, in bytes. uvicorn takes 16 MiB; nothing of the protocol needs it."""

    frames_per_s: float = 20.0
    """How many frames a second a client may send for long."""

    frames_burst: float = 40.0
    """How many frames a client may send at once."""

    send_buffer_bytes: int = 16_384
    """SO_SNDBUF and the high-water mark of a subscriber's socket, in bytes. The kernel alone would take in 3.8 MB of
    a stalled reader's frames before anyone notices."""

    piece_bytes: int = 8_192
    """In what pieces owed cues are written as a socket drains, in bytes."""

    burst_bytes: int = 65_536
    """How much one flush writes to a socket in one go, in bytes; of more it gets pieces."""

    max_buffer_bytes: int = 262_144
    """What a connection may hold in memory, in bytes; safety is written to paused sockets up to here."""

    backlog_entries: int = 100_000
    """How many entries of a showing's log are kept: what a resume can reach back to."""

    backlog_s: float = 6 * 3600.0
    """How long the entries of a showing's log are kept, in seconds."""

    backlog_prices: int = 20_000
    """Beyond how many prices those that everyone has passed are thinned out: 40 of each of 500 markets."""

    max_wager_lag_s: float = 20.0
    """How far behind the newest picture a live viewer may be and still bet, in seconds (DESIGN 7)."""

    hash_interval_s: float = 10.0
    """How often a subscriber is told the hash of its state, in seconds: hashing 500 markets takes 2 ms."""

    turn_bytes: int = 262_144
    """How much is written to those who are behind in one turn of the loop, in bytes: about 1 ms, then others go."""

    max_catching_up: int = 20_000
    """How many may wait for their replay or snapshot; the next one is told `overloaded` and when to come back."""

    retry_ms: int = 1_000
    """The least time a client that may come back is asked to wait, in ms."""

    retry_spread_ms: int = 5_000
    """Over how long the clients of a drained or overloaded hub come back, in ms: DESIGN 11 wants 10,000 back in 6 s."""

    wheel_tick_s: float = 0.05
    """To how many seconds heartbeats, pings and time limits are exact."""
