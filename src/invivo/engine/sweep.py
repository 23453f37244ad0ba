"""A sweep, run: one number for the same tweak at every place, by the growing batch where the model allows it.

One place decides how (`answer`): rows whose tweak causality keeps from being seen are BASE and are not run; the others
branch off BASE's trunk, those together whose first changed positions are near; a model whose blocks cannot be walked is
run row by row in batches. `exact` takes the slow twin for everything: stock layers, one row a time, the whole
model. A test holds the two equal for every family and every kind of sweep.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import BadText, InvivoError, NoEffect, OutOfRange, Refused
from ..experiment import Axis, Case, Grid, Sweep
from ..metrics import Look, metric_named
from ..spec import number_text
from ..tweaks import Activation, Decoding, LogitBias, Stack
from ..tweaks.activation import Copy
from .actions import Action
from .alignment import check_swept
from .compare import versions
from .end import ENDS
from .estimate import estimates, gradients
from .living import Living
from .packed import available, packed
from .reading import logits_of
from .rotation import TURNED, Turn
from .rows import Row, Taken, check_effect, joins, prepare
from .trunk import Trunk
from .unfinished import Unfinished

ESTIMATE = "estimated from one gradient (attribution patching)"
BUDGET = 2**28  # bytes that the rows of a chunk may take; more was not faster on a CPU
FILLED = 2 / 3  # of a budget are rows; the rest is left to the allocator, which cannot always use what was freed
TOGETHER = 2  # rows of a chunk begin within this fraction of the positions that it has
Progress = Callable[[int, int], None]  # places done, places in all
Known = Callable[[int, Sequence[int], Sequence[float]], None]  # case, numbers of its places, their values
BESIDE = frozenset({"q", "scores", "pattern", "z", "attn_out", "resid_mid", "mlp_pre", "mlp_post", "mlp_out"})


@dataclass(frozen=True)
class Asked:
    """One case as tokens: what is read, which metric looks where, and what it compares with."""

    metric: str
    sources: frozenset[str]  # named prompts that the tweaks take values from
    prompt: list[int]
    text: list[int]  # the prompt and all of the answer but its last token
    looked: int  # positions at the end of `text`
    prompts: dict[str, list[int]]
    target: tuple[int, ...]
    wrong: tuple[int, ...]
    under: Stack | None = None  # what is in force everywhere, BASE included


def run(
    living: Living,
    sweep: Sweep,
    *,
    exact: bool = False,
    estimate: bool = False,
    memory: int | None = None,
    check: int = 0,
    progress: Progress | None = None,
    unfinished: Unfinished | None = None,
    known: Known | None = None,
) -> Grid:
    """Take the metric at every place of `sweep`.

    `memory`: bytes for the rows of a chunk; `check`: how many random places to run again the slow way; `estimate`: take
    one gradient instead of running any row. Finished chunks go to `unfinished`, and what it holds is not run again.
    `known` is told which case has which values at which places, chunk by chunk.

    Raises InvivoError for what this model or prompt does not have, for a place that is never reached, and for a tweak
    that makes the metric NaN.
    """
    start = time.perf_counter()
    with living.alone("compare"), torch.no_grad():
        asked = _asked(living, sweep)
        if estimate and sweep.under is not None:
            raise BadText("an estimate starts from BASE as it is", hint="leave out --estimate or what is --under")
        sizes = _sizes(living, sweep, asked)
        lines = [line for _, line in sweep.stars.lines(sizes, sweep.window)]
        kept = unfinished.open(len(lines)) if unfinished is not None else {}
        values: list[list[float | None]] = []
        base: list[float] = []
        path, notes = "", []
        total = len(lines) * len(asked)
        for number, case in enumerate(asked):
            done = dict(kept.get(number, {}))

            def found(cells: Sequence[int], numbers: Sequence[float], number: int = number, done: dict = done) -> None:
                done.update(zip(cells, numbers, strict=True))
                if unfinished is not None:
                    unfinished.add(number, cells, numbers)
                if known is not None:
                    known(number, cells, numbers)
                if progress is not None:
                    progress(number * len(lines) + len(done), total)

            drawn = sweep.drawn(lines, number % sweep.seeds)
            one, path, told = answer(living, case, drawn, done, found, exact, memory or BUDGET, estimate)
            base.append(one)
            values.append([done[i] for i in range(len(lines))])
            notes += told
        apart = _checked(living, asked[0], sweep.drawn(lines, 0), values[0], check) if check else None
    if unfinished is not None:
        unfinished.close()
    return Grid(
        recipe=sweep.model_copy(update={"model": living.name}),
        axes=axes_of(living, sweep),
        lines=tuple(lines),
        values=tuple(tuple(v) for v in values),
        base=tuple(base),
        unit=metric_named(sweep.metric).unit,
        prompt_tokens=tuple(living.piece(i).text for i in asked[0].prompt),
        versions=versions(),
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        path=path,
        checked=apart,
        notes=tuple(dict.fromkeys(notes)),
        seconds=round(time.perf_counter() - start, 4),
    )


def plan(living: Living, sweep: Sweep, *, memory: int | None = None) -> list[str]:
    """What `run` would do, in words: places, shapes, rows, memory, time. Only BASE is run."""
    with living.alone("compare"), torch.no_grad(), packed(living.hf):
        asked = _asked(living, sweep)
        sizes = _sizes(living, sweep, asked)
        lines = sweep.drawn([line for _, line in sweep.stars.lines(sizes, sweep.window)], 0)
        place = sweep.stars.place(sweep.stars.axes[0])
        layer, _, _ = living.anatomy.locate(place)
        length = len(asked[0].text)
        shape = [living.anatomy.size(place.site, a, layer) or {"B": 1}.get(a, length) for a in place.kind.axes]
        trunk = Trunk(living, asked[0].text, len(asked[0].prompt), asked[0].looked)
        start = time.perf_counter()
        Trunk(living, asked[0].text, len(asked[0].prompt), asked[0].looked)
        forward = time.perf_counter() - start
        why = trunk.fits()
        rows = prepare(living, [_stack(x) for x in lines], asked[0].prompt, asked[0].prompts, Decoding(), 0)[1:]
        firsts = [_first(living, asked[0], row) for row in rows]
        running = [
            (f, joins(living, r), i, r) for i, (f, r) in enumerate(zip(firsts, rows, strict=True)) if f is not None
        ]
        running.sort(key=lambda entry: entry[:3])
        chunks = list(_chunks(running, living, asked[0], memory or BUDGET, walked=why is None))
    layers = living.anatomy.layers
    share = sum((1 - at / layers) * (1 - first / length) if why is None else 1.0 for first, at, _, _ in running)
    largest = max(map(len, chunks), default=0)
    return [
        f"tweak     {sweep.tweak}",
        f"metric    {sweep.metric}",
        f"places    {' x '.join(f'{len(v)} {a}s' for a, v in sizes.items())} = {len(lines):,}, on each of {len(asked)}",
        f"site      {place.site}: {' x '.join(f'{a} {n}' for a, n in zip(place.kind.axes, shape, strict=True))}",
        f"rows      {len(running):,}; {len(lines) - len(running):,} places cannot reach what the metric looks at",
        f"how       {'growing batch' if why is None else f'rows in batches, because {why}'}",
        f"chunks    {len(chunks):,} of up to {largest:,} rows, in {(memory or BUDGET) / 1e6:,.0f} MB",
        f"time      about {forward * share * len(asked):.2g} s, if a row costs what BASE alone does; batches cost less",
    ]


def axes_of(living: Living, sweep: Sweep) -> tuple[Axis, ...]:
    """What varies, with a name for each place. Raises InvivoError for what this model or prompt does not have."""
    asked = _asked(living, sweep)
    sizes = _sizes(living, sweep, asked)
    return tuple(Axis(name=axis, labels=_labels(living, sweep, asked[0], axis, sizes[axis])) for axis in sizes)


# ── what is asked ──


def ask(living: Living, metric: str, sources: Iterable[str], case: Case) -> Asked:
    """A case as tokens. Raises BadText where the two answers do not differ."""
    prompt = living.encode(case.prompt)
    target = tuple(living.encode(case.target, "target", special=False)) if case.target else ()
    wrong = tuple(living.encode(case.wrong, "wrong answer", special=False)) if case.wrong else ()
    needs = metric_named(metric).needs
    looked = 1
    if "wrong" in needs:
        shared = next((i for i, (a, b) in enumerate(zip(target, wrong, strict=False)) if a != b), None)
        if shared is None:
            raise BadText(
                f"{case.target!r} and {case.wrong!r} do not part within the shorter one's tokens",
                hint="give two answers of which neither begins with the other",
            )
        looked = shared + 1
    elif "target" in needs:
        looked = len(target)
    text = prompt + list(target[: looked - 1])
    if len(text) > living.anatomy.context:
        raise OutOfRange(
            f"prompt and target together have {len(text):,} tokens; {living.name} reads at most "
            f"{living.anatomy.context:,}",
            hint="shorten the prompt",
        )
    prompts = {name: living.encode(words, f"prompt {name!r}") for name, words in case.prompts.items()}
    return Asked(metric, frozenset(sources), prompt, text, looked, prompts, target, wrong)


def _asked(living: Living, sweep: Sweep) -> list[Asked]:
    """Every case as tokens, once for each draw of noise."""
    cases = (ask(living, sweep.metric, sweep.stars.sources, case) for case in sweep.cases)
    return [replace(case, under=sweep.under_at(draw)) for case in cases for draw in range(sweep.seeds)]


def _sizes(living: Living, sweep: Sweep, asked: Sequence[Asked]) -> dict[str, list[str]]:
    """The numbers that each axis goes through."""
    sizes: dict[str, list[str]] = {}
    stars = sweep.stars
    if "position" in stars.axes:
        for one in asked:
            check_swept(living, stars, one.prompt, one.prompts)
    for axis in stars.axes:
        if axis == "value":
            sizes[axis] = [number_text(v) for v in sweep.values]
            continue
        if axis in ("layer", "to layer"):
            count = living.anatomy.layers
        elif axis in ("position", "key"):
            count = len(asked[0].prompt)
            other = next((n for n, a in enumerate(asked) if len(a.prompt) != count), None)
            if other is not None:
                raise BadText(
                    f"positions are swept, but case 0 has {count} tokens and case {other} has "
                    f"{len(asked[other].prompt)}",
                    hint="give cases of one length; `invivo tokens` counts them",
                )
        else:
            place = stars.place(axis)
            layer, _, _ = living.anatomy.locate(place)
            size = living.anatomy.size(place.site, "H" if axis in ("head", "to head") else place.kind.unit_axis, layer)
            count = size or 0
        sizes[axis] = [str(i) for i in range(count)]
    return sizes


def _labels(living: Living, sweep: Sweep, asked: Asked, axis: str, numbers: Sequence[str]) -> tuple[str, ...]:
    if axis not in ("position", "key"):
        return tuple(numbers)
    return tuple(f"{i} {living.piece(asked.prompt[int(i)]).text}" for i in numbers)


# ── one case ──


def answer(
    living: Living,
    asked: Asked,
    lines: Sequence[str],
    done: dict[int, float],
    found: Callable[[Sequence[int], Sequence[float]], None],
    exact: bool = False,
    budget: int = BUDGET,
    estimate: bool = False,
) -> tuple[float, str, list[str]]:
    """Fill `done` through `found`. Returns BASE's value, how it was done, and notes for the reader."""
    missing = [i for i in range(len(lines)) if i not in done]
    if exact:
        base, look = _looking(living, asked, _own(living, asked, asked.text))
        for i in missing:
            found([i], [_slow(living, asked, lines[i], look)])
        return base, "one row at a time, stock layers", []
    if estimate:
        return _estimated(living, asked, lines, missing, found), ESTIMATE, []
    with packed(living.hf):
        trunk = Trunk(living, asked.text, len(asked.prompt), asked.looked)
        base, look = _looking(living, asked, trunk.base)
        why = trunk.fits()
        tokens = look.tokens if why is None and look.tokens and trunk.narrows(look.tokens) else None
        quiet, notes, taken = 0, list[str](), Taken()
        for part in _parts(missing):
            stacks = [_stack(lines[i]) for i in part]
            rows = prepare(living, stacks, asked.prompt, asked.prompts, Decoding(), 0, taken)[1:]
            notes += [a.note for row in rows for a in row.actions if a.note]
            if any(isinstance(a, Turn) for row in rows for a in row.actions):
                why = TURNED
            firsts = [_first(living, asked, row) for row in rows]
            for place, row in enumerate(rows):
                if firsts[place] is not None and not row.biases and all(_still(trunk, asked, a) for a in row.actions):
                    firsts[place] = None
                    quiet += 1
            same = [i for i, first in zip(part, firsts, strict=True) if first is None]
            if same:
                found(same, [base] * len(same))
            running = [(f, joins(living, r), i, r) for f, i, r in zip(firsts, part, rows, strict=True) if f is not None]
            running.sort(key=lambda entry: entry[:3])
            for chunk in _chunks(running, living, asked, budget, walked=why is None):
                first = chunk[0][0]
                chunk.sort(key=lambda entry: entry[1:3])
                chosen = [row for *_, row in chunk]
                if why is None:
                    few = not any(row.biases or any(a.site == "logits" for a in row.actions) for row in chosen)
                    walked = [(layer, row.actions) for _, layer, _, row in chunk]
                    logits = trunk.walk(walked, first, tokens if few else None)
                else:
                    logits = logits_of(living, chosen, asked.text, len(asked.prompt))[:, -asked.looked :]
                for place, row in enumerate(chosen):
                    logits[place] = row.bias(logits[place])
                numbers = look(logits)
                for number, row in zip(numbers, chosen, strict=True):
                    _sound(number, row)
                    quiet += all(not a.changed for a in row.actions) and not row.biases
                found([i for _, _, i, _ in chunk], numbers)
    if quiet:
        notes.append(f"{quiet} of {len(lines)} places changed nothing: the values were the same before")
    how = "growing batch" if why is None else f"rows in batches, because {why}"
    return base, how + (", packed layers" if available() and living.device.type == "cpu" else ""), notes


