"""Anyone's own text to a model folder: a vocabulary, a small GPT-2 trained on it, its card.

The folder is what transformers and `invivo --model` open; `work` in it holds tokens, checkpoint and log, and may be
deleted when no more training is wanted. The same command goes on where it was stopped or killed.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from ..model.load import quiet
from . import log
from .corpus import Source, read_folder
from .export import export
from .files import write_whole
from .learner import CheckpointError, Learner
from .measure import Score, score, token_bytes
from .prepare import Say, tokenizer_for, tokens_for
from .recipe import Recipe
from .stream import Tokens
from .train import train

LEAST, PIECE, HELDOUT = 20_000, 2_000, 0.05  # characters at least, characters of a piece, share held out
VOCABULARIES = ((4_000_000, 8192), (1_000_000, 4096), (250_000, 2048), (0, 1024))  # from so many characters on
REPORT, WORK = "report.json", "work"
Report = dict[str, Any]


def vocabulary_for(sources: list[Source]) -> int:
    """How many pieces a text of that length is cut into, where nobody says it."""
    characters = sum(source.characters for source in sources)
    return next(size for least, size in VOCABULARIES if characters >= least)


def sources_of(corpus: Path) -> list[Source]:
    """The texts of a folder, long ones in pieces. Raises CorpusError."""
    return read_folder(corpus, HELDOUT, LEAST, PIECE)


def grow(corpus: Path, out: Path, say: Say, *, device: str | None = None, **asked: int) -> Report:
    """Train a model on the texts in `corpus` and write it to `out`; its report, which is in the folder, too.

    `asked` are fields of Recipe; the vocabulary is chosen by the text's length where it is not given. Raises
    CorpusError, CheckpointError, CannotWrite, Diverged, and KeyboardInterrupt after saving.
    """
    with quiet():
        return _grow(corpus, out, say, device, asked)


def _grow(corpus: Path, out: Path, say: Say, device: str | None, asked: dict[str, int]) -> Report:
    work = out / WORK
    if (out / "config.json").exists() and not work.exists():
        raise CheckpointError(f"{out} holds a model already", hint="give another folder with --out")
    sources = sources_of(corpus)
    recipe = Recipe(**{"generated": 0, "vocabulary": vocabulary_for(sources)} | asked)  # type: ignore[arg-type]
    checkpoint, diary = work / "checkpoint.pt", work / "log.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_for(sources, recipe, out, say)
    reading, heldout = tokens_for(sources, tokenizer, work, recipe.context, say)
    bytes_of = token_bytes(tokenizer)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    worth = recipe.tokens >= 20_000_000 and (device != "cpu" or any(map(shutil.which, ("g++", "clang++"))))
    learner = Learner(recipe, checkpoint, device=device, compile=worth)
    if 0 < learner.step < recipe.steps:
        say(f"going on from step {learner.step:,} of {recipe.steps:,}")

    def watch(model: Any, length: int) -> tuple[dict[str, Score], dict[str, float]]:
        return {t.name: score(model, t.ids, bytes_of, length, rows=48) for t in heldout}, {}

    train(
        learner,
        reading,
        diary,
        bytes_of=bytes_of,
        watch=watch,
        console=Console(stderr=True),
        save_seconds=60,
        log_seconds=5,
    )
    say("measuring on what was held out")
    scores = {t.name: score(learner.model, t.ids, bytes_of, recipe.context) for t in heldout}
    report = _report(learner, tokenizer, sources, reading, scores, log.read(diary, until=learner.step))
    write_whole(out / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    write_whole(out / "README.md", card(report, out.resolve().name).encode())
    export(learner.model, out)
    return report


def _report(
    learner: Learner,
    tokenizer: PreTrainedTokenizerBase,
    sources: list[Source],
    reading: list[Tokens],
    scores: dict[str, Score],
    entries: list[log.Entry],
) -> Report:
    """What was made of what, as plain data."""
    recipe = learner.recipe
    losses = [(e["step"], e["train_nats"]) for e in entries if "train_nats" in e]
    tokens = {t.name: len(t.ids) for t in reading}
    whole = sum(scores.values(), Score(0.0, 0, 0))
    return {
        "model": {
            "parameters": sum(p.numel() for p in learner.model.parameters()),
            **{name: getattr(recipe, name) for name in ("layers", "heads", "width", "vocabulary", "context")},
        },
        "texts": {
            s.name: {"pieces": len(s.train), "heldout": len(s.heldout), "tokens": tokens[s.name]} for s in sources
        },
        "training": {
            "recipe": asdict(recipe),
            "steps": learner.step,
            "tokens": learner.seen,
            "seconds": round(log.seconds(entries), 1),
            "losses": losses,
        },
        "heldout": {name: one.figures() | {"tokens": one.tokens} for name, one in scores.items()}
        | {"all": whole.figures() | {"tokens": whole.tokens}},
        "ln_vocabulary": round(math.log(len(tokenizer)), 4),
    }


def card(report: Report, name: str) -> str:
    """The model card: what it is, what it read, how well it foresees what it has not read, how to open it."""
    model, training, held = report["model"], report["training"], report["heldout"]
    rows = [
        f"| {text} | {facts['pieces']:,} | {facts['tokens']:,} | {facts['heldout']:,} | "
        + (f"{held[text]['nats_per_token']:.2f} | {held[text]['perplexity']:,.1f} |" if text in held else "- | - |")
        for text, facts in ((text.replace("|", "\\|"), facts) for text, facts in report["texts"].items())
    ]
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags:
- gpt2
---

# {name}

A small GPT-2 trained from random weights by `invivo train`: {model["layers"]} layers, {model["heads"]} heads, width
{model["width"]}, context {model["context"]}, a byte-level BPE of {model["vocabulary"]:,} pieces,
{model["parameters"]:,} parameters, stored in half precision. It read {training["tokens"]:,} tokens in
{training["steps"]:,} steps.

```sh
invivo compare "Once upon a time" --tweak "zero head 0.0" --model path/to/this/folder
```

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```

## What it read, and how well it foresees what it has not

| text | pieces read | tokens | pieces held out | loss there, nats a token | perplexity |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

All together: {held["all"]["nats_per_token"]:.2f} nats a token, {held["all"]["bits_per_byte"]:.2f} bits a byte, over
{held["all"]["tokens"]:,} tokens. A guess among all pieces would be {report["ln_vocabulary"]:.2f} nats. Held-out pieces
were chosen by a hash of their text; they may stand beside read ones in the same book.

## Use and limits

It knows what these texts repeat and nothing else. It can repeat stretches of them word for word. The licences of the
texts decide what may be done with the weights: state them here. {REPORT} holds the whole recipe.
"""
