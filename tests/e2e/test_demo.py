"""`lockstep demo` in a real browser: two viewers in lockstep with their pictures, a panel that does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.e2e.browser import CHROMIUM, CHROMIUM_OPTIONS
from tests.e2e.stage import PATIENCE_S, Command, Stage

CUES = 12
"""Of each viewer: a page that plays two videos has some twenty within half a dozen seconds."""

LEAST_NEAR, LEAST_NEAR_UNDER_LOAD = 0.9, 0.5
"""How many cues must be within a frame of their picture, where the browser keeps pace and where it does not: on a
machine that others keep busy it presents frames some time before it tells of them. None is early on any machine."""

KEEPS_PACE = 0.97
"""The share of frames that it then presents."""


@asynccontextmanager
async def demo(stage: Stage) -> AsyncIterator[tuple[Page, Command, list[str]]]:
    """Open the page of a demo; also yield what the browser complained of."""
    command = await stage.start("demo", "--port", "0")
    address = await command.line()
    assert address.startswith("http://127.0.0.1:"), command.log
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = await browser.new_page(viewport={"width": 900, "height": 600}, reduced_motion="reduce")
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{message.text} {message.location['url']}") if message.type == "error" else None
            ),
        )
        await page.goto(address)
        yield page, command, complaints
        await page.screenshot(path=str(stage.folder / "demo.png"))
        await browser.close()


async def until(page: Page, what: str) -> None:
    """Wait until something holds on the page, in which `live` and `behind` are its viewers."""
    # The page's own policy forbids what `wait_for_function` does.
    script = """(async () => {
      const holds = () => {
        const [live, behind] = window.demo?.viewers?.map(({ viewer }) => viewer) ?? [];
        return behind && (%s);
      };
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 50));
    })()"""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await page.evaluate(script % what)
    except TimeoutError:
        raise AssertionError(f"{what} never came: {await viewers(page)}") from None


async def viewers(page: Page) -> list[dict[str, Any]]:
    """Return what the meters say, the live viewer's first."""
    told: list[dict[str, Any]] = await page.evaluate(
        """() => window.demo.viewers.map(({ viewer }) => ({
          count: viewer.meter.count, early: viewer.meter.early, even: viewer.meter.even, share: viewer.meter.share,
          unread: viewer.meter.unread, dropped: viewer.meter.dropped, histogram: [...viewer.meter.histogram],
          shown: viewer.shown, lag: viewer.lagS, revoked: viewer.revoked, breaks: viewer.breaks,
          presented: viewer.meter.shown.length, plays: viewer.book.plays.length, score: viewer.book.score,
          errors: viewer.errors, mayWager: viewer.mayWager,
        }))"""
    )
    return told


async def test_two_viewers_in_lockstep_and_what_the_panel_breaks(stage: Stage) -> None:
    async with demo(stage) as (page, command, complaints):
        # The picture plays, and cues of both come with it.
        await until(page, f"[live, behind].every(({{ meter }}) => meter.even >= {CUES})")
        await until(page, "[live, behind].every((viewer) => viewer.mayWager && viewer.book.score)")
        # Twelve seconds apart, as near as a busy machine keeps them.
        await until(page, "behind.lagS - live.lagS > 6")

        # A cut socket comes back, and what came meanwhile is told.
        await page.click("#drop")
        count = (await viewers(page))[0]["count"]
        await until(page, f"live.breaks === 1 && live.mayWager && live.meter.count > {count} + 4")

        # Silence closes bets on both; its end lets them be open again.
        await page.click("#silence")
        # Asked at once: on a busy machine a heartbeat that is late closes bets for a moment, too.
        closed = "[...document.querySelectorAll('.market')].every((market) => market.dataset.st !== 'open')"
        await until(page, f"!live.mayWager && !behind.mayWager && live.book.board().length && {closed}")
        await page.click("#silence")
        await until(page, "live.mayWager && behind.mayWager")

        # Revoked: picture and data end, of that one alone; a new token begins anew.
        await page.click("#revoke")
        await until(page, "live.revoked && live.video.paused")
        assert await page.locator("#live .overlay").is_visible()
        (_, behind) = await viewers(page)
        await page.locator("#live [data-part=again]").click()
        await until(page, f"!live.revoked && live.shown && live.mayWager && behind.shown > {behind['shown']} + 25")

        told = await viewers(page)
        print(told)
        assert complaints_but_of_refusals(complaints) == []
        assert await command.end() == 0
    assert "Traceback" not in command.log
    for viewer in told:
        assert viewer["early"] == 0
        pace = viewer["presented"] / (viewer["presented"] + viewer["dropped"])
        assert viewer["share"] >= (LEAST_NEAR if pace >= KEEPS_PACE else LEAST_NEAR_UNDER_LOAD), viewer


def complaints_but_of_refusals(complaints: list[str]) -> list[str]:
    """Return what the browser complained of, without the requests that were refused to a revoked token."""
    return [text for text in complaints if "403" not in text]
