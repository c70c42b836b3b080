"""`GET /metrics`: Prometheus' text format; owner of prometheus-client.

Everything is read from the running parts when it is asked for; nothing is counted twice. Like `/api/v1/feeds` it is
answered on the machine itself only, until operators have keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.responses import Response
from starlette.routing import Route

from feeds.io.status import from_this_machine, refused
from kernel.feed_state import Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from feeds.io.ingest import StreamIngest
    from feeds.lag import Counted
    from lockstep.allowances import Allowances
    from lockstep.loop_watch import LoopWatch

_COUNTERS = {
    "sealed": "Entries sealed, safety included.",
    "late": "Entries sealed after their picture was out.",
    "absurd": "Facts whose vendor's clock was more than a day off.",
    "journal_faults": "Writes that the disk did not take.",
}
_GAUGES = {
    "waiting": "Cues that wait for their picture.",
    "hold_s": "Constant delay of the picture, in seconds.",
}


class FeedsCollector(Collector):
    """Read the feeds of a deployment."""

    def __init__(self, ingests: Mapping[str, StreamIngest]) -> None:
        self._ingests = ingests

    def collect(self) -> Iterator[Metric]:
        """Yield every family, one sample for each showing or source."""
        statuses = [ingest.status() for ingest in self._ingests.values()]
        for key, text in _COUNTERS.items():
            yield _by_event(CounterMetricFamily(f"lockstep_feeds_{key}", text, labels=["event_id"]), statuses, key)
        for key, text in _GAUGES.items():
            name = key.replace("_s", "_seconds")
            yield _by_event(GaugeMetricFamily(f"lockstep_feeds_{name}", text, labels=["event_id"]), statuses, key)
        dropped = CounterMetricFamily(
            "lockstep_feeds_dropped", "Facts that changed nothing.", labels=["event_id", "why"]
        )
        for status in statuses:
            for why, count in status["dropped"].items():
                dropped.add_metric([status["event_id"], why], count)
        yield dropped
        yield from _sources(statuses)
        yield from self._histograms()

    def _histograms(self) -> Iterator[Metric]:
        lags = HistogramMetricFamily(
            "lockstep_feeds_lag_seconds", "From the event to its message, of new facts.", labels=["event_id", "source"]
        )
        holds = HistogramMetricFamily(
            "lockstep_feeds_needed_hold_seconds",
            "The added delay with which each cue would have come in time: 1 minus the share is late at that delay.",
            labels=["event_id", "source"],
        )
        for event_id, ingest in self._ingests.items():
            for source, gauge in ingest.feed.sequencer.lags.items():
                for family, counted in ((lags, gauge.lags), (holds, gauge.holds)):
                    family.add_metric([event_id, source], _buckets(counted), sum_value=counted.total_s)
        yield lags
        yield holds


class ProcessCollector(Collector):
    """Read how the process itself does: its loop, and who is at its door.

    Args:
        watch: of the loop, None as long as there is none.
        allowances: the front door's.
    """

    def __init__(self, watch: Callable[[], LoopWatch | None], allowances: Allowances) -> None:
        self._watch = watch
        self._allowances = allowances

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        watch = self._watch()
        if watch is not None:
            lag = HistogramMetricFamily("lockstep_loop_lag_seconds", "How late the loop's timers are.")
            lag.add_metric([], _bounds(watch.lag.cumulative()), sum_value=watch.lag.total_s)
            yield lag
            yield CounterMetricFamily("lockstep_loop_blocked", "How often the loop was found blocked.", watch.blocked)
        allowances = self._allowances
        refused = CounterMetricFamily(
            "lockstep_door_refused", "What was refused for an address's limits.", labels=["limit"]
        )
        for limit, count in allowances.refused.items():
            refused.add_metric([limit], count)
        yield refused
        yield GaugeMetricFamily("lockstep_door_connections", "Connections counted.", allowances.connections)
        yield GaugeMetricFamily("lockstep_door_half_open", "Those without a request yet.", allowances.half_open)
        yield GaugeMetricFamily("lockstep_door_addresses", "Addresses remembered.", len(allowances))


def metrics_route(*collectors: Collector) -> Route:
    """Return the route, to be mounted by the composition root."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)

    async def metrics(request: Request) -> Response:
        if not from_this_machine(request):
            return refused()
        headers = {"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE_LATEST}
        return Response(generate_latest(registry), headers=headers)

    return Route("/metrics", metrics, methods=["GET"])


def _by_event(family: Any, statuses: list[dict[str, Any]], key: str) -> Metric:
    for status in statuses:
        family.add_metric([status["event_id"]], status[key])
    assert isinstance(family, Metric)
    return family


def _sources(statuses: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ["event_id", "source"]
    states = GaugeMetricFamily("lockstep_feed_state", "1 for the state that a source is in.", labels=[*labels, "state"])
    skews = GaugeMetricFamily("lockstep_feed_skew_seconds", "How far a source's clock is ahead.", labels=labels)
    for status in statuses:
        for source in status["sources"]:
            names = [status["event_id"], source["source"]]
            for state in Health:
                states.add_metric([*names, state.value], float(source["state"] == state.value))
            skews.add_metric(names, source["skew_s"])
    yield states
    yield skews


def _buckets(counted: Counted) -> list[tuple[str, float]]:
    return _bounds(counted.cumulative())


def _bounds(cumulative: Iterable[tuple[float, int]]) -> list[tuple[str, float]]:
    bound: Callable[[float], str] = floatToGoString
    return [(bound(limit), float(count)) for limit, count in cumulative]
