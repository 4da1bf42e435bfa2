"""From a labelled photograph to one training crop: geometry, occluders, light, and damage.

The crop starts from the real crop box (`landmarks.bbox.bbox_from_landmarks`) of the turned and squeezed
landmarks, so that the network sees faces where the pipeline will show them, and more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from landmarks.arrays import Float32Array, Pixels
from landmarks.bbox import bbox_from_landmarks
from training.cutouts import OccluderBank
from training.data import Sample
from training.layers import Crop
from training.occluders import paste_occluders
from training.scenes import along_direction, relight_scene, soft_step

NETWORK_SIZE_PX = 256
"""Side a crop is stretched to before the network, as in the shipped configuration."""

FRAME_MARGIN_PX = 4000
"""Landmarks are moved this far from the frame's corner before the box is computed where clamping is not
wanted."""


@dataclass(frozen=True)
class AugmentOptions:
    """How hard the augmentation is.

    Attributes
    ----------
    window_px
        Side of the returned crops. Below `NETWORK_SIZE_PX` a crop is either a window anywhere in one of that
        size (faces as large as they will be) or, in `whole_share` of the cases, all of it made smaller.
    whole_share
        Probability of the whole crop at window size, see above.
    occluder_share, damage_share
        Probability of pasted occluders, and of changed light and damage.
    scene_share
        Probability of a window behind the head or a dark place; light and damage then change half as often.
    wild_share
        Probability of a hard tilt, shear, squeeze and scale; other crops are moved a little.
    max_tilt_deg
        Rotation in the picture, either way.
    tight_share
        Probability of a face that fills the photograph, so that its crop is cut at the frame.
    """

    window_px: int = 192
    whole_share: float = 0.4
    occluder_share: float = 0.55
    damage_share: float = 0.75
    scene_share: float = 0.2
    wild_share: float = 0.5
    max_tilt_deg: float = 45.0
    tight_share: float = 0.12


def crop_box(
    extent: Float32Array, frame_size_wh: tuple[int, int], *, clamp: bool
) -> tuple[float, float, float, float]:
    """Return the crop box x, y, width, height of landmarks, clamped to the frame or as if it had no end."""
    points = np.asarray(extent).round().astype(np.int64)
    if clamp:
        x, y, width, height = bbox_from_landmarks(points, frame_size_wh, square=True)
        return float(x), float(y), float(max(width, 1)), float(max(height, 1))
    shifted = points + FRAME_MARGIN_PX
    endless = (2 * FRAME_MARGIN_PX + frame_size_wh[0], 2 * FRAME_MARGIN_PX + frame_size_wh[1])
    x, y, width, height = bbox_from_landmarks(shifted, endless, square=True)
    return float(x - FRAME_MARGIN_PX), float(y - FRAME_MARGIN_PX), float(max(width, 1)), float(max(height, 1))


def plain_crop(sample: Sample, size_px: int = NETWORK_SIZE_PX) -> Crop:
    """Return the crop the pipeline would make of a sample, stretched to `size_px`, without any change."""
    frame_size_wh = (sample.image.shape[1], sample.image.shape[0])
    x, y, width, height = crop_box(sample.extent, frame_size_wh, clamp=True)
    matrix = np.array(
        [[size_px / width, 0, -x * size_px / width], [0, size_px / height, -y * size_px / height]]
    )
    matrix[:, 2] += 0.5 * (matrix[:, :2].sum(1) - 1.0)  # pixel centres, as cv2.resize does
    return warp_sample(sample, matrix, size_px)


def warp_sample(
    sample: Sample, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]], size_px: int
) -> Crop:
    """Warp a sample by a 2x3 matrix (photograph to crop); what lies outside of the frame is not face."""
    size_wh = (size_px, size_px)
    labels = np.dstack([sample.face, sample.weight])
    image = cv2.warpAffine(
        sample.image, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    warped = cv2.warpAffine(labels, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=(0, 255))
    points = (
        None if sample.points is None else (sample.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    )
    return Crop(
        np.asarray(image, np.uint8),
        np.ascontiguousarray(warped[:, :, 0]),
        np.ascontiguousarray(warped[:, :, 1]),
        points,
    )


def tight_box(extent: Float32Array, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw a crop box x, y, width, height of a face that fills the photograph or is cut by its edges."""
    left, top = (float(value) for value in extent.min(0))
    right, bottom = (float(value) for value in extent.max(0))
    width, height = right - left, bottom - top
    left, right = left - rng.uniform(-0.05, 0.25) * width, right + rng.uniform(-0.05, 0.25) * width
    top, bottom = top - rng.uniform(0.1, 0.7) * height, bottom + rng.uniform(-0.1, 0.15) * height
    return left, top, max(right - left, 1.0), max(bottom - top, 1.0)


