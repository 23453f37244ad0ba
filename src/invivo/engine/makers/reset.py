"""`reset weights`: a model of the same shape with the random weights that its kind begins training with."""

from __future__ import annotations

import copy
from typing import Any

from ...errors import Refused
from ...tweaks.training import Reset
from .. import toys
from ..living import Living
from . import Maker


def make(living: Living, hf: Any, tweak: Reset) -> tuple[Any, tuple[str, ...]]:
    """A model made anew from `hf`'s configuration with the dice of `seed`, where and in the format that `hf` was.

    Raises Refused where its kind cannot be made from its configuration alone.
    """
    try:
        fresh: Any = toys.seeded(lambda: type(hf)(copy.deepcopy(hf.config)), tweak.seed)
    except Exception as error:  # whatever a model's own code raises
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"{living.name} cannot be made anew with random weights: {why}") from None
    return fresh.to(device=hf.device, dtype=hf.dtype), ()


MAKER = Maker(Reset, make)
