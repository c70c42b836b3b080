"""One subscription over two lives of a server: what the client is shown is whole, once, and never early."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from hub.schemas import SERVER
from kernel.io.system_time import wall
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage, is_cue
from tests.e2e.vendor import Vendor, play
from tests.support import invariants
from tests.support.invariants import Wire

COUNT = 60
AHEAD_S = 3.0


def wire_of(frames: list[dict[str, Any]]) -> Wire:
    """Return what a client printed as a wire: repeats are left out there, so all of it was shown."""
    wire, connection = Wire(), 0
    for frame in frames:
        connection += frame["op"] == "hello"
        wire.frames.append((frame["received"] / 1000, connection, frame))
        wire.shown.append(frame)
    return wire


@pytest.mark.parametrize(("shape", "how"), [("embedded", "json"), ("embedded", "msgpack"), ("apart", "json")])
async def test_kill_9_in_the_middle_of_a_subscription(stage: Stage, how: str) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    server, url = await stage.serve(origin, "--source", "desk=lockstep")
    token = await stage.token("watch,wager,server")
    options = ("--retry-for", "300", "--format", how)
    edge = await stage.subscribe(url, token, "--mode", "edge", *options)
    viewer = await stage.subscribe(url, token, *options)
    for each in (edge, viewer):
        await each.until(lambda frame: frame["op"] == "snap")
    vendor = Vendor(url, stage.data_dir)
    begin = wall() + AHEAD_S
    for number in range(COUNT):
        answer = await vendor.post(f"m{number}", play(f"p{number}", begin + number / 10))
        assert answer.status_code == 202
    await vendor.aclose()
    seen = await edge.until(lambda frame: frame.get("id") == f"desk:p{COUNT // 4}")
    server.kill()
    await server.exit_code()
    _, again = await stage.serve(origin, "--source", "desk=lockstep", "--port", str(urlsplit(url).port))
    assert again == url
    wanted = {f"desk:p{number}" for number in range(COUNT)}
    for each, before in ((edge, seen), (viewer, [])):
        frames, missing = list(before), wanted - {frame.get("id") for frame in before}
        async with asyncio.timeout(PATIENCE_S):
            while missing:
                frames += await each.until(is_cue)
                missing.discard(frames[-1]["id"])
        wire = wire_of(frames)
        assert [frame["resumed"] for _, _, frame in wire.of("sub")][-1:] == [True]
        assert invariants.repeated(wire) == []
        assert invariants.dishonest(wire) == []
        assert invariants.below_floor(wire) == []
        assert invariants.foreign(wire, event_id="game") == []
        for frame in frames:
            received = frame.pop("received")
            assert received > 0
            jsonschema.validate(frame, SERVER[frame["op"]], jsonschema.Draft202012Validator)
