"""Make the sample photographs again from the packages they come from (see README.md beside this file).

    pip download --no-deps matplotlib
    pip download --no-deps --no-binary :all: face_recognition
    python data/samples/make_samples.py matplotlib-*.whl face_recognition-*.tar.gz

scikit-image is installed anyway. Everything else in the pictures is drawn here.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage
from PIL import Image

from landmarks.arrays import Pixels

FOLDER = Path(__file__).parent
QUALITY = 90
ORIENTATION_TAG = 0x0112


def main() -> None:
    """Write all samples beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("matplotlib", type=Path, help="wheel of matplotlib")
    parser.add_argument("face_recognition", type=Path, help="source package of face_recognition")
    options = parser.parse_args()
    skimage_data = Path(skimage.__file__).parent / "data"
    hopper_bytes = zipfile.ZipFile(options.matplotlib).read(
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg"
    )
    with tarfile.open(options.face_recognition) as archive:
        obama, biden = (_from_tar(archive, f"tests/test_images/{name}.jpg") for name in ("obama", "biden"))
    astronaut = _read((skimage_data / "astronaut.png").read_bytes())
    rocket = _read((skimage_data / "rocket.jpg").read_bytes())
    hopper = _read(hopper_bytes)

    (FOLDER / "grace_hopper.jpg").write_bytes(hopper_bytes)
    _write("astronaut.jpg", astronaut)
    _write("obama.jpg", _fit(obama, 900))
    _write("biden_rotated.jpg", np.rot90(_fit(biden, 900)), orientation=6)
    _write("obama_microphone.jpg", _with_microphone(_fit(obama, 900)))
    _write("astronaut_dark_grey.jpg", _dark_grey(astronaut))
    heads = [
        hopper[:420],
        astronaut[:256, 70:370],
        _part(obama, 0.3, 0.8, 0.42),
        _part(biden, 0.3, 0.86, 0.38),
    ]
    _write("group.jpg", _group(heads))
    _write("rocket.jpg", rocket)


def _from_tar(archive: tarfile.TarFile, suffix: str) -> Pixels:
    (member,) = (member for member in archive.getmembers() if member.name.endswith(f"/{suffix}"))
    file = archive.extractfile(member)
    assert file is not None
    return _read(file.read())


def _read(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.uint8)


def _write(name: str, pixels: Pixels, orientation: int = 1) -> None:
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION_TAG] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(FOLDER / name, quality=QUALITY, exif=exif)


def _fit(image: Pixels, longest_px: int) -> Pixels:
    ratio = longest_px / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), np.uint8)


def _part(image: Pixels, left: float, right: float, bottom: float) -> Pixels:
    """Upper part of a picture, borders as shares of its size."""
    height, width = image.shape[:2]
    return image[: int(bottom * height), int(left * width) : int(right * width)]


def _dark_grey(image: Pixels) -> Pixels:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) / 255.0
    return np.repeat((255 * 0.75 * grey**1.8).astype(np.uint8)[:, :, None], 3, axis=2)


def _with_microphone(image: Pixels) -> Pixels:
    """A stand microphone before the mouth, drawn at four times the size for smooth edges."""
    height, width = image.shape[:2]
    factor = 4
    layer = np.zeros((height * factor, width * factor, 4), np.uint8)
    mouth_x, mouth_y, head = int(0.53 * width), int(0.318 * height), int(0.05 * width)

    def at(x: float, y: float) -> tuple[int, int]:
        return int(x * factor), int(y * factor)

    cv2.line(
        layer,
        at(mouth_x + 2.5 * head, height),
        at(mouth_x, mouth_y),
        (38, 38, 42, 255),
        int(0.5 * head * factor),
    )
    cv2.circle(layer, at(mouth_x, mouth_y), head * factor, (58, 58, 64, 255), -1)
    for offset in range(-head + 4, head, 6):  # the grille
        half = int((head**2 - offset**2) ** 0.5) - 2
        for start, end in (
            ((mouth_x + offset, mouth_y - half), (mouth_x + offset, mouth_y + half)),
            ((mouth_x - half, mouth_y + offset), (mouth_x + half, mouth_y + offset)),
        ):
            cv2.line(layer, at(*start), at(*end), (104, 104, 112, 255), factor)
    cv2.ellipse(
        layer, at(mouth_x, mouth_y), (head * factor, head * factor // 5), 20, 0, 360, (25, 25, 28, 255), -1
    )
    small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
    alpha = small[:, :, 3:].astype(np.float32) / 255
    return (image * (1 - alpha) + small[:, :, :3]).clip(0, 255).astype(np.uint8)


def _group(portraits: Sequence[Pixels]) -> Pixels:
    """The portraits as framed pictures of several sizes on a wall."""
    rows = np.linspace(205, 165, 800)[:, None, None]
    wall = np.broadcast_to(rows * np.array([1.0, 0.97, 0.9]), (800, 1200, 3)).astype(np.uint8).copy()
    noise = np.random.default_rng(11).integers(-4, 5, wall.shape[:2])[:, :, None]
    wall = (wall + noise).clip(0, 255).astype(np.uint8)
    places = (
        (40, 60, 500),
        (540, 400, 340),
        (560, 50, 290),
        (880, 70, 200),
        (1030, 560, 120),
        (150, 630, 130),
    )
    for number, (x, y, height) in enumerate(places):
        portrait = portraits[number % len(portraits)]
        ratio = height / portrait.shape[0]
        small = cv2.resize(portrait, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        frame = max(height // 40, 3)
        cv2.rectangle(
            wall,
            (x - frame, y - frame),
            (x + small.shape[1] + frame - 1, y + small.shape[0] + frame - 1),
            (70, 48, 30),
            -1,
        )
        wall[y : y + small.shape[0], x : x + small.shape[1]] = small
    return wall


if __name__ == "__main__":
    main()
