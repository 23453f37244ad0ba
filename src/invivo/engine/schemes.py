"""Ways to tell a model where a token stands, each as a toy model of transformers' own classes, and a text to learn.

Five are learned from the start (learned, sinusoidal, none: GPT-2; ALiBi: Bloom; RoPE: Llama). The others are readings
of a trained one that cost no training: its weights with other settings, or other positions.

The text is one in which distance is all that matters. Letters follow each other by fixed odds; every fourth is followed
by a digit d, and after it the letter d places back is said again. So whoever counts back right is never surprised
there, and nothing further away than eight places is of any use. The machine that writes it knows its own odds: their
surprise is the floor that no reader gets below, at any length.
"""

from __future__ import annotations

from ..model import light as light  # before anything of transformers is imported

# isort: split
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from .toys import gpt2, seeded

LETTERS, BACK = 26, 8
VOCABULARY = LETTERS + BACK  # the letters, then the digits 1 to 8
TRAINED, READ = 64, 512
ECHOED = 0.25  # of the letters are followed by a digit
LAYERS, WIDTH, HEADS = 2, 64, 4
THETA = 10_000.0
LOUD = 0.1  # of sinusoids: token vectors begin at 0.02 a slot, and 1 would drown them


@dataclass(frozen=True)
class Scheme:
    """One way to tell positions."""

    title: str
    """A few words."""
    how: str
    """What is done, in a short phrase."""
    make: Callable[[int], PreTrainedModel] | None = None
    """The untrained model of a seed; None for a reading of another."""
    of: str = ""
    """Whose weights it reads with."""
    read: Callable[[PreTrainedModel], PreTrainedModel] | None = None
    """The trained model with other settings."""
    positions: Callable[[int], Tensor] | None = None
    """The positions (T,) that it is told, where they are not 0, 1, 2, …"""


# ── the text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(rows: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) and the surprise in nats (B, T) of each under the odds that it was drawn from."""
    odds = torch.randn(LETTERS, LETTERS, generator=torch.Generator().manual_seed(77)).mul(2).softmax(-1)
    dice, every = torch.Generator().manual_seed(seed), torch.arange(rows)
    ids = torch.zeros(rows, length, dtype=torch.long)
    nats = torch.zeros(rows, length)
    ids[:, 0] = torch.randint(LETTERS, (rows,), generator=dice)
    letter = ids[:, 0]  # the last one said
    for t in range(1, length):
        before = ids[:, t - 1]
        new = torch.multinomial(odds[letter], 1, generator=dice)[:, 0]
        digit = torch.randint(BACK, (rows,), generator=dice)
        asks = (torch.rand(rows, generator=dice) < ECHOED) & (before < LETTERS) if t > BACK else before < 0
        back = ids[every, (t - 2 - (before - LETTERS).clamp(min=0)).clamp(min=0)]
        echoes = (before >= LETTERS) & (back < LETTERS)  # where a digit stands there, a letter by the odds
        ids[:, t] = torch.where(echoes, back, torch.where(asks, LETTERS + digit, new))
        chance = odds[letter, new] * (1 - ECHOED * (before < LETTERS)) if t > BACK else odds[letter, new]
        nats[:, t] = torch.where(echoes, 1.0, torch.where(asks, ECHOED / BACK, chance)).log().neg()
        letter = torch.where(ids[:, t] < LETTERS, ids[:, t], letter)
    return ids, nats


def echoed(ids: Tensor) -> Tensor:
    """Which tokens (B, T) are told by the digit before them: that is where position is all."""
    asked = torch.zeros_like(ids, dtype=torch.bool)
    for digit in range(BACK):
        here = ids[:, :-1] == LETTERS + digit
        source = torch.full_like(ids, LETTERS)
        source[:, 2 + digit :] = ids[:, : ids.shape[1] - 2 - digit]
        asked[:, 1:] |= here & (source[:, 1:] < LETTERS)
    return asked


# ── the models ───────────────────────────────────────────────────────────────────────────────────────────────────────


