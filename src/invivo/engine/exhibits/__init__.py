"""What can be seen in a model without comparing runs: one file each, found by itself.

A file of this folder defines `EXHIBIT`: its settings as a Spec, and a function that gets a living model and them, and
returns what it found. The file's name is the exhibit's. `invivo show`, a lab's steps and the reference know it from
then on.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from ...errors import InvivoError, unknown
from ...experiment.exhibit import Exhibit, ExhibitRecipe
from ...show.blocks import Block
from ...spec import Spec
from ..compare import as_run
from ..living import Living


@dataclass(frozen=True)
class Found:
    """What an exhibit's function returns."""

    sentence: str
    blocks: tuple[Block, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """One exhibit: a title of a few words, what it takes, and how it is made. Its docstring is its function's."""

    title: str
    settings: type[Spec]
    show: Callable[[Living, Any], Found]
    outside: tuple[str, ...] = ()  # settings that may name a file or an address: on the page they keep their defaults


@cache
def all_exhibits() -> dict[str, Kind]:
    """Every exhibit by name. Raises InvivoError for a file that defines none."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        kind = getattr(import_module(f"{__name__}.{module.name}"), "EXHIBIT", None)
        if not isinstance(kind, Kind):
            raise InvivoError(f"exhibits/{module.name}.py defines no EXHIBIT")
        found[module.name] = kind
    return found


def exhibit_named(name: str) -> Kind:
    """The exhibit of that name. Raises UnknownName."""
    kinds = all_exhibits()
    word = name.strip().lower().replace("-", "_")
    if word not in kinds:
        raise unknown("exhibit", name, kinds, "invivo show")
    return kinds[word]


def run(living: Living, recipe: ExhibitRecipe) -> Exhibit:
    """Show it. Raises UnknownName, BadText for settings that it has not, and whatever it raises itself."""
    kind = exhibit_named(recipe.name)
    found = kind.show(living, kind.settings.of(recipe.settings))
    return Exhibit(
        recipe=as_run(living, recipe),
        title=kind.title,
        sentence=found.sentence,
        numbers=found.numbers,
        blocks=found.blocks,
        revision=living.revision,
    )


__all__ = ["Found", "Kind", "all_exhibits", "exhibit_named", "run"]
