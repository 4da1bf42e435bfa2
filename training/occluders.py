"""Things in front of faces: cut-outs and drawn ones, pasted onto a crop; what they cover stops being face.

Every paste is an RGBA layer of the crop's size. `composite` blends it in and takes its pixels from the face
mask, so that no occluder can be left marked as face.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from training.data import FloatArray, UInt8Array, read_labels, read_rgb

COVERED_ALPHA = 0.35
"""A layer this opaque hides the face: the pixel is no longer face. Thinner it counts in part."""

DARK_LENS_BRIGHTNESS = 85.0
"""Cut-outs of glasses brighter than this (median of the brightest channel) show the eyes: they are not
pasted."""


@dataclass(frozen=True)
class Crop:
    """A crop on its way to the network.

    Attributes
    ----------
    image : (h, w, 3) uint8
        RGB.
    face, weight : (h, w) uint8
        As in `training.data.Sample`.
    points : (68, 2) float32 or None
        Landmarks in the crop's pixels.
    """

    image: UInt8Array
    face: UInt8Array
    weight: UInt8Array
    points: FloatArray | None


@dataclass(frozen=True)
class OccluderBank:
    """Cut-outs (h, w, 4) uint8 RGBA in memory, by kind; a kind may be empty."""

    skin: list[UInt8Array] = field(default_factory=list)
    objects: list[UInt8Array] = field(default_factory=list)
    glasses: list[UInt8Array] = field(default_factory=list)
    medical_masks: list[UInt8Array] = field(default_factory=list)
    heads: list[UInt8Array] = field(default_factory=list)


def read_rgba(path: Path) -> UInt8Array:
    """Read a cut-out as (h, w, 4) uint8 RGBA.

    Raises
    ------
    ValueError
        If it is unreadable or has no alpha channel.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"{path}: a picture with an alpha channel is expected")
    return np.ascontiguousarray(picture[:, :, [2, 1, 0, 3]], dtype=np.uint8)


def read_occluders(folder: Path) -> OccluderBank:
    """Read ``skin/``, ``objects/`` and ``medical_masks/`` of an occluder folder; missing ones stay empty.

    Glasses are recognised by their file name and kept only when dark. Turned medical masks (``_left``,
    ``_right``) are left out: the frontal ones are bent to the face by the landmarks.
    """
    bank = OccluderBank()
    for path in sorted((folder / "skin").glob("*.webp")):
        bank.skin.append(read_rgba(path))
    for path in sorted((folder / "objects").glob("*.webp")):
        cutout = read_rgba(path)
        if "glasses" not in path.stem:
            bank.objects.append(cutout)
            continue
        dark = np.median(cutout[cutout[:, :, 3] > 127][:, :3].max(1)) < DARK_LENS_BRIGHTNESS
        if dark and cutout.shape[1] > 1.6 * cutout.shape[0]:
            bank.glasses.append(cutout)
    for path in sorted((folder / "medical_masks").glob("*.webp")):
        if not path.stem.endswith(("_left", "_right")):
            bank.medical_masks.append(read_rgba(path))
    return bank


