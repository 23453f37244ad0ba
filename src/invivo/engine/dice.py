"""Random numbers that belong to places, not to a stream: each is a function of a seed and some counters.

The noise at position 7 is the same with a KV cache and without, alone and in a batch, whatever was drawn before. The
Gumbel noise of step 3 is the same for BASE and TWEAK, so they part only where the tweak, not the dice, parted them.
Method: counters are hashed with a 32-bit avalanche mixer (multiply and xor-shift rounds, constants of Wellons' 2018
search, public domain) in int64 arithmetic. Always on the CPU: the same numbers whatever the model runs on.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit integers (held in int64) in which every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & MASK
    return x ^ (x >> 16)


def uniform(seed: int, *counters: Tensor | int) -> Tensor:
    """Uniform numbers in (0, 1), float64, one for each combination of `counters` (int tensors that broadcast)."""
    state = torch.tensor(seed & MASK, dtype=torch.int64)
    for counter in ((seed >> 32) & MASK, *counters):
        value = counter if isinstance(counter, Tensor) else torch.tensor(counter)
        state = _mix((_mix(state) + (value.to(torch.int64) + 0x9E3779B9)) & MASK)
    second = _mix(state ^ 0x5BF03635)
    return (state.double() * 2.0**32 + second.double() + 0.5) / 2.0**64


def normal(seed: int, *counters: Tensor | int) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.special.ndtri(uniform(seed, *counters))


def gumbel(seed: int, step: int, size: int) -> Tensor:
    """Gumbel noise (size,) of one decoding step, float64. The argmax of log-probabilities plus it is a fair sample
    (Gumbel 1954; Maddison et al. 2014).
    """
    return -torch.log(-torch.log(uniform(seed, step, torch.arange(size))))
