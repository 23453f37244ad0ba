"""How good a language model is on text that it never saw: nats per token, bits per byte, perplexity."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel

from .stream import Tokens


@torch.no_grad()
def heldout_nats(model: GPT2LMHeadModel, tokens: Tokens, length: int, rows: int | None = None) -> float:
    """Mean nats per token over `tokens`, read in rows of `length` without overlap; `rows` limits how many."""
    was_training = model.training
    model.eval()
    ids = torch.from_numpy(tokens.ids[: len(tokens.ids) // length * length].astype("int64")).view(-1, length)
    if rows is not None and len(ids) > rows:
        ids = ids[torch.linspace(0, len(ids) - 1, rows).long()]
    total = count = 0.0
    for part in ids.split(8):
        part = part.to(model.device)
        logits = model(part, use_cache=False).logits[:, :-1]
        total += F.cross_entropy(logits.flatten(0, 1).float(), part[:, 1:].flatten(), reduction="sum").item()
        count += part[:, 1:].numel()
    model.train(was_training)
    return total / count


def bits_per_byte(nats_per_token: float, bytes_per_token: float) -> float:
    """Nats per token as bits per byte of UTF-8 text, which does not depend on the vocabulary."""
    return nats_per_token / math.log(2) / bytes_per_token
