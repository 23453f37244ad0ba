"""What BASE and a TWEAK were about to say before each token of a text that one of them said."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from ..errors import OutOfRange
from ..experiment import Candidate, Experiment
from .compare import seconds
from .living import Living
from .packed import packed
from .reading import candidates, logits_of
from .rows import prepare


@torch.no_grad()
def along(living: Living, experiment: Experiment, said: Sequence[int], row: int | None) -> list[tuple[Candidate, ...]]:
    """The likeliest tokens before each of `said`, ids that followed the prompt, as both rows read that same text.

    The first entry is what stands in `Comparison.base.next` or `.tweaks[row].next`. `row`: which TWEAK; None for BASE
    alone, whose numbers are then in both columns. Raises OutOfRange for a row, a token or a length that there is not.
    """
    if row is not None and not 0 <= row < len(experiment.tweaks):
        raise OutOfRange(f"there is no TWEAK row {row}", hint=f"there are {len(experiment.tweaks)}, from 0 on")
    wrong = next((i for i in said if not 0 <= i < living.anatomy.vocabulary), None)
    if wrong is not None:
        raise OutOfRange(f"there is no token {wrong}", hint=f"0 to {living.anatomy.vocabulary - 1:,}")
    stacks = [] if row is None else [experiment.tweaks[row]]
    with ExitStack() as held:
        for model in (living, *seconds(living, stacks)):
            held.enter_context(model.alone("compare"))
            held.enter_context(packed(model.hf))
        prompt = living.encode(experiment.prompt)
        ids = [*prompt, *said][: len(prompt) + max(len(said) - 1, 0)]  # nothing is asked about what follows the last
        prompts = {name: living.encode(text, f"prompt {name!r}") for name, text in experiment.prompts.items()}
        e = experiment
        rows = prepare(living, stacks, prompt, prompts, e.decoding, e.seed, text=e.prompt)
        longest = len(ids) - len(prompt) + max(len(each.prompt or prompt) for each in rows)
        if longest > living.anatomy.context:
            raise OutOfRange(f"{longest:,} tokens are more than {living.name} reads", hint="shorten the text")
        logits = logits_of(living, rows, ids, len(prompt))[:, len(prompt) - 1 :].float()
        base = logits[0].softmax(-1)  # (T, V)
        mine = base if row is None else rows[1].bias(logits[1]).softmax(-1)
        return [candidates(living, a, b, experiment.top) for a, b in zip(base, mine, strict=True)]
