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

from kernel.errors import OriginError, OriginRefused
from kernel.io.origin_body import Intake

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}  # RFC 9110, 15.4

MAX_RESUMES = 2
"""How often the rest of a body is asked for: a balancer that loses one server cuts a body once; whoever cuts it three
times in a row will do so again."""

# Addresses that embed an IPv4 address, which could be a private one: NAT64 (RFC 6052, RFC 8215), 6to4, Teredo.
_EMBEDDING = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the URL after redirects, the whole body, its Content-Type and its version (RFC 9110, 8.8.3)."""

    url: str
    body: bytes
    content_type: str | None
    etag: str | None = None


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

    async def read(
        self,
        url: str,
        limit_bytes: int,
        byte_range: tuple[int, int] | None = None,
        *,
        known: Answer | None = None,
    ) -> Answer:
        """Return the body of a URL; one that breaks off is resumed where that is safe.

        Args:
            url: http or https.
            limit_bytes: a larger body is refused, before it is read where its length is announced.
            byte_range: offset and length.
            known: an earlier answer of the same URL; it is returned if the origin says that nothing changed (304).

        Raises:
            OriginMissing: 404 or 410.
            OriginRefused: the body is too large, or an address is not public.
            OriginError: another status, a broken or late answer, too many redirects.
        """
        shown = without_secrets(url)
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await self._follow(url, Intake(shown, limit_bytes, byte_range), known)
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

    async def _follow(self, url: str, intake: Intake, known: Answer | None) -> Answer:
        redirects = resumes = 0
        while True:
            # RFC 9110, 13.1.2. Only where the earlier answer came from: behind another redirect lies another thing.
            condition = {"If-None-Match": known.etag} if known and known.etag and known.url == url else {}
            response = await self._request(url, {**intake.request_fields(), **condition})
            try:
                if response.status_code not in _REDIRECTS:
                    if condition and response.status_code == 304 and known is not None:
                        return known
                    intake.begin(response.status_code, response.headers)
                    # Raw: httpx2 would decompress, and a bomb would be as large as it likes.
                    async for piece in response.aiter_raw():
                        intake.take(piece)
                    return Answer(url, intake.body(), intake.content_type, intake.etag)
                target = urljoin(url, response.headers.get("location", ""))
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout):
                if resumes == MAX_RESUMES or not intake.resumable:
                    raise
                resumes += 1
                continue
            finally:
                await response.aclose()
            redirects += 1
            if redirects > self._max_redirects:
                raise OriginError(f"{without_secrets(url)}: more than {self._max_redirects} redirects")
            if urlsplit(target).scheme not in _PORTS:
                raise OriginRefused(f"{without_secrets(url)}: redirects to what is neither http nor https")
            url = target

    async def _request(self, url: str, fields: dict[str, str]) -> httpx2.Response:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "lockstep", **fields}
        extensions: dict[str, object] = {"timeout": self._timeouts}
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


def _timeout_text(error: httpx2.TimeoutException, timeouts: dict[str, float]) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {timeouts['connect']:g} s"
    return f"silent for {timeouts['read']:g} s"
