"""The demo at work: encoder, vendor and panel around the server that `lockstep serve` runs, on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import webbrowser
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import typer
from starlette.applications import Starlette

from kernel.errors import LockstepError
from kernel.io.http import exception_handlers
from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.demo.controls import Controls
from lockstep.demo.encoder import Encoder
from lockstep.demo.game import Game
from lockstep.demo.pages import PREFIX, page_routes
from lockstep.demo.posting import Posting, loopback_client
from lockstep.demo.vendor import Vendor
from lockstep.front_door import below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import ASGIApp

    from lockstep.compose import Deployment
    from lockstep.keys import Keys

EVENT_ID = "demo"
SOURCE = "desk"

TOKEN_TTL_S = 6 * 3_600
READY_S = 60.0
"""How long it may take until the first picture is out: four seconds here, and a machine may be ten times as slow."""

_STEP_S = 0.1


class ShowError(LockstepError):
    """Say what of the demo does not come up."""


class Show:
    """Everything of the demo that is not the server.

    Args:
        encoder: makes the picture.
        seed: of the game, the encoder's too.
        kickoff_ms: when its frame 0 happened, Unix milliseconds.
        keys: the deployment's secrets.
        url: where the server answers.
        pages: the page and its libraries by path.
        opens: whether to open a browser.
    """

    def __init__(
        self, encoder: Encoder, *, seed: int, kickoff_ms: int, keys: Keys, url: str,
        pages: Mapping[str, tuple[bytes, str]], opens: bool,
    ) -> None:  # fmt: skip
        game = Game(seed)
        self._keys = keys
        self._keyring = keys.keyring()
        self._url = url
        self._opens = opens
        self._key = new_id(24)
        self._encoder = encoder
        self._posting = Posting(
            Vendor(game, kickoff_ms), game, kickoff_ms, f"{url}/api/v1/feeds/{SOURCE}",
            keys.webhook_secrets[SOURCE], wall,
        )  # fmt: skip
        controls = Controls(
            key=self._key, event_id=EVENT_ID, kickoff_ms=kickoff_ms, encoder=encoder, posting=self._posting,
            issue=self._issue, revoke=self._revoke,
        )  # fmt: skip
        self._app = Starlette(routes=[*controls.routes(), *page_routes(pages)], exception_handlers=exception_handlers)
        self._app.router.redirect_slashes = False

    @asynccontextmanager
    async def around(self, deployment: Deployment) -> AsyncIterator[ASGIApp]:
        """Run beside a server, and yield what it is to serve."""
        tasks = [asyncio.create_task(part) for part in (self._encoder.run(), self._posting.run(), self._announce())]
        try:
            yield below(PREFIX, self._app, deployment.app)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    async def _announce(self) -> None:
        """Say where the page is as soon as there is something to see."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        async with loopback_client() as client:
            while loop.time() < deadline:
                with contextlib.suppress(httpx2.TransportError):
                    if (await client.get(f"{self._url}/readyz")).status_code == 200:
                        # The key stands behind the #: browsers send it nowhere, and no log shows it.
                        page = f"{self._url}{PREFIX}#{self._key}"
                        typer.echo(page)
                        if self._opens:
                            await asyncio.to_thread(webbrowser.open, page)
                        return
                await asyncio.sleep(_STEP_S)
        raise ShowError(f"no picture was out within {READY_S:g} s: does the encoder run?")

    def _issue(self, account: str, scopes: frozenset[str]) -> tuple[str, str]:
        now = int(wall())
        claims = Claims(
            jti=new_id(), account=account, event_id=EVENT_ID, not_before=now - 30, expires=now + TOKEN_TTL_S,
            window=(now - 30, now + TOKEN_TTL_S), session=new_id(), scopes=scopes,
        )  # fmt: skip
        return claims.jti, self._keyring.issue(claims)

    async def _revoke(self, jti: str) -> None:
        # By the door that operators use: what the page shows is what they get.
        async with loopback_client() as client:
            answer = await client.post(
                f"{self._url}/api/v1/revocations",
                headers={"Authorization": f"Bearer {self._keys.operator_key()}"},
                json={"kind": "token", "value": jti, "reason": "the demo's panel"},
            )
            answer.raise_for_status()
