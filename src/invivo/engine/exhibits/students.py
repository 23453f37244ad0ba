"""Distillation (Hinton, Vinyals & Dean 2015): a small model learns from a large one's odds instead of from text alone.

All on toy models, trained on the spot. The language is a chain: each token has its own odds for the next, drawn once.
The teacher reads a lot of it. Students read a little, all the same rows, with the same first weights and steps: one
from the text, one from the teacher's odds on that text, one from the odds of a teacher that learned nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...pictures import Bars, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from .. import toys
from ..living import Living
from . import Found, Kind

TOKENS, LENGTH, FRESH = 64, 32, 256
ROWS = 32  # a batch


class Settings(Spec):
    """How much is read."""

    rows: int = Field(default=64, ge=4, le=4096)
    """Rows of text that the students have, of 32 tokens each."""
    steps: int = Field(default=120, ge=10, le=5000)
    """Batches that each of them learns from; the teacher reads twice as many, of fresh text."""
    width: int = Field(default=32, ge=8, le=256, multiple_of=4)
    """The students' width; the teacher's is twice that."""
    seed: int = Field(default=0, ge=0)
    """Which language and first weights."""


def chain(seed: int) -> Tensor:
    """Odds (V, V) of the next token after each one; most of them small."""
    dice = torch.Generator().manual_seed(seed)
    return (2.5 * torch.randn(TOKENS, TOKENS, generator=dice)).softmax(-1)


def text(odds: Tensor, rows: int, seed: int) -> Tensor:
    """Rows (rows, LENGTH) of the language."""
    dice = torch.Generator().manual_seed(seed)
    ids = torch.randint(TOKENS, (rows, 1), generator=dice)
    for _ in range(LENGTH - 1):
        ids = torch.cat((ids, torch.multinomial(odds[ids[:, -1]], 1, generator=dice)), dim=1)
    return ids


@torch.no_grad()
def apart(teacher: Any, student: Any, ids: Tensor) -> float:
    """KL(teacher ‖ student) in nats, mean over the tokens of `ids`."""
    ours, theirs = (m(input_ids=ids, use_cache=False).logits.log_softmax(-1) for m in (teacher, student))
    return float((ours.exp() * (ours - theirs)).sum(-1).mean())


def soft(teacher: Any) -> Callable[[Any, Tensor], Tensor]:
    """The objective of a student that learns the teacher's odds: their cross-entropy, over all tokens."""

    def objective(student: Any, ids: Tensor) -> Tensor:
        with torch.no_grad():
            odds = teacher(input_ids=ids, use_cache=False).logits[:, :-1].softmax(-1)
        said = student(input_ids=ids, use_cache=False).logits[:, :-1].log_softmax(-1)
        return -(odds * said).sum(-1).mean()

    return objective


def show(living: Living, settings: Settings) -> Found:
    """A student from little text alone, one from the teacher's odds on it, and one from an untaught teacher's."""
    odds = chain(settings.seed)
    shape = {"vocabulary": TOKENS, "context": LENGTH}
    teacher, untaught = (
        toys.gpt2(layers=2, width=2 * settings.width, seed=settings.seed + 1, **shape) for _ in range(2)
    )
    toys.fit(
        teacher, (text(odds, ROWS, 1000 + n) for n in range(2 * settings.steps)), steps=2 * settings.steps, rate=1e-2
    )
    little, fresh = text(odds, settings.rows, 7), text(odds, FRESH, 8)
    objectives = {"text": toys.loss, "odds": soft(teacher), "untaught": soft(untaught)}
    names = {"text": "from the text", "odds": "from the teacher's odds", "untaught": "from an untaught teacher's"}
    numbers = {"teacher_loss": toys.measured(teacher, fresh), "floor": _floor(odds, fresh)}
    for name, objective in objectives.items():
        student = toys.gpt2(layers=1, width=settings.width, seed=settings.seed + 2, **shape)
        toys.fit(student, _again(little, settings.seed), steps=settings.steps, rate=1e-2, objective=objective)
        numbers |= {
            f"{name}_kl": apart(teacher, student, fresh),
            f"{name}_loss": toys.measured(student, fresh),
            f"{name}_read_loss": toys.measured(student, little),
        }
    sentence = (
        f"After {settings.rows} rows, the student of the text is {number(numbers['text_kl'], 2)} nats (KL) from the "
        f"teacher on fresh text, and the student of its odds {number(numbers['odds_kl'], 2)}; their losses there are "
        f"{number(numbers['text_loss'], 2)} and {number(numbers['odds_loss'], 2)} nats a token."
    )
    picture = Bars(
        title="How far three students are from the teacher, on text that none has read",
        summary=sentence,
        unit="KL, nats",
        labels=tuple(names.values()),
        series=(Series(name="KL to the teacher", role="tweak", values=tuple(numbers[f"{n}_kl"] for n in names)),),
    )
    table = Table(
        columns=("learned", "KL to the teacher", "loss on fresh text", "loss on what it read"),
        rows=(
            *((names[n], *(number(numbers[f"{n}_{what}"], 2) for what in ("kl", "loss", "read_loss"))) for n in names),
            ("the teacher itself", "0", number(numbers["teacher_loss"], 2), ""),
            ("the language's own entropy", "", number(numbers["floor"], 2), ""),
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="students"), table), numbers)


def _again(rows: Tensor, seed: int) -> Iterator[Tensor]:
    """The same rows over and over."""
    dice = torch.Generator().manual_seed(seed)
    while True:
        yield rows if len(rows) <= ROWS else rows[torch.randperm(len(rows), generator=dice)[:ROWS]]


def _floor(odds: Tensor, ids: Tensor) -> float:
    """The least loss that anybody can have on `ids`: the surprise under the true odds."""
    return float(-odds[ids[:, :-1]].log().gather(2, ids[:, 1:, None]).mean())


EXHIBIT = Kind("A small model taught by a large one", Settings, show)
