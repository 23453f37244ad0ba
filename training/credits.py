"""Whom the model learned from: the collections that fruitfly reads, and the credits that their licences ask for."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from invivo.training.corpus import CorpusError

LICENCES = {
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CDLA-Sharing-1.0": "https://cdla.dev/sharing-1-0/",
}


@dataclass(frozen=True)
class Collection:
    """Where one file of the corpus comes from."""

    what: str
    credit: str
    licence: str


KNOWN = {
    "childrens_books": Collection(
        "children's books of about 1860 to 1950",
        "transcribed by the volunteers of Project Gutenberg",
        "public domain in the USA",
    ),
    "picture_books_pratham": Collection(
        "modern picture books, very simple English", "Pratham Books and the authors named in CREDITS.txt", "CC BY 4.0"
    ),
    "picture_books_african_storybook": Collection(
        "modern picture books, very simple English",
        "African Storybook (Saide) and the authors named in CREDITS.txt",
        "CC BY 4.0",
    ),
    "tinystories_sample": Collection(
        "short stories in the words of a small child, written by a language model",
        "a sample of TinyStories, Ronen Eldan and Yuanzhi Li 2023, arXiv:2305.07759",
        "CDLA-Sharing-1.0",
    ),
}


def licence(sources: Iterable[str]) -> str:
    """The weights' licence, as Hugging Face names it, or "unknown" where a source is none of the known ones.

    CC BY 4.0 asks that authors stay credited wherever the text or an adaptation of it goes; whether weights are one is
    not settled, so they are given on under the same terms with all credits. CDLA-Sharing-1.0 binds those who publish
    the data, and leaves the results of computing with them free. The old books ask for nothing.
    """
    return "cc-by-4.0" if all(name in KNOWN for name in sources) else "unknown"


def plain(text: str) -> str:
    """One line without characters that cannot be seen."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def credits(corpus: Path) -> str | None:
    """One line for each work named in the corpus folder's attribution*.tsv; None where there is no such file.

    Their columns: title, text_by, license; a row whose `kept` is not 1 is not in the corpus.
    """
    lines: list[str] = []
    for path in sorted(corpus.glob("attribution*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        if missing := {"title", "text_by", "license"} - set(rows[0] if rows else ()):
            raise CorpusError(
                f"{path} has no column {', '.join(sorted(missing))}",
                hint="credits need title, text_by and license, with tabs between",
            )
        lines += ["", path.stem.removeprefix("attribution").strip("_").replace("_", " ").upper(), ""]
        for row in rows:
            title, author, terms = (plain(row[name] or "") or "not named" for name in ("title", "text_by", "license"))
            if (row.get("kept") or "1").strip() == "1":
                lines.append(f"{title} · text: {author} · {terms}")
    if not lines:
        return None
    head = (
        "The model in this folder was trained on the text of these works, among others (see README.md).\n"
        "Changes: text only, typographic quotes made plain, blank lines reduced. CC-BY is the Creative Commons\n"
        f"Attribution licence 4.0, {LICENCES['CC BY 4.0']}\n"
    )
    return head + "\n".join(lines) + "\n"