def _estimated(
    living: Living,
    asked: Asked,
    lines: Sequence[str],
    missing: Sequence[int],
    found: Callable[[Sequence[int], Sequence[float]], None],
) -> float:
    """Every missing place from one gradient. Returns BASE's value."""
    _, look = _looking(living, asked, _own(living, asked, asked.text))
    rows = prepare(living, [_stack(lines[i]) for i in missing], asked.prompt, asked.prompts, Decoding(), 0)[1:]
    for row in rows:
        _first(living, asked, row)  # a place that is never reached is told
        if any(isinstance(action, Turn) for action in row.actions):
            raise Refused(f"`{row.name}` cannot be estimated: {TURNED}")
    places = list({(a.layer, a.site) for row in rows for a in row.actions})
    base, kept = gradients(living, asked.text, places, asked.looked, look.tensor)
    for part in _parts(range(len(missing))):
        numbers = estimates([rows[n] for n in part], base, kept, len(asked.prompt))
        found([missing[n] for n in part], numbers)
    return base


def _stack(line: str) -> Stack:
    stack = Stack.of(line)
    for tweak in stack:
        if not isinstance(tweak, Activation | LogitBias):
            raise BadText(f"`{tweak}` acts when tokens are chosen", hint="a sweep reads the prompt and chooses nothing")
    return stack


