"""Before training: the vocabulary of the texts, and the texts as tokens. What was done before is read, not redone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from .corpus import CorpusError, Source
from .learner import CheckpointError
from .recipe import Recipe
from .stream import Tokens, encode
from .vocabulary import train_tokenizer

Say = Callable[[str], None]  # tells what is going on


def tokenizer_for(sources: list[Source], recipe: Recipe, folder: Path, say: Say) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, trained first if there is none."""
    if not (folder / "tokenizer.json").exists():
        say(f"learning a vocabulary of {recipe.vocabulary:,}")
        return train_tokenizer(sources, recipe.vocabulary, folder, recipe.context)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if len(tokenizer) != recipe.vocabulary:
        raise CheckpointError(
            f"{folder} has a vocabulary of {len(tokenizer):,}, not {recipe.vocabulary:,}",
            hint=f"use another output folder, or --vocabulary {len(tokenizer)}",
        )
    return tokenizer


def tokens_for(
    sources: list[Source], tokenizer: PreTrainedTokenizerBase, work: Path, context: int, say: Say
) -> tuple[list[Tokens], list[Tokens]]:
    """All sources as tokens: those to train on, those held out."""
    reading, heldout = [], []
    for source in sources:
        say(f"tokens of {source.name}")
        reading.append(encode(source, source.train, tokenizer, work / f"{source.name}.train.npy", source.answers))
        heldout.append(encode(source, source.heldout, tokenizer, work / f"{source.name}.heldout.npy"))
    if not any(len(t.ids) > context for t in reading):
        raise CorpusError(
            f"no file is longer than one row of {context} tokens",
            hint="put many short texts into one file, separated by lines <|endoftext|>",
        )
    return reading, [t for t in heldout if len(t.ids) > 1]
