"""How far examples in the prompt carry: surprise at new pages of a logbook behind more and more of its pages.

In-context learning (Brown et al. 2020): nothing is trained, the pages are read and can be copied from. Beside them as
many pages whose words are shuffled, which have the words and not the rules.
"""

from __future__ import annotations

import random

import torch
from pydantic import Field

from ...errors import OutOfRange
from ...experiment.logbook import pages
from ...experiment.trials import Interval, interval
from ...pictures import Lines, Role, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from . import Found, Kind
from .adapters import surprise


class Settings(Spec):
    """How many pages."""

    counts: tuple[int, ...] = (0, 1, 2, 4, 8)
    """Pages in front of each new one."""
    pages: int = Field(default=16, ge=1, le=200)
    """New pages that are read."""


def show(living: Living, settings: Settings) -> Found:
    """Surprise at new pages, behind pages of the same book and behind the same ones shuffled."""
    new = [torch.tensor(living.encode(page), device=living.device) for page in pages(settings.pages, seed=1)]
    most = max(settings.counts)
    given = [page + "\n" for page in pages(most, seed=2)]
    dice = random.Random(0)
    words = [" ".join(dice.sample(page.split(), len(page.split()))) + "\n" for page in given]
    fronts = {
        name: [torch.tensor(living.encode(page), device=living.device) for page in texts]
        for name, texts in (("pages", given), ("shuffled", words))
    }
    longest = max(map(len, new)) + max(sum(map(len, front)) for front in fronts.values())
    if longest > living.anatomy.context:
        raise OutOfRange(
            f"{most} pages and a new one are {longest} tokens; {living.name} reads {living.anatomy.context}",
            hint="take fewer pages: `counts=0,1,2`",
        )
    with living.alone("capture"):
        spots = {
            name: [interval([surprise(living.hf, [page], front[:count]) for page in new]) for count in settings.counts]
            for name, front in fronts.items()
        }
    numbers = {
        f"{name}_{count}": spot.mean for name in spots for count, spot in zip(settings.counts, spots[name], strict=True)
    }
    few, many = settings.counts[0], settings.counts[-1]
    sentence = (
        f"New pages of the logbook cost {number(numbers[f'pages_{few}'], 2)} nats a token behind {few} pages of it, "
        f"and {number(numbers[f'pages_{many}'], 2)} behind {many}; behind {many} shuffled ones "
        f"{number(numbers[f'shuffled_{many}'], 2)}."
    )
    picture = Lines(
        title="Surprise at new pages, and how many pages stand in front",
        summary=sentence,
        x=tuple(map(float, settings.counts)),
        x_name="pages in the prompt",
        y_name="surprise, nats a token",
        series=(
            _series("pages of the book", "tweak", spots["pages"]),
            _series("the same, words shuffled", "other", spots["shuffled"]),
        ),
    )
    table = Table(
        columns=("pages in front", "nats a token (95 % interval)", "shuffled"),
        rows=tuple(
            (str(count), *(_spanned(spots[name][i]) for name in spots)) for i, count in enumerate(settings.counts)
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="shots"), table), numbers)


def _spanned(spot: Interval) -> str:
    return f"{number(spot.mean, 2)} ({number(spot.low, 2)} to {number(spot.high, 2)})"


def _series(name: str, role: Role, spots: list[Interval]) -> Series:
    return Series(
        name=name,
        role=role,
        values=tuple(s.mean for s in spots),
        low=tuple(s.low for s in spots),
        high=tuple(s.high for s in spots),
    )


EXHIBIT = Kind("How far examples in the prompt carry", Settings, show)
