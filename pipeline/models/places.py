"""Where networks lie: those that come with the program, and those that were fetched or added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import shipped
from pipeline.environment import data_directory

RECORD_NAME = "model.json"


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """Folders of networks.

    Attributes
    ----------
    shipped
        models.yaml, embedded networks, and deploy files of networks that are fetched; only read.
    fetched
        A folder for each network that was fetched or added.
    earlier
        Folders where versions before put those; only read.
    """

    shipped: Path
    fetched: Path
    earlier: tuple[Path, ...] = ()

    def folder(self, name: str) -> Path:
        """Where a network lies that was fetched or added; or would lie, if it has not been."""
        for place in (self.fetched, *self.earlier):
            if (place / name / RECORD_NAME).is_file():
                return place / name
        return self.fetched / name

    def recorded(self) -> list[str]:
        """Names of all networks that were fetched or added, sorted."""
        found = {
            path.parent.name
            for place in (self.fetched, *self.earlier)
            for path in place.glob(f"*/{RECORD_NAME}")
        }
        return sorted(found)


def default_places() -> ModelPlaces:
    """The program's own networks, and the user's in `pipeline.environment.data_directory`."""
    return ModelPlaces(shipped.MODELS, data_directory() / "models", (shipped.MODELS / "downloads",))
