"""Generating with and without a cache: the same tokens, what went through the model, the clock, and the bytes kept."""

from __future__ import annotations

import inspect
import math
import time
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...errors import OutOfRange
from ...model.anatomy import first_tensor
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ..caches import bytes_of, whole, width_of
from ..forward import CACHE_NAMES
from ..living import Living
from . import Found, Kind

FITTED = 0.25  # the slope is fitted from this share of the length on: below, what every call costs is all there is


class Settings(Spec):
    """From where, and how far."""

    prompt: str = "Once upon a time"
    """What is continued."""
    count: int = Field(default=192, ge=2, le=8192)
    """How many tokens are generated, the likeliest each time; without a cache the work grows with its square."""


@dataclass
class Told:
    """What one way of generating gave."""

    ids: list[int] = field(default_factory=list)
    through: list[int] = field(default_factory=list)  # tokens that went through the first block, up to each step
    seconds: list[float] = field(default_factory=list)  # up to each step


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Tokens through the model and seconds, up to each generated token, cache off and on; the cache's bytes."""
    prompt = living.encode(settings.prompt)
    count = min(settings.count, living.anatomy.context - len(prompt))
    if count < 2:
        raise OutOfRange(f"the prompt leaves no room in {living.anatomy.context:,} tokens", hint="shorten it")
    with living.alone("capture"):
        _run(living, prompt, 2, True)  # what is made on a first call is not on the clock
        off, _ = _run(living, prompt, count, False)
        on, cache = _run(living, prompt, count, True)
    held = bytes_of(cache)
    layers, kept, width = living.anatomy.layers, len(prompt) + count - 1, width_of(living)
    each = living.dtype.itemsize
    same = next((n for n, (a, b) in enumerate(zip(off.ids, on.ids, strict=True)) if a != b), count)
    lengths = range(len(prompt), len(prompt) + count)
    numbers = {
        "generated": count,
        "same": same,
        "through_off": off.through[-1],
        "through_on": on.through[-1],
        "exponent_through_off": _exponent(lengths, off.through),
        "exponent_through_on": _exponent(lengths, on.through),
        "exponent_time_off": _exponent(lengths, off.seconds),
        "exponent_time_on": _exponent(lengths, on.seconds),
        "seconds_off": off.seconds[-1],
        "seconds_on": on.seconds[-1],
        "bytes": held,
        "bytes_expected": 2 * layers * kept * width * each,
    }
    sentence = (
        f"Without a cache {off.through[-1]:,} tokens went through {living.name} to say {count}, with one "
        f"{on.through[-1]:,}; {'the text is the same' if same == count else f'the texts part at token {same}'}."
    )
    table = Table(
        columns=("", "tokens through the model", "grows as length to the", "seconds", "grow as length to the"),
        rows=tuple(
            (
                name,
                f"{told.through[-1]:,}",
                number(numbers[f"exponent_through_{key}"]),
                number(told.seconds[-1]),
                number(numbers[f"exponent_time_{key}"]),
            )
            for key, name, told in (("off", "cache off", off), ("on", "cache on", on))
        ),
    )
    expected = 2 * layers * kept * width * each
    equal = f"= {expected:,}" if held == expected else f"= {expected:,}, which is not what was counted"
    size = (
        f"The cache's tensors hold {held:,} bytes: 2 (key and value) × {layers} layers × {kept} tokens × {width} "
        f"numbers × {each} bytes {equal}."
    )
    figures = (
        _picture("Tokens through the model", "tokens, thousands", "through", off, on, 1e-3, sentence),
        _picture("The clock", "seconds", "seconds", off, on, 1.0, _clock(numbers)),
    )
    return Found(sentence, (table, Text(text=size), *figures), numbers)


def _run(living: Living, prompt: list[int], count: int, cached: bool) -> tuple[Told, Any]:
    """Say `count` tokens, reading all of the text at every step or, cached, only what is new."""
    hf, told, cache = living.hf, Told(), whole()
    takes = inspect.signature(hf.forward).parameters
    extra: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
    if cached:
        extra |= {next((name for name in CACHE_NAMES if name in takes), CACHE_NAMES[-1]): cache}
    ids, seen = list(prompt), [0]

    def count_tokens(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = first_tensor(args, kwargs)
        seen[0] += x.shape[-2] if isinstance(x, Tensor) else 0

    hook = living.anatomy.blocks[0].module.register_forward_pre_hook(count_tokens, with_kwargs=True)
    try:
        began, new = time.perf_counter(), ids
        for _ in range(count):
            batch = torch.tensor([new if cached else ids], device=living.device)
            new = [int(hf(input_ids=batch, use_cache=cached, **extra).logits[0, -1].argmax())]
            ids = ids + new
            told.ids += new
            told.through.append(seen[0])
            told.seconds.append(time.perf_counter() - began)
    finally:
        hook.remove()
    return told, cache


def _exponent(lengths: range, values: list[int] | list[float]) -> float:
    """The slope of log value over log length, from FITTED of the length on."""
    points = [(math.log(n), math.log(v)) for n, v in zip(lengths, values, strict=True) if n >= FITTED * lengths[-1]]
    return linear_regression(*zip(*points, strict=True)).slope


def _clock(numbers: dict[str, float]) -> str:
    return (
        f"{number(numbers['seconds_off'])} seconds without a cache, {number(numbers['seconds_on'])} with one: on this "
        f"machine they grow as length to the {number(numbers['exponent_time_off'])} and to the "
        f"{number(numbers['exponent_time_on'])}."
    )


def _picture(title: str, y_name: str, what: str, off: Told, on: Told, times: float, summary: str) -> Figure:
    every = max(1, len(off.ids) // 48)
    steps = range(every - 1, len(off.ids), every)
    series = (
        Series(name="cache off", role="base", values=tuple(times * getattr(off, what)[n] for n in steps)),
        Series(name="cache on", role="tweak", values=tuple(times * getattr(on, what)[n] for n in steps)),
    )
    picture = Lines(
        title=title, summary=summary, x=tuple(n + 1 for n in steps), x_name="tokens said", y_name=y_name, series=series
    )
    return Figure(picture=picture, name=f"cache-{what}")


EXHIBIT = Kind("The cache of keys and values", Settings, show)
