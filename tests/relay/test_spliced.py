"""A whole evening with blackouts: what every variant of it says, on two nodes, over restarts."""

from __future__ import annotations

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from kernel.blackouts import Veil, Window, ZoneSet
from relay.axis import SLACK_S
from relay.spliced import tag_of
from tests.support.reading import read_playlist
from tests.support.splicing import EPOCH, Evening, Judge, Node, Origin, walls
from tests.support.validator import check_media

CITY = Window(EPOCH + 61.0, EPOCH + 121.0)
STATE = Window(EPOCH + 100.5, EPOCH + 200.0)
NIGHT = Window(EPOCH + 300.0, EPOCH + 330.0)


def veil(name: str, window: Window, redirect: str | None) -> Veil:
    return Veil(name, window, redirect, EPOCH)


NOBODY: ZoneSet = ()
IN_CITY: ZoneSet = (veil("city", CITY, "local"), veil("night", NIGHT, "local"))
IN_BOTH: ZoneSet = (veil("state", STATE, "regional"), veil("city", CITY, "local"))
IN_STATE: ZoneSet = (veil("state", STATE, "regional"),)
SAME: ZoneSet = (veil("state", STATE, "local"), veil("city", CITY, "local"))
BLOCKED: ZoneSet = (veil("city", CITY, None),)
ALL = (IN_CITY, IN_BOTH, IN_STATE, SAME, BLOCKED)


def evening(*, audio: bool = False, lead_s: float = 0.0) -> Evening:
    origins = [
        Origin("game", 2, 8, 1.92 if audio else None),
        Origin("local", 2, 4, 1.024 if audio else None, began=-3.7),
        Origin("regional", 1, 12, 2.0 if audio else None, began=-1.3),
    ]
    durations = {"game": [2.0, 2.0, 1.6], "local": [1.44, 2.0, 2.0, 1.76], "regional": [1.0]}
    return Evening(origins, durations=durations, lead_s=lead_s)


def seen(node: Node, zones: ZoneSet) -> str:
    return node.splicer.text(None, zones) or ""


def assert_light(show: Evening, text: str, zones: ZoneSet, rendition: str | None) -> None:
    """Look whether a list shows a picture of the showing's that is dark, or sound beyond a frame of it."""
    for _, window, _, _ in zones:
        assert window.start is not None
        assert window.end is not None
        for begin, end in walls(text, show.origins[0], rendition):
            assert begin >= window.end - SLACK_S or end <= window.start + SLACK_S, (rendition, begin - EPOCH)


def is_over(*texts: str | None) -> bool:
    return any(text is None or text.endswith("#EXT-X-ENDLIST\n") for text in texts)


def test_a_whole_evening_is_valid_in_every_variant_and_the_same_on_two_nodes() -> None:
    show, judge = evening(), Judge()
    show.believe({"city": CITY, "state": STATE, "night": NIGHT})
    restarts = {30: 1, 55: 1, 90: 0, 160: 1, 220: 0, 290: 1}
    blocked_anew = False
    for number in range(700):
        if number % 97 == 13:
            show.origins[number % 3].marked = True
        show.step()
        if number in restarts:
            show.restart(restarts[number])
        for zones in ALL:
            one, two = show.nodes
            text, other = judge.look(one, None, zones), two.splicer.text(None, zones)
            # Of a list that has ended, who comes later has no more than is still kept.
            assert text == other or (zones == BLOCKED and is_over(text, other)), (number, zones)
            assert_light(show, text or "", zones, None)
        blocked_anew = blocked_anew or (show.now > 130 and "ENDLIST" not in seen(show.nodes[0], BLOCKED))
    assert blocked_anew
    assert show.now > 330


DURATIONS = st.lists(st.sampled_from([0.64, 1.0, 1.44, 1.6, 1.92, 2.0, 2.4]), min_size=1, max_size=4)


