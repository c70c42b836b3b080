from __future__ import annotations

from random import Random
from typing import Any

import pytest

from relay.leaks.detector import (
    FIRST,
    FORGET_S,
    FORGET_SUSPECT_S,
    MIN_CROWD,
    SELDOM,
    SLICES,
    SWEEP_S,
    Detector,
)
from relay.leaks.model import Finding, LeakLimits, Level
from relay.leaks.record import Record
from tests.support.leech_trial import trial

ALL = LeakLimits(most=Level.REVOKE)


def note(
    detector: Detector, now: float, msn: int, *, session: str = "s", rendition: str = "v0", seconds: float = 2.0,
    network: int = 7, page: str | None = None, picture: bool = True,
) -> Finding | None:  # fmt: skip
    return detector.note(
        session, now, "game", rendition, msn, seconds, int(seconds * 1e6), network, page, picture=picture
    )


def swept(detector: Detector, until: float) -> list[Finding]:
    found: list[Finding] = []
    while (due := detector.next_deadline()) is not None and due <= until:
        found += detector.handle_timer(now=due)
    return found


def test_a_viewer_is_never_told_of() -> None:
    detector = Detector(ALL)
    for msn in range(500):
        at = 1_000.0 + 2 * max(0, msn - 15)
        assert note(detector, at, msn, rendition=f"v{msn // 7 % 3}") is None
        assert note(detector, at, msn, rendition="a0", picture=False) is None
        assert swept(detector, at) == []
    assert detector.level("s", "game") is Level.NONE


def test_a_downloader_is_told_of_once_a_level() -> None:
    detector = Detector(ALL)
    found = [finding for msn in range(200) if (finding := note(detector, 1_000.0 + msn / 10, msn)) is not None]
    levels = [finding.level for finding in found]
    assert levels == sorted(set(levels))
    assert levels[-1] is Level.REVOKE
    assert detector.level("s", "game") is Level.REVOKE
    assert found[0].parts[0].signal == "speed"
    assert "more than can have been watched" in found[0].reasons[0]


def test_no_more_is_told_than_is_wanted() -> None:
    detector = Detector()
    found = [finding for msn in range(200) if (finding := note(detector, 1_000.0 + msn / 10, msn)) is not None]
    assert [finding.level for finding in found] == [Level.WARN]


def test_a_level_falls_when_nothing_speaks_for_it_any_more_and_is_told_once() -> None:
    detector = Detector(ALL)
    for msn in range(200):
        note(detector, 1_000.0 + msn / 10, msn)
    found = swept(detector, 1_200.0)
    levels = [finding.level for finding in found]
    assert levels == sorted(set(levels), reverse=True)
    assert levels[-1] is Level.NONE
    assert found[-1].session == "s"
    assert detector.level("s", "game") is Level.NONE


def test_several_renditions_several_workers_and_many_networks_are_found() -> None:
    for wanted, fetches in {
        "renditions": [(msn, f"v{level}", 7) for msn in range(8) for level in range(3)],
        "repeats": [(msn, "v0", 7) for msn in range(8) for _ in range(4)],
        "networks": [(msn, "v0", msn) for msn in range(8)],
        "jumps": [(msn, "v0", 7) for number in range(40) for msn in (number, 9_000 + number)],
    }.items():
        detector = Detector()
        found = [
            finding
            for number, (msn, rendition, network) in enumerate(fetches)
            if (finding := note(detector, 1_000.0 + number / 2, msn, rendition=rendition, network=network)) is not None
        ]
        assert [finding.parts[0].signal for finding in found] == [wanted]


def test_a_page_that_may_not_show_it_is_found_by_sound_too() -> None:
    detector = Detector(page_of=str.lower)
    found = [
        note(detector, 1_000.0 + 2 * msn, msn, rendition="a0", page="FREE.example", picture=False) for msn in range(5)
    ]
    assert [finding.level for finding in found if finding is not None] == [Level.WARN]


def test_a_page_is_asked_for_at_the_beginning_and_then_now_and_then() -> None:
    asked: list[str] = []
    detector = Detector(page_of=asked.append)
    for msn in range(1, 40 * (SELDOM + 1) + 1):
        note(detector, 1_000.0 + 2 * msn, msn, page=str(msn))
    assert asked[:FIRST] == [str(msn) for msn in range(1, FIRST + 1)]
    assert len(asked) - FIRST == 40 - FIRST // (SELDOM + 1)


def test_the_median_is_that_of_the_showing() -> None:
    detector = Detector()
    for msn in range(60):
        for number in range(MIN_CROWD):
            note(detector, 1_000.0 + 2 * msn, msn, session=f"s{number}")
        swept(detector, 1_000.0 + 2 * msn)
    finding = None
    for msn in range(600):
        finding = note(detector, 1_120.0 + msn / 100, msn, session="fast", seconds=0.5)
        if finding is not None:
            break
    assert finding is not None
    assert {part.signal for part in finding.parts} == {"speed", "rate"}


def test_who_is_gone_is_forgotten_and_a_suspect_later() -> None:
    detector = Detector()
    assert detector.next_deadline() is None
    assert detector.handle_timer(now=5.0) == []
    note(detector, 1_000.0, 1)
    for msn in range(200):
        note(detector, 1_000.0 + msn / 10, msn, session="fast")
    assert detector.n_sessions == 2
    swept(detector, 1_000.0 + FORGET_S + 2 * SWEEP_S)
    assert detector.n_sessions == 1
    swept(detector, 1_200.0 + FORGET_SUSPECT_S)
    assert detector.n_sessions == 0
    assert detector.next_deadline() is None


