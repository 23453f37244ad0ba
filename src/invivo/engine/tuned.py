"""The maps of a tuned lens (Belrose et al. 2023): one affine map a layer, from its output to where the last layer's is.

A map is h + h A + b. The paper trains A and b by gradient descent on the KL to the last layer's prediction. Here they
are solved for: ridge least squares on the last layer's output, each position weighted by one over its spread, because
the last norm divides by it. That takes seconds and has no learning rate; gradient descent came nowhere near it in four
times as long, and from there gains a little at the same price again. The KL is still the judge: text that was put
aside decides, layer by layer, whether the map or the raw lens is used.

Maps are fitted on the user's text or on what the model itself says, and kept in invivo's home under the weights they
belong to. What this module does not do: read through them (lens.py).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from transformers import DynamicCache

from .. import files
from ..errors import BadText, InvivoError
from ..experiment.lens import Fit
from ..home import home
from .end import End, residuals
from .forward import CACHE_NAMES
from .living import Living
from .packed import packed

WINDOW = 64  # tokens of a piece of text
PIECES = 80  # pieces, of which
ASIDE = 16  # are put aside to judge by
LEAST = 10  # pieces without which nothing is fitted
BATCH = 16  # pieces that are run together
RIDGE = 1e-4  # of the mean square of an input; the smallest that the held-out KL did not mind
SEED = 0


@dataclass(frozen=True)
class Maps:
    """One affine map for each layer but the last. A layer whose map was dropped has zeros."""

    weights: Tensor  # (L - 1, D, D)
    biases: Tensor  # (L - 1, D)

    def __call__(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Each layer's output (…, D) where the last layer's would be; the last one as it is."""
        moved = [self.at(layer, x) for layer, x in enumerate(streams[:-1])]
        return [*moved, streams[-1]]

    def at(self, layer: int, x: Tensor) -> Tensor:
        """The output of one layer, moved."""
        if not bool(self.weights[layer].any()):
            return x
        wide = x.float()
        return (wide + wide @ self.weights[layer] + self.biases[layer]).to(x.dtype)


