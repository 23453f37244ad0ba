"""Noise in the residual stream, layer by layer: how far the next prediction moves, and which layer bears least.

The stream grows with depth, so the same sigma is a large share of it early and a small one late. `relative` takes
sigma as a share of the stream's own size at each layer: then what differs is the layers, not the dose. A layer's number
is, as in pharmacology, the dose that has a given effect: the sigma at which KL reaches half a nat.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import torch
from pydantic import Field

from ...errors import BadText
from ...experiment.case import Case
from ...experiment.passages import OPENINGS
from ...experiment.trials import DRAWS, SHARE, interval
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...sites import Place
from ...spec import Number, Spec, number_text
from ..forward import Where, watched
from ..living import Living
from ..sweep import answer, ask
from . import Found, Kind

SHARES = (0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.25, 1.5)  # of the stream's size at a layer
LEAST, MOST = 0.1, 1.5  # of its smallest and its largest size: where a ladder of sigmas begins and ends
RUNGS = 16  # sigmas of a ladder, at most
HALF = 12  # openings that are read; the others are for those who ask for others
REACHED, GONE = 0.5, 2.0  # nats: the effect whose dose is asked for; from here on nothing is left of the prediction
OTHER_DICE = 1000


class Settings(Spec):
    """What is read, and how much noise is added."""

    prompt: str = ""
    """A prompt that is read beside the others; none when left out."""
    prompts: tuple[str, ...] = OPENINGS[:HALF]
    """The others: openings of sentences written for this when left out."""
    others: bool = False
    """Whether other openings are read, and other noise is thrown, than usual: to see whether the finding holds."""
    sigmas: tuple[Number, ...] = ()
    """Standard deviations, rising; when left out a ladder that fits the sizes of this model's stream."""
    relative: bool = False
    """Whether sigma is a share of the stream's size at each layer."""
    seeds: int = Field(default=2, ge=1, le=100)
    """How many draws of noise for each prompt, mean of which is taken."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """KL of the next prediction against noise in the stream, one line a layer, and which layer bears least."""
    living.anatomy.locate(Place.of("L0.resid_pre"))
    texts = OPENINGS[HALF:] if settings.others else settings.prompts
    prompts = list(dict.fromkeys((*((settings.prompt,) if settings.prompt else ()), *texts)))
    if len(prompts) < 2:
        raise BadText("one prompt has no interval", hint="give two or more as prompts")
    layers = range(living.anatomy.layers)
    sizes = _sizes(living, prompts)
    doses = settings.sigmas or (SHARES if settings.relative else ladder(min(sizes), max(sizes)))
    if any(b <= a for a, b in pairwise((0.0, *doses))):
        raise BadText("sigmas are above 0 and rise", hint="for example sigmas=[0.1, 0.2, 0.4]")
    first = OTHER_DICE if settings.others else 0
    lines = [
        f"add noise {number_text(dose * sizes[layer] if settings.relative else dose)} to L{layer}.resid_pre seed {seed}"
        for layer in layers
        for dose in doses
        for seed in range(first, first + settings.seeds)
    ]
    kl = []  # [prompt][layer][dose], mean over seeds
    with living.alone("compare"):
        for prompt in prompts:
            done: dict[int, float] = {}

            def found(cells: Sequence[int], values: Sequence[float], done: dict[int, float] = done) -> None:
                done.update(zip(cells, values, strict=True))

            answer(living, ask(living, "kl_next", (), Case(prompt=prompt)), lines, done, found)
            values = [done[i] for i in range(len(lines))]
            means = [fmean(values[i : i + settings.seeds]) for i in range(0, len(values), settings.seeds)]
            kl.append([means[n * len(doses) : (n + 1) * len(doses)] for n in layers])
    return _found(kl, doses, sizes, settings.relative, settings.seeds)


def ladder(smallest: float, largest: float) -> tuple[float, ...]:
    """Round sigmas (1, 2, 3, 5, 10 …), from well below the smallest size of the stream to above its largest.

    Where that is a long way, every second one, or third.
    """
    low = math.floor(math.log10(LEAST * smallest)) if smallest > 0 else -3
    high = math.ceil(math.log10(MOST * largest)) if largest > 0 else 0
    rungs = [float(f"{step}e{power}") for power in range(low, high + 1) for step in (1, 2, 3, 5)]
    kept = [rung for rung in rungs if LEAST * smallest <= rung <= MOST * largest] or rungs
    return tuple(kept[:: math.ceil(len(kept) / RUNGS)])


def crossing(doses: Sequence[float], kl: Sequence[float], effect: float = REACHED) -> float | None:
    """The dose at which a rising curve reaches an effect, between two doses along a straight line of logarithms.

    None where no dose has it; the first dose where already that one has.
    """
    above = next((i for i, value in enumerate(kl) if value >= effect), None)
    if above is None or above == 0:
        return None if above is None else doses[0]
    (x, y), (x1, y1) = ((math.log(doses[i]), math.log(max(kl[i], 1e-12))) for i in (above - 1, above))
    return math.exp(x + (x1 - x) * (math.log(effect) - y) / (y1 - y))


def _sizes(living: Living, prompts: list[str]) -> list[float]:
    """The usual size of a dimension of the stream where it enters each layer: root mean square over prompts' tokens
    but each text's first, which many models keep much larger than all others.
    """
    places: list[Where] = [(n, "resid_pre") for n in range(living.anatomy.layers)]
    squares: list[list[float]] = [[] for _ in places]
    for prompt in prompts:
        ids = living.encode(prompt)
        with living.alone("capture"), watched(living.anatomy, [], places) as run:
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
        for n, where in enumerate(places):
            x = run.tensors()[where].reshape(len(ids), -1).double()
            squares[n].append(float((x[1:] if len(ids) > 1 else x).pow(2).mean()))
    return [math.sqrt(fmean(s)) for s in squares]


def _curves(kl: list[list[list[float]]]) -> list[list[float]]:
    """Mean over prompts: [layer][dose]."""
    return [[fmean(column) for column in zip(*(one[n] for one in kl), strict=True)] for n in range(len(kl[0]))]


def _bootstrap(kl: list[list[list[float]]], doses: Sequence[float]) -> list[list[float]]:
    """Each layer's dose in sets of prompts drawn from these (Efron 1979); infinite where none reaches the effect."""
    dice = random.Random(0)
    found = []
    for _ in range(DRAWS):
        crossed = [crossing(doses, curve) for curve in _curves(dice.choices(kl, k=len(kl)))]
        found.append([math.inf if c is None else c for c in crossed])
    return found


