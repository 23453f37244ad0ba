"""The same true words foreseen behind three prefixes: the true one, the model's own words, another text's.

In training every token is foreseen behind the true text (teacher forcing: Williams & Zipser 1989); in use it is
foreseen behind what the model said (the gap: Bengio et al. 2015, Ranzato et al. 2016). The words of another text stand
beside it, because a text that merely went another way is as far from the true one, with nothing wrong in it.
"""

from __future__ import annotations

import inspect
from itertools import accumulate, pairwise
from statistics import fmean
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import DynamicCache

from ...errors import BadText, Refused
from ...experiment.passages import PASSAGES
from ...experiment.trials import Interval, interval
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, safe, shorten
from ...spec import Spec
from ..forward import CACHE_NAMES
from ..living import Living
from . import Found, Kind

LEAST, MOST = 8, 48  # tokens that are foreseen
STRETCH = 8  # tokens whose mean is one point of the curve; the first token is a point of its own
SHOWN = 70  # characters of an example


class Settings(Spec):
    """Which texts, and how much of them is given."""

    texts: tuple[str, ...] = Field(default=PASSAGES, min_length=2)
    """The true texts."""
    given: int = Field(default=16, ge=1, le=1000)
    """How many true tokens stand at the beginning in any case."""
    draws: int = Field(default=3, ge=1, le=100)
    """How often the model goes on in its own words, drawn at temperature 1."""
    seed: int = Field(default=0, ge=0)
    """The dice of its own words."""


def surprise(living: Living, read: Tensor, true: Tensor) -> Tensor:
    """−ln p of each true token (N, T) behind the words that are read instead of it, both (N, given + T)."""
    logs = living.hf(input_ids=read, use_cache=False).logits[:, :-1].float().log_softmax(-1)
    return -logs.gather(-1, true[:, 1:, None])[..., 0].cpu()


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """True tokens, foreseen behind true words, behind the model's own and behind another text's, by position."""
    true, length = _true(living, settings)
    given = settings.given
    start = true[:, :given]
    told: list[Tensor] = []
    with living.alone("capture"):
        with torch.random.fork_rng(devices=[living.device] if living.device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            told += [_goes_on(living, start, length) for _ in range(settings.draws)]
        gold = surprise(living, true, true)[:, given - 1 :]
        own = torch.stack([surprise(living, one, true)[:, given - 1 :] for one in told]).mean(0)
        itself = torch.stack([surprise(living, one, one)[:, given - 1 :] for one in told]).mean(0)
        swapped = torch.cat([start, true.roll(1, dims=0)[:, given:]], dim=1)
        other = surprise(living, swapped, true)[:, given - 1 :]
    half = length // 2
    numbers = {
        "texts": float(len(true)),
        "length": float(length),
        "first_apart": float((own - gold)[:, 0].abs().max()),
        "early_gap": float((own - gold)[:, 1:5].mean()),
        "late_gap": float((own - gold)[:, half:].mean()),
        "gold_late": float(gold[:, half:].mean()),
        "own_late": float(own[:, half:].mean()),
        "other_late": float(other[:, half:].mean()),
        "itself": float(itself.mean()),
        "true_itself": float(gold.mean()),
    }
    sentence = (
        f"From the {half}th token on, a true token costs {number(numbers['gold_late'])} nats behind the true words, "
        f"{number(numbers['own_late'])} behind the model's own and {number(numbers['other_late'])} behind those of "
        f"another text."
    )
    curves = {"the true words": gold, "the model's own words": own, "another text's words": other}
    ends = list(accumulate(_cut(length)))
    roles = ("base", "tweak", "other")
    spots = {name: _points(values) for name, values in curves.items()}
    drawn = Lines(
        title="What a true token costs, behind which words",
        summary=sentence,
        x=tuple(range(len(ends))),
        x_labels=("1st", *(f"{a + 1}–{b}" for a, b in pairwise(ends))),
        x_name=f"which token after the common beginning of {given}",
        y_name="nats a true token",
        series=tuple(
            Series(
                name=name,
                values=tuple(s.mean for s in spots[name]),
                low=tuple(s.low for s in spots[name]),
                high=tuple(s.high for s in spots[name]),
                role=role,  # pyright: ignore[reportArgumentType]
            )
            for name, role in zip(spots, roles, strict=True)
        ),
    )
    return Found(sentence, (Figure(picture=drawn, name="prefixes"), _example(living, true, told[0], given)), numbers)


def _true(living: Living, settings: Settings) -> tuple[Tensor, int]:
    """The texts as rows of equally many tokens, (N, given + length), and that length."""
    ids = [living.tokenizer(text, verbose=False).input_ids for text in settings.texts]
    least = settings.given + LEAST
    if short := next((text for text, one in zip(settings.texts, ids, strict=True) if len(one) < least), None):
        raise BadText(
            f"{shorten(safe(short), 40)!r} has fewer than {least} tokens",
            hint=f"give longer texts, or given={max(1, settings.given // 2)}",
        )
    if living.anatomy.context < least:
        raise Refused(f"{living.name} reads {living.anatomy.context} tokens, and {least} are needed")
    length = min(MOST, living.anatomy.context - settings.given, *(len(one) - settings.given for one in ids))
    rows = torch.tensor([one[: settings.given + length] for one in ids], device=living.device)
    return rows, length


def _cut(length: int) -> list[int]:
    """Lengths of the stretches."""
    return [1, *(min(STRETCH, length - n) for n in range(1, length, STRETCH))]


def _goes_on(living: Living, start: Tensor, length: int) -> Tensor:
    """Rows (N, given) gone on with `length` tokens each, drawn from the model one by one."""
    takes = inspect.signature(living.hf.forward).parameters
    cached_as = next((name for name in CACHE_NAMES if name in takes), CACHE_NAMES[-1])
    cache: Any = DynamicCache(config=living.hf.config)
    rows = read = start
    for _ in range(length):
        said = living.hf(input_ids=read, use_cache=True, **{cached_as: cache})
        cache = getattr(said, cached_as, None) or cache
        read = torch.multinomial(said.logits[:, -1].float().softmax(-1), 1)
        rows = torch.cat([rows, read], dim=1)
    return rows


def _points(values: Tensor) -> list[Interval]:
    """Means over stretches of tokens, with their intervals over texts, of (N, T)."""
    return [interval([fmean(row) for row in part.tolist()]) for part in values.split(_cut(values.shape[1]), dim=1)]


def _example(living: Living, true: Tensor, told: Tensor, given: int) -> Table:
    """One beginning, and how the text and the model go on from there."""
    parts = true[0, :given], true[0, given:], told[0, given:]
    said = [living.tokenizer.decode(part, clean_up_tokenization_spaces=False) for part in parts]
    names = ("both begin", "the text goes on", "the model goes on")
    return Table(
        caption="One of the texts, and one of the model's own ways on",
        columns=("", "words"),
        rows=tuple((name, shorten(safe(one.strip()), SHOWN)) for name, one in zip(names, said, strict=True)),
    )


EXHIBIT = Kind("True words foreseen behind true words and behind its own", Settings, show)
