"""`invivo compare`: BASE against TWEAKs on one prompt, or the recipe of it in another form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, Stopped, app
from .flags import AllowPickle, AllowRemoteCode, As, ConfigFile, Html, Json, NoJournal, Takeaway, takes

if TYPE_CHECKING:
    from ...experiment import Experiment
    from ..settings import Config, Layer


@app.command(rich_help_panel=EXPERIMENTS)
@takes()
def compare(
    flags: Any,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What both read.", show_default=False)] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            "--prompt-file",
            metavar="FILE",
            show_default=False,
            help="Read the prompt from a file, without the line end at its end; - is stdin.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            show_default=False,
            help="Run the experiment of a YAML recipe, or of a result saved with --json; - is stdin.",
        ),
    ] = None,
    control: Annotated[
        int,
        typer.Option(
            "--control",
            metavar="K",
            min=0,
            help="Is it real? The same tweaks at K random places of their kind (20 is enough to tell).",
        ),
    ] = 0,
    control_prompts: Annotated[
        Path | None,
        typer.Option(
            "--control-prompts",
            metavar="FILE",
            show_default=False,
            help="Other prompts, one a line, that a control tries the tweaks on, too.",
        ),
    ] = None,
    form: As = None,
    takeaway: Takeaway = None,
    no_journal: NoJournal = False,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Compare BASE with TWEAKs on one prompt, with the same random draws.

    For example: invivo compare "Once upon a time" --tweak "zero head 3.5". `invivo tweaks` lists what can be written.
    """
    from ..settings import experiment_of, given, read_config
    from .running import allowed, announced, cut_short, keep, load, recipe_text, write_html

    if prompt_file is not None:
        prompt = _text_of(prompt_file, prompt)
    if prompt is not None:
        flags["prompt"] = given("prompt", prompt, "argument")
    found = read_config(config)
    settings = _settings(found, flags, recipe)
    experiment = experiment_of(settings)
    announced(found, settings)
    _note_idle(flags, experiment)
    if form is not None:
        return talk.data(recipe_text(experiment, form, allowed(allow_pickle, allow_remote_code)))
    model = load(settings, allow_pickle, allow_remote_code)
    stopped: Stopped | None = None
    try:
        with talk.busy(f"running {model.name}"):
            result = model.run(experiment)
    except KeyboardInterrupt as interrupt:
        result = cut_short(interrupt)
        stopped = Stopped("stopped; what was said until then is above")
    write_html(html, result)
    controls = [] if stopped else _controls(model, experiment, control, control_prompts)
    if as_json:
        whole = result.to_json()
        talk.data(
            json.loads(whole) | {"controls": [c.model_dump(mode="json") for c in controls]} if controls else whole
        )
    else:
        talk.show(result.document())
        for found_control in controls:
            talk.show(found_control.document(), gap=True)
    if not no_journal:
        keep(result, takeaway)
    if stopped is not None:
        raise stopped
    return None


def _controls(model: Any, experiment: Experiment, count: int, prompts: Path | None) -> list[Any]:
    """Each TWEAK beside the same tweak elsewhere; those without another place are named and left out."""
    from ...errors import BadText
    from ..files import read_text

    if prompts is not None and not count:
        raise BadText("--control-prompts goes with --control", hint="add --control 20")
    tried = [] if prompts is None else [x for x in read_text(prompts, "prompts").splitlines() if x.strip()]
    found = []
    for stack in experiment.tweaks if count else ():
        try:
            with talk.busy(f"trying {stack} elsewhere"):
                found.append(
                    model.control(
                        stack,
                        experiment.prompt,
                        metric="target" if experiment.target else "kl_next",
                        count=count,
                        prompts_to_try=tried,
                        target=experiment.target,
                        prompts=experiment.prompts,
                    )
                )
        except BadText as error:
            talk.say(f"note: no control for `{stack}`: {error.what}")
    return found


def _text_of(file: Path, prompt: str | None) -> str:
    from ...errors import BadText
    from ..files import read_text

    if prompt is not None:
        raise BadText("a prompt and a --prompt-file are given", hint="give one of them")
    return read_text(file, "prompt file").removesuffix("\n").removesuffix("\r")


def _settings(config: Config, flags: Layer, recipe: Path | None) -> Layer:
    """All settings merged. A recipe is complete as it stands, so of a config only the device goes with it."""
    from ...errors import InvivoError
    from ...experiment import Experiment, read_yaml
    from ..files import read_text
    from ..settings import defaults, flatten, located, outcome

    if recipe is None:
        return outcome(config, flags)
    text, name = read_text(recipe, "recipe"), "stdin" if str(recipe) == "-" else str(recipe)
    try:
        data = read_yaml(text)
        if isinstance(data, dict) and "recipe" in data:  # a saved result carries its recipe
            data = data["recipe"]
        plain = Experiment.of(data).plain()
    except InvivoError as error:
        raise located(error, name) from None
    device = {key: value for key, value in config.values.items() if key == "device"}
    return defaults() | device | flatten(plain, name) | flags


def _note_idle(flags: Layer, experiment: Experiment) -> None:
    """Say it when a decoding flag cannot change anything, because BASE takes the likeliest token anyway."""
    idle = [
        flags[f"decoding.{name}"].source.removeprefix("flag ")
        for name in ("temperature", "top_k", "top_p")
        if f"decoding.{name}" in flags
    ]
    if idle and not experiment.decoding.do_sample:
        talk.say(f"note: without --sample the likeliest token is taken: {', '.join(idle)} changes nothing in BASE")
