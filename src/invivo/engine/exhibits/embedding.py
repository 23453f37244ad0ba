"""A token's row of the embedding table, and the rows that point the same way (cosine similarity).

The mean of all rows is taken off first: rows of a trained table share a large common part (Mu & Viswanath 2018), which
would make every token the neighbour of every other.
"""

from __future__ import annotations

import torch
from pydantic import Field

from ...pictures import Bars, Heatmap, Series
from ...show.blocks import Figure
from ...show.text import number, quoted, visible
from ...spec import Spec
from ..living import Living
from . import Found, Kind

ROWS, COLUMNS = 6, 12  # of the table, shown in numbers


class Settings(Spec):
    """Whose row it is."""

    prompt: str = "Once upon a time"
    """What is read; the neighbours are those of its last token."""
    neighbours: int = Field(default=8, ge=1, le=50)
    """How many near rows are shown."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The rows that the prompt's tokens look up, and the tokens whose rows are nearest to the last one's."""
    ids = living.encode(settings.prompt)
    table = living.hf.get_input_embeddings().weight.detach().float()
    entries = min(len(table), len(living.tokenizer))
    token = ids[-1]
    centred = table[:entries] - table[:entries].mean(0)
    unit = centred / centred.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    cosines = unit @ unit[token]
    order = [i for i in cosines.argsort(descending=True).tolist() if i != token][: settings.neighbours]
    pairs = torch.randint(entries, (2, 2000), generator=torch.Generator().manual_seed(0))
    usual = float((unit[pairs[0]] * unit[pairs[1]]).sum(-1).abs().mean())
    name = quoted(living.piece(token).text)
    near = ", ".join(quoted(living.piece(i).text) for i in order[:3])
    numbers = {
        "row": token,
        "width": table.shape[1],
        "length": float(table[token].norm()),
        "nearest": order[0] if order else -1,
        "cosine": float(cosines[order[0]]) if order else 0.0,
        "usual": usual,
    }
    rows = list(dict.fromkeys(ids))[-ROWS:]
    grid = Heatmap(
        title=f"The table's rows for these tokens, first {min(COLUMNS, table.shape[1])} of {table.shape[1]} numbers",
        summary=(
            f"{name} is row {token:,} of {len(table):,}: {table.shape[1]} numbers, as a vector of length "
            f"{number(numbers['length'])}."
        ),
        rows=tuple(f"{i:,} {visible(living.piece(i).text)}" for i in rows),
        columns=tuple(map(str, range(min(COLUMNS, table.shape[1])))),
        values=tuple(tuple(table[i, :COLUMNS].tolist()) for i in rows),
        row_name="row",
        column_name="dimension",
        unit="value",
        diverging=True,
    )
    sentence = (
        f"The rows nearest to that of {name} are those of {near}: cosine {number(numbers['cosine'])} for the first, "
        f"where two rows taken at random have {number(usual)} (in size, on average)."
    )
    bars = Bars(
        title=f"Rows that point the same way as that of {name}",
        summary=sentence,
        labels=tuple(visible(living.piece(i).text) for i in order),
        series=(Series(name="cosine", values=tuple(float(cosines[i]) for i in order)),),
        unit="cosine, mean row taken off",
    )
    return Found(sentence, (Figure(picture=grid, name="rows"), Figure(picture=bars, name="neighbours")), numbers)


EXHIBIT = Kind("A token's row of the embedding table", Settings, show)
