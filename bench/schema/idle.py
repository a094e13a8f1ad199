"""Settings that an Experiment has and that change none of its numbers, because of another setting, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.schema.corrections import drops_in_head
from bench.schema.equal import equal_values
from bench.schema.experiment import Experiment
from bench.schema.model import Cnn, Dnn, Fractal, Knn, Linear, OwnModel
from bench.schema.science import flat_settings, science

# Optimizers that have `momentum`; others have betas, or nothing of the kind.
MOMENTUM = frozenset({
    "sgd", "rmsprop", "adafactorbv", "adafactorbvc", "adamuon", "larc", "lars", "madgrad", "madgradw", "muon",
    "nadamuon", "nesterov", "nlarc", "nlars", "nmuon", "rmsproptf", "sgdp", "sgdw", "own",
})  # fmt: skip
# Setting of `optim` -> the schedules that read it.
OF_SCHEDULES = {
    "step_every": ("step", "exponential"),
    "step_factor": ("step", "multistep", "exponential"),
    "milestones": ("multistep",),
    "power": ("poly",),
    "cycles": ("restarts",),
    "cooldown": ("wsd",),
}
# Of the trainer: what decides numbers of a training by gradient steps only.
OF_TRAINING = (
    "epochs", "steps", "seconds", "batch_size", "sampling", "select", "patience", "target", "sync_batchnorm",
    "accumulate", "clip", "precision",
)  # fmt: skip
MAYBE_BATCH = ("batch", "native", "own")  # norms that are batch norm, or may be
OF_WEIGHTS = ("weights", "sha256", "entry", "preprocess", "input", "lr_backbone", "head", "hidden", "k", "metric",
              "votes", "views")  # fmt: skip


def idle_settings(exp: Experiment) -> dict[str, str]:
    """Name -> why its value changes nothing here, whatever it is; of settings that decide numbers elsewhere."""
    return dict([*_training(exp), *_optim(exp), *_transfer(exp), *_model(exp), *_pixels(exp)])


def remarks(experiments: Sequence[Experiment], facts: Sequence[Facts] = ()) -> list[str]:
    """What to say before compute is spent, a line a setting and reason.

    Of a single Experiment, and of a set all of which are alike in this: what is set and changes nothing, or is another
    value by its name. Of others: what is varied among runs in which it changes nothing, so that they are one run under
    several names.

    Args:
        facts: of each Experiment, what its images say besides.
    """
    facts = facts or [Facts()] * len(experiments)
    idle = [{**idle_settings(exp), **known.idle} for exp, known in zip(experiments, facts, strict=True)]
    equal = [{**equal_values(exp), **known.equal} for exp, known in zip(experiments, facts, strict=True)]
    flat = [flat_settings(exp) for exp in experiments]
    set_by_hand = [science(exp) for exp in experiments]
    out = []

    def tell(name: str, where: Sequence[int], what: Sequence[str], varies: bool) -> None:
        if not varies and not (len(where) == len(flat) and any(name in set_by_hand[i] for i in where)):
            return
        for said, count in Counter(what).items():
            runs = f" in {count} of {len(flat)} runs" if len(flat) > 1 else ""
            out.append(said.format(runs=runs))

    for name in dict.fromkeys(name for one in idle for name in one):
        where = [i for i, one in enumerate(idle) if name in one]
        value = f"={flat[where[0]].get(name)}" if len(flat) == 1 else ""
        what = [f"{name}{value} changes nothing{{runs}}: {_plain(idle[i][name])}." for i in where]
        tell(name, where, what, _varies(name, [flat[i] for i in where]))
    for one, same in zip(idle, equal, strict=True):
        for name in one.keys() & same.keys():
            del same[name]
    renamed = dict.fromkeys(name for one in equal for name in one)
    differs = {name for name in renamed if len({str(settings.get(name)) for settings in flat}) > 1}
    plainer = [
        _say_plainly(exp, same, known.idle) if differs else {}
        for exp, same, known in zip(experiments, equal, facts, strict=True)
    ]
    for name in renamed:
        where = [i for i, one in enumerate(equal) if name in one and name in flat[i]]  # epochs are not where steps are
        what = [f"{name}={_plain(flat[i].get(name))} is {name}={_plain(equal[i][name][0])}{{runs}}: "
                f"{_plain(equal[i][name][1])}." for i in where]  # fmt: skip
        tell(name, where, what, name in differs and _coincides(name, flat, plainer))
    return out


@dataclass
class Facts:
    """What the images of an Experiment say of its settings: which change nothing, which are others by name."""

    idle: dict[str, str] = field(default_factory=dict)
    equal: dict[str, tuple[Any, str]] = field(default_factory=dict)


def _say_plainly(exp: Experiment, equal: Mapping[str, tuple[Any, str]], idle: Iterable[str]) -> dict[str, Any]:
    """The settings of an Experiment that decide its numbers, each by its plainest value."""
    for name, (value, _) in equal.items():
        group, _, last = name.partition(".")
        if last != "family":  # another one has other settings
            value = tuple(value) if isinstance(value, list) else value
            exp = replace(exp, **{group: replace(getattr(exp, group), **{last: value})})
    silent = {*idle_settings(exp), *idle}
    return {name: value for name, value in flat_settings(exp).items() if name not in silent}


def _plain(value: Any) -> str:
    """As people write a value, safe in a format."""
    text = "null" if value is None else str(value)
    return text.replace("{", "{{").replace("}", "}}")


def _coincides(name: str, flat: Sequence[dict[str, Any]], plainer: Sequence[dict[str, Any]]) -> bool:
    """Whether two Experiments with different values of a setting are one in plainer words."""
    values: dict[str, set[str]] = {}
    for settings, plain in zip(flat, plainer, strict=True):
        values.setdefault(_text(plain), set()).add(str(settings.get(name)))
    return any(len(different) > 1 for different in values.values())


def _text(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _varies(name: str, settings: Sequence[dict[str, Any]]) -> bool:
    """Whether two Experiments differ in this setting alone."""
    if len({str(one.get(name)) for one in settings}) < 2:  # which is quickly seen, for the thousands of a large sweep
        return False
    others = [_text({k: v for k, v in one.items() if k != name}) for one in settings]
    values = {(other, str(one.get(name))) for other, one in zip(others, settings, strict=True)}
    return len(values) > len(set(others))


Idle = Iterator[tuple[str, str]]


def _training(exp: Experiment) -> Idle:
    if not exp.trains:
        what = exp.model_name if exp.model.family in ("knn", "ncm") else f"transfer.head={exp.transfer.head}"
        for name in [*flat_settings(exp.optim, "optim."), *(f"trainer.{name}" for name in OF_TRAINING)]:
            yield name, f"{what} is not trained by gradient steps"
        if exp.transfer.mode == "scratch":
            for name in flat_settings(exp.augment, "augment."):
                yield name, f"{what} is not trained on augmented images"
        return
    if exp.trainer.devices * exp.trainer.num_nodes == 1:
        yield "trainer.sync_batchnorm", "there is one device"
    elif (norm := exp.model.native_norm if exp.norm_layer.name == "native" else exp.norm_layer.name) not in MAYBE_BATCH:
        yield "trainer.sync_batchnorm", f"the network has no batch norm (norm_layer={norm})"
    if exp.trainer.whole_epochs == 1:
        yield "trainer.select", "there is one epoch"


def _optim(exp: Experiment) -> Idle:
    optim = exp.optim
    if not exp.trains:
        return
    if optim.name not in MOMENTUM:
        yield "optim.momentum", f"{optim.name} has none"
    if not optim.weight_decay and optim.own is None:
        yield "optim.decayed", "optim.weight_decay is 0"
    if isinstance(exp.model, Linear):
        yield "optim.layer_decay", "the model is one layer"
    for name, schedules in OF_SCHEDULES.items():
        if optim.schedule not in schedules:
            named = exp.schedule.own.name if exp.schedule is not None else optim.schedule
            yield f"optim.{name}", f"schedule '{named}' has none"


def _transfer(exp: Experiment) -> Idle:
    transfer, mode = exp.transfer, exp.transfer.mode
    if mode == "scratch":
        for name in OF_WEIGHTS:
            yield f"transfer.{name}", "transfer.mode=scratch starts from random weights"
        return
    if mode == "frozen":
        yield "transfer.lr_backbone", "a frozen backbone is not trained"
    if mode != "frozen" or not exp.augment_made:
        yield "transfer.views", "it is for a frozen backbone and augmented images"
    for name, heads in {"hidden": ("dnn",), "k": ("knn",), "votes": ("knn",), "metric": ("knn", "ncm")}.items():
        if transfer.head not in heads:
            yield f"transfer.{name}", f"transfer.head={transfer.head} has none"
    published = transfer.weights in ("bundled", "timm") or transfer.input is not None
    if transfer.preprocess == "weights" and published:
        yield "pixel_norm.name", "pixels are scaled as for the weights (transfer.preprocess=own: by pixel_norm)"


def _dropped_in_backbone(exp: Experiment) -> tuple[str, ...]:
    """What of a model's settings drops in the backbone only, where that is frozen."""
    if exp.transfer.mode != "frozen" or drops_in_head(exp.model) or isinstance(exp.model, OwnModel):
        return ()
    return tuple(name for name in ("dropout", "drop_path") if hasattr(exp.model, name))


