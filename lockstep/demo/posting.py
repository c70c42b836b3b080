"""The demo's vendor at work: it posts to the real webhook, signed, at its own pace, and does as the panel says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import httpcore2  # noqa: F401 - the first client would import it, and read files on the loop
import httpx2
import structlog

from feeds.standard_webhooks import parse_secret, sign
from lockstep.demo.game import RATE
from lockstep.demo.vendor import INTERVAL_S, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lockstep.demo.game import Game
    from lockstep.demo.vendor import Vendor

log = structlog.get_logger("demo")

STEP_S = 0.1
ALIVE_S = 1.0
RETRY_S = 0.3
"""Between two attempts while the server starts."""

MAX_DELAY_S = 20.0


def loopback_client() -> httpx2.AsyncClient:
    """Return a client for plain HTTP within this machine. It knows no authorities: reading them blocks the loop."""
    return httpx2.AsyncClient(trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


class Posting:
    """Post what a vendor writes.

    Args:
        vendor: who writes.
        game: what it writes of.
        kickoff_ms: when that began, Unix milliseconds.
        url: the webhook.
        secret: what it signs with, `whsec_...`.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self, vendor: Vendor, game: Game, kickoff_ms: int, url: str, secret: str, wall: Callable[[], float]
    ) -> None:
        self._vendor = vendor
        self._game = game
        self._kickoff_ms = kickoff_ms
        self._url = url
        self._secret = parse_secret(secret)
        self._wall = wall
        self._waiting: list[Message] = []
        self._written_to = 0
        self._alive_at = 0.0
        self._count = 0
        self.delay_s = 0.0
        self.silent = False
        self.posted = 0

    def frame(self) -> int:
        """Return the frame that happens now."""
        return int((self._wall() * 1000 - self._kickoff_ms) * RATE // 1000)

    def speak(self) -> None:
        """End a silence: say what there was to say, then how every market is."""
        if self.silent:
            self.silent = False
            self._alive_at = 0.0
            frame = self.frame()
            if self._game.may_bet(frame):
                heappush(self._waiting, self._vendor.opening(frame))

    async def run(self) -> None:
        """Post until cancelled."""
        async with loopback_client() as client:
            while True:
                frame = self.frame()
                if frame >= self._written_to:
                    for message in self._vendor.messages(self._written_to, frame + 1):
                        heappush(self._waiting, message)
                    self._written_to = frame + 1
                if not self.silent:
                    await self._speak(client, frame)
                await asyncio.sleep(STEP_S)

    async def _speak(self, client: httpx2.AsyncClient, frame: int) -> None:
        if self._wall() >= self._alive_at + ALIVE_S:
            self._alive_at = self._wall()
            self._count += 1
            await self._post(client, f"alive-{self._count}", [{"type": "alive", "interval_s": INTERVAL_S}])
        late = self.delay_s * RATE
        while self._waiting and self._waiting[0].due + late <= frame and not self.silent:
            message = heappop(self._waiting)
            await self._post(client, message.id, message.items)

    async def _post(self, client: httpx2.AsyncClient, id_: str, items: Sequence[dict[str, Any]]) -> None:
        body = json.dumps(items).encode()
        while True:
            at = int(self._wall())
            headers = {
                "content-type": "application/json",
                "webhook-id": id_,
                "webhook-timestamp": str(at),
                "webhook-signature": sign(self._secret, id_, at, body),
            }
            with contextlib.suppress(httpx2.TransportError):
                answer = await client.post(self._url, content=body, headers=headers)
                if answer.status_code != 503:
                    if not answer.is_success:
                        log.error("demo.refused", message=id_, status=answer.status_code, detail=answer.text[:300])
                    self.posted += 1
                    return
            await asyncio.sleep(RETRY_S)
