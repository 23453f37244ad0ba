"""The page's server: typed endpoints on the same recipes as the command line, and the page's files.

There is no second path to the engine: an endpoint reads a recipe, the desk runs it, and what comes out is the Result
that `--json` prints. Nothing here takes a path from a client.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast
from zipfile import ZIP_DEFLATED, ZipFile

from fastapi import APIRouter, Body, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from ... import __version__
from ...errors import BadText, InvivoError, OutOfRange
from ...experiment import Comparison, Experiment, LabResult, Recipe
from ...journal import Entry, Journal, write_post
from ...labs import lab_named
from ...spec import Spec
from .answers import course, field_of, read_stack, vocabulary
from .desk import Desk, Work
from .guard import LOOPBACK, Guard
from .runs import KINDS, lab_work, work_of

PAGE = Path(__file__).with_name("page")
NDJSON = "application/x-ndjson"
REMEMBERED = 12  # results that can still be kept in the journal
LONGEST_TEXT = 20_000  # characters


class Problem(Spec):
    """What a refusal says, in the command line's words."""

    what: str
    """What is wrong."""
    hint: str | None = None
    """The nearest right spelling, or the next step."""
    field: str | None = None
    """Which field of the request is meant."""


class Text(Spec):
    """A text to be cut into tokens."""

    text: str
    """The text."""
    model: str
    """For which model."""


class ALine(Spec):
    """A TWEAK row as one line."""

    line: str
    """Its tweaks, joined by ` + `."""


class Asked(Spec):
    """A recipe of some kind."""

    kind: str
    """compare, sweep, lens …"""
    recipe: dict[str, Any]
    """Its fields."""


class Learned(Spec):
    """What was learned from a run."""

    run: str
    """The run's number, as its stream said it in `x-run`."""
    takeaway: str
    """One line."""


class Place(Spec):
    """Where an entry is to go."""

    above: str | None = None
    """The entry that it is to stand above; last where none is named."""