@st.composite
def blackouts(draw: st.DrawFn) -> dict[str, tuple[Window, str | None]]:
    """Draw up to four windows within the first two minutes, and where they lead."""
    out = {}
    for number in range(draw(st.integers(1, 4))):
        start = draw(st.floats(20, 90))
        end = start + draw(st.floats(0.5, 60))
        redirect = draw(st.sampled_from(["local", "regional", None, "local"]))
        out[f"b{number}"] = (Window(EPOCH + start, EPOCH + end), redirect)
    return out


# Found once: between two blackouts less of the showing than one segment of sound, which both hide.
@example(
    found={
        "b0": (Window(EPOCH + 64.9, EPOCH + 65.4), "regional"),
        "b1": (Window(EPOCH + 36.4, EPOCH + 49.2), "local"),
        "b2": (Window(EPOCH + 47.0, EPOCH + 58.3), "regional"),
        "b3": (Window(EPOCH + 60.0, EPOCH + 69.7), "local"),
    },
    durations=([1.0, 1.92], [2.0], [2.0, 1.44, 2.4]),
    marked=[],
    restarts=[],
    audio=True,
    lead_s=0.2,
)
@given(
    found=blackouts(),
    durations=st.tuples(DURATIONS, DURATIONS, DURATIONS),
    marked=st.lists(st.tuples(st.integers(0, 170), st.integers(0, 2)), max_size=6),
    restarts=st.lists(st.tuples(st.integers(0, 170), st.integers(0, 1)), max_size=3),
    audio=st.booleans(),
    lead_s=st.sampled_from([0.0, 0.2]),
)
@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_whatever_overlaps_the_lists_stay_valid(
    found: dict[str, tuple[Window, str | None]],
    durations: tuple[list[float], list[float], list[float]],
    marked: list[tuple[int, int]],
    restarts: list[tuple[int, int]],
    *,
    audio: bool,
    lead_s: float,
) -> None:
    show, judge = evening(audio=audio, lead_s=lead_s), Judge()
    show.durations = dict(zip(("game", "local", "regional"), durations, strict=True))
    for origin in show.origins:
        origin.target_s = 2
    show.believe({name: window for name, (window, _) in found.items()})
    zones = tuple(veil(name, window, redirect) for name, (window, redirect) in found.items())
    every: list[ZoneSet] = [zones, zones[::-1], zones[:1]]
    for number in range(170):
        for at, index in marked:
            if at == number:
                show.origins[index].marked = True
        show.step()
        for at, index in restarts:
            if at == number:
                show.restart(index)
        for one in every:
            look(show, judge, one, audio=audio)


def agree(show: Evening, rendition: str | None) -> bool:
    """Tell whether the usual lists begin alike: one that slid further never comes back, after a restart it may."""
    first, second = ([one.text(rendition) for one in node.presentations.values()] for node in show.nodes)
    return first == second


def is_same(text: str | None, other: str | None) -> bool:
    """Tell whether two lists say the same of every segment that stands in both, and end alike."""
    if text is None or other is None:
        return text == other
    one, two = (
        {segment.msn: (segment.uri, segment.discontinuity_sequence, segment.state) for segment in read.segments}
        for read in (read_playlist(text), read_playlist(other))
    )
    return max(one) == max(two) and all(one[number] == two[number] for number in one.keys() & two.keys())


def look(show: Evening, judge: Judge, zones: ZoneSet, *, audio: bool) -> None:
    first, second = show.nodes
    for rendition in ("v0", "a0") if audio else (None,):
        text, other = judge.look(first, rendition, zones), second.splicer.text(rendition, zones)
        if not is_over(text, other):
            assert is_same(text, other), (rendition, zones)
            assert text == other or not agree(show, rendition), (rendition, zones)
        assert_light(show, text or "", zones, rendition)


def test_nobody_inside_has_the_usual_list_itself() -> None:
    show = evening()
    show.believe({"city": CITY})
    for _ in range(40):
        show.step()
    node = show.nodes[0]
    usual = node.presentations["game"].text(None)
    assert node.splicer.text(None, NOBODY) is usual
    # Nor does anybody else notice before it is dark.
    assert seen(node, IN_STATE) == usual
    assert not node.splicer.is_dark("main", 35, NOBODY)
    assert node.splicer.text("v0", IN_CITY) is None


