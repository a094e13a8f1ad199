"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import fnmatch
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from bench.imports import without_graph_breaks
from bench.models.norms import norms_of
from bench.models.stages import stages
from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.own import Own
from bench.schema.training import Optim

Place = Callable[[int], int]

TORCH: dict[str, Any] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adamax": torch.optim.Adamax,
    "asgd": torch.optim.ASGD,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
}


def optimizer(
    optim: Optim, parameters: Iterable[nn.Parameter | dict[str, Any]], fused: bool = True
) -> torch.optim.Optimizer:
    """The optimizer over `parameters`, or over groups of them as torch takes them: torch's where it has the name.

    Args:
        fused: one call for all tensors instead of a handful for each: the step of a small net is mostly call overhead.
    """
    wanted: list[Any] = [p for p in parameters if isinstance(p, dict) or p.requires_grad]
    if optim.own is not None:
        return own_optimizer(optim.own, optim, wanted)
    if optim.name == "sgd":
        return without_graph_breaks(torch.optim.SGD)(
            wanted, lr=optim.lr, momentum=optim.momentum, weight_decay=optim.weight_decay, fused=fused,
            **_betas_and_eps(optim, torch.optim.SGD),
        )  # fmt: skip
    if optim.name in ("adam", "adamw"):
        kind = torch.optim.Adam if optim.name == "adam" else torch.optim.AdamW
        return without_graph_breaks(kind)(
            wanted, lr=optim.lr, weight_decay=optim.weight_decay, fused=fused, **_betas_and_eps(optim, kind)
        )
    if optim.name in TORCH:
        options = {"momentum": optim.momentum} if optim.name == "rmsprop" else {}
        decay = {} if optim.name == "rprop" else {"weight_decay": optim.weight_decay}
        if optim.name == "rprop" and optim.weight_decay:
            raise RequestError("optim.weight_decay: rprop has none. Use optim.l2, or another optimizer.")
        return without_graph_breaks(TORCH[optim.name])(
            wanted, lr=optim.lr, **decay, **options, **_betas_and_eps(optim, TORCH[optim.name])
        )
    from timm.optim import create_optimizer_v2, get_optimizer_class  # a second to import, and few ask for it

    given = _betas_and_eps(optim, get_optimizer_class(optim.name, bind_defaults=False))
    return create_optimizer_v2(
        wanted, opt=optim.name, lr=optim.lr, weight_decay=optim.weight_decay, momentum=optim.momentum, **given
    )


def own_optimizer(mine: Own, optim: Optim, parameters: list[Any]) -> torch.optim.Optimizer:
    """The optimizer of somebody's own over parameters or groups of them.

    Raises:
        RequestError: where it fails, or makes something else.
    """
    make = function("optimizer", mine)
    takes = inspect.signature(make).parameters
    given = {name: getattr(optim, name) for name in ("lr", "momentum", "weight_decay") if name in takes}
    usual = Optim()
    for name in ("momentum", "weight_decay", "betas", "eps"):
        if name not in given and getattr(optim, name) != getattr(usual, name):
            raise RequestError(
                f"optim.{name}={getattr(optim, name)}: optim '{mine.name}' does not take it. Leave it out, or let the "
                f"optimizer take a parameter {name}."
                if name in ("momentum", "weight_decay")
                else f"optim.{name}: optim '{mine.name}' has settings of its own, and is not given it. Leave it out."
            )
    try:
        made = make(parameters, **given, **arguments(make, mine.values, "optimizer"))
    except RequestError:
        raise
    except Exception as error:
        raise error_of(f"optim '{mine.name}' cannot be made", error) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise RequestError(f"optim '{mine.name}' gives back {type(made).__name__}. Expected a torch.optim.Optimizer.")
    if "closure" not in inspect.signature(made.step).parameters:
        raise RequestError(f"optim '{mine.name}': its step takes no closure, and is called as step(closure). Write "
                           "def step(self, closure): with torch.enable_grad(): loss = closure()")  # fmt: skip
    return made


def _betas_and_eps(optim: Optim, kind: Any) -> dict[str, Any]:
    """`betas` and `eps`, where they are given, for an optimizer of this class.

    Raises:
        RequestError: it has none.
    """
    given = {name: value for name, value in (("betas", optim.betas), ("eps", optim.eps)) if value is not None}
    for name in given:
        if name not in inspect.signature(kind).parameters:
            raise RequestError(f"optim.{name}: {optim.name} has none. Leave it out, or choose another optim.name.")
    return given


def split_by_decay(groups: list[dict[str, Any]], net: nn.Module) -> list[dict[str, Any]]:
    """Groups of parameters, each cut in two: weights, and what does not decay.

    Norms and biases do not (Goyal et al. 2017, arXiv:1706.02677, section 5.3), nor what a model of timm excepts by name
    or pattern, such as position embeddings. What has one axis is taken for the former; of more axes are a norm's over
    whole images and somebody's own of the form [1, C, 1, 1].
    """
    names_of: Any = getattr(net, "no_weight_decay", set)
    patterns = tuple(names_of())
    names = {id(p): name for name, p in net.named_parameters()}
    of_norms = {id(p) for path in norms_of(net) for p in _parameters_of_norm(net.get_submodule(path))}
    out = []
    for group in groups:
        weights: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for p in group["params"]:
            name = names.get(id(p), "")
            excepted = id(p) in of_norms or name.rpartition(".")[2] == "bias"
            excepted = excepted or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
            (others if p.ndim <= 1 or excepted else weights).append(p)
        out += [{**group, "params": weights}, {**group, "params": others, "weight_decay": 0.0}]
    return [group for group in out if group["params"]]


