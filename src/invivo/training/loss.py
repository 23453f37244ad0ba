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
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        d_hidden, d_head, total = torch.empty_like(hidden), torch.zeros_like(head), hidden.new_zeros(2)
        for start in range(0, len(hidden), ROWS):
            h, t, w = (x[start : start + ROWS] for x in (hidden, targets[:, None], weights[:, None]))
            logits = h @ head.T  # (rows, V)
            norm = logits.logsumexp(1, keepdim=True)
            nats = norm - logits.gather(1, t)
            total += torch.stack(((nats * w).sum(), nats.sum()))
            p = logits.sub_(norm).exp_()
            p.scatter_add_(1, t, torch.full_like(norm, -1.0)).mul_(w)
            torch.mm(p, head, out=d_hidden[start : start + ROWS])
            d_head.addmm_(p.T, h)
        ctx.save_for_backward(d_hidden.div_(len(hidden)), d_head.div_(len(hidden)))
        weighted, plain = total[0] / len(hidden), total[1] / len(hidden)
        ctx.mark_non_differentiable(plain)
        return weighted, plain

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden * grads[0], d_head * grads[0], None, None


def head_loss(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, D) hidden states, (V, D) head, (N,) next tokens and how much each counts -> what to learn from, and nats.

    The first is the sum of weighted nats over N, the second the mean of nats per token, which has no gradient.
    """
    found: tuple[torch.Tensor, torch.Tensor] = _HeadLoss.apply(  # pyright: ignore[reportAssignmentType]
        hidden, head, targets, weights
    )
    return found
