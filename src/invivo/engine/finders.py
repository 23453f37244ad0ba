"""Finding on another model what a lab names for fruitfly: its induction head, the neuron that fires most, and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import BadText, unknown
from ..experiment import Experiment, Sweep
from ..experiment.heads import HeadScores
from ..sites import Place
from ..tweaks import Stack
from . import attribution, heads, sweep
from .alignment import common_ends
from .attribution import matrix_of
from .control import effects
from .forward import watched
from .living import Living
from .reference import spreads

PART = 256  # neurons whose logits are held at a time

_kept: dict[int, HeadScores] = {}  # while `at` runs: several heads are found from one reading

RESTORED = 0.8  # the share of an answer's lead that counts as restored


def _scores(living: Living) -> HeadScores:
    if id(living) not in _kept:
        _kept[id(living)] = heads.scores(living)
    return _kept[id(living)]


def _strongest(kind: str, place: int = 0) -> Callable[[Living, Experiment], str]:
    def find(living: Living, experiment: Experiment) -> str:
        ranked = _scores(living).ranked(kind)
        return f"head {ranked[min(place, len(ranked) - 1)][0]}"

    return find


def _queries(living: Living, experiment: Experiment) -> str:
    layer, head = _scores(living).ranked("induction")[0][0].split(".")
    return f"L{layer}.q heads {head}"


def _all_queries(living: Living, experiment: Experiment) -> str:
    return _queries(living, experiment).partition(" ")[0]


@torch.no_grad()
def loudest_neuron(living: Living, experiment: Experiment) -> str:
    """The neuron of the layer two thirds up that fires most after the prompt."""
    layer = 2 * living.anatomy.layers // 3
    living.anatomy.locate(Place.of(f"neuron {layer}.0"))  # or say why there are none
    ids = torch.tensor([living.encode(experiment.prompt)], device=living.device)
    with living.alone("capture"), watched(living.anatomy, [], [(layer, "mlp_post")]) as seen:
        living.hf(input_ids=ids, use_cache=False)
    return f"neuron {layer}.{int(seen.tensors()[(layer, 'mlp_post')][0, -1].argmax())}"


def answering_head(living: Living, experiment: Experiment) -> str:
    """The head without which the answer's lead after the prompt moves most; the whole next prediction where the
    experiment has no answers that can be told apart.
    """
    asked = ("logit_diff",) if experiment.target and experiment.wrong else ("target",) if experiment.target else ()
    for metric in (*asked, "kl_next"):
        plan = {"tweak": "zero head *", "cases": [experiment.case], "metric": metric, "model": living.name}
        try:
            grid = sweep.run(living, Sweep.of(plan))
        except BadText:
            continue
        return grid.lines[grid.ranked()[0]].removeprefix("zero ")
    return _strongest("induction")(living, experiment)


@torch.no_grad()
def outspoken_neuron(living: Living, experiment: Experiment) -> str:
    """The neuron of the layer two thirds up of which one standard deviation adds most to one token's logit directly,
    beside what it adds to all the others; the loudest neuron where that cannot be read off.
    """
    anatomy = living.anatomy
    layer = 2 * anatomy.layers // 3
    if "mlp_out" not in anatomy.blocks[layer].writers or {"final_norm", "mlp_post"} & anatomy.missing.keys():
        return loudest_neuron(living, experiment)
    end = (anatomy.layers - 1, "resid_post")
    ids = torch.tensor([living.encode(experiment.prompt)], device=living.device)
    with living.alone("capture"):
        with watched(anatomy, capture=[end]) as seen:
            living.hf(input_ids=ids, use_cache=False)
        sd = spreads(living, None, [(layer, "mlp_post")])[(layer, "mlp_post")]
    norm = attribution.frozen(anatomy.points["final_norm"].module, seen.tensors()[end][0, -1].double())
    head: Any = anatomy.root.get_output_embeddings()  # type: ignore[operator]
    words = head.weight.float().t()  # (D, V)
    reads = norm.linear(matrix_of(anatomy.blocks[layer].readers["mlp_post"]).double()).float()  # (F, D)
    best = [(rows @ words).amax(1) - (rows @ words).mean(1) for rows in reads.split(PART)]
    return f"neuron {layer}.{int((torch.cat(best) * sd.to(reads.device)).argmax())}"


def deepest_subject(living: Living, experiment: Experiment) -> str:
    """The last place at which a pair's subject still restores the clean prompt's answer, as `L2.resid_pre at -2`.

    The subject is where the two prompts differ. Where no layer from 1 on restores RESTORED of the answer's lead, the
    one that restores most.
    """
    case = experiment.case
    name = next(iter(sorted(experiment.needed_prompts)))
    here, there = living.encode(case.prompt), living.encode(case.prompts[name])
    first, last = common_ends(here, there)
    position = max(len(here) - last - 1, first) - len(here)  # from the end, where other pairs have theirs, too
    sites = [f"L{layer}.resid_pre at {position}" for layer in range(1, living.anatomy.layers)]
    with living.alone("compare"), torch.no_grad():
        shares = effects(living, case, "recovered", {name}, [Stack.of(f"copy {site} from {name}") for site in sites])
    deep = [site for site, share in zip(sites, shares, strict=True) if share >= RESTORED]
    return deep[-1] if deep else sites[max(range(len(sites)), key=shares.__getitem__)]


def every_layer(living: Living, experiment: Experiment) -> str:
    """The stack that does in every layer of this model what the experiment's tallest stack does in every layer of its
    own; whatever it calls `L0` in its first line is called so by number in the others.
    """
    line = str(max(experiment.tweaks, key=len).root[0])
    return " + ".join(line.replace("L0", f"L{layer}") for layer in range(living.anatomy.layers))


FINDERS: dict[str, Callable[[Living, Experiment], str]] = {
    "induction head": _strongest("induction"),
    **{f"induction head, number {n}": _strongest("induction", n - 1) for n in range(2, 7)},
    "induction head's queries": _queries,
    "queries of its layer": _all_queries,
    "previous-token head": _strongest("previous_token"),
    "answering head": answering_head,
    "every layer": every_layer,
    "loudest neuron": loudest_neuron,
    "outspoken neuron": outspoken_neuron,
    "subject's deepest place": deepest_subject,
}


def at(living: Living, experiment: Experiment, finds: Mapping[str, str]) -> tuple[Experiment, list[str]]:
    """The experiment with what is named in `finds` (`head 2.3`) replaced by what stands for it here, and notes."""
    for kind in finds.values():
        if kind not in FINDERS:
            raise unknown("finder", kind, FINDERS, "invivo labs")
    try:
        here_for = {name: FINDERS[kind](living, experiment) for name, kind in finds.items()}
    finally:
        _kept.pop(id(living), None)
    notes = [
        f"the stack has a line for each of {living.name}'s layers"
        if " + " in name
        else f"fruitfly's {name} stands for its {kind}; {living.name}'s is {here_for[name]}"
        for name, kind in finds.items()
    ]
    lines = [str(stack) for stack in experiment.tweaks]
    if here_for:  # all at once: what stands in for one name may be another's
        named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, here_for))})(?![\d,:])")
        lines = [named.sub(lambda found: here_for[found[0]], line) for line in lines]
    return experiment.model_copy(update={"tweaks": tuple(map(Stack.of, lines))}), notes
