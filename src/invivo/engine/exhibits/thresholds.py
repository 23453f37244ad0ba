"""What a threshold seems to know when it is chosen on the very requests that it is then judged by.

Each direction gives a request one number: its vector at the last token, along the direction. A threshold on it says
which requests are to be refused. Random directions know little; but the best threshold of the best of many, chosen and
judged on the same few requests, looks as if it knew. The same threshold on other requests tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import torch
from pydantic import Field
from torch import Tensor

from ...experiment.requests import ASKED, MADE, Requests
from ...experiment.wording import percent
from ...pictures import Bars, Series
from ...show.blocks import Figure
from ...spec import Spec
from ..contrast import between, last_tokens
from ..living import Living
from . import Found, Kind


class Settings(Spec):
    """How many random directions, on how many requests."""

    draws: int = Field(default=200, ge=1, le=10_000)
    """Random directions that are tried."""
    count: int = Field(default=18, ge=2)
    """Requests of either kind in each half, at most."""
    seed: int = Field(default=0, ge=0)
    """The dice of the directions."""


@dataclass(frozen=True)
class Cut:
    """A threshold: what is above it (or below, where the sign is −1) is taken for a request to be refused."""

    right: float  # share of the requests it was chosen on
    threshold: float
    sign: int

    def judged(self, scores: Tensor, truth: Tensor) -> float:
        """The share of requests (N,) that it tells right."""
        return float(((self.sign * (scores - self.threshold) > 0) == truth).double().mean())


def best_cut(scores: Tensor, truth: Tensor) -> Cut:
    """The threshold and sign that tell most of these requests right; halfway between two of them."""
    ordered = scores.sort().values
    between = torch.cat([ordered[:1] - 1, (ordered[1:] + ordered[:-1]) / 2, ordered[-1:] + 1])
    above = ((scores[None] > between[:, None]) == truth[None]).double().mean(1)
    right = torch.stack([above, 1 - above])
    sign, place = divmod(int(right.argmax()), len(between))
    return Cut(float(right.max()), float(between[place]), 1 - 2 * sign)


def show(living: Living, settings: Settings) -> Found:
    """How well thresholds tell requests apart where they were chosen, and on others: real and random directions."""
    layer = 2 * living.anatomy.layers // 3
    made = _seen(living, MADE, layer)
    real = between(made[0][made[1]], made[0][~made[1]], level=True)
    (here, truth_here), (there, truth_there) = (_seen(living, one, layer) for one in phrasings(settings.count))
    fair = best_cut(made[0] @ real, made[1])
    dice = torch.Generator().manual_seed(settings.seed)
    draws = torch.randn(settings.draws, len(real), generator=dice, dtype=torch.float64)
    cuts = [best_cut(here @ draw, truth_here) for draw in draws]
    others = [cut.judged(there @ draw, truth_there) for cut, draw in zip(cuts, draws, strict=True)]
    best = max(range(len(cuts)), key=lambda n: cuts[n].right)
    numbers = {
        "fair": fair.judged(torch.cat([here, there]) @ real, torch.cat([truth_here, truth_there])),
        "best_chosen": cuts[best].right,
        "best_other": others[best],
        "mean_chosen": fmean(cut.right for cut in cuts),
        "mean_other": fmean(others),
        "requests": len(truth_here),
    }
    return _found(numbers, settings, layer)


def phrasings(count: int) -> tuple[Requests, Requests]:
    """Two halves of the held-out requests that share no phrasing, up to `count` of either kind in each."""

    def cut(prompts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        parts = [prompts[n * len(prompts) // 4 : (n + 1) * len(prompts) // 4] for n in range(4)]  # near misses first
        return tuple(parts[n] + parts[n + 2] for n in (0, 1))

    halves = zip(cut(ASKED.refused), cut(ASKED.allowed), strict=True)
    one, other = (
        Requests(refused[:: max(1, len(refused) // count)][:count], allowed[:: max(1, len(allowed) // count)][:count])
        for refused, allowed in halves
    )
    return one, other


def _seen(living: Living, requests: Requests, layer: int) -> tuple[Tensor, Tensor]:
    """The vectors (N, D) of requests after a layer, and whether each is to be refused (N,)."""
    texts = (*requests.refused, *requests.allowed)
    truth = torch.tensor([n < len(requests.refused) for n in range(len(texts))])
    return last_tokens(living, texts, "resid_post")[:, layer], truth


def _found(numbers: dict[str, float], settings: Settings, layer: int) -> Found:
    sentence = (
        f"The best of {settings.draws} random directions tells {percent(numbers['best_chosen'])} of "
        f"{int(numbers['requests'])} requests right where its threshold was chosen, and "
        f"{percent(numbers['best_other'])} of as many others. The refusal direction, with a threshold from the "
        f"requests that made it, tells {percent(numbers['fair'])} of both."
    )
    names = ("refusal direction", f"random, best of {settings.draws}", "random, on average")
    where = (None, numbers["best_chosen"], numbers["mean_chosen"])
    other = (numbers["fair"], numbers["best_other"], numbers["mean_other"])
    picture = Bars(
        title=f"Telling requests apart by one number after layer {layer}",
        summary=sentence,
        labels=names,
        unit="told right, %",
        series=(
            Series(name="where the threshold was chosen", values=tuple(v and 100 * v for v in where), role="base"),
            Series(name="on other requests", values=tuple(100 * v for v in other), role="tweak"),
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="thresholds"),), numbers)


EXHIBIT = Kind("A threshold judged where it was chosen", Settings, show)
