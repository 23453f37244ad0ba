"""Finding heads: attention on repeated random tokens, and the same text read without each head in one growing batch.

Method: Olsson et al. 2022 (induction), Wang et al. 2022 (duplicate tokens); the strings are a function of the seed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import OutOfRange
from ..experiment.heads import HeadScores
from ..sites import Place
from ..tweaks import Decoding, Stack
from . import dice
from .compare import versions
from .forward import watched
from .living import Living
from .packed import packed
from .reading import logits_of
from .rows import Row, joins, prepare
from .trunk import Trunk


def strings(living: Living, rows: int, length: int, seed: int) -> Tensor:
    """(rows, 2 * length) random tokens of the vocabulary, without special ones, each row's first half repeated."""
    special = set(living.tokenizer.all_special_ids)
    usable = [i for i in range(min(len(living.tokenizer), living.anatomy.inputs)) if i not in special]
    drawn = dice.uniform(seed, torch.arange(rows)[:, None], torch.arange(length)[None])  # (rows, length)
    ids = torch.tensor(usable)[(drawn * len(usable)).long()]
    return torch.cat((ids, ids), dim=1).to(living.device)


@torch.no_grad()
def scores(living: Living, rows: int = 6, length: int = 24, seed: int = 0) -> HeadScores:
    """What every head looks at and what it is worth, means over `rows` strings. Raises Refused where no pattern is."""
    anatomy = living.anatomy
    if 2 * length > anatomy.context:
        raise OutOfRange(
            f"strings of {length} tokens do not fit twice into {anatomy.context}", hint="give a smaller --length"
        )
    with living.alone("compare"), packed(living.hf):
        ids = strings(living, rows, length, seed)
        places = [(layer, "pattern") for layer in range(anatomy.layers)]
        for layer, _ in places:
            anatomy.locate(Place.of(f"L{layer}.pattern"))
        with watched(anatomy, capture=places) as run:
            logits = living.hf(input_ids=ids, use_cache=False).logits
        nats = _nats(logits, ids)  # (rows, 2 * length - 1)
        patterns = run.tensors()
        second = torch.arange(length, 2 * length - 1, device=living.device)
        later = torch.arange(1, 2 * length, device=living.device)
        looks = {
            "induction": (second, second - length + 1),
            "previous_token": (later, later - 1),
            "duplicate_token": (second, second - length),
        }
        found = {
            kind: tuple(
                tuple(patterns[place][:, :, queries, keys].float().mean(dim=(0, 2)).tolist()) for place in places
            )
            for kind, (queries, keys) in looks.items()
        }
        effects = sum(_effects(living, row.tolist(), length) for row in ids) / rows  # (L, H)
    return HeadScores(
        **found,
        effect_nats=tuple(tuple(row) for row in effects.tolist()),  # type: ignore[union-attr]
        first_nats=float(nats[:, : length - 1].mean()),
        second_nats=float(nats[:, length:].mean()),
        rows=rows,
        length=length,
        seed=seed,
        model=living.name,
        revision=living.revision,
        versions=versions(),
    )


def _nats(logits: Tensor, ids: Tensor) -> Tensor:
    """(B, T, V) and (B, T) -> (B, T - 1): what each token but the first cost."""
    return F.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")


def _effects(living: Living, ids: list[int], length: int) -> Tensor:
    """(L, H): the rise of the second round's mean cost when a head is replaced by its mean over the text."""
    anatomy = living.anatomy
    heads = anatomy.blocks[0].sizes["H"]
    lines = [f"mean head {layer}.{head}" for layer in range(anatomy.layers) for head in range(heads)]
    rows = prepare(living, [Stack.of(line) for line in lines], ids, {}, Decoding(), 0)[1:]
    trunk = Trunk(living, ids, len(ids), length)
    if trunk.fits() is None:
        logits = trunk.walk([(joins(living, row), row.actions) for row in rows], 0)  # (L * H, length, V)
        base = trunk.base[None]
    else:
        every = logits_of(living, [Row(None, Decoding(), 0), *rows], ids, len(ids))[:, -length:]
        base, logits = every[:1], every[1:]
    targets = torch.tensor(ids[-length + 1 :], device=living.device).expand(len(rows) + 1, -1)
    every = torch.cat((base, logits))[:, :-1].float()
    nats = F.cross_entropy(every.transpose(1, 2), targets, reduction="none").mean(1)
    return (nats[1:] - nats[0]).view(anatomy.layers, heads)
