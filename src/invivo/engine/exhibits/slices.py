"""Perplexity of texts nobody has read, as more and more of every token's embedding is blanked: a dose curve.

Beside the first dimensions, as many others drawn at random: if which ones are blanked matters less than how many, the
table spreads what it knows over all of them.
"""

from __future__ import annotations

import random

from pydantic import Field

from ...errors import BadText
from ...experiment.passages import PASSAGES
from ...experiment.trials import Interval, interval
from ...pictures import Bars, Lines, Role, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...sites import Place
from ...spec import Spec
from ..living import Living
from . import Found, Kind
from ._texts import over_texts, read_well, spanned, surprise

EIGHTHS = (1, 2, 3, 4, 5, 6)  # of the width, blanked


class Settings(Spec):
    """What is read, and how much is blanked."""

    widths: tuple[int, ...] = ()
    """How many dimensions are blanked; an eighth of all of them to six eighths when left out."""
    part: float | None = Field(default=None, gt=0, le=1)
    """One share of the width in place of widths: 0.5 is half of it."""
    draws: int = Field(default=0, ge=0, le=100)
    """How many times as many dimensions are drawn at random, to compare with."""
    texts: tuple[str, ...] = PASSAGES
    """What is read: passages written for this when left out."""
    seed: int = Field(default=0, ge=0)
    """Which random dimensions."""


