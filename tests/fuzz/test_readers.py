"""Hostile media: only times or a MediaError come out, soon and without much memory.

A few seconds here; `python -m bench.fuzz` runs the same targets for as long as one likes.
"""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.fmp4_init import parse_init
from feeds.io.demux import Demuxer
from feeds.reading import read
from kernel.errors import MediaError
from tests.fuzz import corpus
from tests.support import boxes

QUICK = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.data())
def test_fragments(data: st.DataObject) -> None:
    init, segment = data.draw(st.sampled_from(corpus.fmp4()))
    corpus.check_fmp4(data.draw(corpus.mutated(corpus.head_of(segment))) + b"rest", parse_init(init))


@QUICK
@given(st.data())
def test_init_sections(data: st.DataObject) -> None:
    init, segment = data.draw(st.sampled_from(corpus.fmp4()))
    corpus.check_init(data.draw(corpus.mutated(init)), segment)


@QUICK
@given(st.data())
def test_packed_audio(data: st.DataObject) -> None:
    corpus.check_packed(data.draw(corpus.mutated(data.draw(st.sampled_from(corpus.packed())))))


@QUICK
@given(st.data())
def test_tables(data: st.DataObject) -> None:
    corpus.check_tables(data.draw(corpus.mutated(corpus.transport()[: 188 * 40])))


async def test_transport_streams_through_the_child() -> None:
    """A hundred mutations, one child: it may die, and is replaced, but only MediaError comes out."""
    demuxer = Demuxer()
    body = corpus.transport()
    try:
        for seed in range(100):
            broken = bytearray(body)
            state = seed + 1
            for _ in range(1 + seed % 40):
                # Numerical Recipes' generator: the same faults on every machine.
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                broken[state % len(broken)] = state >> 24
            try:
                corpus.check(await demuxer.measure(bytes(broken[: len(broken) - (seed * 97) % 5000])))
            except MediaError:
                continue
    finally:
        await demuxer.aclose()


@pytest.mark.parametrize("number", range(len(corpus.bombs())))
def test_what_promises_more_than_it_holds_costs_no_more_than_it_has(number: int) -> None:
    """3.4 kB of fMP4 drove FFmpeg's own reader to 621 MiB."""
    body = corpus.bombs()[number]
    init = parse_init(boxes.init())
    tracemalloc.start()
    begun = time.process_time()
    for head in (init, None):
        try:
            read(body, head)
        except MediaError:
            continue
    spent_s = time.process_time() - begun
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # With tracing on everything takes four times as long.
    assert spent_s < 10
    assert peak_bytes < 100 * 1024 * 1024
