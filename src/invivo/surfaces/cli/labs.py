"""`invivo labs`, `run` and `copy`: the labs that there are, one of them run, one of them to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, Stopped, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, As, ConfigFile, Form, Json, NoJournal, Out, Takeaway, takes

if TYPE_CHECKING:
    from ...experiment import Lab, LabResult
    from ..settings import Layer


class CopyForm(StrEnum):
    """How a lab can be copied."""

    python = "python"
    yaml = "yaml"


@app.command(rich_help_panel=EXPERIMENTS)
def labs(as_json: Json = False) -> None:
    """The labs, under the sections of the guide, and your own ones in the folder `labs` of invivo's home."""
    from ...labs import SECTIONS, all_labs
    from ...labs.own import folder, own_labs
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
                ],
                "own": [one.model_dump() for one in own_labs()],
            }
        )
    blocks = []
    for section in SECTIONS:
        here = [f"{lab.full_name} · {lab.title}" for lab in all_labs() if lab.section == section.number]
        if here:
            blocks += [Heading(text=f"§{section.number}  {section.title}"), Points(items=tuple(here))]
    if mine := own_labs():
        lines = (f"{o.name}{f' · {o.title}' if o.title else ''}{f' ({o.problem})' if o.problem else ''}" for o in mine)
        blocks += [Heading(text="Your own"), Points(items=tuple(lines)), talk.small_print(f"They are in {folder()}.")]
    hint = talk.small_print(
        "Run one with `invivo run 02`, three with `invivo quickstart`, or go through them with `invivo guide`."
    )
    return talk.show(Document(blocks=(*blocks, hint)))


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL, "seed", "tweaks")
def run(
    lab: Annotated[
        str,
        typer.Argument(
            metavar="LAB", help="02, head_ablation, a file of your own (mine.py, mine.yaml), guide, next or all."
        ),
    ],
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
    out: Out = None,
    form: As = None,
    takeaway: Takeaway = None,
    no_journal: NoJournal = False,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Run a lab, as in: invivo run 02. With `guide`, all labs of its sections and a report into the folder
    `report`; with `next`, those of the next layers; with `all`, both.

    Exits with 1 where a claim that is expected to hold does not.
    """
    how = How(allow_pickle, allow_remote_code, config, no_journal, as_json)
    changed = [*(sets or []), *(fields or [])]
    from ...labs import labs_of_set
    from ...labs.own import find

    several = labs_of_set(lab)
    if several is not None:
        from .everything import run_all

        for_one = {"--tweak": flags.get("tweaks"), "--as": form, "--takeaway": takeaway}
        return run_all(several, flags, changed, out, how, for_one)

    return perform(find(lab), flags, how, changed, out, form, takeaway)


@dataclass(frozen=True)
class How:
    """The switches that every command which runs labs has."""

    allow_pickle: bool = False
    allow_remote_code: bool = False
    config: Path | None = None
    no_journal: bool = False
    as_json: bool = False


def perform(
    chosen: Lab,
    flags: Layer,
    how: How,
    changed: Sequence[str] = (),
    out: Path | None = None,
    form: Form | None = None,
    takeaway: str | None = None,
) -> None:
    """Run a lab, show it, keep it, and write its report where one is wanted."""
    from ...journal import folder_for_report
    from ..settings import experiment_of, outcome, read_config
    from .running import allowed, announced, cut_short, keep, load, recipe_text, write_lab

    found = read_config(how.config)
    settings = outcome(found, flags | changes(changed, chosen), chosen)
    experiment = experiment_of(settings)
    announced(found, settings)
    if form is not None:
        return talk.data(recipe_text(experiment, form, allowed(how.allow_pickle, how.allow_remote_code)))
    if out is not None:
        folder_for_report(out)
    model = load(settings, how.allow_pickle, how.allow_remote_code)
    stopped: Stopped | None = None
    try:
        with talk.busy(f"running lab {chosen.label}"):
            result = model.run_lab(chosen, experiment, on_step=lambda title: talk.say(f"  {title}"))
    except KeyboardInterrupt as interrupt:
        result = cut_short(interrupt)
        done = "done" if result.verdicts or result.steps else "said"
        stopped = Stopped(f"stopped; what was {done} until then is above")
    if how.as_json:
        talk.data(result.model_dump_json(indent=1))
    else:
        talk.show(result.document(chosen))
    if not how.no_journal:
        keep(result.comparison, takeaway or result.takeaway, chosen.full_name, "cut short" if stopped else "lab")
    if out is not None:
        write_lab(out, chosen, result)
    if stopped is not None:
        raise stopped
    if broken(result):
        raise typer.Exit(1)
    return None


@app.command(rich_help_panel=EXPERIMENTS)
def copy(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="A lab of the guide: 02 or head_ablation.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="What to write; my_NAME.py, or .yaml, when left out.", show_default=False
        ),
    ] = None,
    form: Annotated[
        CopyForm | None, typer.Option("--as", help="Which form; FILE's ending when left out.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite the file that is there.")] = False,
) -> None:
    """Copy a lab into a file of your own, to change and to run: invivo copy 02, then invivo run my_head_ablation.py."""
    from ...errors import BadText, Refused
    from ...files import replace
    from ...labs import lab_named
    from ...labs.copying import as_python, as_yaml
    from ...labs.own import ENDINGS, folder, name_of
    from ...show import shell

    chosen = lab_named(lab)
    ending = ".yaml" if form is CopyForm.yaml else ".py"
    path = file or Path(f"my_{chosen.name}{ending}")
    if path.suffix.lower() not in ENDINGS or (form is not None and (path.suffix.lower() == ".py") != (ending == ".py")):
        raise BadText(f"{path.name!r} is no name for it", hint=f"it ends in {ending}")
    if name_of(path, free=False) != name_of(path):
        raise BadText(
            f"{path.name!r} would be called as a lab of the guide is",
            hint=f"another name, such as {name_of(path)}{path.suffix}",
        )
    if path.exists() and not force:
        raise Refused(f"{str(path)!r} is already there", hint="--force overwrites it")
    command = shell.join(["invivo", "run", str(path)])
    name = name_of(path)
    text = as_python(chosen, name, command) if path.suffix.lower() == ".py" else as_yaml(chosen, command)
    replace(path, text.encode())
    talk.say(f"wrote {path}; change it, then: {command}")
    talk.say(f"in {folder()} it would be among `invivo labs`, and `invivo run {name}` would run it")


def broken(result: LabResult) -> list[str]:
    """Claims that were expected to hold and do not."""
    return [v.text for v in result.all_verdicts if v.expected and not v.holds]


def changes(sets: Sequence[str], lab: Lab | None = None) -> Layer:
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
