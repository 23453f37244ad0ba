"""The report on a model folder: every number that its card states, measured on the files as they are shipped.

Held-out text is read whole, in rows of the model's context. Two yardsticks answer for the same tokens: a uniform
distribution over the vocabulary, and a 5-gram model counted on the same training tokens. The 5-gram model always sees
the four tokens before, also across the start of a row, where the network sees fewer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from .measure import Score, predicted, score, token_bytes
from .ngram import NGram
from .recipe import Recipe
from .stream import STAGES, Tokens

Report = dict[str, Any]  # what report.json holds
WEIGHTS = "model.safetensors"


def heldout_scores(
    model: GPT2LMHeadModel, bytes_of: np.ndarray, reading: Sequence[Tokens], heldout: Sequence[Tokens]
) -> dict[str, dict[str, Score]]:
    """For each held-out source, then for "all": the score of "model", of "five_gram" and of "uniform"."""
    vocabulary, length = model.config.vocab_size, model.config.n_positions
    ngram = NGram(np.concatenate([t.ids for t in reading]), vocabulary)
    found: dict[str, dict[str, Score]] = {}
    for text in heldout:
        network = score(model, text.ids, bytes_of, length)
        five_gram = float(ngram.nats(text.ids)[predicted(len(text.ids), length)].sum())
        uniform = math.log(vocabulary) * network.tokens
        found[text.name] = {
            "model": network,
            "five_gram": Score(five_gram, network.tokens, network.bytes),
            "uniform": Score(uniform, network.tokens, network.bytes),
        }
    none = Score(0.0, 0, 0)
    found["all"] = {who: sum((s[who] for s in found.values()), none) for who in ("model", "five_gram", "uniform")}
    return found


def evaluate(
    folder: Path,
    recipe: Recipe,
    *,
    step: int,
    tokens: int,
    seconds: float,
    heldout_share: float,
    reading: Sequence[Tokens],
    heldout: Sequence[Tokens],
    device: str,
) -> Report:
    """Measure the model in `folder`, which was trained for `seconds` on `tokens` tokens of `reading`."""
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model = cast(GPT2LMHeadModel, loaded)
    model.to(torch.device(device))  # pyright: ignore[reportArgumentType]
    bytes_of = token_bytes(AutoTokenizer.from_pretrained(folder, local_files_only=True))
    scores = heldout_scores(model, bytes_of, reading, heldout)
    apart = {t.name: t for t in heldout}

    def size(text: Tokens | None) -> dict[str, int]:
        if text is None:
            return {"documents": 0, "tokens": 0, "bytes": 0}
        return {"documents": len(text.starts), "tokens": len(text.ids), "bytes": int(bytes_of[text.ids].sum())}

    return {
        "model": {
            "parameters": model.num_parameters(),
            "layers": recipe.layers,
            "heads": recipe.heads,
            "width": recipe.width,
            "context": recipe.context,
            "vocabulary": recipe.vocabulary,
            "weights_bytes": (folder / WEIGHTS).stat().st_size,
            "weights_sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        },
        "training": {
            "recipe": asdict(recipe),
            "stages": [asdict(s) for s in STAGES],
            "steps": step,
            "tokens": tokens,
            "seconds": round(seconds),
        },
        "corpus": {
            "heldout_share": heldout_share,
            "sources": {
                t.name: {"small": t.small, "train": size(t), "heldout": size(apart.get(t.name))} for t in reading
            },
        },
        "heldout": {
            name: {"tokens": row["model"].tokens, "bytes": row["model"].bytes}
            | {who: s.figures() for who, s in row.items()}
            for name, row in scores.items()
        },
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
