"""The flags that set something of a run, each declared once: its name, the setting it stands for, its help.

`takes(...)` gives a command the flags it names; the command receives what was given as one layer of settings, called
`flags`. The help repeats the fields' own words, so that `invivo --help` need not load the data layer; a test holds the
two equal. Switches that are no setting (`--json`, `--allow-pickle`) are the annotations below.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


@dataclass(frozen=True)
class Flag:
    """One flag. `key` is the setting's permanent name."""

    key: str
    option: str
    kind: Any
    help: str
    metavar: str | None = None

    @property
    def parameter(self) -> str:
        """The name under which Typer hands its value over."""
        return "flag_" + self.key.replace(".", "_")

    @property
    def annotation(self) -> Any:
        """What Typer needs to know."""
        panel = "Decoding" if self.key.startswith("decoding.") or self.key == "seed" else "Experiment"
        return Annotated[
            self.kind | None,
            typer.Option(self.option, help=self.help, metavar=self.metavar, rich_help_panel=panel, show_default=False),
        ]


FLAGS = {
    flag.key: flag
    for flag in (
        Flag("tweaks", "--tweak", list[str], "One TWEAK row each; a row's tweaks are joined by ` + `.", "TWEAK"),
        Flag(
            "prompts",
            "--prompt",
            list[str],
            "Further prompts by name, which tweaks such as `copy … from clean` take values from.",
            "NAME=TEXT",
        ),
        Flag(
            "target", "--target", str, "An answer whose log-probability after the prompt is measured, in nats.", "TEXT"
        ),
        Flag("wrong", "--wrong", str, "An answer that the target is compared with.", "TEXT"),
        Flag("read", "--read-text", str, "A text whose perplexity each row is asked for.", "TEXT"),
        Flag("model", "--model", str, "Name or folder of the model.", "NAME"),
        Flag("revision", "--revision", str, "The model's revision on its hub.", "NAME"),
        Flag(
            "dtype",
            "--dtype",
            str,
            "Number format of the weights; the model's own on a GPU, float32 on a CPU, when left out.",
            "NAME",
        ),
        Flag(
            "device",
            "--device",
            str,
            "Where it runs: cpu, cuda, cuda:1 or mps; the best there is when left out.",
            "NAME",
        ),
        Flag("top", "--top", int, "How many tokens the next-token table shows of each row.", "N"),
        Flag(
            "decoding.do_sample",
            "--sample/--no-sample",
            bool,
            "Sample from the distribution; otherwise take the likeliest token (greedy).",
            "",
        ),
        Flag("decoding.temperature", "--temperature", float, "Divides the logits before sampling; 0 is greedy.", "X"),
        Flag("decoding.top_k", "--top-k", int, "Keep the k likeliest tokens; 0 keeps all.", "N"),
        Flag(
            "decoding.top_p", "--top-p", float, "Keep the fewest tokens whose probability reaches p; 1 keeps all.", "X"
        ),
        Flag(
            "decoding.num_beams",
            "--beams",
            int,
            "Search for the likeliest text with as many drafts side by side (beam search); 1 is none.",
            "N",
        ),
        Flag("decoding.max_new_tokens", "--max-new-tokens", int, "How many tokens to generate.", "N"),
        Flag("seed", "--seed", int, "The dice: BASE and TWEAK share them.", "N"),
    )
}
MODEL = ("model", "revision", "dtype", "device")


class Form(StrEnum):
    """How a recipe can be written."""

    yaml = "yaml"
    python = "python"
    cli = "cli"


Json = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON document and nothing else.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default=False,
        help="Settings to use instead of the working folder's config.yaml.",
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        metavar="",
        help="Load weights from pickle files. They can run any code: only if you trust their author.",
    ),
]
AllowRemoteCode = Annotated[
    bool,
    typer.Option(
        "--allow-remote-code", metavar="", help="Run code that comes with the model. Only if you trust its author."
    ),
]
NoJournal = Annotated[bool, typer.Option("--no-journal", metavar="", help="Do not keep the run in the journal.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        show_default=False,
        help="Write a report into it: Markdown, HTML, the figures, the result as JSON, the recipe.",
    ),
]


def report_file(path: Path | None) -> Path | None:
    """A file that a report may be written to. Raises Refused for one that is something else."""
    from ...errors import Refused
    from ...files import read
    from ...show.html import RUN

    if path is not None and path.exists() and RUN.encode() not in read(path):
        raise Refused(f"{path} is no report of invivo's", hint="choose another name: it would be overwritten")
    return path


Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        callback=report_file,
        show_default=False,
        help="Also write it as one HTML file, which opens offline and which `invivo replay` runs again.",
    ),
]
Takeaway = Annotated[
    str | None,
    typer.Option(
        "--takeaway", metavar="TEXT", help="What you learned, in one line: kept with the run.", show_default=False
    ),
]
As = Annotated[
    Form | None, typer.Option("--as", help="Print the recipe in that form and run nothing.", show_default=False)
]


def takes(*keys: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these settings; all of them when none is named. It gets them as the layer `flags`."""
    chosen = [FLAGS[key] for key in keys or FLAGS]

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "flags"]
        extra = [
            inspect.Parameter(flag.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag.annotation)
            for flag in chosen
        ]
        arguments = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

        @functools.wraps(command)
        def with_flags(**given: Any) -> None:
            values = {flag: given.pop(flag.parameter) for flag in chosen}
            command(flags=layer_of(values), **given)

        with_flags.__signature__ = inspect.Signature([*extra, *arguments])  # type: ignore[attr-defined]
        with_flags.__annotations__ = {p.name: p.annotation for p in (*extra, *own)}
        return with_flags

    return wrap


def layer_of(values: dict[Flag, Any]) -> Any:
    """The flags that were given, as a layer of settings."""
    from ...errors import BadText
    from ..settings import Layer, given, key_named

    layer: Layer = {}
    for flag, value in values.items():
        source = f"flag {flag.option.split('/')[0]}"
        if value is None or value == []:
            continue
        if flag.key != "prompts":
            layer[flag.key] = given(flag.key, value, source)
            continue
        for text in value:
            name, equals, prompt = text.partition("=")
            if not equals:
                raise BadText(
                    f"{source} {text!r} has no name",
                    hint='write --prompt NAME="…"; the prompt that is run stands without a flag',
                )
            key = key_named(f"prompts.{name}", ())
            layer[key] = given(key, prompt, source)
    return layer
