"""One head's attention pattern on a prompt, of BASE and, where a tweak is given, of TWEAK."""

from __future__ import annotations

import torch

from ..errors import BadText
from ..experiment.look import Look, LookRecipe
from ..sites import Place
from ..tweaks import Activation, Decoding
from .forward import watched
from .living import Living
from .rows import check_effect, prepare


@torch.no_grad()
def run(living: Living, recipe: LookRecipe) -> Look:
    """Read the prompt and keep that head's pattern.

    Raises OutOfRange or Refused where the model has no such head, BadText for a tweak that is no change of activations.
    """
    living.anatomy.locate(Place.of(f"L{recipe.layer}.pattern head {recipe.head}"))
    for tweak in recipe.tweak or ():
        if not isinstance(tweak, Activation):
            raise BadText(f"`{tweak}` changes nothing that attention reads", hint="look at BASE, without it")
    ids = living.encode(recipe.prompt)
    prompts = {name: living.encode(words, f"prompt {name!r}") for name, words in recipe.prompts.items()}
    where = (recipe.layer, "pattern")
    with living.alone("compare"):
        rows = prepare(living, [] if recipe.tweak is None else [recipe.tweak], ids, prompts, Decoding(), 0)
        actions = [action for row in rows for action in row.actions]
        with watched(living.anatomy, actions, [where], prompt_lengths=[len(ids)] * len(rows)) as seen:
            living.hf(input_ids=torch.tensor([ids], device=living.device).expand(len(rows), -1), use_cache=False)
        notes = check_effect(rows)
    patterns = seen.tensors()[where][:, recipe.head].float()  # (R, T, K)
    base, *tweaked = (tuple(map(tuple, pattern.tolist())) for pattern in patterns)
    return Look(
        recipe=recipe,
        tokens=tuple(living.piece(i).text for i in ids),
        pattern=base,
        tweak=tweaked[0] if tweaked else None,
        revision=living.revision,
        notes=tuple(note for row in notes.values() for note in row),
    )
