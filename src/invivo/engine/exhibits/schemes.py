"""Toys that are told positions in different ways, trained at 64 tokens and read at 512 (after Press et al. 2022).

Training all five takes minutes. So what came out of this very code is stored beside this file (`stored.py`);
`invivo show schemes again=true` measures it anew and shows that instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import Field, field_validator
from torch import Tensor

from ...errors import unknown
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from .. import toys
from ..living import Living
from ..schemes import READ, SCHEMES, TRAINED, VOCABULARY, echoed, surprise, text
from ..stored import Figures, marked
from . import Found, Kind

BATCH, RATE, TESTED, TEST_SEED = 32, 3e-3, 32, 10**6
INSIDE, BEYOND = (
    slice(TRAINED // 2 - 1, TRAINED - 1),
    slice(READ - TRAINED - 1, READ - 1),
)  # tokens 32 to 63, 448 to 511
DIGITS = 4  # of a nat, behind the point
EDGES = (*range(0, READ, TRAINED), READ)


class Settings(Spec):
    """Which toys, and whether they are trained now."""

    only: tuple[str, ...] = ()
    """Which of them: learned, sinusoidal, none, alibi, rope. All by default."""
    again: bool = False
    """Train them now; otherwise what was measured before is shown. All of them take minutes."""
    samples: int = Field(default=9600, ge=2, le=200_000)
    """How many texts of 64 tokens each is trained on, where it is trained now."""
    seed: int = Field(default=0, ge=0)
    """Which random weights and texts, where they are trained now."""

    @field_validator("only", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else list(value)
        first = [name for name, scheme in SCHEMES.items() if scheme.make]
        for name in names:
            if name not in first:
                raise unknown("trained scheme", str(name), first, "invivo show schemes")
        return tuple(names)


def show(living: Living, settings: Settings) -> Found:
    """Surprise by place in a text of 512 tokens, of toys that were trained on 64; and with RoPE repaired."""
    kept = measured(settings) if settings.again else FIGURES.read().figures
    rows = kept["schemes"]
    names = [n for n, s in SCHEMES.items() if n in rows and (not settings.only or (s.of or n) in settings.only)]
    numbers = {"floor": kept["floor"]["inside"], "trained": TRAINED, "read": READ}
    for name in names:
        row = rows[name]
        numbers |= {f"{key}_{name}": row[key] for key in ("inside", "beyond", "echo_inside", "echo_beyond")}
        numbers[f"rise_{name}"] = row["beyond"] - row["inside"]
    sentence = _sentence({name: numbers[f"rise_{name}"] for name in names})
    sentence = sentence if settings.again else marked(sentence)
    blocks: list[Block] = [Figure(picture=_picture(kept, names, sentence), name="schemes"), _table(kept, names)]
    return Found(sentence, (*blocks, Text(text=_how(kept, settings), tone="dim")), numbers)


def measured(settings: Settings) -> dict[str, Any]:
    """Train what is asked for, and read: plain data, of each scheme its surprise in nats by window of 64 tokens."""
    ids, odds = text(TESTED, READ, TEST_SEED)
    schemes: dict[str, Any] = {}
    for name, scheme in SCHEMES.items():
        if scheme.make is None or (settings.only and name not in settings.only):
            continue
        model, began = scheme.make(settings.seed), time.perf_counter()
        steps = -(-settings.samples // BATCH)
        found = toys.fit(model, _batches(steps, settings.seed), steps=steps, rate=RATE)
        schemes[name] = _read(surprise(model, ids), ids) | {
            "seconds": round(time.perf_counter() - began, 1),
            "last_training_loss": round(sum(found[-10:]) / len(found[-10:]), DIGITS),
            "weights": sum(p.numel() for p in model.parameters() if p.requires_grad),
        }
        for other, reading in SCHEMES.items():
            if reading.of == name:
                told = reading.positions(READ) if reading.positions else None
                schemes[other] = _read(surprise(reading.read(model) if reading.read else model, ids, told), ids)
    return {"floor": _read(odds[:, 1:], ids), "schemes": schemes}


def _stored() -> dict[str, Any]:
    """All of them, measured now: a quarter of an hour or more on one core."""
    return measured(STORED)


def _batches(steps: int, seed: int) -> Iterator[Tensor]:
    ids, _ = text(steps * BATCH, TRAINED, seed)
    yield from ids.split(BATCH)


def _read(nats: Tensor, ids: Tensor) -> dict[str, Any]:
    """Means of surprise (B, T - 1): by window, inside the trained length, beyond it, and there at echoes only."""
    told = echoed(ids)[:, 1:]

    def mean(values: Tensor) -> float:
        return round(float(values.mean()), DIGITS)

    return {
        "windows": [mean(nats[:, max(low - 1, 0) : high - 1]) for low, high in pairwise(EDGES)],
        "inside": mean(nats[:, INSIDE]),
        "beyond": mean(nats[:, BEYOND]),
        "echo_inside": mean(nats[:, INSIDE][told[:, INSIDE]]),
        "echo_beyond": mean(nats[:, BEYOND][told[:, BEYOND]]),
    }


def _picture(kept: dict[str, Any], names: list[str], sentence: str) -> Lines:
    lines = [
        Series(name=_full(name), role="other", values=tuple(kept["schemes"][name]["windows"]))
        for name in names
        if name not in ("clamped", "linear")  # the mistakes stand in the table
    ]
    floor = Series(name="the text's own odds", role="base", values=tuple(kept["floor"]["windows"]))
    return Lines(
        title=f"Trained at {TRAINED} tokens, read at {READ}",
        summary=sentence,
        x=EDGES[1:],
        x_name=f"up to which token (windows of {TRAINED})",
        y_name="mean surprise, nats",
        series=(floor, *lines),
    )


def _full(name: str) -> str:
    """`RoPE (YaRN)`: a reading's name with that of whose weights it reads with."""
    scheme = SCHEMES[name]
    return f"{SCHEMES[scheme.of].title} ({scheme.title.removeprefix('… ')})" if scheme.of else scheme.title


