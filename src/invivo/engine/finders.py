"""Finding on another model what a lab names for fruitfly: its induction head, the neuron that fires most, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from ..errors import unknown
from ..experiment import Experiment
from ..tweaks import Stack
from . import heads
from .forward import watched
from .living import Living


def _strongest(kind: str) -> Callable[[Living, Experiment], str]:
    def find(living: Living, experiment: Experiment) -> str:
        head, _ = heads.scores(living).ranked(kind)[0]
        return f"head {head}"

    return find


@torch.no_grad()
def loudest_neuron(living: Living, experiment: Experiment) -> str:
    """The neuron of the layer two thirds up that fires most after the prompt."""
    layer = 2 * living.anatomy.layers // 3
    ids = torch.tensor([living.encode(experiment.prompt)], device=living.device)
    with living.alone("capture"), watched(living.anatomy, [], [(layer, "mlp_post")]) as seen:
        living.hf(input_ids=ids, use_cache=False)
    return f"neuron {layer}.{int(seen.tensors()[(layer, 'mlp_post')][0, -1].argmax())}"


FINDERS: dict[str, Callable[[Living, Experiment], str]] = {
    "induction head": _strongest("induction"),
    "previous-token head": _strongest("previous_token"),
    "loudest neuron": loudest_neuron,
}


def at(living: Living, experiment: Experiment, finds: Mapping[str, str]) -> tuple[Experiment, list[str]]:
    """The experiment with what is named in `finds` (`head 2.3`) replaced by what stands for it here, and notes."""
    notes, lines = [], [str(stack) for stack in experiment.tweaks]
    for name, kind in finds.items():
        if kind not in FINDERS:
            raise unknown("finder", kind, FINDERS, "invivo labs")
        here = FINDERS[kind](living, experiment)
        lines = [line.replace(name, here) for line in lines]
        notes.append(f"fruitfly's {name} stands for its {kind}; {living.name}'s is {here}")
    return experiment.model_copy(update={"tweaks": tuple(map(Stack.of, lines))}), notes