def read_heads(folder: Path, stems: set[str], limit: int) -> list[UInt8Array]:
    """Cut heads (skin, hair, ears, hats) out of CelebAMask-HQ photographs, to stand beside other faces."""
    heads: list[UInt8Array] = []
    for path in sorted((folder / "images").iterdir()):
        if path.stem not in stems or len(heads) >= limit:
            continue
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        alpha = np.where((labels > 0) & (labels < 15), 255, 0).astype(np.uint8)
        ys, xs = np.nonzero(alpha)
        box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        rgba = np.dstack([read_rgb(path), cv2.GaussianBlur(alpha, (3, 3), 0)])[box]
        scale = 220 / max(rgba.shape[:2])
        heads.append(
            np.asarray(cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        )
    return heads


def composite(crop: Crop, layer: UInt8Array) -> Crop:
    """Blend an RGBA layer of the crop's size over it; covered pixels are not face, and certain to be so."""
    alpha = layer[:, :, 3]
    share = (alpha.astype(np.float32) / 255.0)[:, :, None]
    image = (crop.image * (1.0 - share) + layer[:, :, :3] * share).round().astype(np.uint8)
    hidden = np.clip(alpha.astype(np.float32) / (255.0 * COVERED_ALPHA), 0.0, 1.0)
    face = (crop.face * (1.0 - hidden)).astype(np.uint8)
    weight = np.where(alpha >= 255 * COVERED_ALPHA, np.uint8(255), crop.weight)
    return replace(crop, image=image, face=face, weight=weight)


def warp_layer(cutout: UInt8Array, matrix: FloatArray, shape_hw: tuple[int, int]) -> UInt8Array:
    """Bring a cut-out into a transparent layer of `shape_hw` by a 2x3 affine matrix (cut-out to crop)."""
    scale = math.sqrt(max(abs(float(np.linalg.det(matrix[:, :2]))), 1e-6))
    if scale < 0.6:
        shrink = max(scale, 0.05)
        small = cv2.resize(cutout, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, 0] *= cutout.shape[1] / small.shape[1]
        matrix[:, 1] *= cutout.shape[0] / small.shape[0]
        cutout = np.asarray(small, np.uint8)
    layer = cv2.warpAffine(
        cutout,
        matrix,
        (shape_hw[1], shape_hw[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(layer, np.uint8)


def affine(source: list[tuple[float, float]], target: list[tuple[float, float]]) -> FloatArray:
    """Return the 2x3 affine matrix that takes three points to three others."""
    return np.asarray(
        cv2.getAffineTransform(np.array(source, np.float32), np.array(target, np.float32)), np.float32
    )


def _match_colour(cutout: UInt8Array, crop: Crop, rng: np.random.Generator) -> UInt8Array:
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


def _recolour(cutout: UInt8Array, rng: np.random.Generator, strength: float) -> UInt8Array:
    tint = rng.uniform(1.0 - strength, 1.0 + strength, 3) * rng.uniform(1.0 - strength, 1.0 + strength)
    coloured = cutout.copy()
    coloured[:, :, :3] = np.clip(cutout[:, :, :3] * tint, 0, 255).astype(np.uint8)
    return coloured


def _face_extent(crop: Crop) -> tuple[FloatArray, float] | None:
    """Return x and y of the face's pixels (n, 2) and the root of their number, about the face's width."""
    ys, xs = np.nonzero(crop.face > 127)
    if len(xs) < 60:
        return None
    return np.stack([xs, ys], 1).astype(np.float32), math.sqrt(len(xs))


def arm_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """An arm or leg that reaches from outside the crop to a pixel of the face, or a hand lying on it."""
    extent = _face_extent(crop)
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


def _place(
    cutout: UInt8Array, centre: tuple[float, float], width_px: float, angle: float, crop: Crop
) -> UInt8Array:
    height, width = cutout.shape[:2]
    scale = width_px / max(height, width)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]], np.float32)
    matrix[:, 2] = np.array(centre) - matrix[:, :2] @ np.array([width / 2, height / 2])
    return warp_layer(cutout, matrix, (crop.face.shape[0], crop.face.shape[1]))


def object_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """A bag, shoe, scarf or hat anywhere on the face, turned and coloured at random."""
    extent = _face_extent(crop)
    if extent is None or not bank.objects:
        return None
    coordinates, size = extent
    cutout = _recolour(bank.objects[rng.integers(len(bank.objects))], rng, 0.3)
    x, y = coordinates[rng.integers(len(coordinates))]
    return _place(
        cutout, (float(x), float(y)), size * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * math.pi), crop
    )


def head_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """Another person's head beside the face, overlapping it a little: heads of others are not the face."""
    extent = _face_extent(crop)
    if extent is None or not bank.heads:
        return None
    coordinates, size = extent
    cutout = bank.heads[rng.integers(len(bank.heads))]
    centre = coordinates.mean(0)
    angle = rng.choice([0.0, math.pi]) + rng.normal(0, 0.5)
    width = size * rng.uniform(1.2, 2.2)
    distance = size * 0.5 + width * rng.uniform(0.3, 0.7)
    spot = (float(centre[0] + math.cos(angle) * distance), float(centre[1] + math.sin(angle) * distance))
    return _place(cutout, spot, width, rng.normal(0, 0.15), crop)