class Located(APIRoute):
    """A route whose refusals say which field they are about."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def located(request: Request) -> Response:
            try:
                return await answer(request)
            except InvivoError as error:
                name = request.url.path.rsplit("/", 1)[-1]
                kind = KINDS.get(name)
                data = await _body(request)
                return problem(error, error.field or field_of(data, kind.recipe if kind else Experiment))

        return located


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

    def streamed(lines: AsyncIterator[bytes], run: str) -> StreamingResponse:
        return StreamingResponse(lines, media_type=NDJSON, headers={"x-run": run})

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

    async def start(model: str, what: str, work: Work) -> StreamingResponse:
        run = str(next(number))
        return streamed(await desk.stream(model, what, remembering(work, run)), run)

    @api.get("/state")
    async def state() -> dict[str, Any]:
        """Version, models and how many wait."""
        models = [opened.model_dump() for opened in desk.opened.values()]
        return {"version": __version__, "models": models, "waiting": desk.waiting}

    @api.get("/labs")
    async def labs() -> list[dict[str, Any]]:
        """The guide's sections with their labs."""
        return course()

    @api.get("/vocabulary")
    async def words() -> dict[str, Any]:
        """Tweaks, sites, metrics and pictures: what the page's menus offer."""
        return vocabulary()

    @api.post("/tokens")
    async def tokens(asked: Text) -> dict[str, Any]:
        """How a model cuts a text."""
        if len(asked.text) > LONGEST_TEXT:
            raise OutOfRange(f"a text of {len(asked.text):,} characters", hint=f"at most {LONGEST_TEXT:,}")
        found = await desk.ask(asked.model, lambda model: model.tokens(asked.text) if asked.text else [])
        return {"tokens": [{"id": t.id, "text": t.text} for t in found]}

    @api.post("/tweak")
    async def tweak(asked: ALine) -> dict[str, Any]:
        """A row's line, read: its tweaks with their slots."""
        return read_stack(asked.line)

    @api.post("/recipe")
    async def recipe(asked: Asked) -> dict[str, str | None]:
        """A recipe in its other forms: command line, YAML, Python."""
        made = read_recipe(asked.kind, asked.recipe)
        python = made.to_python() if isinstance(made, Experiment) else None
        return {"cli": made.to_cli(), "yaml": made.to_yaml(), "python": python}

    for name, kind in KINDS.items():
        _add_run(api, name, kind.recipe, kind.doing, start)

    @api.post("/labs/{lab}/run", response_class=StreamingResponse)
    async def run_lab(lab: str, experiment: Annotated[dict[str, Any] | None, Body()] = None) -> StreamingResponse:
        """Run a lab, as it is or with another experiment. Lines of JSON."""
        chosen = lab_named(lab)
        own = None if experiment is None else Experiment.of(experiment)
        return await start((own or chosen.experiment).model, f"lab {chosen.number}", lab_work(chosen, own))

    @api.get("/journal")
    async def entries(search: str = "", limit: Annotated[int, Query(ge=0, le=500)] = 100) -> list[dict[str, Any]]:
        """What was kept, newest first."""
        return [card(entry) for entry in notes.list(limit, search)]

    @api.get("/journal/{entry}")
    async def one(entry: str) -> dict[str, Any]:
        """One kept run, whole."""
        found = notes.show(entry)
        result = found.result
        return card(found) | {
            "result": result.model_dump(mode="json"),
            "document": result.document().model_dump(mode="json"),
        }

    @api.post("/journal")
    async def keep(learned: Learned) -> dict[str, Any]:
        """Keep a run with its takeaway."""
        if not learned.takeaway.strip():
            raise BadText("a run is kept with what was learned from it", hint="write one line, then save")
        if learned.run not in kept:
            raise BadText("that run is not at hand any more", hint="run it again, then save")
        comparison, lab, _ = kept[learned.run]
        kind = "lab" if lab else "compare"
        return card(notes.keep(comparison, lab=lab, takeaway=learned.takeaway, kind=kind))

    @api.delete("/journal/{entry}")
    async def remove(entry: str) -> dict[str, Any]:
        """Take a run out of the list; `restore` brings it back."""
        return card(notes.remove(entry))

    @api.post("/journal/{entry}/restore")
    async def restore(entry: str) -> dict[str, Any]:
        """Bring a run back."""
        return card(notes.restore(entry))

    @api.post("/journal/{entry}/move")
    async def move(entry: str, to: Place) -> dict[str, Any]:
        """Put a run above another one, or last."""
        return card(notes.move(entry, to.above))

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
    schema = {"application/json": {"schema": {"type": "object", "title": recipe.__name__}}}

    async def run(data: Annotated[dict[str, Any], Body()]) -> StreamingResponse:
        made = read_recipe(name, data)
        return await start(made.model, doing, work_of(made))  # type: ignore[attr-defined]

    api.add_api_route(
        f"/{name}",
        run,
        methods=["POST"],
        name=name,
        description=f"{(recipe.__doc__ or '').splitlines()[0]} Lines of JSON, one event each.",
        response_class=StreamingResponse,
        openapi_extra={"requestBody": {"required": True, "content": schema}},
    )


def read_recipe(kind: str, data: dict[str, Any]) -> Recipe:
    """A recipe from plain data. Raises BadText."""
    if kind not in KINDS:
        raise BadText(f"nothing is called {kind!r}", hint=f"one of {', '.join(KINDS)}")
    made = KINDS[kind].recipe.of(data)
    longest = max((len(text) for text in _texts(data)), default=0)
    if longest > LONGEST_TEXT:
        raise OutOfRange(f"a text of {longest:,} characters", hint=f"at most {LONGEST_TEXT:,}")
    return made


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


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


def card(entry: Entry) -> dict[str, Any]:
    """A kept run as a card shows it."""
    return entry.model_dump(mode="json", exclude={"comparison"}) | {"rows": list(entry.rows)}
