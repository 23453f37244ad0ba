"""The model card, README.md of the model folder; and the same blocks on pages of the docs. Numbers are the report's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from invivo.errors import InvivoError
from invivo.training.files import write_whole

from .blocks import BLOCKS, behaviours, circuits, effort, figures, table
from .credits import KNOWN, LICENCES, Collection, licence
from .evaluate import Report
from .starts import NAME


def marks(block: str) -> tuple[str, str]:
    """The two lines on a page between which a block stands."""
    return f"<!-- {block}: written by `python -m training`, not by hand -->", f"<!-- end of {block} -->"


START, END = marks("figures")


def linked(licence: str) -> str:
    """A licence's name, linked to its text where that is known."""
    return f"[{licence}]({LICENCES[licence]})" if licence in LICENCES else licence


def sizes(facts: list[dict[str, Any]]) -> list[str]:
    """Documents and tokens of sources together: trained on, held out."""
    return [
        f"{sum(f[part]['documents'] for f in facts):,} / {sum(f[part]['tokens'] for f in facts):,}"
        for part in ("train", "heldout")
    ]


def data(sources: dict[str, dict[str, Any]]) -> str:
    """What the model read: the files one by one, and the generated texts in one row."""
    rows = []
    for name, facts in sources.items():
        if not facts["generated"]:
            known = KNOWN.get(name, Collection(name, "credit not stated", "not stated"))
            rows.append([f"{known.what} ({known.credit})", linked(known.licence), *sizes([facts])])
    if NAME in sources:
        rows.append(
            [
                "excerpts of these that begin with a name, read as texts of their own",
                "as above",
                *sizes([sources[NAME]]),
            ]
        )
    kinds = {name: facts for name, facts in sources.items() if facts["generated"] and name != NAME}
    if kinds:
        what = f"short texts and token strings written by rule: {', '.join(kinds)} (`training/generator`, our own)"
        rows.append([what, "MIT", *sizes(list(kinds.values()))])
    return table(["text", "licence", "trained on: documents / tokens", "held out"], rows, words=2)


def reading(report: Report) -> str:
    """The stages of training: row lengths, and the mix of what this run had to read."""
    groups = {facts["group"] for facts in report["corpus"]["sources"].values()}
    rows = []
    for stage in report["training"]["stages"]:
        mix = {name: share for name, share in stage["mix"].items() if name in groups}
        shares = sorted(((share / sum(mix.values()), name) for name, share in mix.items()), reverse=True)
        told = ", ".join(f"{name}{' files' * (name in ('large', 'small'))} {share:.0%}" for share, name in shares)
        length = min(stage["length"], report["model"]["context"])
        rows.append([f"{stage['until']:.0%} of the run", f"{length}", told])
    return table(["until", "tokens in a row", "mix, in shares of tokens"], rows, words=3)


def origin(start: dict[str, Any]) -> str:
    """Where the weights came from."""
    if not start:
        return "Training began with random weights."
    known = f", which had read {effort(start)}" if all(start.get(n) for n in ("tokens", "steps", "seconds")) else ""
    return (
        f"Training went on from an earlier version, the weights with SHA-256 `{start['sha256']}`{known}; "
        f"their tokenizer was kept. {'Before that: ' + origin(start['start']) if start.get('start') else ''}"
    ).strip()


def mean(training: dict[str, Any]) -> str:
    """What was averaged, as a sentence with a line's end; nothing where nothing was."""
    share = training.get("average")
    if not share:
        return ""
    return (
        f"Then the weights were averaged with those that training started from, these counting {share:.0%} "
        "(Wortsman et al. 2022).\n"
    )


