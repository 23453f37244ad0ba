"""`invivo guide`: the sections of the guide in order, where the reader is, and what is next.

A section is done when its labs were run to their end, which the journal knows: a quickstart, a run cut short by Ctrl-C
and a lab of the reader's own count for nothing. The last section has no lab: it shows one experiment through every
door, and counts when `invivo guide next` has run it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, Stopped, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes
from .labs import How, perform

if TYPE_CHECKING:
    from ...experiment import Comparison, Experiment, Lab
    from ...labs import Section
    from ...show.blocks import Block, Document
    from ..settings import Layer

GLUE = 10  # the section without a lab
DONE, OPEN = "✓", "·"
PROMPT, TWEAK = "Once upon a time", "zero head 1.4"
CONFIG = """\
seed: 7
decoding:
  do_sample: true
  temperature: 0.8
  max_new_tokens: 24
"""


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL)
def guide(
    flags: Any,
    what: Annotated[
        str | None,
        typer.Argument(metavar="[next | N]", help="Run what is next, or show section N.", show_default=False),
    ] = None,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Walk through the guide: where you are and what is next; `next` runs it, a number shows that section."""
    from ...labs import SECTIONS

    how = How(allow_pickle, allow_remote_code, config, as_json=as_json)
    done = learned()
    if what is None:
        return talk.data(plain(done)) if as_json else talk.show(overview(done))
    word = what.strip().lower().removeprefix("§")
    if word == "next":
        return go_on(flags, how, done)
    if not word.isdigit() or int(word) >= len(SECTIONS):
        from ...errors import BadText

        raise BadText(f"the guide has no section {what!r}", hint=f"next, or a number from 0 to {len(SECTIONS) - 1}")
    section = SECTIONS[int(word)]
    if as_json:
        return talk.data(plain(done)["sections"][section.number])
    return talk.show(section_document(section, done))


def learned() -> dict[str, str]:
    """The labs that were run, by name, each with its takeaway; `guide` stands for the last section."""
    from ...journal import Journal

    return Journal().progress()


def labs_of(section: Section) -> list[Lab]:
    """A section's labs, in order."""
    from ...labs import all_labs

    return [lab for lab in all_labs() if lab.section == section.number]


def todo(section: Section, done: dict[str, str]) -> list[str]:
    """What of a section is still to be done: names of labs, `guide` for the last one."""
    names = ["guide"] if section.number == GLUE else [lab.full_name for lab in labs_of(section)]
    return [name for name in names if name not in done]


def next_of(done: dict[str, str]) -> tuple[Section, Lab | None] | None:
    """The first section with something to do, and its lab."""
    from ...labs import SECTIONS, lab_named

    for section in SECTIONS:
        for name in todo(section, done):
            return section, None if name == "guide" else lab_named(name)
    return None


def go_on(flags: Layer, how: How, done: dict[str, str]) -> None:
    """Run what is next, and say what comes after it."""
    from ...show.blocks import Document

    found = next_of(done)
    if found is None:
        talk.data(plain(done)) if how.as_json else talk.show(Document(blocks=tuple(after(done))))
        return
    section, lab = found
    if not how.as_json and (lab is None or lab == labs_of(section)[0]):
        talk.show(Document(blocks=tuple(opening(section))))
        talk.show(Document(blocks=()))
    try:
        if lab is None:
            run_glue(section, flags, how)
        else:
            perform(lab, flags, how)
    finally:
        now = learned()
        if not how.as_json and now.keys() != done.keys():
            talk.show(Document(blocks=tuple(after(now))), gap=True)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


def overview(done: dict[str, str]) -> Document:
    """Every section with what was done of it, and what is next."""
    from ...labs import SECTIONS, all_labs
    from ...show.blocks import Document, Heading, Points, Text

    blocks: list[Block] = []
    for section in SECTIONS:
        blocks.append(Heading(text=f"{_mark(complete(section, done))} §{section.number}  {section.title}", level=3))
        lines = [f"{DONE} " * (lab.full_name in done) + f"{lab.label} · {lab.title}" for lab in labs_of(section)]
        told = [done.get(lab.full_name) for lab in labs_of(section)]
        lines = [f"{line}: {what}" if what else line for line, what in zip(lines, told, strict=True)]
        if section.number == GLUE:
            lines = ["One experiment through every door"]
        blocks += [Points(items=tuple(lines))] if lines else []
    finished = sum(lab.full_name in done for lab in all_labs())
    return Document(
        blocks=(
            Heading(text="The guide: how language models work", level=1),
            Text(text=f"{finished} of {len(all_labs())} labs done. The journal remembers which ran to their end."),
            *blocks,
            *after(done),
        )
    )


def complete(section: Section, done: dict[str, str]) -> bool:
    """Whether a section has something to do, and nothing of it is left."""
    return not todo(section, done) and (section.number == GLUE or bool(labs_of(section)))


def _mark(done: bool) -> str:
    return DONE if done else OPEN


def section_document(section: Section, done: dict[str, str]) -> Document:
    """A section: why it is there, its labs, what they taught, and what is next."""
    from ...show.blocks import Code, Document, Heading, Text

    blocks: list[Block] = opening(section)
    if section.number == GLUE:
        blocks += glue()
    for lab in labs_of(section):
        name = lab.full_name
        blocks += [Heading(text=f"{_mark(name in done)} Lab {lab.label} · {lab.title}"), Text(text=lab.why)]
        blocks += [Text(text=done[name], tone="takeaway")] if done.get(name) else []
        blocks.append(Code(text=lab.command))
    return Document(blocks=(*blocks, *after(done)))


