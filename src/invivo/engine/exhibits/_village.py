"""What the exhibits about retrieval share: the village's notes and questions, and how likely an answer is."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from ...experiment.village import NAME, QUESTIONS, Question
from ...tweaks import Decoding, Stack
from ..heads import strings
from ..living import Living
from ..reading import read_only
from ..retrieval import Passage, read
from ..rows import check_effect, prepare

LOOKED_AT = (4, 24)  # strings, and tokens of one before it is repeated


def notes() -> tuple[Passage, ...]:
    """The village's notes."""
    return read(NAME)


def right(question: Question, passages: Sequence[Passage]) -> int:
    """The number of the note that has the answer."""
    return next(n for n, p in enumerate(passages) if question.answer in p.text)


def some(count: int) -> list[Question]:
    """`count` of the questions, spread evenly over both kinds; all where there are no more."""
    count = min(count, len(QUESTIONS))
    return [QUESTIONS[n * len(QUESTIONS) // count] for n in range(count)]


def with_passage(text: str, question: Question) -> str:
    """The prompt with a passage in front, in the form that fruitfly was taught."""
    return f"Passage: {text} {question.prompt}"


@torch.no_grad()
def nats(living: Living, prompt: str, answer: str, stacks: Sequence[Stack] = ()) -> list[float]:
    """The log-probability of the answer after the prompt: in BASE, and in a row for each stack."""
    before, after = living.encode(prompt), living.encode(answer, "answer", special=False)
    rows = prepare(living, stacks, before, {}, Decoding(), 0)
    found = [sum(row) for row in read_only(living, rows, before + after, len(before))]
    check_effect(rows)
    return found


@torch.no_grad()
def copying_heads(living: Living) -> list[tuple[str, float]]:
    """Heads as `layer.head` with their induction score (Olsson et al. 2022), best first, as `invivo heads` has it:
    mean attention, on repeated random tokens, on what came after the same token before.
    """
    from ...sites import Place
    from ..forward import watched

    places = [(layer, "pattern") for layer in range(living.anatomy.layers)]
    for layer, _ in places:
        living.anatomy.locate(Place.of(f"L{layer}.pattern"))
    rows, length = LOOKED_AT
    length = min(length, living.anatomy.context // 2)
    with watched(living.anatomy, capture=places) as run:
        living.hf(input_ids=strings(living, rows, length, 0), use_cache=False)
    seen = run.tensors()
    second = torch.arange(length, 2 * length - 1)
    scores = {
        f"{place[0]}.{head}": score
        for place in places
        for head, score in enumerate(seen[place][:, :, second, second - length + 1].float().mean((0, 2)).tolist())
    }
    return sorted(scores.items(), key=lambda entry: -entry[1])


def other_heads(ranked: Sequence[str], count: int, draws: int) -> list[list[str]]:
    """`draws` times `count` heads that are not among the first `count`."""
    dice, rest = random.Random(0), sorted(ranked[count:])
    return [dice.sample(rest, min(count, len(rest))) for _ in range(draws)]


def zeroed(heads: Sequence[str]) -> Stack:
    """The row that zeroes these heads."""
    return Stack.of([f"zero head {head}" for head in heads])
