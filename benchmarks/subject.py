"""The model that benchmarks of sweeps work on: GPT-2 with random weights, and two prompts that differ in one token.

Its tokenizer knows one word a token (`w0 w1 …`), so that a text says exactly which ids it is made of: invivo is given
texts and its peers are given ids, and both read the same.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Self

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is downloaded, and asking takes minutes where there is no network

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.model.load import Loaded

SPREAD = 0.08  # of the weights: with GPT-2's own 0.02 a patched head moves a random model's logits by next to nothing


@dataclass(frozen=True)
class Subject:
    """How large the model is and how long the prompts are."""

    layers: int = 6
    heads: int = 8
    width: int = 512
    vocabulary: int = 50_257
    length: int = 32

    @classmethod
    def options(cls, parser: argparse.ArgumentParser) -> None:
        """Each size as an option."""
        for size in fields(cls):
            parser.add_argument(f"--{size.name}", type=int, default=size.default)

    @classmethod
    def of(cls, given: argparse.Namespace) -> Self:
        """The sizes that were asked for."""
        return cls(**{size.name: getattr(given, size.name) for size in fields(cls)})

    def words(self) -> list[str]:
        """The sizes as command line words."""
        return [word for name, size in asdict(self).items() for word in (f"--{name}", str(size))]

    # ── what is read ──

    @property
    def changed(self) -> int:
        """The position at which the two prompts differ: a third of the way on."""
        return self.length // 3

    @property
    def clean(self) -> list[int]:
        """The prompt that values are copied from."""
        dice = torch.Generator().manual_seed(1)
        return torch.randint(3, self.vocabulary, (self.length,), generator=dice).tolist()

    @property
    def corrupt(self) -> list[int]:
        """The prompt that is swept: `clean` with another token at `changed`."""
        ids = self.clean
        ids[self.changed] = 3 + (ids[self.changed] - 2) % (self.vocabulary - 3)
        return ids

    target, wrong = 1, 2  # the two answers; neither stands in a prompt

    @staticmethod
    def text(*ids: int) -> str:
        """The text that is made of these tokens."""
        return " ".join(f"w{i}" for i in ids)

    # ── what reads it ──

    def weights(self, attention: str = "sdpa") -> Any:
        """The model, as transformers makes it: the same numbers every time."""
        torch.manual_seed(0)
        config = GPT2Config(
            n_layer=self.layers,
            n_head=self.heads,
            n_embd=self.width,
            vocab_size=self.vocabulary,
            initializer_range=SPREAD,
            bos_token_id=0,
            eos_token_id=0,
        )
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()

    @cached_property
    def tokenizer(self) -> Any:
        """One word a token. It comes from a folder, because TransformerLens opens it again by name."""
        backend = Tokenizer(models.WordLevel({f"w{i}": i for i in range(self.vocabulary)}, unk_token="w0"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        backend.decoder = decoders.Fuse()
        with tempfile.TemporaryDirectory() as folder:
            PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="w0", pad_token="w0").save_pretrained(folder)
            return PreTrainedTokenizerFast.from_pretrained(folder)

    def model(self) -> Model:
        """The model, awake."""
        return Model(wake(Loaded(self.weights(), self.tokenizer, "random GPT-2", "random")))

    def ids(self, tokens: Sequence[int]) -> torch.Tensor:
        """(1, T) of them."""
        return torch.tensor([list(tokens)])
