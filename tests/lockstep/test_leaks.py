from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from kernel.bus import revocations_topic
from kernel.io.memory_bus import MemoryBus
from kernel.revocation import Revocation, RevocationChange, Subject, SubjectKind
from lockstep.leaks import BY, LEAST_S, LeakRevoker, LeakSettings, leak_watch
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.leaks.model import Level
from relay.leaks.word import Suspect, suspects_signal, told_of
from tests.relay.io.test_leak_watch import send_whole
from tests.support.doors import open_door
from tests.support.tokens import NOW


def test_thresholds_that_do_not_rise_are_refused_with_their_names() -> None:
    with pytest.raises(ValidationError, match="warn_at <= throttle_at"):
        LeakSettings(warn_at=0.9)


def test_it_warns_and_does_no_more_unless_told() -> None:
    limits = LeakSettings().to_limits()
    assert limits is not None
    assert limits.most is Level.WARN
    assert LeakSettings(most="off").to_limits() is None
    bus = MemoryBus(lambda: 0.0)
    assert leak_watch(LeakSettings(most="off"), bus, now=lambda: 0.0, wall=lambda: 0.0) is None


@pytest.mark.parametrize(("most", "revoked"), [("revoke", True), ("throttle", False)])
async def test_what_a_relay_finds_the_desk_revokes(tmp_path: Path, most: str, revoked: bool) -> None:
    bus, now, heard = MemoryBus(lambda: 0.0), 1_000.0, list[RevocationChange]()
    bus.subscribe(revocations_topic(), lambda _, change: heard.append(change))
    store, door = await RevocationStore.open(tmp_path / "revocations.sqlite"), await open_door(tmp_path)
    desk = RevocationDesk(
        store, bus, door, wall=lambda: float(NOW), new_id=lambda: "rev_1", live=lambda: 0, retain=False
    )  # fmt: skip
    settings = LeakSettings.model_validate({"most": most})
    revoker = LeakRevoker(settings, bus, desk, wall=lambda: float(NOW))
    revoker.start()
    watch = leak_watch(settings, bus, now=lambda: now, wall=lambda: float(NOW))
    assert watch is not None
    for msn in range(200):
        now += 0.1
        send_whole(watch, msn)
    await desk.aclose()
    await door.aclose()
    if not revoked:
        assert heard == []
        return
    (made,) = heard
    assert isinstance(made, Revocation)
    assert (made.subject, made.by) == (Subject(SubjectKind.SESSION, "session-1"), BY)
    assert made.reason.startswith("leak: has fetched")
    assert made.expires is not None
    assert made.expires % 60 == 0
    assert 0 <= made.expires - NOW - LEAST_S <= 60
    revoker.stop()
    revoker.stop()


async def test_a_word_of_long_ago_revokes_nobody(tmp_path: Path) -> None:
    bus, heard = MemoryBus(lambda: 0.0), list[RevocationChange]()
    bus.subscribe(revocations_topic(), lambda _, change: heard.append(change))
    store, door = await RevocationStore.open(tmp_path / "revocations.sqlite"), await open_door(tmp_path)
    desk = RevocationDesk(
        store, bus, door, wall=lambda: float(NOW), new_id=lambda: "rev_1", live=lambda: 0, retain=False
    )  # fmt: skip
    old = Suspect(Subject(SubjectKind.SESSION, "session-1"), "fast", NOW - 600.0, NOW + 60)
    bus.signal(suspects_signal(), told_of(old))
    LeakRevoker(LeakSettings(most="revoke"), bus, desk, wall=lambda: float(NOW)).start()
    await asyncio.sleep(0)
    await desk.aclose()
    await door.aclose()
    assert heard == []
