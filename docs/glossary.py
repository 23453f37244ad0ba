"""The glossary: own words from `glossary.yml`, each with the labs in whose text it is met."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from pages import DOCS, page_of, set_as_text

from invivo.experiment import Lab
from invivo.labs import all_labs

HEAD = """\
# Glossary

The words that the labs use, in a sentence or two each, and the labs in which you meet them.

Written by `make docs` from `docs/glossary.yml`; where a word is met is looked up in the labs themselves.
"""


def words() -> list[dict[str, Any]]:
    """What stands in glossary.yml, in the order of the alphabet."""
    found = yaml.safe_load((DOCS / "glossary.yml").read_text(encoding="utf-8"))
    return sorted(found, key=lambda entry: entry["word"].lower())


def met_in(entry: dict[str, Any]) -> list[Lab]:
    """The labs that use the word or one of its other spellings, in the order of their numbers."""
    spellings = "|".join(re.escape(word) for word in (entry["word"], *entry.get("also", ())))
    used = re.compile(rf"(?<![\w-])(?:{spellings})(?![\w-])", re.IGNORECASE)
    return [lab for lab in sorted(all_labs(), key=lambda lab: lab.number) if any(map(used.search, texts(lab)))]


def texts(lab: Lab) -> Iterator[str]:
    """What a reader reads in a lab, without its sources."""
    yield from (lab.title, lab.why, lab.look_for, *lab.know, *lab.questions)
    for step in lab.steps:
        yield from (step.title, step.text)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for entry in words():
        labs = met_in(entry)
        where = ", ".join(
            f"[lab {lab.number}](labs/{page_of(lab).name})" if page_of(lab).exists() else f"lab {lab.number}"
            for lab in labs
        )
        parts.append(f"### {set_as_text(entry['word'])}")
        parts.append(set_as_text(entry["is"]))
        parts += [f"<small>Met in {where}.</small>"] if where else []
    return "\n\n".join(part.strip() for part in parts) + "\n"
