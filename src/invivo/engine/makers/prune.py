"""Pruning: in every matrix of the blocks the smallest weights become zero (Han et al. 2015)."""

from __future__ import annotations

from typing import Any

import torch

from ...tweaks.model import Prune
from ..living import Living
from . import Maker, block_matrices


@torch.no_grad()
def make(living: Living, hf: Any, tweak: Prune) -> tuple[Any, tuple[str, ...]]:
    """`hf` with the smallest `share` of each linear layer's weights at zero, by magnitude; biases and norms stay."""
    cut = whole = 0
    for _, module in block_matrices(living, hf):
        weight: Any = module.weight
        count = round(tweak.share * weight.numel())
        smallest = weight.abs().flatten().topk(count, largest=False).indices
        weight.view(-1)[smallest] = 0
        cut, whole = cut + count, whole + weight.numel()
    return hf, (f"`{tweak}`: {cut:,} of {whole:,} weights in the blocks' matrices are zero",)


MAKER = Maker(Prune, make)
