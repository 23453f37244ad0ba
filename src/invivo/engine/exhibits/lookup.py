"""W_QK = W_Q W_Kᵀ of one head: the table of who looks for whom (Elhage et al. 2021), and its rank.

Read with the biases as one more row of W_Q and W_K, where there are some: then a score is exactly x W_QK yᵀ, up to
the usual division. Rotary models turn queries and keys by their positions first, which cancels where a position looks
at itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...pictures import Lines, Series
from ...show.blocks import Figure
from ...show.text import number, quoted
from ...spec import Spec
from ..forward import watched
from ..living import Living
from ..projections import Projection, head_of, projections, spectrum
from . import Found, Kind

TINY = 1e-4  # of the largest singular value: what rounding leaves


class Settings(Spec):
    """Which head, and a prompt on which the table is tried."""

    prompt: str = "Once upon a time"
    """What is read; the table is asked for the score of the last token with itself."""
    layer: int = 2
    """The head's layer."""
    head: int = 0
    """The head."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The singular values of a head's W_QK, and one score of the prompt read from it."""
    layer, head, group = head_of(living, settings.layer, settings.head)
    made = projections(living, layer)
    table = made["q"].weight[head] @ made["k"].weight[group].t()  # (D, D)
    width, wide = table.shape[0], made["q"].weight.shape[-1]
    values = _of_product(made["q"].weight[head], made["k"].weight[group])
    rank = int((values > TINY * values[0]).sum())
    energy = values.pow(2).cumsum(0) / values.pow(2).sum()
    few = int((energy < 0.9).sum()) + 1
    name = f"head {layer}.{head}"
    numbers = {
        "rank": float(rank),
        "head_width": float(wide),
        "width": float(width),
        "few": float(few),
        "lopsided": float((table - table.t()).norm() / (2 * table.norm())),
    }
    sentence = (
        f"W_QK of {name} is a table of {width} × {width}, but its rank is only {rank}, and the head is {wide} wide; "
        f"{few} directions hold nine tenths of it."
    )
    by_table, by_model, token = _one_score(living, settings.prompt, layer, head, group, made["q"], made["k"])
    if by_table is not None:
        numbers |= {"by_table": by_table, "by_model": by_model}
        sentence += (
            f" For {quoted(token)} with itself the table gives {number(by_table)}, and the model's query times key "
            f"{number(by_model)}."
        )
    else:
        sentence += f" {living.name} normalises queries and keys after these matrices, so the table is not yet a score."
    shown = min(width, 2 * wide)
    curve = Lines(
        title=f"Singular values of {name}'s W_QK",
        summary=sentence,
        x=tuple(float(i) for i in range(1, shown + 1)),
        x_name=f"rank, largest first (the first {shown} of {width})",
        y_name="singular value",
        series=(
            Series(name="trained", role="tweak", values=(*values[:shown].tolist(), *(0.0,) * (shown - len(values)))),
        ),
    )
    return Found(sentence, (Figure(picture=curve, name="lookup"),), numbers)


def _of_product(q: Tensor, k: Tensor) -> Tensor:
    """Singular values of q kᵀ, (D, K) each, without the (D, D) product: those of R_q R_kᵀ, by QR of both."""
    if q.shape[0] <= q.shape[1]:
        return spectrum(q.double() @ k.double().t())
    _, left = torch.linalg.qr(q.double())
    _, right = torch.linalg.qr(k.double())
    return torch.linalg.svdvals(left @ right.t())


def _one_score(
    living: Living, prompt: str, layer: int, head: int, group: int, q: Projection, k: Projection
) -> tuple[float | None, float, str]:
    """The last token's score with itself by the table, by the model's own q and k, and the token; before division."""
    read: list[Tensor] = []
    handle = q.module.register_forward_pre_hook(lambda _module, args: read.append(args[0]))
    ids = living.encode(prompt)
    try:
        with living.alone("capture"), watched(living.anatomy, [], [(layer, "q"), (layer, "k")]) as run:
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    finally:
        handle.remove()
    seen = run.tensors()
    by_model = float(seen[(layer, "q")][0, -1, head].float() @ seen[(layer, "k")][0, -1, group].float())
    if q.gain is None or k.gain is None:
        return None, by_model, living.piece(ids[-1]).text
    x = read[-1].reshape(-1, read[-1].shape[-1])[-1].float()
    x = torch.cat((x, x.new_ones(1)))
    left, right = (
        torch.cat((p.weight[h], p.bias[h, None])) * (p.gain or 1.0) for p, h in ((q, head), (k, group))
    )  # (D + 1, K)
    return float(x @ (left @ right.t()) @ x), by_model, living.piece(ids[-1]).text


EXHIBIT = Kind("W_QK: who looks for whom", Settings, show)
