"""All polygons of a policy at once: which of them hold a point, in a microsecond or so, whatever they look like.

The plane is cut into cells, and cells with many edges into cells again. A cell without edges knows its answer: a bit
for each polygon. A cell with edges knows the answer along one of its columns (x = `column`): from there to the point it
goes sideways, and each edge that is crossed turns its polygon's bit. So an edge costs a comparison or two, and 200
polygons that overlap cost no more than one with as many edges in the cell.

* Cells are cut worst first, until none has more than FEW edges, which is soon where polygons are borders of something.
  Where they cross each other all over, cutting pays less and less: it ends at MANY once each edge stands in SHARE cells
  on average, and wherever it is once MAX_REFERENCES are spent. The form of a cut follows the edges: combs are cut
  across their teeth.
* Exact: heights are compared, not computed; where a computed crossing is nearer than IN_DOUBT, `left_of` decides.
* Memory is bounded by MAX_REFERENCES: up to 48 bytes for each edge in each cell, beside some 170 for each edge.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, nan, sqrt

from relay.place.geometry import IN_DOUBT, Edge, Polygon, left_of

FEW = 12
"""A cell with so many edges is not cut further: finding a smaller one costs what twelve comparisons do."""

MANY = 200
"""So many edges are asked in 10 us."""

SHARE = 12

MAX_REFERENCES = 1_500_000
"""72 MB at the most. Only edges that cross each other's cells by the thousand come near it."""

_MAX_CUTS = 128
_LEAST_DEGREES = 1e-4
"""Eleven metres: where hundreds of edges meet in one corner, cutting goes no further."""

_MARGIN = 1e-10
"""In degrees: by how much a cell takes itself to be wider than it is, so that no rounding misplaces a point."""

_SHARES = (0.5, 0.382, 0.618, 0.271, 0.729, 0.147, 0.853, 0.447, 0.553, 0.318, 0.682, 0.093, 0.907)

MarkedEdge = tuple[float, float, float, float, int, int, float]
"""x, y, x, y upwards; bits of the polygons of which it is an edge an odd number of times, and of all of which it is
one; how far it goes to the right for each degree upwards."""

_STEEP = 1_000.0
"""Of an edge that goes farther to the right, a crossing that is computed from the equator would not be as exact."""

Box = tuple[float, float, float, float]
_Through = tuple[Sequence[float], Sequence[float], list[MarkedEdge]]
"""Where edges, made longer, cross the equator; how far they go to the right for each degree upwards; the edges. Numbers
lie side by side: an edge that is not crossed is not looked at, and costs no wait for memory."""

Leaf = tuple[float, Sequence[float], int, list[int], _Through, list[MarkedEdge], list[MarkedEdge]]
"""Column; heights at which edges cross it, ascending; every how many of those, as a power of two, the bits below are
noted; these bits; edges that go from below the cell to above it, all others; those that cross the column, by height."""

_NOTED = 4
"""Bits of 200 polygons are a large number: where many edges cross a column, they are noted below every 16th."""

# x, y of the corner; cells a degree, both ways; cells a row; the cells, row by row.
_Node = list[float | int | list[object]]


