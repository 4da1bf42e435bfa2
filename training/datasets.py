"""The data sets of a run: who is trained on, who is held out, and how often each source is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.cutouts import OccluderBank, read_hair, read_heads, read_occluders
from training.data import Sample, hash_fraction, person_of, read_prepared
from training.public_data import read_celebamask_hq, read_lapa, read_lfw_parts
from training.reviewed import REVIEWED_SOURCE, read_reviewed

CELEBA_FOLDER, LFW_FOLDER, FASSEG_FOLDER = "celebamask_mini", "lfw_parts", "fasseg"
LFW_OCCLUDED_FOLDER, OCCLUDER_FOLDER = "lfw_occluded_val", "occluders"

CELEBA_VALIDATION_SHARE, LFW_VALIDATION_SHARE = 0.111, 0.12
"""Expected shares of held-out people (108 of 900 photographs and 257 of 2071)."""

PUBLIC_CELEBA_FOLDER, PUBLIC_LAPA_FOLDER, PUBLIC_LFW_FOLDER = "CelebAMask-HQ", "LaPa/train", "lfw"
"""The same kinds of data as their authors publish them, see training.public_data."""

PSEUDO_SOURCE = "pseudo"
"""Source of photographs that a network labelled."""

SOURCE_SHARES = {
    "celebamask": 0.45,
    "lfw": 0.43,
    "lapa": 0.45,
    "fasseg": 0.12,
    PSEUDO_SOURCE: 0.25,
    REVIEWED_SOURCE: 0.25,
}
"""How much of a batch each source gets (normalised over the sources there are)."""

HEAD_COUNT, HAIR_COUNT = 150, 600
"""How many heads and how many people's hair are kept to be pasted."""

FIT_SAMPLES = 60
"""Training photographs that are scored too, undamaged: the distance to the held-out ones is overfitting."""


@dataclass(frozen=True)
class TrainingData:
    """Samples by source, validation samples by set, the occluder bank, and samples to score the fit on."""

    training: dict[str, list[Sample]]
    validation: dict[str, list[Sample]]
    occluders: OccluderBank
    fit: dict[str, list[Sample]]

    def draw(self, rng: np.random.Generator, count: int) -> list[Sample]:
        """Draw `count` samples: a source by its share, then a sample by its frequency."""
        sources = [name for name, samples in self.training.items() if samples]
        shares = np.array([SOURCE_SHARES[name] for name in sources])
        drawn = []
        for source in rng.choice(len(sources), count, p=shares / shares.sum()):
            samples = self.training[sources[source]]
            frequencies = np.array([sample.frequency for sample in samples])
            drawn.append(samples[rng.choice(len(samples), p=frequencies / frequencies.sum())])
        return drawn


def occluded_people(data: Path) -> set[str]:
    """Return the people of the occluded validation set, whom nothing may be trained on."""
    folder = data / LFW_OCCLUDED_FOLDER / "images"
    return {person_of(path.stem) for path in folder.iterdir()} if folder.is_dir() else set()


def is_celeba_validation(stem: str) -> bool:
    """Say whether a CelebAMask-HQ photograph is held out."""
    return hash_fraction(person_of(stem)) < CELEBA_VALIDATION_SHARE


def is_lfw_validation(stem: str) -> bool:
    """Say whether an LFW photograph shows a held-out person."""
    return hash_fraction(person_of(stem)) < LFW_VALIDATION_SHARE


