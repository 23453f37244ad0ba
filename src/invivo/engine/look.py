"""One head's attention pattern on a prompt."""

from __future__ import annotations

import torch

from ..experiment.look import Look, LookRecipe
from ..sites import Place
from .forward import watched
from .living import Living


@torch.no_grad()
def run(living: Living, recipe: LookRecipe) -> Look:
    """Read the prompt and keep that head's pattern. Raises OutOfRange or Refused where the model has no such."""
    living.anatomy.locate(Place.of(f"L{recipe.layer}.pattern head {recipe.head}"))
    ids = living.encode(recipe.prompt)
    where = (recipe.layer, "pattern")
    with living.alone("capture"), watched(living.anatomy, [], [where]) as seen:
        living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    pattern = seen.tensors()[where][0, recipe.head].float()  # (T, K)
    return Look(
        recipe=recipe,
        tokens=tuple(living.piece(i).text for i in ids),
        pattern=tuple(map(tuple, pattern.tolist())),
        revision=living.revision,
    )
