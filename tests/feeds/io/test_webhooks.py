"""Vendors' front door: believed, understood, on disk, and only then acknowledged and delivered."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from feeds.io import webhooks
from feeds.io.journal import Journal
from feeds.io.webhooks import Ingress, SourceKeys, decode_body, routes
from feeds.journal_records import Appended
from feeds.standard_webhooks import sign
from feeds.vendors.contract import Adapted, ReceivedMessage
from kernel.errors import DecodeError, JournalError, MessageTooLarge, SettingsError

NOW = 1_774_640_000.0
KEY, OLD, STRANGER = bytes(range(32)), bytes(range(50, 82)), bytes(range(99, 131))
SOURCES = {
    "nba": SourceKeys("nba", [KEY], "game"),
    "own": SourceKeys("lockstep", [KEY, OLD], "game"),
}
FACT = {"id": "p1", "op": "new", "type": "play", "body": {"txt": "Goal"}}


class WatchedJournal(Journal):
    """A journal that tells what it is asked to keep."""

    asked: asyncio.Queue[str]

    async def append_message(self, source: str, message_id: str, *arguments: Any, **options: Any) -> Appended:
        self.asked.put_nowait(message_id)
        return await super().append_message(source, message_id, *arguments, **options)


class House:
    """An ingress on a real journal, and what it delivered."""

    def __init__(self, journal: WatchedJournal, **options: Any) -> None:
        self.delivered: list[ReceivedMessage] = []
        self.journal = journal
        self.ingress = Ingress(SOURCES, journal, wall=lambda: NOW, deliver=self.delivered.append, **options)
        transport = httpx2.ASGITransport(app=Starlette(routes=routes(self.ingress)))
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://hub")

    async def post(
        self, body: bytes, message_id: str = "m1", source: str = "own", key: bytes = KEY, at: float = NOW, **drop: None
    ) -> httpx2.Response:
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at)),
            "webhook-signature": sign(key, message_id, int(at), body),
        }
        for name in drop:
            del headers[name.replace("_", "-")]
        return await self.client.post(f"/api/v1/feeds/{source}", content=body, headers=headers)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[WatchedJournal]:
    journal = await WatchedJournal.open(tmp_path / "j", now=lambda: NOW)
    journal.asked = asyncio.Queue()
    yield journal
    await journal.aclose()


@pytest.fixture
async def house(journal: WatchedJournal) -> House:
    house = House(journal)
    await house.ingress.recover()
    return house


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


# Taken in


async def test_a_fact_is_journaled_acknowledged_and_delivered(house: House) -> None:
    answer = await house.post(encoded(FACT))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicate": False})
    assert answer.headers["cache-control"] == "no-store"
    (message,) = house.delivered
    assert (message.seq, message.source, message.received, message.stream) == (1, "own", NOW, "game")
    assert [fact.id for fact in message.adapted.facts] == ["p1"]
    (stored,) = await house.journal.unsettled(["own"])
    assert (stored.message_id, stored.body) == ("m1", encoded(FACT))


async def test_the_time_of_receipt_is_not_the_clock_that_judges_signatures(journal: WatchedJournal) -> None:
    house = House(journal, received=lambda: NOW - 3_600)
    await house.ingress.recover()
    assert (await house.post(encoded(FACT))).status_code == 202
    assert [message.received for message in house.delivered] == [NOW - 3_600]
    assert (await house.post(encoded(FACT), "m2", at=NOW - 3_600)).status_code == 401


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (encoded([FACT, {**FACT, "id": "p2"}]), ["p1", "p2"]),
        (encoded(FACT) + b"\n" + encoded({**FACT, "id": "p2"}) + b"\n", ["p1", "p2"]),
        (b"\n" + encoded(FACT) + b"\r\n\r\n" + encoded({**FACT, "id": "p2"}), ["p1", "p2"]),
        (json.dumps(FACT, indent=2).encode(), ["p1"]),
        (b"[]", []),
    ],
    ids=["list", "lines", "blank lines", "pretty", "nothing"],
)
async def test_the_own_format_comes_single_as_a_list_or_one_a_line(house: House, body: bytes, ids: list[str]) -> None:
    answer = await house.post(body)
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(ids))
    assert [fact.id for fact in house.delivered[0].adapted.facts] == ids


async def test_a_sign_of_life_is_acknowledged_and_owes_nothing(house: House) -> None:
    answer = await house.post(encoded({"type": "alive", "interval_s": 2}))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "duplicate": False})
    assert house.delivered[0].adapted.alive is not None
    assert await house.journal.unsettled(["own"]) == []


async def test_the_vendor_decides_the_adapter(house: House) -> None:
    action = {"actionNumber": 7, "timeActual": "2020-12-23T00:07:39.7Z"}
    assert (await house.post(encoded(action), source="nba")).status_code == 202
    assert house.delivered[0].adapted.facts[0].id == "7"


async def test_a_large_message_is_decoded_in_the_executor(journal: WatchedJournal) -> None:
    threads: list[str] = []

    def adapter(source: str, message: Any) -> Adapted:
        threads.append(threading.current_thread().name)
        return Adapted()

    with ThreadPoolExecutor(1, thread_name_prefix="decoder") as executor:
        house = House(journal, executor=executor, adapters={"lockstep": adapter, "nba": adapter})
        await house.ingress.recover()
        await house.post(b"[]", "small")
        await house.post(b"[]" + b" " * 70_000, "large")
    assert threads == [threading.current_thread().name, "decoder_0"]


# Once


async def test_a_repeated_id_is_acknowledged_and_delivered_once(house: House) -> None:
    await house.post(encoded(FACT))
    answer = await house.post(encoded(FACT), at=NOW + 20)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "duplicate": True})
    assert len(house.delivered) == 1
    assert (await house.post(encoded(FACT), "m2")).status_code == 202


async def test_a_retry_while_the_first_is_being_committed_is_a_duplicate(house: House) -> None:
    hold = threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        assert hold.wait(30)

    held = asyncio.ensure_future(house.journal._commits.run(wait))
    both = [asyncio.ensure_future(house.post(encoded(FACT))) for _ in range(2)]
    assert [await house.journal.asked.get() for _ in both] == ["m1", "m1"]
    assert house.delivered == []
    hold.set()
    await held
    assert sorted(answer.status_code for answer in await asyncio.gather(*both)) == [200, 202]
    assert len(house.delivered) == 1


async def test_delivery_keeps_the_journal_s_order(house: House) -> None:
    await asyncio.gather(*(house.post(encoded(FACT), f"m{n}") for n in range(50)))
    assert [message.seq for message in house.delivered] == list(range(1, 51))


async def test_a_request_that_is_given_up_is_delivered_all_the_same(house: House) -> None:
    request = asyncio.ensure_future(house.post(encoded(FACT)))
    assert await house.journal.asked.get() == "m1"
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await house.ingress.aclose()
    await house.ingress.aclose()
    assert [message.seq for message in house.delivered] == [1]


# One after the other


async def test_large_messages_wait_for_two_others_and_small_ones_for_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LARGE_WAITING", 1)
    hold = threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        assert hold.wait(30)

    held = asyncio.ensure_future(house.journal._commits.run(wait))
    large = encoded([FACT | {"body": {"txt": "x" * webhooks.SMALL_BYTES}}])
    posts = [asyncio.ensure_future(house.post(large, f"m{n}")) for n in range(3)]
    assert [await house.journal.asked.get() for _ in range(2)] == ["m0", "m1"]
    # The third waits its turn; beyond that the vendor is told to slow down, and nothing is kept of it.
    refused = await house.post(large, "m3")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    small = asyncio.ensure_future(house.post(encoded(FACT), "small"))
    assert await house.journal.asked.get() == "small"
    hold.set()
    await held
    assert [answer.status_code for answer in await asyncio.gather(*posts, small)] == [202] * 4
    assert (await house.post(large, "m3")).status_code == 202
    assert await house.journal.asked.get() == "m2"


# Not believed


async def test_strangers_all_get_the_same_answer(house: House) -> None:
    answers = [
        await house.post(encoded(FACT), key=STRANGER),
        await house.post(encoded(FACT), source="unknown"),
        await house.post(encoded(FACT), source="unknown", key=STRANGER),
        await house.post(encoded(FACT), source="%2e%2e"),
        await house.post(encoded(FACT), source="nba", key=OLD),
        await house.post(encoded(FACT), at=NOW - 301),
        await house.post(encoded(FACT), at=NOW + 301),
        await house.post(encoded(FACT), webhook_id=None),
        await house.post(encoded(FACT), webhook_timestamp=None),
        await house.post(encoded(FACT), webhook_signature=None),
        await house.post(b"not even JSON", key=STRANGER),
    ]
    first = answers[0]
    assert first.status_code == 401
    assert first.headers["content-type"] == "application/problem+json"
    assert first.headers["www-authenticate"] == "StandardWebhooks"
    assert first.json() == {"type": "about:blank", "title": "Not authenticated", "status": 401}
    for answer in answers:
        assert (answer.status_code, answer.content, answer.headers) == (401, first.content, first.headers)
    assert house.delivered == []


async def test_strangers_cost_as_many_signatures_as_friends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from feeds import standard_webhooks

    tried: list[int] = []
    genuine = standard_webhooks.verify

    def counting(secrets: Any, *arguments: Any, **options: Any) -> Any:
        tried.append(len(secrets))
        return genuine(secrets, *arguments, **options)

    monkeypatch.setattr("feeds.io.webhooks.verify", counting)
    for source in ("own", "nba", "unknown"):
        await house.post(encoded(FACT), source=source, key=STRANGER)
    assert tried == [2, 2, 2]


async def test_either_secret_is_believed_while_one_is_rotated(house: House) -> None:
    assert (await house.post(encoded(FACT), "m1", key=KEY)).status_code == 202
    assert (await house.post(encoded(FACT), "m2", key=OLD)).status_code == 202


# Not understood


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 422, "not JSON: Expecting value at line 1, column 1"),
        (b"<xml/>", 422, "not JSON"),
        (b'{"a":1,"a":2}', 422, "key 'a' stands twice"),
        (b"[NaN]", 422, "NaN is no JSON number"),
        (b"[" * 33 + b"]" * 33, 413, "nests deeper than 32 levels"),
        (encoded({**FACT, "op": "undo"}), 422, "'p1': op: one of new, amend, retract, confirm is expected, not 'undo'"),
        (encoded(FACT) + b"\n{\n", 422, "line 2: not JSON"),
        (encoded(FACT) + b"\n" + encoded({**FACT, "id": 1}), 422, "item 1: id: "),
        (b"{\n" + encoded(FACT), 422, "not JSON: Expecting property name"),
    ],
)
async def test_a_friend_learns_what_is_wrong(house: House, body: bytes, status: int, detail: str) -> None:
    answer = await house.post(body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert house.delivered == []
    # What was not taken in may come again under the same id, mended.
    assert (await house.post(encoded(FACT))).status_code == 202


async def test_a_body_has_a_limit(house: House) -> None:
    assert (await house.post(b" " * (4 << 20) + b"[]")).status_code == 413
    assert (await house.post(b" " * ((4 << 20) - 2) + b"[]")).status_code == 202


async def test_only_post(house: House) -> None:
    assert (await house.client.get("/api/v1/feeds/own")).status_code == 405


def test_too_much_is_not_tried_as_lines() -> None:
    with pytest.raises(MessageTooLarge, match="more than 200000 values"):
        decode_body(b"[1]\n" * 150_000)
    with pytest.raises(DecodeError, match="line 2"):
        decode_body(b"1\nx")


# Not stored


async def test_what_is_not_on_disk_is_not_acknowledged(house: House) -> None:
    def no_room(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 1")

    await house.journal._commits.run(no_room)
    body = encoded({**FACT, "body": {"txt": "x" * 50_000}})
    answer = await house.post(body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "disk" not in answer.text
    assert house.delivered == []


async def test_nothing_is_taken_before_the_old_is_recovered(journal: WatchedJournal) -> None:
    house = House(journal)
    assert (await house.post(encoded(FACT))).status_code == 503
    await house.ingress.recover()
    assert (await house.post(encoded(FACT))).status_code == 202


# After a restart


async def test_what_is_owed_is_delivered_again_first(house: House) -> None:
    for n in range(3):
        await house.post(encoded({**FACT, "id": f"p{n}"}), f"m{n}")
    await house.journal.settle([2])
    after = House(house.journal)
    await after.ingress.recover()
    await after.post(encoded({**FACT, "id": "p3"}), "m3")
    assert [message.adapted.facts[0].id for message in after.delivered] == ["p0", "p2", "p3"]
    # They are marked as news of before the restart: no sign that their source speaks now.
    assert after.delivered[:2] == [replace(house.delivered[n], again=True) for n in (0, 2)]
    assert not after.delivered[2].again


async def test_what_cannot_be_read_any_more_stays_and_stops_nothing(house: House) -> None:
    await house.post(encoded(FACT), "m1")
    await house.journal.append_message("own", "older format", b"{}", received=NOW)
    await house.post(encoded(FACT), "m2")
    after = House(house.journal)
    await after.ingress.recover()
    assert [message.seq for message in after.delivered] == [1, 3]
    assert len(await house.journal.unsettled(["own"])) == 3


async def test_a_fault_behind_the_door_is_not_the_sender_s(journal: WatchedJournal) -> None:
    def faulty(message: ReceivedMessage) -> None:
        raise RuntimeError("the sequencer stumbles")

    house = House(journal)
    house.ingress._deliver = faulty
    await house.ingress.recover()
    with capture_logs() as told:
        assert (await house.post(encoded(FACT))).status_code == 202
    assert "webhook.delivery_failed" in [line["event"] for line in told]
    assert len(await journal.unsettled(["own"])) == 1


async def test_a_closed_journal_is_said(house: House) -> None:
    await house.journal.aclose()
    assert (await house.post(encoded(FACT))).status_code == 503
    with pytest.raises(JournalError, match="closed"):
        await house.ingress.recover()


async def test_settings_that_cannot_work_are_refused(journal: Journal) -> None:
    def make(keys: SourceKeys) -> None:
        Ingress({"x": keys}, journal, wall=lambda: NOW, deliver=lambda _: None)

    with pytest.raises(
        SettingsError, match=r"source 'x': no adapter for vendor 'nfl'; use one of \['lockstep', 'nba'\]"
    ):
        make(SourceKeys("nfl", [KEY], "game"))
    with pytest.raises(SettingsError, match="source 'x' has no webhook secret"):
        make(SourceKeys("nba", [], "game"))


STOP = {"id": "s1", "op": "new", "type": "suspend", "body": {}}


async def test_what_suspends_overtakes_the_disk_and_whoever_waits_for_it(journal: WatchedJournal) -> None:
    house = House(journal)
    await house.ingress.recover()
    blocked, go = threading.Event(), threading.Event()

    def block(_: sqlite3.Connection) -> None:
        blocked.set()
        go.wait(30)

    holding = asyncio.create_task(journal._commits.run(block))
    await asyncio.to_thread(blocked.wait, 30)
    ordinary = asyncio.create_task(house.post(json.dumps(FACT).encode(), "m1"))
    assert await journal.asked.get() == "m1"
    assert house.delivered == []
    stop = asyncio.create_task(house.post(json.dumps([STOP]).encode(), "m2"))
    assert await journal.asked.get() == "m2"
    assert [(one.seq, one.adapted.facts[0].id) for one in house.delivered] == [(2, "s1")]
    assert not stop.done()
    go.set()
    await holding
    assert [(await each).status_code for each in (ordinary, stop)] == [202, 202]
    assert [one.seq for one in house.delivered] == [2, 1]
    assert [stored.seq for stored in await journal.unsettled(["own"])] == [1, 2]


async def test_a_suspend_sent_again_does_nothing_twice(
    journal: WatchedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feeds.io.webhooks.MAX_URGENT", 1)
    house = House(journal)
    await house.ingress.recover()
    body = json.dumps(STOP).encode()
    assert [(await house.post(body, "m1")).status_code for _ in range(2)] == [202, 200]
    assert [one.seq for one in house.delivered] == [1]
    # What is remembered is bounded; beyond it what was said before is known by its fact.
    await house.post(body, "m2")
    assert (await house.post(body, "m1")).status_code == 200


async def test_a_suspend_is_told_even_when_the_disk_refuses_it(journal: WatchedJournal) -> None:
    house = House(journal)
    await house.ingress.recover()
    await journal.aclose()
    assert (await house.post(json.dumps(STOP).encode())).status_code == 503
    assert [one.adapted.facts[0].id for one in house.delivered] == ["s1"]


async def test_who_may_have_been_taken_over_takes_nothing(journal: WatchedJournal) -> None:
    holds = False
    house = House(journal, holds_log=lambda: holds)
    await house.ingress.recover()
    refused = await house.post(encoded(FACT))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert not house.delivered
    holds = True
    assert (await house.post(encoded(FACT))).status_code == 202


# Sources that come and go


async def test_a_source_that_is_new_waits_and_then_is_taken(house: House) -> None:
    new = SourceKeys("lockstep", [OLD], "cup")
    assert (await house.post(encoded(FACT), "m1", "cupdesk", OLD)).status_code == 401
    await house.ingress.hold({"cupdesk": new})
    waits = await house.post(encoded(FACT), "m1", "cupdesk", OLD)
    assert (waits.status_code, waits.headers["retry-after"]) == (503, "1")
    assert (await house.post(encoded(FACT), "m1", "cupdesk", STRANGER)).status_code == 401
    # Nobody else waits.
    assert (await house.post(encoded(FACT), "m2")).status_code == 202
    await house.ingress.release(["cupdesk"])
    assert (await house.post(encoded(FACT), "m1", "cupdesk", OLD)).status_code == 202
    assert house.delivered[-1].stream == "cup"


async def test_what_a_held_source_is_owed_is_delivered_again_before_anything_new(house: House) -> None:
    await house.post(encoded(FACT), "m1")
    await house.ingress.hold({"own": SOURCES["own"]})
    await house.ingress.release(["own"])
    await house.post(encoded({**FACT, "id": "p2"}), "m2")
    told = [(message.adapted.facts[0].id, message.again) for message in house.delivered]
    assert told == [("p1", False), ("p1", True), ("p2", False)]


async def test_to_hold_is_to_wait_for_what_is_under_way(house: House) -> None:
    posting = asyncio.create_task(house.post(encoded(FACT)))
    await house.journal.asked.get()
    await house.ingress.hold({"own": SOURCES["own"]})
    assert len(house.delivered) == 1
    assert (await posting).status_code == 202


async def test_a_forgotten_source_is_a_stranger(house: House) -> None:
    posting = asyncio.create_task(house.post(encoded(FACT)))
    await house.journal.asked.get()
    house.ingress.forget(["own", "nobody"])
    # It is acknowledged, for it is on disk; there is nobody to hand it to.
    assert (await posting).status_code == 202
    assert house.delivered == []
    assert (await house.post(encoded(FACT), "m2")).status_code == 401
    assert (await house.post(encoded([]), "m3", "nba")).status_code != 401


async def test_a_source_that_cannot_work_is_refused(house: House) -> None:
    with pytest.raises(SettingsError, match="no adapter"):
        await house.ingress.hold({"x": SourceKeys("nobody", [KEY], "game")})
    with pytest.raises(SettingsError, match="no webhook secret"):
        await house.ingress.hold({"x": SourceKeys("lockstep", [], "game")})
    assert (await house.post(encoded(FACT), "m1", "x")).status_code == 401
