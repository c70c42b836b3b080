"""A game in our own format, told by a vendor that falters: markets, suspends, corrections, silence."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, Command, Stage, is_cue
from tests.e2e.vendor import Vendor, play
from tests.lockstep.scraped import Samples, samples

INTERVAL_S = 1.5


class Desk(Vendor):
    """A vendor that numbers its messages, and whose heart can be stopped."""

    n_messages = 0

    async def tell(self, *facts: dict[str, Any]) -> float:
        """Post facts as one message; return when, in Unix seconds."""
        self.n_messages += 1
        answer = await self.post(f"m{self.n_messages}", list(facts))
        assert answer.status_code == 202, answer.text
        return wall()

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Beat six times an interval: on a busy machine some come late, and none must be missed."""

        async def beat() -> None:
            while True:
                await self.tell({"type": "alive", "interval_s": INTERVAL_S, "complete_to": round(wall() * 1000)})
                await asyncio.sleep(INTERVAL_S / 6)

        heart = asyncio.create_task(beat())
        try:
            yield
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)


def fact(id_: str, type_: str, body: dict[str, Any], *, op: str = "new", at: float | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"id": id_, "op": op, "type": type_, "body": body}
    return told if at is None else {**told, "occurred_at": round(at * 1000)}


def opening(id_: str, mid: str, milli: int) -> dict[str, Any]:
    body = {"market": {"mid": mid, "st": "open"}, "price": {"out": [{"oid": "1", "milli": milli}]}}
    return fact(id_, "market", body, at=wall())


async def _tell_the_game(desk: Desk, edge: Command) -> tuple[list[dict[str, Any]], float]:
    """Tell it until the vendor's silence has been noticed; return what was heard, and when the heart stopped."""
    async with desk.alive():
        await desk.tell(opening("a1", "a", 1850), opening("b1", "b", 2100), play("dunk", wall()), play("foul", wall()))
        await asyncio.sleep(1.0)
        await desk.tell(fact("s1", "suspend", {"market": {"mid": "a"}, "txt": "Possible goal"}, at=wall()))
        heard = await edge.until(lambda frame: frame.get("id") == "desk:s1")
        await asyncio.sleep(1.0)
        await desk.tell(
            opening("a2", "a", 1600), fact("p1", "price", {"mid": "b", "out": [{"oid": "1", "milli": 2150}]})
        )
        await desk.tell(
            fact("dunk", "play", {"txt": "Layup"}, op="amend"),
            fact("foul", "play", {}, op="retract", at=wall()),
        )
        await asyncio.sleep(0.5)
    stopped = wall()
    heard += await edge.until(lambda frame: frame.get("id") == "desk:~health")
    return heard, stopped


def _cues(frames: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(frame["id"], frame["rev"]): frame for frame in frames if is_cue(frame)}


def _never_below_the_floor(frames: list[dict[str, Any]]) -> None:
    floor = 0
    for frame in frames:
        if is_cue(frame) and frame["type"] == "suspend" and frame["cls"] == "safety":
            assert "market" not in frame
            assert frame["ver"] > floor
            floor = frame["ver"]
        elif is_cue(frame) and (frame["cls"] == "reopen" or frame["type"] == "price"):
            assert max(frame[key]["ver"] for key in ("market", "price") if key in frame) > floor


