"""kill -9 in the middle of webhooks: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import signal
from urllib.parse import urlsplit

import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage, is_cue
from tests.e2e.vendor import Vendor, play

AHEAD_S = 6.0
"""The facts are about pictures still to come, so that most of them are delivered by the second life."""


@pytest.mark.both_shapes
async def test_what_was_acknowledged_survives_a_kill(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    server, url = await stage.serve(origin, "--source", "desk=lockstep")
    # It resumes in the second life, however long that takes to begin.
    token = await stage.token("wager,server")
    edge = await stage.subscribe(url, token, "--mode", "edge", "--retry-for", "300")
    await edge.until(lambda frame: frame["op"] == "snap")
    vendor = Vendor(url, stage.data_dir)
    acknowledged: list[str] = []
    happens = wall() + AHEAD_S

    async def post(lane: int) -> None:
        for number in range(10_000):
            id_ = f"{lane}-{number}"
            if (await vendor.post(id_, play(id_, happens + number / 1000))).status_code == 202:
                acknowledged.append(id_)
            if len(acknowledged) == 150:
                server.kill()

    lanes = [asyncio.create_task(post(lane)) for lane in range(4)]
    results = await asyncio.gather(*lanes, return_exceptions=True)
    assert all(isinstance(result, httpx2.TransportError) for result in results), results
    await server.exit_code()
    await vendor.aclose()
    assert len(acknowledged) >= 150

    again, same = await stage.serve(origin, "--source", "desk=lockstep", "--port", str(urlsplit(url).port))
    assert same == url
    seen: list[str] = []
    owed = {f"desk:{id_}" for id_ in acknowledged}
    async with asyncio.timeout(PATIENCE_S):
        while owed:
            seen.append((await edge.until(is_cue))[-1]["id"])
            owed.discard(seen[-1])
    assert len(seen) == len(set(seen))
    # A vendor that saw no answer sends again; the journal knows the message.
    retried = Vendor(url, stage.data_dir)
    answer = await retried.post(acknowledged[0], play(acknowledged[0], happens))
    assert (answer.status_code, answer.json()["duplicate"]) == (200, True)
    await retried.aclose()
    assert await again.end() == 0


async def test_a_restart_goes_on_with_the_same_log(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    epochs, offsets, timelines = [], [], []
    for life in range(2):
        server, url = await stage.serve(origin, "--source", "desk=lockstep")
        edge = await stage.subscribe(url, await stage.token("wager,server"), "--mode", "edge")
        hello = await edge.until(lambda frame: frame["op"] == "sub")
        epochs.append(hello[0]["epoch"])
        vendor = Vendor(url, stage.data_dir)
        assert (await vendor.post(f"life{life}", play(f"life{life}", wall()))).status_code == 202
        await vendor.aclose()
        cue = (await edge.until(is_cue))[-1]
        assert cue["id"] == f"desk:life{life}"
        offsets.append(cue["o"])
        timelines.append((cue["tl"], cue["pts"]))
        await server.end(signal.SIGKILL)
    assert epochs[0] == epochs[1]
    # Numbering goes on beyond the block that the first process had reserved.
    assert offsets[1] >= 1_000 > offsets[0]
    assert timelines[0] < timelines[1]
