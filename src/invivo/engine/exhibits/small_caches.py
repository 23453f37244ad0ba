"""Smaller caches: fewer bits a number (after Liu et al. 2024), or only the last tokens (Beltagy et al. 2020)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor
from transformers.cache_utils import Cache

from ...errors import BadText, OutOfRange
from ...pictures import Bars, Series
from ...show.blocks import Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..caches import BITS, bytes_of, few_bits, whole, window
from ..forward import CACHE_NAMES
from ..living import Living
from ..packed import packed
from . import Found, Kind

TEXT = (
    "Mr. Dombrick had a dog. It was a big brown dog, and it slept in front of the door. When the postman came up the "
    "hill, the dog stood up and barked, and the postman laughed and gave it a piece of bread. In the summer they went "
    "down to the river together. The dog ran into the water after a stick, and came back wet, and shook itself, and "
    "then everybody was wet. In the winter it lay beside the fire and dreamed of the river. One morning Mr. Dombrick "
    "could not find his hat. He looked under the bed and behind the door. The dog looked at him, went out into the "
    "garden, and came back with the hat. It was full of snow."
)
LATER = 0.5  # of the text: what stands there has a past worth keeping


class Settings(Spec):
    """What is read, and through which caches."""

    text: str = TEXT
    """What is read, a token at a time."""
    bits: tuple[int, ...] = (8, 4, 2)
    """Caches of so many bits a number."""
    windows: tuple[int, ...] = Field(default=(64, 16))
    """Caches that let a token see so many tokens, itself among them."""

    @field_validator("bits", "windows", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @field_validator("bits")
    @classmethod
    def _packed(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for bits in value:
            if bits not in BITS:
                raise OutOfRange(f"{bits} bits cannot be packed here", hint=f"take {', '.join(map(str, BITS))}")
        return value

    @field_validator("windows")
    @classmethod
    def _wide(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(width < 2 for width in value):
            raise OutOfRange("a window must hold at least 2 tokens: the one that is read and one before it")
        return value


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Surprise at the text's second half, and bytes kept at its end, with each cache."""
    ids, layers = living.encode(settings.text, "text"), living.anatomy.layers
    if len(ids) < 8:
        raise BadText(f"the text has {len(ids)} tokens; a cache has something to hold from 8 on")
    caches: dict[str, tuple[str, Callable[[], Cache]]] = {"whole": ("the whole past", whole)}
    caches |= {f"bits_{b}": (f"{b} bits a number", lambda b=b: few_bits(layers, b)) for b in settings.bits}
    caches |= {f"window_{w}": (f"the last {w} tokens", lambda w=w: window(layers, w)) for w in settings.windows}
    numbers: dict[str, float] = {"tokens": len(ids)}
    rows, without, first = [], list[str](), int(LATER * len(ids))
    shown: list[tuple[str, float]] = []
    with living.alone("capture"), packed(living.hf):
        base: Tensor | None = None
        for key, (name, make) in caches.items():
            cache = make()
            try:
                said = _read(living, ids, cache)
            except (RuntimeError, ValueError, IndexError, TypeError):
                if base is None:
                    raise
                without.append(name)  # a family whose masks know no such cache
                continue
            base = said if base is None else base
            targets = torch.tensor(ids[1:])[:, None]
            nats = -said[:-1].gather(-1, targets)[:, 0]
            kl = (base.exp() * (base - said)).sum(-1).clamp(min=0)
            numbers |= {
                f"bytes_{key}": bytes_of(cache),
                f"surprise_{key}": fmean(nats[first:].tolist()),
                f"kl_{key}": fmean(kl[first:].tolist()),
                f"agree_{key}": float((said.argmax(-1) == base.argmax(-1))[first:].float().mean()),
            }
            shown.append((name, numbers[f"surprise_{key}"]))
            rows.append(
                (
                    name,
                    f"{bytes_of(cache):,}",
                    f"1/{number(numbers['bytes_whole'] / numbers[f'bytes_{key}'], 1)}" if key != "whole" else "1",
                    number(numbers[f"surprise_{key}"]),
                    number(numbers[f"kl_{key}"], 3),
                    f"{number(100 * numbers[f'agree_{key}'], 0)} %",
                )
            )
    sentence = _sentence(numbers, settings)
    table = Table(
        columns=("the cache keeps", "bytes", "of whole", "surprise, nats", "KL, nats", "same likeliest token"),
        rows=tuple(rows),
        caption=f"Bytes after {len(ids)} tokens; the other numbers are means over the second half of the text.",
    )
    picture = Bars(
        title="Surprise at the second half of a text, by what the cache keeps",
        summary=sentence,
        labels=tuple(name for name, _ in shown),
        series=(Series(name="surprise", role="tweak", values=tuple(value for _, value in shown)),),
        unit="nats",
    )
    note = tuple(Text(text=f"Not with this model: {', '.join(without)}.", tone="note") for _ in without[:1])
    return Found(sentence, (table, Figure(picture=picture, name="small-caches"), *note), numbers)


def _read(living: Living, ids: list[int], cache: Cache) -> Tensor:
    """Log-probabilities (T, V) after each token, read one at a time through the cache."""
    takes = inspect.signature(living.hf.forward).parameters
    name = next((name for name in CACHE_NAMES if name in takes), CACHE_NAMES[-1])
    found = []
    for token in ids:
        call = {"input_ids": torch.tensor([[token]], device=living.device), name: cache, "use_cache": True}
        found.append(living.hf(**call).logits[0, -1].float().log_softmax(-1).cpu())
    return torch.stack(found)


def _sentence(numbers: dict[str, float], settings: Settings) -> str:
    def cost(key: str) -> str:
        less = number(numbers["bytes_whole"] / numbers[f"bytes_{key}"], 1)
        change = number(numbers[f"surprise_{key}"] - numbers["surprise_whole"], signed=True)
        return f"1/{less} of the bytes, {change} nats"

    parts = [f"{b} bits: {cost(f'bits_{b}')}" for b in settings.bits if f"bytes_bits_{b}" in numbers]
    parts += [f"the last {w} tokens: {cost(f'window_{w}')}" for w in settings.windows if f"bytes_window_{w}" in numbers]
    return f"Against the whole cache ({int(numbers['bytes_whole']):,} bytes), {'; '.join(parts)}."


EXHIBIT = Kind("Smaller caches", Settings, show)
