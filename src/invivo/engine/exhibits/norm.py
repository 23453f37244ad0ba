"""What a layer's norm does to one vector (Ba, Kiros & Hinton 2016; RMSNorm: Zhang & Sennrich 2019)."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field

from ...errors import Refused
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted
from ...sites import Place
from ...spec import Spec
from ..forward import watched
from ..living import Living
from . import Found, Kind

SHOWN = 64  # dimensions in the picture, the first ones


class Settings(Spec):
    """Which vector."""

    prompt: str = "Once upon a time"
    """What is read; the vector is the last token's."""
    layer: int = Field(default=2, ge=0)
    """The layer whose first norm it is."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The residual stream at the last token, and what the layer's first norm makes of it."""
    layer, _, _ = living.anatomy.locate(Place.of(f"L{settings.layer}.resid_pre"))
    block = living.anatomy.blocks[layer or 0].module
    norm = next((m for m in block.modules() if "norm" in type(m).__name__.lower()), None)
    if norm is None:
        raise Refused(f"{living.name} has no norm in layer {layer}")
    seen: list[torch.Tensor] = []
    handle = norm.register_forward_hook(lambda *call: seen.append(call[-1]))
    ids = torch.tensor([living.encode(settings.prompt)], device=living.device)
    try:
        with living.alone("capture"), watched(living.anatomy, [], [(layer, "resid_pre")]) as run:
            living.hf(input_ids=ids, use_cache=False)
    finally:
        handle.remove()
    before = run.tensors()[(layer, "resid_pre")].reshape(-1, living.anatomy.width)[-1].float()
    after = seen[-1].reshape(-1, living.anatomy.width)[-1].float()
    rows: list[tuple[str, Any]] = [("before", before), ("after", after)]
    numbers = {
        f"{what}_{name}": float(value)
        for name, x in rows
        for what, value in (("mean", x.mean()), ("sd", x.std(correction=0)), ("length", x.norm()))
    }
    token = living.piece(int(ids[0, -1])).text
    sentence = (
        f"The norm of layer {layer} takes the vector of {quoted(token)} from length {number(numbers['length_before'])} "
        f"to {number(numbers['length_after'])}, and from a spread of {number(numbers['sd_before'])} to "
        f"{number(numbers['sd_after'])}."
    )
    picture = Lines(
        title=f"One vector before and after the norm of layer {layer}",
        summary=sentence,
        x=tuple(range(min(SHOWN, len(before)))),
        x_name=f"dimension (of {len(before)})",
        y_name="value",
        series=tuple(
            Series(name=f"{name} the norm", values=tuple(x[:SHOWN].tolist()), role=role)
            for (name, x), role in zip(rows, ("base", "tweak"), strict=True)
        ),
    )
    table = Table(
        columns=("", "mean", "standard deviation", "length"),
        rows=tuple(
            (f"{name} the norm", *(number(numbers[f"{what}_{name}"], 3) for what in ("mean", "sd", "length")))
            for name, _ in rows
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="norm"), table), numbers)


EXHIBIT = Kind("What the layer norm does to one vector", Settings, show)
