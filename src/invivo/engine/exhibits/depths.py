"""How near each layer is to what the model says in the end, read through a lens, over many prompts.

The raw lens takes a layer's output straight through the model's end (nostalgebraist 2020), the tuned one through a map
fitted for that layer first (Belrose et al. 2023). A lens could also make up what it shows. So two lenses that cannot
know anything stand beside them: one that gets the same vectors with their slots shuffled, the same shuffle everywhere,
and one that ignores its layer and always gives the average of what the last layer holds on the other prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from pydantic import Field
from torch import Tensor

from ...experiment.trials import Interval, interval
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure
from ...show.text import number
from ...spec import Spec
from ..distributions import crossed_entropy
from ..end import End, residuals
from ..living import Living
from ..packed import packed
from ..tuned import maps_for
from . import Found, Kind

LENSES = ("raw", "tuned", "shuffled", "average")
PROMPTS = (
    "The capital of France is",
    "The capital of Italy is",
    "The young of a cow is called a",
    "The young of a dog is called a",
    "The opposite of hot is",
    "The opposite of big is",
    "When Mary and John went to the store, John gave a drink to",
    "When Tom and Anna went to the park, Anna gave a ball to",
    "Things on the kitchen table:\n1. a jug\n2. two plates\n3. a spoon\n",
    "What the captain packed:\n1. a map\n2. a coat\n",
    "Once there was a farmer who had a",
    "In the garden stood a",
    "The old king looked out of the window and",
    "She opened the door of the little house, and",
    "On the hill above the harbour lived an",
    "The rain beat upon the roof, and the wind",
    "The fox ran over the field until it came to",
    "He put on his coat, because it was",
    '"Where have you been?" asked the',
    "Every morning the baker carried his bread to the",
)


class Settings(Spec):
    """Which prompts, and whether against lenses that know nothing."""

    prompts: tuple[str, ...] = Field(default=PROMPTS, min_length=2)
    """What is read."""
    blind: bool = False
    """Whether the lenses that know nothing are drawn, too."""
    seed: int = Field(default=0, ge=0)
    """Which shuffle."""


Cells = dict[str, list[list[float]]]  # of each lens: [prompt][layer]
CHUNK = 2**27  # bytes of logits held at a time


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """KL to the model's output and entropy, layer by layer: means over prompts with 95 % intervals."""
    with living.alone("compare"):
        end = End.of(living)
        maps, _ = maps_for(living, end, None)
        with packed(living.hf):
            texts = [torch.tensor([living.encode(p)], device=living.device) for p in settings.prompts]
            streams = [residuals(living, ids) for ids in texts]  # [prompt][layer] (1, T, D)
            said = [living.hf(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1) for ids in texts]
            order = torch.randperm(living.anatomy.width, generator=torch.Generator().manual_seed(settings.seed))
            order = order.to(living.device)
            kl, agree, open_ = Cells(), Cells(), Cells()
            off = 0.0
            for n, (layers, end_of) in enumerate(zip(streams, said, strict=True)):
                seen = {"raw": layers, "tuned": maps(layers)}
                if settings.blind:
                    seen["shuffled"] = [x[..., order] for x in layers]
                    others = torch.cat([other[-1][0] for i, other in enumerate(streams) if i != n])
                    seen["average"] = [others.float().mean(0).to(layers[-1].dtype)[None, None]]
                for name, held in seen.items():
                    found = _measured(end, held, end_of)
                    again = len(layers) // len(held)  # the average is the same for all layers
                    for cells, values in zip((kl, agree, open_), found, strict=True):
                        cells.setdefault(name, []).append(values * again)
                off = max(off, kl["raw"][-1][-1])
    return _found(living, settings, kl, agree, open_, off)


