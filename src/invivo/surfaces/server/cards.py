"""The journal's endpoints: what was kept, one by one and as a post, and what can still be kept."""

from __future__ import annotations

from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from ...errors import BadText, Refused
from ...experiment import Comparison, LabResult
from ...journal import Journal, write_post
from .desk import Work
from .wire import Card, Learned, Place, Whole

NOT_HERE = ("eval",)  # kinds that the page cannot open: `invivo journal` shows them
REMEMBERED = 12  # results that can still be kept in the journal


class Run(NamedTuple):
    """A comparison that came out, and the lab that it belongs to."""

    comparison: Comparison
    lab: str | None


class Finished:
    """The newest comparisons that came out, by their run's number: they can still be kept in the journal."""

    def __init__(self) -> None:
        self.runs: OrderedDict[str, Run] = OrderedDict()

    def remembering(self, work: Work, run: str) -> Work:
        """The same work; what it gives is remembered for a while."""

        def done(model: Any, emit: Any) -> Any:
            result = work(model, emit)
            if isinstance(result, Comparison):
                self.runs[run] = Run(result, None)
            elif isinstance(result, LabResult):
                self.runs[run] = Run(result.comparison, result.lab)
            while len(self.runs) > REMEMBERED:
                self.runs.popitem(last=False)
            return result

        return done


def add_cards(api: APIRouter, notes: Journal, finished: Finished) -> None:
    """Add the endpoints."""

    @api.get("/journal")
    async def entries(search: str = "", limit: Annotated[int, Query(ge=0, le=500)] = 100) -> list[Card]:
        """What was kept, newest first."""
        return [Card.made(entry) for entry in notes.list(limit, search, but=NOT_HERE)]

    @api.get("/journal/{entry}")
    async def one(entry: str) -> Whole:
        """One kept run, whole."""
        found = notes.show(entry)
        return Whole(result=found.compared, document=found.compared.pictured(), **dict(Card.made(found)))

    @api.post("/journal")
    async def keep(learned: Learned) -> Card:
        """Keep a run with its takeaway."""
        if not learned.takeaway.strip():
            raise BadText("a run is kept with what was learned from it", hint="write one line, then save")
        if learned.run not in finished.runs:
            raise BadText("that run is not at hand any more", hint="run it again, then save")
        run = finished.runs[learned.run]
        kind = "lab" if run.lab else "compare"
        return Card.made(notes.keep(run.comparison, lab=run.lab, takeaway=learned.takeaway, kind=kind))

    @api.delete("/journal/{entry}")
    async def remove(entry: str) -> Card:
        """Take a run out of the list; `restore` brings it back."""
        Card.made(notes.show(entry))
        return Card.made(notes.remove(entry))

    @api.post("/journal/{entry}/restore")
    async def restore(entry: str) -> Card:
        """Bring a run back."""
        found = notes.restore(entry)
        try:
            return Card.made(found)
        except Refused:  # no comparison: it was not the page that removed it
            notes.remove(entry)
            raise

    @api.post("/journal/{entry}/move")
    async def move(entry: str, to: Place) -> Card:
        """Put a run above another one, or last."""
        Card.made(notes.show(entry))
        return Card.made(notes.move(entry, to.above))

    @api.get("/post", response_class=Response)
    async def post(title: str = "What I learned inside a language model") -> Response:
        """The journal as a post: Markdown with its figures, in a zip; the command line's own exporter writes it."""
        made = await run_in_threadpool(zipped_post, notes, title)
        name = "attachment; filename=invivo-post.zip"
        return Response(made, media_type="application/zip", headers={"content-disposition": name})


def zipped_post(journal: Journal, title: str) -> bytes:
    """A post of every run that has a takeaway, with its figures. Raises BadText where there is none."""
    entries = [entry for entry in reversed(journal.list()) if entry.takeaway]
    if not entries:
        raise BadText("no run has a takeaway yet", hint="run something, write what you learned, save it")
    file = BytesIO()
    with TemporaryDirectory() as folder, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        write_post(folder, [entry.result.document() for entry in entries], entries, title)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return file.getvalue()
