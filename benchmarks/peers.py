"""The peers, each called by the fastest way that it offers for the same work.

*TransformerLens* has all three as tools; its lens is also written by hand, as its users do. *nnsight* has none, and
runs variants side by side: one trace a layer with one invoke a place, which makes them rows of one batch, and the
model's head at the last position only, which transformers is asked for. Both take token ids and have weights of their
own, equal to ours. Grids are (L, H) or (L, T) logit differences.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import nnsight  # pyright: ignore[reportMissingImports]
import torch
from subject import Subject
from torch import Tensor
from transformer_lens import patching  # pyright: ignore[reportMissingImports]
from transformer_lens.model_bridge import TransformerBridge  # pyright: ignore[reportMissingImports]
from transformer_lens.tools.analysis import logit_lens  # pyright: ignore[reportMissingImports]

TOP = 5


@dataclass(frozen=True)
class Peer:
    """One peer's three works. A lens gives the likeliest ids (L, T, TOP); there may be several ways to have it."""

    name: str
    heads: Callable[[], Tensor]
    positions: Callable[[], Tensor]
    lenses: dict[str, Callable[[], Tensor]]


def all_peers(subject: Subject) -> list[Peer]:
    """Each of them, loaded."""
    with contextlib.redirect_stdout(sys.stderr):
        return [transformerlens(subject), with_nnsight(subject)]


def _lead(logits: Tensor, subject: Subject) -> Tensor:
    """By how much the target's logit leads after the prompt."""
    return logits[0, -1, subject.target] - logits[0, -1, subject.wrong]


def transformerlens(subject: Subject) -> Peer:
    """Patching and lens as it ships them. Its cache keeps the one hook that is needed."""
    bridge = TransformerBridge.boot_transformers(
        "gpt2", hf_model=subject.weights("eager"), tokenizer=subject.tokenizer, device="cpu"
    )
    clean, corrupt = subject.ids(subject.clean), subject.ids(subject.corrupt)
    metric = partial(_lead, subject=subject)

    def kept(hook: str) -> Any:
        return bridge.run_with_cache(clean, names_filter=lambda name: name.endswith(hook))[1]

    def heads() -> Tensor:
        return patching.get_act_patch_attn_head_out_all_pos(bridge, corrupt, kept("hook_z"), metric)

    def positions() -> Tensor:
        return patching.get_act_patch_resid_pre(bridge, corrupt, kept("hook_resid_pre"), metric)

    def tool() -> Tensor:
        layers = range(1, subject.layers + 1)  # its layer 0 is what enters the first block
        return logit_lens(bridge, clean, layers=layers, positions=None, top_k=TOP).readout.top_ids

    def by_hand() -> Tensor:
        cache = kept("hook_resid_post")
        streams = torch.cat([cache["resid_post", layer] for layer in range(subject.layers)])  # (L, T, D)
        return bridge.unembed(bridge.ln_final(streams)).topk(TOP).indices

    return Peer("transformerlens", heads, positions, {"its tool": tool, "by hand": by_hand})


def with_nnsight(subject: Subject) -> Peer:
    """A trace of the clean prompt keeps what is copied; then one trace a layer, in which each invoke is a place."""
    model = nnsight.TransformersModel(
        subject.weights(), tokenizer=subject.tokenizer, task="text-generation", dispatch=True
    )
    clean, corrupt = subject.ids(subject.clean), subject.ids(subject.corrupt)
    blocks, size = model.transformer.h, subject.width // subject.heads

    def heads() -> Tensor:
        with model.trace(clean):
            z = nnsight.save([])
            for block in blocks:
                z.append(block.attn.c_proj.input.clone())
        grid = []
        for layer, block in enumerate(blocks):
            with model.trace(logits_to_keep=1) as tracer:
                row = nnsight.save([])
                for head in range(subject.heads):
                    with tracer.invoke(corrupt):
                        part = slice(head * size, (head + 1) * size)
                        block.attn.c_proj.input[:, :, part] = z[layer][:, :, part]
                        row.append(_lead(model.output.logits, subject))
            grid.append(torch.stack(list(row)))
        return torch.stack(grid)

    def positions() -> Tensor:
        with model.trace(clean):
            streams = nnsight.save([])
            for block in blocks:
                streams.append(block.input.clone())
        grid = []
        for layer, block in enumerate(blocks):
            with model.trace(logits_to_keep=1) as tracer:
                row = nnsight.save([])
                for position in range(subject.length):
                    with tracer.invoke(corrupt):
                        block.input[:, position] = streams[layer][:, position]
                        row.append(_lead(model.output.logits, subject))
            grid.append(torch.stack(list(row)))
        return torch.stack(grid)

    def lens() -> Tensor:
        with model.trace(clean):
            streams = []
            for block in blocks:
                streams.append(block.output)
            best = model.lm_head(model.transformer.ln_f(torch.cat(streams))).topk(TOP).indices.save()
        return best

    return Peer("nnsight", heads, positions, {"by hand": lens})
