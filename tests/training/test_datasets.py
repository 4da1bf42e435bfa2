from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.synthetic import write_prepared
from training.data import person_of
from training.datasets import is_celeba_validation, is_lfw_validation, load_training_data

PEOPLE = [f"Person_{number:03d}_{photo:04d}" for number in range(40) for photo in (1, 2)]
PORTRAITS = [f"portrait{number}" for number in range(40)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "lfw_parts", PEOPLE, size=48)
    write_prepared(tmp_path / "celebamask_mini", PORTRAITS, size=48)
    write_prepared(tmp_path / "fasseg", ["V1_1"], size=48)
    write_prepared(tmp_path / "lfw_occluded_val", ["Person_003_0009", "Someone_Else_0001"], size=48)
    return tmp_path


def test_nobody_is_trained_on_and_validated_with(data: Path) -> None:
    loaded = load_training_data(data)
    trained = {sample.person for samples in loaded.training.values() for sample in samples}
    held_out = {sample.person for samples in loaded.validation.values() for sample in samples}
    assert trained and held_out
    assert not trained & held_out
    assert "Person_003" in held_out and "Person_003" not in trained


def test_both_photographs_of_a_person_land_on_the_same_side(data: Path) -> None:
    loaded = load_training_data(data)
    for samples in (loaded.training["lfw"], loaded.validation["lfw"]):
        names = [sample.person for sample in samples]
        assert all(names.count(name) == 2 for name in names)
    assert {is_lfw_validation(f"{person_of(PEOPLE[0])}_{number:04d}") for number in range(9)} == {
        is_lfw_validation(PEOPLE[0])
    }


def test_every_photograph_is_used_once(data: Path) -> None:
    loaded = load_training_data(data)
    names = [s.name for part in (loaded.training, loaded.validation) for s in part["celebamask"]]
    assert sorted(names) == sorted(PORTRAITS)
    assert all(is_celeba_validation(sample.name) for sample in loaded.validation["celebamask"])


def test_draws_repeat_by_seed_and_come_from_every_source(data: Path) -> None:
    loaded = load_training_data(data, validation=False)
    assert not loaded.validation
    first, second = ([s.name for s in loaded.draw(np.random.default_rng(1), 200)] for _ in range(2))
    assert first == second
    assert {s.source for s in loaded.draw(np.random.default_rng(1), 200)} == {"celebamask", "lfw", "fasseg"}


def test_pseudo_labels_of_held_out_people_are_left_out(data: Path, tmp_path: Path) -> None:
    write_prepared(tmp_path / "pseudo", ["Person_003_0005", "New_Face_0001"], size=48)
    loaded = load_training_data(data, pseudo=tmp_path / "pseudo")
    assert [sample.name for sample in loaded.training["pseudo"]] == ["New_Face_0001"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no data set found"):
        load_training_data(tmp_path)
