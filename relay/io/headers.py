"""What stands in the head of the relay's answers, whichever way they go out."""

from __future__ import annotations

from functools import lru_cache

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
    return _fields(allowed, origin if origin in allowed else None)


@lru_cache(maxsize=1_024)
def _fields(allowed: tuple[str, ...], origin: str | None) -> list[tuple[bytes, bytes]]:
    fields = {**PLAIN_HEADERS, **_cors(allowed, origin)}
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]


def _cors(allowed: tuple[str, ...], origin: str | None) -> dict[str, str]:
    headers = {
        "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Range, If-None-Match, If-Range",
        "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After",
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
