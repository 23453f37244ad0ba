"""What torchao does to a model that is handed to it whole: which layers it rounds, and what becomes of the size.

torchao's `quantize_` knows nn.Linear. GPT-2's blocks are made of another class (Conv1D, the same arithmetic), and the
only nn.Linear in it is the output head, whose weight is the embedding table too. So it rounds that one, which unties
the two, and every block stays as it was.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn

from ...experiment.passages import PASSAGES
from ...show.blocks import Table
from ...show.text import number
from ...spec import Spec
from ..extras import extra
from ..living import Living
from ..makers import block_matrices, copied
from ..reading import perplexity
from . import Found, Kind
from ._texts import read_well


class Settings(Spec):
    """What is asked for."""

    bits: int = Field(default=4, ge=1, le=8)
    """Bits a weight."""
    texts: tuple[str, ...] = PASSAGES
    """What is read before and after."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """`quantize_(model)` as a tutorial has it, and what had changed afterwards."""
    quantization = extra("torchao.quantization", "quant")
    texts = [torch.tensor([living.encode(text, "text to read")], device=living.device) for text in settings.texts]
    with living.alone("make"):
        hf = copied(living.hf)
        before = _parts(living, hf)
        start, size = _surprise(hf, texts), _bytes(hf)
        config = quantization.IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{settings.bits}"))
        quantization.quantize_(hf, config)
        after = _parts(living, hf)
        end, then = _surprise(hf, texts), _bytes(hf)
    changed = {name: sum(a is not b for a, b in zip(before[name], after[name], strict=True)) for name in before}
    tied = living.hf.get_input_embeddings().weight is living.hf.get_output_embeddings().weight
    still = hf.get_input_embeddings().weight is hf.get_output_embeddings().weight
    numbers = {
        "blocks": float(len(before["blocks"])),
        "blocks_changed": float(changed["blocks"]),
        "head_changed": float(changed["head"]),
        "tied_before": float(tied),
        "tied_after": float(still),
        "bytes_before": float(size),
        "bytes_after": float(then),
        "base": start,
        "after": end,
    }
    what = (
        f"rounds {changed['blocks']} of {len(before['blocks'])} matrices in the blocks, and "
        f"{'the output head' if changed['head'] else 'not the output head'}"
    )
    grown = "grows" if then > size else "shrinks" if then < size else "stays"
    sentence = (
        f"`quantize_(model)` to {settings.bits} bits {what}: the model {grown} from {number(size / 2**20, 1)} to "
        f"{number(then / 2**20, 1)} MiB, and perplexity goes from {read_well(start)} to {read_well(end)}."
    )
    kind = type(next(m for _, m in block_matrices(living, living.hf))).__name__
    rows = (
        ("matrices of the blocks", kind, f"{changed['blocks']} of {len(before['blocks'])}"),
        ("output head", "Linear", f"{changed['head']} of 1"),
        ("head and embeddings are one table", "", f"{'yes' if tied else 'no'}, then {'yes' if still else 'no'}"),
    )
    return Found(sentence, (Table(columns=("part", "class", "rounded"), rows=rows),), numbers)


def _parts(living: Living, hf: Any) -> dict[str, list[Any]]:
    """The weights of the blocks' matrices, and the head's."""
    names = [name for name, _ in block_matrices(living, living.hf)]
    return {
        "blocks": [hf.get_submodule(name).weight for name in names],
        "head": [hf.get_output_embeddings().weight],
    }


def _bytes(hf: nn.Module) -> int:
    """Bytes of all weights, each once: of rounded ones the whole numbers and their scales as they are kept."""
    seen: dict[int, int] = {}
    for parameter in hf.parameters():
        parts = [getattr(parameter, part, None) for part in ("qdata", "scale", "zero_point")]
        held: list[Any] = [p for p in parts if p is not None] or [parameter]
        for tensor in held:
            seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    return sum(seen.values())


def _surprise(hf: Any, texts: list[torch.Tensor]) -> float:
    """Perplexity over the texts, each counting alike."""
    nats = []
    for ids in texts:
        logits = hf(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
        nats.append(float(logits.gather(1, ids[0, 1:, None]).mean()))
    return perplexity(nats)


EXHIBIT = Kind("What a quantizer does with a whole GPT-2", Settings, show)