@pytest.mark.parametrize(("shape", "hold"), [("embedded", "6"), ("embedded", '"auto"'), ("apart", "6")])
async def test_a_game_with_two_markets(stage: Stage, tmp_path: Path, hold: str) -> None:
    config = tmp_path / "lockstep.toml"
    config.write_text(f"[showings.game]\nhold_s = {hold}\n", "utf-8")
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    server, url = await stage.serve(origin, "--source", "desk=lockstep", "--config", str(config))
    token = await stage.token("wager,server")
    edge = await stage.subscribe(url, token, "--mode", "edge")
    await edge.until(lambda frame: frame["op"] == "sub")
    desk = Desk(url, stage.data_dir)
    frames, stopped = await _tell_the_game(desk, edge)
    # It comes back with what happened meanwhile; the markets stay closed until it opens them.
    await desk.tell(play("steal", stopped + 1.0))
    async with desk.alive():
        await desk.tell(opening("a3", "a", 1500), opening("b2", "b", 2200))
        frames += await edge.until(lambda frame: frame.get("id") == "desk:b2")
        status = await _status(stage, url)
        urls = [f"http://127.0.0.1:{port}" for port in stage.ports.values()] if isinstance(stage, ApartStage) else [url]
        said = {name: value for each in urls for name, value in samples(await _metrics(each)).items()}
    await desk.aclose()
    cues = _cues(frames)
    _never_below_the_floor(frames)

    if hold == "6":
        # Safety at once, whatever the hold: before what was told before it.
        assert next(iter(cues)) == ("desk:s1", 1)
    (fell,) = [cue for (id_, _), cue in cues.items() if id_ == "desk:~health"]
    # What the suspend of `a` closed too widely was opened as wide, with the current price.
    reopened = [cue for (id_, _), cue in cues.items() if id_ == "desk:~b" and cue["cls"] == "reopen"]
    if reopened:
        assert reopened[0]["price"]["out"] == [{"oid": "1", "milli": 2100}]
    # The correction stands with its original, the reversal at its own picture.
    dunk, foul = cues["desk:dunk", 2], cues["desk:foul", 2]
    assert (dunk["kind"], foul["kind"]) == ("amend", "retract")
    originals = [cues[key] for key in (("desk:dunk", 1), ("desk:foul", 1)) if key in cues]
    for original in originals:
        later = dunk if original["id"] == "desk:dunk" else foul
        place, after = (original["tl"], original["pts"]), (later["tl"], later["pts"])
        assert after == place if original["id"] == "desk:dunk" else after > place
    # Nothing opened between the silence and the explicit words after it.
    opened = [cue for cue in cues.values() if cue["cls"] == "reopen" and cue["market"]["ver"] > fell["ver"]]
    assert {cue["id"] for cue in opened} <= {"desk:a3", "desk:b2"}
    assert len(opened) == 2
    if hold == "6":
        # Told in time, with six seconds to spare; what was told after a silence of three as well.
        assert not [cue for cue in cues.values() if "late_ms" in cue]
        # A suspend and a silence overtook what waited for its picture: it was never sent.
        assert "desk:a1" not in {id_ for id_, _ in cues} or cues["desk:a1", 1]["market"]["ver"] < fell["ver"]
    (source,) = status["showings"][0]["sources"]
    assert source["state"] in ("recovering", "up")
    assert status["showings"][0]["hold"] == ("fixed" if hold == "6" else "auto")
    _are_sound(said, held=hold == "6")
    assert await server.end() == 0
    assert "Traceback" not in server.log


def _are_sound(said: Samples, *, held: bool) -> None:
    """See that every house has counted what it did."""
    event, source = ("event_id", "game"), ("source", "desk")
    assert said["lockstep_feed_state", event, source, ("state", "down")] == 0
    assert said["lockstep_feeds_segments_total", event, ("outcome", "timed")] > 0
    assert said["lockstep_relay_releases_total", event, ("how", "marked")] > 0
    assert said["lockstep_hub_cues_total", ("class", "safety"), event] >= 2
    locked, reopened = (said["lockstep_hub_cues_total", ("class", name), event] for name in ("locked", "reopen"))
    assert said["lockstep_hub_late_seconds_count", event] == locked + reopened > 0
    assert said["lockstep_hub_joins_total", event, ("how", "new")] == 1
    assert said["lockstep_hub_guard_stops_total",] == 0
    if held:
        assert said["lockstep_feeds_lead_seconds_count", event] > 0
        assert said["lockstep_feeds_late_seconds_count", event] == said["lockstep_feeds_late_total", event] == 0


async def _status(stage: Stage, url: str) -> dict[str, Any]:
    command: Command = await stage.start("feed", "status", "--to", url, "--json")
    text = "\n".join([line async for line in command.lines()])
    told: dict[str, Any] = json.loads(text)
    return told


async def _metrics(url: str) -> str:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{url}/metrics")).text
