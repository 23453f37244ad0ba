"""What the commands that run a model share: which settings file, load, print the recipe instead, keep what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import talk
from .flags import MODEL, Form

if TYPE_CHECKING:
    from pathlib import Path

    from ...experiment import Comparison, Experiment, Lab, LabResult, Recipe
    from ...experiment.exhibit import Exhibit, ExhibitRecipe
    from ...experiment.result import Result
    from ...show.blocks import Document
    from ..settings import Config, Layer


def announced(config: Config, *settings: Layer) -> None:
    """Name the config file on stderr when it decided something of what will run."""
    decided = {key: None for layer in settings for key, v in layer.items() if v.source.startswith(f"{config.name}:")}
    if config.name and decided:
        talk.say(f"config: {config.name} sets {', '.join(decided)}")


def settled(path: Any, flags: Layer) -> Layer:
    """The settings of a command that runs a model and no experiment: defaults, config file, flags. What the file
    decides about the model is told.
    """
    from ..settings import outcome, read_config

    config = read_config(path)
    settings = outcome(config, flags)
    announced(config, {key: settings[key] for key in MODEL})
    return settings


def load(settings: Layer, allow_pickle: bool, allow_remote_code: bool) -> Any:
    """The model that the settings name, loaded and checked."""
    name = settings["model"].value
    with talk.busy(f"loading {name}"):
        import invivo

        return invivo.load(
            name,
            device=settings["device"].value,
            dtype=settings["dtype"].value,
            revision=settings["revision"].value,
            allow_pickle=allow_pickle,
            allow_remote_code=allow_remote_code,
        )


def allowed(allow_pickle: bool, allow_remote_code: bool) -> tuple[str, ...]:
    """What loading is allowed to run, as a comparison tells it."""
    return tuple(what for what, yes in (("pickle", allow_pickle), ("remote-code", allow_remote_code)) if yes)


def recipe_text(experiment: Experiment | ExhibitRecipe, form: Form, allow: Sequence[str] = ()) -> str:
    """The experiment as text that runs it again. A recipe in YAML can allow nothing: it says which flag to add.

    Raises Refused for an exhibit's as Python: it has no such form.
    """
    from ...errors import Refused
    from ...experiment import Experiment

    if form.value == "yaml":
        needs = f"# run it with {' '.join(f'--allow-{what}' for what in allow)}\n" if allow else ""
        return needs + experiment.to_yaml().rstrip("\n")
    if not isinstance(experiment, Experiment):
        if form.value == "python":
            raise Refused("what `invivo show` shows is not written as Python", hint="--as cli, or --as yaml")
        return experiment.to_cli()
    return {"python": experiment.to_python, "cli": experiment.to_cli}[form.value](allow).rstrip("\n")


def keep(result: Comparison | Exhibit, takeaway: str | None, lab: str | None = None, kind: str | None = None) -> None:
    """Keep a run in the journal, and tell its name."""
    from ...journal import Journal

    kind = kind or ("lab" if lab else "compare")
    entry = Journal().keep(result, lab=lab, takeaway=takeaway or "", kind=kind)
    next_step = "" if entry.takeaway else '; `invivo journal add "…"` keeps what you learned from it'
    talk.say(f"kept as {entry.id}{next_step}")


def write_lab(folder: Path, lab: Lab, result: LabResult) -> None:
    """Write a lab's report into a folder, and tell what was written."""
    from ...journal import Part, run_of, write_report
    from ...labs.copying import recipe

    name, title = lab.full_name, f"Lab {lab.label} · {lab.title}"
    files = {f"{name}.json": result.to_json() + "\n", f"{name}.yaml": recipe(lab, result.comparison.recipe)}
    part = Part(lab.label, title, result.document(lab), run_of(result))
    told_of(write_report(folder, name, title, [part], files), part.document)


def write_html(path: Path | None, result: Result, recipe: Recipe | None = None) -> None:
    """Write a result as one HTML file, where one is asked for."""
    if path is None:
        return
    from ...files import replace
    from ...journal import one_file
    from ...show import shell

    replace(path, one_file(result, recipe).encode("utf-8", "backslashreplace"))
    talk.say(f"wrote {path}; `invivo replay {shell.quote(str(path))}` runs it again")


def told_of(written: Sequence[Path], *documents: Document) -> None:
    """Tell which files were written."""
    figures = sum(len(document.figures) for document in documents)
    folder = written[0].parent
    names = ", ".join(path.name for path in written if path.parent == folder)
    recipes = sum(path.parent != folder for path in written)
    also = f", {figures} figures as SVG and PNG" if figures else ""
    also += f", {recipes} recipes" if recipes else ""
    talk.say(f"wrote {names}{also} into {folder}")


def cut_short(interrupt: KeyboardInterrupt) -> Any:
    """What an interrupted run had come to. Raises the interrupt again where that is nothing."""
    kept = getattr(interrupt, "kept", None)
    if kept is None:
        raise interrupt
    return kept
