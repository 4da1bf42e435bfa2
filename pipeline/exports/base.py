"""What a format is: it writes photographs into a folder and, where people edit in it, reads them back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pipeline.errors import UsageError
from pipeline.exports.values import (
    ExportPhoto,
    ExportSettings,
    FrameFiles,
    Images,
    ImportedPhoto,
    MaskWindow,
    Shapes,
)


class Format(ABC):
    """Writes one export; made anew for each.

    Parameters
    ----------
    folder
        Empty; all files go into it.
    settings
        How to write.
    """

    images: ClassVar[Images] = "none"
    """How photographs come to stand beside the labels unless the user says otherwise."""

    frames: ClassVar[FrameFiles] = "none"
    """As what pictures of clips come to stand there unless the user says otherwise."""

    shapes: ClassVar[tuple[Shapes, ...]] = ("masks",)
    """What the format can hold, its usual first."""

    shows: ClassVar[str | None] = None
    """Grid on which the format's readers show turned photographs, whatever the export says; None: either."""

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        self.folder = folder
        self.settings = settings
        self._open = ExitStack()
        self._made: set[str] = set()

    @classmethod
    def prepared(cls, settings: ExportSettings, photo: ExportPhoto) -> Any:
        """What is to be written of a photograph's faces, as far as it follows from the photograph alone.

        Most of the work, done ahead and in other processes: it goes by pickle. Unless a format has an own way
        it is the faces themselves.
        """
        return photo.instances

    @abstractmethod
    def add(self, photo: ExportPhoto, split: str, content: Any) -> None:
        """Write one photograph into a part of the data set.

        Parameters
        ----------
        photo
            The photograph, without its faces.
        split
            The part's name.
        content
            What `prepared` has made of it with its faces.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what comes last, and close the files."""

    def close(self) -> None:
        """Close whatever is still open."""
        self._open.close()

    def opened(self, path: Path, encoding: str = "ascii") -> TextIO:
        """A new text file, closed at the latest with the export; its lines end as they are written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._open.enter_context(path.open("w", encoding=encoding, newline=""))

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the export; its folder is made where it is the first there.

        Parameters
        ----------
        path
            Below `folder`.
        content
            All of it.
        """
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            (self.folder / parent).mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        with open(f"{self.folder}/{path}", "wb") as file:  # noqa: PTH123 - one of very many
            file.write(content)

    @classmethod
    def read(cls, path: Path) -> Iterator[ImportedPhoto]:
        """Yield the photographs of a file or folder of this format, with what people have left there.

        Raises
        ------
        UsageError
            It is none of this format, or cannot be imported.
        """
        raise UsageError(f"{path}: this format is only written; import coco, cvat, label-studio, voc or yolo")

    @classmethod
    def as_held(cls, photo: ExportPhoto) -> list[MaskWindow]:
        """What `read` gives for the faces of a photograph that nobody has changed, in their order."""
        return [instance.mask for instance in photo.instances]


def suffixed(name: str, split: str, suffix: str) -> str:
    """``name.json``, or ``name_train.json`` where the data set is split."""
    return f"{name}_{split}{suffix}" if split else f"{name}{suffix}"
