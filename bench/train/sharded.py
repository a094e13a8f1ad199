"""Sharded training: each device keeps its share of the parameters, their gradients and the optimizer's state.

FSDP2 (Zhao et al. 2023, arXiv:2304.11277; torch.distributed.fsdp.fully_shard): before a block computes, its parameters
are gathered from all devices, and let go of afterwards. For networks that with their optimizer do not fit one device;
smaller ones are faster with trainer.strategy=ddp. What a run hands back, and its checkpoints, are whole.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment

BLOCK = 2**20  # parameters: smaller blocks are gathered together, as each gathering costs its latency
# timm's that shrink, mask or orthogonalise whole tensors in place, which pieces of tensors do not take or answer
# differently. The others agree with one device (tests/train/test_sharded.py).
NOT_SHARDED = frozenset({
    "adamp", "adamuon", "cadamw", "cadoptw", "clamb", "clion", "mars", "muon", "nadamuon", "nmuon", "novograd", "sgdp",
})  # fmt: skip


def is_sharded(exp: Experiment) -> bool:
    """Whether the Experiment shards its network."""
    return exp.trainer.strategy == "fsdp"


def check(exp: Experiment) -> None:
    """Refuse what works with whole tensors only.

    Raises:
        RequestError: naming the setting and what to use instead.
    """
    trainer, optim = exp.trainer, exp.optim
    if trainer.precision == "16-mixed":
        raise RequestError(
            "trainer.precision=16-mixed scales gradients, which trainer.strategy=fsdp does not do. Use bf16-mixed."
        )
    if trainer.channels_last == "always":
        raise RequestError(
            "trainer.channels_last=always lays weights out in an order that trainer.strategy=fsdp cannot share out. "
            "Use auto, or trainer.strategy=ddp."
        )
    if optim.name in NOT_SHARDED:
        raise RequestError(
            f"optim.name={optim.name} needs whole tensors, which trainer.strategy=fsdp does not keep. "
            "Use sgd, adamw, lamb or lion, or trainer.strategy=ddp."
        )
    for name, value, instead in (
        ("optim.l1", optim.l1, "optim.weight_decay"),
        ("optim.l2", optim.l2, "optim.weight_decay"),
        ("optim.ema", optim.ema, "trainer.strategy=ddp"),
        ("trainer.gradients", trainer.gradients, "trainer.strategy=ddp"),
    ):
        if value:
            raise RequestError(
                f"{name}={value} reads each layer's weights as a whole, which trainer.strategy=fsdp does not keep. "
                f"Use {instead}."
            )


def shard(net: nn.Module, mesh: Any) -> None:
    """Shard `net` in place over the devices of `mesh`, block by block; its parameters become DTensors."""
    from torch.distributed.fsdp import fully_shard  # half a second, and few runs shard

    for block in blocks(net):
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)  # what is in no block


def blocks(net: nn.Module, least: int = BLOCK) -> list[nn.Module]:
    """Parts of `net` with at least `least` parameters that no smaller part has; inner ones first, not `net` itself.

    Single layers are left to the part around them, which may read their weights without calling them (as
    nn.MultiheadAttention does); lists of modules are never called.
    """
    found: list[nn.Module] = []

    def rest(module: nn.Module) -> int:
        count = sum(p.numel() for p in module.parameters(recurse=False)) + sum(map(rest, module.children()))
        callable_part = any(True for _ in module.children()) and not isinstance(module, nn.ModuleList | nn.ModuleDict)
        if count < least or not callable_part or module is net or module in found:
            return count
        found.append(module)
        return 0

    rest(net)
    return found


def is_shared_out(net: nn.Module) -> bool:
    """Whether `shard` has been there: nothing is sharded where the library is not loaded."""
    library = sys.modules.get("torch.distributed.fsdp")
    return library is not None and isinstance(net, library.FSDPModule)


def release(net: nn.Module) -> None:
    """Let go of what scoring has gathered: only a backward pass would do so by itself."""
    if is_shared_out(net):
        net.reshard()  # type: ignore[operator]


def gather_state(net: nn.Module) -> dict[str, Tensor]:
    """The state of `net`, its sharded tensors gathered into main memory; all processes have to ask together."""
    if not is_shared_out(net):
        return net.state_dict()
    from torch.distributed.tensor import DTensor

    return {
        name: tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        for name, tensor in net.state_dict().items()
    }


def restore(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Put a whole state into a network that may be sharded."""
    if is_shared_out(net):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict  # slow to import

        # Of a copy, as torch shards the mapping's values where they are.
        set_model_state_dict(net, dict(state), options=StateDictOptions(full_state_dict=True))
    else:
        net.load_state_dict(state)


def optimizer_state(net: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer's state, whole in the first process where `net` is sharded; all processes have to ask together."""
    if not is_shared_out(net):
        return optimizer.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    return get_optimizer_state_dict(net, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def load_optimizer_state(net: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Put such a state back."""
    if is_shared_out(net):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

        set_optimizer_state_dict(net, optimizer, state, options=StateDictOptions(full_state_dict=True))
    else:
        optimizer.load_state_dict(state)
