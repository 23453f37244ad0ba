"""What decoders make of one next-token distribution: what each keeps, what it cuts, and how sharp the rest is."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...errors import BadText
from ...experiment.wording import percent
from ...pictures import Bars, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number, visible
from ...spec import Spec
from ...tweaks import Decoding, DecodingTweak, LogitBias, Stack
from ..decode import filtered
from ..distributions import entropy
from ..living import Living
from ..rows import Row, prepare
from . import Found, Kind

BARS = 8  # tokens in the picture; what is left is its last bar
PLACES = 10  # positions in the table, the last ones


class Settings(Spec):
    """Where, and which decoders."""

    prompt: str = "Once upon a time, there was a"
    """What is read; the distribution is that of the token after it."""
    rows: tuple[Stack, ...] = Field(default=(Stack.of("set top_k 10"), Stack.of("set top_p 0.9")), min_length=1)
    """The decoders, as tweaks: `set temperature 1.2 + set top_k 40`."""


def reached(log_probs: Tensor, choice: Tensor, decoding: Decoding) -> tuple[float, float]:
    """What the tokens that top-p kept add up to in the distribution that it was given, and without the last of them."""
    given = filtered(log_probs, decoding.model_copy(update={"top_p": 1.0})).exp()
    kept = given[choice > -torch.inf].double()
    return float(kept.sum()), float(kept.sum() - kept.min())


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The model's probabilities of the next token, and what each decoder makes of them before it draws."""
    for stack in settings.rows:
        for tweak in stack:
            if not isinstance(tweak, DecodingTweak | LogitBias):
                raise BadText(f"`{tweak}` changes the model, not the choice", hint="leave it out, or use `compare`")
    ids = living.encode(settings.prompt)
    rows = prepare(living, settings.rows, ids, {}, Decoding(), 0)[1:]
    for row in rows:
        if row.decoding.num_beams > 1:
            raise BadText(f"`{row.name}` weighs whole texts: it keeps no set of tokens", hint="`invivo show beams`")
    with living.alone("capture"):
        logits = living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False).logits[0].float()
    model = logits.log_softmax(-1)  # (T, V)
    last, size = model[-1], model.shape[-1]
    choices = [filtered(row.bias(logits[-1]).log_softmax(-1), row.decoding) for row in rows]
    numbers = {"entropy": float(entropy(last)), "vocabulary": float(size), "top": float(last.max().exp())}
    for n, (row, choice) in enumerate(zip(rows, choices, strict=True), start=1):
        reach, spare = reached(row.bias(logits[-1]).log_softmax(-1), choice, row.decoding)
        kept = choice > -torch.inf
        numbers |= {
            f"kept_{n}": float(kept.sum()),
            f"mass_{n}": float(last.exp()[kept].sum()),
            f"top_{n}": float(choice.max().exp()),
            f"entropy_{n}": float(entropy(choice)),
            f"t_{n}": 0.0 if row.decoding.greedy else row.decoding.temperature,
            f"k_{n}": 0.0 if row.decoding.greedy else float(row.decoding.top_k),
            f"p_{n}": 1.0 if row.decoding.greedy else row.decoding.top_p,
            f"reach_{n}": reach,
            f"spare_{n}": spare,
        }
    blocks: list[Block] = [
        Figure(picture=_picture(living, rows, last, choices, _sentence(rows, numbers)), name="choices"),
        Table(
            caption="What each decoder draws from",
            columns=("", "tokens kept", "probability kept, %", "likeliest token now, %", "entropy, nats"),
            rows=(
                ("the model", number(size, 0), "100.0", number(100 * numbers["top"], 1), number(numbers["entropy"])),
                *(
                    (
                        row.name,
                        number(numbers[f"kept_{n}"], 0),
                        number(100 * numbers[f"mass_{n}"], 1),
                        number(100 * numbers[f"top_{n}"], 1),
                        number(numbers[f"entropy_{n}"]),
                    )
                    for n, row in enumerate(rows, start=1)
                ),
            ),
        ),
    ]
    along = _along(living, ids, rows, model, logits, numbers)
    return Found(_sentence(rows, numbers), (*blocks, *along), numbers)


def _sentence(rows: list[Row], numbers: dict[str, float]) -> str:
    parts = [
        f"`{row.name}` keeps {number(numbers[f'kept_{n}'], 0)} "
        f"token{'' if numbers[f'kept_{n}'] == 1 else 's'} with {percent(numbers[f'mass_{n}'])} of it"
        for n, row in enumerate(rows, start=1)
    ]
    return (
        f"The model spreads the probability of the next token over {number(numbers['vocabulary'], 0)} "
        f"tokens: {'; '.join(parts)}."
    )


def _picture(living: Living, rows: list[Row], last: Tensor, choices: list[Tensor], summary: str) -> Bars:
    """The likeliest tokens one by one, and all others in one bar."""
    order = last.argsort(descending=True, stable=True)
    shown, rest = order[:BARS], order[BARS:]

    def values(log_probs: Tensor) -> tuple[float, ...]:
        share = 100 * log_probs.exp()
        return (*share[shown].tolist(), float(share[rest].sum()))

    return Bars(
        title="What is left to draw from",
        summary=summary,
        unit="probability, %",
        labels=(
            *(visible(living.piece(int(i)).text) for i in shown),
            f"the other {number(len(rest), 0)}",
        ),
        series=(
            Series(name="the model", role="base", values=values(last)),
            *(
                Series(name=row.name.replace("set ", "").replace("temperature", "T"), values=values(choice))
                for row, choice in zip(rows, choices, strict=True)
            ),
        ),
    )


def _along(
    living: Living, ids: list[int], rows: list[Row], model: Tensor, logits: Tensor, numbers: dict[str, float]
) -> list[Block]:
    """How much each filter keeps at every position of the prompt, as a table where a top-p is among them; fills in the
    least and the most.
    """
    filters = {
        n: row
        for n, row in enumerate(rows, start=1)
        if not row.decoding.greedy and (row.decoding.top_k or row.decoding.top_p < 1)
    }
    counts: dict[int, list[int]] = {n: [] for n in filters}
    masses: dict[int, list[float]] = {n: [] for n in filters}
    for n, row in filters.items():
        for log_probs, own in zip(row.bias(logits).log_softmax(-1), model, strict=True):
            kept = filtered(log_probs, row.decoding) > -torch.inf
            counts[n].append(int(kept.sum()))
            masses[n].append(float(own.exp()[kept].sum()))
        numbers |= {
            f"fewest_{n}": float(min(counts[n])),
            f"most_{n}": float(max(counts[n])),
            f"least_mass_{n}": min(masses[n]),
            f"most_mass_{n}": max(masses[n]),
        }
    if len(ids) < 2 or all(row.decoding.top_p == 1 for row in filters.values()):
        return []
    first = max(0, len(ids) - PLACES)
    table = Table(
        caption="The same filters along the prompt: tokens kept, and the probability they hold",
        columns=("after", "entropy, nats", *(filters[n].name for n in filters)),
        rows=tuple(
            (
                visible(living.piece(ids[at]).text),
                number(float(entropy(model[at]))),
                *(f"{number(counts[n][at], 0)} · {percent(masses[n][at])}" for n in filters),
            )
            for at in range(first, len(ids))
        ),
    )
    told = Text(
        text="A fixed k cuts deep where the model is unsure and keeps nonsense where it is sure; a fixed p does what "
        "the distribution asks for.",
        tone="dim",
    )
    return [table, told]


EXHIBIT = Kind("What decoders keep of the next token", Settings, show)
