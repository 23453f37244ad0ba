"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) in the precision that the machine is good at.

The same update as `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"`, which a test holds it to. torch's works in
bfloat16 always, one matrix after another; on a processor without bfloat16 instructions that took 13 s a step where
learning took 3.5 s. Here matrices of one shape are handled together, in float32 unless on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

A, B, C = 3.4445, -4.7750, 2.0315  # the quintic's coefficients, from the page above
STEPS = 5


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """(N, rows, columns) -> nearly orthogonal matrices with the same singular vectors, by Newton-Schulz iteration."""
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is made orthogonal; for the matrices inside blocks only."""

    def __init__(
        self, params: Iterable[torch.nn.Parameter], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[tuple[torch.nn.Parameter, torch.Tensor]]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append((p, p.grad))
            for shape, pairs in shapes.items():
                moves = []
                for p, grad in pairs:
                    state = self.state[p]
                    if not state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(grad, 1 - group["momentum"])
                    moves.append(grad.lerp(state["momentum"], group["momentum"]))  # Nesterov's look ahead
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                for (p, _), move in zip(pairs, orthogonal(torch.stack(moves)), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(move, alpha=-rate)
