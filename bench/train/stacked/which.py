"""Which runs may be trained as one program: an allow-list. Needs no torch, as a sweep's plan asks it.

Whatever setting is not listed here as one that the program follows is followed by runs alone: a run that has it at
another value than its default is not stacked. A test goes through every field of an Experiment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from bench.schema.experiment import Experiment
from bench.schema.science import flat_settings, science

MOST = 16  # runs in one program: beyond, a CPU's caches are full and nothing is gained
FAMILIES = ("linear", "dnn", "cnn", "resnet", "own")  # own: where it is a chain of known layers, by `network.can_stack`
EXACT = ("linear", "dnn", "own")  # where a program may give each bit as runs alone do, which a trial then shows
NORMS = ("native", "none", "batch", "layer", "group", "instance")
# Others look at whole tensors.
ELEMENTWISE = ("sgd", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "radam", "rmsprop")

# Numbers in the step, which may differ from run to run; of model.dropout, whether there is any may not.
FREE = frozenset({"seed", "optim.lr", "optim.weight_decay", "model.dropout"})
# Settings that decide the numbers and that the program follows; runs in it have the same. `part.*` is all of a part.
FOLLOWED = frozenset({
    "dataset.*", "split.*", "pixel_norm.*", "metrics.*", "transfer.size", "transfer.channels",
    "model.family", "model.hidden", "model.activation", "model.filters", "model.kernels", "model.stride",
    "model.padding", "model.pooling", "model.pool_size", "model.dense", "model.depth", "model.shortcut", "model.width",
    "model.drop_path", "norm_layer.name", "norm_layer.groups", "corrupt.*", "augment.test_time",
    "augment.flip", "augment.flip_vertical", "augment.shift", "augment.crop", "augment.crop_fill", "augment.rotate",
    "augment.scale", "augment.policy", "augment.policy_ops", "augment.policy_magnitude", "augment.brightness",
    "augment.contrast", "augment.saturation", "augment.hue", "augment.grey", "augment.blur", "augment.blur_sigma",
    "augment.cutout", "augment.erase", "augment.mixup", "augment.cutmix",
    "optim.name", "optim.momentum", "optim.schedule", "optim.warmup", "optim.step_every", "optim.step_factor",
    "optim.milestones", "optim.power", "optim.cycles", "optim.cooldown", "optim.loss", "optim.label_smoothing",
    "optim.betas", "optim.eps", "optim.decayed", "optim.ema", "optim.class_weights", "optim.l1", "optim.l2",
    "trainer.patience", "trainer.accumulate", "trainer.clip", "trainer.epochs", "trainer.steps", "trainer.sampling",
    "trainer.batch_size", "trainer.select", "trainer.sync_batchnorm",
})  # fmt: skip
# Settings that decide no number and that the program follows, or that do not concern it.
INDIFFERENT = frozenset({
    "tracking.*", "dataset.*", "augment.name", "transfer.cache", "trainer.max_minutes", "trainer.accelerator",
    "trainer.strategy", "trainer.channels_last", "trainer.stack", "trainer.last_digits", "trainer.threads",
    "trainer.deterministic", "trainer.gradients",
})  # fmt: skip
# Settings that decide no number, at the only value with which runs are stacked.
ONLY = {"trainer.compile": False, "trainer.devices": 1, "trainer.num_nodes": 1}


def is_listed(name: str, names: frozenset[str]) -> bool:
    """Whether a setting or its whole part is among `names`."""
    return name in names or f"{name.split('.')[0]}.*" in names


def program_form(exp: Experiment) -> str | None:
    """`form`, where the run may be tried as part of a program by what `trainer.stack` says."""
    return form(exp) if reason_alone(exp) == "" else None


def form(exp: Experiment) -> str | None:
    """A text that is equal for runs that may be stacked; None for one that must be trained alone.

    Runs may differ in the seed, the lr, the weight decay and the rate of dropout (not in whether there is dropout).
    """
    if unstackable_setting(exp):
        return None
    settings = flat_settings(exp)
    same = {name: value for name, value in settings.items() if name not in FREE}
    return json.dumps({**same, "drops": settings.get("model.dropout", 0) > 0}, sort_keys=True)


def unstackable_setting(exp: Experiment) -> str:
    """The first setting by which a run must be trained alone, such as "loss.name=focal"; "" where none does."""
    settings = flat_settings(exp)
    allowed = {"model.family": FAMILIES, "norm_layer.name": NORMS, "optim.name": ELEMENTWISE}
    parts = {"model.family": exp.model.family, "norm_layer.name": exp.norm_layer.name, "optim.name": exp.optim.name}
    followed = FOLLOWED | FREE | ({"model.*"} if exp.model.family == "own" else set())
    found = [name for name, values in allowed.items() if parts[name] not in values]
    found += [name for name in science(exp) if not is_listed(name, followed)]
    found += [name for name, value in ONLY.items() if settings[name] != value]
    if found and found[0].endswith(".code"):  # somebody's own, and a hash says nothing to people
        return f"own {found[0].removesuffix('.code')} '{settings.get(found[0].replace('.code', '.name'), '')}'"
    return f"{found[0]}={settings.get(found[0], parts.get(found[0]))}" if found else ""


def explain_alone(experiments: Sequence[Experiment]) -> list[str]:
    """What to say of runs that ask for a number of runs in one program and are trained alone, a line a reason."""
    reasons = Counter(unstackable_setting(exp) for exp in experiments if isinstance(exp.trainer.stack, int))
    return [
        f"trainer.stack: {count} of {len(experiments)} runs are trained alone, as one program has no {reason}."
        for reason, count in reasons.items()
        if reason
    ]


def reason_alone(exp: Experiment) -> str:
    """Why a run is trained alone whatever stands beside it; "" where it may be tried as part of a program."""
    if exp.trainer.stack == "off":
        return "trainer.stack=off"
    if found := unstackable_setting(exp):
        return f"one program has no {found}"
    if exp.trainer.stack == "auto" and exp.trainer.last_digits == "same" and exp.model.family not in EXACT:
        return "convolutions of several runs at once round differently (trainer.last_digits=free allows that)"
    return ""


def largest_program(exp: Experiment) -> int:
    """How many runs one program may take."""
    return exp.trainer.stack if isinstance(exp.trainer.stack, int) else MOST


def are_compatible(one: Experiment, other: Experiment) -> bool:
    """Whether two runs may be trained as one program."""
    return form(one) is not None and form(one) == form(other)
