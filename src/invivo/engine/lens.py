"""What each layer would say: its output taken through the model's own end, at every position, BASE and TWEAK alike.

The end (end.py) takes layers as rows. Logits exist for a few layers and a stretch of positions at a time, CHUNK bytes
of them; of each cell only its likeliest tokens and a few numbers stay. The maps of a tuned lens come from tuned.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import BadText
from ..experiment.lens import Fit, Lens, LensRecipe, Seen
from ..tweaks import Decoding, DecodingTweak, Stack
from .compare import versions
from .decode import NotANumber
from .distributions import crossed_entropy, likeliest, spread
from .end import ENDS, End, residuals
from .living import Living
from .packed import packed
from .rows import Row, check_effect, prepare
from .tuned import maps_for

CHUNK = 2**25  # bytes of logits held at a time: enough rows for the head to be bound by arithmetic


def run(living: Living, recipe: LensRecipe) -> Lens:
    """Look at every layer and position of a prompt.

    Raises InvivoError: a target that is not one token, a tweak that acts when tokens are chosen or is never reached,
    logits that are not numbers, a model whose end cannot be run by itself.
    """
    start = time.perf_counter()
    stacks = [] if recipe.tweak is None else [_readable(recipe.tweak)]
    with living.alone("compare"), torch.no_grad():
        ids = living.encode(recipe.prompt)
        prompts = {name: living.encode(words, f"prompt {name!r}") for name, words in recipe.prompts.items()}
        target = None if recipe.target is None else living.single_token(recipe.target)
        end, maps, fit = End.of(living), None, None
        if recipe.tuned:
            maps, fit = maps_for(living, end, recipe.text)
        with packed(living.hf):
            rows = prepare(living, stacks, ids, prompts, Decoding(), 0)
            batch = torch.tensor([ids], device=living.device).expand(len(rows), -1)  # (R, T)
            streams = residuals(living, batch, [action for row in rows for action in row.actions])
            if maps is not None:
                streams = maps(streams)
            cells = _look(end, rows, streams, ids, recipe.top, target)
        notes = check_effect(rows)
    return Lens(
        recipe=recipe.model_copy(update={"model": living.name}),
        prompt_tokens=tuple(living.piece(i).text for i in ids),
        base=cells[0].seen(),
        tweak=cells[1].seen() if stacks else None,
        texts=_texts(living, sorted(set().union(*(c.named for c in cells)))),
        fit=fit,
        versions=versions(),
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        notes=(*(note for row in notes.values() for note in row), *_cautions(fit, bool(stacks))),
        seconds=round(time.perf_counter() - start, 4),
    )


def _cautions(fit: Fit | None, tweaked: bool) -> list[str]:
    """What a tuned lens' reader must know."""
    if fit is None:
        return []
    pairs = enumerate(zip(fit.raw_nats[:-1], fit.tuned_nats[:-1], strict=True))
    raw = [str(layer) for layer, (before, after) in pairs if after == before]
    notes = [f"read raw, because no map was better there: layer {', '.join(raw)}"] if raw else []
    if tweaked:
        notes.append("the maps were fitted on BASE: where TWEAK leaves what BASE does, they may mislead")
    return notes


_TEXTS: WeakKeyDictionary[nn.Module, dict[int, str]] = WeakKeyDictionary()  # of tokens that were asked for before


def _texts(living: Living, tokens: Sequence[int]) -> dict[int, str]:
    """Each token's text. They are remembered: a thousand of them take a tokenizer longer than a small model's end."""
    known = _TEXTS.setdefault(living.hf, {})
    for token in tokens:
        if token not in known:
            known[token] = living.piece(token).text
    return {token: known[token] for token in tokens}


def _readable(stack: Stack) -> Stack:
    for tweak in stack:
        if isinstance(tweak, DecodingTweak):
            raise BadText(f"`{tweak}` acts when tokens are chosen", hint="a lens reads the prompt and chooses nothing")
    return stack


@dataclass
class _Cells:
    """One row's cells as they come in: [layer][position]."""

    layers: int
    numbers: dict[str, list[list[Any]]] = field(default_factory=dict)

    def add(self, name: str, layer: int, values: Tensor) -> None:
        """Further positions of a layer."""
        self.numbers.setdefault(name, [[] for _ in range(self.layers)])[layer] += values.tolist()

    @property
    def named(self) -> set[int]:
        """Every token among the likeliest."""
        return {token for row in self.numbers["ids"] for cell in row for token in cell}

    def seen(self) -> Seen:
        """The cells as data."""
        return Seen.of(self.numbers)


def _look(
    end: End, rows: Sequence[Row], streams: Sequence[Tensor], ids: Sequence[int], top: int, target: int | None
) -> list[_Cells]:
    """Each row's cells. `streams`: L tensors (R, T, D)."""
    layers, length, vocabulary = len(streams), len(ids), end.living.anatomy.vocabulary
    cells = [_Cells(layers) for _ in rows]
    wide = max(1, min(length, CHUNK // (4 * vocabulary)))
    tall = max(1, CHUNK // (4 * vocabulary * wide))
    ending = [[action for action in row.actions if action.site in ENDS] for row in rows]
    for action in (a for acting in ending for a in acting):
        action.row = None  # a row is a layer there, and TWEAK's layers are run by themselves
    for first in range(0, length, wide):
        part = slice(first, first + wide)
        said: list[tuple[Tensor, Tensor]] = []  # each row's last layer: probabilities (P, V), entropy (P,)
        for highest in range(layers, 0, -tall):  # from the top, because all is compared with the last layer
            group = range(highest - 1, max(highest - tall, 0) - 1, -1)
            base: dict[int, tuple[Tensor, Tensor]] = {}
            for number, row in enumerate(rows):
                hidden = torch.stack([streams[layer][number, part] for layer in group])  # (G, P, D)
                logits = row.bias(end(hidden, first, ending[number], length).float())  # (G, P, V)
                for place, layer in enumerate(group):
                    log_probs, probs = spread(logits[place])
                    entropy = crossed_entropy(probs, log_probs)
                    if bool(torch.isnan(entropy).any()):
                        raise NotANumber(row, ids, length)
                    if layer == layers - 1:
                        said.append((probs, entropy))
                    best, tokens = likeliest(log_probs, top)
                    mine = cells[number]
                    mine.add("ids", layer, tokens)
                    mine.add("probabilities", layer, best.exp())
                    mine.add("entropy_nats", layer, entropy.clamp(min=0))
                    away = torch.zeros_like(entropy) if layer == layers - 1 else _apart(*said[number], log_probs)
                    mine.add("kl_nats", layer, away)
                    if target is not None:
                        mine.add("target", layer, probs[:, target])
                    if number:
                        mine.add("moved_nats", layer, _apart(*base[layer], log_probs))
                    elif len(rows) > 1:
                        base[layer] = probs, entropy
    return cells


def _apart(probs: Tensor, entropy: Tensor, log_probs: Tensor) -> Tensor:
    """KL in nats of (P, V) from the distribution with these probabilities and this entropy."""
    return (crossed_entropy(probs, log_probs) - entropy).clamp(min=0)
