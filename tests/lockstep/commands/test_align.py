from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

from fixtures.encoding import BASE
from fixtures.listing import FIRST_PDT
from kernel.errors import DecodeError, LockstepError, OriginMissing, SettingsError
from lockstep.commands.align import align_command
from tests.support.recordings import RECORDINGS

T0_MS = round(FIRST_PDT.timestamp() * 1000)
DATA = Path(__file__).parents[4] / "shared" / "data"
FRAME = 3_600


@pytest.fixture
def plain() -> Path:
    return RECORDINGS / "plain"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    facts = [
        {"id": name, "op": "new", "type": "play", "occurred_at": T0_MS + after_ms, "body": {"txt": f"[red]{name}"}}
        for name, after_ms in (("p1", -1000), ("p2", 2000), ("p3", 3_600_000))
    ]
    file = tmp_path / "feed.ndjson"
    file.write_text("\n".join(map(json.dumps, facts)))
    return file


def run(*arguments: str | Path) -> tuple[str, str]:
    app = typer.Typer()
    app.command()(align_command)
    with structlog.testing.capture_logs():
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout, result.stderr


def rows(playlist: Path, feed: Path, *more: str, vendor: str = "lockstep") -> list[dict[str, Any]]:
    out, err = run("--json", "--playlist", playlist, "--vendor", vendor, "--feed", feed, *more)
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def test_each_cue_is_a_line_of_json(plain: Path, feed: Path) -> None:
    found = rows(plain, feed)
    assert [(row["id"], row["pts"], row.get("reason")) for row in found] == [
        ("feed:p1", None, "before_start"),
        ("feed:p2", BASE + 50 * FRAME, None),
        ("feed:p3", None, "after_end"),
    ]
    assert (found[1]["msn"], found[1]["off"], found[1]["wall"]) == (1, 0, T0_MS + 2000)


def test_a_feed_is_moved_to_the_first_picture(plain: Path, feed: Path) -> None:
    found = rows(plain, feed, "--shift-to-start")
    assert [row["pts"] for row in found] == [BASE, BASE + 75 * FRAME, None]


def test_people_read_lines(plain: Path, feed: Path) -> None:
    out, _ = run("--playlist", plain / "index.m3u8", "--vendor", "lockstep", "--feed", feed)
    first, second, third, last = out.splitlines()
    assert first.split()[:4] == ["2026-01-01T19:59:59.000Z", "+-0", "--", "before_start"]
    assert "0:1080000 segment 1 +0.000 s" in second
    assert second.endswith("feed:p2 rev 1 new play  [red]p2")
    assert "after_end" in third
    assert last == "1 of 3 cues have their picture"


def test_a_segment_that_is_missing_is_told_and_passed_over(plain: Path, feed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(plain, copy, ignore=shutil.ignore_patterns("plain-001.ts"))
    out, err = run("--json", "--playlist", copy, "--vendor", "lockstep", "--feed", feed)
    assert json.loads(out.splitlines()[1])["reason"] == "in_gap"
    assert err.startswith("segment 1: ")


def test_what_is_absent_says_so(plain: Path, feed: Path, tmp_path: Path) -> None:
    gap = tmp_path / "gap.m3u8"
    gap.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-GAP\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    out, err = run("--json", "--playlist", gap, "--vendor", "lockstep", "--feed", feed)
    assert {json.loads(line)["reason"] for line in out.splitlines()} == {"no_utc"}
    assert "EXT-X-GAP" in err
    with pytest.raises(LockstepError, match="there is no start to move to"):
        run("--json", "--playlist", gap, "--vendor", "lockstep", "--feed", feed, "--shift-to-start")


def test_what_is_wrong_is_named(plain: Path, feed: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no vendor 'x'"):
        run("--playlist", plain, "--vendor", "x", "--feed", feed)
    with pytest.raises(DecodeError, match="it cannot be read: No such file"):
        run("--playlist", plain, "--vendor", "lockstep", "--feed", tmp_path / "none")
    with pytest.raises(OriginMissing):
        run("--playlist", tmp_path / "none.m3u8", "--vendor", "lockstep", "--feed", feed)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
def test_a_real_game_beside_twenty_seconds_of_a_real_stream() -> None:
    game = DATA / "nba" / "live_0022000001.json"
    found = rows(DATA / "hls-ts-rollover", game, "--shift-to-start", vendor="nba")
    assert len(found) == 610
    pinned = [row for row in found if row["pts"] is not None]
    assert {row["reason"] for row in found if row["pts"] is None} == {"after_end"}
    assert all(row["wall"] - found[0]["wall"] < 20_100 for row in pinned)
    assert (pinned[0]["tl"], pinned[0]["off"], pinned[0]["msn"]) == (0, 0, found[0]["msn"])
