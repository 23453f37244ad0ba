"""A direction from two sets of prompts: the mean of a place's values over one minus their mean over the other.

This is contrastive activation addition (Rimsky et al. 2024), in the simple form of one mean minus another; where both
sets are pairs, that is the mean of the pairs' differences. It holds whatever the sets do not share, the wording of the
last token too, so let the prompts differ in one thing only. What this module does not do: keep it (directions.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import BadText, InvivoError
from ..experiment.contrast import Contrast
from ..experiment.direction import LEVEL, MEAN_DIFFERENCE, Direction
from ..sites import Place, canonical_indices, index_list
from . import directions
from .compare import versions
from .forward import watched
from .living import Living

FEWEST = 2  # prompts in each set: one alone says nothing about what it shares with others


@torch.no_grad()
def contrast(
    living: Living, name: str, with_: Sequence[str], without: Sequence[str], place: Place, at: str = "-1"
) -> tuple[Direction, np.ndarray]:
    """The record and the numbers (width,) of the direction from `without` to `with_`.

    Values are taken at the positions `at` of each prompt (the last one; `:` is all) and averaged over them, then over
    prompts, so that a long prompt counts as much as a short one. Raises InvivoError for fewer than two prompts in a
    set, for what the model or a prompt does not have, and where both means are equal.
    """
    at = canonical_indices(at)
    _check(with_, without, place)
    layer, heads, _ = living.anatomy.locate(place)
    several = place.kind.has_heads and len(heads or range(living.anatomy.size(place.site, "H", layer) or 0)) > 1
    if several:
        word = "head 4.1" if place.site == "z" else f"L{place.layer}.{place.site} heads 1"
        raise BadText(f"{place} is several heads, and a direction belongs to one", hint=f"write `{word}`")
    with living.alone("compare"):
        shown = _means(living, with_, "with", place, at)  # (N, width)
        hidden = _means(living, without, "without", place, at)
    values = shown.mean(0) - hidden.mean(0)
    both = torch.cat([shown, hidden])
    size, usual = float(values.norm()), float(both.norm(dim=-1).mean())
    if size <= 1e-6 * usual:  # float32's rounding
        raise BadText(
            f"both sets of prompts have the same mean at {place}, so there is no direction",
            hint="choose a later place, other positions, or prompts that differ there",
        )
    record = Direction(
        name=name,
        width=len(values),
        norm=size,
        place=place,
        at=at,
        how=MEAN_DIFFERENCE,
        with_prompts=len(with_),
        without_prompts=len(without),
        usual_norm=usual,
        agreement=_agreement(shown, hidden),
        model=living.name,
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        versions=versions(),
    )
    return record, values.float().numpy()


@torch.no_grad()
def in_every_layer(living: Living, contrast: Contrast) -> list[tuple[Direction, np.ndarray]]:
    """The record and the numbers (width,) of a contrast's direction in each layer, from one reading of every prompt.

    Raises what `contrast` raises.
    """
    places = [Place.of(f"L{layer}.{contrast.site}") for layer in range(living.anatomy.layers)]
    _check(contrast.with_, contrast.without, places[0])
    sets = (last_tokens(living, texts, contrast.site).unbind(1) for texts in (contrast.with_, contrast.without))
    found = []
    for layer, (shown, hidden) in enumerate(zip(*sets, strict=True)):
        values = between(shown, hidden, contrast.level)
        record = Direction(
            name=contrast.name.replace("*", str(layer)),
            width=len(values),
            norm=float(values.norm()),
            place=places[layer],
            at="-1",
            how=LEVEL if contrast.level else MEAN_DIFFERENCE,
            with_prompts=len(contrast.with_),
            without_prompts=len(contrast.without),
            usual_norm=float(torch.cat([shown, hidden]).norm(dim=-1).mean()),
            agreement=_agreement(shown, hidden),
            model=living.name,
            revision=living.revision,
            device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
            versions=versions(),
        )
        found.append((record, values.float().numpy()))
    return found


@torch.no_grad()
def last_tokens(living: Living, texts: Sequence[str], site: str) -> Tensor:
    """What a site of the residual stream holds at each text's last token in every layer: (N, L, D), in float64."""
    where = [(layer, site) for layer in range(living.anatomy.layers)]
    for layer, _ in where:
        living.anatomy.locate(Place.of(f"L{layer}.{site}"))
    ids = [living.encode(text) for text in texts]
    alike: dict[int, list[int]] = {}  # texts of one length go together, without padding
    for n, one in enumerate(ids):
        alike.setdefault(len(one), []).append(n)
    found = torch.empty(len(ids), len(where), living.anatomy.width, dtype=torch.float64)
    with living.alone("compare"):
        for numbers in alike.values():
            with watched(living.anatomy, capture=where) as run:
                living.hf(input_ids=torch.tensor([ids[n] for n in numbers], device=living.device), use_cache=False)
            for layer, x in enumerate(run.tensors()[one] for one in where):
                found[numbers, layer] = x.reshape(len(numbers), -1, x.shape[-1])[:, -1].double().cpu()
    return found


