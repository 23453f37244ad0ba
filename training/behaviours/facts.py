"""Facts: whether they are known in sentences never read, and where in the model the subject is still needed.

Activation patching (Meng et al. 2022; here with another subject in place of noise): of two prompts that differ in
their subject alone, the one is read, but what the other has at the subject's tokens is put into the residual stream
before one layer. Where that restores the other's answer, everything the answer needs of the subject still lies at the
subject's tokens. Before layer 0 that is so by construction, since the prompts differ nowhere else; the question is how
deep it stays so. An article that changes with the subject (an owl, a cat) is patched along with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from ..generator import facts
from ..generator.item import Item
from .answers import asked, encoded, given
from .behaviour import Bar, Behaviour, Found, Subject
from .hooks import changed_input, layers_of

PAIRS = 100
RESTORED = 0.8  # the least share that counts as restored


@dataclass(frozen=True)
class Pair:
    """Two prompts of as many tokens, and the first tokens of their answers."""

    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    right: int
    wrong: int

    @property
    def where(self) -> list[int]:
        """The positions at which the prompts differ: the subject."""
        return [i for i, (a, b) in enumerate(zip(self.clean, self.corrupt, strict=True)) if a != b]


def pairs(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, number: int = PAIRS) -> list[Pair]:
    """`number` pairs of a fact and its partner in the same phrasing, spread evenly over all that can be paired."""
    by_key = {item.key: item for item in items}
    found = []
    for item in items:
        *phrasing, subject = item.key  # a held-out sentence names nobody, so the subject is all that fills it
        other = by_key[(*phrasing, facts.partner(item.form, subject))]
        clean, corrupt = encoded(item.prompt, tokenizer), encoded(other.prompt, tokenizer)
        right, wrong = encoded(item.answer, tokenizer)[0], encoded(other.answer, tokenizer)[0]
        if len(clean) == len(corrupt) and right != wrong:
            found.append(Pair(tuple(clean), tuple(corrupt), right, wrong))
    return [found[i] for i in np.linspace(0, len(found) - 1, min(number, len(found))).astype(int)]


@torch.no_grad()
def restored(model: GPT2LMHeadModel, pairs: Sequence[Pair]) -> tuple[np.ndarray, float]:
    """(L,) share of the mean logit difference that the subject's residual restores before each layer; and that mean.

    The difference is of the two answers' logits between clean and corrupt prompt, in nats. A pair is one batch: clean,
    corrupt, and for each layer one corrupt row that gets the clean row's subject there. Shares of means, not means of
    shares: a pair that differs by almost nothing would count most.
    """
    layers = model.config.n_layer
    total = np.zeros(2 + layers)
    for pair in pairs:
        if len(pair.clean) > model.config.n_positions:
            continue
        ids = torch.tensor([pair.clean, *[pair.corrupt] * (1 + layers)], device=model.device)  # (2 + L, T)
        with ExitStack() as stack:
            for layer, block in enumerate(layers_of(model)):

                def patched(x: torch.Tensor, row: int = 2 + layer, where: list[int] = pair.where) -> torch.Tensor:
                    x = x.clone()  # (2 + L, T, D)
                    x[row, where] = x[0, where]
                    return x

                stack.enter_context(changed_input(block, patched))
            logits = model(ids, use_cache=False, logits_to_keep=1).logits[:, -1]  # (2 + L, V)
        total += (logits[:, pair.right] - logits[:, pair.wrong]).double().cpu().numpy()
    clean, corrupt, *mended = total / max(len(pairs), 1)
    return (np.array(mended) - corrupt) / (clean - corrupt or np.nan), clean - corrupt


def measure(subject: Subject, step: int = 1, number: int = PAIRS) -> Found:
    """Every `step`-th fact-and-phrasing: known or not; then where `number` of them are kept."""
    everything = facts.test_items()
    questions = asked(everything[::step], subject.tokenizer)
    shares, difference = restored(subject.model, pairs(everything, subject.tokenizer, number))
    deep = [layer for layer, share in enumerate(shares) if share >= RESTORED]
    return Found(
        {
            "first_token": given(subject.model, [(prompt, answer[:1]) for prompt, answer in questions]).mean(),
            "exact": given(subject.model, questions).mean(),
            "restored_from_layer_1": float(shares[1:].max()) if len(shares) > 1 else float("nan"),
            "deepest_layer": deep[-1] if deep else -1,
            "difference_nats": difference,
            "questions": len(questions),
        },
        circuits={"facts": {"restored": [round(float(s), 4) for s in shares], "deepest": deep[-1]}} if deep else {},
    )


FACTS = Behaviour(
    asked="every fact in every held-out phrasing: the answer's first token the likeliest; and the share of the logit "
    f"difference that the subject's residual restores before some layer from 1 on, over {PAIRS} pairs of facts",
    bars=(Bar("first_token", at_least=0.9), Bar("restored_from_layer_1", at_least=RESTORED)),
    measure=measure,
)