def run(show: Evening, until: float) -> Node:
    while show.now < until:
        show.step()
    return show.nodes[0]


def test_what_is_dark_is_kept_back_and_what_stands_for_it_is_given_to_nobody_else() -> None:
    show = evening()
    show.believe({"city": CITY})
    node = run(show, 68)
    only = (veil("city", CITY, "local"),)
    tag = tag_of("local")
    assert node.splicer.is_blocked("main", BLOCKED)
    shown = [line for line in seen(node, only).splitlines() if tag in line]
    assert shown
    number = int(shown[0].split("-")[2].partition(".")[0])
    find = node.splicer.find
    assert find("main", tag, 0, number, only) is not None
    assert find("main", tag, 0, number, NOBODY) is None
    assert find("main", tag, 0, number, IN_STATE) is None
    assert find("main", tag_of("regional"), 0, number, only) is None
    # What the stream showed before the splice is not part of it.
    assert find("main", tag, 0, number - 1, only) is None
    run(show, 130)
    dark = [msn for msn in range(len(show.origins[0].made)) if node.splicer.is_dark("main", msn, only)]
    made = show.origins[0].made
    assert dark == [n for n, one in enumerate(made) if one.at + one.duration_s > 61.0 and one.at < 121.0]
    assert not node.splicer.is_blocked("main", BLOCKED)
    assert not node.splicer.is_blocked("main", only)


def test_one_that_takes_effect_at_once_has_a_list_that_begins_there() -> None:
    show, judge = evening(), Judge()
    now = Window()
    inside = (veil("now", now, "local"),)
    node = run(show, 50)
    usual = node.presentations["game"].text(None) or ""
    show.believe({"now": now})
    text = judge.look(node, None, inside)
    assert text is not None
    assert "main/0-" not in text
    assert text == show.nodes[1].splicer.text(None, inside)
    # No number comes again, and there is enough to begin with.
    was, is_now = read_playlist(usual), read_playlist(text)
    assert is_now.segments[0].msn == was.segments[-1].msn + 1
    assert is_now.segments[0].discontinuity_sequence == was.segments[-1].discontinuity_sequence + 1
    assert is_now.duration_s >= 6.0
    assert all(node.splicer.is_dark("main", msn, inside) for msn in range(40))
    for _ in range(60):
        show.step()
        text = judge.look(node, None, inside)
        assert "main/0-" not in (text or "main/0-")
    show.restart(1)
    assert text == show.nodes[1].splicer.text(None, inside)


@pytest.mark.parametrize("audio", [False, True])
def test_a_list_goes_on_though_the_origin_dropped_its_edge_while_nobody_ran(audio: bool) -> None:
    show = evening(audio=audio)
    rendition = "v0" if audio else None
    inside = (veil("now", Window(), "local"),)
    node = run(show, 50)
    show.believe({"now": Window()})
    was = read_playlist(node.splicer.text(rendition, inside) or "")
    # Both stop before the first segment behind the edge is out, and come back when the origin lists it no more.
    show.stand_still(40)
    show.restart(0)
    show.restart(1)
    for number in range(120):
        if number == 40:
            ended = Window(None, EPOCH + show.now)
            inside = (veil("now", ended, "local"),)
            show.believe({"now": ended})
        for name in ("v0", "a0") if audio else (None,):
            text = show.nodes[0].splicer.text(name, inside) or ""
            assert check_media(text) == [], text
            assert text == show.nodes[1].splicer.text(name, inside)
        if number == 0:
            first = show.nodes[0].splicer.text(rendition, inside) or ""
            assert tag_of("local") in first
            assert read_playlist(first).segments[0].msn > was.segments[0].msn
        show.step()
    assert tag_of("local") not in (show.nodes[0].splicer.text(rendition, inside) or tag_of("local"))


