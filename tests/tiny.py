"""Random tiny models of every family, made on the spot, and a tokenizer to go with them. No download."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
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
from invivo.model.organism import FRUITFLY

V, CONTEXT, WINDOW = 260, 64, 8


@dataclass(frozen=True)
class Size:
    """How large a model is."""

    width: int = 32
    layers: int = 3
    heads: int = 4
    head_width: int = 16  # where a family lets it differ from width / heads
    inner: int = 48
    context: int = CONTEXT
    vocabulary: int = V

    @property
    def old(self) -> dict[str, Any]:
        """What every config takes."""
        return dict(vocab_size=self.vocabulary, bos_token_id=0, eos_token_id=0)

    @property
    def plain(self) -> dict[str, Any]:
        """What most configs call it."""
        return self.old | dict(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.inner,
            max_position_embeddings=self.context,
            pad_token_id=0,
        )

    @property
    def grouped(self) -> dict[str, Any]:
        """Two heads share keys and values."""
        return self.plain | dict(num_key_value_heads=self.heads // 2)

    @property
    def gpt(self) -> dict[str, Any]:
        """What GPT-2 and its kin call it."""
        return self.old | dict(
            n_embd=self.width, n_layer=self.layers, n_head=self.heads, n_positions=self.context, n_inner=self.inner
        )


TINY = Size()
# Large enough for every place that a lab names on fruitfly, and as fast as such a model can be.
ROOMY = Size(width=256, layers=6, heads=8, head_width=32, inner=64, context=512, vocabulary=8192)

OPEN: dict[str, Callable[[Size], Any]] = {  # through transformers' attention interface
    "gpt2": lambda s: GPT2Config(**s.gpt),
    "gpt_neox": lambda s: GPTNeoXConfig(**s.plain),
    "gpt_neox_serial": lambda s: GPTNeoXConfig(**s.plain, use_parallel_residual=False),
    "llama": lambda s: LlamaConfig(**s.grouped),
    "mistral": lambda s: MistralConfig(**s.grouped, sliding_window=WINDOW),
    "qwen2": lambda s: Qwen2Config(**s.grouped),
    "qwen3": lambda s: Qwen3Config(**s.grouped, head_dim=s.head_width),
    "gemma2": lambda s: Gemma2Config(**s.grouped, head_dim=s.head_width, sliding_window=WINDOW),
    "gemma3": lambda s: Gemma3TextConfig(**s.grouped, head_dim=s.head_width, sliding_window=WINDOW),
    "phi": lambda s: PhiConfig(**s.plain),
    "phi3": lambda s: Phi3Config(**s.grouped),
    "opt": lambda s: OPTConfig(
        hidden_size=s.width,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        ffn_dim=s.inner,
        max_position_embeddings=s.context,
        word_embed_proj_dim=s.width,
        pad_token_id=1,
        **s.old,
    ),
    "olmo2": lambda s: Olmo2Config(**s.grouped),
    "smollm3": lambda s: SmolLM3Config(**s.grouped),
    "qwen3_moe": lambda s: Qwen3MoeConfig(
        **s.grouped,
        head_dim=s.head_width,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        decoder_sparse_step=1,
    ),
    "gptj": lambda s: GPTJConfig(**s.gpt | dict(n_inner=None), rotary_dim=4),
}
CLOSED: dict[str, Callable[[Size], Any]] = {  # attention of their own
    "gpt_neo": lambda s: GPTNeoConfig(
        hidden_size=s.width,
        num_layers=s.layers,
        num_heads=s.heads,
        attention_types=[[["global", "local", "global"], s.layers // 3]],
        max_position_embeddings=s.context,
        window_size=WINDOW,
        intermediate_size=s.inner,
        **s.old,
    ),
    "bloom": lambda s: BloomConfig(hidden_size=s.width, n_layer=s.layers, n_head=s.heads, **s.old),
    "falcon": lambda s: FalconConfig(
        hidden_size=s.width, num_hidden_layers=s.layers, num_attention_heads=s.heads, **s.old
    ),
}
FAMILIES = OPEN | CLOSED


def weights(family: str, seed: int = 0, size: Size = TINY) -> Any:
    """A model of the family with weights large enough that every part matters."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(FAMILIES[family](size)).eval()
    spread = 0.2 * math.sqrt(TINY.width / size.width)
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        parameter.data = parameter.data + 0.05 * noise if parameter.ndim == 1 else spread * noise
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


@lru_cache(maxsize=2)
def roomy(family: str, letters: bool = False) -> Model:
    """A random model in which the labs find every place that they name on fruitfly. It reads fruitfly's tokens, so
    that a prompt is as long as at home and an answer one token; with `letters`, bytes.
    """
    reader = tokenizer() if letters else PreTrainedTokenizerFast.from_pretrained(FRUITFLY)
    size = replace(ROOMY, context=2048, vocabulary=V) if letters else ROOMY
    return Model(wake(Loaded(weights(family, 0, size), reader, family, "random")))
