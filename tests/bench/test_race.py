"""The race at its smallest, with real processes; and what is written down of it."""

from __future__ import annotations

import pytest

from bench.peers.bare_write import BareWrite
from bench.peers.contract import client_frame, upgrade
from bench.peers.lockstep_hub import LockstepHub
from bench.peers.mosquitto import packet
from bench.peers.race import account, measure
from bench.peers.websockets_broadcast import WebsocketsBroadcast

SOCKETS, ROUNDS, MESSAGES = 20, 2, 3


@pytest.mark.e2e
def test_every_peer_sends_the_same_bytes_to_as_many_sockets() -> None:
    kinds = [LockstepHub, BareWrite, WebsocketsBroadcast]
    lanes, payload_bytes = measure(kinds, SOCKETS, ROUNDS, MESSAGES, 5)
    assert [lane.peer.name for lane in lanes] == ["ours", "a bare write(2) loop", "websockets.broadcast"]
    for lane in lanes:
        # One frame each, and nothing besides: RFC 6455, 5.2, two bytes and two of length.
        assert lane.wire_bytes == payload_bytes + 4
        assert len(lane.single_us) == len(lane.at_once_us) == ROUNDS
        assert len(lane.median_ms) == len(lane.last_ms) == ROUNDS * MESSAGES
        assert all(us > 0 for us in lane.single_us + lane.at_once_us)
        assert all(0 < median <= last for median, last in zip(lane.median_ms, lane.last_ms, strict=True))

    ours, bare, _ = [account(lane) for lane in lanes]
    assert (ours.name, ours.figure) == ("ours", None)
    assert (bare.single_us, bare.at_once_us) == (tuple(lanes[1].single_us), tuple(lanes[1].at_once_us))
    assert ours.bytes_per_socket >= 0


@pytest.mark.parametrize(
    ("payload", "length"),
    [(120, b"\x7f"), (121, b"\x80\x01"), (16_376, b"\xff\x7f"), (16_377, b"\x80\x80\x01")],
    ids=lambda value: str(value),
)
def test_the_length_of_an_mqtt_packet(payload: int, length: bytes) -> None:
    """MQTT 3.1.1, 2.2.3, table 2.4: 127, 128, 16,383 and 16,384 bytes; the topic takes seven of them."""
    assert packet(b"x" * payload) == b"\x30" + length + b"\x00\x05bench" + b"x" * payload


def test_a_receiver_offers_no_compression_and_masks_what_it_says() -> None:
    asked = upgrade("/sub", "Sec-WebSocket-Protocol: mqtt")
    assert asked.startswith(b"GET /sub HTTP/1.1\r\n")
    assert asked.endswith(b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
    assert b"Extensions" not in asked
    text, binary = client_frame(b"hello", binary=False), client_frame(b"hello", binary=True)
    assert (text[0], binary[0]) == (0x81, 0x82)
    assert text[1] == binary[1] == 0x80 | 5
