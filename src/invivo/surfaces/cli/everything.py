"""`invivo run guide`, `next`, `all`: many labs in their order, and one report of all of them.

A lab that fails is told in the report, and the next one runs. Ctrl-C ends it and keeps what was done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import talk
from .app import Stopped
from .flags import MODEL
from .labs import How, broken, changes

if TYPE_CHECKING:
    from ...experiment import Lab, LabResult
    from ...journal import Part
    from ...show.blocks import Document
    from ..settings import Layer

FOLDER, NAME = "report", "labs"


def run_all(
    labs: Sequence[Lab],
    flags: Layer,
    changed: Sequence[str],
    out: Path | None,
    how: How,
    others: Mapping[str, Any],
) -> None:
    """Run these labs; `others` are flags that make sense for a single lab only."""
    from ...errors import BadText
    from ...journal import Journal, folder_for_report
    from ..settings import experiment_of, outcome, read_config
    from .running import announced, load, told_of

    for flag, value in others.items():
        if value:
            raise BadText(f"{flag} is for a single lab", hint=f"for example: invivo run 02 {flag} …")
    found = read_config(how.config)
    settings = [outcome(found, flags | changes(changed, lab), lab) for lab in labs]
    experiments = [experiment_of(layer) for layer in settings]  # all of them, before anything runs
    announced(found, *settings)
    folder = out or Path(FOLDER)
    folder_for_report(folder)
    loaded = [settings[0][key].value for key in MODEL]
    model = load(settings[0], how.allow_pickle, how.allow_remote_code)
    done: dict[str, LabResult] = {}
    failed: dict[str, str] = {}
    stopped = ""
    for number, (lab, experiment, layer) in enumerate(zip(labs, experiments, settings, strict=True), 1):
        talk.say(f"lab {lab.label} · {lab.title} ({number} of {len(labs)})")
        try:
            if loaded != (wanted := [layer[key].value for key in MODEL]):  # a config gives a lab a model of its own
                model, loaded = load(layer, how.allow_pickle, how.allow_remote_code), wanted
            with talk.busy(f"running lab {lab.label}"):
                result = model.run_lab(lab, experiment, on_step=lambda title: talk.say(f"  {title}"))
        except KeyboardInterrupt as interrupt:
            result, stopped = getattr(interrupt, "kept", None), lab.label
        except Exception as error:
            result, failed[lab.full_name] = None, reason(error)
            talk.say(f"  failed: {failed[lab.full_name]}")
        if result is not None:
            done[lab.full_name] = result
            if not how.no_journal:
                kind = "cut short" if stopped else "lab"
                Journal().keep(result.comparison, lab=lab.full_name, takeaway=result.takeaway, kind=kind)
            if not how.as_json:
                talk.show(card(lab, result), gap=len(done) > 1)
        if stopped:
            break
    if not done and stopped:
        raise Stopped("stopped; nothing was done yet")
    told = [lab for lab in labs if lab.full_name in done or lab.full_name in failed]
    parts = [part(lab, done.get(lab.full_name), failed.get(lab.full_name, "")) for lab in told]
    opening = summary(labs, done, failed, stopped, loaded[0])
    written = write(folder, labs, done, failed, parts, opening)
    if how.as_json:
        talk.data(document(done, failed) | {"report": str(folder)})
    else:
        talk.show(opening.model_copy(update={"blocks": opening.blocks[:-2]}), gap=True)  # each lab has had its lines
    told_of(written, *(p.document for p in parts))
    if stopped:
        raise Stopped(f"stopped in lab {stopped}; what was done until then is in {folder}")
    if failed or any(map(broken, done.values())):
        raise typer.Exit(1)


def reason(error: Exception) -> str:
    """Why a lab failed, in one line."""
    from ...errors import InvivoError

    if os.environ.get("INVIVO_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, InvivoError):
        return error.what + (f" ({error.hint})" if error.hint else "")
    return f"{type(error).__name__}: {error} (a fault of invivo; INVIVO_DEBUG=1 shows where)"


def card(lab: Lab, result: LabResult) -> Document:
    """A lab in a few lines."""
    from ...show.blocks import Document, Heading, Points, Text

    no = broken(result)
    claims = (Points(items=tuple(f"✗ {text}" for text in no)),) if no else ()
    return Document(
        blocks=(
            Heading(text=f"Lab {lab.label} · {lab.title}"),
            Text(text=result.takeaway, tone="takeaway"),
            *claims,
            Text(text=f"claims that hold: {score(result)}", tone="dim"),
        )
    )


def score(result: LabResult) -> str:
    """How many of the claims that are expected to hold do."""
    expected = [v for v in result.all_verdicts if v.expected]
    return f"{sum(v.holds for v in expected)} of {len(expected)}"


def part(lab: Lab, result: LabResult | None, failure: str) -> Part:
    """A lab's part of the report; of one that failed, why."""
    from ...journal import Part, run_of
    from ...show.blocks import Document, Heading, Text

    title = f"§{lab.section} · {lab.label} · {lab.title}"
    if result is not None:
        return Part(lab.label, title, result.document(lab), run_of(result))
    told = Text(text=f"This lab could not be run: {failure}", tone="note")
    heading = Heading(text=f"Lab {lab.label} · {lab.title}", level=1)
    return Part(lab.label, f"{title} (could not be run)", Document(blocks=(heading, told)))


def summary(
    labs: Sequence[Lab], done: Mapping[str, LabResult], failed: Mapping[str, str], stopped: str, model: str
) -> Document:
    """How the report opens: what was run, what held, and what each lab taught."""
    from ...show.blocks import Document, Heading, Points, Text

    verdicts = [v for result in done.values() for v in result.all_verdicts if v.expected]
    ran = f"{len(done)} of {len(labs)} labs ran; {sum(v.holds for v in verdicts)} of {len(verdicts)} claims that are "
    ran += "expected to hold do."
    notes = [f"Stopped by Ctrl-C in lab {stopped}."] if stopped else []
    if failed:
        notes.append("Could not be run: " + ", ".join(failed) + ".")
    found = tuple(
        f"{lab.label} (claims that hold: {score(done[lab.full_name])}). {done[lab.full_name].takeaway}"
        for lab in labs
        if lab.full_name in done
    )
    return Document(
        blocks=(
            Heading(text=f"The labs of the guide on {Path(model).name}", level=1),
            Text(text=ran),
            *(Text(text=note, tone="note") for note in notes),
            Heading(text="What each lab found"),
            Points(items=found),
        )
    )


def document(done: Mapping[str, LabResult], failed: Mapping[str, str]) -> dict[str, Any]:
    """All results as one JSON document."""
    return {"labs": [json.loads(result.to_json()) for result in done.values()], "failed": dict(failed)}


def write(
    folder: Path,
    labs: Sequence[Lab],
    done: Mapping[str, LabResult],
    failed: Mapping[str, str],
    parts: Sequence[Part],
    opening: Document,
) -> list[Path]:
    """Write the report of all of them."""
    from ...journal import write_report
    from ...labs.copying import recipe

    recipes = {
        f"recipes/{lab.full_name}.yaml": recipe(lab, done[lab.full_name].comparison.recipe)
        for lab in labs
        if lab.full_name in done
    }
    files = {f"{NAME}.json": json.dumps(document(done, failed), ensure_ascii=False, indent=1) + "\n"}
    with talk.busy("writing the report"):
        return write_report(folder, NAME, "The labs of the guide", parts, files | recipes, opening)
