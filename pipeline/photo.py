"""One photograph through all stages. This is the program; everything else is detail."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Pixels
from landmarks.base import Finder
from landmarks.finder import at_limit
from landmarks.geometry import FaceLandmarks
from landmarks.selection import select_faces
from pipeline.config import Config
from pipeline.crop import FaceCrop
from pipeline.decision import decide_face
from pipeline.errors import DetectionError, EngineError, PhotoError, SegmentationError
from pipeline.files import FileHashes
from pipeline.frame_size import checked_size_wh
from pipeline.framing import frame_face
from pipeline.images import read_photo
from pipeline.loading import describe, load_finder, load_network
from pipeline.models.settling import network_settings
from pipeline.neighbours import neighbours_hidden, seen_alone
from pipeline.network import FaceNetwork
from pipeline.results import FaceResult, PhotoResult, StageError, Status
from pipeline.scores import CropScores
from pipeline.stages import Stages
from pipeline.uncrop import uncrop_instances, uncrop_mask


class PhotoSegmenter:
    """Segments photographs with models that are loaded once.

    Threads may share it: one at a time finds faces and one at a time uses the network, while others crop and
    uncrop. In a ``with`` statement the engine is freed at the end.

    Parameters
    ----------
    config
        What to do.
    finder
        Finds faces and their landmarks.
    network
        Scores crops.
    """

    def __init__(self, config: Config, finder: Finder, network: FaceNetwork) -> None:
        self.config = config
        self.finder = finder
        self.network = network
        self._settings = network_settings(config)
        self._finding = threading.Lock()
        self._scoring = threading.Lock()
        self._closed = False

    @classmethod
    def from_config(cls, config: Config | None = None, known: FileHashes | None = None) -> Self:
        """Load the models that a configuration names.

        Parameters
        ----------
        config
            None: the default one.
        known
            What is known of the models' files already; None: nothing.

        Raises
        ------
        ModelError, EngineError
            A model cannot be read, or the engine cannot be had as asked.
        """
        config = Config() if config is None else config
        return cls(config, load_finder(config, known), load_network(config, known))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def segment_file(self, path: str | PathLike[str]) -> PhotoResult:
        """Read a photograph as a run does and segment it; its maps are upright, as viewers show the file.

        Raises
        ------
        ImageReadError
            It cannot be read, or has more pixels than ``input.max_pixels``.
        PhotoError, EngineError
            A stage failed for the photograph as a whole.
        """
        stages = Stages()
        with stages.stage("read"):
            source = self.config.input
            photo = read_photo(path, max_pixels=source.max_pixels, background_rgb=source.background_rgb)
        return self.segment(photo.pixels, stages)

    def segment_many(self, images: Iterable[Pixels]) -> Iterator[PhotoResult]:
        """Segment photographs one after another; one that fails costs only itself.

        Parameters
        ----------
        images
            Each (H, W, 3) uint8 RGB, upright; drawn when the result before has been taken.

        Yields
        ------
        PhotoResult
            One a photograph, in their order. Of one that failed the status is ``failed``, the maps are empty,
            and ``errors`` says why.

        Raises
        ------
        ValueError
            An image is not (H, W, 3) uint8.
        """
        for image in images:
            stages, size_wh = Stages(), checked_size_wh(image)
            try:
                yield self.segment(image, stages)
            except (PhotoError, EngineError) as error:
                stage = error.stage if isinstance(error, PhotoError) else stages.current
                wrong = StageError(stage, type(error).__name__, str(error))
                empty = uncrop_instances([], [], size_wh)
                yield PhotoResult("failed", empty, None, (), (wrong,), stages.rounded(6))

    def segment(self, image: Pixels, stages: Stages | None = None) -> PhotoResult:
        """Find every face of a photograph and the mask of each.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, upright; it is not changed.
        stages
            Learns which stage is on and how long each took; None: only the result says how long.

        Returns
        -------
        PhotoResult
            Its maps are (H, W), pixel for pixel with ``image``.

        Raises
        ------
        ValueError
            ``image`` is not (H, W, 3) uint8.
        PhotoError, EngineError
            A stage failed for the photograph as a whole.
        """
        stages = stages or Stages()
        with stages.stage("landmarks"):
            found = self._find_all(image)
            wanted = self._wanted(found, image)
        result = self.segment_faces(image, wanted, stages, heads=found)
        return replace(result, at_limit=at_limit(wanted, upsample=self.config.detector.upsample))

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        """Find the faces of a photograph that are wanted: the first half of `segment`.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, upright; it is not changed.

        Returns
        -------
        faces
            What ``faces.select`` takes of those not below ``faces.min_side_px``, in the order found; none is
            an answer too.

        Raises
        ------
        ValueError
            ``image`` is not (H, W, 3) uint8.
        DetectionError
            The search failed.
        """
        return self._wanted(self._find_all(image), image)

    def segment_faces(
        self,
        image: Pixels,
        faces: Sequence[FaceLandmarks],
        stages: Stages | None = None,
        *,
        heads: Sequence[FaceLandmarks] | None = None,
    ) -> PhotoResult:
        """Make the mask of each of some faces that are known already: the second half of `segment`.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, upright; it is not changed.
        faces
            Faces of this photograph, from `find`, from another frame or from landmarks of the caller's own.
        stages
            As of `segment`.
        heads
            All heads that are known in the photograph, these faces among them: each keeps its own pixels
            (``scores.neighbours``). None: these faces are all.

        Returns
        -------
        PhotoResult
            As of `segment`; its faces are in the order given, less those below ``faces.min_confidence``.

        Raises
        ------
        ValueError
            ``image`` is not (H, W, 3) uint8.
        PhotoError, EngineError
            A stage failed for the photograph as a whole.
        """
        stages, heads = stages or Stages(), faces if heads is None else heads
        size_wh = checked_size_wh(image)
        errors: list[StageError] = []
        with stages.stage("crop"):
            pairs = self._crop(image, faces, errors)
        with stages.stage("network"):
            scored = self.score(pairs, errors)
        with stages.stage("uncrop"):
            result = self.decide(scored, size_wh, errors=errors, heads=heads)
        if errors and not result.faces:
            first = errors[0].message
            message = f"none of {len(faces)} faces could be segmented; the first: {first}"
            if len(faces) == 1:
                message = f"the only face could not be segmented: {first}"
            raise SegmentationError(message, stage=errors[0].stage)
        doubted = [
            face.landmarks for face in result.faces if face.confidence < self.config.faces.min_confidence
        ]
        if doubted:
            with stages.stage("uncrop"):
                believed = [(face, scores) for face, scores in scored if not _is_one_of(face, doubted)]
                known = [head for head in heads if not _is_one_of(head, doubted)]
                result = self.decide(believed, size_wh, errors=errors, heads=known)
            scored, heads = believed, known
        if len(scored) > 1 and self.config.scores.neighbours:
            with stages.stage("network"):
                again = self._with_neighbours_hidden(scored, result, errors)
            if again:
                with stages.stage("uncrop"):
                    result = self.decide(again, size_wh, errors=errors, heads=heads)
        return replace(result, timings=stages.rounded(6))

    def describe(self) -> dict[str, Any]:
        """What really runs, for the manifest: the engine and the network."""
        return describe(self.config, self.network)

    def close(self) -> None:
        """Free the engine. The segmenter must not be used afterwards."""
        with self._scoring:
            self._closed = True
            self.network.engine.close()

    def _find_all(self, image: Pixels) -> Sequence[FaceLandmarks]:
        """The faces found, wanted or not."""
        checked_size_wh(image)
        try:
            with self._finding:
                return self.finder.find(image)
        except (RuntimeError, cv2.error) as error:
            raise DetectionError(f"the search for faces failed: {error}") from error

    def _wanted(self, found: Sequence[FaceLandmarks], image: Pixels) -> tuple[FaceLandmarks, ...]:
        """Those of the faces found that are to be segmented."""
        faces = self.config.faces
        return select_faces(found, checked_size_wh(image), faces.select, min_side_px=faces.min_side_px)

    def _crop(
        self, image: Pixels, faces: Sequence[FaceLandmarks], errors: list[StageError]
    ) -> list[tuple[FaceLandmarks, FaceCrop]]:
        pairs: list[tuple[FaceLandmarks, FaceCrop]] = []
        for face in faces:
            try:
                pairs.append((face, frame_face(image, face, self.config.crop)))
            except ValueError as error:
                errors.append(StageError("crop", "ValueError", f"face at {face.detection.box}: {error}"))
        return pairs

    def score(
        self, pairs: Sequence[tuple[FaceLandmarks, FaceCrop]], errors: list[StageError]
    ) -> list[tuple[FaceLandmarks, CropScores]]:
        """Score crops that are cut out already; when the batch fails, one by one: a face costs only itself.

        Parameters
        ----------
        pairs
            Faces with their crops.
        errors
            What goes wrong with single faces is added to it; they are left out of the result.

        Raises
        ------
        PhotoError, EngineError
            The only face failed.
        """
        try:
            scores = self._scores([crop for _, crop in pairs])
            return [(face, of_face) for (face, _), of_face in zip(pairs, scores, strict=True)]
        except (EngineError, PhotoError):
            if len(pairs) < 2:
                raise
        scored: list[tuple[FaceLandmarks, CropScores]] = []
        for face, crop in pairs:
            try:
                scored.append((face, self._scores([crop])[0]))
            except (EngineError, PhotoError) as error:
                message = f"face at {face.detection.box}: {error}"
                errors.append(StageError("network", type(error).__name__, message))
        return scored

    def _with_neighbours_hidden(
        self,
        scored: Sequence[tuple[FaceLandmarks, CropScores]],
        result: PhotoResult,
        errors: list[StageError],
    ) -> list[tuple[FaceLandmarks, CropScores]]:
        """All faces, those that others touch with what the network sees while the others are hidden.

        Empty where no faces touch.
        """
        points = [face.points for face, _ in scored]
        crops = (
            (face, neighbours_hidden(scores, number, points, result.instances))
            for number, (face, scores) in enumerate(scored, start=1)
        )
        pairs = [(face, crop) for face, crop in crops if crop is not None]
        if not pairs:
            return []
        alone = {id(face): scores.margin for face, scores in self.score(pairs, errors)}
        return [
            (face, seen_alone(scores, face.points, alone[id(face)]) if id(face) in alone else scores)
            for face, scores in scored
        ]

    def _scores(self, crops: Sequence[FaceCrop]) -> list[CropScores]:
        with self._scoring:
            if self._closed:
                raise EngineError("the segmenter is closed; make another one")
            return self.network.scores(crops)

    def decide(
        self,
        scored: Sequence[tuple[FaceLandmarks, CropScores]],
        frame_size_wh: tuple[int, int],
        *,
        errors: Sequence[StageError] = (),
        heads: Sequence[FaceLandmarks] | None = None,
        exact_points: Sequence[NDArray[np.float64]] | None = None,
    ) -> PhotoResult:
        """Turn scores into masks and the full-frame map: the last step of `segment`, with no timings.

        Parameters
        ----------
        scored
            Faces with scores of one frame, from `score` or made of several frames' scores.
        frame_size_wh
            Width and height of the frame in pixels.
        errors
            Of faces that are missing among the scored ones.
        heads
            All heads that are known in the frame; None: these faces are all.
        exact_points
            (68, 2) landmarks of every face to a part of a pixel; None: their whole pixels are used.
        """
        points: Sequence[NDArray[Any]] = exact_points or [face.points for face, _ in scored]
        known = [face for face, _ in scored] if heads is None else heads
        decided = [
            decide_face(*one, at, known, self.config, self._settings)
            for one, at in zip(scored, points, strict=True)
        ]
        faces = tuple(face for face, _ in decided)
        crops = [face.crop for face in faces]
        instances = uncrop_instances([margin for _, margin in decided], crops, frame_size_wh)
        alpha = _union_alpha(faces, frame_size_wh) if self.config.output.soft_masks else None
        status: Status = "partial" if errors else "ok" if faces else "no_face"
        return PhotoResult(status, instances, alpha, faces, tuple(errors))


def _is_one_of(face: FaceLandmarks, faces: Sequence[FaceLandmarks]) -> bool:
    """By identity: two faces may have equal landmarks."""
    return any(face is other for other in faces)


def _union_alpha(faces: Sequence[FaceResult], frame_size_wh: tuple[int, int]) -> Pixels:
    """Full-frame soft mask: the largest alpha of any face at every pixel."""
    union = np.zeros((frame_size_wh[1], frame_size_wh[0]), np.uint8)
    for face in faces:
        if face.alpha is not None:
            np.maximum(union, uncrop_mask(face.alpha, face.crop), out=union)
    return union
