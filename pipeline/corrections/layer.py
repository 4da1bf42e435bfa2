"""What people have said of the masks, and drawn over them: a layer upon a run's output, never in it.

::

    OUTPUT/review.jsonl             one line a judgement, only ever appended to
    OUTPUT/corrected/NAME.png       the faces of a photograph as a person left them: a map of face numbers
    OUTPUT/corrected_faces/NAME_N.png   the whole mask of a face that shares pixels with others, where known

The run's own files stay as they are, and a later run leaves the layer alone. What a judgement is worth then:

- A corrected map holds as long as the photograph is the same, byte for byte: a person drew it, whatever the
  network thinks now.
- ``accept`` and ``reject`` hold as long as what was looked at is the same: the record's faces (see
  `pipeline.corrections.judgements.fingerprint`), or the corrected map. Else they are *stale*: still in the
  file, but no longer counted.

The latest judgement of a photograph, or of one face of it, replaces earlier ones; ``reset`` takes it back. A
line that is cut off by a kill is left out by readers and ended by the next writer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.corrections.journal import ReviewJournal
from pipeline.corrections.judgements import (
    Judgement,
    PhotoReview,
    Verdict,
    fingerprint,
    holding,
)
from pipeline.errors import UsageError
from pipeline.images import to_stored_orientation, to_upright
from pipeline.output_pictures import encode_picture
from pipeline.outputs import REVIEW_FOLDERS, write_atomically

REVIEW_NAME = "review.jsonl"
CORRECTED_FOLDER, CORRECTED_FACES_FOLDER = REVIEW_FOLDERS

Instances = NDArray[np.uint8] | NDArray[np.uint16]


class Corrections:
    """The review layer of one output directory. Only places of lines are held in memory, not the lines.

    Parameters
    ----------
    directory
        The output directory.

    Raises
    ------
    OutputError
        ``review.jsonl`` is there but cannot be read.
    UsageError
        A later version of the program has written it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._journal = ReviewJournal(directory / REVIEW_NAME)

    def __len__(self) -> int:
        return len(self._journal)

    def __contains__(self, name: str) -> bool:
        return name in self._journal

    def refresh(self) -> None:
        """Take in what other programs have appended since.

        Raises
        ------
        OutputError, UsageError
            As when it was opened.
        """
        self._journal.refresh()

    def history(self, name: str) -> list[Judgement]:
        """All judgements of a photograph, the first one first."""
        return self._journal.history(name)

    def review(self, record: Mapping[str, Any]) -> PhotoReview:
        """What holds of the judgements of a photograph, given its present record."""
        return holding(record, self.history(record["name"]))

    def judge(
        self, record: Mapping[str, Any], verdict: Verdict, *, who: str, face: int | None = None
    ) -> PhotoReview:
        """Append a verdict about what is shown now; returns what holds then.

        Parameters
        ----------
        record
            Of the photograph, as the manifest has it.
        verdict
            ``accept``, ``reject`` or ``reset``.
        who
            A name, or what stands for one.
        face
            Number of a face; None: the photograph as a whole.

        Raises
        ------
        OutputError
            It cannot be written.
        ValueError
            ``correct`` needs a map: use `correct`; or the face has no such number.
        """
        if verdict == "correct":
            raise ValueError("verdict: a correction has a map, use correct()")
        shown = self.review(record).shown
        self._journal.append(_judgement(record, verdict, who, face, judged=shown))
        return self.review(record)

    def correct(
        self,
        record: Mapping[str, Any],
        instances: NDArray[np.integer[Any]],
        *,
        who: str,
        whole_faces: Mapping[int, NDArray[np.bool_]] | None = None,
    ) -> PhotoReview:
        """Write the faces of a photograph as a person left them; returns what holds then.

        Earlier verdicts about the photograph and its faces end with it. A kill in between leaves the map
        without its line: it does not count then, or counts for the correction before it.

        Parameters
        ----------
        record
            Of the photograph.
        instances
            (H, W) map of whole numbers, upright, as large as the upright photograph: 0 background, the
            record's number for a face of the record, and other numbers for faces that a person has added. A
            face of the record that is not in it was rejected.
        who
            A name, or what stands for one.
        whole_faces
            Whole masks ((H, W) bool, upright) of faces that share pixels with others, by number; the map can
            give a pixel to one face only.

        Raises
        ------
        OutputError
            It cannot be written.
        ValueError
            Another size than the photograph's, or numbers that are none.
        """
        width, height = record["size_wh"] or instances.shape[::-1]
        if instances.shape != (height, width):
            raise ValueError(
                f"instances: expected shape {(height, width)} of the photo, got {instances.shape}"
            )
        largest = int(instances.max(initial=0))
        if int(instances.min(initial=0)) < 0 or largest > 65535:
            raise ValueError("instances: numbers from 0 to 65535 are expected")
        turn = _turn(record)
        name = record["name"]
        file = f"{CORRECTED_FOLDER}/{name}.png"
        numbers: NDArray[Any] = instances.astype(np.uint8 if largest <= 255 else np.uint16)
        content = encode_picture(".png", to_stored_orientation(numbers, turn))
        face_files = {}
        for number, mask in sorted((whole_faces or {}).items()):
            if mask.shape != (height, width):
                raise ValueError(f"whole_faces[{number}]: expected shape {(height, width)}, got {mask.shape}")
            face_files[str(number)] = f"{CORRECTED_FACES_FOLDER}/{name}_{number}.png"
            picture = encode_picture(".png", to_stored_orientation(mask.astype(np.uint8) * 255, turn))
            write_atomically(self.directory / face_files[str(number)], [picture])
        write_atomically(self.directory / file, [content], sync=True)
        line = _judgement(
            record,
            "correct",
            who,
            None,
            judged=fingerprint(record),
            file=file,
            file_sha256=hashlib.sha256(content).hexdigest(),
            face_files=face_files,
            turn=turn,
        )
        self._journal.append(line)
        return self.review(record)

    def instances(self, correction: Judgement) -> Instances:
        """The corrected map of a photograph, upright: (H, W) uint8 or uint16, 0 background, else a number.

        Raises
        ------
        UsageError
            The file has gone or is damaged.
        """
        if correction.file is None:
            raise ValueError(f"{correction.name}: a judgement without a map")
        return self._upright(correction.file, correction.turn)

    def whole_faces(self, correction: Judgement) -> dict[int, NDArray[np.bool_]]:
        """(H, W) bool masks, upright, of the corrected faces that share pixels with others, by number.

        Raises
        ------
        UsageError
            A file has gone or is damaged.
        """
        return {
            int(number): self._upright(file, correction.turn) > 127
            for number, file in correction.face_files.items()
        }

    def _upright(self, file: str, turn: int) -> Instances:
        path = self.directory / file
        picture = None
        if ".." not in path.parts and path.is_relative_to(self.directory) and path.is_file():
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 2:
            raise UsageError(
                f"{path}: the corrected mask that {REVIEW_NAME} names is not there or damaged; bring it "
                "back, or reset the photograph's review"
            )
        upright: Any = to_upright(picture, turn)
        return np.asarray(upright)


def _judgement(
    record: Mapping[str, Any], verdict: Verdict, who: str, face: int | None, **values: Any
) -> Judgement:
    return Judgement(
        name=record["name"],
        face=face,
        verdict=verdict,
        photo_sha256=record.get("sha256"),
        who=who,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        **values,
    )


def _turn(record: Mapping[str, Any]) -> int:
    """The orientation of the grid that the photograph's masks lie on; 1: upright."""
    return int(record.get("stored_orientation") or 1) if record.get("orientation") == "stored" else 1
