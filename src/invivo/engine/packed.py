"""The CPU fast path: weights reordered once for the processor, GPT-2's activation as one kernel, no idle dropout.

A linear layer on one token is bound by reading its weights. oneDNN's blocked layout reads them faster, and reads them
once for several rows, where the stock layers pay for each row: that is what makes BASE and TWEAK cost about what BASE
alone costs. The operators are private to torch, so they live in this file only; wherever they are missing or the model
is not float32 on a CPU, the stock layers run. Packed copies are kept per layer and made anew when the weight changed.

On by default; INVIVO_EXACT=1 turns it off. Logits agree with the stock layers to about 1e-5; a test holds both equal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import NewGELUActivation

from ..model.anatomy import is_linear

LEAST_WEIGHTS = 16_384  # smaller layers gain nothing
# Vectors from which on the stock layer is the faster one: without AVX-512 it gains a sixth there (AVX2, 512 to 2,048
# wide), with it packed stays ahead. Told by the processor, not by a clock, so that one machine always rounds alike.
MANY = 128 if torch.backends.cpu.get_cpu_capability() == "AVX2" else 1 << 62
# Fewer vectors than this are filled up to it: with AVX-512, oneDNN reads a weight at 25 GB/s for two vectors and at 38
# for four (two threads; memory gives 35 to 40).
FEW = 4 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 1
LARGE = 2**19  # of the weights that this pays for: smaller ones stay in the processor's caches
LONG = 16_384  # of the rows in which a weight is read to see whether it changed
Stamp = tuple[int, int, float]
_PACKED: WeakKeyDictionary[nn.Module, tuple[Stamp, Tensor]] = WeakKeyDictionary()


def exact() -> bool:
    """Whether the user turned all shortcuts off."""
    return os.environ.get("INVIVO_EXACT", "") not in ("", "0")


def available() -> bool:
    """Whether torch has the operators and the user has not turned them off."""
    return (
        not exact()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _stamp(weight: Tensor) -> Stamp:
    """Changes when the weight does: storage, version, and a projection on fixed random vectors, because an edit through
    `.data` (two heads swapped, say) shows only in the values.
    """
    flat = weight.reshape(-1)
    size = flat.numel() // LONG * LONG
    tall, rest = flat[:size].view(-1, LONG), flat[size:]  # read at twice the speed of rows of 512
    right = _vector(LONG)
    found = float(_vector(len(tall)) @ (tall @ right)) + float(rest @ right[: len(rest)])
    return weight.data_ptr(), weight._version, found


@lru_cache(maxsize=64)
def _vector(size: int) -> Tensor:
    """Fixed random numbers, the same ones every time."""
    return torch.rand(size, generator=torch.Generator().manual_seed(size))


def _room_for(root: nn.Module) -> bool:
    """Whether packed copies of what is not packed yet take less than half of the memory that is free."""
    known = sum(packed.numel() * 4 for _, packed in _PACKED.values())
    needed = sum(p.numel() * 4 for p in root.parameters() if p.ndim == 2) - known
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not known on this system
        return True
    return needed < free / 2


def _pack(module: nn.Module) -> Tensor:
    """The layer's weight (out, in) in oneDNN's layout, from the cache if it still is the same weight."""
    weight: Tensor = module.weight.detach()  # type: ignore[union-attr, assignment]
    stamp = _stamp(weight)
    known = _PACKED.get(module)
    if known is not None and known[0] == stamp:
        return known[1]
    rows = weight if isinstance(module, nn.Linear) else weight.t()
    packed = torch.ops.mkldnn._reorder_linear_weight(rows.contiguous(), None)
    _PACKED[module] = (stamp, packed)
    return packed


def _linear(stock: Callable[[Tensor], Tensor], packed: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    multiply, large = torch.ops.mkldnn._linear_pointwise, packed.numel() >= LARGE

    def forward(x: Tensor) -> Tensor:
        *shape, width = x.shape
        count = x.numel() // width
        if count >= MANY:
            return stock(x)
        if large and 0 < count < FEW:
            filled = F.pad(x.reshape(count, width), (0, 0, 0, FEW - count))
            return multiply(filled, packed, bias, "none", [], "")[:count].view(*shape, -1)
        return multiply(x, packed, bias, "none", [], "")

    return forward


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _same(x: Tensor) -> Tensor:
    return x


@contextmanager
def packed(root: nn.Module) -> Iterator[None]:
    """Inside, linear layers of `root` run packed where that is possible. Weights must not change inside."""
    changed: list[Any] = []
    if available() and _room_for(root):
        module: Any
        for module in root.modules():
            swap = None
            if is_linear(module):
                weight: Any = module.weight
                if weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= LEAST_WEIGHTS:
                    bias: Any = getattr(module, "bias", None)
                    swap = _linear(module.forward, _pack(module), None if bias is None else bias.detach())
            elif type(module) is NewGELUActivation:
                swap = _gelu
            elif type(module) is nn.Dropout and not module.training:
                swap = _same
            if swap is not None and "forward" not in vars(module):
                setattr(module, "forward", swap)  # noqa: B010
                changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward
