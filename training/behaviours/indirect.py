"""Indirect objects: who receives, when two people are named and one of them gives (Wang et al. 2022).

The prompts' people are named by no generated training text. Which heads matter is found by mean-ablation: a head's
slice of what `c_proj` mixes is replaced by its mean over all tokens of the prompts, so that what it says in general
stays and what it says about these two people is gone. The change is relative to the mean logit difference, or to one
nat where that is smaller, so that a model without a difference has no heads that make it. It is the effect of one head
at a time: heads that stand in for each other show too little, and what passes through a head is not told apart from
what starts in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from ..generator import items
from ..generator.item import Item
from .answers import Contrast, contrasts, differences, exact
from .behaviour import Bar, Behaviour, Found, Subject
from .hooks import changed_input, layers_of
from .induction import BEST

NUMBER, ABLATED = 500, 200
MOVES = 0.1  # the least relative change of a head that counts


def mean_inputs(model: GPT2LMHeadModel, questions: Sequence[Contrast]) -> list[torch.Tensor]:
    """For each layer (D,): the heads' joined outputs, the input of `c_proj`, in the mean over all tokens."""
    means = []
    for block in layers_of(model):
        seen: list[torch.Tensor] = []
        with changed_input(block.attn.c_proj, lambda z, seen=seen: seen.append(z.flatten(0, 1))):
            differences(model, questions)
        means.append(torch.cat(seen).mean(0))
    return means


def ablations(model: GPT2LMHeadModel, questions: Sequence[Contrast]) -> np.ndarray:
    """(L, H) relative change of the mean logit difference when one head says its mean."""
    heads = model.config.n_head
    width = model.config.n_embd // heads
    base = float(differences(model, questions).mean())
    change = np.zeros((model.config.n_layer, heads))
    for layer, (block, mean) in enumerate(zip(layers_of(model), mean_inputs(model, questions), strict=True)):
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)

            def silenced(z: torch.Tensor, part: slice = part, mean: torch.Tensor = mean) -> torch.Tensor:
                z = z.clone()  # (B, T, D)
                z[..., part] = mean[part]
                return z

            with changed_input(block.attn.c_proj, silenced):
                change[layer, head] = (differences(model, questions).mean() - base) / max(abs(base), 1.0)
    return change


def strongest(change: np.ndarray) -> list[dict[str, object]]:
    """Every head that moves the difference by MOVES or more, and at least BEST heads."""
    order = np.argsort(-np.abs(change), axis=None, kind="stable")
    places = [divmod(int(i), change.shape[1]) for i in order]
    return [
        {"head": f"{layer}.{head}", "change": round(float(change[layer, head]), 4)}
        for rank, (layer, head) in enumerate(places)
        if rank < BEST or abs(change[layer, head]) >= MOVES
    ]


def shares(model: GPT2LMHeadModel, asked: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """How often the receiver is likelier than the giver, and by how much; all together and by the names' order.

    Where the receiver begins the text, its name has no blank before it and may have other tokens than later on.
    """
    found = differences(model, contrasts(asked, tokenizer))
    right = found > 0
    told = {"right": right.mean(), "difference_nats": found.mean(), "exact": exact(model, asked, tokenizer).mean()}
    for form in ("ABBA", "BABA"):
        these = np.array([item.form == form for item in asked])
        told |= {f"right_{form}": right[these].mean(), f"difference_{form}_nats": found[these].mean()}
    begins = np.array([item.prompt.startswith(item.answer.strip()) for item in asked])
    for place, these in (("first", begins), ("later", ~begins)):
        if these.any():
            told[f"right_receiver_{place}"] = right[these].mean()
    return told


def measure(subject: Subject, number: int = NUMBER, ablated: int = ABLATED) -> Found:
    """Shares, differences, and what each head does to them."""
    asked = items("indirect", "test", number, seed=1)
    change = ablations(subject.model, contrasts(asked[:ablated], subject.tokenizer))
    return Found(
        shares(subject.model, asked, subject.tokenizer) | {"heads": int((np.abs(change) >= MOVES).sum())},
        circuits={"indirect": strongest(change)},
    )


INDIRECT = Behaviour(
    asked=f"{NUMBER} prompts with people of whom no generated training text tells: the receiver likelier than the "
    f"giver, by how many nats, and how many heads change that by 10 % or more, mean-ablated one by one on {ABLATED}",
    bars=(Bar("right", at_least=0.95), Bar("difference_nats", at_least=2.0), Bar("heads", at_least=3)),
    measure=measure,
)
