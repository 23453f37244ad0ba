"""The model folder: what transformers loads by itself, in half precision, with nothing of the training in it."""

from __future__ import annotations

import copy
from pathlib import Path

from transformers import GenerationConfig, GPT2LMHeadModel

from .files import write_folder


def export(model: GPT2LMHeadModel, folder: Path) -> None:
    """Write config, generation config and weights (float16 safetensors; the head is the embedding, stored once)."""
    half = copy.deepcopy(model).half().cpu().eval()
    half.config.activation_function = "gelu_new"  # the same formula under GPT-2's usual name
    end = half.config.eos_token_id
    half.generation_config = GenerationConfig(bos_token_id=end, eos_token_id=end, pad_token_id=end)
    write_folder(folder, half.save_pretrained)
