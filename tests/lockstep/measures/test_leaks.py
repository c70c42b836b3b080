from __future__ import annotations

from lockstep.measures.leaks import leak_readings
from relay.io.leak_watch import LeakWatch
from relay.leaks.model import LeakLimits
from tests.relay.io.test_leak_watch import send_whole
from tests.support.tokens import NOW


def test_who_is_suspected_is_measured() -> None:
    now = 1_000.0
    watch = LeakWatch(LeakLimits(), now=lambda: now, wall=lambda: float(NOW))
    for msn in range(200):
        now += 0.1
        send_whole(watch, msn)
    said = {
        (reading.measure.name, *labels): value for reading in leak_readings(watch) for labels, value in reading.rows
    }
    assert said == {
        ("lockstep_leak_sessions",): 1,
        ("lockstep_leak_suspects", "warn"): 1,
        ("lockstep_leak_suspects", "throttle"): 0,
        ("lockstep_leak_suspects", "revoke"): 0,
        ("lockstep_leak_findings_total", "warn"): 1,
        ("lockstep_leak_findings_total", "throttle"): 0,
        ("lockstep_leak_findings_total", "revoke"): 0,
    }


def test_where_nobody_watches_there_is_nothing_to_measure() -> None:
    assert list(leak_readings(None)) == []
