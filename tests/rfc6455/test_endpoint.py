"""RFC 6455 against our endpoint: bytes written by hand, the clause in the docstring.

Every case speaks to a real hub on loopback. A frame is broken in one way only; what answers is a Close frame with our
code (4400, one of the private range of 7.4.2) behind the `bye`, or, where the RFC asks for nothing more, what it
asks for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.hub.io.test_driver import Rig, running

KEY = base64.b64encode(b"0123456789abcdef").decode()
PING = b'{"op":"ping","t":7}'
PONG = b'"op":"pong","t":7'


def request(*lines: str, key: str | None = KEY, version: str = "13", method: str = "GET", http: str = "1.1") -> bytes:
    head = [
        f"{method} /api/v1/wagering/subscribe?event_id=game HTTP/{http}",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Version: {version}",
        "Authorization: Bearer viewer",
        *([f"Sec-WebSocket-Key: {key}"] if key is not None else []),
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, length: bytes | None = None
) -> bytes:
    """Build a frame by 5.2, bit by bit."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length is None:
        n = len(payload)
        length = bytes([n]) if n < 126 else b"\x7e" + struct.pack("!H", n) if n < 1 << 16 else b"\x7f" + n.to_bytes(8)
    head = bytes([first, length[0] | (0x80 if mask else 0)]) + length[1:]
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class Raw:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def shake(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame, which is whole and not masked."""
        first, second = await asyncio.wait_for(self.reader.readexactly(2), 5)
        assert first & 0xF0 == 0x80, "5.2: FIN alone; no extension was agreed, so no RSV bit"
        assert not second & 0x80, "5.1: a server must not mask"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            assert size > 125, "5.2: the minimal number of bytes"
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8))
            assert size > 65_535, "5.2: the minimal number of bytes"
        return first & 0x0F, await self.reader.readexactly(size)

    async def until(self, opcode: int, part: bytes = b"") -> bytes:
        while True:
            seen, payload = await self.frame()
            if seen == opcode and part in payload:
                return payload
            assert seen != 8, f"closed: {payload!r}"

    async def closed_with(self, code: int) -> bytes:
        """Read up to the Close frame and to the end of the stream behind it; return the `bye` before it, if any."""
        last = b""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                break
            last = payload
        assert struct.unpack("!H", payload[:2])[0] == code
        self.writer.write(frame(8, payload[:2]))
        assert await asyncio.wait_for(self.reader.read(), 5) == b"", "5.5.1: nothing follows a Close frame"
        return last

    async def lives(self) -> None:
        self.writer.write(frame(1, PING))
        assert PONG in await self.until(1, b"pong")


@asynccontextmanager
async def connected(rig: Rig) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def opened() -> AsyncIterator[Raw]:
    async with running() as rig, connected(rig) as raw:
        assert (await raw.shake(request())).startswith(b"HTTP/1.1 101")
        await raw.until(1, b"hello")
        yield raw


# 4.2: the opening handshake


async def test_the_key_is_answered() -> None:
    """4.2.2 (5.4): the accept value is the base64 of the SHA-1 of the key and the GUID."""
    async with running() as rig, connected(rig) as raw:
        answer = await raw.shake(request())
        accept = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        assert b"Sec-WebSocket-Accept: " + accept in answer
        assert b"Upgrade: websocket" in answer
        assert b"Connection: Upgrade" in answer
        assert b"Sec-WebSocket-Protocol" not in answer, "4.2.2 (5.5): none was offered"


@pytest.mark.parametrize("offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits, x-other"])
async def test_no_extension_is_agreed(offer: str) -> None:
    """9.1 and 4.2.2 (5.6): an extension is used only if the server says so."""
    async with running() as rig, connected(rig) as raw:
        assert b"Sec-WebSocket-Extensions" not in await raw.shake(request(f"Sec-WebSocket-Extensions: {offer}"))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(key=None), 400),
        (request(key="short"), 400),
        (request(key="=" * 24), 400),
        (request(f"Sec-WebSocket-Key: {KEY}"), 400),
        (request(version="8"), 400),
        (request(version="25"), 400),
    ],
)
async def test_a_handshake_that_is_none(data: bytes, status: int) -> None:
    """4.2.1: a 16-byte key, once; version 13. The server answers with an HTTP error."""
    async with running() as rig, connected(rig) as raw:
        assert (await raw.shake(data)).startswith(b"HTTP/1.1 %d" % status)


async def test_a_frame_in_the_packet_of_the_upgrade() -> None:
    """4.1: the client may send at once when the handshake is over for it; bytes behind the head are frames."""
    async with running() as rig, connected(rig) as raw:
        await raw.shake(request() + frame(1, PING))
        await raw.until(1, PONG)


# 5.1, 5.2: the frame


async def test_lengths_in_all_three_forms() -> None:
    """5.2: 7 bits, 7+16 bits, 7+64 bits."""
    async with opened() as raw:
        padded = PING[:-1] + b" " * 200 + b"}"
        for length in (None, b"\x7f" + len(padded).to_bytes(8)):
            raw.writer.write(frame(1, padded, length=length))
            if length is None:
                await raw.until(1, PONG)
            else:
                # The minimal form must be used; a longer one may be read or refused, never misread.
                opcode, payload = await raw.frame()
                assert (opcode, PONG in payload) == (1, True) or b"bad_frame" in payload


async def test_a_frame_byte_by_byte() -> None:
    """5.2 says nothing of packets: a frame may come in any number of them."""
    async with opened() as raw:
        for byte in frame(1, PING):
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
        await raw.until(1, PONG)


async def test_many_frames_in_one_packet() -> None:
    """5.2, the other way round."""
    async with opened() as raw:
        raw.writer.write(frame(1, PING) * 5 + frame(9, b"x"))
        for _ in range(5):
            await raw.until(1, PONG)
        assert await raw.until(10) == b"x"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(1, PING, mask=False), id="5.1: a client must mask"),
        pytest.param(frame(1, PING, rsv=4), id="5.2: RSV1 without an extension"),
        pytest.param(frame(1, PING, rsv=2), id="5.2: RSV2 without an extension"),
        pytest.param(frame(1, PING, rsv=1), id="5.2: RSV3 without an extension"),
        *(pytest.param(frame(opcode, b""), id=f"5.2: reserved opcode {opcode}") for opcode in (3, 7, 11, 15)),
        pytest.param(frame(1, b"", length=b"\x7f" + (1 << 63).to_bytes(8)), id="5.2: the highest bit of 64 is 0"),
        pytest.param(frame(1, b"", length=b"\x7f" + (1 << 40).to_bytes(8)), id="10.4: a limit on the size"),
        pytest.param(frame(1, b"x" * 4_097), id="10.4: ours is 4 KiB"),
        pytest.param(frame(0, b"x"), id="5.4: a continuation of nothing"),
        pytest.param(frame(1, b"a", fin=False) + frame(1, b"b"), id="5.4: a new message within another"),
        pytest.param(frame(1, b"a" * 3_000, fin=False) + frame(0, b"a" * 3_000), id="10.4: also of all fragments"),
        pytest.param(frame(9, b"", fin=False), id="5.5: a control frame is never fragmented"),
        pytest.param(frame(9, b"x" * 126), id="5.5: a control frame has 125 bytes at most"),
        pytest.param(frame(8, b"\x03"), id="5.5.1: a Close body has two bytes or none"),
        pytest.param(frame(2, PING), id="5.6: binary, where the subprotocol is text"),
        pytest.param(frame(1, b"\xc3\x28"), id="8.1: not UTF-8"),
        pytest.param(frame(1, b"\xed\xa0\x80"), id="8.1: a surrogate is not UTF-8"),
        pytest.param(frame(1, b"\xf4\x90\x80\x80"), id="8.1: beyond U+10FFFF"),
        pytest.param(frame(1, b"\xc0\xaf"), id="8.1: overlong"),
        pytest.param(frame(1, b'"\xe2\x82', fin=False) + frame(0, b'"'), id="8.1: cut off across fragments"),
    ],
)
async def test_what_breaks_the_protocol_fails_the_connection(data: bytes) -> None:
    """7.1.7: fail the connection; 7.4.2: with a code of the private range, and not a byte behind it."""
    async with opened() as raw:
        raw.writer.write(data + frame(1, PING))
        assert b'"op":"bye","code":4400' in await raw.closed_with(4400)


# 5.4: fragmentation


async def test_fragments_with_control_frames_between() -> None:
    """5.4: control frames may be injected; they are answered before the message is whole."""
    async with opened() as raw:
        raw.writer.write(frame(1, PING[:3], fin=False) + frame(9, b"between") + frame(0, b"", fin=False))
        assert await raw.until(10) == b"between"
        raw.writer.write(frame(0, PING[3:]))
        await raw.until(1, PONG)


async def test_a_character_across_fragments() -> None:
    """8.1 concerns the message: a fragment may end within a character."""
    async with opened() as raw:
        text = '{"op":"ping","t":"€"}'.encode()
        cut = text.index(b"\xe2") + 1
        raw.writer.write(frame(1, text[:cut], fin=False) + frame(0, text[cut:]))
        assert "€".encode() in await raw.until(1, b"pong")


# 5.5: control frames


@pytest.mark.parametrize("payload", [b"", b"x" * 125, b"\x00\xff"])
async def test_a_ping_is_answered_with_its_own_data(payload: bytes) -> None:
    """5.5.2, 5.5.3: a Pong has identical application data."""
    async with opened() as raw:
        raw.writer.write(frame(9, payload))
        assert await raw.until(10) == payload


async def test_an_unsolicited_pong_is_no_fault() -> None:
    """5.5.3: it may serve as a heartbeat; no answer is expected."""
    async with opened() as raw:
        raw.writer.write(frame(10, b"hello"))
        await raw.lives()


@pytest.mark.parametrize("body", [b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0", b""])
async def test_a_close_is_answered_and_the_server_closes_first(body: bytes) -> None:
    """5.5.1: a Close is answered, typically with the same code; 7.1.1: the server closes TCP first."""
    async with opened() as raw:
        raw.writer.write(frame(8, body) + frame(1, PING))
        opcode, payload = await raw.frame()
        assert (opcode, payload[:2]) == (8, body[:2])
        assert await asyncio.wait_for(raw.reader.read(), 5) == b"", "what follows a Close is discarded"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_a_close_with_a_code_that_must_not_be_sent(code: int) -> None:
    """7.4.1, 7.4.2: these never stand in a Close frame."""
    async with opened() as raw:
        raw.writer.write(frame(8, struct.pack("!H", code)))
        await raw.closed_with(4400)


async def test_a_close_whose_reason_is_not_utf8() -> None:
    """5.5.1: the body's text is UTF-8."""
    async with opened() as raw:
        raw.writer.write(frame(8, b"\x03\xe8\xff"))
        await raw.closed_with(4400)


async def test_the_end_of_the_stream_without_a_close() -> None:
    """7.1.5: 1006 for the application; for the endpoint simply the end."""
    async with running() as rig:
        async with connected(rig) as raw:
            await raw.shake(request())
            await raw.until(1, b"hello")
        await asyncio.wait_for(rig.hub.gone.wait(), 5)
        assert rig.hub.counts()["sockets"] == 0
