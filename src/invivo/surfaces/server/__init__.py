"""The page's server: typed endpoints on the same recipes as the command line, and the page's files.

There is no second path to the engine: an endpoint reads a recipe, the desk runs it, and what comes out is the Result
that `--json` prints. Nothing here takes a path from a client.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast
from zipfile import ZIP_DEFLATED, ZipFile

from fastapi import APIRouter, Body, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from ... import __version__
from ...errors import BadText, InvivoError, OutOfRange, Refused
from ...experiment import Comparison, Experiment, LabResult, Recipe
from ...journal import Journal, write_post
from ...labs import lab_named
from .answers import course, field_of, read_stack, vocabulary
from .desk import Desk, Work
from .events import Event
from .guard import LOOPBACK, Guard
from .looks import add_looks
from .runs import KINDS, lab_work, texts_in, work_of
from .shape import Like
from .texts import ReadStack, SectionText, Vocabulary
from .wire import ALine, Asked, Card, Cut, Forms, Learned, Piece, Place, Problem, State, ToCut, Whole

PAGE = Path(__file__).with_name("page")
NOT_HERE = ("eval",)  # kinds that the page cannot open: `invivo journal` shows them
REMEMBERED = 12  # results that can still be kept in the journal
LONGEST_TEXT = 20_000  # characters


class Lines(StreamingResponse):
    """A run's events, one JSON object a line."""

    media_type = "application/x-ndjson"


LINES: dict[str, Any] = {"response_class": Lines, "response_model": None, "responses": {200: {"model": Event}}}
Written = Annotated[dict[str, Any] | None, Like(Experiment | None), Body()]


