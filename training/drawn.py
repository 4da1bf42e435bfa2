"""Drawn things before faces: telephones, cups and food at the mouth, hats, veils about the eyes."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from landmarks.arrays import Float32Array, Pixels
from training.cutouts import OccluderBank
from training.layers import Crop, composite, face_extent, place

CANVAS_PX = 160
"""Side of the canvas that telephones, cups and food are drawn on."""

HELD_SHARE = 0.4
"""Of them, so many are held by a hand."""


def phone_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A telephone anywhere before the face, of any colour, from the back or the front, often held."""
    extent = face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    spot = coordinates[rng.integers(len(coordinates))] + rng.normal(0, 0.12, 2) * size
    length = size * rng.uniform(0.5, 1.5)
    angle = rng.normal(0, 0.45) + (math.pi / 2 if rng.random() < 0.15 else 0.0)
    layer = place(_phone(bank, rng), (float(spot[0]), float(spot[1])), length, angle, crop)
    return _held(layer, spot, length, crop, bank, rng)


def food_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A cup, a fruit or something with layers, as a burger, at the mouth, often held."""
    extent = face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    mouth = (
        coordinates.mean(0) + np.array([0, 0.35]) * size
        if crop.points is None
        else crop.points[48:68].mean(0)
    )
    spot = mouth + rng.normal(0, 0.15, 2) * size + [0, rng.uniform(-0.1, 0.25) * size]
    length = size * rng.uniform(0.3, 1.0)
    thing = _cup(bank, rng) if rng.random() < 0.45 else _round_thing(rng)
    layer = place(thing, (float(spot[0]), float(spot[1])), length, rng.normal(0, 0.35), crop)
    return _held(layer, spot, length, crop, bank, rng)


def veil_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A veil over head and face that leaves the eyes free, or all from the brows to the hairline."""
    points = crop.points
    extent = face_extent(crop)
    if points is None or extent is None:
        return None
    _, size = extent
    eyes = points[36:48].mean(0)
    across = points[45] - points[36]
    span = float(np.linalg.norm(across))
    if span < 8:
        return None
    along = across / span
    down = np.array([-along[1], along[0]])
    if down @ (points[8] - eyes) < 0:
        down = -down
    shape_hw = (crop.face.shape[0], crop.face.shape[1])
    cloth = np.zeros(shape_hw, np.uint8)
    angle = math.degrees(math.atan2(float(along[1]), float(along[0])))
    head = eyes + down * size * rng.uniform(0.0, 0.35)
    breadth = (size * rng.uniform(1.25, 1.9), size * rng.uniform(1.7, 2.5))
    cv2.ellipse(cloth, ((float(head[0]), float(head[1])), breadth, angle), (255,), -1, cv2.LINE_AA)
    chest = eyes + down * size * 1.6
    cv2.ellipse(cloth, ((float(chest[0]), float(chest[1])), (1.8 * size, 2.0 * size), angle), (255,), -1,
                cv2.LINE_AA)  # fmt: skip
    half = span * rng.uniform(0.6, 0.85)
    top = span * (rng.uniform(0.15, 0.5) if rng.random() < 0.75 else rng.uniform(0.6, 1.2))
    low = span * rng.uniform(0.12, 0.45)
    shares = np.linspace(-1, 1, 13)
    bow = 1 - rng.uniform(0.2, 0.8) * shares**2
    sag = bow + rng.uniform(0, 0.8) * (1 - np.abs(shares))
    upper = eyes + shares[:, None] * half * along - (top * bow)[:, None] * down
    lower = eyes + shares[:, None] * half * along + (low * sag)[:, None] * down
    slit = np.concatenate([upper, lower[::-1]]) + rng.normal(0, 0.012 * span, (26, 2))
    cv2.fillPoly(cloth, [np.rint(slit * 16).astype(np.int32)], (0,), cv2.LINE_AA, shift=4)
    return np.dstack([_cloth(shape_hw, bank, rng), cloth])


