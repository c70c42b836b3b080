"""A player that stands still says what it has and what it waits for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.browser import browser, site
from tests.e2e.stage import FIXTURES

TOP = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Stadium",DEFAULT=YES,AUTOSELECT=YES,URI="stadium/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=400000,CODECS="avc1.64000c,mp4a.40.2",AUDIO="aud"
high/index.m3u8
"""


async def test_a_live_stream_that_does_not_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    with site(folder) as page:
        # Lists without an end that never grow, as of a packager that has died.
        for name in ("high", "stadium"):
            shutil.copytree(FIXTURES / "ladder" / name, folder / name)
            text = (folder / name / "index.m3u8").read_text("utf-8")
            live = text.replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "").replace("#EXT-X-ENDLIST\n", "")
            (folder / name / "index.m3u8").write_text(live, "utf-8")
        (folder / "index.m3u8").write_text(TOP, "utf-8")
        async with browser(page) as player:
            await player.play(page.replace("index.html", "index.m3u8"))
            await player.has_played(1)
            player.patience_ms = 1_000
            with pytest.raises(AssertionError) as told:
                await player.has_played(60)
    text = str(told.value)
    assert '"type": "main", "state": "' in text
    assert '"type": "audio", "state": "' in text
    assert '"sn": [0, 7], "cc": [0, 0]' in text
    assert 'buffers: {"video": [[' in text
    assert '"what": "init pts", "id": "main"' in text
    assert "the last list of main:\n#EXTM3U\n" in text
    assert "stadium-007.ts" in text
