"""Quantizing: the blocks' weights rounded to few bits, by torchao (int1 to int8) or bitsandbytes (nf4).

What comes out are the rounded values as ordinary float32 weights in the layers that were there, so that every family
and every tweak goes on as before; a layer that keeps the whole numbers gives the same outputs (a test holds both
equal), only slower on a CPU. The notes say how many bytes the numbers and their scales take where they are kept.

Why not `quantize_(model)`: torchao knows nn.Linear only. In a GPT-2, whose layers are Conv1D, it would round the output
head alone, and untie it from the embeddings. So each matrix is handed over by itself, and a model none of whose weights
changed is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import OutOfRange, Refused
from ...tweaks.model import Quantize
from ..extras import extra
from ..living import Living
from . import Maker, block_matrices

NF4_GROUP = 64


@dataclass(frozen=True)
class Rounded:
    """A matrix in few bits."""

    values: Tensor  # (out, in) float32, what the numbers stand for
    bits: int  # that the numbers and their scales take


def rounded(rows: Tensor, tweak: Quantize) -> Rounded:
    """A matrix (out, in), rounded. Raises OutOfRange where its rows are no whole number of groups, Refused where the
    library is missing.
    """
    return _nf4(rows, tweak) if tweak.to == "nf4" else _whole(rows, tweak)


def _layer(rows: Tensor) -> nn.Linear:
    layer = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(rows.detach().clone().float().contiguous(), requires_grad=False)
    return layer


def _whole(rows: Tensor, tweak: Quantize) -> Rounded:
    quantization = extra("torchao.quantization", "quant")
    granularity = extra("torchao.quantization.granularity", "quant")
    if tweak.group and rows.shape[1] % tweak.group:
        raise OutOfRange(
            f"`{tweak}`: a row of {rows.shape[1]} weights is no whole number of groups",
            hint=f"take a group that divides {rows.shape[1]}",
        )
    config = quantization.IntxWeightOnlyConfig(
        weight_dtype=getattr(torch, tweak.to),
        granularity=granularity.PerGroup(tweak.group) if tweak.group else granularity.PerAxis(0),
    )
    layer = _layer(rows)
    quantization.quantize_(layer, config)
    weight: Any = layer.weight
    bits = int(tweak.to.removeprefix("int")) * weight.qdata.numel() + 32 * weight.scale.numel()
    return Rounded(weight.dequantize().float(), bits)


def _nf4(rows: Tensor, tweak: Quantize) -> Rounded:
    functional = extra("bitsandbytes.functional", "quant")
    size = tweak.group or NF4_GROUP
    kept, state = functional.quantize_4bit(rows.detach().float().contiguous(), blocksize=size, quant_type="nf4")
    values = functional.dequantize_4bit(kept, state, quant_type="nf4").float()
    return Rounded(values.reshape(rows.shape), 8 * kept.numel() + 32 * state.absmax.numel())


@dataclass(frozen=True)
class Rounding:
    """What rounding all matrices came to."""

    before: int  # bytes that they took
    after: int  # bytes that their numbers and scales take
    off: float  # length of the whole change over that of the weights
    changed: bool  # whether a single weight did


@torch.no_grad()
def round_all(living: Living, hf: Any, tweak: Quantize) -> Rounding:
    """Round the matrices in the blocks of `hf`, a copy of `living`'s model, in place."""
    before = after = changed = 0
    missed = whole = 0.0
    for _, module in block_matrices(living, hf):
        weight: Any = module.weight
        rows = weight if isinstance(module, nn.Linear) else weight.t()
        found = rounded(rows, tweak)
        values = found.values.to(weight.dtype)
        missed += float((values - rows).pow(2).sum())
        whole += float(rows.pow(2).sum())
        changed += int((values != rows).any())
        before, after = before + rows.numel() * rows.element_size(), after + found.bits // 8
        weight.copy_(values if isinstance(module, nn.Linear) else values.t())
    return Rounding(before, after, (missed / whole) ** 0.5 if whole else 0.0, changed > 0)


def make(living: Living, hf: Any, tweak: Quantize) -> tuple[Any, tuple[str, ...]]:
    """`hf` with the weights of its blocks' matrices rounded. Raises Refused where none of them changed."""
    found = round_all(living, hf, tweak)
    if not found.changed:
        raise Refused(
            f"`{tweak}` changed no weight of {living.name}'s blocks",
            hint="its weights may be rounded already; there is nothing to compare",
        )
    return hf, (
        f"`{tweak}`: the matrices of the blocks would take {found.after / 2**20:.2f} MiB instead of "
        f"{found.before / 2**20:.2f}; their weights are off by {found.off:.2%} (root mean square)",
    )


MAKER = Maker(Quantize, make)
