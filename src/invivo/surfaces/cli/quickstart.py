"""`invivo quickstart`: the guide's checklist of three labs, and a post with the three takeaways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, Stopped, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes

if TYPE_CHECKING:
    from ...experiment import Lab, LabResult
    from ...journal import Entry
    from ...show.blocks import Document

COUNT = {1: "An experiment", 2: "Two experiments", 3: "Three experiments"}  # of the post's title


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL, "seed")
def quickstart(
    flags: Any,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the post and its figures go.")] = Path(
        "post"
    ),
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Run three labs in a minute: zero embeddings, ablate a head, raise the temperature. Ends with a post."""
    from ...journal import Journal, folder_for_post, write_post
    from ...labs import QUICKSTART, lab_named
    from ...show.blocks import Code, Document, Heading, Text
    from ..settings import experiment_of, outcome, read_config
    from .running import announced, load

    chosen = [lab_named(number) for number in QUICKSTART]
    found = read_config(config)
    settings = [outcome(found, flags, lab) for lab in chosen]
    announced(found, *settings)
    experiments = [experiment_of(layer) for layer in settings]  # all of them, before anything runs
    folder_for_post(out)
    done: list[LabResult] = []
    kept: list[Entry] = []
    model: Any = None
    loaded: list[Any] = []
    stopped = False
    for lab, experiment, layer in zip(chosen, experiments, settings, strict=True):
        try:
            if loaded != (loaded := [layer[key].value for key in MODEL]):  # once, unless a config gives a lab its own
                model = load(layer, allow_pickle, allow_remote_code)
            with talk.busy(f"running lab {lab.number}"):
                result = model.run_lab(lab, experiment, steps=False)
        except KeyboardInterrupt as interrupt:
            result, stopped = getattr(interrupt, "kept", None), True
        if result is not None:
            if not as_json:
                talk.show(card(lab, result), gap=bool(done))
            entry = Journal().keep(result.comparison, lab=lab.full_name, takeaway=result.takeaway, kind="quickstart")
            kept.append(entry)
            done.append(result)
        if stopped:
            break
    if not done:
        raise Stopped("stopped; nothing was kept yet")
    sections = [result.document(lab) for lab, result in zip(chosen, done, strict=False)]
    post = write_post(out, sections, kept, f"{COUNT[len(done)]} inside {Path(experiments[0].model).name}")
    if as_json:
        talk.data({"labs": [json.loads(result.model_dump_json()) for result in done], "post": str(post)})
    else:
        talk.show(
            Document(
                blocks=(
                    Heading(text="A post with these takeaways and their figures"),
                    Text(text=str(post)),
                    Heading(text="What next"),
                    Code(text="invivo labs"),
                    Code(text='invivo compare "Once upon a time" --tweak "zero head 5.1"'),
                )
            ),
            gap=True,
        )
    if stopped:
        names = ", ".join(result.lab for result in done)
        raise Stopped(f"stopped; kept in the journal and in {post}: {names}")


def card(lab: Lab, result: LabResult) -> Document:
    """A lab on half a screen: both texts, the numbers that matter, the takeaway."""
    from ...metrics import metric_named
    from ...show.blocks import Document, Heading, Strip, Table, Text

    c = result.comparison
    hero = lab.hero % len(c.tweaks)
    tweak = c.tweaks[hero]
    numbers = tuple((m.label, m.text(m.of(c, None)), m.text(m.of(c, hero))) for m in map(metric_named, lab.numbers))
    return Document(
        blocks=(
            Heading(text=f"Lab {lab.number} · {lab.title}"),
            Text(text=f"Prompt: {c.recipe.prompt}", tone="dim"),
            Strip(role="base", label="BASE", prompt=c.recipe.prompt, tokens=c.base.tokens),
            Strip(
                role="tweak",
                label=f"TWEAK {tweak.tweak}",
                prompt=c.recipe.prompt,
                tokens=tweak.tokens,
                parted_at=tweak.first_divergence,
            ),
            Table(columns=("", "BASE", "TWEAK"), rows=numbers),
            Text(text=result.takeaway, tone="takeaway"),
        )
    )
