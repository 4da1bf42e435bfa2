"""Settings that belong to a network: recommended by models.yaml, unless the configuration says otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import Config, load_config
from pipeline.manifest.digest import result_digest
from pipeline.models.catalogue import Recommended, known_models
from pipeline.models.places import default_places
from pipeline.models.settling import network_settings, settled

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests" / "data" / "version_0_1_0" / "configs"
UPSTREAM = {
    "max_side_px": 350,
    "interpolation": "nearest",
    "batch_size": 1,
    "jaw_penalty": 0.0,
    "jaw_support": 0.0,
}
OWN = {
    "max_side_px": 350,
    "interpolation": "cubic",
    "batch_size": 8,
    "jaw_penalty": 80.0,
    "jaw_support": 1.0,
}


@pytest.mark.parametrize(
    ("model", "expected"),
    [("uncrop_256", OWN), ("fcn8s_500", UPSTREAM), ("fcn8s_300", UPSTREAM), ("some/own.prototxt", OWN)],
)
def test_what_is_used_where_the_configuration_says_nothing(model: str, expected: dict[str, Any]) -> None:
    config = Config.model_validate({"network": {"model": model}})
    assert network_settings(config).model_dump() == expected


def test_every_known_network_has_recommendations_of_its_own() -> None:
    path = default_places().shipped / "models.yaml"
    written = yaml.safe_load(path.read_text("utf-8"))["models"]
    assert {name: set(entry["recommends"]) for name, entry in written.items()} == {
        name: set(Recommended.model_fields) for name in known_models()
    }


def test_what_the_configuration_says_is_used() -> None:
    said = {
        "network": {"model": "fcn8s_500", "max_side_px": None, "interpolation": "cubic", "batch_size": 3},
        "scores": {"jaw_penalty": 5.0, "jaw_support": 0.5},
    }
    assert network_settings(Config.model_validate(said)).model_dump() == {
        "max_side_px": None,
        "interpolation": "cubic",
        "batch_size": 3,
        "jaw_penalty": 5.0,
        "jaw_support": 0.5,
    }


@pytest.mark.parametrize("name", ["fcn8s", "fcn8s_300"])
def test_the_configurations_of_upstreams_networks_say_what_is_recommended(name: str) -> None:
    config = load_config(ROOT / "configs" / f"{name}.yaml")
    alone = Config.model_validate({"network": {"model": config.network.model}})
    assert network_settings(config) == network_settings(alone)
    own = config.network.model_copy(update={"model": "own.prototxt"})
    assert network_settings(config.model_copy(update={"network": own})) == network_settings(config)


@pytest.mark.parametrize("name", ["default", "fcn8s", "fcn8s_300"])
def test_configurations_that_say_all_themselves_mean_what_those_of_today_leave_to_the_network(
    name: str,
) -> None:
    old, new = load_config(OLD / f"{name}.yaml"), load_config(ROOT / "configs" / f"{name}.yaml")
    assert "auto" not in old.network.model_dump().values()
    assert settled(new).network == old.network == settled(old).network
    kept = {"jaw_penalty", "jaw_support"}
    assert settled(new).scores.model_dump(include=kept) == old.scores.model_dump(include=kept)


def test_the_digest_is_that_of_the_settings_in_use() -> None:
    config = Config()
    assert result_digest(config, {}) == result_digest(settled(config), {})
    said = Config.model_validate({"network": {"max_side_px": 350}, "scores": {"jaw_penalty": 80}})
    assert result_digest(config, {}) == result_digest(said, {})
    other = Config.model_validate({"scores": {"jaw_penalty": 79}})
    assert result_digest(config, {}) != result_digest(other, {})
    one_by_one = Config.model_validate({"network": {"batch_size": 1}})
    assert result_digest(config, {}) == result_digest(one_by_one, {})


def test_another_recommendation_is_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = result_digest(Config(), {})
    places = default_places()
    text = (places.shipped / "models.yaml").read_text("utf-8")
    (tmp_path / "models.yaml").write_text(text.replace("jaw_penalty: 80.0", "jaw_penalty: 70.0"))
    monkeypatch.setattr("pipeline.models.catalogue.default_places", lambda: replace(places, shipped=tmp_path))
    assert network_settings(Config()).jaw_penalty == 70.0
    assert result_digest(Config(), {}) != before
