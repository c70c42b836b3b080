"""What is written down of a race: rows, a table, a drawing, a part of a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from bench.peers import page
from bench.peers.accounts import SOCKETS, Account, ratios, results

OURS = Account("ours", "edge", None, (10.0, 40.0, 12.0), (1.0, 2.0, 3.0), 5.0, 9.5, 4_096.4, 338.0)
FLOOR = Account("floor", "a loop", None, (8.0, 32.0, 10.0), (8.0, 8.0, 8.0), 4.0, 9.0, 3_000.0, 338.0)
PEER = Account("peer", "one worker", "below it", (20.0, 50.0, 10.0), (10.0, 10.0, 10.0), 7.0, 12.0, 20_000.0, 354.0)


def rows(sockets: int = SOCKETS) -> list[dict[str, Any]]:
    return results([OURS, PEER, FLOOR], sockets, 95, 334)


def test_ours_is_held_against_a_peer_round_by_round() -> None:
    assert ratios(OURS.single_us, PEER.single_us) == [0.5, 0.8, 1.2]


def test_a_row_has_both_accounts_and_the_median_of_the_ratios() -> None:
    floor, peer = rows()
    assert (floor["yardstick_what"], peer["yardstick_what"]) == ("floor", "peer")
    assert (peer["ours"], peer["yardstick"], peer["ratio"], peer["ratio_at_once"]) == (12.0, 20.0, 0.8, 0.2)
    assert (peer["figure"], peer["met"]) == ("below it", True)
    assert floor["ratio"] == 1.25
    assert "figure" not in floor


def test_a_figure_is_one_of_as_many_sockets_as_the_design_names() -> None:
    assert all("figure" not in row for row in rows(50))


def test_the_table_has_ours_first_and_then_who_costs_least() -> None:
    lines = page.table(rows()).splitlines()
    assert [line.count("|") for line in lines] == [10] * 5
    assert lines[2] == "| ours | 12.0 | 1.00 | 2.0 | 1.00 | 5.0 | 9.5 | 4,096 | 338 |"
    assert lines[4] == "| peer | 20.0 | 0.80 | 10.0 | 0.20 | 7.0 | 12.0 | 20,000 | 354 |"


def test_the_drawing_has_two_bars_for_each_in_proportion() -> None:
    root = ET.fromstring(page.drawing(rows()))
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert len(widths) == 6
    # ours, floor, peer: one message and ten at once
    assert [round(width / widths[4] * 20.0, 1) for width in widths] == [12.0, 2.0, 10.0, 8.0, 20.0, 10.0]
    assert max(widths) < page.WIDTH


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(f"before\n\n{page.BEGINS}\n\nold\n\n{page.ENDS}\n\nafter\n")
    page.write(rows(), tmp_path)
    once = (tmp_path / "performance.md").read_text()
    page.write(rows(), tmp_path)
    text = (tmp_path / "performance.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert page.table(rows()) in text
    assert "* peer: one worker." in text
    assert text.count(page.BEGINS) == once.count(page.BEGINS) == 1
    assert "2,000 sockets each, 334 bytes, receivers that pause for 95 ms" in text
    assert "<svg" in (tmp_path / "peers.svg").read_text()


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text("before\n")
    with pytest.raises(ValueError, match="needs the lines"):
        page.write(rows(), tmp_path)
    assert (tmp_path / "performance.md").read_text() == "before\n"


def test_the_project_s_page_has_its_marks() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text("utf-8")
    assert 0 < text.index(page.BEGINS) < text.index(page.ENDS)
