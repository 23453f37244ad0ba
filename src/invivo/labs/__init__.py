"""The guide's labs, one file each, and how they are found.

A lab is a file of this folder, named as the guide names it, that defines `LAB`. Dropping a file in is all there is to
adding one: every surface asks `all_labs`. Nothing here runs a lab, and nothing here loads torch.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from functools import cache
from importlib import import_module

from ..errors import InvivoError, unknown
from ..experiment import Lab
from ..spec import Spec

LISTED_BY = "invivo labs"
QUICKSTART = ("05", "02", "09")  # the guide's checklist, in its order


class Section(Spec):
    """A section of the guide."""

    number: int
    """Its number, from 0."""
    title: str
    """A few words."""
    why: str
    """Why it is there."""


SECTIONS: tuple[Section, ...] = tuple(
    Section(number=n, title=title, why=why)
    for n, (title, why) in enumerate(
        (
            (
                "Tokens, embeddings, residual stream",
                "Text becomes numbers once, at the very bottom. All that follows is layers adding to one running sum.",
            ),
            (
                "Attention and its heads",
                "It is the only place where one position learns from another, and its heads divide the work.",
            ),
            (
                "The output projection: mixing heads back",
                "Heads work side by side; one matrix decides how loudly each of them is heard.",
            ),
            (
                "MLP blocks",
                "Attention gathers; the MLP works on what was gathered, at each position alone, neuron by neuron.",
            ),
            (
                "Positions",
                "Attention by itself sees a bag of words. Order has to be put in, and can be turned up or down.",
            ),
            (
                "From logits to a choice",
                "A model's last act is a score for every token. Softmax makes odds of them; something has to choose.",
            ),
            (
                "Ways to decode",
                "The same weights can sound dull, lively or drunk: it depends on how the next token is picked.",
            ),
            (
                "Biases and style",
                "A constant added at the end is the smallest tweak there is, and it shows in every sentence.",
            ),
            (
                "Cause and effect inside",
                "To see that something correlates is a guess; to change it and see the output follow is an experiment.",
            ),
            (
                "The same result twice",
                "Seeds, sampling and limits decide whether a run can be repeated. One that cannot is an anecdote.",
            ),
            ("One harness for everything", "When a new question costs one line, people ask more of them."),
            (
                "Next layers",
                "Around the forward pass stand training, size, adaptation, compression, memory, retrieval, measurement "
                "and safety: each is BASE against TWEAK once more, with a truth that is known.",
            ),
        )
    )
)


NEXT = len(SECTIONS) - 1  # the next layers


@cache
def all_labs() -> tuple[Lab, ...]:
    """Every lab, section by section. Raises InvivoError for a file that is no lab."""
    return tuple(sorted(map(_lab_in, lab_files()), key=lambda lab: (lab.section, lab.number)))


def labs_of_set(word: str) -> tuple[Lab, ...] | None:
    """The labs that one word stands for: `guide` its sections, `next` the next layers, `all` both; None for another."""
    first, last = {"guide": (0, NEXT - 1), "next": (NEXT, NEXT), "all": (0, NEXT)}.get(word.strip().lower(), (1, 0))
    return tuple(lab for lab in all_labs() if first <= lab.section <= last) or None


def lab_files() -> list[str]:
    """The names of the files that hold labs, without their ending."""
    return [module.name for module in pkgutil.iter_modules(__path__) if re.match(r"\d\d_", module.name)]


def aliases() -> dict[str, Lab]:
    """Every name that a lab of the guide answers to."""
    return {alias: lab for lab in all_labs() for alias in lab.aliases}


def lab_named(text: str) -> Lab:
    """The lab that answers to `02`, `2`, `head_ablation`, `02_head_ablation` or `02_head_ablation.py`.

    Case does not count, and a hyphen is an underscore. Raises UnknownName with the nearest spelling.
    """
    names = aliases()
    word = text.strip().lower().replace("-", "_")
    if word not in names:
        raise unknown("lab", text, names, LISTED_BY)
    return names[word]


def source_of(lab: Lab) -> str:
    """The text of the file that defines a lab of the guide."""
    file = next(name for name in lab_files() if name in lab.aliases)
    return inspect.getsource(import_module(f"{__name__}.{file}"))


def _lab_in(file: str) -> Lab:
    lab = getattr(import_module(f"{__name__}.{file}"), "LAB", None)
    if not isinstance(lab, Lab):
        raise InvivoError(f"labs/{file}.py defines no LAB", hint="a lab file ends in `LAB = Lab(…)`")
    if file not in lab.aliases:
        raise InvivoError(f"labs/{file}.py holds the lab {lab.full_name}", hint=f"name the file {lab.full_name}.py")
    return lab


__all__ = [
    "LISTED_BY",
    "NEXT",
    "QUICKSTART",
    "SECTIONS",
    "Section",
    "aliases",
    "all_labs",
    "lab_files",
    "lab_named",
    "labs_of_set",
    "source_of",
]