def between(shown: Tensor, hidden: Tensor, level: bool) -> Tensor:
    """The mean difference (D,) of two sets of vectors (N, D).

    Where it is level, what it has along the mean of `hidden` is taken out: then these have nothing along the direction
    on average, and projecting it out makes the others like them. A plain one does that only where the stream happens
    to be centred at zero (Marshall et al. 2024).
    """
    mean = hidden.mean(0)
    values = shown.mean(0) - mean
    return values - (values @ mean) / (mean @ mean) * mean if level else values


def keep(living: Living, contrast: Contrast) -> None:
    """Make a contrast's directions and keep them under its names, in place of what was kept under them before."""
    for record, values in in_every_layer(living, contrast):
        directions.write(record, values)


def _check(with_: Sequence[str], without: Sequence[str], place: Place) -> None:
    """Raises BadText for sets and places that no direction can come from."""
    for word, texts in (("with", with_), ("without", without)):
        if isinstance(texts, str):
            raise BadText(f"the prompts {word} are one text", hint='give a list: ["…", "…"]')
        if len(texts) < FEWEST:
            raise BadText(
                f"{len(texts)} prompts {word} are too few for a mean", hint=f"give at least {FEWEST}, better 20"
            )
    if place.site in ("scores", "pattern"):
        raise BadText(f"{place.site} is as wide as the text is long, so it has no direction")
    if place.units is not None:
        raise BadText(f"a direction has all {place.unit_word} of its place", hint=f"leave out `{place.units}`")
    if place.at is not None:
        raise BadText(f"`{place}` names positions", hint="which positions are averaged goes into `at` (--at)")


def _means(living: Living, texts: Sequence[str], word: str, place: Place, at: str) -> Tensor:
    """Each prompt's values (N, width) at the place, averaged over the positions `at`, in float64."""
    layer, heads, _ = living.anatomy.locate(place)
    found = []
    for number, text in enumerate(texts):
        ids = living.encode(text, f"prompt {number} {word}")
        with watched(living.anatomy, capture=[(layer, place.site)]) as run:
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
        x = run.tensors()[(layer, place.site)][0]  # (T, width) or (T, H, K)
        x = x[:, heads[0] if heads else 0] if place.kind.has_heads else x
        chosen = index_list(at, len(x), "position", f" in prompt {number} {word}")
        if not chosen:
            raise BadText(f"`{at}` names no position of prompt {number} {word}", hint="-1 is the last one, : is all")
        mean = x[chosen].cpu().double().mean(0)
        if not bool(torch.isfinite(mean).all()):
            raise InvivoError(f"{place} is not finite on prompt {number} {word}", hint="--dtype float32 may help")
        found.append(mean)
    return torch.stack(found)


def _agreement(shown: Tensor, hidden: Tensor) -> float | None:
    """Cosine of the directions that even and odd prompts give alone; None where one of them is nothing."""
    even, odd = (shown[i::2].mean(0) - hidden[i::2].mean(0) for i in (0, 1))
    length = float(even.norm() * odd.norm())
    return max(-1.0, min(1.0, float(even @ odd) / length)) if length > 0 else None
