"""`adapt with FOLDER`: a copy of the model with an adapter out of a file merged in."""

from __future__ import annotations

from typing import Any

from ...tweaks.adapters import Adapt
from ..living import Living
from . import Maker


def make(living: Living, hf: Any, tweak: Adapt) -> tuple[Any, tuple[str, ...]]:
    """`hf` with the adapter. Raises UnknownName, BadText or Refused."""
    from ..adapters import from_folder

    merged, note = from_folder(living, hf, tweak.folder)
    return merged, (note,)


MAKER = Maker(Adapt, make)
