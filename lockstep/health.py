"""`GET /livez` and `GET /readyz`: whether a process is there, and whether it can do what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kernel.io.redis_bus import RedisBus

if TYPE_CHECKING:
    from kernel.io.memory_bus import MemoryBus
    from kernel.showings import Showing


class HasReadiness(Protocol):
    """A house that says whether it is ready."""

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it is ready, and what `/readyz` says of it."""
        ...


def health_routes(
    bus: MemoryBus | RedisBus, houses: Sequence[HasReadiness], showings: Mapping[str, Showing]
) -> list[Route]:
    """Return what the composition root mounts.

    Args:
        bus: what the houses share.
        houses: those of this process.
        showings: all that there are, by event id.
    """

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})

    async def readyz(_: Request) -> Response:
        trouble = bus.trouble() if isinstance(bus, RedisBus) else None
        body: dict[str, Any] = {"bus": trouble or "ready", "showings": len(showings)}
        ready = trouble is None
        for house in houses:
            is_ready, told = house.readiness()
            ready = ready and is_ready
            body.update(told)
        status = {None: "ready" if ready else "starting", "superseded": "superseded"}.get(trouble, "cut_off")
        body = {"status": status, **body}
        return JSONResponse(body, 200 if ready else 503, headers={"Cache-Control": "no-store"})

    return [Route("/livez", livez), Route("/readyz", readyz)]
