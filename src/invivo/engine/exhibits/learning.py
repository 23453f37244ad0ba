"""A small model learns a language from nothing: its loss from the first step to the last, and what it learns when.

The language is made by rule (`engine/little.py`), so both ends of the curve are known before it is drawn: a model with
random weights knows nothing and loses ln V nats a token, and nobody can do better than the language's entropy (Shannon
1948). A model that knows which words belong to a story and not their order has a bound of its own in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from pydantic import Field
from torch import Tensor
from transformers import GPT2LMHeadModel

from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from .. import little, toys
from ..living import Living
from . import Found, Kind

SHAPE = {"layers": 2, "width": 48, "heads": 4}
ROWS, RATE = 32, 1e-2  # stories a step, and the learning rate at its highest
JUDGED = 128  # stories that are never trained on
POINTS = 60  # of the drawn curve
MOMENTS = 10  # of the run at which each kind of word is asked for, and as many tenths


class Settings(Spec):
    """How long, with which dice, and beside what."""

    steps: int = Field(default=300, ge=10, le=5000)
    """Steps of training, of 32 stories each."""
    seed: int = Field(default=0, ge=0)
    """The dice of the first weights and of the stories."""
    placebo: bool = False
    """Whether a second seed, and a model trained on stories with their words shuffled, stand beside it."""


@dataclass(frozen=True)
class Run:
    """A model that was trained, and what was seen on the way."""

    model: GPT2LMHeadModel
    losses: list[float]  # of each step's batch, before the step
    at: list[int]  # steps at which stories put aside were read
    judged: list[list[float]]  # mean surprise at each token of those stories, in nats: [moment][token]
    said: list[str]  # a story that the model told at the start, after a tenth and at the end

    @property
    def ends(self) -> tuple[float, float]:
        """Mean surprise on stories put aside, before and after."""
        first, *_, last = (sum(row) / len(row) for row in self.judged)
        return first, last


def judge(model: GPT2LMHeadModel, ids: Tensor) -> list[float]:
    """Mean surprise at each token but the first, in nats, over rows of ids (B, T): [T - 1]."""
    with torch.no_grad():
        logs = model(input_ids=ids, use_cache=False).logits[:, :-1].log_softmax(-1)
    return (-logs.gather(-1, ids[:, 1:, None])[..., 0].mean(0)).tolist()


def tell(model: GPT2LMHeadModel, seed: int) -> str:
    """A story drawn from the model, word by word."""
    dice, ids = torch.Generator().manual_seed(seed), torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        for _ in range(little.LENGTH):
            chances = model(input_ids=ids, use_cache=False).logits[0, -1].softmax(-1)
            ids = torch.cat([ids, torch.multinomial(chances, 1, generator=dice)[None]], dim=1)
    return little.text(ids[0, 1:].tolist())


@lru_cache(maxsize=4)  # the same weights every time, so a second exhibit need not train them again
def learned(steps: int, seed: int, shuffled: bool = False) -> Run:
    """Train a model on `steps` batches of stories, or of stories whose words were shuffled."""
    model = toys.gpt2(**SHAPE, vocabulary=len(little.words()), context=little.LENGTH + 1, seed=seed)
    aside = little.stories(JUDGED, seed=-1)
    moments = {round(steps * n / MOMENTS) for n in range(1, MOMENTS + 1)}
    moments |= {round(steps / 4 / 2**n) for n in range(2, MOMENTS)} - {0}  # most happens early
    run = Run(model, [], [0], [judge(model, aside)], [tell(model, seed)])

    def note(step: int, _: float) -> None:
        if step + 1 in moments:
            model.eval()
            run.at.append(step + 1)
            run.judged.append(judge(model, aside))
            if step + 1 in (steps // 10, steps):
                run.said.append(tell(model, seed))
            model.train()

    def batches() -> Iterator[Tensor]:
        return (little.stories(ROWS, seed=10_000 * seed + n, shuffled=shuffled) for n in range(steps))

    run.losses.extend(toys.fit(model, batches(), steps=steps, rate=RATE, on_step=note))
    return run


def by_kind(row: list[float]) -> dict[str, float]:
    """The mean surprise of each kind of word, of the surprise at each token of a story."""
    found: dict[str, list[float]] = {kind: [] for kind in little.KINDS}
    for value, kind in zip(row, little.kinds(), strict=True):
        found[kind].append(value)
    return {kind: sum(values) / len(values) for kind, values in found.items()}


def show(living: Living, settings: Settings) -> Found:
    """A model with random weights learns a little language: its loss between ln V and the least that is possible."""
    del living  # whatever model is loaded, this one is trained on the spot
    run = learned(settings.steps, settings.seed)
    top, floor = math.log(len(little.words())), little.floor()
    first, last = run.ends
    numbers = {
        "vocabulary": float(len(little.words())),
        "ln_v": top,
        "unordered": little.unordered(),
        "floor": floor,
        "first": first,
        "first_batch": run.losses[0],
        "last": last,
        "weights": float(toys.weights(run.model)),
    }
    if settings.placebo:
        return _beside(settings, run, numbers)
    kinds = [by_kind(row) for row in run.judged]
    numbers |= {f"{kind.replace(' ', '_')}_end": value for kind, value in kinds[-1].items()}
    for kind in little.KINDS:
        numbers[f"{kind.replace(' ', '_')}_learned"] = _half_way([k[kind] for k in kinds], run.at)
    sentence = (
        f"With random weights the model loses {number(first)} nats a word, where ln {len(little.words())} is "
        f"{number(top)}: it knows nothing. After {settings.steps} steps it loses {number(last)}; nobody can lose less "
        f"than {number(floor)}, because that much of the language is chance."
    )
    curve, places = _thinned(run.losses)
    level = {"ln V: knows nothing": top, "the least possible": floor}
    drawn = Lines(
        title="A loss curve from nothing",
        summary=sentence,
        x=places,
        x_name="step",
        y_name="loss, nats a word",
        series=(
            Series(name="loss", values=curve, role="tweak"),
            *(Series(name=name, values=(value,) * len(places), role="base") for name, value in level.items()),
        ),
    )
    return Found(sentence, (Figure(picture=drawn, name="loss"), *_kinds(run, kinds), _told(run, settings)), numbers)


def _thinned(values: list[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The first value, then means over equal stretches, with the steps they stand for."""
    size = max(1, math.ceil(len(values) / POINTS))
    cuts = [values[i : i + size] for i in range(1, len(values), size)]
    means = [values[0], *(sum(cut) / len(cut) for cut in cuts)]
    return tuple(means), (0.0, *(float(1 + i * size + (len(cut) - 1) / 2) for i, cut in enumerate(cuts)))


