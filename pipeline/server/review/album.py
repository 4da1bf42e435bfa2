"""The photographs under review: what the run says of them, what people say, and their pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.corrections.judgements import PhotoReview
from pipeline.corrections.layer import Corrections
from pipeline.images import Photo, read_photo
from pipeline.manifest.journal import MANIFEST_NAME
from pipeline.server.review.index import PhotoIndex
from pipeline.server.review.pictures import (
    PictureCache,
    photograph,
    thumbnail,
    thumbnail_of_overlay,
    upright_instances,
)

Verdict = Literal["accept", "reject"]


class StaleError(Exception):
    """The photograph has been judged or corrected since the page showed it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was judged or corrected elsewhere meanwhile; open it again to see how")


class Album:
    """All that the page asks for.

    Parameters
    ----------
    output
        The output directory of a run, or where corrections of photographs without a run are kept.
    config
        Of the run.
    working_directory
        Where relative paths of photographs start.
    others
        Names and paths of photographs that no run has seen.
    who
        Goes into ``review.jsonl``.
    """

    def __init__(
        self,
        output: Path,
        config: Config,
        working_directory: Path,
        others: Mapping[str, str],
        who: str,
    ) -> None:
        self.index = PhotoIndex(output / MANIFEST_NAME, others)
        self._output = output
        self._config = config
        self._working_directory = working_directory
        self._who = who
        self._corrections = Corrections(output)
        self._cache = PictureCache()
        self._saving = threading.Lock()

    def load(self) -> None:
        """Read the manifest and what people have said before; may run beside requests."""
        self.index.load()
        for number in range(len(self.index)):
            if self.index.name(number) in self._corrections:
                self._note(number, self._corrections.review(self.record(number)))

    def record(self, number: int) -> dict[str, Any]:
        """The record of a photograph; for one without a run what can be told of its file."""
        record = self.index.record(number)
        if record["status"] == "new":
            photo = self.photo(record)
            height, width = photo.pixels.shape[:2]
            record |= {
                "sha256": photo.sha256,
                "size_wh": [width, height],
                "stored_orientation": photo.orientation,
                "orientation": self._config.output.orientation,
                "errors": [],
            }
        return record

    def item(self, number: int) -> dict[str, Any]:
        """What the wall shows of a photograph."""
        entry = asdict(self.index.entry(number))
        name = entry["name"]
        if name not in self._corrections:
            return {**entry, "verdict": None, "stale": False, "corrected": False, "revision": "0"}
        review = self._corrections.review(self.record(number))
        return {
            **entry,
            "verdict": review.verdict,
            "stale": review.stale,
            "corrected": review.correction is not None,
            "revision": self._revision(name),
        }

    def details(self, number: int) -> dict[str, Any]:
        """What the large view shows of a photograph."""
        record = self.record(number)
        faces = [
            {key: face.get(key) for key in ("number", "box_xywh", "landmarks", "score", "confidence")}
            for face in record["faces"]
        ]
        return {**self.item(number), "faces": faces, "errors": record.get("errors", [])}

    def photo(self, record: Mapping[str, Any]) -> Photo:
        """The photograph of a record, decoded.

        Raises
        ------
        ImageReadError
            It is not there any more, or damaged.
        """
        given = record.get("photo_bytes")
        path = os.fsdecode(bytes.fromhex(given)) if given else record["photo"]
        whole = self._working_directory / path
        limit = self._config.input.max_pixels
        read: Photo = self._cache.get(
            ("photo", whole), lambda: read_photo(whole, max_pixels=limit), lambda photo: photo.pixels.nbytes
        )
        return read

    def instances(self, number: int, *, original: bool = False) -> NDArray[np.uint16]:
        """The map of face numbers as it stands, or as the run left it; upright.

        Raises
        ------
        UncropError
            A file is missing or damaged.
        """
        record = self.record(number)
        if not original and record["name"] in self._corrections:
            correction = self._corrections.review(record).correction
            if correction is not None:
                return self._corrections.instances(correction).astype(np.uint16)
        found = upright_instances(self._output, record)
        if found is not None:
            return found
        size = record.get("size_wh") or self.photo(record).pixels.shape[1::-1]
        return np.zeros((size[1], size[0]), np.uint16)

    def thumbnail(self, number: int) -> bytes:
        """A small JPEG of the photograph with its masks as they stand.

        Raises
        ------
        UncropError
            Neither the photograph nor its overlay can be read.
        """
        name = self.index.name(number)

        def make() -> bytes:
            record = self.index.record(number)
            overlay = record.get("files", {}).get("overlays")
            upright = record.get("orientation") != "stored"
            if overlay is not None and upright and name not in self._corrections:
                small = thumbnail_of_overlay(self._output / overlay)
                if small is not None:
                    return small
            return thumbnail(self.photo(record), self.instances(number))

        made: bytes = self._cache.get(("thumbnail", name, self._revision(name)), make, len)
        return made

    def photograph(self, number: int) -> bytes:
        """The upright photograph as a JPEG."""
        return photograph(self.photo(self.record(number)))

    def judge(self, number: int, verdict: Verdict | None, revision: str) -> dict[str, Any]:
        """Accept or reject a photograph, or take that back; a correction stays.

        Raises
        ------
        StaleError
            ``revision`` is not the present one.
        OutputError
            It cannot be written.
        """
        record = self.record(number)
        with self._saving:
            self._check(record["name"], revision)
            if verdict is not None:
                review = self._corrections.judge(record, verdict, who=self._who)
            else:
                review = self._take_back(record)
            self._note(number, review)
        return self.item(number)

    def correct(self, number: int, instances: NDArray[np.uint16], revision: str) -> dict[str, Any]:
        """Keep a map that a person has drawn.

        Raises
        ------
        StaleError, OutputError
            As for `judge`.
        ValueError
            The map has another size than the photograph.
        """
        record = self.record(number)
        with self._saving:
            self._check(record["name"], revision)
            self._note(number, self._corrections.correct(record, instances, who=self._who))
        return self.item(number)

    def discard(self, number: int, revision: str) -> dict[str, Any]:
        """Go back to what the run left: neither a verdict nor a correction.

        Raises
        ------
        StaleError, OutputError
            As for `judge`.
        """
        record = self.record(number)
        with self._saving:
            self._check(record["name"], revision)
            self._note(number, self._corrections.judge(record, "reset", who=self._who))
        return self.item(number)

    def _take_back(self, record: Mapping[str, Any]) -> PhotoReview:
        correction = self._corrections.review(record).correction
        if correction is None:
            return self._corrections.judge(record, "reset", who=self._who)
        whole = self._corrections.whole_faces(correction)
        instances = self._corrections.instances(correction)
        return self._corrections.correct(record, instances, who=self._who, whole_faces=whole)

    def _revision(self, name: str) -> str:
        return str(len(self._corrections.history(name))) if name in self._corrections else "0"

    def _check(self, name: str, revision: str) -> None:
        if revision != self._revision(name):
            raise StaleError(name)

    def _note(self, number: int, review: PhotoReview) -> None:
        self.index.set_verdict(
            number, review.verdict, corrected=review.correction is not None, stale=review.stale
        )
