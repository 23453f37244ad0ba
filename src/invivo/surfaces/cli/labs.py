"""`invivo labs` and `invivo run`: the guide's labs under its sections, and one of them run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, Stopped, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, As, ConfigFile, Json, NoJournal, Takeaway, takes

if TYPE_CHECKING:
    from ...experiment import Lab
    from ..settings import Layer


@app.command(rich_help_panel=EXPERIMENTS)
def labs(as_json: Json = False) -> None:
    """The labs, under the sections of the guide."""
    from ...labs import SECTIONS, all_labs
    from ...show.blocks import Document, Heading, Points

    if as_json:
        return talk.data(
            {
                "labs": [
                    {
                        "number": lab.number,
                        "name": lab.full_name,
                        "section": lab.section,
                        "section_title": SECTIONS[lab.section].title,
                        "title": lab.title,
                        "why": lab.why,
                        "recipe": lab.experiment.model_dump(mode="json"),
                    }
                    for lab in all_labs()
                ]
            }
        )
    blocks = []
    for section in SECTIONS:
        here = [f"{lab.full_name} · {lab.title}" for lab in all_labs() if lab.section == section.number]
        if here:
            blocks += [Heading(text=f"§{section.number}  {section.title}"), Points(items=tuple(here))]
    hint = talk.small_print("Run one with `invivo run 02`, or three with `invivo quickstart`.")
    return talk.show(Document(blocks=(*blocks, hint)))


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL, "seed", "tweaks")
def run(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="02, head_ablation or 02_head_ablation.")],
    flags: Any,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE]…", show_default=False, help="The same as --set, for each of them."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            show_default=False,
            help="Change a field of the lab's experiment: prompt, target, tweak, temperature, prompts.clean …",
        ),
    ] = None,
    form: As = None,
    takeaway: Takeaway = None,
    no_journal: NoJournal = False,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Run a lab of the guide, as in: invivo run 02."""
    from ...labs import lab_named
    from ..settings import experiment_of, outcome, read_config
    from .running import allowed, announced, cut_short, keep, load, recipe_text

    chosen = lab_named(lab)
    found = read_config(config)
    settings = outcome(found, flags | changes([*(sets or []), *(fields or [])], chosen), chosen)
    experiment = experiment_of(settings)
    announced(found, settings)
    if form is not None:
        return talk.data(recipe_text(experiment, form, allowed(allow_pickle, allow_remote_code)))
    model = load(settings, allow_pickle, allow_remote_code)
    stopped: Stopped | None = None
    try:
        with talk.busy(f"running lab {chosen.number}"):
            result = model.run_lab(chosen, experiment, on_step=lambda title: talk.say(f"  {title}"))
    except KeyboardInterrupt as interrupt:
        result = cut_short(interrupt)
        stopped = Stopped("stopped; what was said until then is above")
    if as_json:
        talk.data(result.model_dump_json(indent=1))
    else:
        talk.show(result.document(chosen))
    if not no_journal:
        keep(result.comparison, takeaway or result.takeaway, chosen.full_name)
    if stopped is not None:
        raise stopped
    return None


def changes(sets: list[str], lab: Lab | None = None) -> Layer:
    """What `--set FIELD=VALUE` changes, as settings; `--set tweak=…` may come several times.

    A lab's named prompts may be called by their names alone, and what copies from a clean prompt runs the corrupt one.
    """
    from ...errors import BadText
    from ..settings import OF_EXPERIMENT, given, key_named

    layer: Layer = {}
    for text in sets:
        field, equals, value = text.partition("=")
        if not equals:
            raise BadText(f"--set {text!r} has no value", hint="write --set FIELD=VALUE, as in --set max_new_tokens=20")
        field = field.strip()
        named = set() if lab is None else set(lab.experiment.prompts)
        field = f"prompts.{field}" if field in named else "prompt" if field == "corrupt" and "clean" in named else field
        key = key_named(field, OF_EXPERIMENT)
        before = layer[key].value if key in layer else []
        layer[key] = given(key, [*before, value] if key == "tweaks" else value, "flag --set")
    return layer
