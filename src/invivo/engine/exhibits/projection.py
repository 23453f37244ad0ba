"""Attention's output matrix seen as what it is: one slice of rows a head (Elhage et al. 2021).

The heads' mixes `z` lie side by side and one matrix reads them all. Its first rows meet the first head only, the next
rows the second: so the product is a sum with one term a head, and a head's slice is all it has to say with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import Refused
from ...pictures import Bars, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number, quoted, visible
from ...sites import Place
from ...spec import Spec
from ..attribution import frozen, matrix_of
from ..forward import watched
from ..living import Living
from . import Found, Kind

TOKENS = 4  # named for each head


class Settings(Spec):
    """Which matrix, and on what."""

    prompt: str = "Once upon a time"
    """What is read; what the heads write is shown at its last token."""
    layer: int = 2
    """The layer whose output matrix it is."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """A layer's attention output as the sum of its heads' slices: how large each is, and what each writes here."""
    anatomy = living.anatomy
    layer, _, _ = anatomy.locate(Place.of(f"L{settings.layer}.z"))
    assert layer is not None
    block = anatomy.blocks[layer]
    reader: Any = block.readers.get("z")
    if reader is None:
        raise Refused(f"the matrix that mixes the heads of layer {layer} was not found")
    ids = living.encode(settings.prompt)
    given: list[Tensor] = []
    handle = reader.register_forward_hook(lambda _, __, out: given.append(out.reshape(len(ids), -1)))
    end = (anatomy.layers - 1, "resid_post")
    try:
        with living.alone("capture"), watched(anatomy, capture=[(layer, "z"), end]) as run:
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    finally:
        handle.remove()
    z = run.tensors()[(layer, "z")][0].double()  # (T, H, K)
    heads, width = z.shape[1:]
    slices = matrix_of(reader).double().view(heads, width, -1)  # (H, K, D)
    written = torch.einsum("thk,hkd->htd", z, slices)  # (H, T, D)
    bias = 0.0 if getattr(reader, "bias", None) is None else reader.bias.double()
    out = given[-1].double()
    apart = float((written.sum(0) + bias - out).abs().max())
    sizes, lengths = slices.flatten(1).norm(dim=1).tolist(), written[:, -1].norm(dim=1).tolist()
    together = out[-1] - bias
    total = float(together.norm())
    shares = (written[:, -1] @ together / (together @ together)).tolist()  # they add up to 1
    top = max(range(heads), key=lengths.__getitem__)
    most = max(range(heads), key=shares.__getitem__)
    numbers = {
        "deviation": apart,
        "largest_output": float(out.abs().max()),
        "output_length": total,
        **{f"size_{h}": sizes[h] for h in range(heads)},
        **{f"length_{h}": lengths[h] for h in range(heads)},
        **{f"share_{h}": shares[h] for h in range(heads)},
    }
    last = quoted(living.piece(ids[-1]).text)
    sentence = (
        f"Cut into {heads} slices of {width} rows, the matrix of layer {layer} gives what it gives as a whole: the "
        f"heads' sum and its output differ by at most {small(apart)}, where the output reaches "
        f"{number(numbers['largest_output'], 1)}. At {last} head {layer}.{top} writes most, a vector of length "
        f"{number(lengths[top], 1)}; all of them together write one of {number(total, 1)}."
    )
    tokens = _tokens(living, written[:, -1], run.tensors()[end][0, -1]) if "attn_out" in block.writers else None
    columns = ("head", "size of its slice", "length it writes", "share of the sum, %")
    blocks: list[Block] = [
        Figure(
            name="projection",
            picture=Bars(
                title=f"Each head's share of what layer {layer} writes at {last}",
                summary=f"The shares add up to 100 %; the largest is that of head {layer}.{most}, "
                f"{number(100 * shares[most], 0)} %."
                + (" A negative one works against the others." if min(shares) < 0 else ""),
                labels=tuple(f"{layer}.{h}" for h in range(heads)),
                unit="share of the sum, %",
                series=(Series(name="share", values=tuple(100 * share for share in shares)),),
            ),
        ),
        Table(
            columns=(*columns, *(["tokens it speaks for, read straight off"] if tokens else [])),
            rows=tuple(
                (
                    f"{layer}.{h}",
                    number(sizes[h], 1),
                    number(lengths[h], 1),
                    number(100 * shares[h], 0),
                    *([tokens[h]] if tokens else []),
                )
                for h in range(heads)
            ),
        ),
    ]
    if tokens is None:
        blocks.append(Text(text="A norm follows this matrix, so what a head says cannot be read off.", tone="note"))
    return Found(sentence, tuple(blocks), numbers)


def small(value: float) -> str:
    """A deviation: its power of ten."""
    return f"{value:.0e}" if value else "0"


def _tokens(living: Living, written: Tensor, stream: Tensor) -> list[str] | None:
    """For each head the tokens whose logit (H, D) raises most through the last norm; None where it cannot be read."""
    if "final_norm" in living.anatomy.missing:
        return None
    try:
        norm = frozen(living.anatomy.points["final_norm"].module, stream.double())
    except Refused:
        return None
    head: Any = living.anatomy.root.get_output_embeddings()  # type: ignore[operator]
    logits = norm.linear(written) @ head.weight.double().t()  # (H, V)
    return ["  ".join(visible(living.piece(int(i)).text) for i in row.topk(TOKENS).indices) for row in logits]


EXHIBIT = Kind("The output matrix, head by head", Settings, show)
