from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config

from feeds.standard_webhooks import new_secret, parse_secret, sign
from lockstep.demo.game import Game
from lockstep.demo.posting import Posting
from lockstep.demo.vendor import Vendor
from lockstep.front_door import QuietServer, listen, url_of

KICKOFF_MS = 1_767_268_800_000
SECRET = new_secret(bytes(range(32)))
GAME = Game(7)


class Webhook:
    """Take what is posted; the first answers are as told."""

    def __init__(self, *answers: int) -> None:
        self.got: list[tuple[str, list[dict[str, Any]]]] = []
        self._answers = list(answers)
        self._grew = asyncio.Event()

    async def take(self, request: Request) -> Response:
        body = await request.body()
        id_, at = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
        assert request.headers["webhook-signature"] == sign(parse_secret(SECRET), id_, at, body)
        if self._answers:
            return Response(status_code=self._answers.pop(0))
        self.got.append((id_, json.loads(body)))
        self._grew.set()
        return Response(status_code=202)

    async def until(self, wanted: str) -> list[str]:
        """Wait for a message whose id begins so, and return all ids."""
        async with asyncio.timeout(30):
            while not any(id_.startswith(wanted) for id_, _ in self.got):
                self._grew.clear()
                await self._grew.wait()
        return [id_ for id_, _ in self.got]


class Clock:
    """A time of day that is set."""

    def __init__(self) -> None:
        self.frame = 0.0

    def __call__(self) -> float:
        return (KICKOFF_MS + self.frame * 40) / 1000


async def posting(webhook: Webhook, clock: Clock, test: Any) -> None:
    """Run a vendor against a webhook while `test` runs."""
    with listen("127.0.0.1", 0) as listening:
        app = Starlette(routes=[Route("/hook", webhook.take, methods=["POST"])])
        server = QuietServer(Config(app, log_config=None, lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        vendor = Posting(Vendor(GAME, KICKOFF_MS), GAME, KICKOFF_MS, f"{url_of(listening)}/hook", SECRET, clock)
        running = asyncio.create_task(vendor.run())
        try:
            await test(vendor)
        finally:
            running.cancel()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
            server.should_exit = True
            await serving
            assert isinstance(ended, asyncio.CancelledError), ended


async def test_it_posts_what_is_due_and_tries_again_where_the_server_is_not_ready() -> None:
    webhook, clock = Webhook(503, 503), Clock()

    async def test(vendor: Posting) -> None:
        clock.frame = 60
        ids = await webhook.until("m0")
        assert ids[0] == "alive-1"
        assert "open-0" in ids
        assert "m1" not in ids
        clock.frame = 100
        assert "m1" in await webhook.until("m1")
        assert vendor.frame() == 100

    await posting(webhook, clock, test)


async def test_a_delay_keeps_the_data_back_and_not_the_sign_of_life() -> None:
    webhook, clock = Webhook(), Clock()

    async def test(vendor: Posting) -> None:
        vendor.delay_s = 10
        clock.frame = 200
        assert "m0" not in await webhook.until("alive-1")
        clock.frame = 300
        ids = await webhook.until("m0")
        assert not any(id_.startswith("price-2") for id_ in ids)
        vendor.delay_s = 0
        await webhook.until("m4")

    await posting(webhook, clock, test)


async def test_silence_is_silence_and_its_end_says_how_every_market_is() -> None:
    webhook, clock = Webhook(), Clock()

    async def test(vendor: Posting) -> None:
        await webhook.until("alive-1")
        vendor.silent = True
        clock.frame = 400
        before = len(webhook.got)
        # The vendor has had its turn when the loop has gone around for longer than its step.
        await asyncio.sleep(0.35)
        assert len(webhook.got) <= before + 1
        vendor.speak()
        vendor.speak()
        clock.frame = 420
        ids = await webhook.until("open-400")
        assert "m5" in ids
        assert ids.count("open-400") == 1

    await posting(webhook, clock, test)


@pytest.mark.parametrize("status", [401, 422])
async def test_a_refusal_is_logged_and_not_tried_again(status: int) -> None:
    webhook, clock = Webhook(status), Clock()

    async def test(vendor: Posting) -> None:
        clock.frame = 20
        ids = await webhook.until("open-0")
        assert "alive-1" not in ids
        assert vendor.posted >= 1

    await posting(webhook, clock, test)
