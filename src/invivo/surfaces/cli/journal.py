"""`invivo journal`: the runs that were kept, what was learned from them, and their way into a post."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from . import talk
from .app import KEEP, group
from .flags import As, Json

journal = group("journal", KEEP, "The runs that were kept, and what you learned from them.")
Name = Annotated[str, typer.Argument(metavar="[ENTRY]", help="The start of its id, or `last`.", show_default=False)]


@journal.command()
def add(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[ENTRY] TAKEAWAY", help="The start of an entry's id, or `last`; and what you learned, in one line."
        ),
    ],
) -> None:
    """Give a run, the last one unless another is named, its takeaway. One it had stays in its history."""
    from ...errors import BadText
    from ...journal import Journal

    if len(words) > 2:
        raise BadText("a takeaway is one line in quotes", hint='write: invivo journal add "…"')
    if len(words) == 1 and (words[0] == "last" or re.fullmatch(r"[0-9a-f]{6,12}", words[0])):
        raise BadText(
            f"{words[0]!r} names a run; what did you learn from it?", hint=f'write: invivo journal add {words[0]} "…"'
        )
    entry = Journal().add_takeaway(*(["last", *words][-2:]))
    talk.say(f"{entry.id}, {entry.title}: {entry.takeaway}")


@journal.command("list")
def list_(
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="WORDS", help="Only runs that hold all these words.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="At most so many.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs, newest first."""
    from ...journal import Journal

    entries = Journal().list(limit, search or "")
    if as_json:
        return talk.data(
            {"entries": [entry.model_dump(mode="json", exclude={"comparison", "exhibit"}) for entry in entries]}
        )
    if not entries:
        return talk.say("no run holds these words" if search else "the journal is empty; `invivo run 02` begins it")
    from ...show.blocks import Document, Table
    from ...show.text import shorten

    rows = tuple(
        (
            e.id,
            e.created[:16].replace("T", " "),
            f"lab {e.lab[:2] if e.lab[:2].isdigit() else e.lab}" if e.lab else e.kind,
            shorten(e.takeaway or e.title, 110),
        )
        for e in entries
    )
    table = Table(columns=("entry", "when, UTC", "what", "takeaway, or tweaks and prompt"), rows=rows)
    return talk.show(Document(blocks=(table,)))


@journal.command()
def show(name: Name = "last", form: As = None, as_json: Json = False) -> None:
    """Show a run as it was: what was said, the numbers, and how to run it again."""
    from ...journal import Journal

    entry = Journal().show(name)
    if form is not None:
        from .running import recipe_text

        return talk.data(recipe_text(entry.recipe, form, entry.allowed))
    if as_json:
        return talk.data(entry.model_dump_json(indent=1))
    from ...show.blocks import Document, Heading, Text

    about = Text(text=f"{entry.lab or entry.kind}, {entry.created}, {entry.id}", tone="dim")
    learned = (Text(text=entry.takeaway, tone="takeaway"),) if entry.takeaway else ()
    return talk.show(Document(blocks=(Heading(text=entry.title, level=1), about, *learned)) + entry.result.document())


@journal.command()
def remove(name: Name = "last") -> None:
    """Take a run out of the journal's lists. `invivo journal restore` brings it back."""
    from ...journal import Journal

    entry = Journal().remove(name)
    talk.say(f"removed {entry.id}, {entry.title}; `invivo journal restore {entry.id}` brings it back")


@journal.command()
def restore(name: Name = "last") -> None:
    """Bring a run back that was removed."""
    from ...journal import Journal

    entry = Journal().restore(name)
    talk.say(f"{entry.id}, {entry.title} is back")


@journal.command()
def export(
    post: Annotated[Path, typer.Argument(metavar="POST.md", help="A Markdown file; it is made where there is none.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENTRY]…", help="Which runs; all that have a takeaway when left out.", show_default=False
        ),
    ] = None,
) -> None:
    """Add takeaways to a post, under "⚡ Examples from Experiments".

    Nothing else in the post changes, and running it again adds nothing twice.
    """
    from ...journal import Journal
    from ...journal import export as write

    kept = Journal()
    entries = [kept.show(name) for name in names] if names else [e for e in reversed(kept.list()) if e.takeaway]
    added = write(post, entries)
    talk.say(f"{post}: {added} of {len(entries)} takeaways added" + ("" if added else "; the others are there already"))


@journal.command()
def verify(as_json: Json = False) -> None:
    """Hold every run against the hash of what was kept. Exits with 1 where something is wrong."""
    from ...journal import Journal

    kept = Journal()
    problems = kept.verify()
    if as_json:
        talk.data({"journal": str(kept.path), "problems": problems})
    else:
        from ...show.blocks import Document, Points, Text

        said = Points(items=problems) if problems else Text(text=f"Every run in {kept.path} is as it was kept.")
        talk.show(Document(blocks=(said,)))
    if problems:
        raise typer.Exit(1)
