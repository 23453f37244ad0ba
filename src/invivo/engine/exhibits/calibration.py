"""Whether a model's confidence can be believed, before and after one number is fitted: temperature (Guo et al. 2017).

Confidence is the probability of the likeliest next token. In bins of confidence, it is compared with how often that
token came; the mean gap, weighted by how many predictions are in a bin, is the expected calibration error (Naeini et
al. 2015). The temperature makes what was said on one half least surprising, and everything is measured on the other.
A temperature divides all logits alike, so it changes no order and no answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from ...errors import BadText
from ...experiment.passages import PASSAGES
from ...experiment.wording import percent
from ...pictures import Lines, Role, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from .. import toys
from ..living import Living
from . import Found, Kind

TOKENS, LENGTH, ROWS, CHECKED = (
    24,
    16,
    16,
    80,
)  # of the toy: its vocabulary, its texts, how many it reads, how many test
RANGE = (-3.0, 3.0)  # of the temperature's logarithm


class Settings(Spec):
    """How long the toy learns, and what the loaded model reads."""

    steps: int = Field(default=120, ge=0)
    """Steps in which the toy learns its few texts by heart."""
    bins: int = Field(default=10, ge=2, le=100)
    """Bins of confidence, equally wide."""
    texts: tuple[str, ...] = Field(default=PASSAGES, min_length=2)
    """What the loaded model reads: every other one for fitting, the rest for measuring."""
    seed: int = Field(default=0, ge=0)
    """The toy's dice."""


@dataclass(frozen=True)
class Judged:
    """Logits (N, V) and what came (N,)."""

    logits: Tensor
    came: Tensor

    def sure(self, temperature: float) -> tuple[Tensor, Tensor]:
        """Confidence (N,) and whether it was right (N,)."""
        top = (self.logits / temperature).softmax(-1).max(-1)
        return top.values, top.indices == self.came

    def curve(self, temperature: float, bins: int) -> list[tuple[int, float, float]]:
        """Of each bin how many, their mean confidence, and the share that was right."""
        sure, right = self.sure(temperature)
        place = (sure * bins).long().clamp(max=bins - 1)
        found = []
        for one in range(bins):
            inside = place == one
            many = int(inside.sum())
            found.append(
                (many, float(sure[inside].mean()), float(right[inside].double().mean())) if many else (0, 0, 0)
            )
        return found

    def error(self, temperature: float, bins: int) -> float:
        """The expected calibration error."""
        return sum(many * abs(sure - right) for many, sure, right in self.curve(temperature, bins)) / len(self.came)

    def accuracy(self, temperature: float) -> float:
        """The share that was right."""
        return float(self.sure(temperature)[1].double().mean())

    def surprise(self, temperature: float) -> float:
        """Mean negative log-probability of what came, in nats."""
        return float(torch.nn.functional.cross_entropy(self.logits / temperature, self.came))


def fitted(half: Judged) -> float:
    """The temperature with the least surprise, by golden section in its logarithm; there is one valley only, as the
    surprise is convex in 1 / T.
    """
    low, high = RANGE
    share = (5**0.5 - 1) / 2
    for _ in range(30):
        one, other = high - share * (high - low), low + share * (high - low)
        if half.surprise(math.e**one) < half.surprise(math.e**other):
            high = other
        else:
            low = one
    return math.e ** ((low + high) / 2)


def toy(settings: Settings) -> tuple[Judged, Judged]:
    """A small GPT-2 that learns a few texts by heart, on two halves of fresh ones: to fit, to measure.

    The texts are walks in which each token draws the next from odds of its own, so nobody can be sure of them.
    """
    dice = torch.Generator().manual_seed(settings.seed)
    odds = (2.0 * torch.randn(TOKENS, TOKENS, generator=dice)).softmax(-1)
    ids = torch.randint(TOKENS, (ROWS + CHECKED, 1), generator=dice)
    for _ in range(LENGTH):
        ids = torch.cat([ids, torch.multinomial(odds[ids[:, -1]], 1, generator=dice)], dim=1)
    learned, fresh = ids[:ROWS], ids[ROWS:]
    model = toys.gpt2(layers=2, width=64, vocabulary=TOKENS, context=LENGTH + 1, seed=settings.seed)
    toys.fit(model, (learned for _ in range(settings.steps)), steps=settings.steps, rate=3e-3)
    with torch.no_grad():
        logits = model(input_ids=fresh, use_cache=False).logits[:, :-1].double()
    halves = (slice(0, None, 2), slice(1, None, 2))
    fit, measure = (Judged(logits[h].flatten(0, 1), fresh[h, 1:].flatten()) for h in halves)
    return fit, measure