class PolygonIndex:
    """Find which polygons hold a point.

    Args:
        polygons: the bit 1 << n stands for the nth.
    """

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        edges = marked(polygons)
        self._left = self._low = 1.0
        self._right = self._high = 0.0
        self._root: object = 0
        self.n_references = 0
        """How many times an edge stands in a cell."""
        self.most_edges = 0
        """How many edges the fullest cell has."""
        if edges:
            xs = [x for edge in edges for x in (edge[0], edge[2])]
            # Clear of all that happens at the outermost corners.
            self._left, self._right = min(xs) - _LEAST_DEGREES, max(xs) + _LEAST_DEGREES
            self._low = min(edge[1] for edge in edges) - _LEAST_DEGREES
            self._high = max(edge[3] for edge in edges) + _LEAST_DEGREES
            self._build(edges)

    def locate(self, lon: float, lat: float) -> int:
        """Return the bits of the polygons that hold a point, or have it on their boundary. Degrees, -180 to 180."""
        if not (self._left <= lon <= self._right and self._low <= lat <= self._high):
            return 0
        cell = self._root
        while type(cell) is list:
            x, y, a_degree, rows_a_degree, n_columns, cells = cell
            cell = cells[int((lat - y) * rows_a_degree) * n_columns + int((lon - x) * a_degree)]
        if type(cell) is int:
            return cell
        return _in_leaf(cell, lon, lat)  # type: ignore[arg-type]

    def _build(self, edges: list[MarkedEdge]) -> None:
        holder: list[object] = [None]
        whole = (self._left, self._low, self._right, self._high)
        # Outside everything the bits are 0: on the left border, at any height.
        todo = [_Uncut(whole, edges, self._left, self._low, 0, holder, 0)]
        spent = len(edges)
        while todo:
            uncut = heapq.heappop(todo)
            enough = FEW if spent < SHARE * len(edges) else MANY
            parts = None
            if len(uncut.edges) > enough and spent < MAX_REFERENCES:
                parts = _cut(uncut, MAX_REFERENCES - spent)
            if parts is None:
                uncut.holder[uncut.slot] = _leaf(uncut)
                self.n_references += len(uncut.edges)
                self.most_edges = max(self.most_edges, len(uncut.edges))
                continue
            spent += sum(len(part.edges) for part in parts) - len(uncut.edges)
            for part in parts:
                heapq.heappush(todo, part)
        self._root = holder[0]


def marked(polygons: Sequence[Polygon]) -> list[MarkedEdge]:
    """Return the edges of polygons; one that several have, as neighbours do, is one."""
    found: dict[Edge, tuple[int, int]] = {}
    for n, polygon in enumerate(polygons):
        bit = 1 << n
        for ring in polygon:
            for edge in ring.edges():
                odd, all_of = found.get(edge, (0, 0))
                found[edge] = odd ^ bit, all_of | bit
    return [(*edge, odd, all_of, _slope(edge)) for edge, (odd, all_of) in found.items()]


def _slope(edge: Edge) -> float:
    x, y, to_x, to_y = edge
    # None for edges that are as good as level: what comes of it is in doubt, and `left_of` decides.
    return (to_x - x) / (to_y - y) if to_y - y > 1e-300 else nan


def _in_leaf(leaf: Leaf, lon: float, lat: float) -> int:
    column, heights, noted, bits, through, edges, crossing = leaf
    at = bisect_right(heights, lat)
    held = bits[at >> noted]
    if noted:
        for edge in crossing[at >> noted << noted : at]:
            held ^= edge[4]
    if (at and lat - heights[at - 1] < IN_DOUBT) or (at < len(heights) and heights[at] - lat < IN_DOUBT):
        held = _beside(leaf, lat)
    west, east = (lon, column) if lon < column else (column, lon)
    outside_west, outside_east, inside_west, inside_east = (
        west - IN_DOUBT, east + IN_DOUBT, west + IN_DOUBT, east - IN_DOUBT,
    )  # fmt: skip
    # Where edges cross each other all over, nearly all of them are these: no more is done for one than must be.
    turned, touched = _crossed_through(through, lon, lat, column) if through[2] else (0, 0)
    held ^= turned
    for x, y, to_x, to_y, bit, all_of, slope in edges:
        if y <= lat < to_y:
            at_x = x + (lat - y) * slope
            if at_x < outside_west or at_x > outside_east:
                continue
            if inside_west < at_x < inside_east:
                held ^= bit
                continue
            side = left_of((x, y, to_x, to_y), lon, lat)
            if side == 0:
                touched |= all_of
            if (side > 0) != (left_of((x, y, to_x, to_y), column, lat) > 0):
                held ^= bit
        # The upper end belongs to the next edge, or corners would count twice; but it is touched.
        elif lat == to_y and (lon == to_x or (y == to_y and (x <= lon <= to_x or to_x <= lon <= x))):
            touched |= all_of
    return held | touched


