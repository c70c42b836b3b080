"""What the panel of the demo's page does: break the vendor, the encoder and the viewers' tokens, and mend them.

These routes exist in `lockstep demo` alone. They answer to this machine only, under its own address, to the page that
they come from, and to whoever holds the key that was printed with the page's URL.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feeds.io.status import from_this_machine, refused
from kernel.errors import DecodeError
from kernel.io.http import bearer_token, problem, read_body
from kernel.strict_json import CLIENT_LIMITS, decode
from lockstep.demo.game import RATE
from lockstep.demo.posting import MAX_DELAY_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from lockstep.demo.encoder import Encoder
    from lockstep.demo.posting import Posting

PREFIX = "/demo/api/"

VIEWERS: Mapping[str, frozenset[str]] = {
    "live": frozenset({"watch", "wager"}),
    "behind": frozenset({"watch", "wager"}),
    # Sees every entry as soon as it is sealed: for the drawing, never for a viewer.
    "desk": frozenset({"wager", "trading"}),
}
"""Who watches on the page, and with which scopes."""


class Controls:
    """Answer the panel.

    Args:
        key: what the page shows us, a secret of this run.
        event_id: of the showing.
        kickoff_ms: when frame 0 happened, Unix milliseconds.
        encoder: the one that runs.
        posting: the vendor.
        issue: makes a token of some scopes for an account, and returns its `jti` and itself.
        revoke: takes a token back by its `jti`.
    """

    def __init__(
        self, *, key: str, event_id: str, kickoff_ms: int, encoder: Encoder, posting: Posting,
        issue: Callable[[str, frozenset[str]], tuple[str, str]], revoke: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._key = key.encode()
        self._event_id = event_id
        self._kickoff_ms = kickoff_ms
        self._encoder = encoder
        self._posting = posting
        self._issue = issue
        self._take_back = revoke
        self._held: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """Return what is mounted."""
        return [
            Route(PREFIX + "state", self._guarded(self._state), methods=["GET"]),
            Route(PREFIX + "token", self._guarded(self._token), methods=["POST"]),
            Route(PREFIX + "revoke", self._guarded(self._revoke), methods=["POST"]),
            Route(PREFIX + "vendor", self._guarded(self._vendor), methods=["POST"]),
            Route(PREFIX + "encoder", self._guarded(self._restart), methods=["POST"]),
        ]

    def _guarded(
        self, answer: Callable[[dict[str, Any]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            if not from_this_machine(request) or not self._same_origin(request):
                return refused()
            token = bearer_token(request.headers)
            if token is None or not hmac.compare_digest(token.encode(), self._key):
                return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
            if request.method == "GET":
                return await answer({})
            if request.headers.get("content-type") != "application/json":
                # A form of another site can send anything but this without asking first (Fetch standard, CORS).
                return problem(415, "Unsupported Media Type", detail="application/json is expected")
            body = await read_body(request, CLIENT_LIMITS.max_bytes)
            if body is None:
                return problem(413, "Content Too Large")
            try:
                wish = decode(body, CLIENT_LIMITS)
                if not isinstance(wish, dict):
                    raise DecodeError("a JSON object is expected")
                return await answer(wish)
            except DecodeError as error:
                return problem(422, "Unprocessable Content", detail=str(error))

        return guarded

    @staticmethod
    def _same_origin(request: Request) -> bool:
        # Browsers name their page's origin with every POST; a GET of the same origin has none.
        origin = request.headers.get("origin")
        own = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return (
            origin == own
            if origin is not None
            else request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        )

    async def _state(self, _: dict[str, Any]) -> Response:
        return self._told()

    async def _token(self, wish: dict[str, Any]) -> Response:
        viewer = _viewer(wish)
        self._held[viewer], token = self._issue(viewer, VIEWERS[viewer])
        return JSONResponse({"token": token, "event_id": self._event_id}, headers={"Cache-Control": "no-store"})

    async def _revoke(self, wish: dict[str, Any]) -> Response:
        viewer = _viewer(wish)
        # Nothing held is nothing to do. A browser asks again if it loses the connection that it asked over, and it does
        # where the viewer's own pictures came over the same one: that is cut.
        if viewer in self._held:
            await self._take_back(self._held.pop(viewer))
        return self._told()

    async def _vendor(self, wish: dict[str, Any]) -> Response:
        delay_s, silent = wish.get("delay_s", self._posting.delay_s), wish.get("silent", self._posting.silent)
        if isinstance(delay_s, bool) or not isinstance(delay_s, int | float) or not 0 <= delay_s <= MAX_DELAY_S:
            raise DecodeError(f"delay_s: 0 to {MAX_DELAY_S:g} seconds are expected, not {delay_s!a:.40}")
        if not isinstance(silent, bool):
            raise DecodeError(f"silent: true or false is expected, not {silent!a:.40}")
        self._posting.delay_s = float(delay_s)
        if silent:
            self._posting.silent = True
        else:
            self._posting.speak()
        return self._told()

    async def _restart(self, _: dict[str, Any]) -> Response:
        self._encoder.restart()
        return self._told()

    def _told(self) -> Response:
        told = {
            "event_id": self._event_id,
            "kickoff_ms": self._kickoff_ms,
            "rate": RATE,
            "frame": self._posting.frame(),
            "delay_s": self._posting.delay_s,
            "silent": self._posting.silent,
            "posted": self._posting.posted,
            "runs": self._encoder.runs,
        }
        return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _viewer(wish: dict[str, Any]) -> str:
    viewer = wish.get("viewer")
    if not isinstance(viewer, str) or viewer not in VIEWERS:
        raise DecodeError(f"viewer: one of {', '.join(VIEWERS)} is expected, not {viewer!a:.40}")
    return viewer
