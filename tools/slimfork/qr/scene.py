"""One picture with QR codes in it: what the demo's data set is made of.

A picture is a surface, clutter, things that look like codes and are none, and zero to three codes, all seen
in perspective, under uneven light, through an imperfect lens. All chance comes from the generator passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import segno

from slimfork.qr.clutter import DISTRACTORS, background, chance, colour, ink_and_paper, scatter, words

if TYPE_CHECKING:
    from slimfork.qr.clutter import Image

    Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

SUPERSAMPLE = 2  # drawn at twice the size and averaged down, so that edges are grey as a lens makes them
CODES_PER_IMAGE = (0.15, 0.50, 0.22, 0.13)  # probability of 0, 1, 2 and 3 codes
CODE_SIDE = (0.14, 0.55)  # of the picture's side; below it a module is less than half a pixel at 160
DISTRACTOR_SIDE = (0.10, 0.45)
OVERHANG = 0.12  # of a code's side may lie beyond the picture's edge


def scene(rng: np.random.Generator, imgsz: int) -> tuple[Image, Floats]:
    """Draw one picture.

    Returns:
        The picture, (imgsz, imgsz, 3) uint8 BGR, and the boxes of its codes, (n, 4) float32: centre x,
        centre y, width, height as fractions of the side, tight around the modules, without the quiet zone.
    """
    side = imgsz * SUPERSAMPLE
    canvas = cv2.resize(background(rng, imgsz), (side, side), interpolation=cv2.INTER_LINEAR)
    scatter(rng, canvas)
    taken: list[Floats] = []
    boxes: list[Floats] = []
    count = int(rng.choice(len(CODES_PER_IMAGE), p=CODES_PER_IMAGE))
    smallest, largest = CODE_SIDE[0], CODE_SIDE[1] / max(1, count) ** 0.5  # so that all of them find room
    for _ in range(count):
        patch, modules = code(rng)
        quad = _free_quad(rng, taken, float(rng.uniform(smallest, largest)), aspect=1.0)
        if quad is not None:
            boxes.append(_paste(canvas, patch, quad * side, modules))
    for _ in range(int(rng.integers(0, 5))):
        patch = DISTRACTORS[int(rng.integers(len(DISTRACTORS)))](rng)
        aspect = patch.shape[0] / patch.shape[1]
        quad = _free_quad(rng, taken, float(rng.uniform(*DISTRACTOR_SIDE)), aspect=aspect)
        if quad is not None:
            _paste(canvas, patch, quad * side, (0.0, 1.0))
    image = _camera(rng, cv2.resize(canvas, (imgsz, imgsz), interpolation=cv2.INTER_AREA))
    return image, _centred(boxes, side)


def code(rng: np.random.Generator) -> tuple[Image, tuple[float, float]]:
    """Draw one code, flat: its picture, and from where to where its modules lie, as fractions of the side."""
    error, mask = "LMQH"[int(rng.integers(4))], int(rng.integers(8))
    symbol = segno.make(words(rng, 4, 60), error=error, mask=mask, micro=False, boost_error=False)
    modules = np.array(list(map(list, symbol.matrix)), bool)
    quiet = int(rng.integers(1, 5))
    ink, paper = ink_and_paper(rng)
    cells = np.where(np.pad(modules, quiet)[..., None], ink, paper).astype(np.uint8)
    patch = np.ascontiguousarray(cells.repeat(6, 0).repeat(6, 1))
    if chance(rng, 0.1):  # a logo in the middle, as the higher error levels allow
        centre, radius = len(patch) // 2, int(len(patch) * rng.uniform(0.07, 0.13))
        cv2.circle(patch, (centre, centre), radius, colour(rng), -1)
    margin = quiet / len(cells)
    return patch, (margin, 1 - margin)


def _free_quad(rng: np.random.Generator, taken: list[Floats], size: float, *, aspect: float) -> Floats | None:
    """Find a place that overlaps nothing in `taken`, and add it there; None when the picture is full.

    Returns:
        Corners, (4, 2), clockwise from the patch's top left, as fractions of the picture's side.
    """
    wide, high = size / max(1, aspect), size * min(1, aspect)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * (wide / 2, high / 2)
    for _ in range(20):
        angle = rng.normal(0, 0.35) if chance(rng, 0.7) else rng.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        tilt = rng.uniform(-0.16, 0.16, (4, 2)) * (wide, high) * rng.random()
        shape = (square + tilt) @ turn
        low, top = -shape.min(0) - OVERHANG * size, 1 - shape.max(0) + OVERHANG * size
        quad: Floats = (shape + rng.uniform(low, top)).astype(np.float32)
        bounds: Floats = np.concatenate([quad.min(0), quad.max(0)])
        if not any((bounds[:2] < other[2:]).all() and (bounds[2:] > other[:2]).all() for other in taken):
            taken.append(bounds)
            return quad
    return None


def _paste(canvas: Image, patch: Image, quad: Floats, span: tuple[float, float]) -> Floats:
    """Warp the patch onto the quad, in place.

    Returns:
        The bounds (left, top, right, bottom) of the patch's inner square `span`, in pixels, cut at the edge.
    """
    high, wide = patch.shape[:2]
    limit = len(canvas)
    left, top = np.clip(np.floor(quad.min(0)), 0, limit).astype(int).tolist()
    right, bottom = np.clip(np.ceil(quad.max(0)), 0, limit).astype(int).tolist()
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, (quad - (left, top)).astype(np.float32))
    place = canvas[top:bottom, left:right]
    shape = (right - left, bottom - top)
    warped = cv2.warpPerspective(patch, matrix, shape, flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(np.ones((high, wide), np.uint8), matrix, shape, flags=cv2.INTER_NEAREST)
    np.copyto(place, warped, where=inside[..., None].astype(bool))
    inner = np.array([[a * wide, b * high] for a in span for b in span], np.float32)[None]
    corners = cv2.perspectiveTransform(inner, matrix)[0] + np.array((left, top), np.float32)
    bounds: Floats = np.clip(np.concatenate([corners.min(0), corners.max(0)]), 0, limit).astype(np.float32)
    return bounds


def _camera(rng: np.random.Generator, image: Image) -> Image:
    """Light the picture unevenly, blur it and add sensor noise."""
    side = len(image)
    light = rng.uniform(0.35, 1.25, (2, 2)).astype(np.float32)  # one lamp in each corner
    seen = image.astype(np.float32) * cv2.resize(light, (side, side))[..., None]
    if chance(rng, 0.25):  # the edge of a shadow
        y, x = np.indices((side, side), np.float32) / side - rng.uniform(0.2, 0.8)
        angle = rng.uniform(0, 2 * np.pi)
        shadow = np.cos(angle) * x + np.sin(angle) * y > 0
        seen *= np.where(shadow, np.float32(rng.uniform(0.4, 0.8)), np.float32(1))[..., None]
    if chance(rng, 0.15):  # the hand shakes
        kernel = np.zeros((3, 3), np.float32)
        kernel[(1, slice(None)) if chance(rng, 0.5) else (slice(None), 1)] = 1 / 3
        seen = cv2.filter2D(seen, -1, kernel)
    seen = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.2, 1.1)))
    seen += rng.standard_normal(seen.shape, np.float32) * rng.uniform(0, 12)
    photo: Image = np.clip(seen, 0, 255).astype(np.uint8)
    return photo


def _centred(bounds: list[Floats], side: int) -> Floats:
    """Turn (left, top, right, bottom) in pixels into (centre x, centre y, width, height) in fractions."""
    corners = np.array(bounds, np.float32).reshape(-1, 2, 2) / side
    return np.concatenate([corners.mean(1), corners[:, 1] - corners[:, 0]], 1)