def _crossed_through(through: _Through, lon: float, lat: float, column: float) -> tuple[int, int]:
    """Return the bits that turn between a column and a point, and those of edges that the point is on."""
    west, east = (lon, column) if lon < column else (column, lon)
    outside_west, outside_east, inside_west, inside_east = (
        west - IN_DOUBT, east + IN_DOUBT, west + IN_DOUBT, east - IN_DOUBT,
    )  # fmt: skip
    froms, slopes, edges = through
    turned = touched = 0
    for n, at_x in enumerate([from_x + lat * slope for from_x, slope in zip(froms, slopes, strict=True)]):
        if outside_west <= at_x <= outside_east:
            x, y, to_x, to_y, bit, all_of, _ = edges[n]
            if inside_west < at_x < inside_east:
                turned ^= bit
                continue
            side = left_of((x, y, to_x, to_y), lon, lat)
            if side == 0:
                touched |= all_of
            if (side > 0) != (left_of((x, y, to_x, to_y), column, lat) > 0):
                turned ^= bit
    return turned, touched


def _beside(leaf: Leaf, lat: float) -> int:
    """Return the bits on the column where an edge crosses it hardly above or below."""
    column, heights, noted, bits, _, _, crossing = leaf
    first, last = bisect_left(heights, lat - 2 * IN_DOUBT), bisect_right(heights, lat + 2 * IN_DOUBT)
    held = bits[first >> noted]
    for edge in crossing[first >> noted << noted : first]:
        held ^= edge[4]
    for x, y, to_x, to_y, bit, *_ in crossing[first:last]:
        # A point as high as a corner counts as a little higher, as for the edges that are asked.
        if lat >= y if y == to_y else (left_of((x, y, to_x, to_y), column, lat) > 0) == (to_x > x):
            held ^= bit
    return held


class _Uncut:
    """A cell with edges, before it is known what becomes of it; `held` are the bits at (x, y), somewhere inside."""

    __slots__ = ("box", "edges", "held", "holder", "slot", "weight", "x", "y")

    def __init__(
        self, box: Box, edges: list[MarkedEdge], x: float, y: float, held: int, holder: list[object], slot: int
    ) -> None:
        self.box = box
        self.edges = edges
        self.x = x
        self.y = y
        self.held = held
        self.holder = holder
        self.slot = slot
        # Of two as full the larger one first: in a corner where a thousand edges meet, few points ever are.
        self.weight: float = len(edges) * ((box[2] - box[0]) * (box[3] - box[1])) ** 0.125

    def __lt__(self, other: _Uncut) -> bool:
        return self.weight > other.weight


def _leaf(uncut: _Uncut) -> Leaf:
    heights, crossing, bits = _crossed(uncut)
    noted = 0 if len(heights) < 1 << _NOTED else _NOTED
    low, high = uncut.box[1] - 10 * _MARGIN, uncut.box[3] + 10 * _MARGIN
    lines: list[MarkedEdge] = []
    others: list[MarkedEdge] = []
    for edge in uncut.edges:
        (lines if edge[1] < low and edge[3] > high and -_STEEP < edge[6] < _STEEP else others).append(edge)
    through = (
        array("d", [edge[0] - edge[1] * edge[6] for edge in lines]),
        array("d", [edge[6] for edge in lines]),
        lines,
    )
    return uncut.x, array("d", heights), noted, bits[:: 1 << noted], through, others, crossing


def _crossed(uncut: _Uncut) -> tuple[list[float], list[MarkedEdge], list[int]]:
    """Return heights and edges where edges cross a cell's column, and the bits below, between and above those."""
    column = uncut.x
    crossed = sorted(
        ((_height(edge, column), edge) for edge in uncut.edges if (edge[0] < column) != (edge[2] < column)),
        key=lambda pair: pair[0],
    )
    heights = [height for height, _ in crossed]
    return (
        heights,
        [edge for _, edge in crossed],
        _bits_along([edge[4] for _, edge in crossed], bisect_right(heights, uncut.y), uncut.held),
    )


