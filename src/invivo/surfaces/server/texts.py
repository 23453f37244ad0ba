"""What the page reads, as data: the guide, tweaks as sentences, places, numbers, exhibits."""

from __future__ import annotations

from typing import Any

from ...experiment import Experiment
from ...spec import Spec


class Told(Spec):
    """A step of a lab, before it is run."""

    name: str
    """Its name."""
    title: str
    """A few words, or a question."""
    text: str
    """What is done, and where to look."""


class LabText(Spec):
    """A lab as plain data: its text, its experiment, and its claims in words."""

    number: str
    """Two digits."""
    name: str
    """Its name without the number."""
    full_name: str
    """Both."""
    section: int
    """Section of the guide."""
    title: str
    """A few words."""
    why: str
    """Why anyone should care."""
    know: tuple[str, ...]
    """What to know beforehand."""
    numbers: tuple[str, ...]
    """Metrics that matter here."""
    look_for: str
    """Where to look."""
    questions: tuple[str, ...]
    """What to try next."""
    sources: tuple[str, ...]
    """Papers or pages."""
    hero: int
    """Which TWEAK row is shown."""
    experiment: Experiment
    """What is run."""
    claims: tuple[str, ...]
    """What must hold."""
    steps: tuple[Told, ...]
    """Further experiments."""


class SectionText(Spec):
    """A section of the guide, with its labs."""

    number: int
    """Its number."""
    title: str
    """A few words."""
    why: str
    """What it is for."""
    labs: tuple[LabText, ...]
    """Its labs."""


class Part(Spec):
    """A piece of a tweak's form: words as they stand, or a slot to be filled."""

    optional: bool
    """Whether it may be left out."""
    words: str | None = None
    """The words."""
    slot: str | None = None
    """The slot's name."""
    word: str = ""
    """What people call what goes there: PLACE, NUMBER."""
    sample: str = ""
    """An example."""
    pattern: str = ""
    """How it is spelled, as a regular expression."""
    what: str = ""
    """What it means."""


class Form(Spec):
    """A kind of tweak, as a sentence to be filled in."""

    name: str
    """Its class."""
    family: str
    """Where it acts."""
    usage: str
    """Its line, with slots in capitals."""
    what: str
    """What it does."""
    parts: tuple[Part, ...]
    """The pieces of its line."""


class SiteText(Spec):
    """A kind of place in a model."""

    name: str
    """Its name."""
    axes: tuple[str, ...]
    """Its dimensions."""
    layered: bool
    """Whether every layer has one."""
    what: str
    """What stands there."""


class MetricText(Spec):
    """A number that is taken between BASE and TWEAK."""

    name: str
    """Its name."""
    label: str
    """What people call it."""
    unit: str
    """Its unit."""
    gloss: str
    """What it means, in plain words."""
    needs: tuple[str, ...]
    """Fields that it cannot be had without."""


class Setting(Spec):
    """A setting of an exhibit."""

    name: str
    """Its name."""
    what: str
    """What it means."""
    default: Any
    """What it is when nothing is said."""


class ExhibitText(Spec):
    """Something to look at that compares no runs."""

    name: str
    """Its name."""
    title: str
    """A few words."""
    what: str
    """What it shows."""
    settings: tuple[Setting, ...]
    """What can be set."""


class PictureText(Spec):
    """A picture that a lab can name."""

    name: str
    """Its name."""
    what: str
    """What it shows."""


class Vocabulary(Spec):
    """Everything that a sentence of the page can be made of."""

    tweaks: tuple[Form, ...]
    """Kinds of tweaks."""
    sites: tuple[SiteText, ...]
    """Places in a model."""
    places: tuple[str, ...]
    """Places as they are written."""
    metrics: tuple[MetricText, ...]
    """Numbers."""
    exhibits: tuple[ExhibitText, ...]
    """Exhibits."""
    pictures: tuple[PictureText, ...]
    """Pictures."""


class ReadTweak(Spec):
    """A tweak of a line, read."""

    name: str
    """Its kind."""
    family: str
    """Where it acts."""
    line: str
    """Its own line."""
    slots: dict[str, str]
    """What stands in each slot."""


class ReadStack(Spec):
    """A row's line, read."""

    line: str
    """The line, as it is written best."""
    tweaks: tuple[ReadTweak, ...]
    """Its tweaks."""
