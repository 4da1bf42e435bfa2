"""Check the outputs of a run over the samples: every photograph is done and has a mask of exactly its size.

``python .ci/check_output.py PHOTOS OUTPUT``; exit code 1 and one line a fault if something is wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}


def faults(photos: Path, output: Path) -> list[str]:
    """What is wrong with a run of the default configuration; empty if nothing is."""
    found: list[str] = []
    lines = (output / "manifest.jsonl").read_text("utf-8").splitlines()
    records = {record["name"]: record for record in map(json.loads, lines)}
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(records) != len(paths):
        found.append(f"{len(paths)} photographs, but {len(records)} lines in the manifest")
    statuses = [record["status"] for record in records.values()]
    if "ok" not in statuses or "no_face" not in statuses:
        found.append(f"expected photographs with and without a face, got {sorted(set(statuses))}")
    for record in records.values():
        photo = Path(record["photo"])
        if record["status"] not in {"ok", "no_face"}:
            found.append(f"{photo}: {record['status']}, {record['errors']}")
            continue
        with Image.open(photo) as picture, Image.open(output / record["files"]["masks"]) as mask:
            size = ImageOps.exif_transpose(picture).size
            values = set(np.unique(np.asarray(mask)).tolist())
            if mask.size != size:
                found.append(f"{photo}: {size} pixels, but its mask has {mask.size}")
            if values != ({0, 255} if record["status"] == "ok" else {0}):
                found.append(f"{photo}: {record['status']}, but its mask holds {sorted(values)}")
    return found


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(wrong) or "every sample has a mask of exactly its size")
    sys.exit(1 if wrong else 0)