def _table(kept: dict[str, Any], names: list[str]) -> Table:
    def row(title: str, how: str, r: dict[str, Any]) -> tuple[str, ...]:
        there = [number(r[key]) for key in ("inside", "beyond")]
        change = number(r["beyond"] - r["inside"], signed=True)
        return (title, how, *there, change, *(number(r[key]) for key in ("echo_inside", "echo_beyond")))

    return Table(
        columns=("positions", "how", "tokens 32–63", "448–511", "change", "echoes, 32–63", "448–511"),
        rows=(
            *(row(SCHEMES[n].title, SCHEMES[n].how, kept["schemes"][n]) for n in names),
            row("the text's own odds", "nobody gets below", kept["floor"]),
        ),
        caption="Mean surprise in nats of each token, given all before it. Echoes: only those that a digit tells.",
    )


def _sentence(rises: dict[str, float]) -> str:
    ordered = sorted(rises, key=lambda name: rises[name])
    flat = [_full(n) for n in ordered if abs(rises[n]) <= 0.1]
    up = [f"{_full(n)} {number(rises[n], signed=True)}" for n in ordered if rises[n] > 0.1]
    parts = [f"about as good as inside: {', '.join(flat)}"] if flat else []
    parts += [f"worse: {', '.join(up)} nats"] if up else []
    return f"At eight times the trained length, {'; '.join(parts) or 'every one reads better'}."


def _how(kept: dict[str, Any], settings: Settings) -> str:
    samples = settings.samples if settings.again else STORED.samples
    what = f"{samples:,} texts of {TRAINED} tokens each over {VOCABULARY} kinds of token"
    if not settings.again:
        return f"Trained on {what}. {FIGURES.told()}"
    seconds = [row["seconds"] for row in kept["schemes"].values() if "seconds" in row]
    spent = f"{number(sum(seconds), 0)} seconds for {len(seconds)}" + (" model" if len(seconds) == 1 else " models")
    return f"Trained just now, on {what}: {spent}."


STORED = Settings(again=True)
FIGURES = Figures("schemes", {"samples": STORED.samples, "seed": STORED.seed, "rate": RATE, "batch": BATCH}, _stored)
EXHIBIT = Kind("Positions beyond the trained length", Settings, show)
