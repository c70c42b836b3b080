from __future__ import annotations

from typing import Any

import pytest

from kernel.bus_codecs import codec_of
from kernel.revocation import Subject, SubjectKind
from relay.leaks.word import FRESH_S, MAX_WORDS_CHARS, Suspect, suspect_of, suspects_signal, told_of

SUSPECT = Suspect(Subject(SubjectKind.SESSION, "session-1"), "fast", 1_000.0, 5_000)


def test_a_suspect_travels() -> None:
    codec = codec_of(suspects_signal().name)
    assert suspect_of(codec.decode(codec.encode(told_of(SUSPECT))), now=1_001.0) == SUSPECT


def test_what_is_old_or_from_the_future_is_nothing() -> None:
    for now in (1_000.0 + FRESH_S + 1, 1_000.0 - FRESH_S - 1):
        assert suspect_of(told_of(SUSPECT), now=now) is None


@pytest.mark.parametrize(
    "record",
    [[], None, "x", ["account", "ann", "x", 1_000.0, 1], ["session", "", "x", 1_000.0, 1], ["session", "s", 1, 2, 3],
     ["session", "s" * 999, "x", 1_000.0, 1], ["session", "s", "x", 1_000.0, None]],
)  # fmt: skip
def test_what_is_none_of_ours_is_nothing(record: Any) -> None:
    assert suspect_of(record, now=1_000.0) is None


def test_words_are_cut() -> None:
    found = suspect_of(["token", "t", "x" * 9_999, 1_000, 5], now=1_000.0)
    assert found is not None
    assert len(found.words) == MAX_WORDS_CHARS
