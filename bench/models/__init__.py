"""Classifiers: `build` makes the network of an Experiment, `stages` and `Backbone` cut it, `cost` counts."""

from bench.models.build import build
from bench.models.stages import Backbone, Stage, head, head_name, stages

__all__ = ["Backbone", "Stage", "build", "head", "head_name", "stages"]
