from __future__ import annotations

from xml.etree import ElementTree as ET

from bench import _plots as plots
from bench._results import Row, Spread, rows_of

SVG = "{http://www.w3.org/2000/svg}"


def row(what: str, ours: float, *, met: bool, ratio: float | None = None) -> Row:
    told = {"what": what, "ours": ours, "unit": "ms", "figure": "<= 10 ms", "met": met, "ratio": ratio}
    (made,) = rows_of("x", told)
    return made


def test_what_meets_its_figure_stands_left_of_the_line() -> None:
    text = plots.figures([row("good & <well>", 5.0, met=True), row("bad", 40.0, met=False)])
    assert text is not None
    root = ET.fromstring(text)
    dots = {dot.get("class"): float(dot.get("cx", "0")) for dot in root.iter(f"{SVG}circle")}
    (line,) = [float(one.get("x1", "0")) for one in root.iter(f"{SVG}line") if one.get("class") == "axis"]
    assert dots["good"] < line < dots["bad"]
    said = {"".join(one.itertext()) for one in root.iter(f"{SVG}text")}
    assert {"good & <well>", "bad", "<= 10 ms0.5 x", "<= 10 ms4 x"} <= said


def test_all_stays_within_the_drawing() -> None:
    rows = [
        row(f"row {number} " + "x" * 200, 10.0**number, met=number <= 1, ratio=10.0**-number) for number in range(-4, 5)
    ]
    for text in (plots.figures(rows), plots.yardsticks(rows)):
        assert text is not None
        root = ET.fromstring(text)
        _, _, width, height = map(float, root.get("viewBox", "").split())
        for dot in root.iter(f"{SVG}circle"):
            assert plots.LABELS <= float(dot.get("cx", "0")) <= width - 60
            assert 0 < float(dot.get("cy", "0")) < height


def test_a_long_label_keeps_its_end_and_is_there_whole() -> None:
    label = "a cue after its frontier passes, " * 5 + "p99"
    text = plots.figures([row(label, 5.0, met=True)])
    assert text is not None
    labels = [one for one in ET.fromstring(text).iter(f"{SVG}text") if one.find(f"{SVG}title") is not None]
    shown = labels[0]
    title = shown.find(f"{SVG}title")
    assert title is not None
    assert title.text == label
    assert (title.tail or "").endswith("p99")
    assert len(title.tail or "") == plots.LABEL_CHARS


def test_a_curve_rises_to_the_right() -> None:
    spread = Spread("cues", (0, 50, 99, 100), (1.0, 4.0, 20.0, 31.0), (1.0, 2.0, 3.0, 4.0))
    text = plots.spreads([spread])
    assert text is not None
    curves = list(ET.fromstring(text).iter(f"{SVG}polyline"))
    assert [curve.get("class") for curve in curves] == ["curve c0 other", "curve c0"]
    for curve in curves:
        points = [tuple(map(float, point.split(","))) for point in curve.get("points", "").split()]
        assert points == sorted(points)
        # Down is up in a drawing.
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)


def test_nothing_is_drawn_of_nothing() -> None:
    assert plots.figures([]) is plots.yardsticks([]) is plots.spreads([]) is None
    assert plots.yardsticks([row("no yardstick", 1.0, met=True)]) is None


def test_a_dark_page_is_thought_of() -> None:
    for text in (plots.figures([row("a", 1.0, met=True)]), plots.spreads([Spread("a", (0, 100), (1, 2), ())])):
        assert text is not None
        assert "@media (prefers-color-scheme: dark)" in text
