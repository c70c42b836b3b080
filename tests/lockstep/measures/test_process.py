from __future__ import annotations

from pathlib import Path

from kernel.decisions import Scope
from kernel.tokens import Reason
from lockstep.compose import VERSION
from tests.lockstep.scraped import deployed, samples, scrape


async def test_the_process_is_measured(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        deployment.allowances.enter("192.0.2.1", half_open=True, now=0.0)
        assert deployment._watch is not None
        deployment._watch.lag.add(0.02)
        deployment._gate.decisions[Scope.WAGER][Reason.REVOKED] += 3
        deployment._fetcher.counts.landed("segment", 0.3, None, 1_500)
        said = samples(await scrape(deployment))
    assert said["lockstep_build_info", ("version", VERSION)] == 1
    assert said["lockstep_door_connections",] == said["lockstep_door_half_open",] == 1
    assert said["lockstep_door_addresses",] == 1
    assert said["lockstep_door_refused_total", ("limit", "requests")] == 0
    late = said["lockstep_loop_lag_seconds_count",] - said["lockstep_loop_lag_seconds_bucket", ("le", "0.01")]
    assert late >= 1
    assert said["lockstep_loop_blocked_total",] >= 0
    assert said["lockstep_part_failures_total", ("part", "ingest game")] == 0
    assert said["lockstep_gate_decisions_total", ("decision", "revoked"), ("scope", "wager")] == 3
    assert said["lockstep_gate_decisions_total", ("decision", "admit"), ("scope", "watch")] == 0
    assert said["lockstep_origin_fetched_bytes_total", ("kind", "segment")] >= 1_500
    assert said["lockstep_origin_fetches_total", ("kind", "playlist"), ("outcome", "refused")] == 0
    assert said["lockstep_revocations",] == 0
    # Within one process the bus has no trouble.
    assert said["lockstep_bus_ready",] == 1
    assert said["lockstep_bus_lag_seconds",] == said["lockstep_bus_unsent",] == 0
