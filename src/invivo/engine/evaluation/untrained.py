"""The same model with random weights: what a benchmark gives to somebody who knows nothing."""

from __future__ import annotations

from copy import deepcopy

from transformers import AutoModelForCausalLM

from ...errors import Refused
from ...model.load import Loaded, quiet
from ..living import Living, wake
from ..toys import seeded


def untrained(living: Living, seed: int = 0) -> Living:
    """A living model of the same shape with the weights that training starts from, drawn with `seed`.

    Raises Refused where its kind cannot be made from its description alone.
    """
    config = deepcopy(living.hf.config)
    try:
        model = seeded(lambda: AutoModelForCausalLM.from_config(config), seed)
    except Exception as error:  # whatever a model's own code raises
        raise Refused(f"{living.name} cannot be made anew with random weights: {str(error).splitlines()[0]}") from None
    model = model.to(device=living.device, dtype=living.dtype)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with quiet():
        return wake(Loaded(model, living.tokenizer, f"{living.name}, untrained", f"random, seed {seed}"))
