"""The operators' console in a real browser: who watches and who has to go, what is dark and what holds at a point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Dialog, Page, async_playwright, expect

from lockstep.keys import read_keys
from tests.e2e.browser import CHROMIUM, CHROMIUM_OPTIONS
from tests.e2e.stage import PATIENCE_S, Stage
from tests.e2e.test_blackout import Operator, serve
from tests.e2e.test_sessions import PLAIN, SEGMENT, configured, devices

expect.set_options(timeout=1_000 * PATIENCE_S)


@asynccontextmanager
async def console(stage: Stage, url: str) -> AsyncIterator[Page]:
    """Log in to the console; at the end the browser has complained of nothing."""
    key = (await asyncio.to_thread(read_keys, stage.data_dir)).operator_key()
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
        await page.goto(f"{url}/console")
        await page.fill("#key", key)
        await page.click("button.primary")
        await expect(page.locator(".who")).to_contain_text("cli")
        yield page
        await browser.close()
    assert complaints == []


@pytest.mark.both_shapes
async def test_three_sessions_of_an_account_and_one_is_kicked(stage: Stage) -> None:
    server, url = await stage.serve(PLAIN, *configured(stage, ppv_max=3, order="reject"))
    client, (first, *others) = await devices(stage, url, 4)
    async with client, console(stage, url) as page:
        for device in (first, *others[:2]):
            assert await device.is_told() == (200, "")
            assert await device.is_told(SEGMENT) == (200, "")
        # They appear by themselves, and so does who was refused.
        rows = page.locator("[data-account='ann'] tr[data-session]")
        await expect(rows).to_have_count(3)
        assert await others[2].is_told() == (403, "session_limit")
        await expect(page.locator("#lately")).to_contain_text("more sessions than are allowed at a time")

        row = page.locator(f"tr[data-session='{first.session}']")
        asked: list[str] = []

        async def say_no(dialog: Dialog) -> None:
            asked.append(dialog.message)
            await dialog.dismiss()

        page.once("dialog", say_no)
        await row.locator("button").click()
        assert asked[0].endswith("session of ann?")
        await expect(row.locator("button")).to_have_text("Kick")

        page.on("dialog", lambda dialog: dialog.accept())
        await page.select_option("#grace", "60")
        await row.locator("button").click()
        left = row.locator("[data-left-ms]")
        await expect(left).to_be_visible()
        await expect(row).to_contain_text("sent away by an operator, by cli")
        # It runs down between two looks at the server, too.
        before = float((await left.inner_text()).split()[0])
        await expect(left).not_to_have_text(f"{before:.1f} s")
        assert float((await left.inner_text()).split()[0]) < before <= 60.0
        assert (await first.is_told())[0] == 200
        await row.locator("button", has_text="Cut now").click()
        await expect(rows).to_have_count(2)
        assert await first.is_told() == (403, "evicted")
        assert await others[0].is_told(SEGMENT) == (200, "")
        await expect(page.locator("#lately")).to_contain_text("by cli")

        # On a phone nothing is wider than the screen.
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.fill("#q", "nobody")
        await page.press("#q", "Enter")
        await expect(page.locator("#live")).to_contain_text("Nobody watches")
    assert "Traceback" not in server.log


@pytest.mark.both_shapes
async def test_a_dark_market_is_shown_and_a_point_is_tested(stage: Stage) -> None:
    server, url = await serve(stage)
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http, console(stage, url) as page:
        await page.goto(f"{url}/console/map")
        los_angeles = page.locator("[data-market='803']")
        await expect(los_angeles).to_have_attribute("data-shade", "clear")
        name = await operator.make()
        # By itself, at its next look.
        await expect(los_angeles).to_have_attribute("data-shade", "dark")
        await expect(page.locator("[data-market='825']")).to_have_attribute("data-shade", "clear")
        # The land is drawn, not only its frame.
        box = await page.locator(".land use").first.bounding_box()
        assert box is not None
        assert box["width"] > 5

        await page.fill("[name=lat]", "34.1478")
        await page.fill("[name=lon]", "-118.1445")
        await page.click("#ask button")
        await expect(page.locator("#answer h2")).to_have_text(f"Blocked by {name}")
        await page.fill("[name=lat]", "32.7157")
        await page.fill("[name=lon]", "-117.1611")
        await page.click("#ask button")
        await expect(page.locator("#answer h2")).to_have_text("Not blacked out")

        await page.select_option("[name=view]", "world")
        await page.click("#ask button")
        await expect(page.locator("#map")).to_have_attribute("viewBox", "0 0 720.0 360.0")
        await page.click("text=Log out")
        await expect(page.locator("#key")).to_be_visible()
        await page.goto(f"{url}/console/map")
        await expect(page.locator("#key")).to_be_visible()
    assert "Traceback" not in server.log
