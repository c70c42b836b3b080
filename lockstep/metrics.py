"""`GET /metrics`: Prometheus' text format; owner of prometheus-client.

The houses count in plain numbers of their own, without locks and once for many deliveries; the library is asked only
when `/metrics` is: it writes the text. Like `/api/v1/feeds` that is answered on the machine itself only, until
operators have keys.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.responses import Response
from starlette.routing import Route

from feeds.io.status import from_this_machine, refused
from kernel.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.requests import Request

    from lockstep.measures.measure import Reading


class _Family(Collector):
    """Give the library one family to write."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        yield _family(self._reading)


def metrics_route(read: Callable[[], Iterable[Reading]]) -> Route:
    """Return the route, to be mounted by the composition root; `read` reads all there is."""
    process = CollectorRegistry()
    # Memory, CPU and open files of the process, under the names that all clients of Prometheus give them.
    ProcessCollector(registry=process)

    async def metrics(request: Request) -> Response:
        if not from_this_machine(request):
            return refused()
        # What the system says of the process lies in files.
        pieces = [await asyncio.to_thread(generate_latest, process)]
        for reading in list(read()):
            # Reading takes 0.2 ms, writing 20 us a line: cues have their turn in between.
            pieces.append(generate_latest(_Family(reading)))
            await asyncio.sleep(0)
        headers = {"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE_LATEST}
        return Response(b"".join(pieces), headers=headers)

    return Route("/metrics", metrics, methods=["GET"])


def _family(reading: Reading) -> Metric:
    measure, rows = reading
    if measure.kind == "histogram":
        spread = HistogramMetricFamily(measure.name, measure.text, labels=measure.labels)
        for labels, value in rows:
            assert isinstance(value, Histogram)
            spread.add_metric(list(labels), _buckets(value), sum_value=value.total)
        return spread
    make = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
    family = make(measure.name, measure.text, labels=measure.labels)
    for labels, value in rows:
        assert not isinstance(value, Histogram)
        family.add_metric(list(labels), value)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bound: Callable[[float], str] = floatToGoString
    return [(bound(limit), float(count)) for limit, count in histogram.cumulative()]