def _height(edge: MarkedEdge, x: float) -> float:
    return edge[1] + (x - edge[0]) * (edge[3] - edge[1]) / (edge[2] - edge[0])


def _cut(uncut: _Uncut, spare: int) -> list[_Uncut] | None:
    """Put a node in a cell's place, and return those of its cells that have edges; None if it cannot be cut.

    They hold some `spare` edges more than it at the most.
    """
    n_columns, n_rows = _form(uncut, spare)
    if n_columns * n_rows < 2:
        return None
    # Where corners stand in step with the cells' columns, they do not with a few more of them.
    for more in range(3):
        parts = _cut_into(uncut, n_columns + more, n_rows + more)
        if parts is not None:
            return parts
    return None


def _cut_into(uncut: _Uncut, n_columns: int, n_rows: int) -> list[_Uncut] | None:
    x0, y0, x1, y1 = uncut.box
    # A trifle wider than they are, so that no rounding leads beyond the last one.
    a_degree, rows_a_degree = n_columns / (x1 - x0) * (1 - 1e-9), n_rows / (y1 - y0) * (1 - 1e-9)
    width, height = 1 / a_degree, 1 / rows_a_degree
    cells: list[object] = [0] * (n_columns * n_rows)
    inside = rasterised(uncut.edges, (x0, y0), (a_degree, rows_a_degree), (n_columns, n_rows))
    heights, _, bits = _crossed(uncut)
    parts = []
    for row in range(n_rows):
        low = y0 + row * height
        mine = inside[row * n_columns : (row + 1) * n_columns]
        in_row = list({id(edge): edge for cell in mine for edge in cell}.values())
        line = _line(in_row, low, height, uncut.x, heights)
        if line is None:
            return None
        y, ways, crossing = line
        along = _bits_along(crossing, bisect_right(ways, uncut.x), bits[bisect_right(heights, y)])
        for at, edges in enumerate(mine):
            left = x0 + at * width
            slot = row * n_columns + at
            if not edges:
                cells[slot] = along[bisect_right(ways, left + width / 2)]
                continue
            x = _column(edges, left, width, y, ways)
            if x is None:
                return None
            box = (left, low, left + width, low + height)
            parts.append(_Uncut(box, edges, x, y, along[bisect_right(ways, x)], cells, slot))
    uncut.holder[uncut.slot] = [x0, y0, a_degree, rows_a_degree, n_columns, cells]
    return parts


def _form(uncut: _Uncut, spare: int) -> tuple[int, int]:
    """Return into how many columns and rows to cut a cell: many across the way that its edges run."""
    x0, y0, x1, y1 = uncut.box
    width, height = x1 - x0, y1 - y0
    across = sum(min(width, abs(edge[2] - edge[0])) for edge in uncut.edges) / width + 1e-9
    upwards = sum(min(height, edge[3] - edge[1]) for edge in uncut.edges) / height + 1e-9
    # So many columns and rows, in the best proportion, add 2 * sqrt(cells * across * upwards) edges in cells.
    wanted = min(max(4.0, len(uncut.edges) / 3), max(2.0, spare * spare / (4 * across * upwards)))
    n_columns = min(_MAX_CUTS, max(1, ceil(sqrt(wanted * upwards / across))), int(width / _LEAST_DEGREES) or 1)
    n_rows = min(_MAX_CUTS, max(1, ceil(wanted / n_columns)), int(height / _LEAST_DEGREES) or 1)
    return n_columns, n_rows


