"""The report as Markdown: the parts that the model card and the pages of the docs share. Every number is the report's.

A report of a model that was not asked something has no such part; its block then says so, or is empty in the card.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .evaluate import Report
from .starts import NAME

FEW = 6  # figures without a bar that a table shows; report.json has all
NOT_MEASURED = "Not measured."
HEADS = {
    "induction": "induction: looks behind the same token's first place",
    "previous_token": "previous token: looks one token back",
    "duplicate_token": "duplicate token: looks at the same token's first place",
}


def table(head: list[str], rows: list[list[str]], words: int = 1) -> str:
    """A Markdown table: columns of words first, then numbers, which stand to the right."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    for name, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} seconds"


def effort(training: Mapping[str, Any]) -> str:
    """What a run took."""
    return f"{training['tokens']:,} tokens in {training['steps']:,} steps and {duration(training['seconds'])}"


def figures(report: Report) -> str:
    """How well held-out text is predicted, beside the yardsticks."""
    model, training = report["model"], report["training"]
    rows = []
    for name, row in (report["heldout"] | report.get("heldout_generated", {})).items():
        cells = [
            f"{row[who]['nats_per_token']:.2f} / {row[who]['bits_per_byte']:.2f} / {row[who]['perplexity']:,.0f}"
            for who in ("model", "five_gram", "uniform")
        ]
        change = row["model"]["perplexity"] / row["five_gram"]["perplexity"] - 1
        kind = " (excerpts)" if name == NAME else " (generated)" if name in report.get("heldout_generated", {}) else ""
        rows.append([name + kind, f"{row['tokens']:,}", *cells, f"{change:+.0%}"])
    before = training.get("start", {})
    more = f", beyond the {before['tokens']:,} of the version that it started from" if before.get("tokens") else ""
    return "\n\n".join(
        (
            f"{model['parameters']:,} parameters, {model['weights_bytes'] / 2**20:.1f} MiB of weights. Read "
            f"{effort(training)}{more}.",
            "Held-out text, as nats per token / bits per byte / perplexity:",
            table(["text", "tokens", "this model", "5-gram", "uniform", "perplexity against 5-gram"], rows),
            "The 5-gram model (interpolated modified Kneser-Ney) has counted the same training text, each document "
            "once, and answers for the same held-out tokens; so does the uniform distribution over the vocabulary. "
            '"all" is the corpus without generated texts and excerpts.',
        )
    )


def value(number: float) -> str:
    """A figure as people write it."""
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) > 1 else f"{number:.4g}"


def behaviours(report: Report) -> str:
    """What the model does: each behaviour with what was asked, the bars, and whether they are met."""
    rows = []
    for name, told in report.get("behaviours", {}).items():
        figures, bars = told["figures"], told["bars"]
        barred = [
            f"{words(bar['figure'])} {value(figures[bar['figure']]) if bar['figure'] in figures else 'not measured'} "
            + (f"(≥ {bar['at_least']:g})" if "at_least" in bar else f"(≤ {bar['at_most']:g})")
            for bar in bars
        ]
        others = [n for n in figures if n not in {bar["figure"] for bar in bars}]
        shown = [f"{words(n)} {value(figures[n])}" for n in others[:FEW]]
        if len(others) > FEW:
            shown.append(f"{len(others) - FEW} more in report.json")
        if told.get("skipped"):
            shown.append(f"skipped: {told['skipped']}")
        verdict = "no bar" if not bars else "yes" if told["met"] else "**no**"
        rows.append([name, told["asked"], "; ".join(barred) or "-", verdict, "; ".join(shown) or "-"])
    if not rows:
        return NOT_MEASURED
    return table(["behaviour", "asked", "figure (bar)", "met", "besides"], rows, words=5)


def circuits(report: Report) -> str:
    """Which heads do what, and where facts are kept."""
    found = report.get("circuits", {})
    rows = [
        [what, ", ".join(f"{h['head']} ({h['score']:.2f})" for h in found[kind]), "mean attention on that place"]
        for kind, what in HEADS.items()
        if kind in found
    ]
    if "indirect" in found:
        moved = ", ".join(f"{h['head']} ({h['change']:+.0%})" for h in found["indirect"])
        rows.append(["indirect objects", moved, "change of the mean logit difference when the head says its mean"])
    if not rows:
        return NOT_MEASURED
    parts = [table(["circuit", "heads, as layer.head", "the number"], rows, words=3)]
    if facts := found.get("facts"):
        shares = ", ".join(f"{share:.0%}" for share in facts["restored"])
        parts.append(
            f"Facts: the subject's residual, patched in before each layer in turn, restores {shares} of the answer's "
            "logit difference. Before layer 0 it is all of it by construction, since the prompts differ nowhere else. "
            f"The deepest layer that still restores 80 % is {facts['deepest']}."
        )
    return "\n\n".join(parts)


def samples(report: Report) -> str:
    """What the model wrote, unchosen. Openings in bold; marks of Markdown in the text are made plain."""
    parts = []
    for sample in report.get("samples", []):
        paragraphs = [p for p in (plain(sample["prompt"], sample["text"])).split("\n") if p.strip()]
        parts.append("\n>\n".join(f"> {p}" for p in paragraphs) + f"\n>\n> (seed {sample['seed']})")
    return "\n\n".join(parts) or NOT_MEASURED


def plain(prompt: str, text: str) -> str:
    """An opening in bold and what follows it, with nothing in them that Markdown would take as its own."""
    prompt, text = (re.sub(r"([\\`*_<>#\[\]|~])", r"\\\1", part) for part in (prompt, text))
    return f"**{prompt}**{text}"


def words(name: str) -> str:
    """A figure's name as words."""
    return name.replace("_", " ")


BLOCKS = {"figures": figures, "behaviours": behaviours, "circuits": circuits, "samples": samples}
