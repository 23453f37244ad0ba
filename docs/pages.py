"""What the pages about labs share: which labs have a page, and whether what is written is still what the lab says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from invivo.experiment import Lab
from invivo.files import replace
from invivo.show.markdown import escaped, opening

DOCS = Path(__file__).parent
LABS = DOCS / "labs"
WEIGHTS = DOCS.parent / "src" / "invivo" / "model" / "fruitfly" / "model.safetensors"


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text.encode())


def page_of(lab: Lab) -> Path:
    """Where the lab's page is, or would be."""
    return LABS / f"{lab.full_name}.md"


def words_digest(lab: Lab) -> str:
    """A fingerprint of everything that the lab says, but for what its takeaway is drafted from."""
    steps = [(s.name, s.title, s.text, [c.text for c in s.claims]) for s in lab.steps]
    told = [lab.number, lab.name, lab.section, lab.title, lab.why, lab.know, lab.look_for, lab.questions, lab.sources]
    shown = [lab.numbers, lab.pictures, lab.hero, [c.text for c in lab.claims], steps]
    return _digest([told, shown])


def recipe_digest(lab: Lab) -> str:
    """A fingerprint of everything that the lab runs."""
    steps = [step.recipe(lab.experiment) for step in lab.steps]
    return _digest([[type(r).__name__, r.plain()] for r in (lab.experiment, *steps)])


def weights_digest() -> str:
    """A fingerprint of fruitfly's weights."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]


def set_as_text(text: str) -> str:
    """A lab's text as Markdown: only `...` in back quotes is markup, and stays."""
    parts = text.split("`")
    return opening("".join(f"`{part}`" if i % 2 else escaped(part) for i, part in enumerate(parts)))
