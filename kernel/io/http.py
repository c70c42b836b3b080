"""What every route of the front door shares: one shape for errors, the bearer's token, bodies with a limit, the log.

Errors are problem details (RFC 9457), those of the framework (404, 405, 500) too. A path may hold one secret, the
session token as its first segment: nothing here, and nothing that logs by way of here, prints it.
"""

from __future__ import annotations

import asyncio
import base64
import http
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

log = structlog.get_logger("http")

TellAnswered = Callable[[str, str, str, float, int, int], None]
"""Log an answered request: method, redacted path, peer, seconds it took, status, bytes of its body."""

BODY_TIMEOUT_S = 30.0
"""How long a body may take, in seconds; nginx allows 60 between two reads, Apache 20 and then 500 bytes a second."""

_BEARER = re.compile(r"Bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)  # RFC 6750, 2.1
_JTI = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ProblemResponse(JSONResponse):
    """A JSON response that says it is a problem (RFC 9457, 3)."""

    media_type = "application/problem+json"


def problem(
    status: int,
    title: str,
    *,
    detail: str | None = None,
    reason: str | None = None,
    headers: Mapping[str, str] | None = None,
    cache: str = "no-store",
) -> Response:
    """Return an error in the one shape that all errors have.

    Args:
        status: the HTTP status code.
        title: what kind of error, the same for every occurrence.
        detail: what is wrong with this request, and the remedy.
        reason: a word for programs, such as "expired"; strangers are not told one.
        headers: further headers, such as Retry-After.
        cache: the Cache-Control header.
    """
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail is not None:
        body["detail"] = detail
    if reason is not None:
        body["reason"] = reason
    return ProblemResponse(body, status, {"Cache-Control": cache, **(headers or {})})


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = http.HTTPStatus(error.status_code).phrase
    detail = error.detail if error.detail != title else None
    return problem(error.status_code, title, detail=detail, headers=error.headers)


async def _disconnected(_: Request, __: Exception) -> Response:
    # Nobody is there to read it; answering keeps the server from logging a fault that is none.
    return problem(400, "Bad Request", detail="the connection ended within the body")


async def _fault(_: Request, __: Exception) -> Response:
    return problem(500, "Internal Server Error")


exception_handlers: Mapping[Any, ExceptionHandler] = {
    HTTPException: _http_exception,
    ClientDisconnect: _disconnected,
    Exception: _fault,
}
"""What to give Starlette as `exception_handlers`, so that its own errors have the one shape."""


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of the Authorization header (RFC 6750, 2.1), None where there is none."""
    match = _BEARER.fullmatch(headers.get("authorization", "").strip())
    return match[1] if match else None


def peer_address(scope: Mapping[str, Any]) -> str:
    """Return the address at the other end of the connection, empty where the server does not know it.

    No header is believed: X-Forwarded-For is for whoever configures trusted proxies.
    """
    client = scope.get("client")
    return str(client[0]) if client else ""


async def read_body(request: Request, limit_bytes: int, *, timeout_s: float = BODY_TIMEOUT_S) -> bytes | None:
    """Return the whole body, or None if it is larger than `limit_bytes`: answer 413 then.

    Nothing beyond the limit is held, whatever Content-Length says.

    Raises:
        HTTPException: 408, the body was not complete within `timeout_s` seconds.
    """
    announced = request.headers.get("content-length", "0")
    # An integer of thousands of digits would raise; no limit of ours has more than twelve.
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > limit_bytes):
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.stream():
                body += piece
                if len(body) > limit_bytes:
                    return None
    except TimeoutError:
        raise HTTPException(408, f"the body was not complete within {timeout_s:g} s") from None
    return bytes(body)


def redact_path(path: str) -> str:
    """Return a path fit for logs: a token in it becomes its `jti`, or `~` where that cannot be read.

    A token is the first segment behind /hls/ if it has two dots, as the relay recognises it, and anything anywhere
    that begins like one. The signature is not checked: the `jti` is as good as who wrote it.
    """
    segments = path.split("/")
    # One pass: a path may have ten thousand segments.
    first_behind_hls = False
    seen_hls = False
    for index, segment in enumerate(segments):
        # Percent-encoded dots are dots to whoever decodes them.
        plain = unquote(segment)
        if plain.startswith("eyJ") or (first_behind_hls and plain.count(".") == 2):
            segments[index] = _jti(plain)
        if plain:
            first_behind_hls = plain == "hls" and not seen_hls
            seen_hls = seen_hls or plain == "hls"
    return "/".join(segments)


def _jti(token: str) -> str:
    return "~" if len(token) > MAX_TOKEN_CHARS else _read_jti(token)


@lru_cache(maxsize=1_024)
def _read_jti(token: str) -> str:
    # A viewer's token stands in all of its requests.
    parts = token.split(".")
    if len(parts) != 3:
        return "~"
    try:
        claims = decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), CLIENT_LIMITS)
    except (ValueError, DecodeError):
        return "~"
    jti = claims.get("jti") if isinstance(claims, dict) else None
    # Whoever writes a token writes its jti: nothing goes into a log line that could look like another one.
    return jti if isinstance(jti, str) and _JTI.fullmatch(jti) else "~"


def tell_answered(method: str, path: str, peer: str, took_s: float, status: int, sent_bytes: int) -> None:
    """Log a request that is answered; `path` is redacted."""
    ms = round(took_s * 1000, 1)
    log.info("http.answered", method=method, path=path, peer=peer, ms=ms, status=status, sent_bytes=sent_bytes)


class AccessLog:
    """Log every HTTP request once it is answered, with its path redacted and without its query.

    Args:
        app: the application within.
        now: seconds that never step back.
        tell: writes the line, as `tell_answered` does, where something does it at less cost.
    """

    def __init__(self, app: ASGIApp, *, now: Callable[[], float], tell: TellAnswered | None = None) -> None:
        self._app = app
        self._now = now
        self._tell = tell or tell_answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._now()
        seen: MutableMapping[str, int] = {"status": 0, "sent_bytes": 0}

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            else:
                seen["sent_bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            path, took_s = redact_path(scope["path"]), self._now() - started
            self._tell(scope["method"], path, peer_address(scope), took_s, seen["status"], seen["sent_bytes"])
