"""How tweaks of the model make a second model: one file a kind, found by itself.

A file of this folder defines `MAKER`: the class of the tweak, and a function that gets the living BASE, a copy of its
Hugging Face model that it may change, and the tweak; it returns the model to use (the copy, or another one) and notes
for the reader. `second` keeps what was made, because a lab asks for the same one many times.
"""

from __future__ import annotations

import copy
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from torch import nn

from ...errors import InvivoError
from ...model.anatomy import is_linear
from ...model.load import Loaded
from ...tweaks.model import ModelTweak
from ..living import Living, wake

KEPT = 4  # second models of one model that stay in memory, the last ones


@dataclass(frozen=True)
class Maker:
    """How one kind of tweak makes a model: (BASE, a copy of its model, the tweak) -> (model, notes)."""

    kind: type[ModelTweak]
    make: Callable[[Living, Any, Any], tuple[Any, tuple[str, ...]]]


@dataclass(frozen=True)
class Second:
    """A model that tweaks made."""

    living: Living
    notes: tuple[str, ...]


@cache
def all_makers() -> dict[type[ModelTweak], Maker]:
    """Every maker by the class of its tweak. Raises InvivoError for a file that defines none."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        maker = getattr(import_module(f"{__name__}.{module.name}"), "MAKER", None)
        if not isinstance(maker, Maker):
            raise InvivoError(f"makers/{module.name}.py defines no MAKER")
        found[maker.kind] = maker
    return found


def second(living: Living, tweaks: Sequence[ModelTweak]) -> Second:
    """The model that `tweaks`, in order, make of `living`, awake and checked; made once and kept.

    BASE's weights are never touched. Raises whatever the maker raises: Refused, BadText, OutOfRange.
    """
    key = " + ".join(map(str, tweaks)) + "".join(tweak.stamp() for tweak in tweaks)
    kept = living.seconds
    if key not in kept:
        hf, notes = copied(living.hf), []
        for tweak in tweaks:
            hf, said = all_makers()[type(tweak)].make(living, hf, tweak)
            notes += said
        hf = hf.eval()
        for parameter in hf.parameters():
            parameter.requires_grad_(False)
        woken = wake(Loaded(hf, living.tokenizer, f"{living.name} + {key}", living.revision, living.allowed))
        kept[key] = Second(woken, tuple(notes))
    kept[key] = kept.pop(key)  # the last used stays longest
    return kept[key]


def forget(living: Living, but: int) -> None:
    """Let go of second models, the longest unused first, until KEPT or `but` are left, whichever is more."""
    while len(living.seconds) > max(KEPT, but):
        living.seconds.pop(next(iter(living.seconds)))


def copied(hf: Any) -> Any:
    """The model with weights of its own, and with its own layers where BASE's are stood in for (packed.py)."""
    made = copy.deepcopy(hf)
    for module in made.modules():
        vars(module).pop("forward", None)
    return made


def block_matrices(living: Living, hf: Any) -> Iterator[tuple[str, nn.Module]]:
    """Every linear layer inside the blocks of `hf`, a copy of `living`'s model, with its name in it."""
    names = {module: name for name, module in living.hf.named_modules()}
    blocks = tuple(f"{names[block.module]}." for block in living.anatomy.blocks)
    for name, module in hf.named_modules():
        if name.startswith(blocks) and is_linear(module):
            yield name, module


__all__ = ["Maker", "Second", "all_makers", "block_matrices", "copied", "forget", "second"]
