"""Where each head of a layer looks from the last token: why a layer has several heads (Vaswani et al. 2017)."""

from __future__ import annotations

import torch
from pydantic import Field

from ...pictures import Heatmap
from ...show.blocks import Figure, Text
from ...show.text import number, quoted, visible
from ...sites import Place
from ...spec import Spec
from ..forward import watched
from ..living import Living
from . import Found, Kind

MOST = 12  # tokens shown, the last ones


class Settings(Spec):
    """Which layer, on what."""

    prompt: str = "Once upon a time"
    """What is read."""
    layer: int = Field(default=2)
    """The layer."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Every head's attention from the last token, one row a head."""
    layer, _, _ = living.anatomy.locate(Place.of(f"L{settings.layer}.pattern"))
    ids = living.encode(settings.prompt)
    with living.alone("capture"), watched(living.anatomy, [], [(layer, "pattern")]) as run:
        living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    rows = run.tensors()[(layer, "pattern")][0, :, -1].float()  # (H, T)
    tokens = [living.piece(i).text for i in ids]
    tops = rows.argmax(-1).tolist()
    start = max(0, len(ids) - MOST)
    common = max(set(tops), key=tops.count)
    agree = tops.count(common)
    sentence = (
        f"From the last token, {quoted(tokens[-1])}, the {len(rows)} heads of layer {layer} look most at "
        f"{len(set(tops))} different places; {agree} of them agree on {quoted(tokens[common])} (position {common})."
    )
    picture = Heatmap(
        title=f"Where the heads of layer {layer} look from the last token",
        summary=sentence,
        rows=tuple(f"{layer}.{h}" for h in range(len(rows))),
        columns=tuple(map(visible, tokens[start:])),
        row_name="head",
        column_name="looks at",
        unit="attention, %",
        values=tuple(tuple(round(100 * v, 1) for v in row[start:]) for row in rows.tolist()),
    )
    numbers = {"places": float(len(set(tops))), "heads": float(len(rows)), "agree": float(agree)}
    numbers |= {f"top_{h}": float(rows[h, top]) for h, top in enumerate(tops)}
    blocks = (Figure(picture=picture, name="glances"),)
    hidden = float(rows[:, :start].sum(-1).mean()) if start else 0.0
    note = f"Shown are the last {MOST} of {len(ids)} tokens; the others get {number(100 * hidden, 0)} % on average."
    return Found(sentence, (*blocks, Text(text=note, tone="dim")) if start else blocks, numbers)


EXHIBIT = Kind("Where each head of a layer looks", Settings, show)