def test_one_that_was_heard_of_late_begins_with_what_is_not_out() -> None:
    show, judge = evening(), Judge()
    inside = (veil("city", CITY, "local"),)
    node = run(show, 70)
    show.believe({"city": CITY})
    for _ in range(150):
        text = judge.look(node, None, inside)
        assert text == show.nodes[1].splicer.text(None, inside)
        assert_light(show, text or "", inside, None)
        show.step()
    assert "main/0-" in (judge.look(node, None, inside) or "")


def test_one_that_blocks_at_once_leaves_nothing() -> None:
    show = evening()
    node = run(show, 50)
    show.believe({"now": Window()})
    assert node.splicer.text(None, (veil("now", Window(), None),)) is None


def test_a_list_says_what_it_said_while_a_thread_changes_what_it_is_made_of() -> None:
    show = evening()
    show.believe({"city": CITY})
    node = run(show, 80)
    before = seen(node, IN_CITY)
    node.presentations["local"].hold()
    run(show, 84)
    assert seen(node, IN_CITY) == before
    node.presentations["local"].release()
    assert seen(node, IN_CITY) != before


def test_keys_and_maps_are_said_anew_behind_each_edge() -> None:
    show, judge = evening(), Judge()
    for origin in show.origins:
        key = f'#EXT-X-KEY:METHOD=AES-128,URI="{origin.stream}.key",IV=0x1'
        origin.state = (key, f'#EXT-X-MAP:URI="{origin.stream}.mp4"')
    only = (veil("city", CITY, "local"),)
    show.believe({"city": CITY})
    states: list[tuple[str, ...]] = []
    node = show.nodes[0]
    for until in (64, 125):
        node = run(show, until)
        states = [segment.state for segment in read_playlist(judge.look(node, None, only) or "").segments]
        assert len({state for state in states if "METHOD=AES-128" in state[0] and "init-" in state[1]}) == 2
    name = states[-1][1].partition('"')[2].partition('"')[0].removeprefix("main/")
    assert node.splicer.asset("main", name, only) is None
    theirs = states[0][1].partition('"')[2].partition('"')[0].removeprefix("main/")
    assert node.splicer.asset("main", theirs, only) is not None
    assert node.splicer.asset("main", theirs, NOBODY) is None


def test_one_that_is_ended_in_the_middle_has_a_splice_back() -> None:
    for begins in (EPOCH + 61.0, None):
        show, judge = evening(), Judge()
        made = Window(begins)
        inside = (veil("now", made, "local"),)
        run(show, 60)
        show.believe({"now": made})
        node = run(show, 80)
        dark = text = judge.look(node, None, inside) or ""
        assert tag_of("local") in dark.splitlines()[-1]
        ended = made._replace(end=EPOCH + show.now)
        inside = (veil("now", ended, "local"),)
        show.believe({"now": ended})
        # From one request to the next nothing changes.
        assert judge.look(node, None, inside) == dark
        for number in range(150):
            show.step()
            if number == 40:
                show.restart(1)
            text = judge.look(node, None, inside) or ""
            assert text == show.nodes[1].splicer.text(None, inside)
            for begin, end in walls(text, show.origins[0], None):
                assert begin >= EPOCH + 80 - SLACK_S or (begins is not None and end <= begins + SLACK_S)
        assert tag_of("local") not in text
        assert not node.splicer.is_dark("main", len(show.origins[0].made) - 1, inside)


def test_a_list_keeps_its_beginning_when_a_blackout_is_ended() -> None:
    show = evening()
    show.believe({"now": Window(EPOCH + 61.0)})
    node = run(show, 80)
    before = seen(node, (veil("now", Window(EPOCH + 61.0), "local"),))
    ended = Window(EPOCH + 61.0, EPOCH + 81.0)
    # It is the same list, kept, though nothing has been said of the cuts yet.
    assert node.splicer.text(None, (veil("now", ended, "local"),)) is before
