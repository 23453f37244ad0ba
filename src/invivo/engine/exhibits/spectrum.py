"""One head's W_Q beside the same matrix before training: entries, singular values, and the edge of pure chance.

Marchenko & Pastur 1967: independent entries of one size give singular values that end at a known edge. What stands
above it was put there by training. W_K and W_V of the head are in the table.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...pictures import Heatmap, Lines, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..projections import edge, head_of, initial, over, projections, spectrum
from . import Found, Kind

CORNER = 10  # rows and columns of the pictured corner


class Settings(Spec):
    """Which head, and which random numbers it is compared with."""

    layer: int | None = None
    """The head's layer; the head that passes the edge by most is taken where either is left out."""
    head: int | None = None
    """The head."""
    seed: int = Field(default=0, ge=0)
    """Which random matrix stands for the one before training."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The entries of a head's query matrix, its singular values, and what a random matrix of its shape has."""
    if settings.layer is None or settings.head is None:
        every = [over(projections(living, layer)["q"].weight) for layer in range(living.anatomy.layers)]
        best = max(range(len(every)), key=lambda i: float(every[i].max()))
        layer, head, group = head_of(living, best, int(every[best].argmax()))
    else:
        layer, head, group = head_of(living, settings.layer, settings.head)
    made = projections(living, layer)
    trained = made["q"].weight[head].cpu()
    blank = initial(living, *trained.shape, seed=settings.seed)
    matched = blank * (trained.norm() / blank.norm())
    name = f"head {layer}.{head}"
    matrices = {
        "W_Q, trained": trained,
        "W_Q, at initialisation": blank,
        "the same at the trained norm": matched,
        "W_K, trained": made["k"].weight[group].cpu(),
        "W_V, trained": made["v"].weight[group].cpu(),
    }
    times = {what: float(over(m)) for what, m in matrices.items()}
    passing = {what: int((spectrum(m) > edge(m)).sum()) for what, m in matrices.items()}
    values, random_values, limit = spectrum(trained), spectrum(matched), float(edge(trained))
    many = len(values)
    count = passing["W_Q, trained"]
    place = "passes the edge of pure chance" if count else "stays below the edge of pure chance"
    sentence = (
        f"The largest singular value of {name}'s W_Q {place}: it is {number(times['W_Q, trained'])} times the edge, "
        f"and {count} of {many} are above it. Before training it is {number(times['W_Q, at initialisation'])} times "
        "its edge."
    )
    table = Table(
        caption=f"Matrices of {name}, each {trained.shape[0]} × {trained.shape[1]}",
        columns=("", "size of an entry", "Frobenius norm", "largest singular value", "its edge", "above it"),
        rows=tuple(
            (
                what,
                number(float(m.pow(2).mean().sqrt()), 3),
                number(float(m.norm()), 1),
                number(float(spectrum(m)[0]), 2),
                number(float(edge(m)), 2),
                str(passing[what]),
            )
            for what, m in matrices.items()
        ),
    )
    curve = Lines(
        title=f"Singular values of {name}'s W_Q",
        summary=sentence,
        x=tuple(float(i) for i in range(1, many + 1)),
        x_name="rank, largest first",
        y_name="singular value, at equal Frobenius norm",
        series=(
            Series(name="at initialisation", role="base", values=tuple(random_values.tolist())),
            Series(name="trained", role="tweak", values=tuple(values.tolist())),
            Series(name="edge of pure chance", role="other", values=(limit,) * many),
        ),
    )
    blocks: list[Block] = [
        _corner(f"A corner of {name}'s W_Q, trained", trained),
        _corner("The same corner at initialisation", blank),
        Text(
            text="By eye the two corners are alike: noise. What training wrote is in no single entry but in directions "
            "that many entries share, and these are what singular values measure."
        ),
        Figure(picture=curve, name="spectrum"),
        table,
    ]
    numbers = {
        "layer": float(layer),
        "head": float(head),
        "passes": times["W_Q, trained"],
        "initial_passes": times["W_Q, at initialisation"],
        "matched_passes": times["the same at the trained norm"],
        "above": float(count),
        "initial_above": float(passing["W_Q, at initialisation"]),
        "edge": limit,
        "largest": float(values[0]),
        "frobenius": float(trained.norm()),
        "matched_frobenius": float(matched.norm()),
    }
    return Found(sentence, tuple(blocks), numbers)


def _corner(title: str, matrix: Tensor) -> Figure:
    """The first rows and columns, in units of the whole matrix's typical entry."""
    size = float(matrix.pow(2).mean().sqrt()) or 1.0
    part = matrix[:CORNER, :CORNER] / size
    far = float((matrix.abs() > 2 * size).float().mean())
    return Figure(
        picture=Heatmap(
            title=title,
            summary=f"{number(100 * far, 1)} % of all entries are more than twice the typical size.",
            rows=tuple(map(str, range(part.shape[0]))),
            columns=tuple(map(str, range(part.shape[1]))),
            row_name="dimension of the stream",
            column_name="dimension of the query",
            unit="typical entries",
            diverging=True,
            values=tuple(tuple(round(v, 2) for v in row) for row in part.tolist()),
        ),
        name="corner-" + ("trained" if "trained" in title else "initial"),
    )


EXHIBIT = Kind("A head's query matrix beside a random one", Settings, show)
