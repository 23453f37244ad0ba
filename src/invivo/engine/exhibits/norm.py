"""What a layer's norm does to one vector (Ba, Kiros & Hinton 2016; RMSNorm: Zhang & Sennrich 2019)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ...errors import Refused
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table, Text
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
    blank: int = Field(default=0, ge=0)
    """How many of the first dimensions are set to zero in front of it, to see what that does to the others."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The residual stream at the last token, and what the layer's first norm makes of it."""
    layer, _, _ = living.anatomy.locate(Place.of(f"L{settings.layer}.resid_pre"))
    norm, before, after = _seen(living, living.encode(settings.prompt), layer or 0)
    named = (("before", before), ("after", after))
    numbers = {
        f"{what}_{name}": float(value)
        for name, x in named
        for what, value in (("mean", x.mean()), ("sd", x.std(correction=0)), ("length", x.norm()))
    }
    token = living.piece(living.encode(settings.prompt)[-1]).text
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
            for (name, x), role in zip(named, ("base", "tweak"), strict=True)
        ),
    )
    rule, bare = _bare(norm, before)
    numbers |= {"mean_bare": float(bare.mean()), "sd_bare": float(bare.std(correction=0))}
    table = Table(
        columns=("", "mean", "standard deviation", "length"),
        rows=tuple(
            (name, number(float(x.mean())), number(float(x.std(correction=0))), number(float(x.norm())))
            for name, x in (("before the norm", before), (rule, bare), ("after the norm", after))
        ),
    )
    blocks: list[Block] = [Figure(picture=picture, name="norm"), table]
    if 0 < settings.blank < len(before):
        numbers["louder"] = _louder(norm, before, settings.blank)
        blocks.append(Text(text=_others(numbers["louder"], settings.blank, len(before))))
    return Found(sentence, tuple(blocks), numbers)


def _seen(living: Living, ids: list[int], layer: int) -> tuple[Any, Tensor, Tensor]:
    """The norm that reads the stream as it enters the layer, and the last token's vector before and after it, (D,).

    Raises Refused where no norm does: some models norm what a layer adds instead.
    """
    seen: list[tuple[Any, Tensor, Tensor]] = []

    def note(module: Any, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(output, Tensor) and output.shape == args[0].shape:
            seen.append((module, args[0].detach().clone(), output.detach().clone()))

    with ExitStack() as hooks, living.alone("capture"):
        for module in living.anatomy.blocks[layer].module.modules():
            if "norm" in type(module).__name__.lower():
                hooks.callback(module.register_forward_hook(note).remove)
        with watched(living.anatomy, [], [(layer, "resid_pre")]) as run:
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    width = living.anatomy.width
    stream = run.tensors()[(layer, "resid_pre")].reshape(-1, width)[-1].float()
    for module, x, y in seen:
        if x.shape[-1] == width and torch.allclose(x.reshape(-1, width)[-1].float(), stream, rtol=1e-3, atol=1e-5):
            return module, stream, y.reshape(-1, width)[-1].float()
    raise Refused(f"no norm of {living.name} reads the stream as it enters layer {layer}")


def _bare(norm: Any, x: Tensor) -> tuple[str, Tensor]:
    """The vector as the norm has it before its learned scale and shift, with a name for what was done."""
    eps = float(getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None) or 0.0)
    if isinstance(norm, nn.LayerNorm):
        return "mean 0 and variance 1, before its learned scale", (x - x.mean()) / (x.var(correction=0) + eps).sqrt()
    return "mean square 1, before its learned scale", x / (x.pow(2).mean() + eps).sqrt()


def _louder(norm: Any, x: Tensor, blank: int) -> float:
    """How many times as large the other dimensions come out (root mean square) with the first `blank` at zero."""
    cut = x.clone()
    cut[:blank] = 0
    dtype = next((p.dtype for p in norm.parameters()), x.dtype)
    whole, rest = (norm(y.to(dtype)[None, None])[0, 0, blank:].float().pow(2).mean().sqrt() for y in (x, cut))
    return float(rest / whole)


def _others(louder: float, blank: int, width: int) -> str:
    """What blanking a slice in front of the norm does to the rest, in words."""
    what = "what is left gets louder" if louder > 1.005 else "what is left gets no louder here"
    return (
        f"With dims 0:{blank} of this vector set to zero in front of the norm, the other {width - blank} come out "
        f"{number(louder)} times as large: {what}."
    )


EXHIBIT = Kind("What the layer norm does to one vector", Settings, show)