def add_hat(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Crop:
    """Put a hat or cap on the head, its edge anywhere from the eyes to the hairline, with its shadow."""
    points = crop.points
    if points is None:
        return crop
    across, down = points[16] - points[0], points[8] - points[27]
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if width < 12 or height < 12:
        return crop
    along, down = across / width, down / height
    middle = (points[0] + points[16]) / 2 + along * rng.normal(0, 0.05) * width
    brows = points[17:27].mean(0)
    rise = float((middle - brows) @ down) + height * rng.uniform(-0.08, 0.45)
    half, reach = width * rng.uniform(0.5, 0.6), width * rng.uniform(0.6, 1.15)
    curve = rng.uniform(-0.12, 0.22) * height
    shares = np.linspace(-1, 1, 17)

    def line(spread: float, lift: float, bend: float) -> Float32Array:
        """Return points along a curve across the head, lifted above the eyes and bent up in the middle."""
        lifted = lift + bend * (1 - shares**2)
        return np.asarray(middle + shares[:, None] * spread * along - lifted[:, None] * down, np.float32)

    crown = np.concatenate(
        [
            line(half, rise, curve),
            line(half * rng.uniform(0.8, 1.05), rise, height * rng.uniform(0.5, 1.2))[::-1],
        ]
    )
    shape_hw = (crop.face.shape[0], crop.face.shape[1])
    layer = _cloth_polygon(crown, shape_hw, bank, rng)
    low = line(half, rise, curve)
    if rng.random() < 0.65:
        thick = height * rng.uniform(0.06, 0.3)
        low = line(reach, rise - thick * rng.uniform(0.0, 0.6), curve)
        brim = np.concatenate([low, line(reach, rise + thick * 0.3, curve + thick)[::-1]])
        layer = over(layer, _cloth_polygon(brim, shape_hw, bank, rng))
    if rng.random() < 0.7:
        shade = np.zeros(shape_hw, np.uint8)
        fall = height * rng.uniform(0.1, 0.7)
        below = np.concatenate([low, (low + down * fall)[::-1]])
        cv2.fillPoly(shade, [np.rint(below).astype(np.int32)], (255,))
        soft = cv2.GaussianBlur(shade, (0, 0), max(0.5, height * rng.uniform(0.01, 0.12))).astype(np.float32)
        gain = 1 - soft[:, :, None] / 255 * rng.uniform(0.2, 0.8)
        crop = Crop((crop.image * gain).astype(np.uint8), crop.face, crop.weight, crop.points)
    return composite(crop, layer)


def over(below: Pixels, above: Pixels) -> Pixels:
    """Return one RGBA layer laid over another."""
    share = above[:, :, 3:].astype(np.float32) / 255
    colour = below[:, :, :3] * (1 - share) + above[:, :, :3] * share
    alpha = np.maximum(below[:, :, 3:], above[:, :, 3:])
    return np.dstack([colour.round().astype(np.uint8), alpha])


def _held(
    layer: Pixels, spot: Float32Array, length: float, crop: Crop, bank: OccluderBank, rng: np.random.Generator
) -> Pixels:
    """Put a hand below or beside a thing on `HELD_SHARE` of them."""
    if not bank.skin or rng.random() >= HELD_SHARE:
        return layer
    angle = rng.normal(math.pi / 2, 0.9)
    away = np.array([math.cos(angle), math.sin(angle)]) * length * rng.uniform(0.4, 0.7)
    hand = bank.skin[rng.integers(len(bank.skin))]
    grip = spot + away
    turned = place(
        hand, (float(grip[0]), float(grip[1])), length * rng.uniform(0.7, 1.4), rng.normal(0, 0.8), crop
    )
    return over(layer, turned) if rng.random() < 0.6 else over(turned, layer)


def _colour(rng: np.random.Generator) -> Float32Array:
    """Draw a colour, 0..255: half of them nearly grey."""
    if rng.random() < 0.5:
        return np.asarray(rng.uniform(5, 240) + rng.normal(0, 6, 3), np.float32)
    return np.asarray(rng.uniform(5, 250, 3), np.float32)


def _pattern(shape_hw: tuple[int, int], bank: OccluderBank, rng: np.random.Generator) -> Float32Array:
    """Draw a surface (h, w, 3): a plain colour, or the middle of an object."""
    if bank.objects and rng.random() < 0.3:
        thing = bank.objects[rng.integers(len(bank.objects))]
        height, width = thing.shape[:2]
        middle = thing[height // 4 : height * 3 // 4 + 1, width // 4 : width * 3 // 4 + 1, :3]
        return np.asarray(cv2.resize(middle, (shape_hw[1], shape_hw[0])), np.float32)
    return np.broadcast_to(_colour(rng), (*shape_hw, 3)).astype(np.float32)


def _cloth(shape_hw: tuple[int, int], bank: OccluderBank, rng: np.random.Generator) -> Pixels:
    """Draw cloth (h, w, 3) with soft folds; much of it black."""
    if rng.random() < 0.6:
        surface = _pattern(shape_hw, bank, rng)
    else:
        surface = np.full((*shape_hw, 3), rng.uniform(5, 45), np.float32)
    folds = rng.normal(1, rng.uniform(0.03, 0.2), (int(rng.integers(3, 12)), int(rng.integers(3, 12))))
    shade = cv2.resize(folds.astype(np.float32), (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_CUBIC)
    return _pixels(surface * shade[:, :, None])


def _cloth_polygon(
    outline: Float32Array, shape_hw: tuple[int, int], bank: OccluderBank, rng: np.random.Generator
) -> Pixels:
    alpha = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(alpha, [np.rint(outline * 16).astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    return np.dstack([_cloth(shape_hw, bank, rng), alpha])


def _slope(height: int, width: int, rng: np.random.Generator) -> Float32Array:
    """Draw a slope of brightness about 1 in any direction, (h, w, 1)."""
    angle = rng.uniform(0, 2 * math.pi)
    xs, ys = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    return np.asarray(
        (1 + rng.uniform(0, 0.4) * (xs * math.cos(angle) + ys * math.sin(angle)))[:, :, None], np.float32
    )


def _pixels(colour: npt.NDArray[np.floating]) -> Pixels:
    """Return colours as pixels, what is too dark or bright cut off."""
    return np.ascontiguousarray(np.clip(colour, 0, 255), np.uint8)


def _phone(bank: OccluderBank, rng: np.random.Generator) -> Pixels:
    """Draw a telephone upright: a rounded slab with lenses in a corner, or with its screen."""
    height, width = CANVAS_PX, round(CANVAS_PX / rng.uniform(1.3, 2.4))
    alpha = np.zeros((height, width), np.uint8)
    radius = round(width * rng.uniform(0.0, 0.2))
    alpha[radius : height - radius, radius : width - radius] = 255
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    alpha = np.asarray(cv2.dilate(alpha, kernel), np.uint8)
    colour = _pattern((height, width), bank, rng) * _slope(height, width, rng)
    draw = rng.random()
    if draw < 0.25:
        edge = round(width * rng.uniform(0.03, 0.12))
        inside = np.s_[edge : height - edge, edge : width - edge]
        screen = _pattern((height - 2 * edge, width - 2 * edge), bank, rng)
        colour[inside] = screen * _slope(height - 2 * edge, width - 2 * edge, rng)
    picture = _pixels(colour)
    if 0.25 <= draw < 0.85:
        reach = width * rng.uniform(0.05, 0.11)
        x = width * rng.choice([0.2, 0.5, 0.8])
        tone = rng.uniform(0, 60)
        for number in range(int(rng.integers(1, 4))):
            y = height * 0.1 + number * reach * 2.6
            cv2.circle(picture, (int(x), int(y)), round(reach), (tone, tone, tone), -1, cv2.LINE_AA)
    return np.dstack([picture, alpha])


def _cup(bank: OccluderBank, rng: np.random.Generator) -> Pixels:
    """Draw a cup or glass upright: narrower below, round in its shading, often with a band and a rim."""
    height, width = CANVAS_PX, round(CANVAS_PX * rng.uniform(0.5, 1.0))
    narrow = width * rng.uniform(0.0, 0.18)
    rim = height * rng.uniform(0.02, 0.1)
    body = np.array(
        [[0, rim], [width - 1, rim], [width - 1 - narrow, height - 1 - rim], [narrow, height - 1 - rim]]
    )
    alpha = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(alpha, np.rint(body).astype(np.int32), (255,), cv2.LINE_AA)
    for y, half in ((rim, width / 2 - 0.5), (height - 1 - rim, width / 2 - 0.5 - narrow)):
        cv2.ellipse(alpha, ((width / 2 - 0.5, y), (2 * half, 2 * rim), 0.0), (255,), -1, cv2.LINE_AA)
    colour = _pattern((height, width), bank, rng)
    if rng.random() < 0.5:
        top, bottom = sorted(rng.uniform(0.1, 1.0, 2))
        colour[round(top * height) : round(bottom * height)] = _colour(rng)
    turn = np.cos(np.linspace(-1.2, 1.2, width) + rng.uniform(-0.7, 0.7))[None, :, None]
    picture = _pixels(colour * (rng.uniform(0.5, 0.8) + 0.45 * turn))
    ring = ((width / 2 - 0.5, rim), (float(width - 1), 2 * rim), 0.0)
    if rng.random() < 0.6:
        cv2.ellipse(picture, ring, tuple(float(value) for value in _colour(rng)), -1, cv2.LINE_AA)
    return np.dstack([picture, alpha])


def _round_thing(rng: np.random.Generator) -> Pixels:
    """Draw a fruit, ball or bun: an ellipse lit from one side, in one colour or in layers, with specks."""
    height, width = CANVAS_PX, round(CANVAS_PX * rng.uniform(0.7, 1.0))
    xs, ys = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    alpha = np.where(xs**2 + np.abs(ys) ** rng.uniform(1.8, 3.0) < 1, 255, 0).astype(np.uint8)
    warm = np.array([rng.uniform(120, 240), rng.uniform(30, 190), rng.uniform(10, 90)])
    colour = np.broadcast_to(warm if rng.random() < 0.6 else _colour(rng), (height, width, 3)).astype(
        np.float32
    )
    if rng.random() < 0.4:
        wave = ys + rng.uniform(0.0, 0.1) * np.sin(xs * rng.uniform(3, 14) + rng.uniform(0, 6))
        bounds = np.sort(rng.uniform(-0.5, 0.5, int(rng.integers(2, 5))))
        shades = np.stack(
            [warm, *(rng.uniform(20, 250, 3) for _ in bounds[1:]), warm * rng.uniform(0.7, 1.1)]
        )
        colour = shades[np.searchsorted(bounds, wave)].astype(np.float32)
    ball = 1 - rng.uniform(0.1, 0.5) * np.clip(xs**2 + ys**2, 0, 1)[:, :, None]
    specks = rng.normal(1, rng.uniform(0.0, 0.15), (height // 4, width // 4)).astype(np.float32)
    specks = np.asarray(cv2.resize(specks, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    lit = colour * ball * _slope(height, width, rng) * specks[:, :, None]
    return np.dstack([_pixels(lit), alpha])
