"""Measures that every process has: its loop, its door, the gates, the origins, the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.io.redis_bus import RedisBus
from lockstep.measures.measure import Reading, counter, gauge, histogram, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kernel.io.memory_bus import MemoryBus
    from kernel.io.origin_counts import FetchCounts
    from lockstep.allowances import Allowances
    from lockstep.answers import AnswerCounts
    from lockstep.loop_watch import LoopWatch
    from relay.blackouts import BlackoutIndex
    from relay.gate import Gate
    from relay.io.audit_store import AuditStore
    from relay.policies import PolicyIndex
    from relay.quota import Quota

BUILD = gauge("lockstep_build_info", "1, for the version that this is.", "version")
LOOP_LAG = histogram("lockstep_loop_lag_seconds", "How late the loop's timers are, probed ten times a second.")
LOOP_BLOCKED = counter(
    "lockstep_loop_blocked_total", "How often the loop stood still for more than 250 ms; the log says where."
)
PART_FAILURES = counter(
    "lockstep_part_failures_total", "How often a part failed by a fault of ours, and began again.", "part"
)
DOOR_REFUSED = counter("lockstep_door_refused_total", "What was refused for an address's limits.", "limit")
OPERATORS_REFUSED = counter(
    "lockstep_operators_refused_total", "Requests of operators that were told to wait, for they asked too often."
)
DOOR_CONNECTIONS = gauge("lockstep_door_connections", "Connections counted.")
DOOR_HALF_OPEN = gauge("lockstep_door_half_open", "Those without a request yet.")
DOOR_ADDRESSES = gauge("lockstep_door_addresses", "Addresses remembered.")
ANSWERS = counter("lockstep_http_answers_total", "Requests answered.", "kind", "status")
ANSWERING = histogram(
    "lockstep_http_answer_seconds", "From a request to the last byte of its answer, as slowly as its reader reads.",
    "kind",
)  # fmt: skip
SENT = counter("lockstep_http_sent_bytes_total", "Bytes of bodies.", "kind")
DECISIONS = counter(
    "lockstep_gate_decisions_total", "Requests that the gates have judged: `admit`, or the reason of a refusal.",
    "scope", "decision",
)  # fmt: skip
DECIDING = histogram("lockstep_gate_decision_seconds", "How long that takes.")
REVOCATIONS = gauge("lockstep_revocations", "Revocations in force.")
POLICIES = gauge("lockstep_policies", "Policies of place in force.")
POLICIES_BROKEN = gauge(
    "lockstep_policies_broken", "Those that this version does not understand: nobody is admitted by them."
)
BLACKOUTS = gauge(
    "lockstep_blackouts",
    "Blackouts that there are, in force by now or not; redirects that were deleted under way count for six hours more.",
)
BLACKOUTS_BROKEN = gauge(
    "lockstep_blackouts_broken", "Those that this version does not understand: their showings are dark for everybody."
)
AUDIT_RECORDS = counter("lockstep_audit_records_total", "Records of decisions written, with what stands between them.")
AUDIT_LOST = counter(
    "lockstep_audit_lost_total", "Records that were lost: too many came, or the disk did not take them."
)
AUDIT_WAITING = gauge("lockstep_audit_waiting", "Records that wait to be written.")
AUDIT_BYTES = gauge("lockstep_audit_bytes", "Length of this process's file of them.")
FETCHES = counter("lockstep_origin_fetches_total", "Fetches from origins.", "kind", "outcome")
FETCHING = histogram("lockstep_origin_fetch_seconds", "How long they take, whatever becomes of them.", "kind")
FETCHED = counter("lockstep_origin_fetched_bytes_total", "Bytes of bodies that were fetched.", "kind")
SPARED = counter("lockstep_origin_spared_total", "Answers out of the cache, or of a fetch under way.", "kind")
BUS_READY = gauge("lockstep_bus_ready", "1 if the bus is to be relied upon.")
BUS_LAG = gauge("lockstep_bus_lag_seconds", "How old the newest knowledge from the bus is.")
BUS_BOUND = gauge("lockstep_bus_clock_bound_seconds", "By how much bus time may be wrong here.")
BUS_UNSENT = gauge("lockstep_bus_unsent", "Records and signals that wait to be written.")
BUS_FAILURES = counter("lockstep_bus_failures_total", "How often a connection to Redis was lost.")
BUS_REFILLS = counter("lockstep_bus_refills_total", "How often Redis had lost what it held, and was filled again.")

MEASURES = measures_in(globals())


def loop_readings(watch: LoopWatch | None, failures: Mapping[str, int], version: str) -> Iterator[Reading]:
    """Read how the process itself does.

    Args:
        watch: of its loop, None as long as there is none.
        failures: how often each part failed.
        version: ours.
    """
    yield Reading(BUILD, [((version,), 1.0)])
    if watch is not None:
        yield one(LOOP_LAG, watch.lag)
        yield one(LOOP_BLOCKED, watch.blocked)
    yield Reading(PART_FAILURES, [((part,), count) for part, count in failures.items()])


def door_readings(allowances: Allowances, answers: AnswerCounts, quota: Quota) -> Iterator[Reading]:
    """Read who came in by the door, and what they were answered."""
    yield Reading(DOOR_REFUSED, [((limit,), count) for limit, count in allowances.refused.items()])
    yield one(OPERATORS_REFUSED, quota.refused)
    yield one(DOOR_CONNECTIONS, allowances.connections)
    yield one(DOOR_HALF_OPEN, allowances.half_open)
    yield one(DOOR_ADDRESSES, len(allowances))
    yield Reading(ANSWERS, [((kind, str(status)), count) for (kind, status), count in answers.answers.items()])
    yield Reading(ANSWERING, [((kind,), took) for kind, took in answers.took.items()])
    yield Reading(SENT, [((kind,), count) for kind, count in answers.sent_bytes.items()])


def gate_readings(gate: Gate, n_revocations: int) -> Iterator[Reading]:
    """Read what the gates have decided, and how much is revoked."""
    yield Reading(
        DECISIONS,
        [
            ((scope.value, "admit" if reason is None else reason.value), count)
            for scope, counts in gate.decisions.items()
            for reason, count in counts.items()
        ],
    )
    yield one(DECIDING, gate.took)
    yield one(REVOCATIONS, n_revocations)


def policy_readings(policies: PolicyIndex, records: AuditStore | None) -> Iterator[Reading]:
    """Read which policies of place there are, and how decisions are recorded.

    Args:
        policies: those in force.
        records: what writes; None where nobody is admitted.
    """
    yield one(POLICIES, len(policies))
    yield one(POLICIES_BROKEN, len(policies.broken()))
    yield one(AUDIT_RECORDS, 0 if records is None else records.records)
    yield one(AUDIT_LOST, 0 if records is None else records.lost)
    yield one(AUDIT_WAITING, 0 if records is None else records.waiting)
    yield one(AUDIT_BYTES, 0 if records is None else records.size)


def blackout_readings(blackouts: BlackoutIndex) -> Iterator[Reading]:
    """Read which blackouts there are."""
    yield one(BLACKOUTS, len(blackouts))
    yield one(BLACKOUTS_BROKEN, len(blackouts.broken()))


def origin_readings(counts: FetchCounts) -> Iterator[Reading]:
    """Read what was asked of the origins."""
    yield Reading(FETCHES, list(counts.fetches.items()))
    yield Reading(FETCHING, [((kind,), took) for kind, took in counts.took.items()])
    yield Reading(FETCHED, [((kind,), count) for kind, count in counts.fetched_bytes.items()])
    yield Reading(SPARED, [((kind,), count) for kind, count in counts.spared.items()])


def bus_readings(bus: MemoryBus | RedisBus) -> Iterator[Reading]:
    """Read how the bus is; within one process it is never in trouble."""
    redis = bus if isinstance(bus, RedisBus) else None
    yield one(BUS_READY, float(redis is None or redis.trouble() is None))
    yield one(BUS_LAG, bus.lag_s())
    yield one(BUS_BOUND, redis.bound_s() if redis is not None else 0.0)
    yield one(BUS_UNSENT, redis.unsent() if redis is not None else 0)
    yield one(BUS_FAILURES, redis.failures if redis is not None else 0)
    yield one(BUS_REFILLS, redis.refills if redis is not None else 0)