def rasterised(
    edges: Sequence[MarkedEdge], corner: tuple[float, float], a_degree: tuple[float, float], size: tuple[int, int]
) -> list[list[MarkedEdge]]:
    """Return the edges that each cell of a grid may have, row by row; none that touches a cell is missing in it.

    Args:
        edges: upwards.
        corner: the lower left one of the grid, in degrees.
        a_degree: how many cells there are to a degree, in x and y.
        size: how many columns and rows there are; what lies beyond counts for the outermost.
    """
    (x0, y0), (columns_a_degree, rows_a_degree), (n_columns, n_rows) = corner, a_degree, size
    cells: list[list[MarkedEdge]] = [[] for _ in range(n_columns * n_rows)]
    last_column, last_row = n_columns - 1, n_rows - 1
    for edge in edges:
        x, y, to_x, to_y, *_ = edge
        first = min(last_row, max(0, int((y - _MARGIN - y0) * rows_a_degree)))
        last = min(last_row, max(0, int((to_y + _MARGIN - y0) * rows_a_degree)))
        # One that is hardly higher than the margin is in all of its rows as long as it is.
        slope = (to_x - x) / (to_y - y) if to_y - y > 10 * _MARGIN else None
        for row in range(first, last + 1):
            from_x, till_x = x, to_x
            if slope is not None and row > first:
                from_x = x + (y0 + row / rows_a_degree - _MARGIN - y) * slope
            if slope is not None and row < last:
                till_x = x + (y0 + (row + 1) / rows_a_degree + _MARGIN - y) * slope
            if from_x > till_x:
                from_x, till_x = till_x, from_x
            at = min(last_column, max(0, int((from_x - _MARGIN - x0) * columns_a_degree)))
            till = min(last_column, max(0, int((till_x + _MARGIN - x0) * columns_a_degree)))
            for column in range(at, till + 1):
                cells[row * n_columns + column].append(edge)
    return cells


def _line(
    edges: Sequence[MarkedEdge], low: float, height: float, column: float, heights: Sequence[float]
) -> tuple[float, list[float], list[int]] | None:
    """Find a height in a row that no corner is near; return it, where edges cross it, and their bits, left to right."""
    ends = sorted(y for edge in edges for y in (edge[1], edge[3]))
    for share in _SHARES:
        y = low + share * height
        if _is_near(ends, y) or _is_near(heights, y):
            continue
        crossings = sorted(
            (edge[0] + (y - edge[1]) * (edge[2] - edge[0]) / (edge[3] - edge[1]), edge[4])
            for edge in edges
            if edge[1] <= y < edge[3]
        )
        ways = [x for x, _ in crossings]
        if not _is_near(ways, column):
            return y, ways, [bit for _, bit in crossings]
    return None


def _column(edges: Sequence[MarkedEdge], left: float, width: float, y: float, ways: Sequence[float]) -> float | None:
    """Find a column in a cell that no corner is near, and that crosses height `y` far from every edge."""
    for share in _SHARES:
        x = left + share * width
        if _is_near(ways, x):
            continue
        for edge in edges:
            from_x, to_x = edge[0], edge[2]
            if abs(from_x - x) < 2 * IN_DOUBT or abs(to_x - x) < 2 * IN_DOUBT:
                break
            if (from_x < x) != (to_x < x) and abs(_height(edge, x) - y) < 2 * IN_DOUBT:
                break
        else:
            return x
    return None


def _is_near(ascending: Sequence[float], value: float) -> bool:
    at = bisect_left(ascending, value - 2 * IN_DOUBT)
    return at < len(ascending) and ascending[at] < value + 2 * IN_DOUBT


def _bits_along(crossing: Sequence[int], here: int, held: int) -> list[int]:
    """Return the bits before, between and behind edges with these bits, given those behind the first `here`."""
    bits = [held] * (len(crossing) + 1)
    for at in range(here, len(crossing)):
        bits[at + 1] = bits[at] ^ crossing[at]
    for at in range(here, 0, -1):
        bits[at - 1] = bits[at] ^ crossing[at - 1]
    return bits
