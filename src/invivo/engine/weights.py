"""A tweak as an edit of weights, where it can be written as one: the independent form that checks the other.

Zeroing a head's z is zeroing that head's rows of attention's output matrix; scaling a neuron is scaling its row of the
MLP's last matrix; scaling what attention adds is scaling that matrix and its bias. Edits are undone on every path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Refused
from ..model.anatomy import Anatomy
from ..tweaks import Activation


def can_edit(anatomy: Anatomy, tweak: Activation) -> str | None:
    """Why a tweak cannot be written as an edit of this model's weights; None when it can."""
    site = tweak.place.site
    if tweak.as_weights is None:
        return "it acts at some positions or times only, or adds what no weight holds"
    layer, _, _ = anatomy.locate(tweak.place)
    if site in ("z", "mlp_post"):
        assert layer is not None
        if site not in anatomy.blocks[layer].readers:
            return f"the matrix that reads {site} was not found"
        return None
    if site == "embed":
        tied = anatomy.root.get_output_embeddings().weight is anatomy.root.get_input_embeddings().weight  # type: ignore[operator]
        return "the head shares the embedding matrix, so an edit would change the head too" if tied else None
    if site == "pos_embed":
        return None
    if site in ("attn_out", "mlp_out"):
        assert layer is not None
        if site not in anatomy.blocks[layer].writers:
            return f"no single matrix gives {site} (a norm follows it, perhaps)"
        return None if tweak.place.units is None else "only the whole of it is one matrix"
    return f"no single matrix gives {site}"


@contextmanager
@torch.no_grad()
def edited(anatomy: Anatomy, tweak: Activation) -> Iterator[None]:
    """Inside, the weights hold the tweak. Raises Refused where it has no weight form."""
    reason = can_edit(anatomy, tweak)
    if reason is not None or tweak.as_weights is None:
        raise Refused(f"`{tweak}` has no weight form: {reason}")
    how, amount = tweak.as_weights
    layer, heads, units = anatomy.locate(tweak.place)
    kept: list[tuple[Tensor, Tensor]] = []

    def change(tensor: Tensor, new: Tensor) -> None:
        kept.append((tensor, tensor.detach().clone()))
        tensor.copy_(new)

    site = tweak.place.site
    if site in ("embed", "pos_embed"):
        matrix: Any = anatomy.point(site, None).module.weight
        new = matrix.detach().clone()
        columns = slice(None) if units is None else torch.tensor(units, dtype=torch.long, device=new.device)
        new[:, columns] = new[:, columns] * amount if how == "scale" else new[:, columns] + amount
        change(matrix, new)
    else:
        assert layer is not None
        block = anatomy.blocks[layer]
        if site in ("z", "mlp_post"):
            reader = block.readers[site]
            rows = _rows(block.sizes, site, heads, units)
            _scale_or_shift(reader, rows, how, amount, change)
        else:
            _scale_outputs(block.writers[site], how, amount, change)
    try:
        yield
    finally:
        for tensor, old in reversed(kept):
            tensor.copy_(old)


def _rows(sizes: dict[str, int], site: str, heads: list[int] | None, units: list[int] | None) -> list[int]:
    """Which inputs of the reading matrix a place covers."""
    if site == "mlp_post":
        return list(range(sizes["F"])) if units is None else units
    width = sizes["K"]
    return [
        h * width + k
        for h in (range(sizes["H"]) if heads is None else heads)
        for k in (range(width) if units is None else units)
    ]


def _scale_or_shift(reader: nn.Module, rows: list[int], how: str, amount: float, change: Any) -> None:
    """Scale the rows of a matrix that read some inputs; or add to its bias what a constant on those inputs gives."""
    weight: Any = reader.weight
    inputs = weight if not isinstance(reader, nn.Linear) else weight.t()  # (in, out)
    picked = torch.tensor(rows, dtype=torch.long, device=weight.device)
    if how == "scale":
        new = inputs.detach().clone()
        new[picked] *= amount
        change(weight, new if not isinstance(reader, nn.Linear) else new.t())
    else:
        bias: Any = getattr(reader, "bias", None)
        if bias is None:
            raise Refused("adding a constant needs a bias to put it into, and this layer has none")
        change(bias, bias + amount * inputs.detach()[picked].sum(0))


def _scale_outputs(last: nn.Module, how: str, amount: float, change: Any) -> None:
    """Scale all that a linear layer gives, or shift it through its bias."""
    weight: Any = last.weight
    bias: Any = getattr(last, "bias", None)
    if how == "scale":
        change(weight, weight * amount)
        if bias is not None:
            change(bias, bias * amount)
    elif bias is None:
        raise Refused("adding a constant needs a bias to put it into, and this layer has none")
    else:
        change(bias, bias + amount)
