"""Many trials of the same rows: each prompt with each dice is one comparison, and one number of every row is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..experiment import Experiment
from ..experiment.trials import Trials, TrialsRecipe
from ..metrics import metric_named
from ..tweaks.elsewhere import other_noise
from .compare import as_run, versions
from .compare import run as compare
from .living import Living


def run(living: Living, recipe: TrialsRecipe, progress: Callable[[int, int], None] | None = None) -> Trials:
    """Run them all. Raises whatever a comparison raises; `progress` is told (done, of)."""
    start = time.perf_counter()
    metric = metric_named(recipe.metric)
    base: list[list[float | None]] = []
    values: list[list[list[float | None]]] = [[] for _ in recipe.tweaks]
    examples: list[tuple[str, ...]] = []
    device = ""
    for number, prompt in enumerate(recipe.prompts):
        base.append([])
        for row in values:
            row.append([])
        for draw in range(recipe.seeds):
            plan = Experiment(
                prompt=prompt,
                tweaks=tuple(other_noise(stack, draw) for stack in recipe.tweaks),
                target=recipe.targets[number] if recipe.targets else None,
                read=recipe.read,
                decoding=recipe.decoding,
                seed=recipe.seed + draw,
                model=recipe.model,
                revision=recipe.revision,
                dtype=recipe.dtype,
            )
            done = compare(living, plan)
            base[-1].append(metric.of(done, None))
            for row in range(len(recipe.tweaks)):
                values[row][-1].append(metric.of(done, row))
            if draw == 0:
                examples.append((done.base.text, *(r.text for r in done.tweaks)))
                device = done.device
            if progress is not None:
                progress(number * recipe.seeds + draw + 1, len(recipe.prompts) * recipe.seeds)
    return Trials(
        recipe=as_run(living, recipe),
        base=tuple(map(tuple, base)),
        values=tuple(tuple(map(tuple, row)) for row in values),
        examples=tuple(examples),
        versions=versions(),
        revision=living.revision,
        device=device,
        seconds=round(time.perf_counter() - start, 4),
    )
