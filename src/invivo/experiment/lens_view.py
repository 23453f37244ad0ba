"""What to show of a lens: heatmaps of layers by positions, the likeliest token of each cell, a sentence."""

from __future__ import annotations

from ..pictures import Heatmap, Lines, Series
from ..show.blocks import Block, Code, Document, Figure, Heading, Table, Text
from ..show.text import number, quoted, visible
from .cone import reached
from .lens import Grid, Lens, Seen
from .views import short_revision
from .wording import doing, percent, share_shift

COLUMNS = 7  # layers of a table: more would not fit a terminal
LINES = 32  # positions of a table
SAME = "="  # stands for BASE's token


def summary(lens: Lens, *, tweak: bool = False) -> str:
    """One sentence about the last position: what is said there, how likely, and from which layer on."""
    last = lens.layers - 1
    if lens.recipe.target is not None:
        seen = lens.tweak if tweak and lens.tweak else lens.base
        assert seen.target is not None  # the engine fills it where a target is given
        chances = [row[-1] for row in seen.target]
        best = max(range(len(chances)), key=chances.__getitem__)
        peak = "" if best == last else f", with {percent(chances[best])} at layer {best} as its most"
        moved = share_shift(chances[0], chances[-1])
        return f"After the prompt, {quoted(lens.recipe.target)} goes {moved} between layer 0 and layer {last}{peak}."
    said, settled = lens.cell(last, -1, tweak=tweak)[0], lens.settled(tweak=tweak)
    since = "only in the last layer" if settled == last else f"from layer {settled} on"
    return f"After the prompt, {quoted(said.text)} ({percent(said.probability)}) is the likeliest token {since}."


def moved(lens: Lens) -> str:
    """One sentence about the cell that the tweak moved most."""
    assert lens.tweak is not None
    assert lens.tweak.moved_nats is not None
    assert lens.recipe.tweak is not None
    cells = [(kl, layer, at) for layer, row in enumerate(lens.tweak.moved_nats) for at, kl in enumerate(row)]
    kl, layer, at = max(cells, key=lambda cell: cell[0])
    if kl < 0.0005:
        return f"{doing(lens.recipe.tweak)} moves nothing that is seen through this lens."
    where = f"layer {layer} after {quoted(lens.prompt_tokens[at])} (position {at})"
    return f"{doing(lens.recipe.tweak)} moves {where} most: KL(BASE ‖ TWEAK) {number(kl)} nats."


def picture(lens: Lens, *, tweak: bool = False) -> Heatmap:
    """Layers by positions: the probability of the target, or of each cell's likeliest token, in per cent."""
    seen = lens.tweak if tweak else lens.base
    assert seen is not None
    row = f"TWEAK {lens.recipe.tweak}" if tweak else "BASE"
    target = lens.recipe.target
    what = f"probability of {quoted(target)}" if target is not None else "probability of the likeliest token"
    values = seen.target if target is not None and seen.target is not None else seen.top
    return _map(lens, f"{row}: {what}", summary(lens, tweak=tweak), _scaled(values), f"{what}, %", cone=tweak)


def difference(lens: Lens) -> Heatmap:
    """Layers by positions: what the tweak did to the target's probability, or else KL(BASE ‖ TWEAK)."""
    assert lens.tweak is not None
    assert lens.tweak.moved_nats is not None
    if lens.recipe.target is None or lens.tweak.target is None or lens.base.target is None:
        return _map(
            lens, "How far the tweak moved each cell", moved(lens), lens.tweak.moved_nats, "KL(BASE ‖ TWEAK), nats"
        )
    pairs = zip(lens.base.target, lens.tweak.target, strict=True)
    change = _scaled(tuple(tuple(b - a for a, b in zip(one, two, strict=True)) for one, two in pairs))
    title = f"TWEAK minus BASE: probability of {quoted(lens.recipe.target)}"
    return _map(lens, title, moved(lens), change, "percentage points", diverging=True)


def by_layer(lens: Lens) -> tuple[Lines, Lines]:
    """After the prompt, layer by layer: how far from what the row says in the end, and how undecided."""
    rows = [("BASE", lens.base)] + ([] if lens.tweak is None else [("TWEAK", lens.tweak)])

    def lines(title: str, what: str, values: list[tuple[str, list[float]]]) -> Lines:
        ends = [f"from {number(v[0])} to {number(v[-1])} nats in {name}" for name, v in values]
        return Lines(
            title=title,
            summary=f"After the prompt, {what} goes {', '.join(ends)}, between layer 0 and layer {lens.layers - 1}.",
            x=tuple(map(float, range(lens.layers))),
            x_name="layer",
            y_name=f"{what}, nats",
            series=tuple(
                Series(name=name, role="base" if name == "BASE" else "tweak", values=tuple(v)) for name, v in values
            ),
        )

    return (
        lines(
            "How far each layer is from the last",
            "KL(last layer ‖ layer)",
            [(name, [row[-1] for row in seen.kl_nats]) for name, seen in rows],
        ),
        lines(
            "How undecided each layer is",
            "entropy",
            [(name, [row[-1] for row in seen.entropy_nats]) for name, seen in rows],
        ),
    )


