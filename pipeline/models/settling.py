"""Settings that belong to a network: where the configuration says ``auto``, as models.yaml recommends."""

from __future__ import annotations

from pipeline.config import Config
from pipeline.models.catalogue import Recommended, known_models
from pipeline.models.places import ModelPlaces

IN_NETWORK = ("max_side_px", "interpolation", "batch_size")
IN_SCORES = ("jaw_penalty", "jaw_support")
"""The keys of `Recommended` by the section of the configuration that they stand in."""


def network_settings(config: Config, places: ModelPlaces | None = None) -> Recommended:
    """The settings in use: the configuration's, and the network's recommendation for each that is ``auto``.

    Parameters
    ----------
    config
        ``network`` and ``scores`` are used.
    places
        Where networks lie; None: `pipeline.models.places.default_places`.

    Returns
    -------
    Recommended

    Raises
    ------
    ModelError
        models.yaml cannot be read.
    """
    entry = known_models(places).get(config.network.model)
    given = {
        **{key: getattr(config.network, key) for key in IN_NETWORK},
        **{key: getattr(config.scores, key) for key in IN_SCORES},
    }
    said = {key: value for key, value in given.items() if value != "auto"}
    return (entry.recommends if entry else Recommended()).model_copy(update=said)


def settled(config: Config, places: ModelPlaces | None = None) -> Config:
    """The configuration with every ``auto`` of `network_settings` replaced; arguments and errors are its."""
    settings = network_settings(config, places)
    network = config.network.model_copy(update={key: getattr(settings, key) for key in IN_NETWORK})
    scores = config.scores.model_copy(update={key: getattr(settings, key) for key in IN_SCORES})
    return config.model_copy(update={"network": network, "scores": scores})
