"""LoRA adapters by peft: put on, trained, merged, kept as files in its format.

Every linear layer of the blocks gets one. GPT-2's Conv1D keeps its matrix the other way round, which peft has to be
told (`fan_in_fan_out`). A trained adapter is merged into a copy of the weights, so that all else goes on as before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..errors import BadText, OutOfRange, Refused, UnknownName
from ..tweaks.adapters import CONFIG, WEIGHTS
from . import toys
from .extras import extra, silence
from .living import Living
from .makers import block_matrices


def put_on(living: Living, hf: Any, rank: int, seed: int = 0) -> Any:
    """`hf`, a copy of `living`'s model, with an untrained LoRA of `rank` on every matrix of its blocks; only that asks
    for gradients. It changes nothing yet: one of its two factors is zero. Raises OutOfRange for a rank larger than a
    matrix.
    """
    peft = extra("peft", "adapt")
    matrices = dict(block_matrices(living, hf))
    thinnest = min(min(m.weight.shape) for m in matrices.values())  # type: ignore[union-attr]
    if rank > thinnest:
        raise OutOfRange(
            f"rank {rank} is larger than a matrix of {living.name}, whose smaller side is {thinnest}",
            hint="4, 8 or 16 are usual; the rank of the matrix itself would be full fine-tuning",
        )
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=rank,  # so that what is added is the bare product of the two factors
        target_modules=sorted(matrices),
        fan_in_fan_out=not any(isinstance(m, nn.Linear) for m in matrices.values()),
    )
    with silence():
        return toys.seeded(lambda: peft.get_peft_model(hf, config), seed)


def merge(adapted: Any) -> Any:
    """The plain model with the adapter added to its weights."""
    with silence():
        return adapted.merge_and_unload()


def changes(before: Any, after: Any, living: Living) -> dict[str, Tensor]:
    """What every matrix of the blocks gained, (in, out) or (out, in) as it is kept, by name."""
    pairs = zip(block_matrices(living, before), block_matrices(living, after), strict=True)
    return {name: (new.weight - old.weight).detach() for (name, old), (_, new) in pairs}  # type: ignore[operator]


def rank_of(change: Tensor) -> int:
    """How many singular values stand above rounding: a ten-thousandth of the largest."""
    values = torch.linalg.svdvals(change.double())
    return int((values > 1e-4 * values[0]).sum()) if float(values[0]) else 0


def from_folder(living: Living, hf: Any, folder: Path) -> tuple[Any, str]:
    """`hf` with the adapter of a folder merged in, and a note. Raises UnknownName, BadText or Refused."""
    peft = extra("peft", "adapt")
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        missing = CONFIG if not (folder / CONFIG).is_file() else WEIGHTS
        raise UnknownName(
            f"{folder} has no {missing}",
            hint="give the folder of an adapter in peft's format; `invivo adapt` makes one",
        )
    try:
        kind = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("peft_type")
    except (ValueError, AttributeError) as error:
        raise BadText(f"{folder / CONFIG} cannot be read: {error}") from None
    if kind in ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING"):
        raise Refused(
            f"the adapter in {folder} is a learned prompt ({kind.lower().replace('_', ' ')}), no change of weights",
            hint="lab 15 shows one; `adapt with` takes adapters that can be merged, such as LoRA",
        )
    try:
        with silence():
            adapted = peft.PeftModel.from_pretrained(hf, str(folder))
            with safe_open(str(folder / WEIGHTS), "pt") as file:
                there = set(file.keys())
            wanted = set(peft.get_peft_model_state_dict(adapted))
            merged = adapted.merge_and_unload()
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise BadText(
            f"the adapter in {folder} does not fit {living.name}: {str(error).splitlines()[0][:200]}",
            hint=f"it may have been made for another model: see base_model_name_or_path in {CONFIG}",
        ) from None
    if there != wanted:
        odd = min(there ^ wanted)
        what = "is missing" if odd in wanted else "is not known"
        raise BadText(
            f"the adapter in {folder} does not fit {living.name}: {odd} {what}",
            hint=f"it may have been made for another model: see base_model_name_or_path in {CONFIG}",
        )
    found = [change for change in changes(living.hf, merged, living).values() if bool(change.any())]
    size = (folder / WEIGHTS).stat().st_size / 2**20
    ranks = sorted({rank_of(change) for change in found}) or [0]
    spread = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
    return merged, f"the adapter in {folder} ({size:.2f} MiB) changes {len(found)} matrices, each by {spread}"