def random_crop(sample: Sample, rng: np.random.Generator, options: AugmentOptions) -> Crop:
    """Draw a crop: tilt, shear and squeeze, the crop box of what comes out, shift and scale, and a mirror."""
    height, width = sample.image.shape[:2]
    centre = sample.extent.mean(0).astype(np.float64)
    wild = rng.random() < options.wild_share
    tilt = math.radians(rng.uniform(-1, 1) * options.max_tilt_deg if wild else rng.normal(0, 5))
    squeeze = float(np.exp(rng.normal(0, 0.12 if wild else 0.06)))
    if wild and rng.random() < 0.15:
        squeeze *= rng.uniform(0.65, 0.9)
    shear = rng.normal(0, 0.08) if wild else 0.0
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    rotation = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    linear = rotation @ np.array([[mirror * squeeze, shear], [0.0, 1.0]])
    extent = ((sample.extent - centre) @ linear.T + centre).astype(np.float32)
    upright = not wild and rng.random() < 0.7
    x, y, box_width, box_height = crop_box(
        extent if not upright else sample.extent, (width, height), clamp=upright
    )
    mirrored = sample.extent.copy()
    if upright:
        linear = np.array([[mirror, 0.0], [0.0, 1.0]])
        x = 2 * centre[0] - x - box_width if mirror < 0 else x
        mirrored[:, 0] = (mirrored[:, 0] - centre[0]) * mirror + centre[0]
    if rng.random() < options.tight_share:
        x, y, box_width, box_height = tight_box(extent if not upright else mirrored, rng)
    scale = (
        float(np.exp(rng.uniform(math.log(0.8), math.log(1.3))))
        if wild
        else float(np.exp(rng.normal(0, 0.06)))
    )
    side_px = options.window_px if rng.random() < options.whole_share else NETWORK_SIZE_PX
    zoom = side_px / scale / np.array([box_width, box_height])
    matrix = np.zeros((2, 3))
    matrix[:, :2] = linear * zoom[:, None]
    box_centre = np.array([x + box_width / 2, y + box_height / 2])
    room_px = max(0.0, side_px - options.window_px)
    shift = rng.uniform(-room_px / 2, room_px / 2, 2) + rng.normal(0, 0.06 if wild else 0.03, 2) * side_px
    # photograph -> turned about `centre` -> zoomed with the box's centre in the middle of the window, shifted
    matrix[:, 2] = zoom * (centre - linear @ centre - box_centre) + options.window_px / 2 + shift
    return warp_sample(sample, matrix, options.window_px)


def relight(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Change light and colour: gamma 0.3-3, contrast, exposure, cast, shadow, grey, sepia and fading."""
    if rng.random() < 0.25:
        image = _shade(image, rng)
    ramp = np.linspace(0.0, 1.0, 256)
    curve = ramp
    if rng.random() < 0.6:
        curve = curve ** float(np.exp(rng.uniform(-1.1, 1.1) * rng.choice([0.4, 1.0])))
    if rng.random() < 0.6:
        contrast = rng.uniform(0.5, 1.5)
        curve = (curve - 0.5) * contrast + 0.5 + rng.uniform(-0.2, 0.2)
    if rng.random() < 0.08:
        curve = curve * rng.uniform(1.4, 2.2)
    curves = np.repeat(curve[:, None], 3, 1)
    if rng.random() < 0.35:
        curves = curves * rng.uniform(0.75, 1.25, 3) + rng.uniform(-0.05, 0.05, 3)
    table = (np.clip(curves, 0, 1) * 255).astype(np.uint8)[None]
    image = np.asarray(cv2.LUT(image, table), np.uint8)
    draw = rng.random()
    if draw < 0.28:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[:, :, None]
        tone = np.ones(3, np.float32)
        if rng.random() < 0.3:
            tone = np.array([1.0, rng.uniform(0.8, 0.95), rng.uniform(0.55, 0.85)], np.float32)
        fade = rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 1.0
        image = np.clip((grey * fade + (1 - fade) * rng.uniform(60, 200)) * tone, 0, 255).astype(np.uint8)
    elif draw < 0.5:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[:, :, None]
        keep = rng.uniform(0.0, 1.8)
        image = np.clip(grey + (image - grey) * keep, 0, 255).astype(np.uint8)
    return image


def _shade(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Darken one side of a soft line, or a band, or light from one direction."""
    ramp = along_direction(image.shape, rng.uniform(0, 2 * math.pi)) + rng.uniform(-0.25, 0.25)
    if rng.random() < 0.35:
        ramp = np.abs(ramp) - rng.uniform(0.05, 0.2)
    side = soft_step(ramp, rng.uniform(0.005, 0.3))
    gain = 1.0 - side * rng.uniform(0.2, 0.85)
    return np.asarray(image * gain[:, :, None]).astype(np.uint8)


def damage(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur, shrink and enlarge, add noise, and compress."""
    height, width = image.shape[:2]
    if rng.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)
    elif rng.random() < 0.08:
        length = int(rng.integers(3, 12) if rng.random() < 0.7 else rng.integers(12, 32))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1.0 / length
        turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.uniform(0, 180)), 1)
        kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
        image = np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-3)), np.uint8)
    if rng.random() < 0.25:
        share = rng.uniform(0.2, 0.8)
        size_wh = (max(8, int(width * share)), max(8, int(height * share)))
        down = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
        small = cv2.resize(image, size_wh, interpolation=down)
        up = cv2.INTER_LINEAR if rng.random() < 0.4 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)
    if rng.random() < 0.3:
        sigma = rng.uniform(2, 22)
        channels = 1 if rng.random() < 0.5 else 3
        noise = rng.standard_normal((height, width, channels), np.float32) * np.float32(sigma)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(8, 61))
        _, coded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)
    return image


def augment(sample: Sample, bank: OccluderBank, rng: np.random.Generator, options: AugmentOptions) -> Crop:
    """Draw one training crop: geometry, occluders, light, damage; the generator decides everything."""
    crop = random_crop(sample, rng, options)
    crop = paste_occluders(crop, bank, rng, share=options.occluder_share)
    image, share = crop.image, options.damage_share
    if rng.random() < options.scene_share:
        image, share = relight_scene(crop, rng), share / 2
    if rng.random() < share:
        image = damage(relight(image, rng), rng)
    return replace(crop, image=np.ascontiguousarray(image))