def _measured(end: End, held: Sequence[Tensor], said: Tensor) -> tuple[list[float], list[float], list[float]]:
    """Of each layer's output (1, T, D), or one vector (1, 1, D) for all positions, against log-probabilities (T, V) of
    the model: mean KL in nats, share of positions with the same likeliest token, mean entropy in nats.
    """
    probs, top = said.exp(), said.argmax(-1)
    own = crossed_entropy(probs, said)
    kl, same, undecided = list[float](), list[float](), list[float]()
    tall = max(1, CHUNK // (4 * said.numel()))
    for first in range(0, len(held), tall):
        for guess in end(torch.cat(list(held[first : first + tall]))).float().log_softmax(-1):  # (T, V) each
            kl.append(float((crossed_entropy(probs, guess.expand_as(said)) - own).clamp(min=0).mean()))
            same.append(float((guess.argmax(-1) == top).float().mean()))
            undecided.append(float(crossed_entropy(guess.exp(), guess).mean()))
    return kl, same, undecided


def _found(living: Living, settings: Settings, kl: Cells, agree: Cells, open_: Cells, off: float) -> Found:
    layers, many = living.anatomy.layers, len(settings.prompts)
    means = {name: [interval(column) for column in zip(*kl[name], strict=True)] for name in kl}
    tops = {name: [interval(column) for column in zip(*agree[name], strict=True)] for name in agree}
    numbers: dict[str, float] = {"layers": layers, "prompts": many, "last_apart": off}
    for name in kl:
        for layer in range(layers):
            numbers[f"{name}_kl_{layer}"] = means[name][layer].mean
            numbers[f"{name}_agree_{layer}"] = tops[name][layer].mean
            numbers[f"{name}_entropy_{layer}"] = fmean(cells[layer] for cells in open_[name])
    for layer in range(layers):
        for name, rival in (("raw", "shuffled"), ("tuned", "average")) if settings.blind else ():
            pairs = zip(kl[name], kl[rival], strict=True)
            numbers[f"{name}_beats_{rival}_{layer}"] = sum(a[layer] < b[layer] for a, b in pairs)
    if settings.blind:
        return Found(_verdict(numbers), _blind(means, tops, _verdict(numbers)), numbers)
    halfway = layers // 2
    sentence = (
        f"Over {many} prompts, the raw lens is {number(means['raw'][0].mean)} nats from the model's output after layer "
        f"0, {number(means['raw'][halfway].mean)} after layer {halfway} and {number(means['raw'][-1].mean)} after the "
        f"last; the tuned lens {number(means['tuned'][0].mean)} and {number(means['tuned'][halfway].mean)}."
    )
    return Found(sentence, _depths(means, open_, sentence), numbers)


def _verdict(numbers: dict[str, float]) -> str:
    """One sentence about what the lenses that know nothing get."""
    layers, many = int(numbers["layers"]), int(numbers["prompts"])
    middle = layers // 2
    early = min(numbers[f"tuned_beats_average_{layer}"] for layer in range(layers))
    return (
        f"After layer {middle}, the raw lens is nearer to the model's output than one with shuffled slots on "
        f"{int(numbers[f'raw_beats_shuffled_{middle}'])} of {many} prompts, and the tuned lens nearer than the average "
        f"on {int(numbers[f'tuned_beats_average_{middle}'])} (in its worst layer, on {int(early)})."
    )


# ── the pictures ──


def _depths(means: dict[str, list[Interval]], open_: Cells, sentence: str) -> tuple[Block, ...]:
    opened = {name: [interval(column) for column in zip(*open_[name], strict=True)] for name in ("raw", "tuned")}
    entropy = (
        f"Through the raw lens, entropy goes from {number(opened['raw'][0].mean)} nats after layer 0 to "
        f"{number(opened['raw'][-1].mean)} after the last; through the tuned lens it starts at "
        f"{number(opened['tuned'][0].mean)}."
    )
    return (
        _lines("How far each layer is from the output", sentence, "KL(output ‖ layer), nats", means, ("raw", "tuned")),
        _lines("How undecided each layer is", entropy, "entropy, nats", opened, ("raw", "tuned"), "entropy"),
    )


def _blind(means: dict[str, list[Interval]], tops: dict[str, list[Interval]], sentence: str) -> tuple[Block, ...]:
    shares = {
        name: [Interval(mean=100 * i.mean, low=100 * i.low, high=100 * i.high) for i in column]
        for name, column in tops.items()
    }
    late = max(len(shares["raw"]) - 2, 0)
    top = (
        f"After layer {late}, the raw lens has the model's likeliest token at "
        f"{number(shares['raw'][late].mean, 0)} % of positions, shuffled slots at "
        f"{number(shares['shuffled'][late].mean, 0)} %, the average at "
        f"{number(shares['average'][0].mean, 0)} %."
    )
    return (
        _lines("Lenses beside lenses that know nothing", sentence, "KL(output ‖ layer), nats", means, LENSES),
        _lines("How often a layer already has the answer", top, "same likeliest token, %", shares, LENSES, "same"),
    )


def _lines(
    title: str, summary: str, unit: str, rows: dict[str, list[Interval]], names: Sequence[str], file: str = "kl"
) -> Figure:
    return Figure(
        picture=Lines(
            title=title,
            summary=summary,
            x=tuple(map(float, range(len(rows["raw"])))),
            x_name="layer",
            y_name=unit,
            series=tuple(
                Series(
                    name=name,
                    values=tuple(i.mean for i in rows[name]),
                    low=tuple(i.low for i in rows[name]),
                    high=tuple(i.high for i in rows[name]),
                )
                for name in names
            ),
        ),
        name=f"depths-{file}",
    )


EXHIBIT = Kind("How near each layer is to the output", Settings, show)
