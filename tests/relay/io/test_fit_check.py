from __future__ import annotations

import asyncio
from pathlib import Path

from kernel.io.origin import Fetcher
from kernel.showings import Showing
from relay.io.fit_check import FitCheck

LIST = "#EXTM3U\n#EXT-X-TARGETDURATION:{}\n#EXTINF:1,\na{}\n"


async def test_two_origins_side_by_side(tmp_path: Path) -> None:
    for name, target_s, ending in (("game", 2, ".ts"), ("same", 2, ".ts"), ("long", 4, ".ts"), ("boxes", 2, ".m4s")):
        await asyncio.to_thread((tmp_path / f"{name}.m3u8").write_text, LIST.format(target_s, ending), "utf-8")
    names = ("game", "same", "long", "boxes", "later")
    showings = {name: Showing(name, (tmp_path / f"{name}.m3u8").as_uri()) for name in names}
    loop = asyncio.get_running_loop()
    fetcher = Fetcher([one.origin for one in showings.values()], now=loop.time)
    check = FitCheck(fetcher, showings, now=loop.time)
    assert [await check("game", name) for name in ("same", "long", "boxes")] == [
        None, "its segments last up to 4 s, not 2 s", "its segments are .m4s, not .ts",
    ]  # fmt: skip
    # What is not on air yet, or not there, cannot be compared.
    assert [await check("game", name) for name in ("later", "nothing")] == [None, None]
    await fetcher.aclose()
