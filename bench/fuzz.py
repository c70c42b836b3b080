"""Fuzz for longer than the suite does: `python -m bench.fuzz [EXAMPLES]`, 20,000 of each target unless told.

The targets are those of `tests/fuzz/test_readers.py`; a fault ends it with hypothesis's account of the shortest input.
Then 50 times as many tokens, a million, are held against PyJWT as in `tests/fuzz/test_tokens.py`, from another seed;
and as many points in polygons against shapely, as in `tests/fuzz/test_polygons.py`.
"""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.fmp4_init import parse_init
from tests.fuzz import corpus, polygons, tokens

EXAMPLES = 20_000
TOKENS_PER_EXAMPLE = 50
POINTS_PER_EXAMPLE = 50
SEED = 8725


@given(st.data())
def fragments(data: st.DataObject) -> None:
    """Change what stands before the media of a real segment."""
    init, segment = data.draw(st.sampled_from(corpus.fmp4()))
    corpus.check_fmp4(data.draw(corpus.mutated(corpus.head_of(segment))) + b"rest", parse_init(init))


@given(st.data())
def init_sections(data: st.DataObject) -> None:
    """Change a real init section."""
    init, segment = data.draw(st.sampled_from(corpus.fmp4()))
    corpus.check_init(data.draw(corpus.mutated(init)), segment)


@given(st.data())
def packed_audio(data: st.DataObject) -> None:
    """Change real packed audio."""
    corpus.check_packed(data.draw(corpus.mutated(data.draw(st.sampled_from(corpus.packed())))))


@given(st.data())
def tables(data: st.DataObject) -> None:
    """Change the first packets of a real transport stream."""
    corpus.check_tables(data.draw(corpus.mutated(corpus.transport()[: 188 * 40])))


def fuzz(arguments: list[str]) -> int:
    """Run every target; not named main, because `make bench` is not meant to wait for it."""
    examples = int(arguments[0]) if arguments else EXAMPLES
    for target in (fragments, init_sections, packed_audio, tables):
        settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)(target)()
        print(f"{target.__name__}: {examples} examples, no fault")
    seen = tokens.fuzz(examples * TOKENS_PER_EXAMPLE, SEED)
    print(f"tokens: {seen.total()} examples, our verifier and PyJWT agree but for the written rules")
    for what, count in seen.most_common():
        print(f"  {count:>8} {what}")
    seen = polygons.fuzz(examples * POINTS_PER_EXAMPLE, SEED)
    print(f"polygons: {seen['points']} points in {seen['polygons']} polygons, our answers are shapely's")
    return 0


if __name__ == "__main__":
    sys.exit(fuzz(sys.argv[1:]))
