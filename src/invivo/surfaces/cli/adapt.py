"""`invivo adapt`: a folder of one's own text to an adapter for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import KEEP, Stopped, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes


@app.command(rich_help_panel=KEEP)
@takes(*MODEL)
def adapt(
    flags: Any,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your text: *.txt or *.txt.xz files, UTF-8.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the adapter goes; FOLDER-adapter beside it when left out.", show_default=False),
    ] = None,
    rank: Annotated[int, typer.Option(help="How many directions each change has.")] = 8,
    steps: Annotated[int, typer.Option(help="Steps of training, each on eight rows of 128 tokens.")] = 200,
    rate: Annotated[float, typer.Option(help="The learning rate at its highest.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="The dice of the first numbers and of the order of reading.")] = 0,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Learn your own text with a small adapter (LoRA) for a model, as in: invivo adapt recipes --rank 4.

    The tweak `adapt with FOLDER-adapter` adds it, and peft opens it. Stopped or killed, the same command goes on.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ...engine.tuning import tune
    from ...show import shell
    from ...show.blocks import Code, Document, Heading, Text
    from ...show.terminal import console
    from .running import load, settled

    place = folder.resolve()
    target = out or place.with_name(f"{place.name}-adapter")
    model = load(settled(config, flags), allow_pickle, allow_remote_code)
    columns = TextColumn("step {task.completed:.0f}/{task.total:.0f}"), BarColumn(), TextColumn("{task.description}")
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=steps)
            report = tune(
                model.living,
                folder,
                target,
                rank=rank,
                steps=steps,
                rate=rate,
                seed=seed,
                on_step=lambda step, nats: bar.update(task, completed=step + 1, description=f"{nats:.2f} nats a token"),
            )
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on from there") from None
    if as_json:
        return talk.data(report | {"folder": str(target)})
    before, after = report["heldout_before"], report["heldout_after"]
    held = (
        "nothing was held out" if before is None else f"held-out text: {before:.2f} nats a token, {after:.2f} with it"
    )
    told = (
        f"{report['trained']:,} numbers learned, {report['trained'] / report['parameters']:.1%} of the model; {held}."
    )
    words = ["invivo", "compare", "Once upon a time", "--tweak", f"adapt with {target}", "--model", model.name]
    return talk.show(
        Document(blocks=(Heading(text=f"An adapter in {target}"), Text(text=told), Code(text=shell.join(words))))
    )
