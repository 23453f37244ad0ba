"""Whether the model does what its texts were written to teach: asked on the generator's held-out side only.

One module is one behaviour; to add one, write its module and enter it in `BEHAVIOURS`. Every measure is deterministic
on one machine. Language, which is measured on the corpus itself, is in `evaluate.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from ..generator import items
from .answers import exact
from .behaviour import Bar, Behaviour, Found, Subject, entry
from .english import ENGLISH, words_of
from .facts import FACTS
from .grammar import GRAMMAR
from .indirect import INDIRECT
from .induction import INDUCTION, induction_drop
from .lists import LISTS
from .reading import READING
from .refusal import REFUSALS
from .style import STYLE

__all__ = ["BEHAVIOURS", "Bar", "Behaviour", "Found", "Subject", "entry", "glance", "measure", "words_of"]

BEHAVIOURS: dict[str, Behaviour] = {
    "english": ENGLISH,
    "induction": INDUCTION,
    "indirect": INDIRECT,
    "facts": FACTS,
    "lists": LISTS,
    "style": STYLE,
    "refusal": REFUSALS,
    "reading": READING,
    "grammar": GRAMMAR,
}


def measure(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerBase,
    words: Set[str],
    blimp: Path | None,
    *,
    generated: bool = True,
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """The report's "behaviours", "circuits" and "samples".

    `words` are those of the training text (`words_of`); `blimp` is a folder with blimp/*.jsonl.xz; without `generated`
    only what needs no generated texts is asked; `say` is told one line when a behaviour has been measured.
    """
    subject = Subject(model.eval(), tokenizer, words, blimp)
    report: dict[str, Any] = {"behaviours": {}, "circuits": {}, "samples": []}
    for name, behaviour in BEHAVIOURS.items():
        if behaviour.generated and not generated:
            continue
        since = time.monotonic()
        found = behaviour.measure(subject)
        told = report["behaviours"][name] = behaviour.entry(found)
        report["circuits"] |= found.circuits
        report["samples"] += found.samples
        verdict = found.skipped or ("no bar" if not told["bars"] else "met" if told["met"] else "NOT MET")
        shown = " ".join(f"{figure}={value:g}" for figure, value in list(told["figures"].items())[:4])
        say(f"{name}: {f'{shown} ' if shown else ''}({verdict}; {time.monotonic() - since:.0f} s)")
    return report


def glance(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, number: int = 60) -> dict[str, float]:
    """A few figures to watch while training: shares of right answers, and the induction drop in nats."""
    was_training = model.training
    model.eval()
    found = {"induction_nats": round(induction_drop(model, rows=16), 3)}
    for kind in ("indirect", "facts", "names", "lists", "chat", "reading"):
        found[kind] = round(float(exact(model, items(kind, "test", number, seed=99), tokenizer).mean()), 3)
    model.train(was_training)
    return found
