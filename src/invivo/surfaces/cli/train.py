"""`invivo train`: a folder of one's own text to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import KEEP, Stopped, app
from .flags import Json

if TYPE_CHECKING:
    from ...show.blocks import Document


@app.command(rich_help_panel=KEEP)
def train(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your text: *.txt or *.txt.xz files, UTF-8.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the model goes; FOLDER-model beside it when left out.", show_default=False),
    ] = None,
    tokens: Annotated[int, typer.Option(help="How much is read, in tokens; more may be asked for later.")] = 2_000_000,
    layers: Annotated[int, typer.Option(help="Blocks.")] = 4,
    heads: Annotated[int, typer.Option(help="Heads of a block.")] = 4,
    width: Annotated[int, typer.Option(help="Numbers in the residual stream.")] = 128,
    context: Annotated[int, typer.Option(help="Tokens that it can read at once.")] = 256,
    vocabulary: Annotated[
        int | None,
        typer.Option(
            help="Pieces of its tokenizer; 1,024 to 8,192 by the text's length when left out.", show_default=False
        ),
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of one step.")] = 4096,
    seed: Annotated[int, typer.Option(help="The dice of the first weights and of the order of reading.")] = 0,
    device: Annotated[str | None, typer.Option(help="Where to train: cpu, cuda.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Train a small model on your own text, as in: invivo train diaries --tokens 4000000.

    The folder that comes out is one that --model and transformers open. Stopped or killed, the same command goes on
    from the last checkpoint; with more tokens, it goes on where it ended.
    """
    from ...training.own import grow

    place = folder.resolve()
    target = out or place.with_name(f"{place.name}-model")
    asked: dict[str, Any] = dict(tokens=tokens, layers=layers, heads=heads, width=width, context=context)
    asked |= dict(batch_tokens=batch_tokens, seed=seed) | ({} if vocabulary is None else {"vocabulary": vocabulary})
    try:
        report = grow(folder, target, talk.say, device=device, **asked)
    except KeyboardInterrupt as stop:
        raise Stopped(str(stop) or "stopped; the same command goes on from there") from None
    if as_json:
        return talk.data(report | {"folder": str(target)})
    return talk.show(_document(report, target))


def _document(report: dict[str, Any], folder: Path) -> Document:
    """The loss from the first step to the last, the held-out loss, and what to do next."""
    from ...pictures import Lines, Series
    from ...show import shell
    from ...show.blocks import Code, Document, Figure, Heading, Table
    from ...show.text import number

    losses, held = report["training"]["losses"], report["heldout"]
    losses = losses[:: max(1, len(losses) // 60)]
    seconds = report["training"]["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{max(1, round(seconds))} seconds"
    top = report["ln_vocabulary"]
    sentence = (
        f"{report['model']['parameters']:,} parameters read {report['training']['tokens']:,} tokens in {took}. On text "
        f"that was held out the model loses {number(held['all']['nats_per_token'])} nats a token (a guess among all "
        f"pieces: {number(top)})."
    )
    drawn = Lines(
        title="Loss on what it read",
        summary=sentence,
        x=tuple(float(step) for step, _ in losses),
        x_name="step",
        y_name="nats a token",
        series=(
            Series(name="loss", values=tuple(nats for _, nats in losses), role="tweak"),
            Series(name="ln V: knows nothing", values=(top,) * len(losses), role="base"),
        ),
    )
    table = Table(
        caption="Held out, not trained on",
        columns=("text", "tokens", "nats a token", "perplexity"),
        rows=tuple(
            (name, f"{one['tokens']:,}", number(one["nats_per_token"]), number(one["perplexity"], 1))
            for name, one in held.items()
            if name != "all" or len(held) > 2
        ),
    )
    command = shell.join(["invivo", "compare", "Once upon a time", "--tweak", "zero head 0.0", "--model", str(folder)])
    return Document(
        blocks=(Heading(text=f"A model in {folder}"), Figure(picture=drawn, name="loss"), table, Code(text=command))
    )