def sunglasses_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """Dark glasses on the eyes: a cut-out, or drawn lenses with a frame."""
    points = crop.points
    if points is None:
        return None
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    distance = float(np.linalg.norm(right - left))
    if distance < 8:
        return None
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    centre = (left + right) / 2
    if bank.glasses and rng.random() < 0.5:
        cutout = bank.glasses[rng.integers(len(bank.glasses))]
        if rng.random() < 0.5:
            cutout = np.ascontiguousarray(cutout[:, ::-1])
        return _place(
            cutout, (float(centre[0]), float(centre[1])), distance * rng.uniform(2.0, 2.5), angle, crop
        )
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    colour = rng.integers(0, 70, 3)
    frame = rng.integers(0, 200, 3) if rng.random() < 0.3 else colour // 2
    _draw_glasses(layer, (left, right), distance, angle, rng, lens=colour, frame=frame)
    if rng.random() < 0.4:
        shade = np.linspace(rng.uniform(0.7, 1), rng.uniform(1, 2.2), layer.shape[0], dtype=np.float32)[
            :, None, None
        ]
        layer[:, :, :3] = np.clip(layer[:, :, :3] * shade, 0, 150).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8)


def _draw_glasses(
    layer: UInt8Array,
    eyes: tuple[FloatArray, FloatArray],
    distance: float,
    angle: float,
    rng: np.random.Generator,
    *,
    lens: UInt8Array | np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None,
    frame: UInt8Array | np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> None:
    """Draw two lenses (filled when `lens` is a colour), their frame, bridge and arms into an RGBA layer."""
    thickness = max(1, round(distance * rng.uniform(0.02, 0.1)))
    axes = (distance * rng.uniform(0.33, 0.44), distance * rng.uniform(0.2, 0.38))
    exponent = rng.uniform(0.55, 1.0)
    turn = np.linspace(0, 2 * math.pi, 40)
    shape = np.stack(
        [np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** exponent * axes[0],
         np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** exponent * axes[1]], 1
    )  # fmt: skip
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    drop = rng.uniform(-0.02, 0.12) * distance
    down, along = rotation @ np.array([0.0, 1.0]) * drop, rotation @ np.array([1.0, 0.0])
    frame_rgba = (*(int(value) for value in frame), 255)
    centres = [eye + down for eye in eyes]
    outlines = [(shape @ rotation.T + centre).round().astype(np.int32) for centre in centres]
    if lens is not None:
        for outline in outlines:
            cv2.fillPoly(layer, [outline], (*(int(value) for value in lens), int(rng.integers(225, 256))))
    for outline in outlines:
        cv2.polylines(layer, [outline], True, frame_rgba, thickness, cv2.LINE_AA)
    inner = [centres[0] + along * axes[0], centres[1] - along * axes[0]]
    outer = [centres[0] - along * axes[0], centres[1] + along * axes[0]]
    cv2.line(layer, _pixel(inner[0]), _pixel(inner[1]), frame_rgba, thickness, cv2.LINE_AA)
    for start, sign in zip(outer, (-1.0, 1.0), strict=True):
        end = start + along * sign * distance * 0.45
        cv2.line(layer, _pixel(start), _pixel(end), frame_rgba, thickness, cv2.LINE_AA)


def _pixel(point: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def add_clear_glasses(crop: Crop, rng: np.random.Generator) -> Crop:
    """Draw clear glasses on the eyes. They belong to the face: only the pixels change, never the mask."""
    points = crop.points
    if points is None:
        return crop
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    distance = float(np.linalg.norm(right - left))
    if distance < 12:
        return crop
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    frame = rng.integers(0, 90, 3) if rng.random() < 0.7 else rng.integers(60, 220, 3)
    _draw_glasses(layer, (left, right), distance, angle, rng, lens=None, frame=frame)
    if rng.random() < 0.4:
        for eye in (left, right):
            spot = (eye + rng.normal(0, 0.12, 2) * distance).astype(np.float32)
            axes = (max(1, int(distance * 0.15)), max(1, int(distance * 0.06)))
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(
                layer, _pixel(spot), axes, turn, 0, 360, (255, 255, 255, int(rng.integers(40, 150))), -1
            )
    layer = np.asarray(cv2.GaussianBlur(layer, (3, 3), 0), np.uint8)
    near_face = cv2.dilate(crop.face, np.ones((3, 3), np.uint8)) > 0
    share = (layer[:, :, 3].astype(np.float32) / 255.0 * near_face)[:, :, None]
    image = (crop.image * (1.0 - share) + layer[:, :, :3] * share).round().astype(np.uint8)
    return replace(crop, image=image)


def _dye(cutout: UInt8Array, crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array:
    """Give a medical mask another cloth: a plain colour, a skin's colour, or the pattern of an object."""
    dyed = cutout.copy()
    shade = cutout[:, :, :3].mean(2, keepdims=True) / 255.0
    shade = shade / max(float(shade[cutout[:, :, 3] > 127].mean()), 0.05)
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


def medical_mask_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
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


def microphone_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """A microphone before mouth or chin: a dark mottled head on a handle from below."""
    extent = _face_extent(crop)
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


def bar_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """A plain bar, pole or board across the face, shaded along its length."""
    extent = _face_extent(crop)
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


def hair_layer(crop: Crop, bank: OccluderBank, rng: np.random.Generator) -> UInt8Array | None:
    """Strands of hair that fall from above the face over forehead and cheeks."""
    extent = _face_extent(crop)
    if extent is None:
        return None
    coordinates, size = extent
    left, top = coordinates.min(0)
    right, bottom = coordinates.max(0)
    root = np.array([rng.uniform(left, right), top - 0.1 * size])
    tip = np.array(
        [rng.uniform(left - 0.1 * size, right + 0.1 * size), rng.uniform((top + bottom) / 2, bottom)]
    )
    bend = (root + tip) / 2 + rng.normal(0, 0.25 * size, 2)
    base = rng.integers(0, 60) if rng.random() < 0.5 else rng.integers(60, 220)
    warm = np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.4, 1.0)])
    layer = np.zeros((*crop.face.shape, 4), np.uint8)
    steps = np.linspace(0, 1, 16)[:, None]
    spread = size * rng.uniform(0.02, 0.09)
    for _ in range(int(rng.integers(6, 30))):
        jitter = rng.normal(0, spread, (3, 2))
        a, b, c = root + jitter[0], bend + jitter[1], tip + jitter[2]
        curve = (1 - steps) ** 2 * a + 2 * steps * (1 - steps) * b + steps**2 * c
        colour = np.clip(base * warm * rng.uniform(0.6, 1.3), 0, 255)
        cv2.polylines(layer, [curve.round().astype(np.int32)], False, (*(int(v) for v in colour), 255),
                      max(1, int(size * rng.uniform(0.008, 0.025))), cv2.LINE_AA)  # fmt: skip
    return layer


