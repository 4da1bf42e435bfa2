"""Pictures made of a photograph for the search (smaller, padded, turned), with the way back to its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float64Array, Pixels
from landmarks.candidates import Candidate


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """What a network sees in a view: n square boxes that turn with their faces, in pixels of the view.

    Parameters
    ----------
    centres
        (n, 2); x, y.
    sides
        (n,)
    turns
        (n,); radians, clockwise.
    scores
        (n,); 0 to 1.
    keypoints
        (n, 4, 2); as in ``Candidate``.
    """

    centres: Float64Array
    sides: Float64Array
    turns: Float64Array
    scores: Float64Array
    keypoints: Float64Array

    def chosen(self, which: npt.NDArray[np.intp] | list[int]) -> Finds:
        """Those at the indices given, in their order."""
        fields = self.centres, self.sides, self.turns, self.scores, self.keypoints
        return Finds(*(field[which] for field in fields))


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture made of a photograph.

    Coordinates are those of pixel edges: pixel 0 spans 0 to 1, so that scaling needs no half pixels.

    Parameters
    ----------
    pixels
        (h, w, 3) uint8 RGB.
    to_photo
        (2, 3) float64; takes x, y, 1 of the view to x, y of the photograph: a scale, a turn and a shift.
    """

    pixels: Pixels
    to_photo: Float64Array

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def scale(self) -> float:
        """Pixels of the photograph per pixel of the view."""
        (a, b, _), (c, d, _) = self.to_photo.tolist()
        return math.sqrt(abs(a * d - b * c))

    @property
    def angle(self) -> float:
        """Turn in the photograph of what is upright in the view, degrees clockwise."""
        return math.degrees(math.atan2(self.to_photo[1, 0], self.to_photo[0, 0]))

    def photo_points(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take (..., 2) points x, y of the view to the photograph."""
        return np.asarray(points, np.float64) @ self.to_photo[:, :2].T + self.to_photo[:, 2]

    def to_photo_candidate(self, candidate: Candidate) -> Candidate:
        """Take a candidate found in the view to the photograph."""
        (x, y), scale = self.photo_points([[candidate.x, candidate.y]])[0].tolist(), self.scale
        return replace(
            candidate,
            x=x,
            y=y,
            width=candidate.width * scale,
            height=candidate.height * scale,
            angle=(candidate.angle + self.angle + 180) % 360 - 180,
            keypoints=tuple((x, y) for x, y in self.photo_points(candidate.keypoints).tolist())
            if candidate.keypoints
            else (),
        )

    def photo_candidates(self, finds: Finds, name: str) -> list[Candidate]:
        """Take what a network found in the view to the photograph, in the order given."""
        angles = (np.degrees(finds.turns) + self.angle + 180) % 360 - 180
        return [
            Candidate(x, y, side, side, angle, score, name, tuple(map(tuple, points)))
            for (x, y), side, angle, score, points in zip(
                self.photo_points(finds.centres).tolist(),
                (finds.sides * self.scale).tolist(),
                angles.tolist(),
                finds.scores.tolist(),
                self.photo_points(finds.keypoints).tolist(),
                strict=True,
            )
        ]


def scaled_view(image: Pixels, longest_px: float) -> View:
    """The photograph with its longer side made ``longest_px`` long (at least one pixel each side).

    Made smaller by pixel area (``cv2.INTER_AREA``), larger with cubic interpolation.
    """
    height, width = image.shape[:2]
    ratio = longest_px / max(height, width)
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    if size == (width, height):
        return View(image, np.eye(2, 3))
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    pixels = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    return View(pixels, np.array([[width / size[0], 0.0, 0.0], [0.0, height / size[1], 0.0]]))


def reduced_view(image: Pixels, longest_px: float) -> View:
    """``scaled_view`` for looks of networks: made smaller by halves, then linearly, five times as fast.

    Halves by linear sampling are means of four pixels (of an odd side the last pixel counts a little less).
    """
    height, width = image.shape[:2]
    ratio = longest_px / max(height, width)
    if ratio >= 1:
        return scaled_view(image, longest_px)
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    pixels = image
    while min(pixels.shape[0] // size[1], pixels.shape[1] // size[0]) >= 2:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_LINEAR), np.uint8)
    if (pixels.shape[1], pixels.shape[0]) != size:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return View(pixels, np.array([[width / size[0], 0.0, 0.0], [0.0, height / size[1], 0.0]]))


def halved_view(view: View) -> View:
    """The view at half the size."""
    half = reduced_view(view.pixels, max(view.size_wh) / 2)
    return View(half.pixels, _chained(half.to_photo, view.to_photo))


def cut_view(view: View, left: int, top: int, right: int, bottom: int) -> View:
    """The columns ``left .. right - 1`` and rows ``top .. bottom - 1`` of a view; nothing is copied."""
    if (left, top, right, bottom) == (0, 0, *view.size_wh):
        return view
    shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
    return View(view.pixels[top:bottom, left:right], _chained(shift, view.to_photo))


def padded_view(view: View, margin_px: int, multiple_px: int = 1) -> View:
    """The view on a black canvas: a margin on all sides, and each side a multiple of ``multiple_px``."""
    width, height = view.size_wh
    canvas_wh = [-(-(side + 2 * margin_px) // multiple_px) * multiple_px for side in (width, height)]
    left, top = (canvas_wh[0] - width) // 2, (canvas_wh[1] - height) // 2
    pixels = np.zeros((canvas_wh[1], canvas_wh[0], *view.pixels.shape[2:]), np.uint8)
    pixels[top : top + height, left : left + width] = view.pixels
    return View(pixels, _chained(np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]]), view.to_photo))


def turned_view(view: View, degrees: float) -> View:
    """The view turned counter-clockwise about its centre, on a black canvas that holds all of it.

    A face that is turned clockwise by ``degrees`` in the view is upright in the result.
    """
    width, height = view.size_wh
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    size_wh = (
        math.ceil(width * abs(cos) + height * abs(sin) - 1e-6),
        math.ceil(width * abs(sin) + height * abs(cos) - 1e-6),
    )
    turn = np.array([[cos, -sin], [sin, cos]])
    shift = np.array([width / 2, height / 2]) - turn @ np.array([size_wh[0] / 2, size_wh[1] / 2])
    to_view = np.column_stack([turn, shift])
    pixels = _sample(view.pixels, to_view, size_wh)
    return View(pixels, _chained(to_view, view.to_photo))


def upright_patch(image: Pixels, candidate: Candidate, size_px: int, share: float) -> View:
    """A square of ``size_px`` around a candidate: the face upright, its box ``share`` of the side.

    What lies outside of the photograph is black.
    """
    scale = candidate.side / (size_px * share)
    turn = math.radians(candidate.angle)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shift = np.array([candidate.x, candidate.y]) - linear @ np.full(2, size_px / 2)
    to_photo = np.column_stack([linear, shift])

    reach = size_px * scale * 0.75  # from the centre past the corners
    height, width = image.shape[:2]
    x, x_max = max(math.floor(candidate.x - reach), 0), min(math.ceil(candidate.x + reach), width)
    y, y_max = max(math.floor(candidate.y - reach), 0), min(math.ceil(candidate.y + reach), height)
    if x >= x_max or y >= y_max:
        return View(np.zeros((size_px, size_px, 3), np.uint8), to_photo)
    part = image[y:y_max, x:x_max]
    # Linear sampling alone would skip pixels: first shrink to about the size that is sampled.
    source = reduced_view(part, max(part.shape[:2]) * min(1.5 / scale, 1.0))
    source_to_photo = source.to_photo + np.array([[0, 0, x], [0, 0, y]])
    photo_to_source = np.asarray(cv2.invertAffineTransform(source_to_photo), np.float64)
    to_source = _chained(to_photo, photo_to_source)
    return View(_sample(source.pixels, to_source, (size_px, size_px)), to_photo)


def _chained(first: Float64Array, second: Float64Array) -> Float64Array:
    """The map that applies one (2, 3) map after the other."""
    linear = second[:, :2] @ first
    linear[:, 2] += second[:, 2]
    return linear


def _sample(pixels: Pixels, to_source: Float64Array, size_wh: tuple[int, int]) -> Pixels:
    """Sample ``pixels`` at ``to_source`` of each pixel, linearly; black outside. Maps are for edges."""
    centres = to_source.copy()
    centres[:, 2] += to_source[:, :2] @ np.full(2, 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(pixels, centres, size_wh, flags=flags), np.uint8)