@torch.no_grad()
def read(living: Living, texts: tuple[str, ...]) -> tuple[Judged, Judged]:
    """The loaded model's predictions on every other text, and on the rest."""
    parts: list[list[tuple[Tensor, Tensor]]] = [[], []]
    with living.alone("compare"):
        for n, text in enumerate(texts):
            ids = living.encode(text, f"text {n}")[: living.anatomy.context]
            if len(ids) > 1:
                x = torch.tensor([ids], device=living.device)
                logits = living.hf(input_ids=x, use_cache=False).logits[0, :-1].double().cpu()
                parts[n % 2].append((logits, torch.tensor(ids[1:])))
    if not all(parts):
        raise BadText("there is nothing to fit or nothing to measure", hint="give texts of several tokens each")
    fit, measure = (Judged(torch.cat([a for a, _ in part]), torch.cat([b for _, b in part])) for part in parts)
    return fit, measure


def show(living: Living, settings: Settings) -> Found:
    """How far confidence is from being right, with a temperature and without: of an overfit toy, and of the model."""
    numbers: dict[str, float] = {}
    rows, curves = [], {}
    for name, label, (fit, measure) in (
        ("toy", "overfit toy", toy(settings)),
        ("model", living.name, read(living, settings.texts)),
    ):
        warm = fitted(fit)
        numbers |= {f"{name}_temperature": warm, f"{name}_predictions": len(measure.came)}
        for ending, t in (("", 1.0), ("_scaled", warm)):
            sure = float(measure.sure(t)[0].mean())
            values = (sure, measure.accuracy(t), measure.error(t, settings.bins), measure.surprise(t))
            numbers |= {
                f"{name}_{what}{ending}": v
                for what, v in zip(("confidence", "accuracy", "ece", "nats"), values, strict=True)
            }
            rows.append(
                (
                    label if not ending else "",
                    f"{number(t)}" if ending else "1 (as it comes)",
                    *(percent(v) for v in values[:2]),
                    number(values[2], 3),
                    number(values[3]),
                )
            )
            curves[name + ending] = measure.curve(t, settings.bins)
    sentence = (
        f"The overfit toy is {percent(numbers['toy_confidence'])} sure of itself and right "
        f"{percent(numbers['toy_accuracy'])} of the time: its calibration error is {number(numbers['toy_ece'], 3)}. "
        f"Temperature {number(numbers['toy_temperature'], 1)}, fitted on other texts, makes it "
        f"{number(numbers['toy_ece_scaled'], 3)}, with the same answers."
    )
    table = Table(
        caption=f"Calibration on texts that were not used for fitting: {int(numbers['toy_predictions']):,} predictions "
        f"of the toy, {int(numbers['model_predictions']):,} of {living.name}",
        columns=("", "temperature", "confidence", "right", "calibration error", "surprise, nats"),
        rows=tuple(rows),
    )
    return Found(
        sentence, (Figure(picture=_picture(curves, settings.bins, sentence), name="calibration"), table), numbers
    )


def _picture(curves: dict[str, list[tuple[int, float, float]]], bins: int, sentence: str) -> Lines:
    """Confidence against being right: what is calibrated lies on the diagonal."""
    middles = tuple(round(100 * (one + 0.5) / bins, 1) for one in range(bins))
    named: tuple[tuple[str, str, Role], ...] = (
        ("toy", "as it comes", "base"),
        ("toy_scaled", "with the temperature", "tweak"),
    )
    return Lines(
        title="How often the overfit toy is right when it is so sure",
        summary=sentence,
        x=middles,
        x_name="confidence, %",
        y_name="right, %",
        series=(
            Series(name="as it should be", values=middles),
            *(
                Series(
                    name=label, role=role, values=tuple(100 * right if many else None for many, _, right in curves[key])
                )
                for key, label, role in named
            ),
        ),
    )


EXHIBIT = Kind("Can its confidence be believed?", Settings, show)
