"""One page a lab, with what fruitfly really says and the figures of that run: `docs/labs/NN_name.md`.

python docs/lab_pages.py             run the labs whose page is missing or stale, and write them
python docs/lab_pages.py 02 05       run these, stale or not
python docs/lab_pages.py --check     run nothing; exit 1 and say which pages are stale, and in what

A page is stale when the lab's words, its recipes or fruitfly's weights are no longer those it was made from. Figures
are not compared: the same run on another machine may differ in a last digit.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pages import LABS, page_of, recipe_digest, weights_digest, words_digest, write

from invivo.experiment import Lab, LabResult
from invivo.labs import SECTIONS, all_labs, lab_named
from invivo.show.blocks import Document, Figure, Heading, Text
from invivo.show.figures import save
from invivo.show.markdown import escaped, markdown

MADE = re.compile(r"^<!-- made from (.*) -->$", re.MULTILINE)


def made_from(lab: Lab) -> dict[str, str]:
    """What a page is made from: fingerprints of words, recipes and weights."""
    return {"words": words_digest(lab), "recipes": recipe_digest(lab), "weights": weights_digest()}


def staleness(lab: Lab) -> list[str]:
    """In what the lab's page is no longer true; empty where it is."""
    page = page_of(lab)
    if not page.exists():
        return ["page"]
    found = MADE.search(page.read_text(encoding="utf-8"))
    was = dict(part.split("=") for part in found[1].split()) if found else {}
    return [what for what, digest in made_from(lab).items() if was.get(what) != digest]


def text_of(lab: Lab, outcome: LabResult) -> tuple[str, tuple[Figure, ...]]:
    """The page as Markdown, and the figures that it shows, each under a name of its own."""
    document = _figures_named(outcome.document(lab), lab)
    lines = markdown(document, lambda figure: f"figures/{figure.name}.svg")
    title, _, rest = lines.partition("\n\n")
    section = SECTIONS[lab.section]
    above = f"§{lab.section} of [the guide](../guide.md) · {escaped(section.title)} · `invivo run {lab.number}`"
    made = " ".join(f"{what}={digest}" for what, digest in made_from(lab).items())
    name = json.dumps(f"{lab.number} · {lab.title}", ensure_ascii=False)
    head = f"---\ntitle: {name}\n---\n\n"
    return f"{head}<!-- made from {made} -->\n\n{title}\n\n{above}\n\n{rest}", document.figures


def _figures_named(document: Document, lab: Lab) -> Document:
    """Figures called after the lab, with a number where two would have one name; seconds and versions left out."""
    seen: set[str] = set()
    blocks = []
    for block in document.blocks:
        if isinstance(block, Figure):
            name = stem = block.name if block.name.startswith(lab.number) else f"{lab.number}-{block.name}"
            number = 2
            while name in seen:
                name, number = f"{stem}-{number}", number + 1
            seen.add(name)
            blocks.append(block.model_copy(update={"name": name}))
        else:
            blocks.append(block)
    if isinstance(blocks[-1], Text) and blocks[-1].tone == "dim" and Heading(text="Run it again") in blocks:
        blocks.pop()
    return Document(blocks=tuple(blocks))


def write_page(lab: Lab, outcome: LabResult) -> None:
    """The page and its figures; figures of an earlier page that it shows no longer are removed."""
    text, figures = text_of(lab, outcome)
    folder = LABS / "figures"
    for old in folder.glob(f"{lab.number}-*.svg"):
        old.unlink()
    for figure in figures:
        save(figure.picture, folder / f"{figure.name}.svg")
    write(page_of(lab), text)


def leftovers() -> Iterator[Path]:
    """Pages of labs that are no more."""
    known = {page_of(lab) for lab in all_labs()}
    return (page for page in LABS.glob("[0-9]*.md") if page not in known)


def main(words: list[str]) -> int:
    """Write pages, or with --check say which are stale."""
    if "--check" in words:
        stale = {lab.full_name: staleness(lab) for lab in all_labs()}
        for name, parts in stale.items():
            for part in parts:
                sys.stderr.write(f"{page_of(lab_named(name))}: {part} {'missing' if part == 'page' else 'changed'}\n")
        return int(any(stale.values()) or any(leftovers()))
    for page in leftovers():
        page.unlink()
    wanted = [lab_named(word) for word in words] or [lab for lab in all_labs() if staleness(lab)]
    if wanted:
        import invivo

        model = invivo.load()
        for lab in wanted:
            sys.stderr.write(f"running lab {lab.number} …\n")
            write_page(lab, model.run_lab(lab))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
