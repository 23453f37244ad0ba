"""One attention function for every family, registered with transformers as "invivo".

transformers hands every decoder's queries, keys and values to a function of the model's choosing (AttentionInterface),
so one function opens q, k, v, scores, pattern and z in all of them. Where nobody wants to look inside a layer, it calls
the stock SDPA path, bit for bit. Where somebody does, it computes the same attention step by step and hands each step
over. It does not know who looks: the `Visitor` of that module decides.
"""

from __future__ import annotations

from . import light as light  # before anything of transformers is imported

# isort: split
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..errors import Refused

NAME = "invivo"
# What decoders pass along that does not change the arithmetic here: the mask already holds window and causality.
HARMLESS = frozenset(
    {
        "sliding_window",
        "position_ids",
        "cache_position",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "is_causal",
        "num_items_in_batch",
        "position_embeddings",
        "past_key_values",
        "cache",
        "logits_to_keep",
        "encoder_hidden_states",
        "encoder_attention_mask",
        "token_type_ids",
        "output_router_logits",
    }
)
HONOURED = frozenset({"softcap", "s_aux", "position_bias"})


class Visitor(Protocol):
    """Looks into attention, and may change what it sees. Each method gets a tensor and returns it or another."""

    def inside(self, module: nn.Module) -> frozenset[str]:
        """Which of q, k, v, scores, pattern, z are wanted in this attention module."""
        ...

    def visit(self, module: nn.Module, site: str, x: Tensor) -> Tensor:
        """Look at `x` and return what shall take its place; axes as in sites.py."""
        ...


# Who looks into which attention module: with the module, as hooks are, so that another thread's call is seen too.
VISITORS: WeakKeyDictionary[nn.Module, Visitor] = WeakKeyDictionary()
STEPWISE = frozenset({"scores", "pattern"})


@dataclass(frozen=True)
class Prefix:
    """Keys and values (1, S', H_kv, K) of earlier positions, which a call for the positions behind them attends to."""

    k: Tensor
    v: Tensor

    def before(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H_kv, S, K) with the earlier ones in front."""
        if not self.k.shape[1]:
            return key, value
        earlier = (x.transpose(1, 2).expand(key.shape[0], -1, -1, -1) for x in (self.k, self.v))
        return tuple(torch.cat(pair, dim=2) for pair in zip(earlier, (key, value), strict=True))  # type: ignore[return-value]

    def mask(self, mask: Tensor | None, columns: int, device: torch.device) -> Tensor | None:
        """The mask of the whole text, cut to its last `columns` queries; a causal one where there was none."""
        first = self.k.shape[1]
        if mask is not None:
            return mask[..., first : first + columns, :]
        if not first or columns == 1:
            return None  # as SDPA itself would mask it
        return torch.ones(columns, first + columns, dtype=torch.bool, device=device).tril(first)[None, None]


# Which attention modules are called for later positions only, and what stands before these.
PREFIXES: WeakKeyDictionary[nn.Module, Prefix] = WeakKeyDictionary()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **extra: Any,
) -> tuple[Tensor, None]:
    """Attention for transformers: q (B, H, T, K), k and v (B, H_kv, S, K) in, z (B, T, H, K) out."""
    unknown = [name for name, v in extra.items() if v is not None and name not in HARMLESS and name not in HONOURED]
    if unknown:
        raise Refused(
            f"{type(module).__name__} passes {', '.join(unknown)} to attention, which is not known here",
            hint="this family needs support of its own; please report it",
        )
    visitor = VISITORS.get(module)
    wanted = visitor.inside(module) if visitor is not None else frozenset()

    def visit(site: str, x: Tensor) -> Tensor:
        return visitor.visit(module, site, x) if visitor is not None and site in wanted else x

    if "q" in wanted:
        query = visit("q", query.transpose(1, 2)).transpose(1, 2)
    if "k" in wanted:
        key = visit("k", key.transpose(1, 2)).transpose(1, 2)
    if "v" in wanted:
        value = visit("v", value.transpose(1, 2)).transpose(1, 2)
    if (prefix := PREFIXES.get(module)) is not None:
        key, value = prefix.before(key, value)
        attention_mask = prefix.mask(attention_mask, query.shape[2], query.device)
    if wanted & STEPWISE or extra.get("softcap") is not None or extra.get("s_aux") is not None:
        z = stepwise(module, query, key, value, attention_mask, scaling, visit, extra)
    else:
        z, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **extra
        )
    return visit("z", z), None


def stepwise(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    visit: Any,
    extra: dict[str, Any],
) -> Tensor:
    """The same attention with scores (B, H, T, S) and pattern in the open. The mask is applied after the scores were
    visited, so that no change lets a position see the future.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)  # (B, H, T, S)
    if (softcap := extra.get("softcap")) is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if (bias := extra.get("position_bias")) is not None:
        scores = scores + bias
    scores = visit("scores", scores)
    least = torch.finfo(scores.dtype).min
    T, S = scores.shape[-2:]
    seen: Tensor | None = None  # what each position may look at
    if mask is not None:
        mask = mask[..., :S]
        seen = mask if mask.dtype == torch.bool else mask > least / 2
        scores = torch.where(mask, scores, least) if mask.dtype == torch.bool else scores + mask
    elif T > 1:
        seen = torch.ones(T, S, dtype=torch.bool, device=scores.device).tril()  # as SDPA aligns it
        scores = torch.where(seen, scores, least)
    if (sinks := extra.get("s_aux")) is not None:  # a learned score per head that takes weight and gives nothing
        sink = sinks.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, T, 1).to(scores.dtype)
        scores = torch.cat([scores, sink], dim=-1)
    pattern = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)[..., :S]  # (B, H, T, S)
    changed = visit("pattern", pattern)
    pattern = changed if changed is pattern or seen is None else changed * seen
    return (pattern @ value).transpose(1, 2).contiguous()  # (B, T, H, K)


def register() -> None:
    """Make the function known to transformers; harmless when done twice."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
