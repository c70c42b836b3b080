"""Sound in a list of its own: whatever is spliced, it is counted as the picture is (RFC 8216, 6.2.4)."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kernel.blackouts import Veil, Window, ZoneSet
from relay.axis import SLACK_S
from relay.spliced import tag_of
from tests.support.reading import Segment, read_playlist
from tests.support.splicing import EPOCH, Evening, Judge, Made, Origin

Name = tuple[str, int]
"""A segment: of which stream, and which number."""


class Agreement:
    """Remember under which discontinuity sequence number each segment was shown, and compare the renditions.

    Players ask for one list after the other, so one of the two may be newer by any number of segments: numbers never
    change, and are compared across all that was ever shown.
    """

    def __init__(self, show: Evening) -> None:
        self._show = show
        self._names = {tag_of(origin.stream): origin for origin in show.origins}
        self._numbers: dict[str, dict[Name, int]] = {"v0": {}, "a0": {}}
        self._compared: set[Name] = set()
        self.tags: dict[Name, int] = {}
        """How many discontinuities stand before segments of sound."""

    def look(self, pictures: str | None, sound: str | None) -> None:
        """Look at both lists as they stand at one moment."""
        if pictures is None or sound is None:
            assert sound is None
            return
        shown = read_playlist(pictures).segments
        self._note("v0", shown)
        heard = read_playlist(sound).segments
        self._note("a0", heard)
        # hls.js waits for good with sound of a stretch that the picture does not come to.
        assert heard[-1].discontinuity_sequence <= shown[-1].discontinuity_sequence, f"{pictures}\n---\n{sound}"
        self._compare()

    def _note(self, rendition: str, segments: list[Segment]) -> None:
        known, before = self._numbers[rendition], None
        for segment in segments:
            name = self._name(segment.uri)
            number = segment.discontinuity_sequence
            assert known.setdefault(name, number) == number, (rendition, name)
            if before is not None and number > before and rendition == "a0":
                self.tags[name] = number - before
            before = number

    def _name(self, uri: str) -> Name:
        tag, _, rest = uri.rpartition("/")[2].rpartition(".")[0].partition("-")
        if "-" in rest:
            return self._names[tag].stream, int(rest.partition("-")[2])
        return self._show.origins[0].stream, int(rest)

    def _compare(self) -> None:
        origins, shown = {origin.stream: origin for origin in self._show.origins}, self._numbers["v0"]
        for name, number in self._numbers["a0"].items():
            if name in self._compared:
                continue
            self._compared.add(name)
            stream, n = name
            sound, pictures = origins[stream].audio[n], origins[stream].made
            beside = [msn for msn, one in enumerate(pictures) if _overlap_s(sound, one) > 0.0]
            numbers = {msn: shown[stream, msn] for msn in beside if (stream, msn) in shown}
            assert number in numbers.values(), (name, number, numbers)
            middle = sound.at + sound.duration_s / 2
            for msn in numbers:
                one = pictures[msn]
                if one.at + SLACK_S < middle < one.at + one.duration_s - SLACK_S:
                    assert number == numbers[msn], (name, number, numbers)


def _overlap_s(one: Made, other: Made) -> float:
    return min(one.at + one.duration_s, other.at + other.duration_s) - max(one.at, other.at)


STREAMS = ("game", "local", "regional")
BEGAN = (0.0, -3.7, -1.3)


def streams(sound_s: list[float], pictures_s: list[list[float]]) -> Evening:
    origins = [
        Origin(stream, 2, 6, one, began=began) for stream, one, began in zip(STREAMS, sound_s, BEGAN, strict=True)
    ]
    return Evening(origins, durations=dict(zip(STREAMS, pictures_s, strict=True)))


def play(
    show: Evening, zones: ZoneSet, marked: set[tuple[str, int]], *, steps: int, restarts: frozenset[int] = frozenset()
) -> tuple[Agreement, str]:
    """Play through all edges; a segment in `marked` stands behind a discontinuity of its stream's own."""
    show.believe({veil.blackout_id: veil.window for veil in zones})
    agreement, judge = Agreement(show), Judge()
    sound: str | None = None
    for number in range(steps):
        for origin in show.origins:
            origin.marked = (origin.stream, len(origin.made)) in marked
        show.step()
        if number in restarts:
            show.restart(number % 2)
        node = show.nodes[0]
        pictures, sound = judge.look(node, "v0", zones), judge.look(node, "a0", zones)
        agreement.look(pictures, sound)
    return agreement, sound or ""


def veil(name: str, start: float, length_s: float, redirect: str) -> Veil:
    return Veil(name, Window(EPOCH + start, EPOCH + start + length_s), redirect, EPOCH)


@pytest.mark.parametrize(("msn", "tags", "sequence"), [(19, (2, 1), 3), (27, (1, 2), 3), (28, (1, 1), 2)])
def test_what_has_no_sound_beside_it_leaves_its_discontinuity_to_what_follows(
    msn: int, tags: tuple[int, int], sequence: int
) -> None:
    """Segments 20 to 25 are dark; the sound of 19 lies in one that is dark in part, as does that of 26."""
    show = streams([1.92] * 3, [[2.0]] * 3)
    agreement, found = play(show, (veil("city", 40.5, 11.5, "local"),), {("game", msn)}, steps=87)
    assert tuple(agreement.tags.values()) == tags
    assert read_playlist(found).segments[-1].discontinuity_sequence == sequence


SECONDS = st.lists(st.sampled_from([0.64, 1.0, 1.44, 1.92, 2.0]), min_size=1, max_size=3)
BLACKOUTS = st.lists(
    st.tuples(st.floats(20, 45), st.floats(0.5, 25), st.sampled_from(STREAMS[1:])), min_size=1, max_size=3
)


@given(
    sound_s=st.lists(st.sampled_from([0.5, 1.024, 1.92, 2.0]), min_size=3, max_size=3),
    pictures_s=st.lists(SECONDS, min_size=3, max_size=3),
    blackouts=BLACKOUTS,
    marked=st.sets(st.tuples(st.sampled_from(STREAMS), st.integers(0, 60)), max_size=40),
    restarts=st.frozensets(st.integers(10, 100), max_size=2),
)
@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_at_every_time_all_renditions_have_one_number(
    sound_s: list[float],
    pictures_s: list[list[float]],
    blackouts: list[tuple[float, float, str]],
    marked: set[tuple[str, int]],
    restarts: frozenset[int],
) -> None:
    zones = tuple(veil(f"b{number}", *one) for number, one in enumerate(blackouts))
    play(streams(sound_s, pictures_s), zones, marked, steps=110, restarts=restarts)
