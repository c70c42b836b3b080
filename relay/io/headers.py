"""What stands in the head of the relay's answers, whichever way they go out."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from starlette.responses import Response

from kernel.showings import Showing

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"

PLAIN_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
    # The path may hold a token: it must not travel on as a referrer.
    "Referrer-Policy": "no-referrer",
}


def playlist_response(text: str) -> Response:
    """Return a playlist as it stands."""
    return Response(text, media_type=PLAYLIST_TYPE, headers={"Cache-Control": "private, no-cache"})


def head_fields(origin: str | None, showing: Showing | None) -> list[tuple[bytes, bytes]]:
    """Return the fields of every answer: `PLAIN_HEADERS`, and what a browser must be told (Fetch standard, CORS).

    Args:
        origin: the request's Origin.
        showing: the one that is asked for, None if there is none.
    """
    allowed = showing.allowed_origins if showing else ()
    return _fields(allowed, origin if origin in allowed else None, _VIDEO)


def api_fields(origin: str | None, showing: Showing | None) -> list[tuple[bytes, bytes]]:
    """Return the same for what viewers' applications ask beside the video."""
    allowed = showing.allowed_origins if showing else ()
    return _fields(allowed, origin if origin in allowed else None, _API)


class _Cors(NamedTuple):
    methods: str
    takes: str
    shows: str


_VIDEO = _Cors(
    "GET, HEAD, OPTIONS",
    "Authorization, Range, If-None-Match, If-Range",
    "Accept-Ranges, Content-Length, Content-Range, ETag, Lockstep-Session-Ends, Lockstep-Warning, Retry-After",
)
_API = _Cors("GET, POST, OPTIONS", "Authorization, Content-Type", "Retry-After")


@lru_cache(maxsize=1_024)
def _fields(allowed: tuple[str, ...], origin: str | None, kind: _Cors) -> list[tuple[bytes, bytes]]:
    fields = {**PLAIN_HEADERS, **_cors(allowed, origin, kind)}
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]


def _cors(allowed: tuple[str, ...], origin: str | None, kind: _Cors) -> dict[str, str]:
    headers = {
        "Access-Control-Allow-Methods": kind.methods,
        "Access-Control-Allow-Headers": kind.takes,
        "Access-Control-Expose-Headers": kind.shows,
        "Access-Control-Max-Age": "600",
    }
    if not allowed:
        return {"Access-Control-Allow-Origin": "*", **headers}
    if origin is None or origin not in allowed:
        return {"Vary": "Origin"}
    # A named origin may send its cookie; "*" may not (Fetch standard, CORS protocol and credentials).
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
        **headers,
    }
