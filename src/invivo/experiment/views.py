"""What to show of a result, in order: a comparison by itself, and a lab around one. Words and numbers, no layout."""

from __future__ import annotations

import math
from collections import Counter

from ..metrics import METRICS, Metric, metric_named
from ..show.blocks import Block, Code, Document, Figure, Heading, Points, Strip, Table, Text
from ..show.text import number, visible
from .comparison import Comparison, Run
from .drawings import draw
from .lab import Lab, LabResult

SIDE_BY_SIDE = 3  # more TWEAK rows than this are listed one below the other
NEXT, ABOUT_TO_SAY = "after the prompt", "What it was about to say"
NUMBERS = (
    "target",
    "logit_diff",
    "read_perplexity",
    "kl_next",
    "kl_mean",
    "top_changed",
    "entropy_next",
    "choice_entropy",
    "perplexity",
    "parted",
)
FEW_NUMBERS = ("target", "read_perplexity", "kl_mean", "parted")  # a column each, where rows are many


def comparison_document(c: Comparison) -> Document:
    """BASE over its TWEAKs, the numbers between them, what was likely to come next, and how to run it again."""
    blocks: list[Block] = [Heading(text="What it says"), *_prompt(c), _strip(c, None)]
    blocks += [_strip(c, row) for row in range(len(c.tweaks))]
    blocks += [Text(text=note, tone="note") for note in _notes(c)]
    blocks += [Heading(text="How far apart"), _numbers(c)] if c.tweaks else []
    blocks += [Heading(text=ABOUT_TO_SAY), *_next_tables(c)]
    return Document(blocks=(*blocks, *_again(c, c.recipe.to_cli(c.allowed))))


def comparison_pictured(c: Comparison) -> Document:
    """The same where figures can be shown: next tokens as bars, and how far each prediction moved along the text."""
    blocks: list[Block] = []
    for block in comparison_document(c).blocks:
        if c.tweaks and isinstance(block, Table) and block.columns[0] == NEXT:
            continue
        blocks.append(block)
        if c.tweaks and isinstance(block, Heading) and block.text == ABOUT_TO_SAY:
            for row in _next_rows(c):
                blocks.append(Figure(picture=draw("next_tokens", c, row), name=f"next-{row + 1}"))
                blocks.append(Figure(picture=draw("kl_by_position", c, row), name=f"kl-{row + 1}"))
    return Document(blocks=tuple(blocks))


def lab_document(lab: Lab, result: LabResult) -> Document:
    """The lab's text around the result of its run."""
    c = result.comparison
    row = lab.hero % len(c.tweaks)
    blocks: list[Block] = [
        Heading(text=f"Lab {lab.label} · {lab.title}", level=1),
        *((Text(text=lab.why),) if lab.why else ()),
        *_list("What to know", lab.know),
        Heading(text="What it says"),
        *_prompt(c),
        _strip(c, None),
        *(_strip(c, each) for each in (range(len(c.tweaks)) if lab.all_rows else (row,))),
    ]
    if len(c.tweaks) > 1 and not lab.all_rows:
        blocks.append(Text(text=f"TWEAK is row {row + 1} of {len(c.tweaks)}.", tone="dim"))
    blocks += [Text(text=note, tone="note") for note in (*result.notes, *_notes(c))]
    if lab.numbers:
        blocks.append(Heading(text="The numbers that matter"))
        blocks += _every_row(c, lab.numbers) if lab.all_rows else [_glossed(c, row, lab.numbers)]
    for name in lab.pictures:
        blocks.append(Figure(picture=draw(name, c, row), name=f"{lab.label}-{name.replace('_', '-')}"))
    blocks += [Heading(text="What to look for"), Text(text=lab.look_for)] if lab.look_for else []
    if result.verdicts:
        blocks += [Heading(text="Does it hold?"), Points(items=tuple(v.line for v in result.verdicts))]
    for step in result.steps:
        blocks += step.blocks
    blocks += [
        Text(text=result.takeaway, tone="takeaway"),
        *_list("What to try next", lab.questions, numbered=True),
        *_list("Sources", lab.sources),
    ]
    command = lab.command if c.recipe == lab.experiment else c.recipe.to_cli(c.allowed)
    return Document(blocks=(*blocks, *_again(c, command)))


def result_document(result: LabResult) -> Document:
    """A lab's result without the lab's text."""
    title = Heading(text=f"Lab {result.lab}", level=1)
    learned: list[Block] = [Text(text=result.takeaway, tone="takeaway")]
    if result.verdicts:
        learned += [Heading(text="Does it hold?"), Points(items=tuple(v.line for v in result.verdicts))]
    further = [block for step in result.steps for block in step.blocks]
    return Document(blocks=(title, *learned, *further)) + comparison_document(result.comparison)


def _list(title: str, items: tuple[str, ...], *, numbered: bool = False) -> list[Block]:
    """A list under its heading; nothing where there is none."""
    return [Heading(text=title), Points(items=items, numbered=numbered)] if items else []


def _prompt(c: Comparison) -> list[Block]:
    named = [Code(text=f"{name}: {text}", language="text") for name, text in c.recipe.prompts.items()]
    return [Code(text=c.recipe.prompt, language="text"), *named]