def opening(section: Section) -> list[Block]:
    """A section's title and why it is there."""
    from ...show.blocks import Heading, Text

    return [Heading(text=f"§{section.number} · {section.title}", level=1), Text(text=section.why)]


def after(done: dict[str, str]) -> list[Block]:
    """What is next."""
    from ...show.blocks import Code, Heading, Text

    found = next_of(done)
    if found is None:
        text = "You have been through the whole guide. Take a lab that you liked, and make it ask your own question:"
        return [Heading(text="Next"), Text(text=text), Code(text="invivo copy 02")]
    section, lab = found
    what = "one experiment through every door" if lab is None else f"lab {lab.label}, {_small(lab.title)}"
    return [
        Heading(text="Next"),
        Text(text=f"§{section.number}, {section.title}: {what}."),
        Code(text="invivo guide next"),
    ]


def _small(title: str) -> str:
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def plain(done: dict[str, str]) -> dict[str, Any]:
    """The same as data."""
    from ...labs import SECTIONS

    found = next_of(done)
    return {
        "sections": [
            {
                "number": section.number,
                "title": section.title,
                "why": section.why,
                "done": complete(section, done),
                "labs": [
                    {"name": lab.full_name, "title": lab.title, "done": lab.full_name in done}
                    | {"takeaway": done.get(lab.full_name, "")}
                    for lab in labs_of(section)
                ],
            }
            for section in SECTIONS
        ],
        "next": None if found is None else {"section": found[0].number, "lab": found[1] and found[1].full_name},
    }


# ── the last section: one experiment, every door ─────────────────────────────────────────────────────────────────────


def settings(flags: Layer) -> Layer:
    """What the example's config file and its one flag come to."""
    from ..settings import given, outcome, read_config

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(CONFIG, encoding="utf-8")
        found = read_config(path)
    own = {"prompt": given("prompt", PROMPT, "argument"), "tweaks": given("tweaks", [TWEAK], "flag --tweak")}
    return outcome(found, flags | own)


def example(flags: Layer) -> Experiment:
    """The experiment that they describe."""
    from ..settings import experiment_of

    return experiment_of(settings(flags))


def glue() -> list[Block]:
    """The example's config file and command, what they come to, and the same experiment through the other doors."""
    from ...show import shell
    from ...show.blocks import Code, Heading, Table, Text

    layer, whole = settings({}), example({})
    shown = ("model", "seed", *(key for key in layer if key.startswith("decoding.")), "prompt", "tweaks")
    rows = tuple((key, _value(layer[key].value), layer[key].source) for key in shown)
    return [
        Text(
            text="An experiment is plain data. What you always want goes into a `config.yaml` of the folder you work "
            "in, what you want once goes onto the command line, and a flag outranks the file."
        ),
        Heading(text="A config.yaml"),
        Code(text=CONFIG, language="yaml"),
        Heading(text="A command beside it"),
        Code(text=shell.join(["invivo", "compare", PROMPT, "--tweak", TWEAK])),
        Heading(text="What they come to"),
        Text(text="`invivo config show` prints such a table, with the place that decided each value."),
        Table(columns=("setting", "value", "from"), rows=rows),
        Heading(text="The same experiment through other doors"),
        Text(text="As one command, without the file:"),
        Code(text=whole.to_cli()),
        Text(text="As YAML, for `invivo compare --recipe FILE` or `invivo run FILE`:"),
        Code(text=whole.to_yaml(), language="yaml"),
        Text(text="As Python:"),
        Code(text=whole.to_python(), language="python"),
        Text(text="Every run prints its own recipe at the end, and `--as yaml`, `--as python` or `--as cli` it alone."),
    ]


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return " | ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def run_glue(section: Section, flags: Layer, how: How) -> None:
    """Run the example from its config and from its YAML, show both rows, and keep the run as the section's."""
    from ...experiment import Experiment
    from ...journal import Journal
    from ...show.blocks import Document, Text
    from .running import load

    if not how.as_json:
        talk.show(Document(blocks=tuple(glue())))
    layer = settings(flags)
    model = load(layer, how.allow_pickle, how.allow_remote_code)
    try:
        with talk.busy(f"running §{section.number}"):
            one = model.run(example(flags))
            two = model.run(Experiment.from_yaml(example(flags).to_yaml()))
    except KeyboardInterrupt:
        raise Stopped("stopped; this section was not finished") from None
    line = verdict(one, two)
    if how.as_json:
        talk.data(one.to_json())
    else:
        talk.show(one.document() + Document(blocks=(Text(text=line, tone="takeaway"),)), gap=True)
    talk.say(f"kept as {Journal().keep(one, takeaway=line, kind='guide').id}")


def verdict(one: Comparison, two: Comparison) -> str:
    """Whether two doors gave the same numbers, in words."""
    same = (one.base, one.tweaks) == (two.base, two.tweaks)
    return "Config file with one flag, and YAML: two doors, one experiment, " + (
        "and every number is the same." if same else "and yet the numbers differ; `invivo selftest` may say why."
    )