class Located(APIRoute):
    """A route whose refusals say which field they are about."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def located(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return problem(*unread(error.errors()))
            except InvivoError as error:
                name = request.url.path.rsplit("/", 1)[-1]
                kind = KINDS.get(name)
                data = await _body(request)
                return problem(error, error.field or field_of(data, kind.recipe if kind else Experiment))

        return located


def unread(errors: Sequence[Any]) -> tuple[BadText, str | None]:
    """What a request that is not in its form is told, and the field it is about."""
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    if first["type"] == "json_invalid":
        return BadText(f"unreadable JSON: {first['ctx']['error'].lower()}"), None
    where = ".".join(map(str, first["loc"][1:])) or None
    return BadText(f"{where or 'the request'}: {first['msg'].lower()}", hint="/openapi.json says what is asked"), where


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def problem(error: InvivoError, field: str | None = None, status: int = 422) -> JSONResponse:
    """An error as JSON."""
    return JSONResponse({"what": error.what, "hint": error.hint, "field": field}, status)


def application(
    desk: Desk, *, hosts: tuple[str, ...] = LOOPBACK, token: str | None = None, journal: Journal | None = None
) -> Any:
    """The server as an ASGI application."""
    kept: OrderedDict[str, tuple[Comparison, str | None, str]] = OrderedDict()
    notes = journal or Journal()
    api = APIRouter(prefix="/api", route_class=Located, responses={422: {"model": Problem}})

    def remembering(work: Work, run: str) -> Work:
        """The same work; what it gives can be kept in the journal for a while."""

        def done(model: Any, emit: Any) -> Any:
            result = work(model, emit)
            if isinstance(result, Comparison):
                kept[run] = (result, None, "")
            elif isinstance(result, LabResult):
                kept[run] = (result.comparison, result.lab, result.takeaway)
            while len(kept) > REMEMBERED:
                kept.popitem(last=False)
            return result

        return done

    number = iter(range(1, 10**12))

    async def start(model: str, what: str, work: Work) -> Lines:
        run = str(next(number))
        return Lines(await desk.stream(model, what, remembering(work, run)), headers={"x-run": run})

    @api.get("/state")
    async def state() -> State:
        """Version, models and how many wait."""
        return State(version=__version__, models=tuple(desk.opened.values()), waiting=desk.waiting)

    @api.get("/labs")
    async def labs() -> list[SectionText]:
        """The guide's sections with their labs."""
        return course()

    @api.get("/vocabulary")
    async def words() -> Vocabulary:
        """Tweaks, sites, metrics and pictures: what the page's menus offer."""
        return vocabulary()

    @api.post("/tokens")
    async def tokens(asked: ToCut) -> Cut:
        """How a model cuts a text."""
        if len(asked.text) > LONGEST_TEXT:
            raise OutOfRange(f"a text of {len(asked.text):,} characters", hint=f"at most {LONGEST_TEXT:,}")
        found = await desk.ask(asked.model, lambda model: model.tokens(asked.text) if asked.text else [])
        return Cut(tokens=tuple(Piece(id=t.id, text=t.text) for t in found))

    @api.post("/tweak")
    async def tweak(asked: ALine) -> ReadStack:
        """A row's line, read: its tweaks with their slots."""
        return read_stack(asked.line)

    @api.post("/recipe")
    async def recipe(asked: Asked) -> Forms:
        """A recipe in its other forms: command line, YAML, Python."""
        made = read_recipe(asked.kind, asked.recipe)
        python = made.to_python() if isinstance(made, Experiment) else None
        return Forms(cli=made.to_cli(), yaml=made.to_yaml(), python=python)

    for name, kind in KINDS.items():
        _add_run(api, name, kind.recipe, kind.doing, start)

    @api.post("/labs/{lab}/run", **LINES)
    async def run_lab(lab: str, experiment: Written = None) -> Lines:
        """Run a lab, as it is or with another experiment. Lines of JSON."""
        chosen = lab_named(lab)
        own = None if experiment is None else Experiment.of(experiment)
        return await start((own or chosen.experiment).model, f"lab {chosen.number}", lab_work(chosen, own))

    def result_of(run: str) -> Comparison:
        return kept[run][0] if run in kept else notes.show(run).compared

    add_looks(api, desk, result_of)

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
        if learned.run not in kept:
            raise BadText("that run is not at hand any more", hint="run it again, then save")
        comparison, lab, _ = kept[learned.run]
        kind = "lab" if lab else "compare"
        return Card.made(notes.keep(comparison, lab=lab, takeaway=learned.takeaway, kind=kind))

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

    @api.get("/{rest:path}", include_in_schema=False)
    async def nothing(rest: str) -> JSONResponse:
        return problem(BadText(f"there is no /api/{rest}", hint="/openapi.json lists what there is"), status=404)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        desk.open()
        try:
            yield
        finally:
            desk.close()

    app = FastAPI(title="invivo", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.include_router(api)
    app.add_exception_handler(InvivoError, lambda _, error: problem(cast(InvivoError, error)))
    if PAGE.is_dir():
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, hosts, token)


def _add_run(api: APIRouter, name: str, recipe: type[Recipe], doing: str, start: Any) -> None:
    async def run(data: dict[str, Any]) -> Lines:
        made = read_recipe(name, data)
        return await start(made.model, doing, work_of(made))  # type: ignore[attr-defined]

    run.__annotations__["data"] = Annotated[dict[str, Any], Like(recipe), Body()]

    first = (recipe.__doc__ or "").splitlines()[0]
    api.add_api_route(
        f"/{name}", run, methods=["POST"], name=name, description=f"{first} Lines of JSON, one event each.", **LINES
    )


def read_recipe(kind: str, data: dict[str, Any]) -> Recipe:
    """A recipe from plain data. Raises BadText."""
    if kind not in KINDS:
        raise BadText(f"nothing is called {kind!r}", hint=f"one of {', '.join(KINDS)}")
    made = KINDS[kind].recipe.of(data)
    longest = max((len(text) for text in texts_in(data)), default=0)
    if longest > LONGEST_TEXT:
        raise OutOfRange(f"a text of {longest:,} characters", hint=f"at most {LONGEST_TEXT:,}")
    return made


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
