"""An optimizer of one's own: optim=NAME. Settings called lr, momentum and weight_decay are those of optim."""

import torch

from bench.parts import optimizer


@optimizer
class NAME(torch.optim.Optimizer):
    """Sharpness-aware minimisation around SGD (Foret et al. 2021, arXiv:2010.01412)."""

    def __init__(self, parameters, *, lr: float = 0.1, momentum: float = 0.9, rho: float = 0.05) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "rho": rho})
        self.sgd = torch.optim.SGD(self.param_groups, lr=lr, momentum=momentum)
        self.param_groups = self.sgd.param_groups

    @torch.no_grad()
    def step(self, closure):
        """Climb by rho along the gradient, take the gradient there, come back, and step with it."""
        closure = torch.enable_grad()(closure)
        loss = closure()
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in moved]))
        steps = [p.grad * (self.param_groups[0]["rho"] / (norm + 1e-12)) for p in moved]
        torch._foreach_add_(moved, steps)
        closure()
        torch._foreach_sub_(moved, steps)
        self.sgd.step()
        return loss

    def state_dict(self):
        """Of the SGD inside."""
        return self.sgd.state_dict()

    def load_state_dict(self, state):
        """Likewise."""
        self.sgd.load_state_dict(state)
        self.param_groups = self.sgd.param_groups