def _parts(cells: Sequence[int], size: int = 4096) -> Iterator[Sequence[int]]:
    """Cells in stretches: rows are made ready a stretch at a time, so that a long sweep stays small."""
    for start in range(0, len(cells), size):
        yield cells[start : start + size]


Entry = tuple[int, int, int, Row]  # first changed position, layer it joins at, cell, row


def _chunks(
    entries: Sequence[Entry], living: Living, asked: Asked, budget: int, *, walked: bool
) -> Iterator[list[Entry]]:
    """Entries, sorted, in chunks that fit the budget. With `walked`, those of a chunk begin at nearly one position:
    few rows are slow, and so are many columns before a row's first change.
    """
    sizes = living.anatomy.blocks[0].sizes
    width = 14 * living.anatomy.width + 5 * sizes.get("F", 4 * living.anatomy.width)
    total = len(asked.text)
    chunk: list[Entry] = []
    for entry in entries:
        first = chunk[0][0] if chunk else entry[0]
        columns = total - first if walked else total
        row = 4 * (columns * (width + 2 * sizes.get("H", 0) * total) + 3 * asked.looked * living.anatomy.vocabulary)
        near = not walked or entry[0] - first <= (total - first) // TOGETHER
        if chunk and (not near or (len(chunk) + 1) * row > budget * FILLED):
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk


