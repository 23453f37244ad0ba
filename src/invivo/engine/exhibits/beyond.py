"""Positions that a model was not made for: which kind stops with an error, which goes on, and what that is worth."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from ...show.blocks import Table, Text
from ...show.text import number, shorten
from ...spec import Spec
from ..living import Living
from ..schemes import READ, SCHEMES, TRAINED, alibi, llama, made, sinusoids, table, text
from ..stored import BEFOREHAND
from . import Found, Kind
from .schemes import FIGURES

LONGEST = 2048  # a loaded model with a longer context is not asked: it would take long to say what its config says
MADE = {  # untrained toys made for 64 positions, by scheme
    "learned": lambda: table(0, rows=TRAINED),
    "sinusoidal": lambda: table(0, sinusoids(READ)),
    "none": lambda: table(0, torch.zeros(READ, sinusoids(1).shape[1])),
    "alibi": lambda: made(alibi(), 0),
    "rope": lambda: made(llama(), 0),
}
MADE_AS = {
    "learned": f"GPT-2, a table of {TRAINED} rows",
    "sinusoidal": "GPT-2, waves as far as needed",
    "none": "GPT-2, no positions",
    "alibi": "Bloom",
    "rope": f"Llama, made for {TRAINED}",
}


class Settings(Spec):
    """There is nothing to set."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """One token too many for each kind of toy and for the loaded model, and what trained toys made of many."""
    kept, numbers = FIGURES.read().figures["schemes"], dict[str, float]()
    rows = []
    for name, make in MADE.items():
        model, ids = make(), text(1, READ, 0)[0]
        first = _tried(model, ids[:, : TRAINED + 1])
        far = _tried(model, ids)
        numbers[f"raises_{name}"] = float(bool(first or far))
        rows.append((MADE_AS[name], first or far or "goes on", *_worth(None if first or far else kept[name])))
    for name in ("learned", "clamped", "linear"):
        whose = f"{SCHEMES[SCHEMES[name].of].title}, " if SCHEMES[name].of else ""
        title = whose + SCHEMES[name].title.removeprefix("… ") if whose else f"learned table of {READ} rows"
        rows.append((f"mended: {title}", "goes on", *_worth(kept[name])))
        numbers |= {f"inside_{name}": kept[name]["inside"], f"beyond_{name}": kept[name]["beyond"]}
    context, said = living.anatomy.context, ""
    if context > LONGEST or living.device.type != "cpu":  # on a GPU such an error ends the whole program
        own = f"{living.name} is made for {context:,} positions and was not tried beyond."
    else:
        ids = torch.arange(context + 1)[None] % living.anatomy.inputs
        with living.alone("capture"):
            said = _tried(living.hf, ids)
        numbers["raises_model"] = float(bool(said))
        own = f"{living.name}, made for {context:,} positions, " + (
            f"stops at the next one with {said}." if said else "reads one more without a word."
        )
    sentence = (
        "A table that ends raises an error; all others go on, and only their surprise tells whether they should have."
        if numbers["raises_learned"] and not any(numbers[f"raises_{n}"] for n in MADE if n != "learned")
        else "Some of these stop, some go on: the table says which."
    )
    shown = Table(
        columns=("", f"tokens {TRAINED + 1} to {READ}", "surprise at 32–63", "at 448–511"),
        rows=tuple(rows),
        caption="What happens is tried now, on untrained toys; the surprise (nats) is that of trained ones, "
        f"{BEFOREHAND}.",
    )
    return Found(sentence, (shown, Text(text=own), Text(text=FIGURES.told(), tone="dim")), numbers)


def _tried(model: PreTrainedModel, ids: torch.Tensor) -> str:
    """The error that reading (1, T) ids ends in, or nothing."""
    try:
        model(input_ids=ids, use_cache=False)
    except (IndexError, RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {shorten(str(error).splitlines()[0], 60)}"
    return ""


def _worth(row: dict[str, float] | None) -> tuple[str, str]:
    return ("–", "–") if row is None else (number(row["inside"]), number(row["beyond"]))


EXHIBIT = Kind("One token too many", Settings, show)
