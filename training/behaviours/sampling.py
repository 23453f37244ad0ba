"""Text that the model writes: sampled by transformers' own `generate`, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

from .answers import encoded
from .behaviour import Subject

TEMPERATURE = 0.8


@torch.no_grad()
def continued(subject: Subject, prompts: Sequence[str], tokens: int, seed: int) -> list[str]:
    """What follows each prompt: `tokens` tokens, fewer where the model ends its text or its context is full.

    Sampled at TEMPERATURE from the whole vocabulary (no top-k, no top-p). All prompts are one batch, padded on the
    left; of a prompt longer than half the context only the end is read. The random numbers of others are untouched.
    """
    model, end = subject.model, subject.end
    rows = [encoded(prompt, subject.tokenizer)[-(subject.context // 2) :] for prompt in prompts]
    longest = max(map(len, rows))
    ids = torch.tensor([[end] * (longest - len(row)) + row for row in rows], device=model.device)  # (B, T)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        made = cast(Any, model).generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=min(tokens, subject.context - longest),
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            eos_token_id=end,
            pad_token_id=end,
        )
    lines = [line[: line.index(end)] if end in line else line for line in made[:, longest:].tolist()]
    return [cast(str, subject.tokenizer.decode(line)) for line in lines]
