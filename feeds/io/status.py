"""`GET /api/v1/feeds`: how the vendors' feeds are, for who sits at the machine.

No operator's key is asked for: only a connection from this machine is answered. What says that it was forwarded
is not from here, whoever forwarded it; nor is a page in a browser here that reached us under a name of its
own (DNS rebinding).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feeds.io.ingest import StreamIngest
from kernel.io.http import peer_address, problem

if TYPE_CHECKING:
    from starlette.requests import Request


_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_HOST = re.compile(r"(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", re.IGNORECASE)


def from_this_machine(request: Request) -> bool:
    """Return whether a request came over the loopback interface, and to this machine's own address."""
    headers = request.headers
    if any(name in headers for name in _FORWARDED) or not _HOST.fullmatch(headers.get("host", "")):
        return False
    try:
        return ip_address(peer_address(request.scope)).is_loopback
    except ValueError:
        return False


def refused() -> Response:
    """Return the answer to who asks from elsewhere."""
    return problem(403, "Not for you", detail="this is answered to connections from the machine itself only")


def statuses(ingests: Mapping[str, StreamIngest]) -> list[dict[str, Any]]:
    """Return how the feeds of all showings are."""
    return [ingest.status() for ingest in ingests.values()]


def status_routes(ingests: Mapping[str, StreamIngest], wall: Callable[[], float]) -> list[Route]:
    """Return the route, to be mounted by the composition root.

    Args:
        ingests: by event id.
        wall: the time of day in Unix seconds.
    """

    async def feeds(request: Request) -> Response:
        if not from_this_machine(request):
            return refused()
        body = {"now_ms": round(wall() * 1000), "showings": statuses(ingests)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return [Route("/api/v1/feeds", feeds, methods=["GET"])]
