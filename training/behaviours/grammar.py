"""Grammar: BLiMP (Warstadt et al. 2020), pairs of sentences of which the grammatical one should be likelier.

Sentences are compared by the sum of their tokens' log-probabilities behind the end-of-text token, as the paper does
with whole sentences. There is no bar: fruitfly has read for an hour or two what a child is read in some years. The
sentences are not shipped; a folder given to the command holds them.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel

from invivo.errors import InvivoError

from .answers import encoded, groups
from .behaviour import Behaviour, Found, Subject


@torch.no_grad()
def logprobs(model: GPT2LMHeadModel, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """(N,) log-probability of each row's tokens behind its first one, in nats; -inf where a row is too long."""
    found = np.full(len(rows), -np.inf)
    for numbers in groups(rows, model.config.n_positions):
        ids = torch.tensor([list(rows[n]) for n in numbers], device=model.device)  # (B, T)
        logits = model(ids[:, :-1], use_cache=False).logits.float()  # (B, T-1, V)
        nats = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)
        found[numbers] = -nats.sum(1).cpu().numpy()
    return found


def paradigms(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The pairs of each file `blimp/*.jsonl.xz` of `folder`. InvivoError where there is none."""
    paths = sorted((folder / "blimp").glob("*.jsonl.xz"))
    if not paths:
        raise InvivoError(f"{folder} holds no blimp/*.jsonl.xz", hint="name a folder that does, or leave out --eval")
    return {
        path.name.removesuffix(".jsonl.xz"): [json.loads(line) for line in lzma.open(path, "rt", encoding="utf-8")]
        for path in paths
    }


def measure(subject: Subject, number: int | None = None) -> Found:
    """Share of pairs whose grammatical sentence is likelier, in each paradigm and in their mean."""
    if subject.texts is None:
        return Found({}, skipped="no folder with blimp/*.jsonl.xz was given (--eval)")
    found = {}
    for name, pairs in paradigms(subject.texts).items():
        good, bad = (
            logprobs(
                subject.model, [[subject.end, *encoded(pair[which], subject.tokenizer)] for pair in pairs[:number]]
            )
            for which in ("sentence_good", "sentence_bad")
        )
        found[name] = float((good > bad).mean())
    return Found({"mean": sum(found.values()) / len(found)} | found)


GRAMMAR = Behaviour(
    asked="pairs of sentences of BLiMP's paradigms: the grammatical one the likelier; reported, no bar",
    bars=(),
    measure=measure,
    generated=False,
)
