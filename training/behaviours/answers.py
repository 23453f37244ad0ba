"""Questions with one answer: whether it is given exactly, and how much likelier it is than the wrong one.

Prompts are read in batches of one length, so nothing is padded and no mask can be wrong. What is longer than the
model's context counts as not answered. A prompt starts a row, as generated texts often did in training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from ..generator.item import Item

ROWS = 32  # prompts at a time


def groups(rows: Sequence[Sequence[int]], room: int) -> Iterator[list[int]]:
    """Numbers of rows that have one length, at most ROWS at a time; rows of more than `room` tokens are left out."""
    lengths: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        lengths[len(row)].append(number)
    for length, numbers in sorted(lengths.items()):
        if 0 < length <= room:
            yield from (numbers[start : start + ROWS] for start in range(0, len(numbers), ROWS))


def encoded(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A text as token ids, with nothing added, and no word about its length: that is looked at where it is read."""
    return tokenizer.encode(text, add_special_tokens=False, verbose=False)


def asked(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> list[tuple[list[int], list[int]]]:
    """Each prompt and each answer as token ids."""
    return [(encoded(item.prompt, tokenizer), encoded(item.answer, tokenizer)) for item in items]


@torch.no_grad()
def given(model: GPT2LMHeadModel, pairs: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
    """(N,) whether greedy decoding behind each prompt gives exactly the answer's tokens.

    Each answer is read behind its prompt, and every one of its tokens must be the likeliest: the same as decoding.
    """
    right = np.zeros(len(pairs), dtype=bool)
    rows = [[*prompt, *answer[:-1]] for prompt, answer in pairs]
    for numbers in groups(rows, model.config.n_positions):
        ids = torch.tensor([rows[n] for n in numbers], device=model.device)  # (B, T)
        keep = max(len(pairs[n][1]) for n in numbers)
        best = model(ids, use_cache=False, logits_to_keep=keep).logits.argmax(-1).tolist()  # (B, keep)
        for n, line in zip(numbers, best, strict=True):
            right[n] = line[-len(pairs[n][1]) :] == pairs[n][1]
    return right


def exact(model: GPT2LMHeadModel, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """(N,) whether greedy decoding gives exactly the answer."""
    return given(model, asked(items, tokenizer))


@dataclass(frozen=True)
class Contrast:
    """A prompt, and the first token in which the two answers differ; what they share is at the prompt's end."""

    row: tuple[int, ...]
    right: int
    wrong: int


def contrasts(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> list[Contrast]:
    """One for each item: its answer against its `wrong`. Where the one begins the other, no token tells them apart."""
    found = []
    for item in items:
        prompt, right, wrong = (encoded(text, tokenizer) for text in (item.prompt, item.answer, item.wrong))
        at = next((i for i, (r, w) in enumerate(zip(right, wrong, strict=False)) if r != w), None)
        found.append(
            Contrast(tuple(prompt), right[0], right[0])
            if at is None
            else Contrast((*prompt, *right[:at]), right[at], wrong[at])
        )
    return found


@torch.no_grad()
def differences(model: GPT2LMHeadModel, contrasts: Sequence[Contrast]) -> np.ndarray:
    """(N,) logit of the right token minus logit of the wrong one, in nats; 0 where a prompt is too long."""
    found = np.zeros(len(contrasts))
    for numbers in groups([c.row for c in contrasts], model.config.n_positions):
        ids = torch.tensor([contrasts[n].row for n in numbers], device=model.device)  # (B, T)
        logits = model(ids, use_cache=False, logits_to_keep=1).logits[:, -1]  # (B, V)
        for n, line in zip(numbers, logits, strict=True):
            found[n] = (line[contrasts[n].right] - line[contrasts[n].wrong]).item()
    return found