def show(living: Living, settings: Settings) -> Found:
    """Perplexity of several texts against how many of the embedding's dimensions are blanked."""
    living.anatomy.locate(Place.of("embed"))
    size = living.anatomy.size("embed", "D", None) or 0
    if settings.part is not None:
        widths: tuple[int, ...] = (max(1, round(settings.part * size)),)
    else:
        widths = settings.widths or tuple(dict.fromkeys(max(1, size * part // 8) for part in EIGHTHS))
    if not all(0 < width <= size for width in widths):
        raise BadText(f"a width is from 1 to {size}, not {', '.join(map(str, widths))}")
    if not settings.texts:
        raise BadText("there is no text to read", hint="leave out texts for the usual ones")
    dice = random.Random(settings.seed)
    drawn = [[_some(dice.sample(range(size), width)) for _ in range(settings.draws)] for width in widths]
    lines = [f"zero embed dims 0:{width}" for width in widths] + [line for each in drawn for line in each]
    texts = [living.encode(text, "text to read") for text in settings.texts]
    with living.alone("capture"):
        base, *rows = surprise(living, lines, texts)
    first, others = rows[: len(widths)], rows[len(widths) :]
    random_rows = [others[i * settings.draws : (i + 1) * settings.draws] for i in range(len(widths))]
    return _found(size, widths, base, first, random_rows)


def _some(dims: list[int]) -> str:
    return "zero embed dims " + ",".join(map(str, sorted(dims)))


def _found(
    size: int, widths: tuple[int, ...], base: list[float], first: list[list[float]], others: list[list[list[float]]]
) -> Found:
    """Sentence, numbers, picture and table, of mean surprises: [text], [width][text], [width][draw][text]."""
    start, spots = over_texts(base), [over_texts(row) for row in first]
    numbers = {"base": start.mean, "base_low": start.low, "base_high": start.high}
    columns: list[str] = [
        "perplexity, first (95 % interval)",
        "texts made worse",
    ]
    rows = [["0 (BASE)", spanned(start), ""]]
    for width, spot, row in zip(widths, spots, first, strict=True):
        gains = interval([after - before for before, after in zip(base, row, strict=True)])
        worse = sum(after > before for before, after in zip(base, row, strict=True))
        numbers |= {f"first_{width}": spot.mean, f"first_{width}_low": spot.low, f"first_{width}_high": spot.high}
        numbers |= {f"gain_{width}_low": gains.low, f"worse_{width}": worse}
        share = number(100 * width / size, 0)
        rows.append([f"{width} ({share} %)", spanned(spot), f"{worse} of {len(base)}"])
    bands: list[Interval] = []
    each: list[float] = []
    if others[0]:
        columns.append("perplexity, random (least to most)")
        rows[0].append("")
        for place, (width, spot, draws) in enumerate(zip(widths, spots, others, strict=True), start=1):
            each = [over_texts(draw).mean for draw in draws]
            band = Interval(
                mean=over_texts([sum(c) / len(c) for c in zip(*draws, strict=True)]).mean, low=min(each), high=max(each)
            )
            bands.append(band)
            rows[place].append(spanned(band))
            numbers |= {
                f"random_{width}": band.mean,
                f"random_{width}_low": band.low,
                f"random_{width}_high": band.high,
            }
            numbers[f"beaten_{width}"] = sum(spot.mean > other for other in each)
    sentence = _sentence(size, widths, start, spots, numbers, len(base), bands, len(others[0]))
    title = f"Perplexity of {len(base)} texts, and how much of the embedding is blanked"
    if len(widths) == 1 and bands:
        picture: Bars | Lines = _bars(f"{title}: {widths[0]} of {size}", sentence, start, spots[0], each)
    else:
        picture = _lines(title, sentence, size, widths, [start, *spots], [start, *bands] if bands else [])
    table = Table(columns=("blanked", *columns), rows=tuple(map(tuple, rows)))
    numbers |= {"texts": len(base), "draws": len(others[0])}
    return Found(sentence, (Figure(picture=picture, name="slices"), table), numbers)


def _bars(title: str, summary: str, start: Interval, spot: Interval, draws: list[float]) -> Bars:
    """BASE, the first dimensions, and each random draw, largest first."""
    ranked = sorted([*((value, False) for value in draws), (spot.mean, True)], key=lambda bar: -bar[0])
    number_of = {i: str(n) for n, i in enumerate((i for i, (_, mine) in enumerate(ranked) if not mine), start=1)}
    labels = ["BASE", *("first" if mine else f"random {number_of[i]}" for i, (_, mine) in enumerate(ranked))]
    return Bars(
        title=title,
        summary=summary,
        unit="perplexity",
        labels=tuple(labels),
        series=(
            Series(name="BASE", role="base", values=(start.mean, *(None for _ in ranked))),
            Series(name="first", role="tweak", values=(None, *(v if m else None for v, m in ranked))),
            Series(name="random", values=(None, *(None if m else v for v, m in ranked))),
        ),
    )


def _lines(
    title: str, summary: str, size: int, widths: tuple[int, ...], first: list[Interval], others: list[Interval]
) -> Lines:
    """Perplexity against width, BASE first."""
    return Lines(
        title=title,
        summary=summary,
        x=(0.0, *map(float, widths)),
        x_name=f"dimensions blanked, of {size}",
        y_name="perplexity",
        series=(
            _series("first", "other", first),
            *((_series("random", "other", others),) if others else ()),
        ),
    )


def _series(name: str, role: Role, spots: list[Interval]) -> Series:
    return Series(
        name=name,
        role=role,
        values=tuple(s.mean for s in spots),
        low=tuple(s.low for s in spots),
        high=tuple(s.high for s in spots),
    )


def _sentence(
    size: int,
    widths: tuple[int, ...],
    start: Interval,
    spots: list[Interval],
    numbers: dict[str, float],
    texts: int,
    bands: list[Interval],
    draws: int,
) -> str:
    """The widest slice in words, and where random dimensions lie."""
    width, last = widths[-1], spots[-1]
    moved = "rises" if last.mean > start.mean else "does not rise"
    said = (
        f"With the first {width} of {size} dimensions blanked, perplexity over {texts} texts {moved} from "
        f"{read_well(start.mean)} to {read_well(last.mean)} (95 % interval {read_well(last.low)} to "
        f"{read_well(last.high)}); it is higher on {numbers[f'worse_{width}']:.0f} of the {texts}"
    )
    if not bands:
        return said + "."
    beaten, band = int(numbers[f"beaten_{width}"]), bands[-1]
    sets, span = f"{draws} random sets of {width}", f"{read_well(band.low)} to {read_well(band.high)}"
    if beaten in (0, draws):
        which = "more" if beaten else "less"
        return (
            f"{said}. All {sets} give {'less' if beaten else 'more'} ({span}): the first ones matter {which} than most."
        )
    return f"{said}. That is more than {beaten} of {sets} give ({span}): the first ones are nothing special."


EXHIBIT = Kind("How much of the embedding a model can lose", Settings, show)