def load_training_data(
    data: Path, *, pseudo: Path | None = None, reviewed: Path | None = None, validation: bool = True
) -> TrainingData:
    """Load every known data set below `data` into memory.

    Parameters
    ----------
    data
        Folder that holds the extracted data sets, each in a folder named after its archive.
    pseudo
        Folder of pseudo-labelled photographs, laid out like the others.
    reviewed
        Output directory of a run whose masks people have accepted and corrected.
    validation
        Load the held-out photographs too.

    Raises
    ------
    ValueError
        If there is nothing to train on, or the same portraits are there under two names.
    """
    never = occluded_people(data)
    training: dict[str, list[Sample]] = {}
    held_out: dict[str, list[Sample]] = {}
    celeba, lfw, fasseg = data / CELEBA_FOLDER, data / LFW_FOLDER, data / FASSEG_FOLDER
    bank = read_occluders(data / OCCLUDER_FOLDER)
    if celeba.is_dir():
        training["celebamask"] = list(
            read_prepared(celeba, "celebamask", lambda stem: not is_celeba_validation(stem))
        )
        portraits = {sample.name for sample in training["celebamask"]}
        bank.heads.extend(read_heads(celeba, portraits, HEAD_COUNT))
        bank.hair.extend(read_hair(celeba, portraits, HAIR_COUNT))
        if validation:
            held_out["celebamask"] = list(read_prepared(celeba, "celebamask", is_celeba_validation))
    if lfw.is_dir():
        training["lfw"] = list(
            read_prepared(
                lfw, "lfw", lambda stem: not is_lfw_validation(stem) and person_of(stem) not in never
            )
        )
        if validation:
            held_out["lfw"] = list(read_prepared(lfw, "lfw", is_lfw_validation))
    if fasseg.is_dir():
        training["fasseg"] = list(read_prepared(fasseg, "fasseg", lambda stem: True))
    if validation and (data / LFW_OCCLUDED_FOLDER).is_dir():
        held_out["occluded"] = list(read_prepared(data / LFW_OCCLUDED_FOLDER, "lfw", lambda stem: True))
    _add_public(data, never, training, held_out if validation else None)

    def may_be_trained_on(stem: str) -> bool:
        held_out_somewhere = is_lfw_validation(stem) or is_celeba_validation(stem)
        return not held_out_somewhere and person_of(stem) not in never

    if pseudo is not None:
        training[PSEUDO_SOURCE] = list(read_prepared(pseudo, PSEUDO_SOURCE, may_be_trained_on))
    if reviewed is not None:
        training[REVIEWED_SOURCE] = list(read_reviewed(reviewed, may_be_trained_on))
    if not any(training.values()):
        raise ValueError(
            f"{data}: no data set found; extract {CELEBA_FOLDER}, {LFW_FOLDER} or {FASSEG_FOLDER} there"
        )
    fit = {f"fit {name}": samples[:FIT_SAMPLES] for name, samples in training.items() if samples}
    return TrainingData(training, held_out, bank, fit)


def _add_public(
    data: Path, never: set[str], training: dict[str, list[Sample]], held_out: dict[str, list[Sample]] | None
) -> None:
    """Add the data sets that lie below `data` in their authors' layout; the same people are held out."""
    celeba, lapa, lfw = data / PUBLIC_CELEBA_FOLDER, data / PUBLIC_LAPA_FOLDER, data / PUBLIC_LFW_FOLDER
    if lapa.is_dir():
        training["lapa"] = list(read_lapa(lapa, lambda stem: True))
    if celeba.is_dir() and (data / CELEBA_FOLDER).is_dir():
        raise ValueError(
            f"{data}: {CELEBA_FOLDER} and {PUBLIC_CELEBA_FOLDER} hold the same portraits under other names, "
            "so that nobody would be held out; take one of them away"
        )
    if not celeba.is_dir() and not lfw.is_dir():
        return
    from training.pseudo import MainFaceFinder  # noqa: PLC0415 - loads dlib's models

    find = MainFaceFinder()
    if celeba.is_dir():
        training.setdefault("celebamask", []).extend(
            read_celebamask_hq(celeba, lambda stem: not is_celeba_validation(stem), find)
        )
        if held_out is not None:
            held_out.setdefault("celebamask", []).extend(
                read_celebamask_hq(celeba, is_celeba_validation, find)
            )
    if lfw.is_dir():
        training.setdefault("lfw", []).extend(
            read_lfw_parts(
                lfw, lambda stem: not is_lfw_validation(stem) and person_of(stem) not in never, find
            )
        )
        if held_out is not None:
            held_out.setdefault("lfw", []).extend(read_lfw_parts(lfw, is_lfw_validation, find))
