"""What a model keeps of the tokens it has read: transformers' caches, one that keeps few bits, one with
room for what comes, and their size in bytes.

Quantizing keys and values a token at a time follows KIVI (Liu et al. 2024) in using a lowest value and a step for each
group; theirs groups keys by channel, ours by token and head, so that a new token never changes the old ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from ..errors import OutOfRange
from .living import Living
from .packed import exact

BITS = (2, 4, 8)


class FewBits(DynamicLayer):
    """A cache layer that keeps keys and values in a few bits a number, and a lowest value and step a token and head."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits not in BITS:
            raise OutOfRange(f"{bits} bits cannot be packed here", hint=f"take {', '.join(map(str, BITS))}")
        self.bits = bits
        self.held: list[tuple[Tensor, Tensor, Tensor]] = []  # of keys, then values: codes, lowest, step

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add (B, H, T, K) keys and values; returns all of them as they are read back."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new = [packed(x, self.bits) for x in (key_states, value_states)]
        if self.held:
            new = [
                (torch.cat([a, x], -2), torch.cat([b, y], -2), torch.cat([c, z], -2))
                for (a, b, c), (x, y, z) in zip(self.held, new, strict=True)
            ]
        self.held = new
        keys, values = (
            unpacked(*one, self.bits, x.shape[-1]).to(x.dtype)
            for one, x in zip(self.held, (key_states, value_states), strict=True)
        )
        return keys, values

    def get_seq_length(self) -> int:
        """How many tokens are kept."""
        return self.held[0][0].shape[-2] if self.held else 0

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        return sum(x.nbytes for one in self.held for x in one)


def packed(x: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers (…, K) as codes (…, K · bits / 8) of uint8, with the lowest number and the step (…, 1) in float16."""
    x = x.float()
    low = x.amin(-1, keepdim=True).half()
    step = ((x.amax(-1, keepdim=True) - low.float()) / (2**bits - 1)).clamp(min=1e-6).half()
    codes = ((x - low.float()) / step.float()).round().clamp(0, 2**bits - 1).to(torch.uint8)
    each = 8 // bits  # codes in a byte
    codes = torch.nn.functional.pad(codes, (0, -codes.shape[-1] % each)).unflatten(-1, (-1, each))
    shifts = torch.arange(each, device=x.device, dtype=torch.uint8) * bits
    return (codes << shifts).sum(-1, dtype=torch.uint8), low, step


def unpacked(codes: Tensor, low: Tensor, step: Tensor, bits: int, width: int) -> Tensor:
    """What `packed` packed (…, K), each number at most half a step off."""
    shifts = torch.arange(8 // bits, device=codes.device, dtype=torch.uint8) * bits
    each = ((codes[..., None] >> shifts) & (2**bits - 1)).flatten(-2)[..., :width]
    return each.float() * step.float() + low.float()


class Roomy(DynamicLayer):
    """A cache layer with room for what is still to come: new tokens are written behind the others, which stay where
    they are, where transformers' own layer copies all of them at every step.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room  # tokens
        self.held: list[Tensor] = []  # keys and values (B, H, room, K)
        self.given: Tensor | None = None  # the keys that were given out last

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add (B, H, T, K) keys and values; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new: tuple[Any, ...] = (key_states, value_states)
        known: tuple[Any, ...] = (self.keys, self.values)
        first = self.get_seq_length()
        end = first + key_states.shape[-2]
        # Whoever gave the layer other tensors, as a new order of the rows does, took them out of their room.
        if end > self.room or self.given is None or self.given is not self.keys:
            self.room = max(self.room, end)
            self.held = [x.new_empty((*x.shape[:2], self.room, x.shape[-1])) for x in new]
            if first:
                for place, old in zip(self.held, known, strict=True):
                    place.narrow(2, 0, first).copy_(old)
        for place, x in zip(self.held, new, strict=True):
            place.narrow(2, first, end - first).copy_(x)
        self.keys, self.values = (x.narrow(2, 0, end) for x in self.held)
        self.given = self.keys
        return self.keys, self.values


def growing(config: Any, room: int) -> DynamicCache:
    """The cache that a model's configuration asks for, its plain layers with room for so many tokens."""
    cache = DynamicCache(config=config)
    if not exact():
        cache.layers = [Roomy(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def few_bits(layers: int, bits: int) -> Cache:
    """A cache of `bits` bits a number."""
    return Cache(layers=[FewBits(bits) for _ in range(layers)])


def window(layers: int, width: int) -> Cache:
    """A cache that keeps what the next token sees when it sees itself and the `width` - 1 before it."""
    return Cache(layers=[DynamicSlidingWindowLayer(sliding_window=width) for _ in range(layers)])


def whole() -> DynamicCache:
    """A cache that keeps everything."""
    return DynamicCache()


def bytes_of(cache: Cache) -> int:
    """Bytes of all keys and values that a cache holds, counted from its tensors."""
    layers: list[Any] = list(cache.layers)
    return sum(
        layer.bytes if isinstance(layer, FewBits) else layer.keys.nbytes + layer.values.nbytes for layer in layers
    )


def width_of(living: Living) -> int:
    """How many numbers a layer keeps of a token as its key (and as many as its value): key-value heads × head width."""
    config = living.hf.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        heads = 1
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