def _model(exp: Experiment) -> Idle:
    model = exp.model
    if exp.norm_layer.name != "group":
        yield "norm_layer.groups", f"norm_layer={exp.norm_layer.name} has no groups"
    for name in _dropped_in_backbone(exp):
        yield f"model.{name}", "a frozen backbone is in evaluation mode and drops nothing"
    if isinstance(model, Cnn):
        if model.pooling == "none":
            yield "model.pool_size", "model.pooling=none"
        if not model.dense:
            yield "model.dropout", "it follows dense layers, and model.dense has none"
    if isinstance(model, Dnn) and not model.hidden:
        for name in ("model.dropout", "model.activation", "norm_layer.name"):
            yield name, "model.hidden has no layers"
    if isinstance(model, Fractal):
        if len(model.filters) == 1:
            yield "model.dropout", "it rises from 0 after the first block, and model.filters has one"
        if model.columns == 1:
            yield "model.drop_path", "one column has no joins"
    if isinstance(model, Knn) and model.k == 1:
        yield "model.weights", "model.k=1 asks one neighbour"


def _pixels(exp: Experiment) -> Idle:
    augment, corrupt = exp.augment, exp.corrupt
    if augment.policy != "randaugment":
        for name in ("policy_ops", "policy_magnitude"):
            yield f"augment.{name}", f"augment.policy={augment.policy} has none"
    if exp.trainer.batch_size == 1:
        for name in ("mixup", "cutmix"):
            yield f"augment.{name}", "it mixes neighbours of a batch, and trainer.batch_size is 1"
    if not augment.crop:
        yield "augment.crop_fill", "augment.crop is 0"
    if not augment.blur:
        yield "augment.blur_sigma", "augment.blur is 0"
    if not corrupt.names and not corrupt.own:
        for name in ("severities", "seed"):
            yield f"corrupt.{name}", "corrupt.names is empty"
    if exp.split.kind == "kfold":
        yield "split.test", "the folds of split=kfold decide"