def _ends(values: list[float]) -> tuple[float, float]:
    """The interval's ends."""
    ordered, cut = sorted(values), int((1 - SHARE) / 2 * DRAWS)
    return ordered[cut], ordered[-1 - cut]


def _found(
    kl: list[list[list[float]]], doses: tuple[float, ...], sizes: list[float], relative: bool, seeds: int
) -> Found:
    """Sentence, numbers, picture and table of KL: [prompt][layer][dose]."""
    layers, count = range(len(sizes)), len(kl)
    curves, drawn = _curves(kl), _bootstrap(kl, doses)
    spots = [[interval([one[n][d] for one in kl]) for d in range(len(doses))] for n in layers]
    crossed = [crossing(doses, curve) for curve in curves]
    numbers: dict[str, float] = {"prompts": count}
    for n in layers:
        numbers |= {f"size_{n}": sizes[n], f"rising_{n}": float(_rises(curves[n]))}
        numbers |= {f"kl_{n}_{number_text(dose)}": value for dose, value in zip(doses, curves[n], strict=True)}
        if (dose := crossed[n]) is not None:
            numbers[f"dose_{n}"] = dose
            ends = _ends([draw[n] for draw in drawn])
            numbers |= {f"{k}_{n}": v for k, v in zip(("low", "high"), ends, strict=True) if math.isfinite(v)}
    sentence = _verdict(kl, doses, crossed, drawn, numbers, relative)
    picture = Lines(
        title=f"Noise in each layer's stream: mean over {count} prompts and {seeds} draws of noise",
        summary=sentence,
        x=tuple(map(float, range(len(doses) + 1))),
        x_labels=("0", *(_said(dose, relative) for dose in doses)),
        x_name="sigma, as a share of the stream's size at the layer" if relative else "sigma",
        y_name="KL after the prompt, nats",
        series=tuple(
            Series(
                name=f"layer {n}",
                values=(0.0, *(s.mean for s in spots[n])),
                low=(0.0, *(s.low for s in spots[n])),
                high=(0.0, *(s.high for s in spots[n])),
            )
            for n in layers
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="fragility"), _table(sizes, numbers, relative)), numbers)


