"""The stream count on the real server: players that report, streams that the relay sees, and who is kicked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.stage import Stage
from tests.e2e.test_session_api import Player, playing

RULES = "/api/v1/ppv/stream-count"
SPORT = {"categories": {"sport": {"max": 2}}, "assets": {"game": {"asset_id": "5001", "category": "sport"}}}


async def begun(player: Player, count: int, **claims: Any) -> list[dict[str, Any]]:
    answers = [await player.begin(await player.entitlement(**claims)) for _ in range(count)]
    assert [answer.status_code for answer in answers] == [201] * count
    told: list[dict[str, Any]] = [answer.json() for answer in answers]
    return told


async def rules(player: Player, fields: dict[str, Any]) -> None:
    answer = await player.operate("PUT", RULES, json={"stream_count": fields})
    assert answer.status_code == 200, answer.text
    assert (await player.operate("GET", RULES)).json() == answer.json()


async def say(player: Player, session: dict[str, Any], word: str = "play") -> tuple[int, dict[str, Any]]:
    template = session["player_event"]
    template["client"]["playerEvent"] = word
    answer = await player.http.post(template["uri"], json=template)
    return answer.status_code, answer.json()


@pytest.mark.both_shapes
async def test_who_is_one_too_many_is_kicked_and_cut(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=9)
        await rules(player, SPORT)
        first, second, third = await begun(player, 3)
        assert first["player_event"]["progress"]["categoryId"] == "sport"
        segment = await player.segment(first)
        socket = await stage.subscribe(player.url, first["token"])
        for session in (first, second, third, first, second):
            assert await say(player, session) == (200, {})
        # The third one's second event: the oldest has to go.
        status, told = await say(player, third)
        assert (status, list(told)) == (200, [first["session_id"]])
        event = told[first["session_id"]]
        assert event["kickReason"] == {
            "errorCode": "CATEGORY_ERROR",
            "errorMessage": "Max number (2) active streams for this category is reached",
        }
        assert await say(player, second) == (200, told)
        assert await say(player, first) == (403, told)
        # It need not obey: the relay has ended it, and its socket.
        async with asyncio.timeout(20):
            while True:
                refused = await player.maybe(segment)
                if refused is not None and refused.status_code == 403:
                    break
        assert refused.json()["reason"] == "evicted"
        (*_, bye) = await socket.until(lambda frame: frame["op"] == "bye")
        assert (bye["code"], bye["reason"]) == (4509, "CATEGORY_ERROR")


@pytest.mark.both_shapes
async def test_who_says_nothing_is_counted_by_what_the_relay_serves(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=9)
        await rules(player, {"order": "lifo", "global": 1})
        first, second = await begun(player, 2)
        for session in (first, second):
            # The playlist and one segment are no stream yet.
            segment = await player.segment(session)
            assert (await player.http.get(segment)).status_code == 200
        assert (await player.http.get(await player.segment(first))).status_code == 200
        refused = await player.http.get(await player.segment(second))
        assert refused.status_code == 403
        status, told = await say(player, second)
        assert (status, told[second["session_id"]]["kickReason"]["errorCode"]) == (403, "GLOBAL_ERROR")
        assert await say(player, first) == (200, told)


async def test_what_an_account_has_bought_overrides_the_rules(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=9)
        await rules(player, {"global": 1})
        streams = (("854", 1), ("478", 2))
        sessions = await begun(player, 3, streams=streams)
        for session in (*sessions, *sessions[:2]):
            assert (await say(player, session))[1] == {}
        status, told = await say(player, sessions[2])
        assert (status, told[sessions[0]["session_id"]]["kickReason"]["errorCode"]) == (200, "USER_ERROR")
        # Who stops makes room.
        assert (await say(player, sessions[1], "stop"))[0] == 200
        (more,) = await begun(player, 1, streams=streams)
        for _ in range(2):
            assert more["session_id"] not in (await say(player, more))[1]
        assert (await say(player, sessions[2]))[0] == 200
