from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from kernel.bus import revocations_topic
from kernel.decisions import NOWHERE, Decision, Judge, Scope, Verdict, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.revocation import Reinstatement, Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Claims
from lockstep import enforcement
from lockstep.enforcement import Enforcement, Enforcer
from tests.support.tokens import NOW, claims

ANN = Subject(SubjectKind.ACCOUNT, "ann")


def admitted(claims: Claims, whence: Whence, scope: Scope) -> Decision:
    return Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=claims)


class LaggingBus(MemoryBus):
    """A bus that may have missed something."""

    lag = 0.0

    def lag_s(self) -> float:
        return self.lag


class Ended:
    """Keep who had to end."""

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.all = 0
        self.ticked = asyncio.Event()
        self.reviews = self.slices = 0
        self.reviewed = asyncio.Event()

    def revoke(self, subject: Subject) -> None:
        self.subjects.append(subject)

    def end_all(self) -> None:
        self.all += 1
        if self.all == 2:
            self.ticked.set()

    def review(self, judge: Judge) -> Iterator[None]:
        assert judge(claims(), NOWHERE, Scope.WATCH).admitted
        self.reviews += 1
        self.reviewed.set()
        yield
        self.slices += 1


class Rig:
    def __init__(self) -> None:
        self.bus = LaggingBus(lambda: 0.0)
        self.index = RevocationIndex()
        self.ended = Ended()
        self.now = float(NOW)
        self.enforcement = self.over(self.ended)

    def over(self, *enforcers: Enforcer) -> Enforcement:
        return Enforcement(
            self.bus, self.index, enforcers, judge=admitted, wall=lambda: self.now, max_stale_running_s=60
        )

    def revoke(self, offset: int, expires: int | None = None) -> None:
        self.bus.publish(revocations_topic(), offset, Revocation("r", ANN, "", NOW, expires, "ops"))


def test_what_is_retained_is_known_before_start_returns() -> None:
    rig = Rig()
    rig.revoke(0)
    rig.enforcement.start()
    assert rig.index.covers(claims(), NOW)
    rig.enforcement.stop()
    rig.enforcement.stop()
    rig.bus.publish(revocations_topic(), 1, Reinstatement("r", ANN))
    assert rig.index.covers(claims(), NOW)


def test_a_revocation_ends_what_runs_once() -> None:
    rig = Rig()
    rig.enforcement.start()
    rig.revoke(0)
    rig.revoke(1)
    assert rig.ended.subjects == [ANN]
    rig.bus.publish(revocations_topic(), 2, Reinstatement("r", ANN))
    assert not rig.index.covers(claims(), NOW)
    assert rig.ended.subjects == [ANN]
    rig.revoke(3)
    assert rig.ended.subjects == [ANN, ANN]


def test_one_enforcers_fault_is_not_the_others() -> None:
    rig = Rig()

    class Faulty(Ended):
        def revoke(self, subject: Subject) -> None:
            raise RuntimeError("on purpose")

        def end_all(self) -> None:
            raise RuntimeError("on purpose")

    both = rig.over(Faulty(), rig.ended)
    both.start()
    with capture_logs() as logs:
        rig.revoke(0)
        rig.bus.lag = 61
        both.tick()
    assert (rig.ended.subjects, rig.ended.all) == ([ANN], 1)
    assert [line["event"] for line in logs].count("revocations.enforcer_failed") == 2


def test_one_that_has_expired_ends_nothing() -> None:
    rig = Rig()
    rig.enforcement.start()
    rig.revoke(0, NOW)
    assert rig.ended.subjects == []
    assert not rig.index.covers(claims(), NOW)
    for _ in range(64):
        rig.enforcement.tick()
    assert len(rig.index) == 0


def test_cut_off_for_too_long_everything_ends() -> None:
    rig = Rig()
    with capture_logs() as logs:
        for lag in (0.0, 60.0, 60.1, 70.0, 0.0, 0.0):
            rig.bus.lag = lag
            rig.enforcement.tick()
    assert rig.ended.all == 2
    assert [line["event"] for line in logs] == ["revocations.stale", "revocations.fresh"]


async def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcement, "TICK_S", 0.001)
    rig = Rig()
    rig.bus.lag = 61
    task = asyncio.create_task(rig.enforcement.run())
    await rig.ended.ticked.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert rig.ended.all >= 2


async def test_everybody_is_judged_anew_when_asked_for_and_faults_are_nobody_elses() -> None:
    rig = Rig()

    class Faulty(Ended):
        def review(self, judge: Judge) -> Iterator[None]:
            raise RuntimeError("on purpose")

    both = rig.over(Faulty(), rig.ended)
    with capture_logs() as logs:
        task = asyncio.create_task(both.review())
        await rig.ended.reviewed.wait()
        rig.ended.reviewed.clear()
        both.look_again()
        both.look_again()
        await rig.ended.reviewed.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert rig.ended.reviews == 2
    assert rig.ended.slices >= 1
    assert [line["event"] for line in logs] == ["review.failed", "review.failed"]
