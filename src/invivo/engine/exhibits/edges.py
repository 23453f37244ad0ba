"""Every head's W_Q against the edge of pure chance, and many random matrices beside them.

The control is strict in two ways: random matrices of that very shape, as many as `draws`, and each head's own entries
in random order, which keeps their sizes and loses nothing but their places.
"""

from __future__ import annotations

import torch
from pydantic import Field

from ...pictures import Heatmap
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from ..projections import head_of, initial, over, projections
from . import Found, Kind


class Settings(Spec):
    """How many random matrices."""

    draws: int = Field(default=200, ge=1, le=5000)
    """How many random matrices of the heads' shape are drawn."""
    seed: int = Field(default=0, ge=0)
    """Which ones."""
    layer: int | None = None
    """The layer of a head to be named beside the best one."""
    head: int | None = None
    """That head."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The largest singular value of every head's W_Q, as a multiple of its edge, and that of random matrices."""
    heads = torch.stack([projections(living, layer)["q"].weight.cpu() for layer in range(living.anatomy.layers)])
    trained = over(heads)  # (L, H)
    shape = heads.shape[-2:]
    random = torch.stack([over(initial(living, *shape, seed=settings.seed + i)) for i in range(settings.draws)])
    dice = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(shape.numel(), generator=dice)
    shuffled = over(heads.flatten(-2)[..., order].unflatten(-1, shape))
    luck, total = float(random.max()), trained.numel()
    real = int((trained > luck).sum())
    best = int(trained.argmax())
    sentence = (
        f"Of {settings.draws} random matrices of {shape[0]} × {shape[1]} the luckiest reaches {number(luck)} times the "
        f"edge; {real} of {total} trained heads pass that, head {best // trained.shape[1]}.{best % trained.shape[1]} "
        f"by most ({number(float(trained.max()))}). With their own entries shuffled, "
        f"{int((shuffled > luck).sum())} do."
    )
    named = {}
    if settings.layer is not None and settings.head is not None:
        layer, head, _ = head_of(living, settings.layer, settings.head)
        named["named"] = float(trained[layer, head])
        sentence += f" Head {layer}.{head} reaches {number(named['named'])}."
    picture = Heatmap(
        title="How far each head's W_Q passes the edge",
        summary=sentence,
        rows=tuple(map(str, range(trained.shape[0]))),
        columns=tuple(map(str, range(trained.shape[1]))),
        row_name="layer",
        column_name="head",
        unit="% above (+) or below (−) the edge",
        diverging=True,
        values=tuple(tuple(round(100 * (v - 1), 1) for v in row) for row in trained.tolist()),
    )
    table = Table(
        caption="Largest singular value, in multiples of the edge",
        columns=("", "how many", "lowest", "median", "highest"),
        rows=tuple(
            (what, str(x.numel()), *(number(float(v)) for v in (x.min(), x.median(), x.max())))
            for what, x in (("trained", trained), ("trained, entries shuffled", shuffled), ("random", random))
        ),
    )
    numbers = named | {
        "real": float(real),
        "heads": float(total),
        "random_most": luck,
        "random_least": float(random.min()),
        "shuffled_most": float(shuffled.max()),
        "trained_most": float(trained.max()),
        "trained_median": float(trained.median()),
    }
    return Found(sentence, (Figure(picture=picture, name="edges"), table), numbers)


EXHIBIT = Kind("Every head's query matrix against chance", Settings, show)
