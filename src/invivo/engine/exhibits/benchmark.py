"""What tweaks cost on tasks: lm-evaluation-harness on the tweaked model, BASE and TWEAK on the same items."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from pydantic import Field

from ...errors import BadText
from ...experiment.trials import Interval
from ...pictures import Bars, Series
from ...show.blocks import Block, Figure, Heading, Table, Text
from ...show.text import number, quoted, safe, shorten
from ...spec import Spec
from ...tweaks import Activation, Stack
from ...tweaks.elsewhere import elsewhere
from ..evaluation.scorer import Scorer
from ..evaluation.scores import Outcome, differs, outcomes
from ..evaluation.tasks import find
from ..living import Living
from . import Found, Kind
from ._texts import read_well

TOLD = 4  # items that are told in words
ROOM = 64  # characters of a question


class Settings(Spec):
    """Which rows, on which tasks."""

    tweaks: tuple[str, ...] = ()
    """One TWEAK row each; BASE alone when left out."""
    tasks: tuple[str, ...] = ("giving", "opposites", "young_animals", "tales")
    """Names of tasks (`invivo eval` lists those that come with invivo; the harness's own work, too) or files: task
    files in YAML, or JSON lines of {"question", "choices", "answer"}."""
    limit: int = Field(default=0, ge=0)
    """How many items of each task, from its first on; 0 is all."""
    elsewhere: int = Field(default=0, ge=0, le=50)
    """At how many random places of its kind the first tweak is tried, too: other heads of the same layer, for heads."""
    untrained: bool = False
    """Whether the same model with random weights is asked, too."""


def show(living: Living, settings: Settings) -> Found:
    """Scores of BASE and TWEAKs on tasks, with intervals over items; differences item by item; chance; examples."""
    stacks = [Stack.of(line) for line in settings.tweaks]
    rows = [Scorer.of(living, stack) for stack in (None, *stacks)]
    tasks = find(settings.tasks)
    base, *tweaked = [outcomes(row, tasks, settings.limit) for row in rows]
    numbers = _numbers(base, tweaked)
    sentence = " ".join(_cost(str(stack), base, row) for stack, row in zip(stacks, tweaked, strict=True)) or _known(
        base
    )
    blocks: list[Block] = [] if settings.elsewhere else _picture(sentence, base, stacks, tweaked)
    for stack, row in zip(stacks, tweaked, strict=True):
        blocks += [_table(f"`{stack}`: scores with 95 % intervals over items, and the paired difference", base, row)]
        blocks += [] if settings.elsewhere else _examples(base, row)
    if not stacks:
        blocks.append(_table("scores with 95 % intervals over items", base, None))
    notes = dict.fromkeys(note for row in rows for note in row.row.notes)
    blocks += [Text(text=note, tone="note") for note in notes]
    if settings.untrained:
        blind = outcomes(Scorer.of(living, Stack.of("reset weights")), tasks, settings.limit)
        numbers |= {f"{_key(one)}_untrained": one.total for one in blind.values()}
        blocks += [Heading(text="The same model, untrained", level=3), _untrained(base, blind)]
    if settings.elsewhere:
        if not stacks:
            raise BadText("there is no tweak to try elsewhere", hint='for example tweaks=["zero head 3.5"]')
        lines = _places(living, stacks[0], settings.elsewhere)
        others = [outcomes(Scorer.of(living, line), tasks, settings.limit) for line in lines]
        said, more = _elsewhere(stacks[0], lines, base, tweaked[0], others)
        sentence = f"{sentence} {said}"
        numbers |= more[0]
        blocks += [Heading(text="The same elsewhere", level=3), *more[1]]
    return Found(sentence, tuple(blocks), {k: v for k, v in numbers.items() if math.isfinite(v)})


# ── numbers ──


def _key(one: Outcome) -> str:
    return f"{one.metric.task}_{one.metric.name}"


def _numbers(base: Mapping[str, Outcome], tweaked: Sequence[Mapping[str, Outcome]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for which, one in base.items():
        key, spot = _key(one), one.interval
        found |= {f"{key}_items": float(len(one.items)), f"{key}_base": spot.mean}
        found |= {f"{key}_base_low": spot.low, f"{key}_base_high": spot.high}
        if one.metric.chance is not None:
            found[f"{key}_chance"] = one.metric.chance
        for row, others in enumerate(tweaked, start=1):
            gain = others[which].above(one)
            lost, won = others[which].changed(one) if one.share else (math.nan, math.nan)
            found |= {f"{key}_{row}": others[which].total, f"{key}_gain_{row}": gain.mean}
            found |= {f"{key}_gain_low_{row}": gain.low, f"{key}_gain_high_{row}": gain.high}
            found |= {f"{key}_lost_{row}": float(lost), f"{key}_won_{row}": float(won)}
    return found


def _places(living: Living, stack: Stack, count: int) -> list[Stack]:
    """Where else to try a tweak: other heads of its own layer where it is about heads, else places of its kind."""
    changes = [t for t in stack if isinstance(t, Activation)]
    first = changes[0].place if len(changes) == len(stack) == 1 else None
    if first is not None and first.heads is not None and first.layer is not None:
        layer, heads, _ = living.anatomy.locate(first)
        size = living.anatomy.size(first.site, "H", layer) or 0
        if heads is not None and len(heads) == 1 and size > 1:
            others = [h for h in range(size) if h not in heads]
            others = sorted(random.Random(0).sample(others, min(count, len(others))))
            return [
                Stack.of([changes[0].model_copy(update={"place": first.model_copy(update={"heads": str(h)})})])
                for h in others
            ]
    return elsewhere(stack, count, lambda s, a, n: living.anatomy.size(s, a, n) or 0, 1, living.anatomy.layers)


# ── words ──


def _of(one: Outcome, value: float) -> str:
    """A score as people read it."""
    return f"{number(100 * value, 1)} %" if one.share else read_well(value)


def _digits(one: Outcome) -> int:
    """How many digits a difference of scores has behind the point."""
    return 1 if one.share or abs(one.total) >= 10 else 3


def _by(one: Outcome, value: float) -> str:
    """A difference of scores, of shares in points."""
    return number(100 * value if one.share else value, _digits(one), signed=True)


def _span(one: Outcome) -> str:
    """A score with its interval."""
    spot = one.interval
    if not math.isfinite(spot.low):
        return _of(one, spot.mean)
    ends = [number(100 * v, 0) if one.share else read_well(v) for v in (spot.low, spot.high)]
    return f"{_of(one, spot.mean)} ({' to '.join(ends)})"


def _gained(one: Outcome, gain: Interval) -> str:
    """A difference with its interval."""
    if not math.isfinite(gain.low):
        return _by(one, gain.mean)
    ends = [number(100 * v, 0, signed=True) if one.share else _by(one, v) for v in (gain.low, gain.high)]
    return f"{_by(one, gain.mean)} ({' to '.join(ends)})"


def _about(one: Outcome) -> str:
    if one.share:
        return f"{one.metric.task}: right of {len(one.items)}"
    return f"{one.metric.task}: {one.metric.words}, {len(one.items)} items"


def _known(base: Mapping[str, Outcome]) -> str:
    """What BASE can do, in a sentence about the first task."""
    one = next(iter(base.values()))
    what = f"On {one.metric.task} BASE has {_span(one)} {one.metric.words} ({len(one.items)} items)"
    return f"{what}; guessing would have {_chance(one)}." if one.metric.chance else f"{what}."


def _chance(one: Outcome) -> str:
    return "—" if one.metric.chance is None else f"{number(100 * one.metric.chance, 0)} %"


def _cost(line: str, base: Mapping[str, Outcome], row: Mapping[str, Outcome]) -> str:
    """Where a tweak costs most, or that it costs nothing that can be seen."""
    gains = {which: one.above(base[which]) for which, one in row.items()}
    worse = [w for w, gain in gains.items() if differs(gain) and (gain.mean < 0) == base[w].metric.higher]
    shares = [which for which in worse if base[which].share]
    name = safe(line)
    if not worse:
        return f"`{name}` costs nothing on these tasks that other items might not undo."
    which = max(shares or worse, key=lambda w: abs(gains[w].mean))
    one, gain = base[which], gains[which]
    return (
        f"`{name}` costs {'most' if len(gains) > 1 else 'something'} on {one.metric.task}: {one.metric.words} go from "
        f"{_of(one, one.total)} to {_of(one, row[which].total)}, a difference of {_gained(one, gain)}"
        f"{' points' if one.share else ''} over the same {len(one.items)} items."
    )


# ── blocks ──


def _table(caption: str, base: Mapping[str, Outcome], row: Mapping[str, Outcome] | None) -> Table:
    """A task a line."""
    rows = []
    for which, one in base.items():
        cells = [_about(one), _chance(one), _span(one)]
        if row is not None:
            lost, won = row[which].changed(one)
            cells += [_of(one, row[which].total), _gained(one, row[which].above(one))]
            cells.append(f"{lost}, {won}" if one.share else "—")
        rows.append(tuple(cells))
    more = () if row is None else ("TWEAK", "TWEAK − BASE, paired", "lost, won")
    return Table(columns=("task", "chance", "BASE", *more), rows=tuple(rows), caption=caption)


def _picture(
    summary: str, base: Mapping[str, Outcome], stacks: Sequence[Stack], tweaked: Sequence[Mapping[str, Outcome]]
) -> list[Block]:
    """Shares of right answers as bars, where there are any."""
    shown = [which for which, one in base.items() if one.share and all(row[which].share for row in tweaked)]
    if not shown:
        return []
    series = []
    for name, row in zip(("BASE", *map(str, stacks)), (base, *tweaked), strict=True):
        spots = [row[which].interval for which in shown]
        series.append(
            Series(
                name=name,
                values=tuple(100 * s.mean for s in spots),
                low=tuple(100 * s.low for s in spots),
                high=tuple(100 * s.high for s in spots),
                role="base" if row is base else "tweak",
            )
        )
    chances = [base[which].metric.chance for which in shown]
    if any(chance is not None for chance in chances):
        series.append(Series(name="guessing", values=tuple(None if c is None else 100 * c for c in chances)))
    picture = Bars(
        title="Right answers, with 95 % intervals over items",
        summary=summary,
        labels=tuple(base[which].metric.task for which in shown),
        series=tuple(series),
        unit="%",
    )
    return [Figure(picture=picture, name="benchmark")]


def _examples(base: Mapping[str, Outcome], row: Mapping[str, Outcome]) -> list[Block]:
    """Some items that BASE has right and TWEAK has not."""
    found = []
    for which, one in base.items():
        if not one.share:
            continue
        lost = [n for n in range(len(one.items)) if one.values[n] > row[which].values[n]]
        found += [(one.items[n], row[which].items[n]) for n in lost[:TOLD]]
    if not found:
        return []
    told = found[:: max(1, len(found) // TOLD)][:TOLD]
    rows = tuple((shorten(safe(a.question), ROOM), quoted(a.said), quoted(b.said)) for a, b in told)
    return [Table(columns=("item", "BASE", "TWEAK"), rows=rows, caption="some that BASE has right and TWEAK has not")]


def _untrained(base: Mapping[str, Outcome], blind: Mapping[str, Outcome]) -> Table:
    rows = tuple(
        (
            _about(one),
            _chance(one),
            _span(blind[which]),
            _of(one, one.total),
        )
        for which, one in base.items()
    )
    return Table(columns=("task", "chance", "random weights", "BASE"), rows=rows)


def _elsewhere(
    stack: Stack,
    lines: Sequence[Stack],
    base: Mapping[str, Outcome],
    row: Mapping[str, Outcome],
    others: Sequence[Mapping[str, Outcome]],
) -> tuple[str, tuple[dict[str, float], list[Block]]]:
    """The same tweak at other places, on every metric: a sentence about the first, numbers, and a table."""
    numbers: dict[str, float] = {}
    for which, one in base.items():
        gains = [other[which].total - one.total for other in others]
        key = f"{_key(one)}_elsewhere"
        numbers |= {f"{key}_mean": sum(gains) / len(gains), f"{key}_least": min(gains), f"{key}_most": max(gains)}
    shares = [w for w, one in base.items() if one.share]
    which = max(shares or base, key=lambda w: abs(row[w].total - base[w].total))
    one, key = base[which], f"{_key(base[which])}_elsewhere"
    rows = tuple(
        (str(line), *(_by(base[w], found[w].total - base[w].total) for w in base))
        for line, found in zip((stack, *lines), (row, *others), strict=True)
    )
    unit = " points" if one.share else ""
    said = (
        f"At {len(lines)} other places the same change moves {one.metric.task} by "
        f"{_by(one, numbers[f'{key}_mean'])}{unit} on average (from {_by(one, numbers[f'{key}_least'])} to "
        f"{_by(one, numbers[f'{key}_most'])})."
    )
    table = Table(
        columns=("tweak", *(f"{o.metric.task}, {'points' if o.share else o.metric.words}" for o in base.values())),
        rows=rows,
        caption="TWEAK − BASE",
    )
    unit = "points" if one.share else one.metric.words
    picture = Bars(
        title=f"TWEAK − BASE on {one.metric.task}, by place",
        summary=said,
        labels=tuple(str(line) for line in (stack, *lines)),
        series=(
            Series(
                name="TWEAK − BASE",
                values=tuple((100 if one.share else 1) * (r[which].total - one.total) for r in (row, *others)),
                role="tweak",
            ),
        ),
        unit=unit,
    )
    return said, (numbers, [Figure(picture=picture, name="benchmark-elsewhere"), table])


EXHIBIT = Kind("What tweaks cost on a benchmark", Settings, show, outside=("tasks",))