def _strip(c: Comparison, row: int | None) -> Strip:
    run: Run = c.base if row is None else c.tweaks[row]
    likely = tuple(min(math.exp(nats), 1.0) for nats in run.said_nats)
    if row is None:
        return Strip(role="base", label="BASE", prompt=c.recipe.prompt, tokens=run.tokens, probabilities=likely)
    return Strip(
        role="tweak",
        label=f"TWEAK {c.tweaks[row].tweak}",
        prompt=c.recipe.prompt,
        tokens=run.tokens,
        probabilities=likely,
        parted_at=c.tweaks[row].first_divergence,
    )


def _notes(c: Comparison) -> list[str]:
    """The comparison's notes, and each row's with its name where there are several. What all rows say is said once."""
    named = [(f"`{run.tweak}`", note) for run in c.tweaks for note in run.notes]
    often = Counter(note for _, note in named)
    told = [
        note if len(c.tweaks) == 1 or name in note or often[note] > 1 else f"{name}: {note}" for name, note in named
    ]
    return [*c.notes, *dict.fromkeys(told)]


def _numbers(c: Comparison) -> Table:
    """Numbers down and rows across while there are few rows; else the other way round, and fewer numbers."""
    every = [None, *range(len(c.tweaks))]
    if len(c.tweaks) <= SIDE_BY_SIDE:
        heads = ["TWEAK"] if len(c.tweaks) == 1 else [str(run.tweak) for run in c.tweaks]
        lines = [(m.label, *(_text(m, c, row) for row in every)) for m in map(metric_named, NUMBERS) if _has(c, m.name)]
        return Table(columns=("", "BASE", *heads), rows=tuple(lines))
    chosen = [METRICS[name] for name in FEW_NUMBERS if _has(c, name)]
    names = ["BASE", *(str(run.tweak) for run in c.tweaks)]
    lines = [
        (name, *(_text(m, c, row).removesuffix(f" {m.unit}") for m in chosen))
        for name, row in zip(names, every, strict=True)
    ]
    return Table(columns=("", *(f"{m.label}, {m.unit}" if m.unit else m.label for m in chosen)), rows=tuple(lines))


def _text(metric: Metric, c: Comparison, row: int | None) -> str:
    return metric.text(metric.of(c, row)).replace("-", "−")


def _has(c: Comparison, name: str) -> bool:
    """Whether a number says anything here: some row has it, and a greedy decoder's choices are not counted."""
    values = [METRICS[name].of(c, row) for row in (None, *range(len(c.tweaks)))]
    return any(v is not None and not math.isnan(v) for v in values) and (name != "choice_entropy" or any(values))


def _glossed(c: Comparison, row: int, names: tuple[str, ...]) -> Table:
    return Table(
        columns=("", "BASE", "TWEAK", "in words"),
        rows=tuple((m.label, _text(m, c, None), _text(m, c, row), m.gloss) for m in map(metric_named, names)),
    )


def _every_row(c: Comparison, names: tuple[str, ...]) -> list[Block]:
    """The numbers of BASE and of every row, and what they are in words."""
    chosen = [metric_named(name) for name in names]
    rows = [("BASE", None), *((str(run.tweak), row) for row, run in enumerate(c.tweaks))]
    table = Table(
        columns=("", *(f"{m.label}, {m.unit}" if m.unit else m.label for m in chosen)),
        rows=tuple((name, *(_text(m, c, row).removesuffix(f" {m.unit}") for m in chosen)) for name, row in rows),
    )
    return [table, Points(items=tuple(f"{m.label}: {m.gloss}" for m in chosen))]


def _next_rows(c: Comparison) -> list[int]:
    """Every TWEAK row while there are few; else the one that moved the prediction most."""
    every = list(range(len(c.tweaks)))
    if len(every) <= SIDE_BY_SIDE:
        return every
    return [max(every, key=lambda row: METRICS["kl_next"].of(c, row) or 0.0)]


def _next_tables(c: Comparison) -> list[Table]:
    """A table a TWEAK while there are few; else one, of the row that moved the prediction most."""
    if not c.tweaks:
        return [
            Table(
                columns=(NEXT, "BASE, %"),
                rows=tuple((visible(token.text), number(100 * token.base, 1)) for token in c.base.next),
            )
        ]
    return [
        Table(
            caption=str(c.tweaks[row].tweak) if len(c.tweaks) > 1 else "",
            columns=(NEXT, "BASE, %", "TWEAK, %", "difference"),
            rows=tuple(
                (
                    visible(token.text),
                    number(100 * token.base, 1),
                    number(100 * token.tweak, 1),
                    _signed(100 * token.change),
                )
                for token in c.tweaks[row].next
            ),
        )
        for row in _next_rows(c)
    ]


def _signed(change: float) -> str:
    """A difference with its sign twice: as a glyph and as a sign."""
    text = number(change, 1, signed=True)
    return {"+": "▲ ", "−": "▼ "}.get(text[0], "") + text


def _again(c: Comparison, command: str) -> list[Block]:
    versions = ", ".join(f"{name} {version}" for name, version in c.versions.items())
    where = f"{c.recipe.model} at {short_revision(c.revision)}, on {c.device}, in {c.seconds:.2g} s; {versions}"
    return [Heading(text="Run it again"), Code(text=command), Text(text=where, tone="dim")]


def short_revision(revision: str) -> str:
    """The first twelve digits of a revision, behind the word for what was hashed."""
    kind, colon, digits = revision.rpartition(":")
    return f"{kind}{colon}{digits[:12]}"
