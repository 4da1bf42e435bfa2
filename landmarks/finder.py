"""Faces with landmarks, out of a whole photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np

from landmarks.arrays import Pixels
from landmarks.base import Detector, LandmarkModel, SearchSettings
from landmarks.blazeface import BlazeFace
from landmarks.candidates import Candidate, merge
from landmarks.follow import Follower
from landmarks.geometry import Detection, FaceLandmarks
from landmarks.joint import JointDetector
from landmarks.judge import Judge
from landmarks.registry import create_detector, create_landmark_model, detector_files
from landmarks.rescue import Rescue
from landmarks.upright import TurnCheck

AT_LIMIT_PX = 16
"""Faces whose box is smaller than this in the photograph (half of it with every doubling by ``upsample``) are
at the limit of the search: where it has found one, others are about that it has not. ``benchmarks.detection``
tells how often that is so."""

RESCUES = ("when_empty", "always", "never")


class FaceFinder:
    """Detectors, the harder searches and the landmark model, in the order they are asked.

    Not to be pickled or shared between threads: make one in every worker.

    Parameters
    ----------
    detectors
        Those of the first pass, tried in turn until one finds a face.
    landmark_model
        Places the landmarks of what is found.
    rescue
        The harder searches; None: there are none.
    always
        Make all the harder searches on every photograph and add what they find, instead of making them where
        the first pass finds nothing, until one finds a face.
    turns
        Looks at how the faces found are turned; None: the detectors are believed.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        landmark_model: LandmarkModel,
        *,
        rescue: Rescue | None = None,
        always: bool = False,
        turns: TurnCheck | None = None,
    ) -> None:
        self._detectors = tuple(detectors)
        self._landmark_model = landmark_model
        self._rescue = rescue
        self._always = always
        self._turns = turns

    @classmethod
    def load(
        cls,
        *,
        predictor: Path,
        order: Sequence[str] = ("joint",),
        max_side_px: int | None = 1600,
        upsample: int = 0,
        rescue: Literal["when_empty", "always", "never"] = "when_empty",
        cnn_max_side_px: int = 400,
    ) -> Self:
        """Load and check every model that may be needed.

        Parameters
        ----------
        predictor
            dlib's 68-point predictor.
        order
            Names of `landmarks.registry.DETECTORS`: those of the first pass.
        max_side_px, upsample, cnn_max_side_px
            See `landmarks.base.SearchSettings`. Boxes and landmarks are always in pixels of the photograph.
        rescue
            When harder searches are made: where the first pass finds nothing (until one finds a face), on
            every photograph (all of them; what they find is added), or never.

        Raises
        ------
        ValueError
            A setting is not one of the values above.
        FileNotFoundError, RuntimeError
            A model is missing or damaged.
        """
        if not order:
            raise ValueError("order: one or more detectors are expected, got none")
        if rescue not in RESCUES:
            raise ValueError(f"rescue: one of {', '.join(RESCUES)} is expected, got {rescue!r}")
        settings = SearchSettings(max_side_px, upsample, cnn_max_side_px)
        detectors = [create_detector(name, settings) for name in order]
        judge = _judge_of(detectors) or (Judge.load() if _has_networks(order, rescue) else None)
        return cls(
            detectors,
            create_landmark_model("dlib", predictor),
            rescue=Rescue(settings, judge) if judge and rescue != "never" else None,
            always=rescue == "always",
            turns=TurnCheck(judge.blazeface, judge.centerface) if judge else None,
        )

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        """Every face of a photograph with its landmarks.

        Parameters
        ----------
        image
            (H, W, 3) uint8 RGB, upright; not changed.

        Returns
        -------
        tuple of FaceLandmarks
            One a face, in the order found: by detector, then by falling score.

        Raises
        ------
        ValueError
            ``image`` has another shape or dtype, or no pixels.
        """
        image = _checked(image)
        return tuple(self._landmark_model.predict(image, self.detect(image)))

    def find_in_first_pass(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        """What ``find`` gives without the harder searches, whatever ``rescue`` says."""
        image = _checked(image)
        return tuple(self._landmark_model.predict(image, self._upright(image, self._detect_first(image))))

    def follower(self) -> Follower:
        """What follows faces from frame to frame with this finder's landmark model."""

        def predict(image: Pixels, candidate: Candidate) -> FaceLandmarks:
            (face,) = self._landmark_model.predict(image, [candidate.detection()])
            return face

        judge = _judge_of(self._detectors) or (self._rescue.judge if self._rescue else None)
        return Follower(predict, (judge.blazeface if judge else BlazeFace()).confirm)

    def detect(self, image: Pixels) -> list[Detection]:
        """The places of the faces of a photograph, as ``find`` takes them before it predicts landmarks."""
        image = _checked(image)
        found = self._detect_first(image)
        if self._rescue is not None and (self._always or not found):
            found = found + self._rescued(image, self._rescue, found)
        return self._upright(image, found)

    def _rescued(self, image: Pixels, rescue: Rescue, found: list[Detection]) -> list[Detection]:
        """What the harder searches add to what was found."""
        known = [Candidate.of(detection) for detection in found]
        for search in rescue.searches():
            known += merge(search(image), known=known)
            if known and not self._always:
                break
        return [face.detection() for face in known[len(found) :]]

    def _upright(self, image: Pixels, found: list[Detection]) -> list[Detection]:
        """What was found, turned as it looks best."""
        return [self._turns.checked(image, one) for one in found] if self._turns else found

    def _detect_first(self, image: Pixels) -> list[Detection]:
        found: list[Detection] = []
        for detector in self._detectors:
            found = detector.find(image)
            if found:
                break
        return found


def at_limit(faces: Iterable[FaceLandmarks], *, upsample: int) -> int:
    """How many faces are at the limit of the search, so that others were probably missed; see `AT_LIMIT_PX`.

    Parameters
    ----------
    faces
        Found in one photograph.
    upsample
        Times the search picture was doubled.
    """
    return sum(face.detection.box.side * 2**upsample < AT_LIMIT_PX for face in faces)


def _judge_of(detectors: Sequence[Detector]) -> Judge | None:
    """The judge whose networks a detector has loaded already."""
    return next((one.judge for one in detectors if isinstance(one, JointDetector)), None)


def _checked(image: Pixels) -> Pixels:
    """The photograph, contiguous; ValueError when it is none."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image: (H, W, 3) uint8 RGB is expected, got {image.dtype} of shape {image.shape}")
    return np.ascontiguousarray(image)


def _has_networks(order: Sequence[str], rescue: str) -> bool:
    """Whether both networks that look at turns are among the files that the search needs anyway."""
    return "joint" in order or rescue != "never"


def model_files(order: Sequence[str], rescue: str) -> list[Path]:
    """Paths of the detectors' model files that `FaceFinder.load` reads with these settings, each once.

    Raises
    ------
    FileNotFoundError
        One is missing.
    """
    files = [path for name in order for path in detector_files(name)]
    return list(dict.fromkeys(files + ([] if rescue == "never" else Judge.model_files())))
