"""Induction: what came after this token the last time comes after it again (Olsson et al. 2022).

Strings of random tokens of the whole vocabulary are read twice. Nothing but the first round tells the second, so what
the second costs less is copying. Which heads do it is seen in where they look from the second round: one token back
(previous token), at the same token's first place (duplicate token), at the token behind that (induction). Looking
there is not yet proof of doing it; that takes switching the head off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel

from ..generator import repeats
from .behaviour import Bar, Behaviour, Found, Subject, end_of

ROWS, LENGTH = 64, 32
BEST = 4  # heads of each kind that are named


def strings(model: GPT2LMHeadModel, rows: int, length: int, seed: int) -> torch.Tensor:
    """(rows, 2 * length) tokens: random strings, each twice. Shorter where the context is."""
    length = min(length, model.config.n_positions // 2)
    made = repeats.rounds(np.random.default_rng(seed), model.config.vocab_size, rows, length, end_of(model))
    return torch.from_numpy(made).to(model.device)


@torch.no_grad()
def induction_drop(model: GPT2LMHeadModel, rows: int = ROWS, length: int = LENGTH, seed: int = 1) -> float:
    """Nats per token by which the second round is cheaper than the first.

    The second round's first token is not counted: nothing says yet that the string begins again.
    """
    ids = strings(model, rows, length, seed)
    half = ids.shape[1] // 2
    nats = torch.cat(
        [
            F.cross_entropy(
                model(part, use_cache=False).logits[:, :-1].float().transpose(1, 2), part[:, 1:], reduction="none"
            )
            for part in ids.split(8)
        ]
    )  # (rows, 2 * half - 1); place i holds the cost of token i + 1
    return (nats[:, : half - 1].mean() - nats[:, half:].mean()).item()


@torch.no_grad()
def attentions(model: GPT2LMHeadModel, ids: torch.Tensor) -> list[torch.Tensor]:
    """For each layer (B, H, T, T): how much each head looks from where to where. The model is left as it was."""
    usual = model.config._attn_implementation or "eager"
    model.set_attn_implementation("eager")  # the only one that tells
    try:
        parts = [model(part, use_cache=False, output_attentions=True).attentions for part in ids.split(16)]
    finally:
        model.set_attn_implementation(usual)
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def scores(attentions: Sequence[torch.Tensor], length: int) -> dict[str, np.ndarray]:
    """(L, H) for each kind of head: mean attention from the second round's tokens to the kind's target."""
    back = {"induction": length - 1, "previous_token": 1, "duplicate_token": length}
    return {
        kind: np.array(
            [a.diagonal(-distance, -2, -1)[..., length - distance :].mean((0, 2)).tolist() for a in attentions]
        )
        for kind, distance in back.items()
    }


def best(scores: np.ndarray, number: int = BEST) -> list[dict[str, object]]:
    """The `number` highest of (L, H) scores, by layer and head."""
    order = np.argsort(-scores, axis=None, kind="stable")[:number]
    places = [divmod(int(i), scores.shape[1]) for i in order]
    return [{"head": f"{layer}.{head}", "score": round(float(scores[layer, head]), 4)} for layer, head in places]


def measure(subject: Subject, rows: int = ROWS) -> Found:
    """The drop, and the best head of each kind."""
    ids = strings(subject.model, rows, LENGTH, seed=2)
    found = scores(attentions(subject.model, ids), ids.shape[1] // 2)
    return Found(
        {"drop_nats": induction_drop(subject.model, rows)}
        | {f"best_{kind}_attention": float(table.max()) for kind, table in found.items()},
        circuits={kind: best(table) for kind, table in found.items()},
    )


INDUCTION = Behaviour(
    asked=f"{ROWS} strings of {LENGTH} random tokens of the whole vocabulary, each read twice: nats per token that the "
    "second round costs less, and the mean attention of the best head on the token behind the same token's first place",
    bars=(Bar("drop_nats", at_least=2.0), Bar("best_induction_attention", at_least=0.5)),
    measure=measure,
)
