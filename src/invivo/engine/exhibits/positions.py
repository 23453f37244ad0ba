"""How a model is told where a token stands: learned vectors beside sinusoids, or the angles of a rotary model.

Two sinusoidal vectors (Vaswani et al. 2017) have a cosine similarity that depends on their distance d alone: the mean
of cos(d · rate) over their waves. A rotary model (Su et al. 2021) turns by the same kind of waves, so the same sum says
how much of a match between query and key is left when they are d apart.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...errors import Refused
from ...pictures import Heatmap, Lines, Series
from ...show.blocks import Block, Figure, Table
from ...show.text import number
from ...spec import Spec
from ...tweaks.positions import sinusoids
from ..forward import watched
from ..living import Living
from ..rotation import frequencies
from . import Found, Kind

SHOWN = 8  # rows of a similarity matrix
DISTANCES = (1, 2, 4, 8, 16, 32)  # in the table


class Settings(Spec):
    """How many positions."""

    count: int = Field(default=64, ge=8, le=512)
    """How many positions are compared, from the first on."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """How alike the vectors of two positions are, how that falls with their distance, and how long the vectors are."""
    count = min(settings.count, living.anatomy.context)
    if "pos_embed" not in living.anatomy.missing:
        return _vectors(living, count)
    rates = frequencies(living.anatomy)
    if rates is None:
        raise Refused(f"{living.name} has neither position vectors nor angles that are computed from a position")
    return _angles(living, rates.cpu(), count)


def _vectors(living: Living, count: int) -> Found:
    """Of a model with a vector for each position."""
    ids = torch.zeros((1, count), dtype=torch.long, device=living.device)  # any text: positions do not depend on it
    with living.alone("capture"), watched(living.anatomy, [], [(None, "pos_embed")]) as run:
        living.hf(input_ids=ids, use_cache=False)
    learned = run.tensors()[(None, "pos_embed")][0].float().cpu()  # (P, D)
    waves = sinusoids(learned, list(range(count)))
    sides = {"learned": similarity(learned), "sinusoidal": similarity(waves)}
    curves = {name: by_distance(matrix) for name, matrix in sides.items()}
    lengths = learned.norm(dim=-1)
    numbers = _numbers(curves) | {
        "nearest_is_neighbour": nearest_is_neighbour(sides["learned"]),
        "nearest_is_neighbour_sinusoidal": nearest_is_neighbour(sides["sinusoidal"]),
        "length_first": float(lengths[0]),
        "length_mean": float(lengths[1:].mean()),
        "length_last": float(lengths[-1]),
    }
    sentence = (
        f"The vectors of neighbouring positions have a cosine similarity of {number(numbers['neighbours'])}, those "
        f"{count // 2} apart one of {number(numbers['far'])} (sinusoids: {number(numbers['neighbours_sinusoidal'])} "
        f"and {number(numbers['far_sinusoidal'])}); the one most like a position's own is a neighbour's for "
        f"{number(100 * numbers['nearest_is_neighbour'], 0)} % of them."
    )
    runs = (
        f"The first vector is {number(numbers['length_first'])} long, the others {number(numbers['length_mean'])} on "
        f"average, the last of these {count} {number(numbers['length_last'])}."
    )
    blocks: list[Block] = [_matrix(name, matrix) for name, matrix in sides.items()]
    blocks += [
        _curve(sentence, curves),
        _table(curves),
        Figure(
            picture=Lines(
                title="How long each position's vector is",
                summary=runs,
                x=tuple(map(float, range(count))),
                x_name="position",
                y_name="length",
                series=(Series(name="learned", values=tuple(lengths.tolist())),),
            ),
            name="position-lengths",
        ),
    ]
    return Found(sentence, tuple(blocks), numbers)


def _angles(living: Living, rates: Tensor, count: int) -> Found:
    """Of a rotary model: there are no vectors, and what distance does to a match follows from the rates alone."""
    distances = torch.arange(count, dtype=torch.float32)
    turned = (distances[:, None] * rates).cos().mean(-1)
    plain = similarity(sinusoids(torch.zeros(1, 2 * len(rates)), list(range(count))))[0]
    curves = {"rotary": turned[1:].tolist(), "sinusoidal": plain[1:].tolist()}
    numbers = _numbers(curves)
    sentence = (
        f"{living.name} has no position vectors. It turns queries and keys, {len(rates)} pairs of numbers each at a "
        f"rate of its own, so only distance counts: of a match of all pairs, {number(numbers['neighbours'])} is left "
        f"at distance 1 and {number(numbers['far'])} at {count // 2}."
    )
    return Found(
        sentence,
        (
            _curve(sentence, curves),
            _table(curves),
        ),
        numbers,
    )


# ── the numbers ──


def similarity(vectors: Tensor) -> Tensor:
    """Cosine similarity (P, P) of vectors (P, D)."""
    unit = vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return unit @ unit.T


def by_distance(matrix: Tensor) -> list[float]:
    """Mean similarity of two positions 1, 2, … apart."""
    return [float(matrix.diagonal(d).mean()) for d in range(1, len(matrix))]


def nearest_is_neighbour(matrix: Tensor) -> float:
    """Share of positions whose most similar other one is right beside them."""
    others = matrix.clone().fill_diagonal_(-2.0)
    return float(((others.argmax(-1) - torch.arange(len(matrix))).abs() == 1).float().mean())


def _numbers(curves: dict[str, list[float]]) -> dict[str, float]:
    """Similarity at distance 1 and half-way, of the model and of sinusoids."""
    found = {}
    for name, curve in curves.items():
        ending = "_sinusoidal" if name == "sinusoidal" else ""
        found |= {f"neighbours{ending}": curve[0], f"far{ending}": curve[(len(curve) + 1) // 2 - 1]}
    return found


# ── the pictures ──


def _matrix(name: str, matrix: Tensor) -> Figure:
    step = max(1, len(matrix) // SHOWN)
    chosen = range(0, len(matrix), step)
    labels = tuple(map(str, chosen))
    return Figure(
        picture=Heatmap(
            title=f"How alike two positions are: {name}",
            summary=f"Cosine similarity of {name} vectors: 1 on the diagonal, less beside it, and "
            f"{number(float(matrix[0, chosen[-1]]))} between positions 0 and {labels[-1]}.",
            rows=labels,
            columns=labels,
            row_name="position",
            column_name="position",
            unit="cosine similarity",
            values=tuple(tuple(float(matrix[a, b]) for b in chosen) for a in chosen),
            diverging=True,
        ),
        name=f"positions-{name}",
    )


def _curve(sentence: str, curves: dict[str, list[float]]) -> Figure:
    return Figure(
        picture=Lines(
            title="How alike two positions are, by their distance",
            summary=sentence,
            x=tuple(map(float, range(1, len(next(iter(curves.values()))) + 1))),
            x_name="distance, positions",
            y_name="mean cosine similarity",
            series=tuple(Series(name=name, values=tuple(curve)) for name, curve in curves.items()),
        ),
        name="positions-by-distance",
    )


def _table(curves: dict[str, list[float]]) -> Table:
    length = len(next(iter(curves.values())))
    return Table(
        columns=("positions apart", *curves),
        rows=tuple((str(d), *(number(c[d - 1]) for c in curves.values())) for d in DISTANCES if d <= length),
        caption="Mean cosine similarity",
    )


EXHIBIT = Kind("How a model is told where a token stands", Settings, show)