def test_what_is_forgotten_on_purpose_is_nobody() -> None:
    detector = Detector()
    note(detector, 1_000.0, 1)
    for _ in range(2):
        detector.forget("s", "game")
        detector.forget("s", "other")
        assert detector.n_sessions == 0


def test_a_slice_is_a_part_of_all_and_copes_with_who_leaves_meanwhile() -> None:
    detector = Detector()
    for number in range(4 * SLICES):
        note(detector, 1_000.0, 1, session=f"s{number}")
    assert detector.handle_timer(now=1_000.0 + SWEEP_S) == []
    for number in range(4 * SLICES):
        detector.forget(f"s{number}", "game")
    swept(detector, 1_100.0)
    assert detector.next_deadline() is None


def test_there_are_no_more_sessions_than_may_be() -> None:
    detector = Detector(LeakLimits(max_sessions=10))
    for number in range(25):
        note(detector, 1_000.0, 1, session=f"s{number}")
    assert detector.n_sessions == 10
    note(detector, 1_002.0, 2, session="s24")
    note(detector, 1_002.0, 2, session="s0")
    assert detector.n_sessions == 10
    swept(detector, 1_020.0)
    assert detector.n_sessions == 10


def test_leeches_are_found_among_viewers() -> None:
    """The figures are those of `python -m bench leaks`, with other seeds and 100,000 sessions."""
    done = trial(31, 2_000)
    assert done.total[""] > 1_900
    assert done.found >= 0.8
    assert done.false_alarms <= 0.004


def told_by_record(detector: Detector, known: dict[str, Record], session: str, *told: Any) -> Finding | None:
    """Note a fetch as a watch does that keeps records at hand: by `follows` and `goes_with`, else by `note`."""
    now, rendition, msn, network, page, picture = told
    record = known.get(session)
    if record is not None and record.mark == network:
        looks = page is not None and (msn < record.sure or not msn & SELDOM)
        if not (looks and page == "foreign"):
            if detector.follows(record, now, rendition, msn, 2.0):
                return None
            if not picture and detector.goes_with(record):
                return None
    found = note(
        detector, now, msn, session=session, rendition=rendition, network=network, page=page, picture=picture
    )  # fmt: skip
    record = detector.find(session, "game")
    if record is not None:
        record.mark = network
        if picture:
            known[session] = record
    return found


@pytest.mark.parametrize("seed", range(40))
def test_by_records_at_hand_the_same_is_found(seed: int) -> None:
    chance = Random(seed)
    limits = LeakLimits(most=Level.REVOKE, max_sessions=5)
    plainly, by_record = (Detector(limits, lambda clue: "free.example" if clue == "foreign" else None) for _ in "ab")
    known: dict[str, Record] = {}
    places = dict.fromkeys(("ann", "bob", "eve", "joe", "kim", "leo"), 100)
    now = 1_000.0
    for _ in range(600):
        now += chance.choice((0.0, 0.1, 0.5, 1.0, 20.0 if chance.random() < 0.02 else 0.3))
        session = chance.choice(list(places)[: 3 + 3 * (seed % 2)])
        picture = chance.random() < 0.8
        places[session] += picture and chance.choices((1, 0, -2, 40), (90, 5, 3, 2))[0]
        rendition = (f"v{int(chance.random() < 0.05)}") if picture else "a0"
        network = 7 if chance.random() < 0.97 else chance.randrange(5)
        page = chance.choices((None, "own", "foreign"), (50, 50, seed % 3))[0]
        told = (now, rendition, places[session], network, page, picture)
        expected = note(
            plainly, now, places[session], session=session, rendition=rendition, network=network, page=page,
            picture=picture,
        )  # fmt: skip
        assert told_by_record(by_record, known, session, *told) == expected
        if chance.random() < 0.02:
            for detector in (plainly, by_record):
                detector.forget(session, "game")
        assert swept(by_record, now) == swept(plainly, now)
        assert by_record.n_sessions == plainly.n_sessions
        assert by_record.level(session, "game") is plainly.level(session, "game")


def test_a_record_that_is_forgotten_or_another_detectors_is_not_gone_by() -> None:
    detector = Detector()
    note(detector, 1_000.0, 1)
    record = detector.find("s", "game")
    assert record is not None
    record.mark = 7
    assert not Detector().follows(record, 1_002.0, "v0", 2, 2.0)
    assert not Detector().goes_with(record)
    assert detector.follows(record, 1_002.0, "v0", 2, 2.0)
    assert detector.goes_with(record)
    detector.forget("s", "game")
    assert not detector.follows(record, 1_004.0, "v0", 3, 2.0)
    assert not detector.goes_with(record)
    assert detector.find("s", "game") is None


def test_what_is_the_same_for_thousands_is_one_object() -> None:
    detector = Detector()
    records = []
    for number in range(3):
        note(detector, 1_000.0, 1_000, session=f"s{number}")
        record = detector.find(f"s{number}", "game")
        assert record is not None
        record.mark = 7
        assert detector.follows(record, float("1002"), "v0", 1_001, 2.0)
        records.append(record)
    assert len({id(record.until) for record in records}) == len({id(record.sure) for record in records}) == 1