def _parameters_of_norm(module: nn.Module) -> list[nn.Parameter]:
    """None of a convolution or affine layer whose weight is normalised."""
    return [] if isinstance(module, nn.Conv2d | nn.Linear) else list(module.parameters(recurse=False))


def split_by_layer(groups: list[dict[str, Any]], net: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """Groups of parameters, each cut into layers whose lr falls towards the input; the head's come first.

    The layers are timm's own (`timm.optim.param_groups_layer_decay`) where the network says what they are, and stages
    (`bench.models.stages`) where it does not.
    """
    place = _timm_layers(net) or {id(p): i for i, stage in enumerate(stages(net)) for p in stage.parameters}
    last = max(place.values())
    out = []
    for group in groups:
        for layer in sorted({place[id(p)] for p in group["params"]}, reverse=True):
            some = [p for p in group["params"] if place[id(p)] == layer]
            lr = group.get("lr", optim.lr) * optim.layer_decay ** (last - layer)
            out.append({**group, "params": some, "lr": lr})
    return out


def _timm_layers(net: nn.Module) -> dict[int, int]:
    """The layer of each parameter, by its id; empty where timm has none for the network (some refuse to say)."""
    if not hasattr(net, "group_matcher"):
        return {}
    from timm.models import group_parameters

    try:
        of_name = group_parameters(net, net.group_matcher(coarse=False), reverse=True)  # type: ignore[operator]
        return {id(p): of_name[name] for name, p in net.named_parameters()}
    except Exception:
        return {}


def schedule(
    optim: Optim, opt: torch.optim.Optimizer, steps: int, mine: Own | None = None, place: Place = int
) -> LambdaLR | None:
    """The per-step schedule over `steps` steps, or None where the lr never changes.

    Args:
        mine: a schedule of somebody's own in place of `optim.schedule`, after the warm-up.
        place: where in 0..steps a step is, for a training whose steps nobody knows beforehand.
    """
    if mine is None and optim.schedule == "constant" and optim.warmup == 0:
        return None
    at = factor(optim, steps) if mine is None else own_factor(mine, optim, steps)
    return LambdaLR(opt, lambda step: at(place(step)))


def own_factor(mine: Own, optim: Optim, steps: int) -> Callable[[int], float]:
    """`factor` by a function of somebody's own: of the share 0..1 of the steps after the warm-up.

    Raises:
        RequestError: in use, where it fails or gives no finite number from 0.
    """
    compute = function("schedule", mine)
    settings = arguments(compute, mine.values, "schedule")
    warm = round(optim.warmup * steps)

    def at(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, steps - warm))
        try:
            found = float(compute(done, **settings))
        except Exception as error:
            raise error_of(f"schedule '{mine.name}' cannot be computed at {done:.3g}", error) from error
        if not math.isfinite(found) or found < 0:
            raise RequestError(f"schedule '{mine.name}' gives {found} at {done:.3g}. Expected a number from 0.")
        return found

    return at


def factor(optim: Optim, steps: int) -> Callable[[int], float]:
    """What `optim.lr` is multiplied by at step 0..steps-1.

    cosine: half a cosine from 1 to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).
    step: times `step_factor` after every `step_every` of all steps, `optim.drops` times.
    onecycle: from 1/25 up to 1 over the first 30 %, then down to 1/25,000, both by cosine
    (Smith & Topin 2019, arXiv:1708.07120, without its momentum cycle).
    multistep: times `step_factor` at each of `milestones`.
    exponential: as step, but falling all the time.
    linear, poly: from 1 to 0, (1 - share of the run done) to the power of 1 or `power`.
    tanh: (1 - tanh(10 x - 7)) / 2 of the share x (Hsueh et al. 2019, arXiv:1806.01593, with timm's bounds).
    restarts: `cycles` equal cosines, each from 1 to 0 (Loshchilov & Hutter 2017).
    wsd: 1, and over the last `cooldown` of all steps 1 - sqrt(share of it done) (Hu et al. 2024, arXiv:2404.06395;
    Haegele et al. 2024, arXiv:2405.18392).
    """
    warm = round(optim.warmup * steps)

    def at(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        done = (step - warm) / max(1, steps - warm)
        if optim.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        if optim.schedule == "step":
            # 1e-9: 0.33 / 0.33 must count as one whole interval.
            return optim.step_factor ** min(optim.drops, math.floor(done / optim.step_every + 1e-9))
        if optim.schedule == "multistep":
            return optim.step_factor ** sum(done >= m - 1e-9 for m in optim.milestones)
        if optim.schedule == "exponential":
            return optim.step_factor ** (done / optim.step_every)
        if optim.schedule in ("linear", "poly"):
            return (1 - min(1.0, done)) ** (1.0 if optim.schedule == "linear" else optim.power)
        if optim.schedule == "tanh":
            return 0.5 * (1 - math.tanh(10 * min(1.0, done) - 7))
        if optim.schedule == "restarts":
            return 0.5 * (1 + math.cos(math.pi * ((optim.cycles * done) % 1)))
        if optim.schedule == "wsd":
            return 1 - math.sqrt(max(0.0, min(1.0, (step - steps * (1 - optim.cooldown)) / (steps * optim.cooldown))))
        if optim.schedule == "onecycle":
            low, last, peak = 1 / 25, 1 / 25_000, 0.3
            if done < peak:
                return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * done / peak))
            return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, (done - peak) / (1 - peak))))
        return 1.0

    return at
