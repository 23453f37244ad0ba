"""Causal tracing: blur what a prompt is about, put one clean state back at a time, and see where the answer returns.

Meng et al. 2022, Locating and Editing Factual Associations in GPT. The subject's embeddings get Gaussian noise of three
times their own standard deviation, averaged over several draws; then one state of the clean run is restored at each
layer and position, the stream's alone and what MLPs add over a few layers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from pydantic import Field

from ...errors import Refused
from ...experiment import Case, Grid, Sweep
from ...pictures import Heatmap
from ...show.blocks import Block, Code, Figure
from ...show.text import number, quoted, visible
from ...sites import Place
from ...spec import Spec, number_text
from ...tweaks import Stack
from .. import sweep
from ..alignment import common_ends
from ..forward import watched
from ..living import Living
from . import Found, Kind

TIMES = 3  # the noise against the embeddings' own spread


class Settings(Spec):
    """What is read, and how it is blurred."""

    clean: str = "The color of blood is"
    """The prompt that has the answer."""
    corrupt: str | None = "The color of grass is"
    """One that differs in its subject alone: where they differ, the clean one is blurred. Without it, everywhere."""
    target: str = " red"
    """The clean prompt's answer."""
    window: int = Field(default=3, ge=1)
    """Over how many layers around a place an MLP's additions are restored together."""
    draws: int = Field(default=5, ge=1, le=100)
    """How many draws of the noise are averaged."""
    sigma: float | None = Field(default=None, gt=0)
    """Standard deviation of the noise; three times that of the prompt's embeddings, when left out."""


def subject(living: Living, settings: Settings) -> tuple[int, int]:
    """From where up to where the clean prompt differs from the corrupt one, in tokens."""
    clean = living.encode(settings.clean)
    if settings.corrupt is None:
        return 0, len(clean)
    first, last = common_ends(clean, living.encode(settings.corrupt))
    return first, max(len(clean) - last, first + 1)


@torch.no_grad()
def spread(living: Living, prompt: str) -> float:
    """Standard deviation of a prompt's embeddings, over tokens and dims."""
    living.anatomy.locate(Place.of("embed"))
    ids = torch.tensor([living.encode(prompt)], device=living.device)
    with living.alone("capture"), watched(living.anatomy, [], [(None, "embed")]) as run:
        living.hf(input_ids=ids, use_cache=False)
    return float(run.tensors()[(None, "embed")].float().std())


def show(living: Living, settings: Settings) -> Found:
    """The answer's probability clean and blurred, and the share of it that each restored state brings back."""
    start, stop = subject(living, settings)
    sigma = float(f"{settings.sigma or TIMES * spread(living, settings.clean):.3g}")
    noise = f"add noise {number_text(sigma)} to embed at {start}:{stop}"
    case = Case(prompt=settings.clean, prompts={"clean": settings.clean}, target=settings.target)
    plans = [
        Sweep(
            tweak=f"copy L*.{site} at * from clean",
            cases=(case,),
            metric="target_probability",
            window=window,
            under=Stack.of(noise),
            seeds=settings.draws,
            model=living.name,
        )
        for site, window in (("resid_pre", 1), ("mlp_out", settings.window))
    ]
    whole = sweep.run(living, Sweep(tweak="scale L*.resid_pre by 1", cases=(case,), metric="target_probability"))
    stream, mlp = (sweep.run(living, plan) for plan in plans)
    clean, blurred = (fmean(value or 0.0 for value in grid.base) for grid in (whole, stream))
    lost = clean - blurred
    if lost < 0.01:
        raise Refused(
            f"noise on {_tokens(living, settings, start, stop)} hardly lowers the probability of "
            f"{quoted(settings.target)} ({_percent(clean)} clean, {_percent(blurred)} blurred): nothing to restore"
        )
    shares = [[effect / lost for effect in grid.effects] for grid in (stream, mlp)]
    width = len(stream.axes[1].labels)
    at, end = stop - 1, width - 1
    layers = len(stream.axes[0].labels)
    kept = [shares[0][layer * width + at] for layer in range(layers)]
    ended = [shares[0][layer * width + end] for layer in range(layers)]
    sentence = (
        f"Noise on {_tokens(living, settings, start, stop)} takes {quoted(settings.target)} from {_percent(clean)} to "
        f"{_percent(blurred)} (mean of {settings.draws} draws)."
    )
    if at != end:
        middle = layers // 2
        sentence += (
            f" Its clean state put back before layer {middle} restores {_percent(kept[middle])} of what was lost, the "
            f"last token's {_percent(ended[middle])}; before the last layer it is {_percent(kept[-1])} and "
            f"{_percent(ended[-1])}."
        )
    best = max(range(len(shares[1])), key=shares[1].__getitem__)
    blocks: list[Block] = [
        Figure(picture=_grid(stream, shares[0], "the residual stream before a layer"), name="trace-resid"),
        Figure(
            picture=_grid(mlp, shares[1], f"what {_around(settings.window)} add"),
            name="trace-mlp",
        ),
        Code(text=plans[0].to_cli() or ""),
    ]
    numbers = {
        "sigma": sigma,
        "clean": clean,
        "blurred": blurred,
        "subject_layer_0": kept[0],
        "subject_layer_1": kept[min(1, layers - 1)],
        "subject_last_layer": kept[-1],
        "end_layer_1": ended[min(1, layers - 1)],
        "end_last_layer": ended[-1],
        "mlp_best": shares[1][best],
        "mlp_best_layer": best // width,
        "mlp_best_position": best % width,
        "subject_position": at,
    }
    return Found(sentence, tuple(blocks), {name: float(value) for name, value in numbers.items()})


def _grid(grid: Grid, shares: Sequence[float], what: str) -> Heatmap:
    rows, columns = grid.axes
    width = len(columns.labels)
    best = max(range(len(shares)), key=shares.__getitem__)
    names = tuple(f"{i} {visible(token)}" for i, _, token in (label.partition(" ") for label in columns.labels))
    return Heatmap(
        title=f"Restored: {what}",
        summary=f"Layer {best // width} at {names[best % width]} brings back most: {number(100 * shares[best], 0)} % "
        "of what the noise took.",
        rows=rows.labels,
        columns=names,
        values=tuple(tuple(100 * s for s in shares[r * width : (r + 1) * width]) for r in range(len(rows.labels))),
        row_name="layer",
        column_name="position",
        unit="of the lost probability, %",
        diverging=min(shares) < -0.005,
    )


def _around(window: int) -> str:
    return "MLPs" if window == 1 else f"the MLPs of {window} layers around a place"


def _tokens(living: Living, settings: Settings, start: int, stop: int) -> str:
    ids = living.encode(settings.clean)[start:stop]
    return quoted("".join(living.piece(i).text for i in ids))


def _percent(share: float) -> str:
    return f"{number(100 * share, 1 if share < 0.1 else 0)} %"


EXHIBIT = Kind("Causal tracing: blur, then restore one state", Settings, show)