def _verdict(
    kl: list[list[list[float]]],
    doses: Sequence[float],
    crossed: list[float | None],
    drawn: list[list[float]],
    numbers: dict[str, float],
    relative: bool,
) -> str:
    """Which layer reaches the effect at the smallest dose, how surely, and on how many prompts; also as numbers."""
    there = sorted((dose, n) for n, dose in enumerate(crossed) if dose is not None)
    if not there:
        return f"No layer's noise moves the next prediction by {REACHED:g} nats at any of these sigmas."
    count, layers = len(kl), len(crossed)
    dose, top = there[0]
    wins = 0
    for one in kl:
        alone = [crossing(doses, curve) for curve in one]
        reached = [value for value in alone if value is not None]
        wins += bool(reached) and alone[top] == min(reached)
    numbers |= {"most_fragile": top, "wins": wins, "again": fmean(min(draw) == draw[top] for draw in drawn)}
    text = (
        f"Layer {top} is the most fragile: noise of {_at(dose, relative)} there moves the next prediction by half a "
        f"nat (95 % interval {_span(numbers, top, relative)}). The same layer comes out on {wins} of {count} "
        f"prompts taken alone, where chance would give {number(count / layers, 0)}"
    )
    if len(there) < 2:
        return f"{text}; no other layer does at these sigmas."
    other, second = there[1]
    ratios = _ends([draw[second] / draw[top] for draw in drawn if math.isfinite(draw[top])] or [math.inf] * DRAWS)
    numbers |= {"second": second, "lead": other / dose, "least_fragile": there[-1][1]}
    numbers |= {"lead_low": ratios[0]} if math.isfinite(ratios[0]) else {}  # JSON has no word for infinite
    sure = "" if ratios[0] > 1.01 else ": too close to call"
    return (
        f"{text}. The next, layer {second}, bears {_times(other / dose)} times as much (at least "
        f"{_times(ratios[0])}){sure}; layer {there[-1][1]} bears the most, {_at(there[-1][0], relative)}."
    )


def _table(sizes: list[float], numbers: dict[str, float], relative: bool) -> Table:
    """One line a layer: the size of its stream, and the dose that moves the prediction by half a nat, both ways."""
    rows = []
    for n, size in enumerate(sizes):
        dose = numbers.get(f"dose_{n}")
        sigma = dose * size if relative and dose is not None else dose
        share = None if dose is None or sigma is None or size == 0 else sigma / size
        rows.append(
            (
                str(n),
                number(size),
                "–" if sigma is None else _said(sigma, False),
                "–" if share is None else _said(share, True),
                "–" if dose is None else _span(numbers, n, relative),
            )
        )
    return Table(
        caption="The noise that moves the next prediction by half a nat",
        columns=("layer", "size of a dimension", "sigma", "share of the size", "95 % interval"),
        rows=tuple(rows),
    )


def _said(dose: float, relative: bool) -> str:
    """Two digits of it."""
    if relative:
        return f"{number(100 * dose, 1 if dose < 0.1 else 0)} %"
    return number_text(float(f"{dose:.2g}"))


def _at(dose: float, relative: bool) -> str:
    return f"{_said(dose, True)} of the stream's size" if relative else f"sigma {_said(dose, False)}"


def _span(numbers: dict[str, float], layer: int, relative: bool) -> str:
    """The interval of a layer's dose; open where some sets of prompts never reach the effect."""
    ends = (numbers.get(f"{end}_{layer}") for end in ("low", "high"))
    low, high = ("more" if end is None else _said(end, relative) for end in ends)
    return f"{low} to {high}"


def _times(ratio: float) -> str:
    return number(ratio, 0 if ratio >= 10 else 1 if ratio >= 2 else 2) if math.isfinite(ratio) else "many"


def _rises(values: list[float]) -> bool:
    """Whether each is above the one before, and the first above 0, as long as there is a prediction left to move."""
    return all(before < after or before >= GONE for before, after in pairwise((0.0, *values)))


EXHIBIT = Kind("How much noise each layer's stream can bear", Settings, show)
