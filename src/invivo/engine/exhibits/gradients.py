"""Backpropagation held against its definition: move one weight a little, both ways, and see how the loss moves.

Central differences are wrong by the third derivative times h² / 6, and by the rounding of the loss divided by h
(Nocedal & Wright 2006, chapter 8). So the check is sharp only where both are small, which in float64 they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import GPT2LMHeadModel

from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table
from ...show.text import number
from ...spec import Spec
from .. import little, toys
from ..living import Living
from . import Found, Kind

BEST = 1e-6  # the h that the table and the numbers are about
EACH = 2  # weights of each tensor: the one with the largest gradient, and one at random
PARTS = {  # of a GPT-2, by what a parameter's name holds
    "token table": "wte",
    "position table": "wpe",
    "attention": ".attn.",
    "MLP": ".mlp.",
    "norms": "ln_",
}
Loss = Callable[[GPT2LMHeadModel, Tensor], Tensor]


class Settings(Spec):
    """In which number format the loss is taken, and how far weights are moved."""

    loss: Literal["float64", "float32", "both"] = "float64"
    """The format that the logits are turned to before the loss is taken; all else is float64."""
    exponents: tuple[int, ...] = Field(default=(-1, -2, -3, -4, -5, -6, -7, -8), min_length=1)
    """How far weights are moved, as powers of ten; 10⁻⁶ is always among them."""
    stories: int = Field(default=2, ge=1, le=64)
    """How many stories the loss is the mean of."""
    seed: int = Field(default=0, ge=0)
    """The dice of the weights, and of which are checked."""


def loss64(model: GPT2LMHeadModel, ids: Tensor) -> Tensor:
    """Mean surprise in nats at each token of (B, T) ids but the first, in the model's own format."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


LOSSES: dict[str, Loss] = {"float64": loss64, "float32": toys.loss}  # toys.loss turns logits to float32, as usual


def picked(model: GPT2LMHeadModel, seed: int) -> list[tuple[str, Tensor, int]]:
    """The weights to check, with their gradients at hand: (name, parameter, index into it)."""
    dice = torch.Generator().manual_seed(seed)
    found = []
    for name, p in model.named_parameters():
        assert p.grad is not None
        size = p.grad.flatten().abs()
        live = (size > 1e-6).nonzero()[:, 0]  # words that are not in the stories have no gradient at all
        some = live[torch.randperm(len(live), generator=dice)[: EACH - 1]].tolist()
        found += [(name, p, index) for index in dict.fromkeys([int(size.argmax()), *some])]
    return found


@torch.no_grad()
def difference(model: GPT2LMHeadModel, loss: Loss, ids: Tensor, p: Tensor, index: int, h: float) -> float:
    """(loss at +h − loss at −h) / 2h for one weight, which is put back exactly."""
    flat, kept = p.view(-1), float(p.view(-1)[index])
    ends = []
    for sign in (1, -1):
        flat[index] = kept + sign * h
        ends.append(float(loss(model, ids)))
    flat[index] = kept
    return (ends[0] - ends[1]) / (2 * h)


def show(living: Living, settings: Settings) -> Found:
    """The gradient by backpropagation beside finite differences, weight by weight, over steps of many sizes."""
    del living  # a model is made on the spot, in float64
    model = toys.gpt2(
        layers=2, width=16, vocabulary=len(little.words()), context=little.LENGTH + 1, seed=settings.seed
    ).double()
    ids = little.stories(settings.stories, settings.seed)
    names = ("float64", "float32") if settings.loss == "both" else (settings.loss,)
    sizes = sorted({10.0**n for n in settings.exponents} | {BEST}, reverse=True)
    wrong: dict[str, dict[float, float]] = {}
    rows: list[tuple[str, float, float]] = []
    numbers: dict[str, float] = {}
    for name in names:
        model.zero_grad()
        LOSSES[name](model, ids).backward()
        chosen = picked(model, settings.seed)
        by_rule = torch.tensor([float(p.grad.flatten()[i]) for _, p, i in chosen], dtype=torch.float64)  # type: ignore[union-attr]
        wrong[name] = {}
        for h in sizes:
            moved = [difference(model, LOSSES[name], ids, p.data, i, h) for _, p, i in chosen]
            apart = torch.tensor(moved, dtype=torch.float64) - by_rule
            wrong[name][h] = float(apart.norm() / by_rule.norm())
            if h == BEST:
                rows = [(n, a, b) for (n, _, _), a, b in zip(chosen, by_rule.tolist(), moved, strict=True)]
        numbers |= {f"{name}_{math.log10(h):.0f}": value for h, value in wrong[name].items()}
        numbers |= {f"{name}_best": min(wrong[name].values()), f"{name}_checked": wrong[name][BEST]}
        numbers["weights"] = float(len(chosen))
    sentence = _sentence(wrong, len(rows))
    return Found(sentence, (_picture(wrong, sizes, sentence), _table(rows, names[-1])), numbers)


def power(value: float) -> str:
    """A size as a number a person can say: `2 · 10⁻⁹`, `0.3`."""
    if value == 0 or 0.01 <= value < 1000:
        return number(value)
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits} · 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _sentence(wrong: dict[str, dict[float, float]], many: int) -> str:
    said = " and ".join(f"{power(found[BEST])} with the loss in {name}" for name, found in wrong.items())
    return (
        f"{many} weights of a small GPT-2, each moved by a millionth both ways: differences are off from "
        f"backpropagation, as a share of the gradient's length, by {said}."
    )


def _picture(wrong: dict[str, dict[float, float]], sizes: list[float], sentence: str) -> Figure:
    return Figure(
        picture=Lines(
            title="How far differences are from backpropagation",
            summary=sentence,
            x=tuple(round(math.log10(h), 6) for h in sizes),
            x_labels=tuple(f"10^{math.log10(h):.0f}".replace("-", "−") for h in sizes),
            x_name="how far each weight is moved",
            y_name="relative error, as a power of ten",
            series=tuple(
                Series(
                    name=f"loss in {name}",
                    values=tuple(math.log10(max(found[h], 1e-17)) for h in sizes),
                )
                for name, found in wrong.items()
            ),
        ),
        name="gradients",
    )


def _table(rows: list[tuple[str, float, float]], name: str) -> Block:
    """One weight of each part: the one whose gradient is the largest."""
    best = {}
    for part, mark in PARTS.items():
        mine = [row for row in rows if mark in row[0]]
        if mine:
            best[part] = max(mine, key=lambda row: abs(row[1]))
    return Table(
        caption=f"One weight of each part, moved by a millionth, the loss in {name}",
        columns=("part", "backpropagation", "differences", "relative error"),
        rows=tuple(
            (part, f"{a:+.9f}".replace("-", "−"), f"{b:+.9f}".replace("-", "−"), power(abs(a - b) / abs(a)))
            for part, (_, a, b) in best.items()
        ),
    )


EXHIBIT = Kind("Backpropagation against finite differences", Settings, show)