def _scaled(values: Grid) -> Grid:
    return tuple(tuple(100 * v for v in row) for row in values)


def _map(
    lens: Lens, title: str, words: str, values: Grid, unit: str, *, diverging: bool = False, cone: bool = True
) -> Heatmap:
    stack = lens.recipe.tweak
    return Heatmap(
        title=title,
        summary=words,
        rows=tuple(map(str, range(lens.layers))),
        columns=tuple(map(visible, lens.prompt_tokens)),
        values=values,
        row_name="layer",
        column_name="position",
        unit=unit,
        diverging=diverging,
        outlined=None if not cone or stack is None else reached(stack, lens.layers, len(lens.prompt_tokens)),
    )


def lens_document(lens: Lens) -> Document:
    """The maps, the likeliest token of each cell, and how to run it again."""
    blocks: list[Block] = [
        Heading(text=f"What each layer would say: {lens.kind}"),
        Text(text=_gloss(lens)),
        Code(text=lens.recipe.prompt, language="text"),
        Figure(picture=picture(lens), name="lens-base"),
        _table(lens, lens.base),
    ]
    if lens.tweak is not None:
        blocks += [
            Figure(picture=picture(lens, tweak=True), name="lens-tweak"),
            _changes(lens, lens.tweak),
            Figure(picture=difference(lens), name="lens-difference"),
        ]
    blocks += [
        Figure(picture=drawn, name=name)
        for drawn, name in zip(by_layer(lens), ("lens-kl", "lens-entropy"), strict=True)
        if lens.layers > 1
    ]
    blocks += [Text(text=note, tone="note") for note in lens.notes]
    if lens.fit is not None:
        blocks += [Heading(text="What the maps are worth"), _worth(lens)]
    versions = ", ".join(f"{name} {version}" for name, version in lens.versions.items())
    blocks += [
        Heading(text="Run it again"),
        Code(text=lens.recipe.to_cli()),
        Text(
            text=f"{lens.layers} layers x {len(lens.prompt_tokens)} positions in {lens.seconds:.2g} s; "
            f"{lens.recipe.model} at {short_revision(lens.revision)}, on {lens.device}; {versions}",
            tone="dim",
        ),
    ]
    return Document(blocks=tuple(blocks))


def _gloss(lens: Lens) -> str:
    how = "goes through a map of its own, then through" if lens.recipe.tuned else "goes straight through"
    return (
        f"Each layer's output {how} the model's last norm and head, as if the model ended there. "
        "The last layer is what the model says."
    )


def _shown(count: int, room: int) -> list[int]:
    """At most `room` of `count` numbers, evenly apart, the last one always."""
    if count <= room:
        return list(range(count))
    return sorted({round(i * (count - 1) / (room - 1)) for i in range(room)})


def _changes(lens: Lens, tweak: Seen) -> Block:
    """The likeliest tokens of TWEAK where they are not BASE's, or words that they are BASE's everywhere."""
    table = _table(lens, tweak, beside=lens.base)
    if table.rows:
        return table
    return Text(text="At every layer and position, TWEAK's likeliest token is BASE's.")


def _table(lens: Lens, seen: Seen, beside: Seen | None = None) -> Table:
    """The likeliest token of each cell; `beside` another row, only the positions and cells where it differs."""
    layers = _shown(lens.layers, COLUMNS)
    rows = []
    for at in range(len(lens.prompt_tokens)):
        same = [beside is not None and beside.ids[n][at][0] == seen.ids[n][at][0] for n in range(lens.layers)]
        if not all(same):
            cells = (SAME if same[n] else visible(lens.texts[seen.ids[n][at][0]]) for n in layers)
            rows.append((f"{at} {visible(lens.prompt_tokens[at])}", *cells))
    caption = "BASE: the likeliest next token"
    if beside is not None:
        caption = f"TWEAK: where the likeliest next token is another one; {SAME} is BASE's"
    left_out = [f"{len(layers)} of {lens.layers} layers"] if len(layers) < lens.layers else []
    left_out += [f"the last {LINES} of {len(rows)} positions"] if len(rows) > LINES else []
    caption += f" ({', '.join(left_out)}; --json has all)" if left_out else ""
    return Table(columns=("after", *(f"layer {n}" for n in layers)), rows=tuple(rows[-LINES:]), caption=caption)


def _worth(lens: Lens) -> Table:
    assert lens.fit is not None
    fit = lens.fit
    rows = tuple(
        (str(n), number(raw, 3), number(tuned, 3))
        for n, (raw, tuned) in enumerate(zip(fit.raw_nats, fit.tuned_nats, strict=True))
    )
    again = ", earlier, and kept" if fit.reused else ""
    return Table(
        columns=("layer", "raw, nats", "tuned, nats"),
        rows=rows,
        caption=f"KL(last layer ‖ layer) on {fit.held_out:,} tokens that the maps were not fitted on; they were fitted "
        f"on {fit.tokens:,} tokens of {fit.text}{again}",
    )
