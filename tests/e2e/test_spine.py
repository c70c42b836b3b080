"""The main job: a live stream, a replayed game, subscribers, and a checker that stands beside them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage, is_cue

GAME_START = 1_700_000_000.0
N_ACTIONS = 30


def game() -> dict[str, Any]:
    """Return an NBA document: an action a second, every fifth one edited two seconds later."""
    actions = []
    for number in range(1, N_ACTIONS + 1):
        at = GAME_START + number
        edited = at + 2 if number % 5 == 0 else at
        actions.append(
            {
                "actionNumber": number,
                "orderNumber": number * 10_000,
                "clock": f"PT11M{59 - number:02d}.00S",
                "period": 1,
                "actionType": "2pt",
                "subType": "Layup",
                "teamTricode": "HAR",
                "scoreHome": str(number * 2),
                "scoreAway": "0",
                "timeActual": _iso(at, "3Z"),
                "edited": _iso(edited, "Z"),
                "description": f"Basket {number}",
                "playerNameI": "K. Ito",
            }
        )
    return {"game": {"gameId": "1", "actions": actions}}


def _iso(at: float, ending: str) -> str:
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".300Z" if ending == "3Z" else ending)


class Checker:
    """Poll a playlist, and tell afterwards whether a cue came before its segment was listed.

    A cue received at r is early if a poll sent at or after r was answered without its segment: then the segment was not
    out at r either. Whatever the poll's own delay, this accuses nobody falsely.
    """

    def __init__(self, playlist: str, every_s: float = 0.02) -> None:
        self.playlist = playlist
        self._every_s = every_s
        self.polls: list[tuple[float, int]] = []

    async def run(self) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            while True:
                sent = wall() * 1000
                answer = await client.get(self.playlist)
                listed = re.findall(r"^main/\d+-(\d+)\.", answer.text, re.MULTILINE)
                if listed:
                    self.polls.append((sent, int(listed[-1])))
                await asyncio.sleep(self._every_s)

    def early(self, cues: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [cue for cue in cues if any(sent >= cue["received"] and last < cue["msn"] for sent, last in self.polls)]


@pytest.mark.both_shapes
async def test_a_game_in_lockstep_with_its_picture(stage: Stage, tmp_path: Path) -> None:
    feed = tmp_path / "game.json"
    feed.write_text(json.dumps(game()), "utf-8")
    origin = await stage.origin(FIXTURES / "wrap", "--loop", "--window", "4")
    server, url = await stage.serve(origin, "--source", "nba=nba")
    viewer_token = await stage.printed_token()
    server_token = await stage.printed_token("--scope", "watch,wager,server")
    edge = await stage.subscribe(url, server_token, "--mode", "edge")
    viewer = await stage.subscribe(url, viewer_token)
    for subscriber in (edge, viewer):
        await subscriber.until(lambda frame: frame["op"] == "sub")
    checker = Checker(f"{url}/hls/{viewer_token}/game/index.m3u8")
    polling = asyncio.create_task(checker.run())
    replay = await stage.start(
        "replay", str(feed), "--vendor", "nba", "--source", "nba", "--to", url, "--speed", "4",
        "--data-dir", str(stage.data_dir),
    )  # fmt: skip
    wanted = f"nba:{N_ACTIONS}"
    edge_cues, viewer_cues = [
        [frame for frame in frames if is_cue(frame)]
        for frames in await asyncio.gather(
            edge.until(lambda frame: frame.get("id") == wanted and frame["rev"] == 2),
            viewer.until(lambda frame: frame.get("id") == wanted and frame["rev"] == 2),
        )
    ]
    assert await replay.exit_code() == 0, replay.log
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)

    for cues in (edge_cues, viewer_cues):
        # Every play, each offset once, in the order of the picture unless it was late.
        assert {cue["id"] for cue in cues} == {f"nba:{number}" for number in range(1, N_ACTIONS + 1)}
        assert len({cue["o"] for cue in cues}) == len(cues)
        on_time = [(cue["tl"], cue["pts"], cue["o"]) for cue in cues if "late_ms" not in cue]
        assert on_time == sorted(on_time)
    assert len(checker.polls) > 100
    assert checker.early(edge_cues) == []
    assert checker.early(viewer_cues) == []
    # An honest player is three target durations behind; its cues come later than the edge's.
    received = {cue["o"]: cue["received"] for cue in edge_cues}
    assert all(cue["received"] > received[cue["o"]] for cue in viewer_cues if cue["o"] in received)
    _pts_are_right(edge_cues)
    assert await server.end() == 0
    assert "Traceback" not in server.log


def _pts_are_right(cues: list[dict[str, Any]]) -> None:
    """Check that `off` and `wall` say the same: a segment's first picture has one wall for all its cues."""
    begins: dict[int, set[int]] = {}
    for cue in cues:
        begins.setdefault(cue["msn"], set()).add(round(cue["wall"] - cue["off"] / 90))
    assert all(max(walls) - min(walls) <= 1 for walls in begins.values())


async def test_a_vod_plays_in_step_from_its_first_segment(stage: Stage) -> None:
    from tests.e2e.vendor import Vendor, play

    _, url = await stage.serve(str(FIXTURES / "plain"), "--source", "desk=lockstep")
    text = (FIXTURES / "plain" / "index.m3u8").read_text("utf-8")
    first = re.search(r"PROGRAM-DATE-TIME:(\S+)", text)
    assert first
    from kernel.dates import parse_date

    begin = parse_date(first[1])
    vendor = Vendor(url, stage.data_dir)
    for number in range(3):
        assert (await vendor.post(f"m{number}", play(f"p{number}", begin + number))).status_code == 202
    await vendor.aclose()
    viewer = await stage.subscribe(url, await stage.token())
    frames = await viewer.until(lambda frame: frame.get("id") == "desk:p2")
    # By the server's word: on a busy machine the client may hear late that it has started.
    started = next(frame["now"] for frame in frames if frame["op"] == "hello")
    cues = [frame for frame in frames if is_cue(frame)]
    assert [cue["off"] for cue in cues] == [0, 90_000, 0]
    # At rate 1 from the first segment: the third play shows two seconds after the start, never sooner.
    assert cues[2]["received"] - started >= 1_990


async def test_the_end_of_a_stream_gives_what_is_left(stage: Stage) -> None:
    from tests.e2e.vendor import Vendor, play

    _, url = await stage.serve(str(FIXTURES / "plain"), "--source", "desk=lockstep")
    edge = await stage.subscribe(url, await stage.token("wager,server"), "--mode", "edge")
    await edge.until(lambda frame: frame["op"] == "sub")
    vendor = Vendor(url, stage.data_dir)
    # It happened after the last picture: it belongs to the end, which is out.
    assert (await vendor.post("late", play("final whistle", wall()))).status_code == 202
    await vendor.aclose()
    frames = await edge.until(is_cue)
    assert frames[-1]["id"] == "desk:final whistle"


async def test_a_clean_end_says_goodbye(stage: Stage) -> None:
    server, url = await stage.serve(str(FIXTURES / "plain"))
    viewer = await stage.subscribe(url, await stage.token())
    await viewer.until(lambda frame: frame["op"] == "sub")
    async with asyncio.timeout(PATIENCE_S):
        ended, frames = await asyncio.gather(server.end(), viewer.until(lambda frame: frame["op"] == "bye"))
    assert ended == 0
    assert frames[-1]["code"] == 4412
    assert "retry_ms" in frames[-1]
    # It tries to come back until it is told to stop.
    assert await viewer.end() == 0
