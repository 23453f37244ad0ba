"""The same tweak elsewhere, measured: at random places of its kind in one sweep, and on other prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..experiment.case import Case
from ..experiment.control import Control
from ..tweaks import Activation, Stack
from ..tweaks.elsewhere import elsewhere
from .living import Living
from .sweep import answer, ask


def run(
    living: Living, case: Case, stack: Stack, metric: str, count: int, prompts: Sequence[str] = (), seed: int = 0
) -> Control:
    """The effect of `stack` on `metric`, of the same tweak at `count` random places, and on other `prompts`.

    Raises BadText where there is nowhere else to go, and whatever a sweep raises.
    """
    anatomy = living.anatomy
    sources = {t.source_prompt for t in stack if isinstance(t, Activation) and t.source_prompt}

    def size(site: str, axis: str, layer: int | None) -> int:
        return anatomy.size(site, axis, layer) or 0

    with living.alone("compare"), torch.no_grad():
        asked = ask(living, metric, sources, case)
        others = elsewhere(stack, count, size, len(asked.prompt), anatomy.layers, seed)
        moved = effects(living, case, metric, sources, [stack, *others])
        there = [
            effects(living, case.model_copy(update={"prompt": prompt}), metric, sources, [stack])[0]
            for prompt in prompts
        ]
    return Control(
        tweak=stack,
        case=case,
        metric=metric,
        effect=moved[0],
        lines=tuple(map(str, others)),
        others=tuple(moved[1:]),
        prompts=tuple(prompts),
        elsewhere=tuple(there),
    )


def effects(living: Living, case: Case, metric: str, sources: set[str], stacks: Sequence[Stack]) -> list[float]:
    """How far each stack moves the metric from BASE."""
    done: dict[int, float] = {}
    base, _, _ = answer(
        living,
        ask(living, metric, sources, case),
        [str(s) for s in stacks],
        done,
        lambda cells, values: done.update(zip(cells, values, strict=True)),
    )
    return [done[i] - base for i in range(len(stacks))]
