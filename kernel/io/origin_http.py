"""Read what an origin serves over HTTP/1.1, with limits, and only from where it may come.

The transport of httpx2 is used without its client: no cookies that grow, no proxies from the environment, no
redirects or decompression behind our back. A host that no configured origin names is resolved here, each of its
addresses must be public, and the connection goes to the very address that was checked: a name that answers
differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httpx2

from kernel.errors import OriginError, OriginMissing, OriginRefused

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}  # RFC 9110, 15.4

# Addresses that embed an IPv4 address, which could be a private one: NAT64 (RFC 6052, RFC 8215), 6to4, Teredo.
_EMBEDDING = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the URL after redirects, the whole body and its Content-Type."""

    url: str
    body: bytes
    content_type: str | None


def without_secrets(ref: str) -> str:
    """Return a reference fit for logs and errors: without user, password and query, where tokens stand."""
    scheme, mark, rest = ref.partition("?")[0].partition("#")[0].partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"


def is_public(address: str) -> bool:
    """Return whether an IP address may be reached on behalf of a playlist or a redirect."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or any(ip in network for network in _EMBEDDING)):
        return False
    return ip.is_global and not ip.is_multicast


class HttpOrigin:
    """Read from http(s) origins.

    Args:
        trusted: URLs of the configured origins: their host and port are reached whatever the address.
        connect_timeout_s: to connect, with TLS.
        read_timeout_s: between two reads.
        total_timeout_s: from the call to the last byte, redirects included.
        max_redirects: how many are followed.
        verify: how certificates are checked; None: against the system's authorities.
    """

    def __init__(
        self,
        trusted: Sequence[str],
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        total_timeout_s: float,
        max_redirects: int,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._trusted = {_place(url) for url in trusted}
        self._timeouts = {
            "connect": connect_timeout_s, "read": read_timeout_s, "write": read_timeout_s, "pool": total_timeout_s,
        }  # fmt: skip
        self._total_timeout_s = total_timeout_s
        self._max_redirects = max_redirects
        self._verify = verify
        self._made: httpx2.AsyncHTTPTransport | None = None
        self._making = asyncio.Lock()

    async def read(self, url: str, limit_bytes: int, byte_range: tuple[int, int] | None = None) -> Answer:
        """Return the body of a URL.

        Args:
            url: http or https.
            limit_bytes: a larger body is refused, before it is read where its length is announced.
            byte_range: offset and length.

        Raises:
            OriginMissing: 404 or 410.
            OriginRefused: the body is too large, or an address is not public.
            OriginError: another status, a broken or late answer, too many redirects.
        """
        shown = without_secrets(url)
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await self._follow(url, limit_bytes, byte_range)
        except TimeoutError:
            raise OriginError(f"{shown}: not complete within {self._total_timeout_s:g} s") from None
        except httpx2.TimeoutException as error:
            raise OriginError(f"{shown}: {_timeout_text(error, self._timeouts)}") from None
        except httpx2.TransportError as error:
            # The text of a protocol error may quote the answer; its kind says enough.
            raise OriginError(f"{shown}: {type(error).__name__}") from None
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            raise OriginRefused(f"{shown}: the URL cannot be read") from None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._made is not None:
            await self._made.aclose()

    async def _follow(self, url: str, limit_bytes: int, byte_range: tuple[int, int] | None) -> Answer:
        for _ in range(self._max_redirects + 1):
            response = await self._request(url, byte_range)
            try:
                if response.status_code not in _REDIRECTS:
                    body = await _body(response, without_secrets(url), limit_bytes, byte_range)
                    return Answer(url, body, response.headers.get("content-type"))
                target = urljoin(url, response.headers.get("location", ""))
            finally:
                await response.aclose()
            if urlsplit(target).scheme not in _PORTS:
                raise OriginRefused(f"{without_secrets(url)}: redirects to what is neither http nor https")
            url = target
        raise OriginError(f"{without_secrets(url)}: more than {self._max_redirects} redirects")

    async def _request(self, url: str, byte_range: tuple[int, int] | None) -> httpx2.Response:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "lockstep"}
        extensions: dict[str, object] = {"timeout": self._timeouts}
        if byte_range is not None:
            headers["Range"] = f"bytes={byte_range[0]}-{byte_range[0] + byte_range[1] - 1}"
        target = httpx2.URL(url)
        if _place(url) not in self._trusted:
            address = await self._public_address(url)
            headers["Host"] = target.netloc.decode("ascii")
            # One connection for one request: the pool knows it by its address, and another host may share that.
            headers["Connection"] = "close"
            extensions["sni_hostname"] = target.raw_host.decode("ascii")
            target = target.copy_with(host=address)
        request = httpx2.Request("GET", target, headers=headers, extensions=extensions)
        try:
            return await (await self._transport()).handle_async_request(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            # The origin may close a kept connection in the moment we use it. RFC 9110, 9.2.2: a GET may be repeated.
            return await (await self._transport()).handle_async_request(request)

    async def _public_address(self, url: str) -> str:
        host, port = _place(url)
        shown = without_secrets(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise OriginError(f"{shown}: the host's address is not known") from None
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        # All of them, not only the first: a name that mixes public and private addresses is up to no good.
        if not addresses or not all(map(is_public, addresses)):
            raise OriginRefused(f"{shown}: not a configured origin, and its address is not a public one")
        return addresses[0]

    async def _transport(self) -> httpx2.AsyncHTTPTransport:
        # Made when first needed, and off the loop: reading the system's authorities takes tens of milliseconds.
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(
            verify=self._verify if self._verify is not None else True,
            trust_env=False,
            http1=True,
            http2=False,
            # Live playlists are asked for every two to six seconds: a connection outlives that.
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20.0),
        )


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


async def _body(response: httpx2.Response, shown: str, limit_bytes: int, byte_range: tuple[int, int] | None) -> bytes:
    status = response.status_code
    if status in (404, 410):
        raise OriginMissing(f"{shown}: the origin answers {status}")
    if status != 200 and not (status == 206 and byte_range is not None):
        raise OriginError(f"{shown}: the origin answers {status}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise OriginError(f"{shown}: the origin compresses, though asked not to")
    announced = response.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise OriginRefused(f"{shown}: {announced} bytes; at most {limit_bytes} are taken")
    body = bytearray()
    # Raw: httpx2 would decompress, and a bomb would be as large as it likes.
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit_bytes:
            raise OriginRefused(f"{shown}: more than {limit_bytes} bytes")
    if byte_range is None:
        return bytes(body)
    # RFC 9110, 14.2: a server may ignore Range and send everything with 200.
    offset, length = byte_range
    part = bytes(body if status == 206 else body[offset : offset + length])
    if len(part) != length:
        raise OriginError(f"{shown}: {len(part)} bytes of a range of {length}")
    return part


def _timeout_text(error: httpx2.TimeoutException, timeouts: dict[str, float]) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {timeouts['connect']:g} s"
    return f"silent for {timeouts['read']:g} s"
