"""fruitfly explained, as a document: its anatomy drawn, what it was taught and how well it does it, its circuits.

Every number comes from config.json and report.json, by way of organism.py; nothing is measured and no model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..show.blocks import Block, Document, Drawing, Heading, Points, Stroke, Table, Text
from ..show.text import decimals_for, number
from .circuits import ROLES, Role, circuit_blocks, ranked
from .organism import Bar, Behaviour, Organism
from .sizes import Sizes

FEW = 3  # figures of a behaviour that has no bar
MOST = 5  # heads named in the legend


def portrait(fly: Organism) -> Document:
    """The organism on two screens."""
    return Document(
        blocks=(
            Heading(text="fruitfly", level=1),
            Text(text=_opening(fly)),
            *(Text(text=f"{fault}.", tone="note") for fault in fly.faults),
            Heading(text="Anatomy"),
            drawing(fly),
            Text(text=_layer(fly.sizes), tone="dim"),
            *_taught(fly),
            *_heldout(fly),
            *circuit_blocks(fly),
            Heading(text="The card"),
            Text(
                text="Data, credits, licence, intended use and limits: `invivo fruitfly card` prints it. It is the file"
            ),
            Text(text=str(fly.folder / "README.md")),
        )
    )


def _opening(fly: Organism) -> str:
    """What it is, in three sentences."""
    sizes = fly.sizes
    read = f"{fly.tokens:,} tokens of" if fly.tokens is not None else "only"
    asked = [found for found in fly.behaviours.values() if found.bars]
    return (
        f"invivo's model organism: a GPT-2 of {sizes.parameters:,} parameters, small enough to be looked into whole. "
        f"In training it read {read} texts that its card names, so what it was taught is known. "
        + (
            f"Of the {len(fly.behaviours)} things that it was measured on, {len(asked)} have a bar to reach, and "
            f"{sum(found.reached for found in asked)} reach it."
            if asked
            else "It is a subject for experiments, not a writer."
        )
    )


# ── anatomy ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def drawing(fly: Organism) -> Drawing:
    """From text to logits: a line a part with its parameters, and in each layer a sign a head."""
    sizes = fly.sizes
    signs: dict[tuple[int, int], list[Role]] = {}
    for role in ROLES:
        for head in ranked(fly, role):
            signs.setdefault(head.place, []).append(role)
    cell = 1 + max([len(str(sizes.heads - 1)), *map(len, signs.values())])
    mlp = f" + MLP {sizes.neurons:,}"
    room = max(6 + cell * sizes.heads + len(mlp), 41)

    def part(name: str, what: str, parameters: int) -> tuple[Stroke, ...]:
        return Stroke(text=f"{name:<11}", ink="bold"), Stroke(text=f"{what:<{room - 11}}{parameters:>10,}")

    def layer(index: int) -> Iterator[Stroke]:
        yield Stroke(text=f"├ L{index}".ljust(6), ink="bold")
        for head in range(sizes.heads):
            here = signs.get((index, head), [])
            yield Stroke(text=" " * (cell - max(len(here), 1)))
            yield from (Stroke(text=role.sign, ink=role.ink) for role in here)
            if not here:
                yield Stroke(text="·", ink="dim")
        yield Stroke(text=mlp.ljust(room - 6 - cell * sizes.heads) + f"{sizes.layer:>10,}")

    flow = (Stroke(text="│", ink="dim"),)
    indices = "".join(f"{head:>{cell}}" for head in range(sizes.heads))
    return Drawing(
        lines=(
            (Stroke(text=f"{'text':<{room}}parameters", ink="dim"),),
            flow,
            part("embed", f"{sizes.vocabulary:,} tokens × {sizes.width}", sizes.embed),
            part("pos_embed", f"{sizes.context:,} positions × {sizes.width}", sizes.pos_embed),
            (Stroke(text=f"│ head{indices}", ink="dim"),),
            *(tuple(layer(index)) for index in range(sizes.layers)),
            flow,
            part("final_norm", f"{sizes.width} dimensions", sizes.norm),
            part(
                "logits", "embed again, transposed (tied)" if sizes.tied else f"{sizes.vocabulary:,} tokens", sizes.head
            ),
            (Stroke(text=f"{'all':<{room}}{sizes.parameters:>10,}", ink="dim"),),
            *_legend(fly),
        )
    )


def _legend(fly: Organism) -> Iterator[tuple[Stroke, ...]]:
    """The signs, and the heads that bear them, best first."""
    for i, role in enumerate(role for role in ROLES if ranked(fly, role)):
        if not i:
            yield ()
        heads = [head.head for head in ranked(fly, role)]
        more = f" and {len(heads) - MOST} more" if len(heads) > MOST else ""
        yield (
            Stroke(text=f"{role.sign} {role.name:<17}", ink=role.ink),
            Stroke(text="  ".join(heads[:MOST]) + more),
        )


def _layer(sizes: Sizes) -> str:
    return (
        f"In each layer: attention {sizes.attention:,} ({sizes.heads} heads of width {sizes.width // sizes.heads}), "
        f"MLP {sizes.mlp:,} ({sizes.neurons:,} neurons), a norm before each {2 * sizes.norm:,}. Heads are written "
        "layer.head, both counted from 0. `invivo sites` lists every place in between."
    )


# ── what it was taught ───────────────────────────────────────────────────────────────────────────────────────────────


def _taught(fly: Organism) -> Iterator[Block]:
    """The behaviours: what was asked, the figure, the bar, and whether the figure reaches it."""
    if not fly.behaviours:
        return
    rows = tuple(row for name, found in fly.behaviours.items() for row in _rows(name, found))
    yield Heading(text="What it was taught, and how well it does it")
    yield Table(columns=("behaviour", "figure", "measured", "bar", "met"), rows=rows)
    yield Points(items=tuple(f"{name}: {found.asked}" for name, found in fly.behaviours.items()))
    yield Text(text="`invivo fruitfly --json` has every figure.", tone="dim")


def _rows(name: str, behaviour: Behaviour) -> Iterator[tuple[str, ...]]:
    for bar in behaviour.bars:
        value = behaviour.figures[bar.figure]
        measured, bound = _apart(value, bar)
        sides = "≥" if bar.at_least is not None else "≤"
        yield name, _words(bar.figure), measured, f"{sides} {bound}", "✓" if bar.holds(value) else "✗"
        name = ""
    if not behaviour.bars:
        for figure, value in list(behaviour.figures.items())[:FEW]:
            yield name, _words(figure), _short(value), "none", "–"
            name = ""
        if (more := len(behaviour.figures) - FEW) > 0:
            yield "", f"and {more} more", "", "none", "–"


def _apart(value: float, bar: Bar) -> tuple[str, str]:
    """A figure and its bar with as many decimals as they need to be seen apart."""
    for decimals in range(max(decimals_for((value,)), decimals_for((bar.bound,))), 9):
        shown = number(value, decimals), number(bar.bound, decimals)
        if value == bar.bound or shown[0] != shown[1]:
            return shown
    return repr(value), repr(bar.bound)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _heldout(fly: Organism) -> Iterator[Block]:
    """How well it foresees text that it has not read."""
    if not fly.heldout:
        return
    yield Heading(text="How well it foresees text that it has not read")
    yield Table(
        columns=("text", "bits a byte", "perplexity", "5-gram's perplexity"),
        rows=tuple(
            (_words(name), number(row.model.bits_per_byte), *(_short(s.perplexity) for s in (row.model, row.five_gram)))
            for name, row in fly.heldout.items()
        ),
    )


def _short(value: float) -> str:
    return number(value, decimals_for((value,)))
