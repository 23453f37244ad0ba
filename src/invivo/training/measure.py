"""How well text that was held out is predicted: nats per token, bits per byte, perplexity.

Text is read in rows without overlap. The first token of a row is not predicted, so every predictor that is to be
compared is asked about `predicted` positions and no others. Bits per byte count the bytes of just those tokens; the
end-of-text token costs nats but has no bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Score:
    """How well a text was predicted: the nats it cost in all, its tokens, its bytes. Scores of texts add up."""

    nats: float
    tokens: int
    bytes: int

    def __add__(self, other: Score) -> Score:
        return Score(self.nats + other.nats, self.tokens + other.tokens, self.bytes + other.bytes)

    @property
    def nats_per_token(self) -> float:
        """Mean loss, in the unit of training."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Loss on UTF-8 text, which unlike nats per token does not depend on the vocabulary."""
        return self.nats / math.log(2) / self.bytes

    @property
    def perplexity(self) -> float:
        """Among how many equally likely tokens the predictor is as unsure."""
        return math.exp(self.nats_per_token)

    def figures(self) -> dict[str, float]:
        """The three as plain data."""
        return {
            "nats_per_token": round(self.nats_per_token, 4),
            "bits_per_byte": round(self.bits_per_byte, 4),
            "perplexity": round(self.perplexity, 2),
        }


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """(V,) bytes of UTF-8 that each token stands for. In a byte-level BPE one character of a piece is one byte."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    return np.array([0 if i in special else len(piece) for i, piece in enumerate(pieces)])


def predicted(tokens: int, length: int) -> np.ndarray:
    """(T,) which positions of a text are predicted when it is read in rows of `length`."""
    return np.arange(tokens) % length != 0


@torch.no_grad()
def score(model: GPT2LMHeadModel, ids: np.ndarray, bytes_of: np.ndarray, length: int, rows: int | None = None) -> Score:
    """The score of `model` on `ids` in rows of `length`, the last one shorter; `rows` takes so many, spread evenly."""
    was_training = model.training
    model.eval()
    *whole, rest = np.split(ids, range(length, len(ids), length))
    if rows is not None and len(whole) > rows:
        whole, rest = [whole[i] for i in np.linspace(0, len(whole) - 1, rows).astype(int)], rest[:0]
    total = Score(0.0, 0, 0)
    for row in (*whole, rest):  # one at a time: on a CPU the logits of more rows cost more than they save
        if len(row) > 1:
            ids_of_row = torch.from_numpy(row.astype("int64")).to(model.device)  # (T,)
            logits = model(ids_of_row[None], use_cache=False).logits[0, :-1]  # (T-1, V)
            nats = F.cross_entropy(logits.float(), ids_of_row[1:], reduction="sum").item()
            total += Score(nats, len(row) - 1, int(bytes_of[row[1:]].sum()))
    model.train(was_training)
    return total