def _first(living: Living, asked: Asked, row: Row) -> int | None:
    """The first position at which a row may differ from BASE in a way that is looked at; None when none does.

    Raises NoEffect where a tweak's place is never reached.
    """
    total, last = len(asked.text), living.anatomy.layers - 1
    firsts: list[int] = [total - asked.looked] if row.biases else []
    for action in row.actions:
        if action.idle:
            continue
        wanted = action.columns(0, total, len(asked.prompt))
        if not wanted:
            raise NoEffect(
                f"`{action.tweak}` is never reached: positions are 0 to {total - 1}", hint="`invivo tokens` shows them"
            )
        if action.site in ENDS or (action.layer == last and action.site in (*BESIDE, "resid_post")):
            wanted = [p for p in wanted if p >= total - asked.looked]  # nothing above carries it elsewhere
        if isinstance(action.tweak, Copy):
            there, shift = asked.prompts[action.tweak.source_name], action.shift or {}
            pairs = enumerate(zip(asked.prompt, there, strict=False))
            alike = next((i for i, (a, b) in pairs if a != b), min(len(asked.prompt), len(there)))
            wanted = [p for p in wanted if p >= alike or shift.get(p, p) != p]  # up to there both prompts are one
        firsts += wanted[:1]
    return min(firsts, default=None)


