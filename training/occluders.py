"""Things in front of faces, cut out or drawn, as layers over a crop; what they cover stops being face."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from landmarks.arrays import Pixels
from training.cutouts import OccluderBank
from training.drawn import add_hat, food_layer, phone_layer, veil_layer
from training.glasses import add_clear_glasses, sunglasses_layer
from training.hair import strands_layer, wig_layer
from training.layers import Crop, affine, composite, face_extent, place, shading, warp_layer


def _match_colour(cutout: Pixels, crop: Crop, rng: np.random.Generator) -> Pixels:
    """Give a skin cut-out the mean and spread of the face's colours, roughly."""
    skin = crop.image[crop.face > 127].astype(np.float32)
    solid = cutout[:, :, 3] > 127
    if len(skin) < 50 or not solid.any():
        return cutout
    pixels = cutout[:, :, :3].astype(np.float32)
    own = pixels[solid]
    gain = np.clip(skin.std() / max(float(own.std()), 1.0), 0.5, 1.3)
    target = skin.mean(0) * rng.uniform(0.85, 1.12)
    matched = cutout.copy()
    matched[:, :, :3] = np.clip((pixels - own.mean(0)) * gain + target, 0, 255).astype(np.uint8)
    return matched


def _recolour(cutout: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    tint = rng.uniform(1.0 - strength, 1.0 + strength, 3) * rng.uniform(1.0 - strength, 1.0 + strength)
    coloured = cutout.copy()
    coloured[:, :, :3] = np.clip(cutout[:, :, :3] * tint, 0, 255).astype(np.uint8)
    return coloured


def arm_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """An arm or leg that reaches from outside the crop to a pixel of the face, or a hand lying on it."""
    extent = face_extent(crop)
    if extent is None or not bank.skin:
        return None
    coordinates, size = extent
    cutout = bank.skin[rng.integers(len(bank.skin))]
    if rng.random() < 0.6:
        cutout = _match_colour(cutout, crop, rng)
    if rng.random() < 0.5:
        cutout = cutout[:, ::-1]
    if rng.random() < 0.25:
        cutout = cutout[::-1]
    height, width = cutout.shape[:2]
    tip_x, tip_y = coordinates[rng.integers(len(coordinates))]
    angle = rng.uniform(0, 2 * math.pi) if rng.random() < 0.4 else rng.normal(math.pi / 2, 0.7)
    out_x, out_y = math.cos(angle), math.sin(angle)
    if height > 1.5 * width:
        side = max(crop.face.shape)
        length = rng.uniform(0.6, 1.1) * side
        thickness = float(np.clip(length * width / height, 0.2 * size, 0.65 * size)) * rng.uniform(0.8, 1.25)
    else:
        thickness = size * rng.uniform(0.3, 0.95)
        length = thickness * height / width
    base = (tip_x + out_x * length, tip_y + out_y * length)
    half = (-out_y * thickness / 2, out_x * thickness / 2)
    matrix = affine(
        [(width / 2, height), (width / 2, 0), (width, height)],
        [(tip_x, tip_y), base, (tip_x + half[0], tip_y + half[1])],
    )
    return warp_layer(np.ascontiguousarray(cutout), matrix, (crop.face.shape[0], crop.face.shape[1]))


def object_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A bag, shoe, scarf or hat anywhere on the face, turned and coloured at random."""
    extent = face_extent(crop)
    if extent is None or not bank.objects:
        return None
    coordinates, size = extent
    cutout = _recolour(bank.objects[rng.integers(len(bank.objects))], rng, 0.3)
    x, y = coordinates[rng.integers(len(coordinates))]
    return place(
        cutout, (float(x), float(y)), size * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * math.pi), crop
    )


def head_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """Another person's head beside the face, overlapping it a little: heads of others are not the face."""
    extent = face_extent(crop)
    if extent is None or not bank.heads:
        return None
    coordinates, size = extent
    cutout = bank.heads[rng.integers(len(bank.heads))]
    centre = coordinates.mean(0)
    angle = rng.choice([0.0, math.pi]) + rng.normal(0, 0.5)
    width = size * rng.uniform(1.2, 2.2)
    distance = size * 0.5 + width * rng.uniform(0.3, 0.7)
    spot = (float(centre[0] + math.cos(angle) * distance), float(centre[1] + math.sin(angle) * distance))
    return place(cutout, spot, width, rng.normal(0, 0.15), crop)


def _dye(cutout: Pixels, crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels:
    """Give a medical mask another cloth: a plain colour, a skin's colour, or the pattern of an object."""
    dyed = cutout.copy()
    shade = shading(cutout)
    draw = rng.random()
    if draw < 0.35 and bank.objects:
        pattern = bank.objects[rng.integers(len(bank.objects))]
        height, width = pattern.shape[:2]
        middle = pattern[height // 4 : height * 3 // 4 + 1, width // 4 : width * 3 // 4 + 1, :3]
        cloth = cv2.resize(middle, (cutout.shape[1], cutout.shape[0])).astype(np.float32)
    elif draw < 0.6 and (crop.face > 127).any():
        cloth = crop.image[crop.face > 127].mean(0) * rng.uniform(0.8, 1.3, 3)
    else:
        cloth = rng.integers(10, 256, 3).astype(np.float32)
    dyed[:, :, :3] = np.clip(shade * cloth, 0, 255).astype(np.uint8)
    return dyed


def medical_mask_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A medical mask bent over nose, cheeks and chin: each half placed by three landmarks."""
    points = crop.points
    if points is None or not bank.medical_masks:
        return None
    cutout = bank.medical_masks[rng.integers(len(bank.medical_masks))]
    draw = rng.random()
    if draw < 0.4:
        cutout = _recolour(cutout, rng, 0.5)
    elif draw < 0.8:
        cutout = _dye(cutout, crop, bank, rng)
    height, width = cutout.shape[:2]
    nose = points[28] + (points[30] - points[27]) * rng.uniform(-0.15, 0.35)
    chin = points[8] + (points[8] - points[33]) * rng.uniform(0.0, 0.2)
    jaw = int(rng.integers(1, 4))
    shape_hw = (crop.face.shape[0], crop.face.shape[1])
    layer = np.zeros((*shape_hw, 4), np.uint8)
    for side, edge in ((0, points[jaw]), (1, points[16 - jaw])):
        x = 0 if side == 0 else width // 2
        half = np.ascontiguousarray(cutout[:, x : x + width // 2 + 1])
        middle = width / 2 - x
        outer = 0.0 if side == 0 else width / 2
        matrix = affine(
            [(outer, 0.3 * height), (middle, 0.0), (middle, float(height))],
            [
                (float(edge[0]), float(edge[1])),
                (float(nose[0]), float(nose[1])),
                (float(chin[0]), float(chin[1])),
            ],
        )
        if abs(float(np.linalg.det(matrix[:, :2]))) < 1e-3:
            continue
        part = warp_layer(half, matrix, shape_hw)
        layer = np.where(part[:, :, 3:] > layer[:, :, 3:], part, layer)
    return layer


def microphone_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A microphone before mouth or chin: a dark mottled head on a handle from below."""
    extent = face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    low = coordinates[coordinates[:, 1] > np.percentile(coordinates[:, 1], 55)]
    x, y = low[rng.integers(len(low))]
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    radius = size * rng.uniform(0.1, 0.28)
    angle = rng.normal(math.pi / 2, 0.6)
    end = (x + math.cos(angle) * size * 2, y + math.sin(angle) * size * 2)
    tone = int(rng.integers(5, 90))
    cv2.line(layer, (int(x), int(y)), (int(end[0]), int(end[1])), (tone, tone, tone, 255), max(1, int(radius *
    0.9)),
             cv2.LINE_AA)  # fmt: skip
    head = int(rng.integers(10, 180))
    axes = (max(2, int(radius * rng.uniform(1, 1.5))), max(2, int(radius)))
    cv2.ellipse(
        layer, (int(x), int(y)), axes, math.degrees(angle), 0, 360, (head, head, head, 255), -1, cv2.LINE_AA
    )
    noise = rng.normal(0, rng.uniform(3, 25), layer.shape[:2])[:, :, None]
    layer[:, :, :3] = np.clip(layer[:, :, :3] + noise * (layer[:, :, 3:] > 0), 0, 255).astype(np.uint8)
    return layer


def bar_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> Pixels | None:
    """A plain bar, pole or board across the face, shaded along its length."""
    extent = face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    x, y = coordinates[rng.integers(len(coordinates))]
    angle = rng.uniform(0, math.pi)
    reach = 2.0 * max(crop.face.shape)
    along = np.array([math.cos(angle), math.sin(angle)]) * reach
    start_share = 0.0 if rng.random() < 0.5 else 1.0
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    cv2.line(layer, (int(x - along[0] * start_share), int(y - along[1] * start_share)),
             (int(x + along[0]), int(y + along[1])), (*colour, 255), max(2, int(size * rng.uniform(0.05,
             0.35))), cv2.LINE_AA)  # fmt: skip
    shade = np.linspace(rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2), layer.shape[1])[None, :, None]
    layer[:, :, :3] = np.clip(layer[:, :, :3] * shade, 0, 255).astype(np.uint8)
    return layer


LayerMaker = Callable[[Crop, OccluderBank, np.random.Generator], Pixels | None]


LAYER_MAKERS: tuple[tuple[LayerMaker, float], ...] = (
    (arm_layer, 0.20),
    (object_layer, 0.10),
    (sunglasses_layer, 0.11),
    (medical_mask_layer, 0.12),
    (microphone_layer, 0.06),
    (bar_layer, 0.03),
    (strands_layer, 0.04),
    (wig_layer, 0.10),
    (head_layer, 0.08),
    (phone_layer, 0.07),
    (food_layer, 0.06),
    (veil_layer, 0.03),
)
"""What is pasted, and how often (shares of all pastes)."""


CLEAR_GLASSES_SHARE = 0.12
"""Of all crops, so many get clear glasses, whatever else is pasted."""

HAT_SHARE = 0.08
"""Of the crops with something pasted, so many get a hat before it."""


def paste_occluders(crop: Crop, bank: OccluderBank, rng: np.random.Generator, *, share: float = 0.55) -> Crop:
    """Paste one or two occluders on a `share` of the crops, and clear glasses on a few more.

    Parameters
    ----------
    crop
        Left as it is.
    bank
        Cut-outs; kinds without any are skipped.
    rng
        Source of every choice.
    share
        Probability of at least one occluder, 0..1.
    """
    if rng.random() < CLEAR_GLASSES_SHARE:
        crop = add_clear_glasses(crop, rng)
    if rng.random() >= share:
        return crop
    if rng.random() < HAT_SHARE:
        crop = add_hat(crop, bank, rng)
    makers = [maker for maker, _ in LAYER_MAKERS]
    shares = np.array([weight for _, weight in LAYER_MAKERS])
    for _ in range(1 if rng.random() < 0.7 else 2):
        maker = makers[rng.choice(len(makers), p=shares / shares.sum())]
        layer = maker(crop, bank, rng)
        if layer is not None:
            crop = composite(crop, layer)
    return crop
