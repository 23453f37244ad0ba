"""One head at work on a prompt, step by step: scores, mask, softmax, values; with a tweak in force, if one is given.

Vaswani et al. 2017. Scores are shown before the mask, so that what it hides can be seen; the pattern after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...pictures import Heatmap
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number, quoted, visible
from ...spec import Spec
from ...tweaks import Stack
from ..forward import watched
from ..living import Living
from ..projections import head_of
from ..rows import actions_for_all
from . import Found, Kind

MOST = 12  # tokens shown, the last ones
SITES = ("scores", "pattern", "v", "z")


class Settings(Spec):
    """Whose attention, on what."""

    prompt: str = "Once upon a time"
    """What is read."""
    layer: int = 2
    """The head's layer."""
    head: int = 0
    """The head."""
    tweak: Stack | None = None
    """A tweak in force meanwhile; then BASE and TWEAK are shown side by side."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """A head's scores before the mask, its pattern after mask and softmax, and what the last token takes from where."""
    layer, head, group = head_of(living, settings.layer, settings.head)
    ids = living.encode(settings.prompt)
    base = _read(living, ids, layer, None)
    seen = base if settings.tweak is None else _read(living, ids, layer, settings.tweak)
    name, tokens = f"head {layer}.{head}", [living.piece(i).text for i in ids]
    pattern, scores = seen["pattern"][head], seen["scores"][head]  # (T, T)
    values = seen["v"][:, group]  # (T, K)
    mixed = pattern @ values
    last, top = pattern[-1], int(pattern[-1].argmax())
    visible_keys = pattern > 0
    spread = torch.where(visible_keys, pattern, 0).amax(-1) - torch.where(visible_keys, pattern, 2).amin(-1)
    numbers = {
        "top": float(last[top]),
        "top_position": float(top),
        "base_top": float(base["pattern"][head][-1].max()),
        "future": float(pattern.triu(1).abs().max()),
        "future_score": float(scores.triu(1).abs().max()),
        "row_sum_off": float((pattern.sum(-1) - 1).abs().max()),
        "uneven": float(spread.max()),
        "z_off": float((mixed - seen["z"][:, head]).abs().max() / mixed.abs().max().clamp(min=1e-9)),
    }
    looks = f"looks most at {quoted(tokens[top])} (position {top}), with {number(100 * float(last[top]), 0)} %"
    sentence = f"From the last token, {quoted(tokens[-1])}, {name} {looks} of its attention"
    if settings.tweak is not None:
        before = base["pattern"][head][-1]
        was = int(before.argmax())
        sentence = (
            f"Under `{settings.tweak}` the last token, {quoted(tokens[-1])}, gives {quoted(tokens[was])} (position "
            f"{was}) {number(100 * float(last[was]), 0)} % of {name}'s attention; in BASE, "
            f"{number(100 * float(before[was]), 0)} %"
        )
        if numbers["uneven"] < 1e-4:
            sentence += f". Each of the {int(visible_keys[-1].sum())} tokens in sight gets the same share"
    sentence += "."
    if settings.tweak is None:
        blocks: list[Block] = [
            _square(
                f"Scores of {name}, before the mask", "Every position has a score for every other.", tokens, scores
            ),
            _square(f"Pattern of {name}, after mask and softmax", sentence, tokens, 100 * pattern, masked=True),
            _table(tokens, scores[-1], last, values),
        ]
    else:
        blocks = [
            _square(f"Pattern of {name}, TWEAK", sentence, tokens, 100 * pattern, masked=True),
            _both(tokens, base["scores"][head][-1], base["pattern"][head][-1], scores[-1], last),
        ]
    if len(tokens) > MOST:
        blocks.append(Text(text=f"Shown are the last {MOST} of {len(tokens)} tokens.", tone="dim"))
    return Found(sentence, tuple(blocks), numbers)


def _read(living: Living, ids: Sequence[int], layer: int, tweak: Stack | None) -> dict[str, Tensor]:
    """A layer's attention on a text, without batch axis: scores and pattern (H, T, T), v and z (T, H, K)."""
    where = [(layer, site) for site in SITES]
    actions = [] if tweak is None else actions_for_all(living, tweak)
    with living.alone("capture"), watched(living.anatomy, actions, where) as run:
        living.hf(input_ids=torch.tensor([list(ids)], device=living.device), use_cache=False)
    return {site: x[0].float().cpu() for (_, site), x in run.tensors().items()}


def _square(title: str, summary: str, tokens: Sequence[str], values: Tensor, *, masked: bool = False) -> Figure:
    start = max(0, len(tokens) - MOST)
    shown = tuple(map(visible, tokens[start:]))
    return Figure(
        picture=Heatmap(
            title=title,
            summary=summary,
            rows=shown,
            columns=shown,
            row_name="from",
            column_name="to",
            unit="attention, %" if masked else "score",
            diverging=not masked,
            values=tuple(
                tuple(None if masked and key > query else round(v, 2) for key, v in enumerate(row[start:], start))
                for query, row in enumerate(values[start:].tolist(), start)
            ),
        ),
        name="pattern" if masked else "scores",
    )


def _table(tokens: Sequence[str], scores: Tensor, pattern: Tensor, values: Tensor) -> Table:
    lengths = values.norm(dim=-1)
    chosen = range(max(0, len(tokens) - MOST), len(tokens))
    return Table(
        caption=f"The last token, {quoted(tokens[-1])}, row by row",
        columns=("looks at", "score", "attention, %", "length of its value", "hands over"),
        rows=tuple(
            (
                f"{i} {visible(tokens[i])}",
                number(float(scores[i]), 1),
                number(100 * float(pattern[i]), 1),
                number(float(lengths[i]), 1),
                number(float(pattern[i] * lengths[i]), 2),
            )
            for i in chosen
        ),
    )


def _both(tokens: Sequence[str], scores: Tensor, pattern: Tensor, new_scores: Tensor, new_pattern: Tensor) -> Table:
    chosen = range(max(0, len(tokens) - MOST), len(tokens))
    return Table(
        caption=f"The last token, {quoted(tokens[-1])}, row by row",
        columns=("looks at", "score, BASE", "TWEAK", "attention, BASE, %", "TWEAK, %"),
        rows=tuple(
            (
                f"{i} {visible(tokens[i])}",
                number(float(scores[i]), 1),
                number(float(new_scores[i]), 1),
                number(100 * float(pattern[i]), 1),
                number(100 * float(new_pattern[i]), 1),
            )
            for i in chosen
        ),
    )


EXHIBIT = Kind("A head at work, step by step", Settings, show)
