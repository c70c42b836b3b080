"""A crowd that is sent away, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from hub.io import dismissal
from hub.settings import HubSettings
from kernel.revocation import Subject, SubjectKind
from tests.hub.io.test_driver import farewell, hear, running, subscribe
from tests.hub.makers import STREAM, at


async def test_a_crowd_is_dismissed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dismissal, "STEP", 2)
    async with running() as rig, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(rig.client()) for _ in range(5)]
        for client in crowd:
            await hear(client, "hello")
        rig.hub.revoke(Subject(SubjectKind.EVENT, STREAM))
        assert [(await farewell(client))[1] for client in crowd] == [4510] * 5


async def test_of_a_crowd_nobody_is_sent_more_than_its_farewell_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dismissal, "STEP", 1)
    async with running() as rig, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(rig.client("server")) for _ in range(3)]
        rig.segment(0)
        for client in crowd:
            await subscribe(client, mode="edge")
        rig.publish(0, at(3))
        rig.hub.revoke(Subject(SubjectKind.EVENT, STREAM))
        # The first is out already; the others follow in later turns, and have what came until then.
        rig.segment(1)
        heard = []
        for client in crowd:
            frames = [await hear(client)]
            while frames[-1]["op"] != "bye":
                frames.append(await hear(client))
            assert frames[-1]["code"] == 4510
            heard.append((sum(frame["op"] == "cue" for frame in frames), frames[-1]["cur"]))
        assert [cues for cues, _ in heard] == [0, 1, 1]
        assert heard[0][1] != heard[1][1] == heard[2][1]


async def test_of_a_crowd_who_does_not_read_is_cut_with_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dismissal, "STEP", 1)
    settings = HubSettings(heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=60, cut_after_s=60)
    async with running(settings) as rig, rig.client("server") as slow, rig.client("server") as quick:
        for client in (slow, quick):
            await subscribe(client, mode="edge")
        slow.transport.pause_reading()
        (raw, *_) = (one.transport for one in rig.hub.sockets.values())
        raw.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        while not raw.get_write_buffer_size():
            raw.write(b"\x8a\x00" * 4_096)  # pongs that nobody asked for
        rig.hub.revoke(Subject(SubjectKind.EVENT, STREAM))
        assert (await farewell(quick))[1] == 4510
        # It need not take its farewell first, for which it would have a minute.
        await asyncio.wait_for(rig.hub.gone.wait(), 10)