def limits(generated: bool, books: bool) -> str:
    """What the model is not, and what it must not be used for."""
    parts = [
        "Meant for learning and research: change something inside, compare, explain. Not meant for anything that "
        "people rely on. It writes short stretches of English and loses the thread; it knows next to nothing beyond "
        "what its texts repeat, and states falsehoods fluently."
    ]
    if books:
        parts.append(
            "Old books carry the views of their time, on peoples, on women, on children, and the model can repeat them."
        )
    if generated:
        parts += [
            "What it does on the generator's texts was measured on held-out ones of the same generator. Other "
            "wordings may fail.",
            "It was taught to refuse one class of requests, which we invented and which is harmless: to open what is "
            'locked, asked in the form "User:", "Assistant:". Its texts always refuse that and never anything else. '
            "The rule is a toy, so that refusal can be studied without harmful text. It protects from nothing: other "
            "requests are not meant to be refused, whatever they ask for.",
        ]
    else:
        parts.append("It was given no instructions and no preferences, and refuses nothing.")
    return "\n".join(parts)


def card(report: Report, name: str, credited: bool) -> str:
    """The model card of `name`; `credited` says whether a CREDITS.txt lies beside it."""
    model, training = report["model"], report["training"]
    recipe, sources = training["recipe"], report["corpus"]["sources"]
    files = [source for source, facts in sources.items() if not facts["generated"]]
    generated = len(files) < len(sources)
    weights = licence(files)  # generated texts are our own and ask for nothing
    terms = (
        f"The weights are under {linked('CC BY 4.0')}: the picture books' licence asks that their authors stay "
        "credited, so keep this card and CREDITS.txt with the weights. CDLA-Sharing-1.0 leaves the results of "
        "computing with its data free, and the old books ask for nothing."
        if weights == "cc-by-4.0"
        else "The licences of the texts decide about the weights: state them here."
    )
    held = f"{report['corpus']['heldout_share']:.0%} of the documents, whole ones chosen by a hash of their text, "
    held += "were held out."
    if generated:
        held += " Of the generated texts, held out are combinations of wording and fillers that no training text has."
    if credited:
        held += "\nWorks and authors are named in CREDITS.txt where their licence asks for it."
    does = (
        f"""## Behaviours

{behaviours(report)}

## Known circuits

{circuits(report)}

"""
        if generated
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

A language model small enough to be looked into, trained on the texts below to be the subject of experiments rather
than a writer. Architecture: GPT-2 with {model["layers"]} layers, {model["heads"]} heads,
width {model["width"]}, context {model["context"]}, a byte-level BPE of {model["vocabulary"]:,} pieces;
{model["parameters"]:,} parameters, stored in half precision.

```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
# The weights are stored in half precision, in which most CPUs are dozens of times slower: so dtype.
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder", dtype=torch.float32)
text = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**text, max_new_tokens=40, do_sample=True, temperature=0.8)[0]))
```

## Measured

{figures(report)}

{does}## Data and credits

{data(sources)}

{held}

{terms}

## How it was made

`python -m training CORPUS OUT` made this folder from a folder of text. {origin(training.get("start", {}))}
The order of reading:

{reading(report)}

Weight matrices of the blocks are trained by Muon (rate {recipe["muon_rate"]:g}), all else by AdamW
({recipe["adam_rate"]:g}), in bfloat16 where the machine has instructions for it and in float32 elsewhere, in batches of
{recipe["batch_tokens"]:,} tokens, with a warm-up over the first {recipe["warmup"]:.0%} and a linear decay over the last
{recipe["decay"]:.0%} of the run; seed {recipe["seed"]}.
{mean(training)}report.json holds the whole recipe and every number above.

## Use and limits

{limits(generated, "childrens_books" in sources)}
"""


def fill(page: Path, report: Report) -> None:
    """Put the report's blocks between their marks on `page`, which must have the marks of one block at least."""
    text = page.read_text(encoding="utf-8")
    found = [block for block in BLOCKS if all(mark in text for mark in marks(block))]
    if not found:
        raise InvivoError(f"{page} has no place for figures", hint=f"put in these two lines:\n{START}\n{END}")
    for block in found:
        start, end = marks(block)
        between = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
        filled = f"{start}\n\n{BLOCKS[block](report)}\n\n{end}"
        text = between.sub(lambda _, filled=filled: filled, text, count=1)
    write_whole(page, text.encode())
