"""Cross-entropy through the head, a few rows at a time, so that logits never leave the processor's cache.

All logits of a batch are 256 MiB that are written and read some six times; on a CPU that took a third of a step. The
gradient of the loss is known as soon as the logits are, so forward computes both and keeps only what has the size of
the hidden states and of the head. Plain `F.cross_entropy` is the slow twin, and what a GPU uses.
"""

from __future__ import annotations

from typing import Any

import torch

ROWS = 256


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        d_hidden, d_head, total = torch.empty_like(hidden), torch.zeros_like(head), hidden.new_zeros(())
        for start in range(0, len(hidden), ROWS):
            h, t = hidden[start : start + ROWS], targets[start : start + ROWS, None]
            logits = h @ head.T  # (rows, V)
            norm = logits.logsumexp(1, keepdim=True)
            total += (norm - logits.gather(1, t)).sum()
            p = logits.sub_(norm).exp_()
            p.scatter_add_(1, t, torch.full_like(norm, -1.0))
            torch.mm(p, head, out=d_hidden[start : start + ROWS])
            d_head.addmm_(p.T, h)
        ctx.save_for_backward(d_hidden.div_(len(hidden)), d_head.div_(len(hidden)))
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden * grads[0], d_head * grads[0], None


def head_loss(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N, D) hidden states, (V, D) head, (N,) next tokens -> mean nats per token."""
    loss: torch.Tensor = _HeadLoss.apply(hidden, head, targets)  # pyright: ignore[reportAssignmentType]
    return loss
