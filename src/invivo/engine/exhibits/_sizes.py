"""What the exhibits on scaling share: toy models of rising width on one made-up language.

A model is judged by the language itself, not by a sample of what comes next: at every held-out word the source's own
odds are known, so its loss is the source's entropy plus the mean KL(source ‖ model), and no luck is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...errors import OutOfRange
from ...spec import Spec
from .. import toys
from ..source import Source, invented
from ..stored import Stored

VOCABULARY, CONTRAST = 512, 3.5
LENGTH, LAYERS, HEADS = 32, 1, 2  # words of a row; one block is enough where one word back is all that counts
PAGE = 512  # rows of text that are made together; the first page is not trained on
PART = 32  # rows judged together
STEPS_MOST, WIDTH_MOST = 20_000, 512


class Trained(Spec):
    """One toy model after its training."""

    width: int
    """Of its residual stream."""
    weights: int
    """Learned numbers, the table of positions left out: it knows nothing of the language."""
    rate: float
    """The highest learning rate."""
    steps: int
    """Batches trained on."""
    loss: float
    """Nats a word on held-out text."""
    entropy: float
    """Nats: how open its own predictions are there, on average."""


@cache
def language(*, ordered: bool, seed: int) -> Source:
    """The exhibits' language of that seed, or the same words in no order."""
    made = invented(VOCABULARY, CONTRAST, seed)
    return made if ordered else made.shuffled()


@lru_cache(maxsize=256)
def _page(number: int, ordered: bool, seed: int) -> Tensor:
    return language(ordered=ordered, seed=seed).rows(PAGE, LENGTH, (seed, number))


def text(rows: int, *, ordered: bool, seed: int) -> Tensor:
    """(rows, LENGTH) words: the beginning of one text, however much of it is asked for. Page 0 is held out."""
    pages = [_page(number, ordered, seed) for number in range(1, 2 + (rows - 1) // PAGE)]
    return torch.cat(pages)[:rows]


def model_of(width: int, seed: int = 0) -> Any:
    """The untrained toy model of that width, with tables of its own for reading words and for saying them."""
    return toys.gpt2(
        layers=LAYERS,
        width=width,
        heads=HEADS,
        vocabulary=VOCABULARY,
        context=LENGTH,
        seed=seed,
        tie_word_embeddings=False,
    )


def weights(width: int) -> int:
    """How many numbers a model of that width learns, positions left out: two tables, one block, two more norms."""
    return 2 * VOCABULARY * width + LAYERS * (12 * width**2 + 13 * width) + 2 * width


def train(width: int, rate: float, steps: int, rows: int, *, ordered: bool = True, seed: int = 0) -> Trained:
    """Train a model on the first `steps` batches of `rows` rows, every width on the same text, and judge it."""
    source = language(ordered=ordered, seed=seed)
    model = model_of(width, seed)
    toys.fit(model, text(rows * steps, ordered=ordered, seed=seed).split(rows), steps=steps, rate=rate)
    loss, entropy = (round(x, 6) for x in judged(model, source, _page(0, ordered, seed)))
    return Trained(width=width, weights=weights(width), rate=rate, steps=steps, loss=loss, entropy=entropy)


trained = cache(train)  # the same model, from this process's memory where it was trained in it before


@torch.no_grad()
def judged(model: Any, source: Source, ids: Tensor) -> tuple[float, float]:
    """(loss, entropy of the model's predictions), nats a word, on (B, T) held-out words."""
    table = torch.from_numpy(source.table)
    beyond = opened = 0.0
    for part in ids.split(PART):
        said = model(input_ids=part, use_cache=False).logits[:, :-1].double().log_softmax(-1)  # (b, T - 1, V)
        true = table[part[:, :-1]]
        beyond += float((true * (true.clamp_min(1e-300).log() - said)).sum())
        opened -= float((said.exp() * said).sum())
    words = ids[:, :-1].numel()
    return source.entropy + beyond / words, opened / words


def best(runs: Iterable[Trained]) -> list[Trained]:
    """The run of lowest loss of each width, by rising width."""
    found: dict[int, Trained] = {}
    for run in sorted(runs, key=lambda run: run.loss):
        found.setdefault(run.width, run)
    return [found[width] for width in sorted(found)]


def check_widths(widths: Sequence[int], least: int) -> None:
    """Raise OutOfRange for too few widths, or one that no model here can have."""
    rising = all(a < b for a, b in pairwise(widths))
    if len(widths) < least or not rising or widths[0] < HEADS or widths[-1] > WIDTH_MOST:
        raise OutOfRange(
            f"widths {', '.join(map(str, widths)) or 'none'} will not do",
            hint=f"{least} or more, rising, from {HEADS} to {WIDTH_MOST}: widths=[4, 8, 16, 32]",
        )
    for width in widths:
        if width % HEADS:
            raise OutOfRange(f"width {width} is not divisible by {HEADS} heads", hint=f"{width + 1} is")


def check_rates(rates: Sequence[float]) -> None:
    """Raise OutOfRange for no rate, or one that is not above 0."""
    if not rates or min(rates) <= 0:
        raise OutOfRange("learning rates must be above 0", hint="rates=[0.01, 0.03]")


def known(kept: Stored) -> tuple[Trained, ...]:
    """The runs that are stored."""
    return tuple(Trained.of(run) for run in kept.figures)


def plain(runs: Iterable[Trained]) -> list[dict[str, Any]]:
    """Runs in the form that is stored."""
    return [run.model_dump() for run in runs]
