"""The photographs under review: what the run says of them, what people say, and their pictures."""

from __future__ import annotations

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
from pipeline.counted import counted
from pipeline.environment import usable_cores
from pipeline.errors import ClipReadError, ImageReadError, UsageError
from pipeline.exports.clip_frames import frame_name
from pipeline.images import Photo, read_photo
from pipeline.manifest.journal import MANIFEST_NAME
from pipeline.manifest.records import recorded_path
from pipeline.server.review.clips import ClipFrames
from pipeline.server.review.index import PhotoIndex
from pipeline.server.review.pictures import (
    PictureCache,
    blank_thumbnail,
    jpeg_of,
    thumbnail,
    thumbnail_of_overlay,
    upright_instances,
)
from pipeline.video.containers import first_picture

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
        self._clips = ClipFrames(output, working_directory, config, self._cache)
        self._making = threading.BoundedSemaphore(usable_cores())  # whole photographs take memory

    def load(self) -> None:
        """Read the manifest and what people have said before; may run beside requests."""
        self.index.load()
        for number in range(len(self.index)):
            review = self._reviewed(number)
            if review is not None:
                self._note(number, review)

    def record(self, number: int) -> dict[str, Any]:
        """The record of a photograph; for one without a run what can be told of its file."""
        record = self.index.record(number)
        if record["status"] != "new":
            return record
        record |= {"orientation": self._config.output.orientation, "size_wh": None, "errors": []}
        try:
            photo = self.photo(record)
        except ImageReadError as error:
            return record | {
                "errors": [{"stage": "read", "type": type(error).__name__, "message": str(error)}]
            }
        height, width = photo.pixels.shape[:2]
        return record | {
            "sha256": photo.sha256,
            "size_wh": [width, height],
            "stored_orientation": photo.orientation,
        }

    def item(self, number: int) -> dict[str, Any]:
        """What the wall shows of a photograph."""
        entry = asdict(self.index.entry(number))
        review = self._reviewed(number)
        if review is None:
            return {**entry, "verdict": None, "stale": False, "corrected": False, "revision": "0"}
        return {
            **entry,
            "verdict": review.verdict,
            "stale": review.stale,
            "corrected": review.correction is not None,
            "revision": self._revision(entry["name"]),
        }

    def details(self, number: int) -> dict[str, Any]:
        """What the large view shows of a photograph.

        ``shown``: whether its pixels and masks can be asked for; else it can only be judged. ``frames``: how
        many frames of a clip can be asked for; ``first_frame``: the first with a face. ``notes``: what should
        be known before that.
        """
        record = self.record(number)
        clip, notes = record.get("clip"), [error["message"] for error in record["errors"]]
        try:
            shown = clip is None and self.photo(record) is not None
        except ImageReadError as error:
            shown = False
            if str(error) not in notes:
                notes.append(str(error))
        frames = 0
        if clip is not None:
            frames = self._clips.count(record)
            gone = " It is not there any more, or cannot be read: its frames are not shown."
            notes.append(
                f"A clip of {counted(clip['frames'], 'frame')}, {clip['with_faces']} with a mask; people "
                f"followed: {len(clip['tracks'])}. It can be looked at and judged, but not drawn on."
                f"{'' if frames else gone}"
            )
        elif shown and record["faces"] and upright_instances(self._output, record) is None:
            notes.append("The run's masks are not there (not written, or gone): what is shown is empty.")
        faces = [
            {key: face.get(key) for key in ("number", "box_xywh", "landmarks", "score", "confidence")}
            for face in record["faces"]
        ]
        return {
            **self.item(number),
            "size_wh": record["size_wh"],
            "faces": faces,
            "shown": shown,
            "frames": frames,
            "first_frame": min((track["first_frame"] for track in clip["tracks"]), default=0) if clip else 0,
            "notes": notes,
        }

    def photo(self, record: Mapping[str, Any]) -> Photo:
        """The photograph of a record, decoded.

        Raises
        ------
        ImageReadError
            It is not there any more, or damaged.
        """
        whole = self._working_directory / recorded_path(record)
        settings = self._config.input

        def make() -> Photo:
            return read_photo(whole, max_pixels=settings.max_pixels, background_rgb=settings.background_rgb)

        read: Photo = self._cache.get(("photo", whole), make, lambda photo: photo.pixels.nbytes)
        return read

    def size_wh(self, record: Mapping[str, Any]) -> tuple[int, int]:
        """Width and height that a map of face numbers must have.

        Raises
        ------
        ImageReadError
            Nobody knows: the photograph cannot be read.
        UsageError
            It is a clip, which cannot be corrected here.
        """
        if "clip" in record:
            raise UsageError(f"{record['name']} is a clip: it can be judged here, but not corrected")
        if record["size_wh"] is not None:
            return record["size_wh"][0], record["size_wh"][1]
        height, width = self.photo(record).pixels.shape[:2]
        return width, height

    def instances(self, number: int, *, original: bool = False) -> NDArray[np.uint16]:
        """The map of face numbers as it stands, or as the run left it; upright.

        Raises
        ------
        UncropError
            A file is missing or damaged.
        """
        record = self.record(number)
        width, height = self.size_wh(record)
        if not original and record["name"] in self._corrections:
            correction = self._corrections.review(record).correction
            if correction is not None:
                return self._corrections.instances(correction).astype(np.uint16)
        found = upright_instances(self._output, record)
        return np.zeros((height, width), np.uint16) if found is None else found

    def thumbnail(self, number: int) -> bytes:
        """A small JPEG of the photograph with its masks as they stand, or a grey one."""
        name = self.index.name(number)

        def make() -> bytes:
            record = self.index.record(number)
            if "clip" in record:
                return self._clip_thumbnail(record)
            overlay = record.get("files", {}).get("overlays")
            upright = record.get("orientation") != "stored"
            if overlay is not None and upright and name not in self._corrections:
                small = thumbnail_of_overlay(self._output / overlay)
                if small is not None:
                    return small
            try:
                with self._making:
                    return thumbnail(self.photo(record).pixels, self.instances(number))
            except ImageReadError:
                return blank_thumbnail()

        made: bytes = self._cache.get(("thumbnail", name, self._revision(name)), make, len)
        return made

    def _clip_thumbnail(self, record: Mapping[str, Any]) -> bytes:
        """The first frame of a clip's overlay; a grey one where there is none."""
        overlay = record["files"].get("overlays")
        if overlay is None:
            return blank_thumbnail()
        try:
            with self._making:
                return thumbnail(first_picture(str(self._output / overlay)), None)
        except ClipReadError:
            return blank_thumbnail()

    def photograph(self, number: int) -> bytes:
        """The upright photograph as a JPEG."""
        return jpeg_of(self.photo(self.record(number)).pixels)

    def frame(self, number: int, index: int) -> bytes:
        """A frame of a clip as a JPEG, upright.

        Raises
        ------
        IndexError
            There is no such frame.
        ClipReadError
            It can't be read.
        UsageError
            It is no clip.
        """
        with self._making:
            return jpeg_of(self._clips.pixels(self._clip(number), index))

    def frame_instances(self, number: int, index: int) -> NDArray[np.uint16]:
        """The map of face numbers of a frame as it stands, upright; empty where it has no masks."""
        record = self._clip(number)
        name = frame_name(record["name"], index)
        if name in self._corrections:  # taken in from another tool
            correction = self._corrections.review({**record, "name": name}).correction
            if correction is not None:
                return self._corrections.instances(correction).astype(np.uint16)
        with self._making:
            found = self._clips.numbers(record, index)
        width, height = record["size_wh"]
        return np.zeros((height, width), np.uint16) if found is None else found

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
        width, height = self.size_wh(record)
        if instances.shape != (height, width):
            shape = f"{instances.shape[1]} x {instances.shape[0]}"
            raise ValueError(f"the photograph is {width} x {height}, the map {shape}")
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

    def _clip(self, number: int) -> dict[str, Any]:
        record = self.record(number)
        if "clip" not in record:
            raise UsageError(f"{record['name']} is no clip")
        return record

    def _reviewed(self, number: int) -> PhotoReview | None:
        """What people have said of a photograph; None where nobody has, or its record cannot be read."""
        if self.index.name(number) not in self._corrections:
            return None
        try:
            return self._corrections.review(self.record(number))
        except UsageError:
            return None

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
        self._corrections.refresh()  # another program may have judged it
        if revision != self._revision(name):
            raise StaleError(name)

    def _note(self, number: int, review: PhotoReview) -> None:
        self.index.set_verdict(
            number, review.verdict, corrected=review.correction is not None, stale=review.stale
        )