def _half_way(values: list[float], at: list[int]) -> float:
    """The first noted step from which a kind's surprise has done half of its way down."""
    goal = (values[0] + min(values)) / 2
    return float(next(step for step, value in zip(at, values, strict=True) if value <= goal))


def _kinds(run: Run, kinds: list[dict[str, float]]) -> tuple[Figure, Table]:
    """Each kind's surprise on stories put aside, over the run; and when it was learned, with an example."""
    half = {kind: int(_half_way([k[kind] for k in kinds], run.at)) for kind in little.KINDS}
    order = sorted((kind for kind in little.KINDS if kind != "free choice"), key=lambda kind: half[kind])
    summary = (
        "In the order in which they are half-way learned: "
        + ", ".join(f"{kind} (step {half[kind]})" for kind in order)
        + "; what is a free choice stays as open as it is."
    )
    drawn = Lines(
        title="What is learned when",
        summary=summary,
        x=tuple(range(len(run.at))),
        x_labels=tuple(map(str, run.at)),
        x_name="step (early ones are closer together)",
        y_name="surprise, nats",
        series=tuple(Series(name=kind, values=tuple(k[kind] for k in kinds)) for kind in little.KINDS),
    )
    named = {"by rule": "by rule: gave", "free choice": "free choice: a name"}
    named |= {"fact": "fact: an owl watched", "copy": "copy: the name again"}
    table = Table(
        caption="Surprise at each kind of word, in nats, on stories that were not trained on",
        columns=("kind of word", "at the start", "half-way at step", "at the end", "least possible"),
        rows=tuple(
            (
                named[kind],
                number(kinds[0][kind]),
                str(half[kind]),
                number(kinds[-1][kind]),
                number(_free()) if kind == "free choice" else "0",
            )
            for kind in little.KINDS
        ),
    )
    return Figure(picture=drawn, name="kinds"), table


def _free() -> float:
    """The mean entropy of a free choice, in nats."""
    return little.floor() * little.LENGTH / little.kinds().count("free choice")


def _told(run: Run, settings: Settings) -> Table:
    when = ("0", str(settings.steps // 10), str(settings.steps))
    return Table(
        caption="A story drawn from the model, word by word",
        columns=("after step", "it says"),
        rows=tuple(zip(when, run.said, strict=True)),
    )


def _beside(settings: Settings, run: Run, numbers: dict[str, float]) -> Found:
    """The same with other dice, and on stories with their words in random order: as many steps, the same words."""
    runs = {
        "true stories": run,
        "true stories, other dice": learned(settings.steps, settings.seed + 1),
        "shuffled stories": learned(settings.steps, settings.seed, shuffled=True),
    }
    ends = {name: one.ends[1] for name, one in runs.items()}
    numbers |= {"other_dice": ends["true stories, other dice"], "shuffled": ends["shuffled stories"]}
    numbers["shuffled_own"] = sum(runs["shuffled stories"].losses[-10:]) / 10
    sentence = (
        f"Trained on the same words in random order, the model ends at {number(ends['shuffled stories'])} nats a word "
        f"on true stories (the least possible without order: {number(numbers['unordered'])}); on true order it ends at "
        f"{number(ends['true stories'])}, and with other dice at {number(ends['true stories, other dice'])}."
    )
    drawn = Lines(
        title="Judged on true stories",
        summary=sentence,
        x=tuple(range(len(run.at))),
        x_labels=tuple(map(str, run.at)),
        x_name="step (early ones are closer together)",
        y_name="surprise, nats a word",
        series=(
            *(
                Series(name=name, values=tuple(sum(row) / len(row) for row in one.judged), role=role)
                for (name, one), role in zip(runs.items(), ("tweak", "other", "other"), strict=True)
            ),
            Series(name="least possible without order", values=(numbers["unordered"],) * len(run.at), role="base"),
        ),
    )
    return Found(sentence, (Figure(picture=drawn, name="placebo"),), numbers)


EXHIBIT = Kind("A model learns from nothing", Settings, show)
