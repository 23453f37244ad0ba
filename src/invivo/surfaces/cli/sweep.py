"""`invivo sweep`: the same tweak at every place, and the map of what it does."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Html, Json, takes


@app.command(rich_help_panel=EXPERIMENTS)
@takes("prompts", "target", *MODEL)
def sweep(
    flags: Any,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What both read.", show_default=False)] = None,
    tweak: Annotated[
        str | None,
        typer.Option(
            "--tweak",
            metavar="LINE",
            help='The tweak, with a star at what varies: "zero head *" when left out; a copy, for a pair and --under.',
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="The number taken at every place; `invivo metrics`. kl_next when left out; recovered, for a pair.",
            show_default=False,
        ),
    ] = None,
    wrong: Annotated[
        str | None,
        typer.Option(
            "--wrong", metavar="TEXT", help="The answer that the target is compared with.", show_default=False
        ),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            "--over",
            metavar="WHAT",
            help="What varies, in words (heads, layers x positions …), to be checked against the stars, or copied to.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            metavar="A,B,…",
            help="What a star goes through that stands for a strength or a seed.",
            show_default=False,
        ),
    ] = None,
    clean: Annotated[
        str | None,
        typer.Option("--clean", metavar="TEXT", help="Of a pair: the prompt with the answer.", show_default=False),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option("--corrupt", metavar="TEXT", help="Of a pair: the prompt without it.", show_default=False),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            metavar="WAY",
            help="denoising copies from clean into corrupt, and is the usual way; noising the other way round.",
            show_default=False,
        ),
    ] = None,
    under: Annotated[
        str | None,
        typer.Option(
            "--under",
            metavar="LINE",
            help='What is in force at every place and in BASE, as "add noise 0.3 to embed at 0:3": it is to be undone.',
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        int, typer.Option("--window", metavar="N", min=1, help="How many layers around a starred one change with it.")
    ] = 1,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="How many draws of the noise are averaged.")
    ] = 1,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--cases",
            metavar="FILE",
            help='JSON lines, one prompt or pair each: {"prompt": …, "target": …} or {"clean": …, "corrupt": …, …}.',
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", metavar="FILE", help="Run the sweep of a YAML recipe or JSON result.", show_default=False
        ),
    ] = None,
    check: Annotated[
        int, typer.Option("--check", metavar="K", min=0, help="Run K random places again the slow way.")
    ] = 0,
    exact: Annotated[
        bool, typer.Option("--exact", metavar="", help="Take the slow way everywhere: stock layers, one row at a time.")
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", metavar="", help="Estimate every place from one gradient (attribution patching)."),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="SIZE", help="What the rows of a chunk may take, as 500MB or 2GB.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Say what would be run, and run nothing.")
    ] = False,
    unfinished: Annotated[
        Path | None,
        typer.Option(
            "--unfinished",
            metavar="FILE",
            help="Keep finished chunks here while it runs; the same command goes on from them.",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the places as CSV, too.", show_default=False)
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Write the map as SVG or PNG, too.", show_default=False),
    ] = None,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Take one number at every place: the same tweak at each head, neuron, layer, position.

    For example: invivo sweep "Once upon a time" --tweak "zero head *". A star stands for what varies; two make a grid:
    --tweak "copy L*.resid_pre at * from clean" --prompt clean="…" --metric recovered --target " Mary" --wrong " John".
    A pair does that by itself: --clean "…" --corrupt "…" --over "layers x positions" --target " Mary" --wrong " John".
    """
    from ..settings import flatten
    from .running import load, settled, write_html
    from .swept import Wanted, recipe_sweep

    settings = settled(config, flags)
    pair = {"clean": clean, "corrupt": corrupt, "direction": direction}
    plan = Wanted(tweak, metric, over, values, under, window, seeds)
    asked = recipe_sweep(recipe) if recipe is not None else plan.sweep(settings, prompt, pair, wrong, cases)
    if recipe is not None:  # its own model, unless a flag names another
        settings = settings | flatten({key: getattr(asked, key) for key in MODEL if key != "device"}, "recipe") | flags
    budget = _bytes(memory) if memory else None
    model = load(settings, allow_pickle, allow_remote_code)
    if dry_run:
        return talk.data("\n".join(model.plan(asked, memory=budget)))
    with _progress(as_json) as progress:
        grid = model.sweep(
            asked, exact=exact, estimate=estimate, memory=budget, check=check, progress=progress, unfinished=unfinished
        )
    if csv is not None:
        from ...files import replace

        replace(csv, grid.to_csv().encode())
    if figure is not None:
        _draw(grid, figure)
    write_html(html, grid)
    if as_json:
        return talk.data(grid.to_json())
    return talk.show(grid.document())


def _bytes(text: str) -> int:
    """A size as people write it: 500MB, 2GB."""
    from ...errors import BadText

    units = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
    plain = text.strip().lower().removesuffix("b").strip()
    number, unit = (plain[:-1], plain[-1]) if plain[-1:] in units and plain[-1:] else (plain, "")
    try:
        size = int(float(number) * units[unit])
    except ValueError:
        size = 0
    if size < 10**6:
        raise BadText(f"--memory {text!r} is no size of at least 1MB", hint="write 500MB or 2GB")
    return size


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with the rate and the time left, where a person watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ...show.terminal import console

    columns = (
        TextColumn("places", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")
        start = time.monotonic()

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, rate=f"{done / (time.monotonic() - start + 1e-9):,.0f}/s")

        yield show


def _draw(grid: Any, path: Path) -> None:
    """Write the map to a file: SVG, PNG or PDF by its ending."""
    from ...errors import BadText
    from ...experiment.map_view import picture
    from ...show.figures import save

    drawn = picture(grid)
    if drawn is None:
        raise BadText("a map of more than two axes is no picture", hint="use --csv")
    save(drawn, path)
