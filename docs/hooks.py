"""What mkdocs is told: the order of the pages, with those of the labs that are there, and that nothing is fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
FAR = re.compile(r'<script src="https://unpkg\.com/iframe-worker[^"]*">')
TITLE = re.compile(r"^title: (.*)$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """The navigation."""
    config.nav = [
        {"invivo": "index.md"},
        {"Guide": [{"In order": "guide.md"}, *labs(), {"Glossary": "glossary.md"}]},
        {"The page": "page.md"},
        {"Your own": [{"A lab of your own": "own-lab.md"}, {"Labs and models": "families.md"}]},
        {"Reference": "reference.md"},
        {"fruitfly": [{"What it does": "fruitfly.md"}, {"How it was made": "training.md"}, {"Log": "LOG.md"}]},
    ]
    return config


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """A page without its one far script, which lets the search run from a folder: ours does."""
    return FAR.sub(f'<script src="{"../" * page.url.count("/")}search.js">', output)


def on_post_template(output_content: str, *, template_name: str, config: Any) -> str:
    """The same for the page of what is not there."""
    return FAR.sub('<script src="search.js">', output_content)


def labs() -> list[dict[str, str]]:
    """The labs' pages, by number."""
    pages = sorted((DOCS / "labs").glob("[0-9]*.md"))
    found = ((TITLE.search(page.read_text(encoding="utf-8")), page.name) for page in pages)
    return [{json.loads(title[1]) if title else name: f"labs/{name}"} for title, name in found]
