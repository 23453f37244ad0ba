"""Random tiny models of every family, made on the spot, and a tokenizer to go with them. No download."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    OPTConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.model.load import Loaded

V, CONTEXT, WINDOW = 260, 64, 8
_PLAIN: dict[str, Any] = dict(
    vocab_size=V,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=CONTEXT,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=0,
)
_GROUPED: dict[str, Any] = _PLAIN | dict(num_key_value_heads=2)
_OLD: dict[str, Any] = dict(vocab_size=V, bos_token_id=0, eos_token_id=0)

OPEN = {  # through transformers' attention interface
    "gpt2": lambda: GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=CONTEXT, n_inner=48, **_OLD),
    "gpt_neox": lambda: GPTNeoXConfig(**_PLAIN),
    "gpt_neox_serial": lambda: GPTNeoXConfig(**_PLAIN, use_parallel_residual=False),
    "llama": lambda: LlamaConfig(**_GROUPED),
    "mistral": lambda: MistralConfig(**_GROUPED, sliding_window=WINDOW),
    "qwen2": lambda: Qwen2Config(**_GROUPED),
    "qwen3": lambda: Qwen3Config(**_GROUPED, head_dim=16),
    "gemma2": lambda: Gemma2Config(**_GROUPED, head_dim=16, sliding_window=WINDOW),
    "gemma3": lambda: Gemma3TextConfig(**_GROUPED, head_dim=16, sliding_window=WINDOW),
    "phi": lambda: PhiConfig(**_PLAIN),
    "phi3": lambda: Phi3Config(**_GROUPED),
    "opt": lambda: OPTConfig(
        vocab_size=V,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        ffn_dim=48,
        max_position_embeddings=CONTEXT,
        word_embed_proj_dim=32,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    ),
    "olmo2": lambda: Olmo2Config(**_GROUPED),
    "smollm3": lambda: SmolLM3Config(**_GROUPED),
    "qwen3_moe": lambda: Qwen3MoeConfig(
        **_GROUPED, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, decoder_sparse_step=1
    ),
    "gptj": lambda: GPTJConfig(n_embd=32, n_layer=3, n_head=4, n_positions=CONTEXT, rotary_dim=4, **_OLD),
}
CLOSED = {  # attention of their own
    "gpt_neo": lambda: GPTNeoConfig(
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        attention_types=[[["global", "local", "global"], 1]],
        max_position_embeddings=CONTEXT,
        window_size=WINDOW,
        intermediate_size=48,
        **_OLD,
    ),
    "bloom": lambda: BloomConfig(hidden_size=32, n_layer=3, n_head=4, **_OLD),
    "falcon": lambda: FalconConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, **_OLD),
}
FAMILIES = OPEN | CLOSED


def weights(family: str, seed: int = 0) -> Any:
    """A model of the family with weights large enough that every part matters."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(FAMILIES[family]()).eval()
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        parameter.data = parameter.data + 0.05 * noise if parameter.ndim == 1 else 0.2 * noise
        parameter.requires_grad_(False)
        del name
    return model


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, after four special ones: every text can be read, and one character is one token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<end>": 0, "<a>": 1, "<b>": 2, "<c>": 3} | {c: i for i, c in enumerate(alphabet, start=4)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>")


def model(family: str = "gpt2", seed: int = 0) -> Model:
    """A living tiny model."""
    return Model(wake(Loaded(weights(family, seed), tokenizer(), family, "random")))