LayerMaker = Callable[[Crop, OccluderBank, np.random.Generator], UInt8Array | None]

LAYER_MAKERS: tuple[tuple[LayerMaker, float], ...] = (
    (arm_layer, 0.32),
    (object_layer, 0.14),
    (sunglasses_layer, 0.12),
    (medical_mask_layer, 0.17),
    (microphone_layer, 0.08),
    (bar_layer, 0.04),
    (hair_layer, 0.05),
    (head_layer, 0.12),
)
"""What is pasted, and how often (shares of all pastes)."""


def paste_occluders(crop: Crop, bank: OccluderBank, rng: np.random.Generator, *, share: float = 0.55) -> Crop:
    """Paste one or two occluders on a `share` of the crops, and clear glasses on a few more.

    Parameters
    ----------
    crop : Crop
        Left as it is.
    bank : OccluderBank
        Cut-outs; kinds without any are skipped.
    rng : numpy.random.Generator
        Source of every choice.
    share : float
        Probability of at least one occluder, 0..1.
    """
    if rng.random() < 0.12:
        crop = add_clear_glasses(crop, rng)
    if rng.random() >= share:
        return crop
    makers = [maker for maker, _ in LAYER_MAKERS]
    shares = np.array([weight for _, weight in LAYER_MAKERS])
    for _ in range(1 if rng.random() < 0.7 else 2):
        maker = makers[rng.choice(len(makers), p=shares / shares.sum())]
        layer = maker(crop, bank, rng)
        if layer is not None:
            crop = composite(crop, layer)
    return crop
