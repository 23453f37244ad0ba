"""The residual stream as a running sum: how long it is at each layer, and what attention and MLP add to it.

That it is a sum is measured, not told: the token's row, the position's row and everything added must give the vector
that leaves the last layer (Elhage et al. 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted
from ...sites import Place
from ...spec import Spec
from ..forward import Where, watched
from ..living import Living
from . import Found, Kind
from ._texts import read_well

NAMES = {"attn_out": "attention", "mlp_out": "MLP"}


class Settings(Spec):
    """Whose vector."""

    prompt: str = "Once upon a time"
    """What is read; the vector is the last token's."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """How long the last token's vector is at each layer, what each part adds to it, and whether the sum comes out."""
    anatomy = living.anatomy
    anatomy.locate(Place.of("L0.resid_pre"))
    layers, ids = anatomy.layers, living.encode(settings.prompt)
    parts = [site for site in ("attn_out", "mlp_out") if site not in anatomy.missing]
    places: list[Where] = [(n, site) for n in range(layers) for site in ("resid_pre", *parts)]
    places.append((layers - 1, "resid_post"))
    with living.alone("capture"), watched(anatomy, [], places) as run:
        living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    seen = {where: x.reshape(-1, anatomy.width)[-1].double() for where, x in run.tensors().items()}
    stream = [seen[(n, "resid_pre")] for n in range(layers)] + [seen[(layers - 1, "resid_post")]]
    lengths = [_length(x) for x in stream]
    added = {site: [_length(seen[(n, site)]) for n in range(layers)] for site in parts}
    numbers = {f"length_{n}": length for n, length in enumerate(lengths)}
    numbers |= {f"{site}_{n}": length for site in parts for n, length in enumerate(added[site])}
    most = max(((added[site][n], NAMES[site], n) for site in parts for n in range(layers)), default=None)
    longest = (
        f" The longest thing added comes from the {most[1]} of layer {most[2]} ({read_well(most[0])})." if most else ""
    )
    summed = ""
    if len(parts) == 2:
        total = stream[0] + sum(seen[(n, site)] for n in range(layers) for site in parts)
        numbers["sum_apart"] = _length(total - stream[-1]) / lengths[-1]
        if numbers["sum_apart"] < 1e-2:
            summed = (
                f" Added up, what entered the first layer and the {2 * layers} things added are the vector at the end "
                f"(apart by {_share(numbers['sum_apart'])} of its length)."
            )
    grown = lengths[-1] / lengths[0]
    token = quoted(living.piece(ids[-1]).text)
    moved = f"grows {number(grown, 0 if grown >= 10 else 1)}-fold" if grown >= 1.05 else "does not grow"
    sentence = (
        f"From the first layer to the end the vector of {token} {moved}: its length is {read_well(lengths[0])} where "
        f"it enters and {read_well(lengths[-1])} where it leaves.{longest}{summed}"
    )
    picture = Lines(
        title=f"The residual stream of {token}, layer by layer",
        summary=sentence,
        x=tuple(range(layers + 1)),
        x_labels=(*(f"into {n}" for n in range(layers)), "end"),
        x_name="where",
        y_name="length",
        series=(
            Series(name="stream", values=tuple(lengths)),
            *(Series(name=NAMES[site], values=(*added[site], None)) for site in parts),
        ),
    )
    rows = tuple(
        (
            f"into layer {n}" if n < layers else "the end",
            read_well(lengths[n]),
            read_well(lengths[n] / anatomy.width**0.5),
            *(read_well(added[site][n]) if n < layers else "" for site in parts),
        )
        for n in range(layers + 1)
    )
    table = Table(
        caption="Lengths. A dimension's usual size is the length divided by the square root of the width",
        columns=("the stream", "length", "size of a dimension", *(f"{NAMES[site]} adds" for site in parts)),
        rows=rows,
    )
    return Found(sentence, (Figure(picture=picture, name="stream"), table), numbers)


def _length(x: Tensor) -> float:
    return float(x.norm())


def _share(value: float) -> str:
    return "less than a millionth" if value < 1e-6 else f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−")


EXHIBIT = Kind("The residual stream, layer by layer", Settings, show)
