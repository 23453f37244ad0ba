"""The guide as one notebook, `docs/guide.ipynb`, made of the lab files. No outputs are stored.

python docs/notebook.py --run    run it, the comparisons alone, and say how long it took; exit 1 where a cell fails
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pages import DOCS, set_as_text

from invivo.experiment import Lab
from invivo.labs import SECTIONS, all_labs

NOTEBOOK = DOCS / "guide.ipynb"
STEPS = "STEPS = True  # False: the comparisons alone, in about a minute"
INSTALL = """\
# Only needed where invivo is not installed, as in Colab: its name, or the folder, wheel or git address you have.
SOURCE = "invivo"
try:
    import invivo
except ImportError:
    %pip install --quiet $SOURCE
    import invivo"""
LOAD = """\
from invivo.labs import lab_named

model = invivo.load()  # fruitfly, which comes with invivo; or a Hugging Face name, or a folder
model"""
HEAD = """\
# How modern LLMs work

A guide in eleven sections. In each you change one thing inside a living language model, compare **BASE** with
**TWEAK**, and keep one line of what you learned. The model is *fruitfly*, a small GPT-2 that comes with invivo: no
GPU is needed, and after the installation no network."""
HARNESS = """\
An experiment is plain data, and each way to write it down gives the same numbers: YAML for a file, a command for a
shell, Python for a notebook. Here is one lab's, in two of them; `model.compare(…)` is the third."""
RECIPE = """\
experiment = lab_named("{lab}").experiment
print(experiment.to_yaml())
print(experiment.to_cli())"""
OWN = """\
model.compare("Once upon a time", "zero head 3.5", "set temperature 0.8", max_new_tokens=20)"""
END = """\
## What now

Change a prompt, a head, a number above, and run the cell again. `invivo show` lists what else can be seen in a model,
`invivo tweaks` what can be changed. A line worth keeping goes into the journal: `invivo journal add last "…"`."""


def notebook() -> dict[str, Any]:
    """The notebook as plain data, in Jupyter's format 4.5."""
    cells = [text("start", HEAD), code("install", INSTALL), code("load", LOAD), code("steps", STEPS)]
    for section in SECTIONS:
        here = [lab for lab in all_labs() if lab.section == section.number]
        title = f"## §{section.number} {set_as_text(section.title)}\n\n{set_as_text(section.why)}"
        if section.number == len(SECTIONS) - 1:
            cells += [text(f"section-{section.number}", f"{title}\n\n{HARNESS}")]
            cells += [code("recipe", RECIPE.format(lab=all_labs()[0].number)), code("own", OWN)]
        elif here:
            cells.append(text(f"section-{section.number}", title))
        for lab in here:
            cells += lab_cells(lab)
    return {
        "cells": [*cells, text("end", END)],
        "metadata": {
            "colab": {"name": "How modern LLMs work", "provenance": []},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def lab_cells(lab: Lab) -> list[dict[str, Any]]:
    """A lab: its text, its run, where to look, its takeaway, what to try next."""
    know = "\n".join(f"- {set_as_text(point)}" for point in lab.know)
    before = [f"### Lab {lab.number} · {set_as_text(lab.title)}", set_as_text(lab.why), "**What to know**", know]
    questions = "\n".join(f"{n}. {set_as_text(question)}" for n, question in enumerate(lab.questions, 1))
    sources = "\n".join(f"- {set_as_text(source)}" for source in lab.sources)
    after = ["**What to look for**", set_as_text(lab.look_for), "**What to try next** (in a terminal)", questions]
    after += ["**Sources**", sources]
    name = f"lab_{lab.number}"
    return [
        text(f"lab-{lab.number}", "\n\n".join(before)),
        code(f"run-{lab.number}", f'{name} = model.run_lab(lab_named("{lab.number}"), steps=STEPS)\n{name}'),
        text(f"look-{lab.number}", "\n\n".join(after)),
        code(f"takeaway-{lab.number}", f"print({name}.takeaway)"),
    ]


def text(cell_id: str, source: str) -> dict[str, Any]:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "id": cell_id, "metadata": {}, "source": lines(source)}


def code(cell_id: str, source: str) -> dict[str, Any]:
    """A cell of Python, not yet run."""
    ran = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "id": cell_id, "metadata": {}, "source": lines(source), **ran}


def lines(source: str) -> list[str]:
    """A source as notebooks keep it."""
    return source.splitlines(keepends=True)


def written() -> str:
    """The notebook as its file holds it."""
    return json.dumps(notebook(), indent=1, ensure_ascii=False) + "\n"


def run() -> int:
    """Run every cell, of the labs the comparisons alone."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.source == STEPS:
            cell.source = "STEPS = False"
    start = time.perf_counter()
    try:
        NotebookClient(book, timeout=120, kernel_name="python3").execute()
    except CellExecutionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    shown = [
        cell.id for cell in book.cells if any("text/html" in out.get("data", {}) for out in cell.get("outputs", ()))
    ]
    sys.stdout.write(f"{' '.join(shown)}\n")
    sys.stderr.write(f"{len(book.cells)} cells in {time.perf_counter() - start:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(run() if "--run" in sys.argv else 0)
