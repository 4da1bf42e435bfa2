"""Known ways to ruin a held-out photograph, its truth kept aligned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from landmarks.arrays import Pixels
from training.data import hash_fraction

TURNS_DEG = tuple(range(15, 360, 15))

PLAIN = "plain"
DAMAGES = ("grey", "gamma 0.4", "gamma 2.2", "JPEG 15", "tilt 30")
HARD = ("backlit", "phone", "night")
TURNS = tuple(f"turn {degrees}" for degrees in TURNS_DEG)

CONDITIONS = (PLAIN, *DAMAGES, *HARD, *TURNS)
GROUPS = {"all": (PLAIN, *DAMAGES), "hard": HARD, "turns": (PLAIN, *TURNS)}
"""Names that stand for several conditions."""


@dataclass(frozen=True)
class Photograph:
    """A held-out photograph with its truth at full size.

    `weight` is 0 where the truth does not say, `sure` also where it is known to be wrong.
    """

    name: str
    image: Pixels
    face: Pixels
    weight: Pixels
    sure: Pixels
    traits: tuple[str, ...] = ()


def ruin(photograph: Photograph, condition: str) -> Photograph:
    """Return the photograph under one of `CONDITIONS`; the same one gives the same pixels every time.

    ``tilt`` (counter-clockwise) and ``turn`` (clockwise) turn the truth too, in a frame so large that nothing
    is cut. What the phone hides is not face.
    """
    kind, _, amount = condition.partition(" ")
    if kind in ("tilt", "turn"):
        return _turned(photograph, float(amount) * (1 if kind == "tilt" else -1))
    if kind == "phone":
        return _behind_a_phone(photograph)
    image = photograph.image
    if kind == "grey":
        image = _uint8(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    elif kind == "gamma":
        ramp = np.linspace(0, 1, 256) ** float(amount)
        image = _uint8(cv2.LUT(image, (ramp * 255).round().astype(np.uint8)))
    elif kind == "JPEG":
        _, coded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(amount)])
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)
    elif kind in LIGHTS:
        image = LIGHTS[kind](photograph)
    return replace(photograph, image=image)


def _uint8(array: cv2.typing.MatLike) -> Pixels:
    return np.asarray(array, np.uint8)


def _turned(photograph: Photograph, degrees: float) -> Photograph:
    """Turned counter-clockwise; by quarters exactly."""
    truth = (photograph.face, photograph.weight, photograph.sure)
    if degrees % 90 == 0:
        image, *planes = (
            np.ascontiguousarray(np.rot90(plane, round(degrees / 90))) for plane in (photograph.image, *truth)
        )
        return Photograph(photograph.name, image, planes[0], planes[1], planes[2], photograph.traits)
    height, width = photograph.face.shape
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size_wh = (int(width * cos + height * sin), int(width * sin + height * cos))
    matrix[:, 2] += np.array([size_wh[0] - width, size_wh[1] - height]) / 2
    image = _uint8(cv2.warpAffine(photograph.image, matrix, size_wh, flags=cv2.INTER_CUBIC))
    face, weight, sure = (
        _uint8(cv2.warpAffine(plane, matrix, size_wh, flags=cv2.INTER_NEAREST, borderValue=fill))
        for plane, fill in zip(truth, (0, 255, 255), strict=True)
    )
    return Photograph(photograph.name, image, face, weight, sure, photograph.traits)


def _dice(photograph: Photograph) -> np.random.Generator:
    return np.random.default_rng(int(hash_fraction(photograph.name) * 2**32))


def _noisy(light: np.typing.NDArray[np.float64], sigma: float, rng: np.random.Generator) -> Pixels:
    """Light 0-255 with the noise of a sensor: more of it where there is more light, some everywhere."""
    grain = rng.normal(0, 1, light.shape) * np.sqrt(sigma**2 + sigma * np.maximum(light, 0) / 8)
    return np.clip(light + grain, 0, 255).round().astype(np.uint8)


def _backlit(photograph: Photograph) -> Pixels:
    """A window behind the head: all around it burnt out, the face in its own shadow under a veil of light."""
    rng = _dice(photograph)
    side = math.sqrt(max(int((photograph.face > 127).sum()), 1))
    reach = round(0.3 * side) | 1
    head = cv2.dilate(photograph.face, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    shadow = cv2.GaussianBlur(head.astype(np.float64) / 255, (0, 0), 0.12 * side)[:, :, None]
    image = photograph.image.astype(np.float64)
    light = shadow * image * rng.uniform(0.16, 0.3) + (1 - shadow) * (image * 1.4 + 110)
    veil = cv2.GaussianBlur(1 - shadow[:, :, 0], (0, 0), 0.5 * side)[:, :, None] * rng.uniform(15, 45)
    return _noisy(light + veil, 3.0, rng)


def _night(photograph: Photograph) -> Pixels:
    """A dark street: little light of one colour, and the noise of a sensor that was turned up."""
    rng = _dice(photograph)
    colour = np.array([(1.25, 0.95, 0.55), (0.65, 0.9, 1.35), (1.1, 0.75, 1.15)][int(rng.integers(3))])
    soft = cv2.GaussianBlur(photograph.image, (0, 0), 0.8).astype(np.float64) / 255
    light = 255 * soft ** rng.uniform(1.2, 1.6) * rng.uniform(0.22, 0.38) * colour
    return _noisy(light, rng.uniform(6, 11), rng)


LIGHTS: dict[str, Callable[[Photograph], Pixels]] = {"backlit": _backlit, "night": _night}


def _behind_a_phone(photograph: Photograph) -> Photograph:
    """A telephone held before the lower half of the face or before one cheek."""
    rng = _dice(photograph)
    rows, columns = np.nonzero(photograph.face > 127)
    if not len(rows):
        return photograph
    x, y = float(columns.mean()), float(rows.mean())
    width, height = float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1
    aside = float(rng.choice([-1.0, 0.0, 1.0]))
    centre = (x + aside * width * rng.uniform(0.3, 0.45), y + height * rng.uniform(0.15, 0.35))
    size = (width * rng.uniform(0.42, 0.6), width * rng.uniform(0.85, 1.15))
    corners = cv2.boxPoints((centre, size, rng.normal(0, 20)))
    scale = 16
    phone = np.zeros_like(photograph.face)
    cv2.fillPoly(phone, [np.rint(corners * scale).astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    tone = np.array(rng.choice([[18, 18, 22], [60, 62, 66], [190, 190, 195], [120, 35, 40]]), np.float64)
    grid = np.linspace(0.75, 1.25, photograph.face.shape[0])[:, None, None]
    share = phone[:, :, None] / 255
    image = photograph.image * (1 - share) + np.clip(tone * grid, 0, 255) * share
    lens = (np.rint((corners[1] * 0.8 + corners[3] * 0.2) * scale)).astype(np.int32)
    picture = np.ascontiguousarray(image.round().astype(np.uint8))
    cv2.circle(
        picture, (int(lens[0]), int(lens[1])), round(0.05 * width * scale), (5, 5, 8), -1, cv2.LINE_AA, 4
    )
    hidden = phone > 127
    certain = [np.where(hidden, np.uint8(255), plane) for plane in (photograph.weight, photograph.sure)]
    face = np.where(hidden, np.uint8(0), photograph.face)
    return replace(photograph, image=picture, face=face, weight=certain[0], sure=certain[1])
