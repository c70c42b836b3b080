"""Pictures made by hand: rectangles, discs and letters on planes of luma and colour (YUV 4:2:0), for an encoder."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

GLYPHS = {
    "A": "01110 10001 10001 11111 10001 10001 10001", "B": "11110 10001 11110 10001 10001 10001 11110",
    "C": "01111 10000 10000 10000 10000 10000 01111", "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111", "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01111 10000 10000 10011 10001 10001 01111", "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "11111 00100 00100 00100 00100 00100 11111", "J": "00111 00010 00010 00010 00010 10010 01100",
    "K": "10001 10010 10100 11000 10100 10010 10001", "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001", "N": "10001 11001 11001 10101 10011 10011 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110", "P": "11110 10001 10001 11110 10000 10000 10000",
    "Q": "01110 10001 10001 10001 10101 10010 01101", "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110", "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110", "V": "10001 10001 10001 10001 10001 01010 00100",
    "W": "10001 10001 10001 10101 10101 11011 10001", "X": "10001 01010 00100 00100 00100 01010 10001",
    "Y": "10001 10001 01010 00100 00100 00100 00100", "Z": "11111 00001 00010 00100 01000 10000 11111",
    "0": "01110 10001 10011 10101 11001 10001 01110", "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111", "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "10010 10010 10010 11111 00010 00010 00010", "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "01110 10000 11110 10001 10001 10001 01110", "7": "11111 00001 00010 00100 00100 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110", "9": "01110 10001 10001 01111 00001 00001 01110",
    ":": "00000 00100 00100 00000 00100 00100 00000", "-": "00000 00000 00000 01110 00000 00000 00000",
    "!": "00100 00100 00100 00100 00100 00000 00100", "?": "01110 10001 00010 00100 00100 00000 00100",
    ".": "00000 00000 00000 00000 00000 01100 01100", " ": "00000 00000 00000 00000 00000 00000 00000",
}  # fmt: skip
GLYPH_WIDTH, GLYPH_HEIGHT = 6, 7


class Colour(NamedTuple):
    """A colour as encoders know it: luma 16 to 235, two differences 16 to 240 (ITU-R BT.601)."""

    y: int
    u: int
    v: int


def colour(rgb: str) -> Colour:
    """Return the colour of six hexadecimal digits."""
    red, green, blue = (int(rgb[at : at + 2], 16) / 255 for at in (0, 2, 4))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return Colour(
        round(16 + 219 * luma), round(128 + 224 * (blue - luma) / 1.772), round(128 + 224 * (red - luma) / 1.402)
    )


@lru_cache(maxsize=64)
def _spans(radius: int) -> tuple[tuple[int, int], ...]:
    """Return the rows of a disc: how far each lies below its middle, and half of its width."""
    reach = radius + 0.4
    return tuple((row, int((reach * reach - row * row) ** 0.5)) for row in range(-radius, radius + 1))


@lru_cache(maxsize=1024)
def _runs(text: str, scale: int) -> tuple[tuple[int, int, int], ...]:
    """Return the rectangles of a text, `scale` high each: left, top, width."""
    runs: list[tuple[int, int, int]] = []
    for at, letter in enumerate(text):
        for row, bits in enumerate(GLYPHS[letter].split()):
            left = 0
            while (left := bits.find("1", left)) >= 0:
                right = bits.find("0", left)
                right = len(bits) if right < 0 else right
                runs.append(((at * GLYPH_WIDTH + left) * scale, row * scale, (right - left) * scale))
                left = right
    return tuple(runs)


_Rows = tuple[tuple[int, int, bytes], ...]


class Sprite(NamedTuple):
    """A small disc drawn once, to be stamped often: the rows of each plane, and how far they lie from its middle."""

    radius: int
    y: _Rows
    u: _Rows
    v: _Rows


class Canvas:
    """A picture to draw on. What lies outside is left out.

    Args:
        width: in pixels, even.
        height: in pixels, even.
        ground: what fills it.
    """

    def __init__(self, width: int, height: int, ground: Colour) -> None:
        self.width, self.height = width, height
        quarter = width * height // 4
        self.y = bytearray([ground.y]) * (width * height)
        self.u = bytearray([ground.u]) * quarter
        self.v = bytearray([ground.v]) * quarter

    def copy(self) -> Canvas:
        """Return another one that shows the same."""
        other = Canvas.__new__(Canvas)
        other.width, other.height = self.width, self.height
        other.y, other.u, other.v = self.y[:], self.u[:], self.v[:]
        return other

    def rectangle(self, x: int, y: int, width: int, height: int, fill: Colour) -> None:
        """Fill a rectangle, in pixels from the top left corner."""
        left, right = max(0, x), min(self.width, x + width)
        top, bottom = max(0, y), min(self.height, y + height)
        if left < right and top < bottom:
            self._fill(self.y, self.width, (left, right, top, bottom), fill.y)
            half = (left // 2, (right + 1) // 2, top // 2, (bottom + 1) // 2)
            self._fill(self.u, self.width // 2, half, fill.u)
            self._fill(self.v, self.width // 2, half, fill.v)

    def disc(self, x: int, y: int, radius: int, fill: Colour) -> None:
        """Fill a disc around a point."""
        for row, half in _spans(radius):
            self._row(self.y, self.width, self.height, x, y + row, half, fill.y)
        for row, half in _spans(radius // 2):
            for plane, value in ((self.u, fill.u), (self.v, fill.v)):
                self._row(plane, self.width // 2, self.height // 2, x // 2, y // 2 + row, half, value)

    def ring(self, x: int, y: int, radius: int, thick: int, line: Colour) -> None:
        """Draw a circle, in luma alone: lines are white."""
        inner = dict(_spans(radius - thick))
        for row, half in _spans(radius):
            gap = inner.get(row)
            if gap is None:
                self._row(self.y, self.width, self.height, x, y + row, half, line.y)
            else:
                for left in (x - half, x + gap):
                    self._row(
                        self.y, self.width, self.height, left + (half - gap) // 2, y + row, (half - gap) // 2, line.y
                    )

    def text(self, text: str, x: int, y: int, scale: int, ink: Colour) -> None:
        """Write capitals, digits and a little more. Small print has the hue of what it is on: colour is coarser."""
        for left, top, width in _runs(text, scale):
            box = (
                max(0, x + left),
                min(self.width, x + left + width),
                max(0, y + top),
                min(self.height, y + top + scale),
            )
            if box[0] < box[1]:
                self._fill(self.y, self.width, box, ink.y)
                if scale >= 4:
                    half = (box[0] // 2, (box[1] + 1) // 2, box[2] // 2, (box[3] + 1) // 2)
                    self._fill(self.u, self.width // 2, half, ink.u)
                    self._fill(self.v, self.width // 2, half, ink.v)

    def stamp(self, sprite: Sprite, x: int, y: int) -> None:
        """Put a sprite around a point; one that does not lie inside altogether is left out."""
        radius = sprite.radius
        if not (radius < x < self.width - radius - 1 and radius < y < self.height - radius - 1):
            return
        middle = y * self.width + x
        for down, right, piece in sprite.y:
            at = middle + down * self.width + right
            self.y[at : at + len(piece)] = piece
        stride = self.width // 2
        middle = y // 2 * stride + x // 2
        for plane, rows in ((self.u, sprite.u), (self.v, sprite.v)):
            for down, right, piece in rows:
                at = middle + down * stride + right
                plane[at : at + len(piece)] = piece

    def paste(self, piece: Canvas, x: int, y: int) -> None:
        """Put another picture on this one, inside it, at an even place."""
        planes = ((piece.y, self.y, 1), (piece.u, self.u, 2), (piece.v, self.v, 2))
        for source, target, step in planes:
            width, stride = piece.width // step, self.width // step
            for row in range(piece.height // step):
                at = (y // step + row) * stride + x // step
                target[at : at + width] = source[row * width : (row + 1) * width]

    @staticmethod
    def _fill(plane: bytearray, stride: int, box: tuple[int, int, int, int], value: int) -> None:
        left, right, top, bottom = box
        piece = bytes([value]) * (right - left)
        for row in range(top, bottom):
            plane[row * stride + left : row * stride + right] = piece

    @staticmethod
    def _row(plane: bytearray, stride: int, height: int, x: int, y: int, half: int, value: int) -> None:
        left, right = max(0, x - half), min(stride, x + half + 1)
        if 0 <= y < height and left < right:
            plane[y * stride + left : y * stride + right] = bytes([value]) * (right - left)


def width_of(text: str, scale: int) -> int:
    """Return how wide a text is, in pixels."""
    return (len(text) * GLYPH_WIDTH - 1) * scale


def sprite(radius: int, fill: Colour, rim: Colour, text: str = "") -> Sprite:
    """Return a disc with a rim of two pixels, and a word in the rim's colour in its middle."""
    size = 2 * (radius + 2)
    canvas = Canvas(size, size, rim)
    canvas.disc(size // 2, size // 2, radius - 2, fill)
    if text:
        canvas.text(text, size // 2 - width_of(text, 1) // 2, size // 2 - GLYPH_HEIGHT // 2, 1, rim)

    def rows(plane: bytearray, stride: int, reach: int) -> _Rows:
        middle = stride // 2
        cut = []
        for down, half in _spans(reach):
            at = (middle + down) * stride + middle - half
            cut.append((down, -half, bytes(plane[at : at + 2 * half + 1])))
        return tuple(cut)

    half = radius // 2
    return Sprite(
        radius, rows(canvas.y, size, radius), rows(canvas.u, size // 2, half), rows(canvas.v, size // 2, half)
    )
