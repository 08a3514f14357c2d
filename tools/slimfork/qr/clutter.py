"""What surrounds the codes in a picture: surfaces, clutter, and things that look like a code and are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Image = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    Colour = tuple[int, int, int]
    Distractor = Callable[[np.random.Generator], Image]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:/.-_?=&"
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Throw a coin that falls on True this often."""
    return rng.random() < probability


def words(rng: np.random.Generator, least: int, most: int) -> str:
    """Return random text of `least` to `most` characters."""
    return "".join(rng.choice(list(ALPHABET), size=int(rng.integers(least, most + 1))))


def colour(rng: np.random.Generator) -> Colour:
    """Return any colour, BGR; greys are as frequent as they are on real things."""
    if chance(rng, 0.4):
        grey = int(rng.integers(256))
        return grey, grey, grey
    blue, green, red = rng.integers(0, 256, 3).tolist()
    return blue, green, red


def ink_and_paper(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Return two colours that a scanner can tell apart: mostly black on white, now and then inverted."""
    ink, paper = int(rng.integers(0, 70)), int(rng.integers(170, 256))
    tint = rng.integers(-50, 51, (2, 3)) * chance(rng, 0.4)
    both = np.clip(np.array([[ink], [paper]]) + tint, 0, 255)
    if chance(rng, 0.05):
        both = both[::-1]
    (b0, g0, r0), (b1, g1, r1) = both.tolist()
    return (b0, g0, r0), (b1, g1, r1)


def background(rng: np.random.Generator, side: int) -> Image:
    """Draw a surface, (side, side, 3): smooth noise between two colours, sometimes striped or tiled."""
    field = np.zeros((side, side), np.float32)
    for octave in range(int(rng.integers(2, 5))):
        cells = rng.integers(2, 5, 2) * 2**octave
        noise = rng.random((int(cells[0]), int(cells[1])), dtype=np.float32)
        field += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    if chance(rng, 0.3):  # stripes: cloth, wood, corrugated board
        ramp = np.linspace(0, 1, side, dtype=np.float32)
        direction = rng.uniform(0, np.pi)
        phase = np.cos(direction) * ramp[None] + np.sin(direction) * ramp[:, None] + 0.1 * field
        field += rng.uniform(0.2, 0.9) * np.sin(phase * rng.uniform(15, 120))
    elif chance(rng, 0.2):  # tiles
        step = int(rng.integers(side // 12, side // 4))
        field[::step] = field[:, ::step] = field.max()
    field = (field - field.min()) / (np.ptp(field) + 1e-6)
    one, two = np.array(colour(rng), np.float32), np.array(colour(rng), np.float32)
    mixed = one + (two - one) * field[..., None] * np.float32(rng.uniform(0.2, 1))
    return np.ascontiguousarray(mixed.astype(np.uint8))


def scatter(rng: np.random.Generator, canvas: Image) -> None:
    """Draw edges, boxes, blobs, polygons and words over the canvas, in place."""
    side = len(canvas)
    kinds = ("line", "box", "blob", "polygon", "words")
    for _ in range(int(rng.integers(2, 12))):
        (x0, y0), (x1, y1) = rng.integers(0, side, (2, 2)).tolist()
        kind, thick = str(rng.choice(kinds)), int(rng.choice([-1, 1, 2, 4, 8]))
        if kind == "line":
            cv2.line(canvas, (x0, y0), (x1, y1), colour(rng), max(thick, 1), cv2.LINE_AA)
        elif kind == "box":
            cv2.rectangle(canvas, (x0, y0), (x1, y1), colour(rng), thick)
        elif kind == "blob":
            cv2.circle(canvas, (x0, y0), int(rng.integers(3, side // 5)), colour(rng), thick, cv2.LINE_AA)
        elif kind == "polygon":
            corners = rng.integers(0, side, (int(rng.integers(3, 7)), 2)).astype(np.int32)
            cv2.fillPoly(canvas, [corners], colour(rng), cv2.LINE_AA)
        else:
            _write(rng, canvas, (x0, y0), colour(rng), size=float(rng.uniform(0.4, 2)))


def _write(rng: np.random.Generator, canvas: Image, at: tuple[int, int], ink: Colour, *, size: float) -> None:
    font = int(rng.choice(FONTS))
    cv2.putText(canvas, words(rng, 3, 24), at, font, size, ink, 1 + int(size > 1), cv2.LINE_AA)


def _two_tone(rng: np.random.Generator, cells: np.ndarray, scale: int) -> Image:
    """Print cells, (h, w) of truth values, in ink on paper, `scale` pixels a cell."""
    ink, paper = ink_and_paper(rng)
    patch = np.where(np.asarray(cells, bool)[..., None], ink, paper).astype(np.uint8)
    return np.ascontiguousarray(patch.repeat(scale, 0).repeat(scale, 1))


def _checkerboard(rng: np.random.Generator) -> Image:
    rows, columns = rng.integers(4, 16, 2).tolist()
    return _two_tone(rng, np.indices((rows, columns)).sum(0) % 2, 8)


def _barcode(rng: np.random.Generator) -> Image:
    bars = rng.integers(2, size=int(rng.integers(25, 60)))
    return _two_tone(rng, np.pad(np.tile(bars, (len(bars) // 2, 1)), 2), 4)


def _data_matrix(rng: np.random.Generator) -> Image:
    """Draw random modules with a solid L and a dotted one around them: a Data Matrix to the eye."""
    cells = rng.integers(2, size=(int(rng.integers(10, 26)),) * 2)
    cells[0], cells[:, -1] = np.arange(len(cells)) % 2 == 0, np.arange(len(cells)) % 2 == 1
    cells[:, 0] = cells[-1] = True
    return _two_tone(rng, np.pad(cells, 1), 6)


def _finders(rng: np.random.Generator) -> Image:
    """Draw one finder pattern, or two side by side, on plain paper: a code has three."""
    heart = np.pad(np.ones((3, 3), bool), 1)
    finder = np.pad(np.pad(heart, 1, constant_values=True), 1)
    gap = np.zeros((len(finder), int(rng.integers(0, 9))), bool)
    return _two_tone(rng, np.concatenate([finder, gap, finder], 1) if chance(rng, 0.5) else finder, 8)


def _rings(rng: np.random.Generator) -> Image:
    y, x = np.indices((96, 96)) - 47.5
    distance = np.hypot(x, y) if chance(rng, 0.5) else np.maximum(abs(x), abs(y))
    return _two_tone(rng, np.sin(distance / rng.uniform(1.5, 4)) > 0, 1)


def _paragraph(rng: np.random.Generator) -> Image:
    ink, paper = ink_and_paper(rng)
    patch = np.full((120, 120, 3), paper, np.uint8)
    for line in range(12, 120, int(rng.integers(11, 22))):
        _write(rng, patch, (int(rng.integers(2, 12)), line), ink, size=0.4)
    return patch


def _maze(rng: np.random.Generator) -> Image:
    """Draw a labyrinth of diagonal strokes: a code's density without its square modules."""
    patch = np.zeros((96, 96), np.uint8)
    step = int(rng.integers(8, 17))
    for y in range(0, 96, step):
        for x in range(0, 96, step):
            falls = chance(rng, 0.5)
            cv2.line(patch, (x, y if falls else y + step), (x + step, y + step if falls else y), 1, 3)
    return _two_tone(rng, patch, 1)


DISTRACTORS: tuple[Distractor, ...] = (
    _checkerboard,
    _barcode,
    _data_matrix,
    _finders,
    _rings,
    _paragraph,
    _maze,
)
