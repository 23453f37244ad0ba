"""Search by meaning: texts as vectors, compared by their angle.

By default the loaded model makes the vectors: its residual stream half-way up, where texts are told apart best in many
models (Skean et al. 2025, arXiv:2502.02013), each token's vector at length 1 so that no loud one drowns the others,
and their mean over the tokens of words that are not stop words. The collection's mean is taken out before angles are
taken, because all of a model's vectors share a large part (Mu & Viswanath 2018). A sentence-embedding model, which is
trained for this, may be named instead; its vectors are mean-pooled, too (Reimers & Gurevych 2019).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ...errors import Refused
from ...model.load import quiet
from ...sites import Place
from ..forward import watched
from ..living import Living
from .lexical import STOPWORDS

ROWS = 32  # texts of one length read at a time


class Embedder(Protocol):
    """What makes vectors of texts."""

    name: str

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(N, D) float32 on the CPU, of any length."""
        ...


class ByModel:
    """The loaded model's own vectors. `layer` is the block after which they are read; half-way up when left out."""

    def __init__(self, living: Living, layer: int | None = None) -> None:
        self.living = living
        self.layer = (living.anatomy.layers - 1) // 2 if layer is None else layer
        living.anatomy.locate(Place.of(f"L{self.layer}.resid_post"))
        self.name = f"{living.name}, after layer {self.layer}"

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(N, D): the mean direction of each text's tokens of weight. Nobody else may be running the model."""
        return pooled(self.living, texts, [self.layer])[0]


@torch.no_grad()
def pooled(living: Living, texts: Sequence[str], layers: Sequence[int]) -> Tensor:
    """(L, N, D): the same after each of several layers, from one reading."""
    places = [(layer, "resid_post") for layer in layers]
    read = [_tokens(living, text) for text in texts]
    alike: dict[int, list[int]] = defaultdict(list)
    for number, (ids, _) in enumerate(read):
        alike[len(ids)].append(number)
    found = torch.zeros(len(layers), len(texts), living.anatomy.width)
    for numbers in alike.values():
        for start in range(0, len(numbers), ROWS):
            some = numbers[start : start + ROWS]
            ids = torch.tensor([read[n][0] for n in some], device=living.device)
            with watched(living.anatomy, [], places) as run:
                living.hf(input_ids=ids, use_cache=False)
            weights = torch.tensor([read[n][1] for n in some])[..., None]  # (B, T, 1)
            seen = run.tensors()
            for at, place in enumerate(places):
                states = seen[place].float().cpu()  # (B, T, D)
                found[at, some] = (unit(states) * weights).sum(1) / weights.sum(1)
    return found


def _tokens(living: Living, text: str) -> tuple[list[int], list[float]]:
    """A text's tokens, as many as the model reads, and 1 for each that belongs to a word of weight, else 0."""
    ids, weights = living.tokenizer(text or " ", add_special_tokens=False, verbose=False).input_ids, []
    if getattr(living.tokenizer, "is_fast", False):
        heavy = [m.span() for m in re.finditer(r"\w+", text) if m[0].lower() not in STOPWORDS]
        spans = living.tokenizer(
            text or " ", add_special_tokens=False, return_offsets_mapping=True, verbose=False
        ).offset_mapping
        weights = [float(any(a < end and start < b for a, b in heavy)) for start, end in spans]
    weights = weights if any(weights) else [1.0] * len(ids)
    room = living.anatomy.context
    return ids[:room], weights[:room] if any(weights[:room]) else [1.0] * min(room, len(ids))


class ByName:
    """A sentence-embedding model by its name on the hub, or its folder. Raises Refused where it cannot be had."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.name = name
        try:
            with quiet():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
                self.hf: Any = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False).eval()
        except (OSError, ValueError, ImportError) as error:
            raise Refused(
                f"no embedding model {name!r} could be loaded: {str(error).splitlines()[0]}",
                hint="name a model of the hub, as sentence-transformers/all-MiniLM-L6-v2, or a folder; "
                "without one the loaded model makes the vectors",
            ) from None

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(N, D): the mean of each text's last states."""
        found = []
        for start in range(0, len(texts), ROWS):
            read = self.tokenizer(list(texts[start : start + ROWS]), padding=True, truncation=True, return_tensors="pt")
            states = self.hf(**read).last_hidden_state.float()  # (B, T, D)
            weights = read["attention_mask"][..., None].float()
            found.append((states * weights).sum(1) / weights.sum(1))
        return torch.cat(found)


def unit(vectors: Tensor) -> Tensor:
    """Vectors (…, D) at length 1; one of length 0 stays."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class Dense:
    """Texts as vectors. `vectors` (N, D) have length 1, and the mean of all is taken out."""

    def __init__(self, embed: Embedder, texts: Sequence[str]) -> None:
        self.embed = embed
        raw = embed(texts)
        self.mean = raw.mean(0) if len(texts) > 1 else torch.zeros(raw.shape[-1])  # one text is not its own background
        self.vectors = unit(raw - self.mean)

    def vector(self, query: str) -> Tensor:
        """(D,): the query as the texts are."""
        return unit(self.embed([query])[0] - self.mean)

    def scores(self, query: str) -> Tensor:
        """(N,): the cosine of every text's angle to the query."""
        return self.vectors @ self.vector(query)
