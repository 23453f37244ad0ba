"""Exact and approximate search: how much is found when only some cells of an index are looked into.

A few dozen notes need no index. So the vectors are the model's own table of tokens: some thousand real vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from pydantic import Field

from ...errors import OutOfRange
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted, visible
from ...spec import Spec
from .. import dice
from ..living import Living
from ..retrieval.cells import Cells, exact, recall
from ..retrieval.dense import unit
from . import Found, Kind

MOST = 8192  # vectors
LISTED, NEAR = 4, 4  # words in the table, and neighbours of each


class Settings(Spec):
    """How large the index is, and what it is asked."""

    cells: int = Field(default=64, ge=2, le=1024)
    """Cells of the index."""
    nearest: int = Field(default=10, ge=1, le=100)
    """How many neighbours are asked for: the k of recall@k."""
    queries: int = Field(default=200, ge=2, le=2000)
    """How many tokens are taken out and searched with."""
    seed: int = Field(default=0, ge=0)
    """Which ones, and where the cells' centres start."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Recall of an index by how many of its cells are probed, and by how many vectors are compared with the query."""
    table = living.hf.get_input_embeddings().weight.detach().float().cpu()
    order = dice.uniform(settings.seed, torch.arange(min(len(table), len(living.tokenizer)))).argsort()
    if len(order) < settings.queries + max(settings.cells, settings.nearest):
        raise OutOfRange(f"{living.name} has {len(order):,} tokens, too few for this index", hint="ask for less")
    order = order[: MOST + settings.queries]
    vectors = unit(table[order] - table[order].mean(0)).numpy()
    asked, kept = vectors[: settings.queries], vectors[settings.queries :]
    tokens = order[settings.queries :].tolist()
    true = [exact(kept, query, settings.nearest) for query in asked]
    probes = [p for p in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if p < settings.cells] + [settings.cells]
    numbers: dict[str, float] = {"vectors": float(len(kept)), "probes": float(len(probes))}
    curves: dict[str, list[float]] = {}
    looked: dict[str, list[float]] = {}
    first: dict[int, list[np.ndarray]] = {}
    for name, by_chance in (("learned", False), ("chance", True)):
        cells = Cells(kept, settings.cells, settings.seed, by_chance=by_chance)
        curves[name], looked[name] = [], []
        for probe in probes:
            found = [cells.search(query, settings.nearest, probe) for query in asked]
            curves[name].append(fmean(recall(f, t) for (f, _), t in zip(found, true, strict=True)))
            looked[name].append(fmean(n for _, n in found) / len(kept))
            if not by_chance:
                first[probe] = [f for f, _ in found]
        numbers |= {f"{name}_{i}": v for i, v in enumerate(curves[name])}
        numbers |= {f"{name}_compared_{i}": v for i, v in enumerate(looked[name])}
    at = min(3, len(probes) - 1)
    sentence = (
        f"With {probes[at]} of {settings.cells} cells probed, {_share(looked['learned'][at])} of {len(kept):,} vectors "
        f"are compared and {_share(curves['learned'][at])} of the true {settings.nearest} nearest are found; with all "
        f"cells, {_share(curves['learned'][-1])}."
    )
    picture = Lines(
        title=f"Recall@{settings.nearest} of an index with {settings.cells} cells",
        summary=sentence,
        x=tuple(float(i) for i in range(len(probes))),
        x_labels=tuple(map(str, probes)),
        x_name="cells probed",
        y_name="share of the true nearest found, %",
        series=(
            Series(name="cells by k-means", values=tuple(100 * v for v in curves["learned"])),
            Series(name="cells by chance", values=tuple(100 * v for v in curves["chance"])),
        ),
    )
    rows = tuple(
        (str(p), _share(looked["learned"][i]), _share(curves["learned"][i]), _share(curves["chance"][i]))
        for i, p in enumerate(probes)
    )
    costs = Table(
        caption="What is saved, and what is missed",
        columns=("cells probed", "vectors compared", "recall", "recall, cells by chance"),
        rows=rows,
    )
    named = [n for n in range(settings.queries) if _is_word(living.piece(int(order[n])).text)][:LISTED]
    words = Table(
        caption="The nearest tokens of some words",
        columns=("token", "by exact search", "of these, found in one cell"),
        rows=tuple(
            (
                quoted(living.piece(int(order[n])).text),
                _listed(living, [tokens[t] for t in true[n][:NEAR]]),
                _listed(living, [tokens[t] for t in true[n][:NEAR] if t in first[1][n]]) or "none",
            )
            for n in named
        ),
    )
    return Found(sentence, (Figure(picture=picture, name="recall"), costs, *([words] if named else [])), numbers)


def _is_word(text: str) -> bool:
    return text[:1] in (" ", "▁") and len(text) > 4 and text[1:].isalpha()


def _listed(living: Living, ids: Sequence[int]) -> str:
    return ", ".join(visible(living.piece(i).text) for i in ids)


def _share(value: float) -> str:
    percent = 100 * value
    return f"{number(percent, 0 if percent >= 9.95 or percent == 0 else 1)} %"


EXHIBIT = Kind("An index that looks at a part of all vectors", Settings, show)
