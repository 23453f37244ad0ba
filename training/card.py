"""The model card: README.md of the model folder, and figures for a page of the docs. Every number is the report's."""

from __future__ import annotations

import re
from pathlib import Path

from invivo.errors import InvivoError

from .credits import KNOWN, LICENCES, Collection, licence
from .evaluate import Report
from .files import write_whole

START, END = "<!-- figures: written by `python -m training`, not by hand -->", "<!-- end of figures -->"


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


def figures(report: Report) -> str:
    """What was measured, as Markdown."""
    model, training = report["model"], report["training"]
    rows = []
    for name, row in report["heldout"].items():
        cells = [
            f"{row[who]['nats_per_token']:.2f} / {row[who]['bits_per_byte']:.2f} / {row[who]['perplexity']:,.0f}"
            for who in ("model", "five_gram", "uniform")
        ]
        change = row["model"]["perplexity"] / row["five_gram"]["perplexity"] - 1
        rows.append([name, f"{row['tokens']:,}", *cells, f"{change:+.0%}"])
    return "\n\n".join(
        (
            f"{model['parameters']:,} parameters, {model['weights_bytes'] / 2**20:.1f} MiB of weights. Read "
            f"{training['tokens']:,} tokens in {training['steps']:,} steps and {duration(training['seconds'])}.",
            "Held-out text, as nats per token / bits per byte / perplexity:",
            table(["text", "tokens", "this model", "5-gram", "uniform", "perplexity against 5-gram"], rows),
            "The 5-gram model (interpolated modified Kneser-Ney) has counted the same training tokens, each once, and "
            "answers for the same held-out tokens; so does the uniform distribution over the vocabulary.",
        )
    )


def card(report: Report, name: str, credited: bool) -> str:
    """The model card of `name`; `credited` says whether a CREDITS.txt lies beside it."""
    model, recipe = report["model"], report["training"]["recipe"]
    sources = report["corpus"]["sources"]
    weights = licence(sources)
    data = []
    for source, facts in sources.items():
        known = KNOWN.get(source, Collection(source, "credit not stated", "not stated"))
        data.append(
            [
                f"{known.what} ({known.credit})",
                linked(known.licence),
                *(f"{facts[part]['documents']:,} / {facts[part]['tokens']:,}" for part in ("train", "heldout")),
            ]
        )
    terms = (
        f"The weights are under {linked('CC BY 4.0')}: the picture books' licence asks that their authors stay "
        "credited, so keep this card and CREDITS.txt with the weights. CDLA-Sharing-1.0 leaves the results of "
        "computing with its data free, and the old books ask for nothing."
        if weights == "cc-by-4.0"
        else "The licences of the texts decide about the weights: state them here."
    )
    stages = "; ".join(
        f"rows of {min(s['length'], recipe['context'])} tokens until {s['until']:.0%} of the run, "
        f"{s['small_share']:.0%} of them from small files"
        for s in report["training"]["stages"]
    )
    old = (
        "Old books carry the views of their time, on peoples, on women, on children, and the model can repeat them. "
        if "childrens_books" in sources
        else ""
    )
    language = "language: en\n" if weights != "unknown" else ""  # of texts that we do not know we do not say it
    return f"""---
license: {weights}
{language}library_name: transformers
pipeline_tag: text-generation
tags:
- gpt2
- interpretability
- model-organism
---

# {name}

A language model small enough to be looked into, trained from random weights on the texts below to be the subject of
experiments rather than a writer. Architecture: GPT-2 with {model["layers"]} layers, {model["heads"]} heads,
width {model["width"]}, context {model["context"]}, a byte-level BPE of {model["vocabulary"]:,} pieces;
{model["parameters"]:,} parameters, stored in half precision.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
text = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**text, max_new_tokens=40, do_sample=True, temperature=0.8)[0]))
```

## Measured

{figures(report)}

## Data and credits

{table(["text", "licence", "trained on: documents / tokens", "held out"], data, words=2)}

{report["corpus"]["heldout_share"]:.0%} of the documents, whole ones chosen by a hash of their text, were held out.
{"Works and authors are named in CREDITS.txt where their licence asks for it." if credited else ""}

{terms}

## How it was made

`python -m training CORPUS OUT` made this folder from a folder of text. The order of reading: {stages}.
Weight matrices of the blocks are trained by Muon (rate {recipe["muon_rate"]:g}), all else by AdamW
({recipe["adam_rate"]:g}), in bfloat16, in batches of {recipe["batch_tokens"]:,} tokens, with a warm-up over the first
{recipe["warmup"]:.0%} and a linear decay over the last {recipe["decay"]:.0%} of the run; seed {recipe["seed"]}.
report.json holds the whole recipe and every number above.

## Use and limits

Meant for learning and research: change something inside, compare, explain. Not meant for anything that people rely on.
It writes short stretches of English and loses the thread; it knows next to nothing and states falsehoods fluently.
{old}It was given no instructions and no preferences, and refuses nothing.
"""


def linked(licence: str) -> str:
    """A licence's name, linked to its text where that is known."""
    return f"[{licence}]({LICENCES[licence]})" if licence in LICENCES else licence


def fill(page: Path, report: Report) -> None:
    """Put the report's figures between the two marks on `page`."""
    text = page.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise InvivoError(f"{page} has no place for figures", hint=f"put in these two lines:\n{START}\n{END}")
    between = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    block = f"{START}\n\n{figures(report)}\n\n{END}"
    write_whole(page, between.sub(lambda _: block, text, count=1).encode())
