"""What fewer bits a weight cost: perplexity of texts nobody has read, bytes, and how far the weights are off.

Each format is the tweak `quantize`. Beside a scale for every row stands a scale for every few weights, and beside the
roundings random changes of the weights that are as large (Gaussian, in each matrix of the size of the rounding error).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import nn

from ...errors import BadText
from ...experiment.passages import PASSAGES
from ...experiment.trials import Interval
from ...model.load import Loaded
from ...pictures import Bars, Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ...tweaks.model import Quantize
from ..living import Living, wake
from ..makers import block_matrices, copied
from ..makers.quantize import round_all, rounded
from . import Found, Kind
from ._texts import over_texts, read_well, spanned, surprise

BROKEN = 1e6  # a perplexity beyond which the model is no model any more


class Settings(Spec):
    """Which formats, on which texts."""

    formats: tuple[str, ...] = ("int8", "int6", "int5", "int4", "int3", "int2", "int1", "nf4")
    """Number formats: int1 to int8, and nf4."""
    group: int = Field(default=32, ge=0)
    """How many weights share a scale in the second curve; 0 leaves that curve out."""
    draws: int = Field(default=0, ge=0, le=50)
    """How many random changes as large as the first format's rounding are tried beside it."""
    texts: tuple[str, ...] = PASSAGES
    """What is read: passages written for this when left out."""


def show(living: Living, settings: Settings) -> Found:
    """Perplexity of several texts with the blocks' weights in fewer and fewer bits."""
    if not settings.texts or not settings.formats:
        raise BadText("there is nothing to read, or no format to read it in", hint="leave both out for the usual ones")
    texts = [living.encode(text, "text to read") for text in settings.texts]
    with living.alone("make"):
        base = surprise(living, [], texts)[0]
        start = over_texts(base)
        numbers = {"base": start.mean, "base_low": start.low, "base_high": start.high, "texts": float(len(texts))}
        kinds = {"row": [Quantize.of({"to": to}) for to in settings.formats]}
        if settings.group:
            kinds["group"] = [Quantize.of({"to": to, "group": settings.group}) for to in settings.formats]
        spots: dict[str, list[Interval]] = {}
        for kind, tweaks in kinds.items():
            spots[kind] = []
            for tweak in tweaks:
                hf = copied(living.hf)
                found = round_all(living, hf, tweak)
                nats = surprise(_woken(living, hf), [], texts)[0]
                spots[kind].append(over_texts(nats))
                numbers |= {
                    f"{kind}_{tweak.to}": spots[kind][-1].mean,
                    f"{kind}_off_{tweak.to}": found.off,
                    f"{kind}_mib_{tweak.to}": found.after / 2**20,
                    f"{kind}_worse_{tweak.to}": float(sum(a > b + 1e-4 for a, b in zip(nats, base, strict=True))),
                }
        drawn = [
            over_texts(surprise(_shaken(living, kinds["row"][0], seed), [], texts)[0]).mean
            for seed in range(settings.draws)
        ]
    whole = sum(m.weight.numel() * 4 for _, m in block_matrices(living, living.hf)) / 2**20  # type: ignore[union-attr]
    numbers["mib"] = whole
    sentence = _sentence(settings, numbers)
    blocks: list[Any] = []
    bits = [f for f in settings.formats if f != "nf4"]
    if len(bits) > 1:
        blocks.append(Figure(picture=_lines(sentence, settings, bits, start, spots), name="bits"))
    blocks.append(_table(settings, numbers, start, spots, whole))
    if drawn:
        numbers |= {
            "random": sum(drawn) / len(drawn),
            "random_low": min(drawn),
            "random_high": max(drawn),
            "beaten": float(sum(numbers[f"row_{settings.formats[0]}"] > other for other in drawn)),
            "draws": float(len(drawn)),
        }
        sentence = _beside(settings.formats[0], numbers, start)
        picture = _bars(sentence, settings.formats[0], start, numbers[f"row_{settings.formats[0]}"], drawn)
        blocks.insert(0, Figure(picture=picture, name="beside"))
    return Found(sentence, tuple(blocks), numbers)


def _woken(living: Living, hf: Any) -> Living:
    return wake(Loaded(hf, living.tokenizer, living.name, living.revision, living.allowed))


