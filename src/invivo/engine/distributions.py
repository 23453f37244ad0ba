"""Distributions over a vocabulary, as logits or log-probabilities (…, V): what they say, and how far two are apart.

A vocabulary is long and memory is slow, so what is asked for every token of a text is computed in few passes. Each
shortcut has torch's own function as its slow twin (tests/test_distributions.py).
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from .packed import exact

GROUPS = 64  # a vocabulary is searched for its likeliest tokens by the peaks of so many interleaved parts
SPAN = 256  # for its likeliest one, by the peaks of so many tokens side by side;
ENOUGH = 2**15  # fewer numbers than these are searched as they are


class Predicted(NamedTuple):
    """What a model predicts: log-probabilities and probabilities (…, V), and the likeliest token (…, 1).

    The likeliest token is that of the largest logit: log-probabilities of two may be rounded to the same number.
    """

    log_probs: Tensor
    probs: Tensor
    top: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        """From logits (…, V)."""
        return cls(*spread(logits), peak(logits))

    def at(self, index: int) -> Self:
        """One of the first axis."""
        return type(self)(*(x[index] for x in self))

    def alone(self) -> Self:
        """As a batch of one."""
        return type(self)(*(x[None] for x in self))


def spread(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and probabilities of logits (…, V).

    torch's softmax takes a third of the time of its log_softmax on a CPU, and the largest logit with its probability
    gives what is to be taken off. INVIVO_EXACT=1 takes log_softmax.
    """
    if exact():
        log_probs = logits.log_softmax(-1)
        return log_probs, log_probs.exp()
    probs = logits.softmax(-1)
    log_probs = logits - logits.amax(-1, keepdim=True)  # first: what is small must not be rounded as what is large
    return log_probs.add_(probs.amax(-1, keepdim=True).log()), probs


def crossed_entropy(probs: Tensor, log_probs: Tensor) -> Tensor:
    """Minus the mean of `log_probs` under `probs`, in nats, along the last axis; a probability of 0 adds nothing."""
    found = -torch.linalg.vecdot(probs, log_probs)
    if not bool(torch.isfinite(found).all()):  # 0 · inf somewhere: slower, and right
        found = -torch.linalg.vecdot(probs, log_probs.masked_fill(probs == 0, 0.0))
    return found


def entropy(log_probs: Tensor) -> Tensor:
    """Entropy in nats along the last axis; a probability of zero adds nothing."""
    return crossed_entropy(log_probs.exp(), log_probs)


def divergence(base: Tensor, tweak: Tensor, weight: Tensor) -> Tensor:
    """KL(base ‖ tweak) in nats along the last axis, of log-probabilities; what base never says adds nothing.

    `weight` are base's probabilities.
    """
    found = (base - tweak).mul_(weight).sum(-1)
    if not bool(torch.isfinite(found).all()):  # 0 · inf somewhere: slower, and right
        found = (weight * (base - tweak).masked_fill(weight == 0, 0.0)).sum(-1)
    return found.clamp(min=0)


def likeliest(scores: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The `top` largest of each row (R, V), largest first, and where they are.

    A whole sort is avoided: whatever is among the largest lies in one of the `top` interleaved parts whose peaks are
    the largest, and a peak is read at the speed of memory.
    """
    rows, count = scores.shape
    top = min(top, count)
    width = count // GROUPS
    if width <= top or exact():
        best = scores.topk(top)
        return best.values, best.indices
    parts = scores[:, : width * GROUPS].reshape(rows, GROUPS, width)
    found = parts.amax(1).topk(top).indices  # (R, top)
    inside = torch.arange(GROUPS, device=scores.device) * width
    where = (found[:, :, None] + inside).flatten(1)  # (R, top * GROUPS)
    rest = torch.arange(width * GROUPS, count, device=scores.device).expand(rows, -1)
    where = torch.cat([where, rest], dim=1)
    best = scores.gather(1, where).topk(top)
    return best.values, where.gather(1, best.indices)


def peak(scores: Tensor) -> Tensor:
    """Where the largest of (…, V) is, (…, 1): the first of them, as argmax has it, found in a fifth of its time."""
    count = scores.shape[-1]
    whole = count // SPAN
    if scores.numel() < ENOUGH or exact():
        return scores.argmax(-1, keepdim=True)
    peaks = scores[..., : whole * SPAN].unflatten(-1, (whole, SPAN)).amax(-1)
    if whole * SPAN < count:
        peaks = torch.cat([peaks, scores[..., whole * SPAN :].amax(-1, keepdim=True)], dim=-1)
    inside = torch.arange(SPAN, device=scores.device)
    where = (peaks.argmax(-1, keepdim=True) * SPAN + inside).clamp(max=count - 1)
    return where.gather(-1, scores.gather(-1, where).argmax(-1, keepdim=True))