def maps_for(living: Living, end: End, text: str | None) -> tuple[Maps, Fit]:
    """The maps of a model, from disk where they were fitted before. `text` names a file; None is the model's own text.

    Raises BadText for a text that is missing, no UTF-8 or too short, and InvivoError where the home cannot be written.
    """
    words = None if text is None else _read(Path(text))
    path = _path(living, words)
    if path is not None and path.exists() and (known := _load(living, path)) is not None:
        return known
    pieces = _own(living) if words is None else _cut(living, words, text or "")
    maps, fit = fitted(living, end, pieces, "its own" if text is None else Path(text).name)
    if path is not None:
        with files.mishaps("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"weights": maps.weights.cpu().contiguous(), "biases": maps.biases.cpu().contiguous()}
        files.replace(path, save_tensors(kept, {"fit": fit.model_dump_json(), "revision": living.revision}))
    return maps, fit


@torch.no_grad()
def fitted(living: Living, end: End, pieces: Tensor, name: str) -> tuple[Maps, Fit]:
    """Maps fitted on pieces of text (N, W), and what they are worth on those that were put aside."""
    aside = max(1, len(pieces) * ASIDE // PIECES)
    with packed(living.hf):
        parts = [residuals(living, pieces[i : i + BATCH]) for i in range(0, len(pieces), BATCH)]
        streams = [torch.cat([part[layer] for part in parts]) for layer in range(living.anatomy.layers)]  # (N, W, D)
        last = streams[-1][:-aside].flatten(0, 1)
        solved = [_solved(x[:-aside].flatten(0, 1), last) for x in streams[:-1]]
        width = living.anatomy.width
        maps = Maps(
            torch.stack([w for w, _ in solved]) if solved else last.new_zeros(0, width, width),
            torch.stack([b for _, b in solved]) if solved else last.new_zeros(0, width),
        )
        held = [x[-aside:] for x in streams]
        raw, tuned = _distances(end, held), _distances(end, maps(held))
    for layer, (before, after) in enumerate(zip(raw, tuned, strict=True)):
        if layer < len(solved) and not after < before:
            maps.weights[layer] = 0.0
            maps.biases[layer] = 0.0
            tuned[layer] = before
    return maps, Fit(
        text=f"{name} text",
        tokens=pieces[:-aside].numel(),
        held_out=pieces[-aside:].numel(),
        raw_nats=tuple(raw),
        tuned_nats=tuple(tuned),
    )


def _solved(x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """A (D, D) and b (D,) so that x + x A + b is close to `last`; both (N, D)."""
    x, last = x.double(), last.double()
    weight = 1 / last.std(-1, keepdim=True).clamp(min=1e-12)
    inputs = torch.cat([x, torch.ones_like(x[:, :1])], dim=1) * weight  # (N, D + 1)
    square = inputs.T @ inputs
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    found = torch.linalg.solve(square, inputs.T @ ((last - x) * weight)).float()
    return found[:-1], found[-1]


def _distances(end: End, streams: Sequence[Tensor]) -> list[float]:
    """Mean KL(last layer ‖ layer) of each layer's output (N, W, D), in nats."""
    sums = [0.0] * len(streams)
    for piece in range(len(streams[-1])):
        said = end(streams[-1][piece : piece + 1])[0].float().log_softmax(-1)  # (W, V)
        for layer, x in enumerate(streams[:-1]):
            guess = end(x[piece : piece + 1])[0].float().log_softmax(-1)
            sums[layer] += float((said.exp() * (said - guess)).nansum(-1).mean())
    return [total / len(streams[-1]) for total in sums]


# ── text ──


def _own(living: Living) -> Tensor:
    """Pieces (N, W) of what the model says by itself, sampled with a fixed seed. An end of text does not stop it."""
    starts = (living.tokenizer.bos_token_id, living.tokenizer.eos_token_id)
    start = next((t for t in starts if t is not None and t < living.anatomy.inputs), 0)
    dice = torch.Generator().manual_seed(SEED)
    window = min(WINDOW, living.anatomy.context)
    takes = inspect.signature(living.hf.forward).parameters
    cached_as = next((name for name in CACHE_NAMES if name in takes), CACHE_NAMES[-1])
    cache = DynamicCache(config=living.hf.config)
    ids = torch.full((PIECES, 1), start)
    with torch.no_grad(), packed(living.hf):
        while ids.shape[1] < window:
            call: dict[str, Any] = {"input_ids": ids[:, -1:].to(living.device), cached_as: cache, "use_cache": True}
            chances = living.hf(**call).logits[:, -1, : living.anatomy.inputs].float().softmax(-1).cpu()
            ids = torch.cat([ids, torch.multinomial(chances, 1, generator=dice)], dim=1)
    return ids.to(living.device)


def _read(path: Path) -> str:
    try:
        return files.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadText(f"the text {path} is not UTF-8, from byte {error.start} on", hint="save it as UTF-8") from None


def _cut(living: Living, words: str, name: str) -> Tensor:
    """Pieces (N, W) from all over a text, those to put aside from its end."""
    ids = living.tokenizer(words, add_special_tokens=False, verbose=False).input_ids if words else []
    window = min(WINDOW, living.anatomy.context)
    if len(ids) < LEAST * window:
        raise BadText(
            f"{name} has {len(ids):,} tokens; maps need {LEAST * window:,} at least",
            hint="give a longer text, or leave it out: then the model's own text is used",
        )
    whole = torch.tensor(ids[: len(ids) // window * window]).view(-1, window)
    chosen = torch.linspace(0, len(whole) - 1, min(PIECES, len(whole))).round().long()
    return whole[chosen].to(living.device)


# ── the file ──


def _path(living: Living, words: str | None) -> Path | None:
    """Where the maps of these weights, fitted on that text, are kept; None where the weights have no name."""
    if living.revision in ("", "unknown"):
        return None
    how = [living.revision, str(living.dtype), words, WINDOW, PIECES, ASIDE, RIDGE, SEED]
    key = hashlib.sha256(json.dumps(how).encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", Path(living.name).name) or "model"
    return home() / "lenses" / f"{name}-{key}.safetensors"


def _load(living: Living, path: Path) -> tuple[Maps, Fit] | None:
    """Maps from disk; None where the file is no such thing, so that it is made anew."""
    data = files.read(path)
    width, layers = living.anatomy.width, living.anatomy.layers
    try:
        held = load_tensors(data)
        size = int.from_bytes(data[:8], "little")
        fit = Fit.of(json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["fit"]))
    except (SafetensorError, KeyError, ValueError, InvivoError):
        return None
    if held.keys() != {"weights", "biases"} or held["weights"].shape != (layers - 1, width, width):
        return None
    maps = Maps(held["weights"].to(living.device), held["biases"].to(living.device))
    return maps, fit.model_copy(update={"reused": True})
