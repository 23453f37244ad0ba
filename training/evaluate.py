"""The report on a model folder: every number that its card states, measured on the files as they are shipped.

Held-out text is read whole, in rows of the model's context. Two yardsticks answer for the same tokens: a uniform
distribution over the vocabulary, and a 5-gram model counted on the same training text. The 5-gram model always sees
the four tokens before, also across the start of a row, where the network sees fewer. It has not counted the strings of
random tokens, which are no text and would only blur it. Held-out texts of the generator are measured too, but apart:
they are predictable by their making, and "all" is about the corpus.

Behaviours beyond language are in `behaviours/`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from invivo.training.measure import Score, predicted, score, token_bytes
from invivo.training.recipe import Recipe
from invivo.training.stream import Tokens

from . import mixture
from .behaviours import Bar, entry, measure
from .ngram import NGram
from .stream import STAGES

Report = dict[str, Any]  # what report.json holds
WEIGHTS = "model.safetensors"


def heldout_scores(
    model: GPT2LMHeadModel, bytes_of: np.ndarray, reading: Sequence[Tokens], heldout: Sequence[Tokens]
) -> dict[str, dict[str, Score]]:
    """For each held-out text: the score of "model", of "five_gram" and of "uniform"."""
    vocabulary, length = model.config.vocab_size, model.config.n_positions
    counted = [t.ids for t in reading if not t.generated or t.name in mixture.DOCUMENTS]
    ngram = NGram(np.concatenate(counted), vocabulary)
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
    return found


def together(scores: Sequence[dict[str, Score]]) -> dict[str, Score]:
    """The scores of several texts as of one."""
    return {who: sum((s[who] for s in scores), Score(0.0, 0, 0)) for who in ("model", "five_gram", "uniform")}


def shown(scores: dict[str, Score]) -> dict[str, Any]:
    """A text's part of the report."""
    sizes = {"tokens": scores["model"].tokens, "bytes": scores["model"].bytes}
    return sizes | {who: s.figures() for who, s in scores.items()}


def earlier(folder: Path | None, digest: str) -> Report:
    """The report in the model folder that training started from; empty where there is none about these weights."""
    path = folder and folder / "report.json"
    if not path or not path.exists():
        return {}
    report = json.loads(path.read_text(encoding="utf-8"))
    return report if report.get("model", {}).get("weights_sha256") == digest else {}


def lineage(digest: str, before: Report) -> dict[str, Any]:
    """What training started from: nothing for random weights, else their digest and what `before` says of them."""
    if not digest:
        return {}
    training = before.get("training", {})
    known = {name: training[name] for name in ("tokens", "steps", "seconds", "start", "average") if training.get(name)}
    return {"sha256": digest} | known


def language(scores: dict[str, dict[str, Score]], names: dict[str, list[str]], before: Report) -> dict[str, Any]:
    """Language as a behaviour: large files (books) and small ones (modern stories), each against two others.

    `names` are the held-out texts of each size. The model must have a perplexity 20 % below the 5-gram model's, and
    fewer nats per token than the version it started from, where `before` was measured on the same tokens.
    """
    figures: dict[str, float] = {}
    bars: list[Bar] = []
    for size, texts in names.items():
        if not texts:
            continue
        score = together([scores[name] for name in texts])
        figures[f"{size}_nats"] = score["model"].nats_per_token
        figures[f"{size}_perplexity_over_5_gram"] = score["model"].perplexity / score["five_gram"].perplexity
        bars.append(Bar(f"{size}_perplexity_over_5_gram", at_most=0.8))
        old = [before.get("heldout", {}).get(name, {}) for name in texts]
        if all(
            o.get("tokens") == scores[n]["model"].tokens and o["bytes"] == scores[n]["model"].bytes
            for o, n in zip(old, texts, strict=True)
        ):
            was = sum(o["model"]["nats_per_token"] * o["tokens"] for o in old) / score["model"].tokens
            figures[f"{size}_nats_of_earlier_version"] = was
            bars.append(Bar(f"{size}_nats", at_most=round(was, 4) - 0.0001))  # below, at the report's precision
    told = " and ".join(f"of the {size} files ({', '.join(texts)})" for size, texts in names.items() if texts)
    return entry(
        f"held-out text {told}: nats per token, and perplexity over that of a 5-gram model", figures, tuple(bars)
    )


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
    words: Set[str],
    start_from: Path | None = None,
    average: float = 0.0,
    texts: Path | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Report:
    """Measure the model in `folder`, which was trained for `seconds` on `tokens` tokens of `reading`.

    `words` are those of the training text, `start_from` is the folder whose weights training started from and
    `average` their share in the model, `texts` a folder with blimp/*.jsonl.xz; `say` is told a line about each
    behaviour.
    """
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model = cast(GPT2LMHeadModel, loaded)
    model.to(torch.device(device))  # pyright: ignore[reportArgumentType]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    bytes_of = token_bytes(tokenizer)
    before = earlier(start_from, recipe.start)
    scores = heldout_scores(model, bytes_of, reading, heldout)
    files = {t.name: t.group for t in heldout if not t.generated}
    names = {size: [name for name, group in files.items() if group == size] for size in ("large", "small")}
    spoken = language(scores, names, before)
    say(" ".join(["language:", *(f"{k}={v:g}" for k, v in spoken["figures"].items())]))
    found = measure(model, tokenizer, words, texts, generated=bool(recipe.generated), say=say)
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
            "start": lineage(recipe.start, before),
            "average": average,
        },
        "corpus": {
            "heldout_share": heldout_share,
            "sources": {
                t.name: {
                    "group": t.group,
                    "generated": t.generated,
                    "train": size(t),
                    "heldout": size(apart.get(t.name)),
                }
                for t in reading
            },
        },
        "heldout": {name: shown(scores[name]) for name in files} | {"all": shown(together([scores[n] for n in files]))},
        "heldout_generated": {name: shown(row) for name, row in scores.items() if name not in files},
        **found,
        "behaviours": {"language": spoken} | found["behaviours"],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
