"""A bias on the output layer: the same as a number added to a logit, and worth e^b in odds where nothing else moves.

Softmax turns logits into probabilities p. Adding b to one logit multiplies that token's odds p / (1 - p) by e^b,
whatever the other logits are. How often the token is said in the end is another matter: each one said changes what
follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ...errors import Refused
from ...experiment import Experiment
from ...metrics import rate
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted
from ...spec import Number, Spec
from ...tweaks import Decoding, LogitBias, Stack
from .. import compare
from ..living import Living
from ..reading import logits_of
from ..rows import Row
from . import Found, Kind


class Settings(Spec):
    """Which token, and how much."""

    prompt: str = "Once upon a time"
    """What the texts start with."""
    token: str = ","
    """The token whose logit gets the bias; it must be one token of the model."""
    biases: tuple[Number, ...] = Field(default=(-2.0, 1.0, 2.0, 3.0), min_length=1)
    """How much, in nats."""
    draws: int = Field(default=8, ge=1, le=1000)
    """How many texts are sampled for each bias."""
    tokens: int = Field(default=60, ge=1)
    """How many tokens a text has."""


@contextmanager
def biased(head: Any, token: int, amount: float) -> Iterator[None]:
    """Inside, the output layer really has a bias that is `amount` larger for one token."""
    before = head.bias if hasattr(head, "bias") else None
    new = torch.zeros(head.weight.shape[0], dtype=head.weight.dtype, device=head.weight.device)
    if before is not None:
        new += before.detach()
    new[token] += amount
    head.bias = nn.Parameter(new, requires_grad=False)
    try:
        yield
    finally:
        head.bias = before


def log_odds(logits: Tensor, token: int) -> Tensor:
    """ln(p / (1 - p)) of a token, of logits (T, V), without the loss of digits of a p near 1."""
    rest = logits.double().clone()
    rest[:, token] = -math.inf
    return logits[:, token].double() - rest.logsumexp(-1)


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The bias as a tweak and as a parameter, what it does to the token's odds, and to how often it is said."""
    token, head = living.single_token(settings.token), living.hf.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise Refused(f"{living.name}'s output layer is no plain matrix that could have a bias")
    rows = tuple(Stack.of([LogitBias(amount=b, token=settings.token)]) for b in settings.biases)
    metric = rate(settings.token)
    rates: list[list[float]] = [[] for _ in range(1 + len(rows))]
    ids, length = list[int](), 0
    for draw in range(settings.draws):
        plan = Experiment(
            prompt=settings.prompt,
            tweaks=rows,
            decoding=Decoding(do_sample=True, max_new_tokens=settings.tokens),
            seed=draw,
            model=living.name,
        )
        done = compare.run(living, plan)
        ids, length = ids or [*done.prompt_ids, *done.base.ids], len(done.prompt_ids)
        for values, row in zip(rates, (None, *range(len(rows))), strict=True):
            values += [v for v in (metric.of(done, row),) if v is not None]
    deviation, odds = 0.0, []
    with living.alone("capture"):
        base = logits_of(living, [Row(None, Decoding(), 0)], ids, length)[0].float()  # (T, V)
        seen: list[Tensor] = []
        with head.register_forward_hook(lambda *call: seen.append(call[-1])):
            living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
        if not torch.equal(seen[-1][0].float(), base):
            raise Refused(f"{living.name} changes its logits after the output layer: a bias there is no bias of logits")
        for stack, amount in zip(rows, settings.biases, strict=True):
            row = Row(stack, Decoding(), 0, biases={token: amount})
            with biased(head, token, amount):
                real = logits_of(living, [Row(None, Decoding(), 0)], ids, length)[0].float()
            tweaked = row.bias(base)
            deviation = max(deviation, float((real - tweaked).abs().max()))
            odds.append(math.exp(float((log_odds(real, token) - log_odds(base, token)).mean())))
    means = [sum(values) / len(values) if values else math.nan for values in rates]
    return _told(settings, means, odds, deviation)


def _told(settings: Settings, means: Sequence[float], odds: Sequence[float], deviation: float) -> Found:
    base, *after = means
    doses = sorted({0.0, *settings.biases})
    by_dose = dict(zip(settings.biases, after, strict=True)) | {0.0: base}
    naive = {b: base * math.exp(b) / (1 - base + base * math.exp(b)) for b in doses}
    top = max(settings.biases)
    what = quoted(settings.token)
    times = [_odds(rate) / _odds(base) if 0 < base < 1 else math.nan for rate in after]
    strength, gained = number(top, _decimals(top)), odds[settings.biases.index(top)]
    sentence = (
        f"A real bias on the output layer and the tweak give logits that differ by {deviation:.1e} at most. A bias of "
        f"{strength} nats multiplies the odds of {what} by {number(gained)} at each position of one text (e^{strength} "
        f"= {number(math.exp(top))}); in {settings.draws} sampled texts its share of tokens goes from "
        f"{number(100 * base, 1)} % to {number(100 * by_dose[top], 1)} %."
    )
    picture = Lines(
        title=f"How often {what} is said",
        summary=sentence,
        x=tuple(doses),
        x_name="bias, nats",
        y_name=f"share of tokens that are {what}, %",
        series=(
            Series(name="sampled texts", role="tweak", values=tuple(_percent(by_dose[b]) for b in doses)),
            Series(
                name="odds × e^b, if the text stayed", role="other", values=tuple(_percent(naive[b]) for b in doses)
            ),
        ),
    )
    table = Table(
        columns=("bias b, nats", "e^b", "odds at a position, times", "share of tokens, %", "its odds, times"),
        rows=tuple(
            (
                number(b, _decimals(b), signed=True),
                number(math.exp(b)),
                number(each),
                number(100 * share, 1),
                number(ratio),
            )
            for b, each, share, ratio in zip(settings.biases, odds, after, times, strict=True)
        ),
    )
    numbers = {"deviation": deviation, "rate_0": base}
    for b, each, share, ratio in zip(settings.biases, odds, after, times, strict=True):
        numbers |= {f"odds_{b:g}": each, f"rate_{b:g}": share, f"said_odds_{b:g}": ratio}
    known = {name: value for name, value in numbers.items() if math.isfinite(value)}  # no odds where nothing is said
    return Found(sentence, (Figure(picture=picture, name="output-bias"), table), known)


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else math.inf


def _percent(share: float) -> float | None:
    return 100 * share if math.isfinite(share) else None


def _decimals(value: float) -> int:
    return 0 if value.is_integer() else 1


EXHIBIT = Kind("A bias on the output layer, and what it does to odds", Settings, show)
