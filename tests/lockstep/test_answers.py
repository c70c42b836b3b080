from __future__ import annotations

from lockstep.answers import AnswerCounts


def test_answers_are_counted_by_kind_and_handed_on() -> None:
    told: list[tuple[object, ...]] = []
    answers = AnswerCounts(lambda *what: told.append(what))
    answers("GET", "/hls/~/game/v/index.m3u8", "192.0.2.1", 0.25, 200, 700)
    answers("GET", "/hls/~/game/v/0-1.ts", "192.0.2.1", 2.0, 206, 1_000)
    answers("GET", "/hls/~/game/v/0-1.ts", "192.0.2.1", 2.0, 206, 1_000)
    answers("POST", "/api/v1/feeds/desk", "192.0.2.1", 0.5, 202, 9)
    assert told[0] == ("GET", "/hls/~/game/v/index.m3u8", "192.0.2.1", 0.25, 200, 700)
    assert len(told) == 4
    assert answers.answers == {
        ("playlist", 200): 1, ("media", 200): 0, ("api", 200): 0, ("media", 206): 2, ("api", 202): 1,
    }  # fmt: skip
    assert answers.sent_bytes == {"playlist": 700, "media": 2_000, "api": 9}
    assert (answers.took["media"].count, answers.took["media"].total) == (2, 4.0)
