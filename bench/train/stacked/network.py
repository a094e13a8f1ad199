"""Several networks of one form as one, which computes with the parameters of all of them along a leading axis.

Images are [B, S * C, H, W], so that a convolution with S groups and a batch norm over S * C channels treat each of the
S networks apart. In dense layers they are [S, B, F], and a batched product has the rows, the columns and the order of
the sums of each network's own: on a CPU the bits come out as in S networks one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.train.stacked import layers


def can_stack(nets: Sequence[nn.Module]) -> bool:
    """Whether the networks are made of known layers and differ in nothing but weights and dropout rates."""
    forms = {re.sub(r"Dropout\(p=[^,]*,", "Dropout(", str(net)) for net in nets}
    return len(forms) == 1 and all(layers.is_followed(net) and _is_plain(net) for net in nets)


def _is_plain(net: nn.Module) -> bool:
    """Whether each layer stands in one place, and everything is trained."""
    places = [id(module) for _, module in net.named_modules(remove_duplicate=False)]
    return len(places) == len(set(places)) and all(weight.requires_grad for weight in net.parameters())


class Stacked(nn.Module):
    """S networks for which `can_stack` holds, as one: float32 [S, B, C, H, W] -> logits [S, B, K].

    The networks' own parameters and buffers become views of the program's: what is put into a network is in the
    program, and a network by itself answers as the program does.

    Attributes:
        tensors: name in a single network -> its S parameters or buffers as one tensor [S, ...].
        generators: one for each network, which dropout draws from as a single network draws from torch's own
            (on a CPU number for number).
    """

    def __init__(self, nets: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__()
        self.size = len(nets)
        self.tensors: dict[str, Tensor] = {}
        states = [net.to(device).state_dict(keep_vars=True) for net in nets]
        for name, first in states[0].items():
            whole = torch.stack([state[name].detach().contiguous() for state in states])
            self.tensors[name] = nn.Parameter(whole) if isinstance(first, nn.Parameter) else whole
            for state, mine in zip(states, whole, strict=True):
                state[name].data = mine
        self.generators = [torch.Generator(device) for _ in nets]
        # (parameter of the program, the networks' views of it)
        self.shared: list[tuple[nn.Parameter, list[nn.Parameter]]] = [
            (whole, [state[name] for state in states])
            for name, whole in self.tensors.items()
            if isinstance(whole, nn.Parameter)
        ]
        self.compute = layers.follow(self, "", list(nets))

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The stacked parameters."""
        yield from (whole for whole, _ in self.shared)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [S, B, C, H, W] -> logits [S, B, K]."""
        found: Any = self.compute(x)
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        """No gradients, of the program and of the networks."""
        for whole, views in self.shared:
            whole.grad = None
            for view in views:
                view.grad = None

    def share_gradients(self) -> None:
        """Make each network's gradients views of the program's, what its own penalty has added there included."""
        for whole, views in self.shared:
            assert whole.grad is not None
            for view, mine in zip(views, whole.grad.unbind(), strict=True):
                view.grad = mine if view.grad is None else mine.add_(view.grad)
