"""Blanking a slice of the embedding: as an activation, on the way in, and as a weight, in the table itself.

Where a model scores the next token with the very table that it looked up the prompt's tokens in (tied weights: Press &
Wolf 2017), an edit of the table acts on both ends, and its other half can be had as a tweak of the head's input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import BadText, Refused
from ...experiment.passages import PASSAGES
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...sites import Place
from ...spec import Spec
from ..living import Living
from . import Found, Kind
from ._texts import over_texts, read_well, surprise

EIGHTHS = (1, 2, 3, 4)


class Settings(Spec):
    """What is read, and how much is blanked."""

    widths: tuple[int, ...] = ()
    """How many of the first dimensions are blanked; an eighth of all of them to four when left out."""
    texts: tuple[str, ...] = PASSAGES
    """What is read: passages written for this when left out."""


@contextmanager
@torch.no_grad()
def blanked(table: Tensor, width: int) -> Iterator[None]:
    """Inside, the first `width` columns of the table hold zeros."""
    kept = table[:, :width].detach().clone()
    table[:, :width] = 0
    try:
        yield
    finally:
        table[:, :width] = kept


def shared(living: Living) -> bool:
    """Whether the head's matrix is the embedding table itself."""
    head: Any = living.hf.get_output_embeddings()
    return head is not None and head.weight is living.hf.get_input_embeddings().weight


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The same slice blanked on the way in and in the table: where the head is tied to the table, the two differ."""
    living.anatomy.locate(Place.of("embed"))
    table, size = living.hf.get_input_embeddings().weight, living.anatomy.size("embed", "D", None) or 0
    if table.shape[1] != size:
        raise Refused(f"the table of {living.name} is {table.shape[1]} wide and its stream {size}: no slice is in both")
    tied = shared(living)
    widths = settings.widths or tuple(dict.fromkeys(max(1, size * part // 8) for part in EIGHTHS))
    if not all(0 < width <= size for width in widths):
        raise BadText(f"a width is from 1 to {size}, not {', '.join(map(str, widths))}")
    texts = [living.encode(text, "text to read") for text in settings.texts]
    ways = {"way_in": "zero embed dims 0:{}"}
    if tied and "final_norm" not in living.anatomy.missing:
        ways |= {"way_out": "zero final_norm dims 0:{}", "both": "zero embed dims 0:{0} + zero final_norm dims 0:{0}"}
    with living.alone("capture"):
        lines = [form.format(width) for form in ways.values() for width in widths]
        base, *rows = surprise(living, lines, texts)
        edited = []
        for width in widths:
            with blanked(table, width):
                edited.append(surprise(living, [], texts)[0])
    curves = {way: rows[i * len(widths) : (i + 1) * len(widths)] for i, way in enumerate(ways)} | {"table": edited}
    return _found(living.name, size, tied, widths, base, curves)


NAMES = {"way_in": "way in", "way_out": "way out", "both": "both ways", "table": "the table"}


def _found(
    name: str, size: int, tied: bool, widths: tuple[int, ...], base: list[float], curves: dict[str, list[list[float]]]
) -> Found:
    """Sentence, numbers, picture and table of mean surprises: [text], {way: [width][text]}."""
    start = over_texts(base).mean
    spots = {way: [over_texts(row) for row in found] for way, found in curves.items()}
    numbers = {"tied": float(tied), "base": start}
    for way, found in spots.items():
        numbers |= {f"{way}_{width}": spot.mean for width, spot in zip(widths, found, strict=True)}
    twin = None if tied and "both" not in curves else "both" if tied else "way_in"
    if twin is not None:  # the edit of the table, and the activations that must be the same thing
        pairs = zip(curves["table"], curves[twin], strict=True)
        numbers["apart"] = max(abs(a - b) for mine, other in pairs for a, b in zip(mine, other, strict=True))
    last, width = {way: found[-1].mean for way, found in spots.items()}, widths[-1]
    did = (
        f"With dims 0:{width} of {size} blanked, perplexity goes from {read_well(start)} to {read_well(last['way_in'])}"
    )
    if tied:
        sentence = (
            f"{did} as an activation (the way in), and to {read_well(last['table'])} as a weight: {name} scores the "
            "next token with the same table, so the edit blanks the way out, too"
        )
        sentence += f" (zeroing that alone gives {read_well(last['way_out'])})." if "way_out" in last else "."
    else:
        sentence = (
            f"{did} as an activation and to {read_well(last['table'])} as a weight: the head of {name} has a matrix of "
            "its own, so an edit of the table changes the way in and nothing else."
        )
    drawn = [way for way in ("way_in", "way_out", "table") if way in spots]
    picture = Lines(
        title="One slice, blanked as an activation and as a weight",
        summary=sentence,
        x=(0.0, *map(float, widths)),
        x_name=f"dimensions blanked, of {size}",
        y_name="perplexity",
        series=tuple(
            Series(
                name=NAMES[way],
                values=(start, *(spot.mean for spot in spots[way])),
                low=(over_texts(base).low, *(spot.low for spot in spots[way])),
                high=(over_texts(base).high, *(spot.high for spot in spots[way])),
            )
            for way in drawn
        ),
    )
    order = [way for way in ("way_in", "way_out", "both", "table") if way in spots]
    rows = [("0 (BASE)", *(read_well(start) for _ in order))]
    rows += [(str(width), *(read_well(spots[way][i].mean) for way in order)) for i, width in enumerate(widths)]
    table = Table(
        caption=f"Perplexity over {len(base)} texts. Way in, way out, both: activations; the table: the weight itself",
        columns=("dimensions blanked", *(NAMES[way] for way in order)),
        rows=tuple(rows),
    )
    return Found(sentence, (Figure(picture=picture, name="tied"), table), numbers)


EXHIBIT = Kind("A slice of the table, blanked as activation and as weight", Settings, show)
