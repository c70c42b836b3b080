from __future__ import annotations

import pytest

from hub import fanout
from hub.fanout import Frames
from tests.hub.makers import at, entry


def test_a_frame_is_made_once() -> None:
    frames, one = Frames(), entry(0, at(1), body={"txt": "x"})
    assert frames.of(one) is frames.of(one)
    assert b'"txt":"x"' in frames.of(one)


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_a_body_that_cannot_be_written_is_left_out(value: object) -> None:
    assert Frames().of(entry(0, at(1), body={"txt": value})) == b""


def test_it_keeps_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "KEPT_FRAMES", 2)
    frames, first = Frames(), entry(0, at(1))
    made = frames.of(first)
    frames.of(entry(1, at(1)))
    assert frames.of(first) is made
    frames.of(entry(2, at(1)))
    assert frames.of(first) is not made
    frames.clear()
    assert len(frames._frames) == 0
