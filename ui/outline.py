"""Draw the maps' outlines: land as paths of SVG, out of the TopoJSON that `libraries.json` names.

The states of the United States come in Albers' projection as d3's `geoAlbersUsa` has it, scale 1300 in 975 by 610; the
world's land in degrees, drawn two units a degree. `lockstep/console/projection.py` puts points on the same paper. Both
are public domain: the Census Bureau's cartographic boundaries, and Natural Earth.

A line that two areas share is made simpler once, so they still meet. Only the standard library is used here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAME = "outline.json"
COARSE = 0.35
"""How far a simpler line may lie from the true one, in units of the paper: a third of a pixel on a desk."""

Place = tuple[float, float]

STATES = {
    "01": "AL", "02": "AK", "04": "AZ", "05": "AR", "06": "CA", "08": "CO", "09": "CT", "10": "DE", "11": "DC",
    "12": "FL", "13": "GA", "15": "HI", "16": "ID", "17": "IL", "18": "IN", "19": "IA", "20": "KS", "21": "KY",
    "22": "LA", "23": "ME", "24": "MD", "25": "MA", "26": "MI", "27": "MN", "28": "MS", "29": "MO", "30": "MT",
    "31": "NE", "32": "NV", "33": "NH", "34": "NJ", "35": "NM", "36": "NY", "37": "NC", "38": "ND", "39": "OH",
    "40": "OK", "41": "OR", "42": "PA", "44": "RI", "45": "SC", "46": "SD", "47": "TN", "48": "TX", "49": "UT",
    "50": "VT", "51": "VA", "53": "WA", "54": "WV", "55": "WI", "56": "WY",
}  # fmt: skip
"""FIPS 5-2 codes and the letters of the same states."""


def build(folder: Path) -> Path:
    """Write the outlines beside what they are drawn from, and return where."""
    us = json.loads((folder / "us-states.topo.json").read_text("utf-8"))
    world = json.loads((folder / "world-land.topo.json").read_text("utf-8"))
    lines = _lines(us, lambda x, y: (x, y))
    states = {
        STATES[shape["id"]]: _path(shape, lines)
        for shape in us["objects"]["states"]["geometries"]
        if shape["id"] in STATES and shape["type"] is not None
    }
    lines = _lines(world, lambda lon, lat: ((lon + 180) * 2, (90 - lat) * 2))
    land = "".join(_path(shape, lines) for shape in world["objects"]["land"]["geometries"])
    path = folder / NAME
    path.write_text(json.dumps({"states": states, "world": land}, separators=(",", ":")), "utf-8")
    return path


def _lines(topology: dict[str, Any], put: Callable[[float, float], Place]) -> list[list[Place]]:
    """Return the topology's arcs on paper, made simpler."""
    (scale_x, scale_y), (from_x, from_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    lines = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        # Each position is the difference to the one before it.
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            line.append(put(x * scale_x + from_x, y * scale_y + from_y))
        lines.append(_simpler(line))
    return lines


def _simpler(line: list[Place]) -> list[Place]:
    """Return a line without what lies within `COARSE` of what is left (Douglas and Peucker)."""
    keep = {0, len(line) - 1}
    spans = [(0, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        far, at = 0.0, first
        for index in range(first + 1, last):
            away = _away(line[index], line[first], line[last])
            if away > far:
                far, at = away, index
        if far > COARSE:
            keep.add(at)
            spans += [(first, at), (at, last)]
    return [line[index] for index in sorted(keep)]


def _away(place: Place, start: Place, end: Place) -> float:
    (x, y), (from_x, from_y), (to_x, to_y) = place, start, end
    along_x, along_y = to_x - from_x, to_y - from_y
    length = along_x * along_x + along_y * along_y
    share = 0.0 if length == 0 else max(0.0, min(1.0, ((x - from_x) * along_x + (y - from_y) * along_y) / length))
    off_x, off_y = x - from_x - share * along_x, y - from_y - share * along_y
    return float((off_x * off_x + off_y * off_y) ** 0.5)


def _path(shape: dict[str, Any], lines: list[list[Place]]) -> str:
    polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
    drawn = []
    for polygon in polygons:
        for ring in polygon:
            places = list(_places(ring, lines))
            # What is smaller than a point of the map is none of it.
            if len({(round(x), round(y)) for x, y in places}) > 1:
                drawn.append("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places[:-1]) + "Z")
    return "".join(drawn)


def _places(ring: list[int], lines: list[list[Place]]) -> Iterator[Place]:
    last: Place | None = None
    for index in ring:
        # The complement of an arc's number stands for the arc backwards.
        for place in lines[index] if index >= 0 else reversed(lines[~index]):
            if place != last:
                yield place
            last = place