def table(seed: int, frozen: Tensor | None = None, rows: int = READ) -> PreTrainedModel:
    """A GPT-2, whose positions are rows of a table: learned ones, or `frozen` (T, D)."""
    model = gpt2(layers=LAYERS, width=WIDTH, vocabulary=VOCABULARY, context=rows, heads=HEADS, seed=seed)
    if frozen is not None:
        model.transformer.wpe.weight.requires_grad_(False).copy_(frozen[:rows])
    return model


def sinusoids(rows: int) -> Tensor:
    """Sines and cosines (T, D) as Vaswani et al. 2017 have them, times LOUD."""
    angles = torch.arange(rows)[:, None] * THETA ** (-torch.arange(0, WIDTH, 2) / WIDTH)
    return LOUD * torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def llama(**changed: Any) -> LlamaConfig:
    """The rotary toy's shape, with other settings where they are given."""
    return LlamaConfig(**(_rotary() | changed))


def _rotary() -> dict[str, Any]:
    return dict(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=WIDTH * 8 // 3,
        vocab_size=VOCABULARY,
        max_position_embeddings=TRAINED,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
    )


def stretched(kind: str) -> LlamaConfig:
    """Rotary angles for eight times the length: all slowed (`linear`), or the slow ones only (`yarn`)."""
    rope = {"rope_type": kind, "rope_theta": THETA, "factor": READ / TRAINED}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = TRAINED
    return llama(rope_parameters=rope, max_position_embeddings=READ)


def alibi() -> BloomConfig:
    """A Bloom of that shape."""
    return BloomConfig(
        hidden_size=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        vocab_size=VOCABULARY,
        bos_token_id=0,
        eos_token_id=0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    )


def made(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """The model of that shape with the random weights of `seed`."""
    return seeded(lambda: AutoModelForCausalLM.from_config(config), seed)


def _with(model: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    """A model of that shape with the weights of `model`. Raises RuntimeError where a name or a size differs."""
    other = made(config, 0)
    other.load_state_dict(model.state_dict())
    return other


def windowed(model: PreTrainedModel, window: int = TRAINED) -> PreTrainedModel:
    """A Llama's weights in a Mistral, which is the same model with a sliding window."""
    return _with(model, MistralConfig(**_rotary(), sliding_window=window))


SCHEMES: dict[str, Scheme] = {
    "learned": Scheme("learned table", "a row for each position; rows 64 to 511 were never trained", table),
    "clamped": Scheme(
        "… last row repeated",
        "positions beyond 63 are called 63",
        of="learned",
        positions=lambda length: torch.arange(length).clamp(max=TRAINED - 1),
    ),
    "sinusoidal": Scheme(
        "sinusoids", "waves instead of rows; no training in them", lambda seed: table(seed, sinusoids(READ))
    ),
    "none": Scheme("none", "the mask alone", lambda seed: table(seed, torch.zeros(READ, WIDTH))),
    "alibi": Scheme(
        "ALiBi",
        "the further back, the lower the score",
        lambda seed: made(alibi(), seed),
    ),
    "rope": Scheme(
        "RoPE",
        "queries and keys are turned by their position",
        lambda seed: made(llama(), seed),
    ),
    "linear": Scheme(
        "… all angles slowed",
        "512 places squeezed into 64",
        of="rope",
        read=lambda model: _with(model, stretched("linear")),
    ),
    "yarn": Scheme(
        "… YaRN",
        "slow angles slowed, fast ones kept",
        of="rope",
        read=lambda model: _with(model, stretched("yarn")),
    ),
    "window": Scheme("… sliding window", "no token looks back further than 63 places", of="rope", read=windowed),
}


@torch.no_grad()
def surprise(model: PreTrainedModel, ids: Tensor, positions: Tensor | None = None, rows: int = 8) -> Tensor:
    """Surprise in nats (B, T - 1) at each token of (B, T) ids but the first. `positions` (T,) are told to a GPT-2."""
    found = []
    for part in ids.split(rows):
        # The mask says that all of it is one text: positions that do not count up would be taken for several.
        told = {} if positions is None else {"position_ids": positions[None], "attention_mask": torch.ones_like(part)}
        logits = model(input_ids=part, use_cache=False, **told).logits[:, :-1].float()
        found.append(nn.functional.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none"))
    return torch.cat(found)