@torch.no_grad()
def _shaken(living: Living, tweak: Quantize, seed: int) -> Living:
    """The model with a random change in every matrix of its blocks that is as large as the tweak's rounding."""
    hf = copied(living.hf)
    dice = torch.Generator().manual_seed(seed)
    for _, module in block_matrices(living, hf):
        weight: Any = module.weight
        rows = weight if isinstance(module, nn.Linear) else weight.t()
        size = (rounded(rows, tweak).values.to(rows) - rows).pow(2).mean().sqrt()
        weight.add_(size * torch.randn(weight.shape, generator=dice).to(weight))
    return _woken(living, hf)


def _bars(summary: str, to: str, start: Interval, rounding: float, drawn: Sequence[float]) -> Bars:
    """BASE, the rounding, and every random change, largest first."""
    ranked = sorted([(value, "random") for value in drawn] + [(rounding, to)], reverse=True)
    return Bars(
        title=f"Rounding to {to}, and random changes of that size",
        summary=summary,
        unit="perplexity",
        labels=("BASE", *(name for _, name in ranked)),
        series=(
            Series(name="BASE", role="base", values=(start.mean, *(None for _ in ranked))),
            Series(name=to, role="tweak", values=(None, *(v if name == to else None for v, name in ranked))),
            Series(name="random", values=(None, *(None if name == to else v for v, name in ranked))),
        ),
    )


def _lines(
    summary: str, settings: Settings, bits: Sequence[str], start: Interval, spots: dict[str, list[Interval]]
) -> Lines:
    """The logarithm of perplexity against bits, because the last ones are beyond any axis."""
    places = sorted(bits, key=lambda f: int(f[3:]))
    names = {"row": "one scale a row", "group": f"one for {settings.group} weights"}

    def nats(kind: str, end: str) -> tuple[float, ...]:
        by = dict(zip(settings.formats, spots[kind], strict=True))
        return tuple(float(torch.tensor(getattr(by[f], end)).log()) for f in places)

    return Lines(
        title="Surprise at the texts, and how many bits a weight has",
        summary=summary,
        x=tuple(float(f[3:]) for f in places),
        x_name="bits a weight",
        y_name="surprise, nats a token",
        series=(
            Series(name="BASE, 32 bits", role="base", values=(float(torch.tensor(start.mean).log()),) * len(places)),
            *(
                Series(
                    name=names[kind],
                    role="tweak" if kind == "row" else "other",
                    values=nats(kind, "mean"),
                    low=nats(kind, "low"),
                    high=nats(kind, "high"),
                )
                for kind in spots
            ),
        ),
    )


def _table(
    settings: Settings, numbers: dict[str, float], start: Interval, spots: dict[str, list[Interval]], whole: float
) -> Table:
    columns = ["weights in", "MiB", "off by", "perplexity (95 % interval)"]
    if settings.group:
        columns += ["MiB", "off by", f"with a scale for {settings.group}"]
    rows = [["float32 (BASE)", number(whole, 1), "0 %", spanned(start), *(["", "", ""] if settings.group else [])]]
    for place, to in enumerate(settings.formats):
        row = [to]
        for kind in spots:
            spot, off = spots[kind][place], 100 * numbers[f"{kind}_off_{to}"]
            row += [
                number(numbers[f"{kind}_mib_{to}"], 2),
                f"{number(off, 1)} %",
                spanned(spot) if spot.mean < BROKEN else _read(spot.mean),
            ]
        rows.append(row)
    return Table(columns=tuple(columns), rows=tuple(map(tuple, rows)))


def _read(value: float) -> str:
    """A perplexity, as long as anybody would read its digits."""
    return read_well(value) if value < BROKEN else "over a million"


def _sentence(settings: Settings, numbers: dict[str, float]) -> str:
    """From the most bits to the fewest."""
    ranked = sorted((f for f in settings.formats if f != "nf4"), key=lambda f: -int(f[3:])) or list(settings.formats)
    told = ", ".join(f"{_read(numbers[f'row_{f}'])} in {f}" for f in ranked)
    return (
        f"Perplexity over {numbers['texts']:.0f} texts is {read_well(numbers['base'])} with the weights as they are, "
        f"and {told}."
    )


def _beside(to: str, numbers: dict[str, float], start: Interval) -> str:
    beaten, draws = int(numbers["beaten"]), int(numbers["draws"])
    where = "more than all" if beaten == draws else "less than all" if beaten == 0 else f"more than {beaten} of the"
    return (
        f"Rounding to {to} takes perplexity from {read_well(start.mean)} to {read_well(numbers[f'row_{to}'])}; random "
        f"changes of the same size take it to {read_well(numbers['random_low'])} to "
        f"{read_well(numbers['random_high'])}: the rounding costs {where} {draws} of them."
    )


EXHIBIT = Kind("What fewer bits a weight cost", Settings, show)
