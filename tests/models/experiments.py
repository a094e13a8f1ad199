"""Experiments for the tests of the models."""

import dataclasses

from bench.schema.experiment import Experiment, experiment

MNIST = (1, 28, 28)
PARTS = [f.name for f in dataclasses.fields(Experiment) if f.name not in ("dataset", "model", "norm_layer", "seed")]


def make(model: dict, norm_layer: dict | str = "native", seed: int = 0) -> Experiment:
    """An Experiment with this model, all else at its default."""
    norm_layer = {"name": norm_layer} if isinstance(norm_layer, str) else norm_layer
    parts = {name: {} for name in PARTS}
    return experiment(
        {"dataset": {"source": "mnist5k"}, "model": model, "norm_layer": norm_layer, "seed": seed, **parts}
    )