def _still(trunk: Trunk, asked: Asked, action: Action) -> bool:
    """Whether a copy into the first block's input puts there what BASE has: where both prompts have the same token."""
    place = action.tweak.place
    if not isinstance(action.tweak, Copy) or (action.site, action.layer) != ("resid_pre", 0) or place.units is not None:
        return False
    if action.source is None or not isinstance(base := trunk.inputs[0][0], Tensor):
        return False
    here = action.columns(0, trunk.length, len(asked.prompt))
    shift = action.shift or {}
    return torch.equal(base[0, here], action.source[[shift.get(p, p) for p in here]])


# ── reading the metric ──


class Read:
    """What turns logits (R, P, V) into one number a row."""

    def __init__(self, asked: Asked, base: Tensor, source: Tensor | None) -> None:
        metric = metric_named(asked.metric)
        assert metric.read is not None  # a sweep has no other
        self.read = metric.read
        self.looks = {base.shape[-1]: Look(base, base, source, asked.target, asked.wrong)}
        self.tokens = sorted({*asked.target, *asked.wrong}) if metric.leads else None  # whose logits are enough
        if self.tokens:
            base, source = base[:, self.tokens], None if source is None else source[:, self.tokens]
            target, wrong = (tuple(map(self.tokens.index, answer)) for answer in (asked.target, asked.wrong))
            self.looks[len(self.tokens)] = Look(base, base, source, target, wrong)

    def tensor(self, logits: Tensor) -> Tensor:
        """(R,) of them, in float64: a KL of 0.001 is a difference of numbers near 1. `logits` are of all tokens, or of
        `tokens`.
        """
        return self.read(replace(self.looks[logits.shape[-1]], logits=logits.double()))

    def __call__(self, logits: Tensor) -> list[float]:
        return self.tensor(logits).tolist()


def _own(living: Living, asked: Asked, text: Sequence[int]) -> Tensor:
    """BASE's logits (P, V) where the metric looks on `text`."""
    return logits_of(living, [Row(None, Decoding(), 0)], list(text), len(text))[0, -asked.looked :]


def _looking(living: Living, asked: Asked, base: Tensor) -> tuple[float, Read]:
    """BASE's value, given its logits (P, V), and what reads the others'."""
    if asked.under is not None:
        row = prepare(living, [asked.under], asked.prompt, asked.prompts, Decoding(), 0)[1]
        base = row.bias(logits_of(living, [row], asked.text, len(asked.prompt))[0, -asked.looked :])
        check_effect([row])
    own = base.double().log_softmax(-1)
    source = None
    if metric_named(asked.metric).against_source:
        if not asked.sources:
            raise BadText(f"{asked.metric} needs a tweak that copies from another prompt", hint="`copy head * from x`")
        text = asked.prompts[min(asked.sources)] + list(asked.target[: asked.looked - 1])
        source = _own(living, asked, text).double().log_softmax(-1)
    look = Read(asked, own, source)
    return look(own[None])[0], look


def _sound(number: float, row: Row) -> None:
    if number != number:
        raise InvivoError(
            f"`{row.name}` makes the metric NaN",
            hint="a smaller strength may help; for a recovered share, check that BASE and source differ",
        )


def _slow(living: Living, asked: Asked, line: str, look: Read) -> float:
    """One place the slow way: the whole model, stock layers, alone."""
    row = prepare(living, [_stack(line)], asked.prompt, asked.prompts, Decoding(), 0)[1]
    _first(living, asked, row)  # a place that is never reached is told
    logits = logits_of(living, [row], asked.text, len(asked.prompt))[:, -asked.looked :]
    number = look(row.bias(logits))[0]
    _sound(number, row)
    return number


def _checked(living: Living, asked: Asked, lines: Sequence[str], values: Sequence[float | None], count: int) -> float:
    """Largest difference between the values and the slow way at `count` random places."""
    _, look = _looking(living, asked, _own(living, asked, asked.text))
    chosen = random.Random(0).sample(range(len(lines)), min(count, len(lines)))
    return max(abs(_slow(living, asked, lines[i], look) - (values[i] or 0.0)) for i in chosen)
