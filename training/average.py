"""The mean of the weights that training started from and of those that it ended with (Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models").

A leg that teaches something new forgets a little of the old. Both ends of a leg lie in one valley of the loss, and
between them a model often has what was learned and has forgotten less, or nothing.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel


@torch.no_grad()
def averaged(model: GPT2LMHeadModel, start: dict[str, Tensor], share: float) -> GPT2LMHeadModel:
    """A copy of `model` of whose weights `share` (0 to 1) is `start`, by the same names, and the rest its own."""
    mixed = copy.deepcopy(model)
    for name, weight in mixed.named_parameters():
        weight.lerp_(start[name].to(weight), share)
    return mixed
