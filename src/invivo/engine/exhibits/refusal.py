"""How often a model refuses with its refusal direction taken out or added, on requests that the direction never saw.

The direction is the mean difference between requests that are refused and others, at the last token (Arditi et al.
2024), in every layer its own, and level: without what lies along the mean of the others, so that zero stands for them.
Random directions of the same lengths do the same beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from ...errors import BadText, Refused
from ...experiment.requests import ASKED, MADE, Requests
from ...experiment.trials import Interval
from ...experiment.wording import percent
from ...pictures import Bars, Role, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...sites import Place
from ...spec import Spec
from ...tweaks import Directed, Project, Steer
from ..contrast import between, last_tokens
from ..living import Living
from ..refusing import rate, refused
from . import Found, Kind

FEW = 8  # requests that tell whether there is a refusal at all


class Settings(Spec):
    """How strongly the direction is added, what it is compared with, and on which requests."""

    strength: float = 1.5
    """How many times the direction is added, in the layer two thirds up."""
    draws: int = Field(default=0, ge=0, le=100)
    """Random directions of the same lengths beside it; with none, plain mean differences."""
    refused: tuple[str, ...] = ()
    """Prompts that the model refuses, for a model of your own; every other one makes the direction."""
    allowed: tuple[str, ...] = ()
    """Prompts that it does not refuse, likewise."""
    seed: int = Field(default=0, ge=0)
    """The random directions' dice."""


Directions = Sequence[Tensor]  # one (D,) a layer
Spots = dict[str, Interval]  # of requests that should be refused, and of those that should not


def show(living: Living, settings: Settings) -> Found:
    """Shares of held-out requests that are refused: as it is, with the direction taken out, and with it added."""
    made, asked = halves(settings)
    hard = refused(living, asked.refused[:FEW])
    if 2 * sum(hard) < len(hard):
        raise Refused(
            f"{living.name} refuses {sum(hard)} of {len(hard)} requests to open what is locked: there is no refusal to "
            "take out",
            hint="for a model that refuses other things, give prompts: refused=[…] allowed=[…]",
        )
    seen = [last_tokens(living, prompts, "resid_post").unbind(1) for prompts in (made.refused, made.allowed)]
    level, plain = (
        [between(shown, hidden, level).float().to(living.device) for shown, hidden in zip(*seen, strict=True)]
        for level in (True, False)
    )
    up = 2 * living.anatomy.layers // 3
    numbers: dict[str, float] = {"refused": len(asked.refused), "allowed": len(asked.allowed), "layer": up}
    rows: dict[str, Spots] = {}

    def measure(label: str, name: str, kinds: str, changes: Sequence[Directions] = (), strength: float = 0) -> None:
        """A row of rates, on the kinds of requests that it is about, over all `changes` together."""
        rows[label] = {}
        for kind in kinds.split():
            prompts = getattr(asked, kind)
            tried = [_refused(living, prompts, one, strength, up) for one in changes or [()]]
            spot = rows[label][kind] = rate([x for one in tried for x in one])
            key = f"{kind}_{name}"
            numbers.update({key: spot.mean, f"{key}_low": spot.low, f"{key}_high": spot.high})

    measure("BASE", "base", "refused allowed")
    if settings.draws:
        random = [_random(level, settings.seed + n) for n in range(settings.draws)]
        measure("random, taken out of every layer", "random_removed", "refused", random)
        measure(f"random, added in layer {up}", "random_added", "allowed", random, settings.strength)
    else:
        measure("taken out of every layer", "removed", "refused allowed", [level])
        measure(f"added in layer {up}", "added", "allowed", [level], settings.strength)
        measure(f"layer {up}'s plain one taken out of every layer", "single", "refused", [[plain[up]] * len(plain)])
    return _found(numbers, rows, settings)


def halves(settings: Settings) -> tuple[Requests, Requests]:
    """The requests that make the direction, and those that it is measured on. Raises BadText for too few."""
    if not settings.refused and not settings.allowed:
        return MADE, ASKED
    if min(len(settings.refused), len(settings.allowed)) < 4:
        raise BadText("fewer than four prompts of either kind", hint="give both, refused=[…] and allowed=[…]")
    one, other = (Requests(settings.refused[n::2], settings.allowed[n::2]) for n in (0, 1))
    return one, other


def _random(directions: Directions, seed: int) -> Directions:
    """Random directions, as long in each layer."""
    dice = torch.Generator().manual_seed(seed)
    draws = [torch.randn(len(one), generator=dice).to(one) for one in directions]
    return [draw / draw.norm() * one.norm() for draw, one in zip(draws, directions, strict=True)]


def _refused(living: Living, prompts: Sequence[str], directions: Directions, strength: float, up: int) -> list[bool]:
    """Which prompts are refused with directions taken out of every layer, or where a strength is given, one added."""
    names = [f"layer_{layer}" for layer in range(len(directions))]
    places = [Place.of(f"L{layer}.resid_post") for layer in range(len(directions))]
    tweaks: list[Directed] = [Project(place=p, direction=n) for p, n in zip(places, names, strict=True)]
    if strength:
        tweaks = [Steer(place=places[up], direction=names[up], strength=strength)]
    return refused(living, prompts, tweaks, dict(zip(names, directions, strict=True)))


def _found(numbers: dict[str, float], rows: dict[str, Spots], settings: Settings) -> Found:
    base, others = percent(numbers["refused_base"]), percent(numbers["allowed_base"])
    if settings.draws:
        sentence = (
            f"With {settings.draws} random directions taken out, {percent(numbers['refused_random_removed'])} are "
            f"refused that should be ({base} in BASE); with them added, {percent(numbers['allowed_random_added'])} "
            f"that should not ({others} in BASE)."
        )
    else:
        sentence = (
            f"Taken out of every layer, the direction takes refusals from {base} to "
            f"{percent(numbers['refused_removed'])} of {int(numbers['refused'])} requests that should be refused; "
            f"added, it takes them from {others} to {percent(numbers['allowed_added'])} of {int(numbers['allowed'])} "
            "others."
        )
    kinds: tuple[tuple[str, str, Role], ...] = (
        ("refused", "should be refused", "tweak"),
        ("allowed", "should not", "base"),
    )
    picture = Bars(
        title="Share of held-out requests that are refused",
        summary=sentence,
        labels=tuple(rows),
        unit="refused, %",
        series=tuple(
            Series(
                name=name,
                role=role,
                values=tuple(100 * spots[kind].mean if kind in spots else None for spots in rows.values()),
                low=tuple(100 * spots[kind].low if kind in spots else 0.0 for spots in rows.values()),
                high=tuple(100 * spots[kind].high if kind in spots else 0.0 for spots in rows.values()),
            )
            for kind, name, role in kinds
        ),
    )
    table = Table(
        caption="Refused, with the 95 % interval",
        columns=("direction", *(name for _, name, _ in kinds)),
        rows=tuple((label, *(_said(spots.get(kind)) for kind, _, _ in kinds)) for label, spots in rows.items()),
    )
    return Found(sentence, (Figure(picture=picture, name="refusal"), table), numbers)


def _said(spot: Interval | None) -> str:
    return f"{percent(spot.mean)} ({number(100 * spot.low, 0)}–{number(100 * spot.high, 0)} %)" if spot else "–"


EXHIBIT = Kind("What a direction does to refusals", Settings, show)
