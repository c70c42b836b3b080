"""Origins over HTTP: what they may do wrong, and where we do not go."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.origin_http import HttpOrigin, is_public, without_secrets
from tests.support.canned_http import Answer, CannedHttp, answer, canned_http, ok

Serve = Callable[[dict[str, bytes | Answer]], Awaitable[tuple[CannedHttp, HttpOrigin]]]


class ElsewhereOrigin(HttpOrigin):
    """Find every public host on the loopback."""

    async def _public_address(self, url: str) -> str:
        return "127.0.0.1"


def origin_of(*trusted: str, kind: type[HttpOrigin] = HttpOrigin, total_s: float = 5.0) -> HttpOrigin:
    return kind(trusted, connect_timeout_s=1, read_timeout_s=0.2, total_timeout_s=total_s, max_redirects=3)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(answers: dict[str, bytes | Answer]) -> tuple[CannedHttp, HttpOrigin]:
            canned = await stack.enter_async_context(canned_http(answers))
            origin = origin_of(canned.url + "/index.m3u8")
            stack.push_async_callback(origin.aclose)
            return canned, origin

        yield start


async def test_reads_a_body_and_asks_for_it_uncompressed(serve: Serve) -> None:
    canned, origin = await serve({"/a?x=1": ok(b"body", "Content-Type: video/mp2t", "Set-Cookie: a=b")})
    got = await origin.read(canned.url + "/a?x=1", 4)
    assert (got.url, got.body, got.content_type) == (canned.url + "/a?x=1", b"body", "video/mp2t")
    await origin.read(canned.url + "/a?x=1", 4)
    head = canned.heads[1].lower()
    assert "accept-encoding: identity" in head
    assert "cookie" not in head


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there(serve: Serve, status: int) -> None:
    canned, origin = await serve({"/a": answer(status, b"", "Content-Length: 0")})
    with pytest.raises(OriginMissing, match=str(status)):
        await origin.read(canned.url + "/a", 10)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (answer(503, b"", "Content-Length: 0"), "answers 503"),
        (answer(206, b"ab", "Content-Length: 2"), "answers 206"),
        (answer(200, b"short", "Content-Length: 9"), "RemoteProtocolError"),
        (answer(200, b"4\r\nabcd\r\n", "Transfer-Encoding: chunked"), "RemoteProtocolError"),
        (answer(200, b"", "Content-Length: x"), "RemoteProtocolError"),
        (b"ICY 200 OK\r\n\r\n", "RemoteProtocolError"),
        (b"", "RemoteProtocolError"),
        (ok(gzip.compress(b"a" * 10_000), "Content-Encoding: gzip"), "compresses"),
    ],
)
async def test_what_is_broken(serve: Serve, raw: bytes, says: str) -> None:
    canned, origin = await serve({"/a": raw})
    with pytest.raises(OriginError, match=says):
        await origin.read(canned.url + "/a", 1000)


async def test_more_than_announced_is_cut_at_the_length(serve: Serve) -> None:
    canned, origin = await serve({"/a": answer(200, b"abcdef", "Content-Length: 3")})
    assert (await origin.read(canned.url + "/a", 10)).body == b"abc"


@pytest.mark.parametrize(
    "raw", [ok(b"a" * 11), answer(200, b"b\r\n" + b"a" * 11 + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked")]
)
async def test_too_large(serve: Serve, raw: bytes) -> None:
    canned, origin = await serve({"/a": raw})
    with pytest.raises(OriginRefused, match="10"):
        await origin.read(canned.url + "/a", 10)


async def test_silence_ends(serve: Serve) -> None:
    async def silent(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await asyncio.Event().wait()

    canned, origin = await serve({"/a": silent})
    with pytest.raises(OriginError, match=r"silent for 0\.2 s"):
        await origin.read(canned.url + "/a", 10)


async def test_one_byte_at_a_time_ends_too(serve: Serve) -> None:
    async def trickle(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.02)

    canned, _ = await serve({"/a": trickle})
    origin = origin_of(canned.url, total_s=0.3)
    with pytest.raises(OriginError, match=r"not complete within 0\.3 s"):
        await origin.read(canned.url + "/a", 1000)
    await origin.aclose()


async def test_connection_refused_and_unknown_hosts() -> None:
    origin = origin_of("http://127.0.0.1:1/")
    with pytest.raises(OriginError, match="ConnectError"):
        await origin.read("http://127.0.0.1:1/a", 10)
    with pytest.raises(OriginError, match="not known"):
        await origin.read("http://name.invalid/a", 10)
    with pytest.raises(OriginRefused, match="cannot be read"):
        await origin.read("http://[bad/a", 10)
    await origin.aclose()


async def test_repeats_a_request_whose_kept_connection_was_closed(serve: Serve) -> None:
    calls = 0

    async def once_dead(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            writer.write(ok(b"here"))
            await writer.drain()

    canned, origin = await serve({"/a": once_dead})
    assert (await origin.read(canned.url + "/a", 10)).body == b"here"


async def test_follows_redirects_within_the_trusted_place(serve: Serve) -> None:
    canned, origin = await serve(
        {"/a": answer(302, b"", "Location: b/c?d", "Content-Length: 0"), "/b/c?d": ok(b"here")}
    )
    got = await origin.read(canned.url + "/a", 10)
    assert (got.url, got.body) == (canned.url + "/b/c?d", b"here")


async def test_redirects_have_an_end(serve: Serve) -> None:
    canned, origin = await serve({"/a": answer(307, b"", "Location: /a", "Content-Length: 0")})
    with pytest.raises(OriginError, match="more than 3 redirects"):
        await origin.read(canned.url + "/a", 10)
    assert canned.paths == ["/a"] * 4


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://127.0.0.1:9/x", "not a public one"),
        ("http://localhost/x", "not a public one"),
        ("http://[::ffff:127.0.0.1]/x", "not a public one"),
        ("http://169.254.169.254/latest", "not a public one"),
        ("http://2130706433/x", "not a public one"),
        ("file:///etc/passwd", "neither http nor https"),
        ("gopher://x/", "neither http nor https"),
    ],
)
async def test_redirects_do_not_lead_inside(serve: Serve, target: str, says: str) -> None:
    canned, origin = await serve({"/a": answer(302, b"", f"Location: {target}", "Content-Length: 0")})
    with pytest.raises(OriginRefused, match=says):
        await origin.read(canned.url + "/a", 10)
    assert canned.paths == ["/a"]


async def test_other_hosts_are_reached_at_the_checked_address_under_their_own_name(serve: Serve) -> None:
    canned, _ = await serve({"/x": ok(b"here")})
    origin = origin_of(kind=ElsewhereOrigin)
    port = canned.url.rpartition(":")[2]
    got = await origin.read(f"http://cdn.example:{port}/x", 10)
    assert (got.url, got.body) == (f"http://cdn.example:{port}/x", b"here")
    assert f"host: cdn.example:{port}\r\n" in canned.heads[0].lower()
    assert "connection: close" in canned.heads[0].lower()
    await origin.aclose()


async def test_a_certificate_must_be_the_named_hosts() -> None:
    """The checked address is connected to, the certificate is held against the name (RFC 9110, 4.3.4)."""
    names: list[str | None] = []
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.sni_callback = lambda _, name, __: names.append(name)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    origin = origin_of(kind=ElsewhereOrigin)
    with pytest.raises(OriginError, match="ConnectError"):
        await origin.read(f"https://cdn.example:{port}/x", 10)
    assert names == ["cdn.example"]
    await origin.aclose()
    server.close()
    await server.wait_closed()


async def test_ranges(serve: Serve) -> None:
    whole, part = ok(b"0123456789"), answer(206, b"234", "Content-Length: 3", "Content-Range: bytes 2-4/10")
    canned, origin = await serve({"/whole": whole, "/part": part, "/short": answer(206, b"2", "Content-Length: 1")})
    for path in ("/whole", "/part"):
        assert (await origin.read(canned.url + path, 10, (2, 3))).body == b"234"
    assert "range: bytes=2-4\r\n" in canned.heads[0].lower()
    with pytest.raises(OriginError, match="1 bytes of a range of 3"):
        await origin.read(canned.url + "/short", 10, (2, 3))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:1::1", False),
    ],
)
def test_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("ref", "shown"),
    [
        ("http://h/a?token=x#y", "http://h/a"),
        ("https://user:pass@h:1/a@b", "https://h:1/a@b"),
        ("file:///a/b", "file:///a/b"),
    ],
)
def test_without_secrets(ref: str, shown: str) -> None:
    assert without_secrets(ref) == shown


async def test_errors_hold_no_query(serve: Serve) -> None:
    canned, origin = await serve({"/a?token=secret": answer(500, b"", "Content-Length: 0")})
    with pytest.raises(OriginError) as raised:
        await origin.read(canned.url + "/a?token=secret", 10)
    assert "secret" not in str(raised.value)


def dying(*answers: bytes) -> Answer:
    """Give these answers one after another, each cut where it ends."""
    left = list(answers)

    async def give(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0))
        await writer.drain()

    return give


FIRST = answer(200, b"0123", "Content-Length: 10", 'ETag: "v"')
SECOND = answer(206, b"456", "Content-Length: 6", "Content-Range: bytes 4-9/10", 'ETag: "v"')
THIRD = answer(206, b"789", "Content-Length: 3", "Content-Range: bytes 7-9/10", 'ETag: "v"')


async def test_a_body_that_breaks_off_is_resumed_twice(serve: Serve) -> None:
    canned, origin = await serve({"/a": dying(FIRST, SECOND, THIRD)})
    assert (await origin.read(canned.url + "/a", 10)).body == b"0123456789"
    asked = [re.findall(r"(?:^|\n)((?:if-)?range: [^\r]+)", head.lower()) for head in canned.heads]
    assert asked == [[], ["range: bytes=4-", 'if-range: "v"'], ["range: bytes=7-", 'if-range: "v"']]


async def test_a_body_that_breaks_off_once_more_fails(serve: Serve) -> None:
    canned, origin = await serve({"/a": dying(FIRST, SECOND, THIRD[:-1])})
    with pytest.raises(OriginError, match="RemoteProtocolError"):
        await origin.read(canned.url + "/a", 10)
    assert len(canned.heads) == 3


async def test_a_body_that_is_reset_is_resumed(serve: Serve) -> None:
    async def reset_once(head: str, writer: asyncio.StreamWriter) -> None:
        if "Range:" in head or "range:" in head:
            writer.write(answer(206, b"456789", "Content-Length: 6", "Content-Range: bytes 4-9/10", 'ETag: "v"'))
            await writer.drain()
            return
        writer.write(FIRST)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        # RFC 9293, 3.10.7.4: what is unread is answered with a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    canned, origin = await serve({"/a": reset_once})
    assert (await origin.read(canned.url + "/a", 10)).body == b"0123456789"


async def test_a_body_that_falls_silent_is_resumed(serve: Serve) -> None:
    async def silent_once(head: str, writer: asyncio.StreamWriter) -> None:
        if "range:" in head.lower():
            writer.write(answer(206, b"456789", "Content-Length: 6", "Content-Range: bytes 4-9/10"))
            await writer.drain()
            return
        writer.write(FIRST)
        await asyncio.Event().wait()

    canned, origin = await serve({"/a": silent_once})
    assert (await origin.read(canned.url + "/a", 10)).body == b"0123456789"


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        (answer(206, b"456789", "Content-Length: 6", "Content-Range: bytes 4-9/10", 'ETag: "w"'), "changed while"),
        (answer(206, b"0123456789", "Content-Length: 10", "Content-Range: bytes 0-9/10"), "another part"),
        (answer(404, b"", "Content-Length: 0"), "answers 404"),
        (answer(416, b"", "Content-Length: 0"), "answers 416"),
    ],
)
async def test_a_rest_that_does_not_fit_fails(serve: Serve, rest: bytes, says: str) -> None:
    canned, origin = await serve({"/a": dying(FIRST, rest)})
    with pytest.raises(OriginError, match=says):
        await origin.read(canned.url + "/a", 100)


async def test_a_new_version_is_taken_whole(serve: Serve) -> None:
    canned, origin = await serve({"/a": dying(FIRST, ok(b"new", 'ETag: "w"'))})
    got = await origin.read(canned.url + "/a", 10)
    assert (got.body, got.etag) == (b"new", '"w"')


async def test_without_a_version_nothing_is_put_together(serve: Serve) -> None:
    canned, origin = await serve({"/a": answer(200, b"0123", "Content-Length: 10", 'ETag: W/"v"')})
    with pytest.raises(OriginError, match="RemoteProtocolError"):
        await origin.read(canned.url + "/a", 10)
    assert len(canned.heads) == 1


async def test_a_known_answer_is_asked_for_where_it_came_from(serve: Serve) -> None:
    canned, origin = await serve(
        {"/a": answer(302, b"", "Location: /b", "Content-Length: 0"), "/b": ok(b"body", 'ETag: W/"v"')}
    )
    first = await origin.read(canned.url + "/a", 10)
    canned.answers["/b"] = answer(304, b"")
    assert await origin.read(canned.url + "/a", 10, known=first) is first
    assert "if-none-match" not in canned.heads[2].lower()
    assert 'if-none-match: w/"v"' in canned.heads[3].lower()
    # Where nothing was asked under a condition, there is nothing that it could stand for.
    with pytest.raises(OriginError, match="answers 304"):
        await origin.read(canned.url + "/b", 10)
