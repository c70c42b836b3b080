"""`GET /api/v1/feeds`: how the vendors' feeds are, for who sits at the machine.

No operator's key is asked for: only a connection from this machine is answered. A proxy in front of us
comes from this machine too; it must not pass this path on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feeds.io.ingest import StreamIngest
from kernel.io.http import peer_address, problem

if TYPE_CHECKING:
    from starlette.requests import Request


def from_this_machine(request: Request) -> bool:
    """Return whether a request came over the loopback interface."""
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
