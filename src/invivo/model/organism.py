"""fruitfly as data: its parts counted from config.json, and what report.json says was measured on it.

Only files are read, so explaining the organism loads no torch. Nothing is measured here: training/ does that. Its
report is taken at its word with two exceptions, which can be checked by looking: whether a figure reaches its bar, and
how many parameters there are. A file that cannot be read at all is an error; a part of the report that is missing or
damaged becomes a sentence in `faults`, and the rest is still there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from ..errors import BadText, InvivoError
from ..spec import Spec
from .sizes import Sizes

FRUITFLY = Path(__file__).with_name("fruitfly")
INSTALL = "install again: pip install --force-reinstall invivo"


class _Read(Spec):
    """Part of a file that others may have written more into."""

    model_config = ConfigDict(extra="ignore")


class Bar(_Read):
    """What a figure must reach."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Bar:
        if (self.at_least is None) == (self.at_most is None):
            raise BadText(f"the bar for {self.figure!r} must say either at_least or at_most")
        return self

    @property
    def bound(self) -> float:
        """The number to reach."""
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    def holds(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value >= self.bound if self.at_least is not None else value <= self.bound


class Behaviour(_Read):
    """Something the organism was taught, what was measured, and what was asked of the figures."""

    asked: str
    figures: dict[str, float]
    bars: tuple[Bar, ...] = ()
    met: bool

    @model_validator(mode="after")
    def _bars_have_figures(self) -> Behaviour:
        for bar in self.bars:
            if bar.figure not in self.figures:
                raise BadText(f"it has a bar for {bar.figure!r} but no such figure")
        return self

    @property
    def reached(self) -> bool:
        """Whether every bar holds, by the figures themselves."""
        return all(bar.holds(self.figures[bar.figure]) for bar in self.bars)


class Head(_Read):
    """An attention head of a circuit. `value` is its score, or the share by which losing it changes the answer."""

    head: str = Field(pattern=r"^\d{1,4}\.\d{1,4}$")
    value: float = Field(validation_alias=AliasChoices("score", "change"))

    @property
    def place(self) -> tuple[int, int]:
        """Layer and head."""
        layer, _, head = self.head.partition(".")
        return int(layer), int(head)


class Facts(_Read):
    """Where a fact's subject still decides the answer: the share that patching it in restores, by layer input."""

    restored: tuple[float, ...] = Field(min_length=1)
    deepest: int = Field(ge=0)

    @model_validator(mode="after")
    def _deepest_is_there(self) -> Facts:
        if self.deepest >= len(self.restored):
            raise BadText(f"deepest is layer {self.deepest}, but restored has {len(self.restored)} numbers")
        return self


class Circuits(_Read):
    """The heads that were found, by what they do, and where facts lie."""

    previous_token: tuple[Head, ...] = ()
    duplicate_token: tuple[Head, ...] = ()
    induction: tuple[Head, ...] = ()
    indirect: tuple[Head, ...] = ()
    facts: Facts | None = None

    @property
    def heads(self) -> Iterator[Head]:
        """All heads that it names."""
        yield from (*self.previous_token, *self.duplicate_token, *self.induction, *self.indirect)


class Score(_Read):
    """How well a held-out text was foreseen."""

    bits_per_byte: float
    perplexity: float


class Heldout(_Read):
    """A held-out text: what the model and a 5-gram model counted on the same training text made of it."""

    tokens: int
    model: Score
    five_gram: Score


@dataclass(frozen=True)
class Organism:
    """What is known of a model folder of ours."""

    folder: Path
    sizes: Sizes
    report: dict[str, Any]
    tokens: int | None  # read in training
    behaviours: dict[str, Behaviour]
    circuits: Circuits
    heldout: dict[str, Heldout]
    faults: tuple[str, ...]


def read_organism(folder: Path = FRUITFLY) -> Organism:
    """Read config.json and report.json of `folder`. Raises BadText where one of them cannot be read."""
    config, report = _json(folder / "config.json"), read_report(folder)
    try:
        sizes = Sizes.of(config)
    except InvivoError as error:
        raise BadText(f"{folder / 'config.json'} is damaged: {_why(error)}", hint=INSTALL) from None
    faults: list[str] = []
    behaviours = _each(Behaviour, report, "behaviours", faults)
    for name, found in behaviours.items():
        if found.bars and found.met != found.reached:
            said, so = ("met", "they are not") if found.met else ("not met", "they are")
            faults.append(f"behaviours.{name}: report.json says its bars are {said}, but by its figures {so}")
    circuits = _circuits(report, sizes, faults)
    heldout = _each(Heldout, report, "heldout", faults)
    stated, tokens = (_whole(report, *path) for path in (("model", "parameters"), ("training", "tokens")))
    if stated is not None and stated != sizes.parameters:
        faults.append(f"by config.json it has {sizes.parameters:,} parameters, by report.json {stated:,}")
    return Organism(folder, sizes, report, tokens, behaviours, circuits, heldout, tuple(faults))


def read_report(folder: Path = FRUITFLY) -> dict[str, Any]:
    """Everything that was measured, as report.json has it. Raises BadText."""
    return _json(folder / "report.json")


def read_text(file: Path) -> str:
    """A text of the model folder. Raises BadText."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadText(f"cannot read {file}: {error.strerror or error}", hint=INSTALL) from None
    except UnicodeDecodeError as error:
        raise BadText(f"cannot read {file}: byte {error.start} is not UTF-8", hint=INSTALL) from None


def _json(file: Path) -> dict[str, Any]:
    """A file with one JSON object, in which every number is finite."""

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError(f"{text} is not a finite number")
        return float(text)

    try:
        data = json.loads(read_text(file), parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        raise BadText(f"{file} is damaged: {error}", hint=INSTALL) from None
    if not isinstance(data, dict):
        raise BadText(f"{file} is damaged: it holds no JSON object", hint=INSTALL)
    return data


Part = TypeVar("Part", bound=_Read)


def _each(kind: type[Part], report: dict[str, Any], key: str, faults: list[str]) -> dict[str, Part]:
    """The entries of one part of the report, by name; what is missing or damaged goes to `faults`."""
    entries = report.get(key)
    if not isinstance(entries, dict) or not entries:
        faults.append(
            f"report.json has no {key}: this version was not measured, or the file is damaged"
            if key not in report
            else f"{key} of report.json is damaged"
        )
        return {}
    found = {}
    for name, data in entries.items():
        try:
            found[name] = kind.of(data)
        except InvivoError as error:
            faults.append(f"{key}.{name} of report.json is damaged: {_why(error)}")
    return found


def _circuits(report: dict[str, Any], sizes: Sizes, faults: list[str]) -> Circuits:
    """The circuits, every head of which exists."""
    if "circuits" not in report:
        faults.append("report.json has no circuits: this version was not searched, or the file is damaged")
        return Circuits()
    try:
        found = Circuits.of(report["circuits"])
        for head in found.heads:
            if head.place[0] >= sizes.layers or head.place[1] >= sizes.heads:
                raise BadText(f"there is no head {head.head}: {sizes.layers} layers have {sizes.heads} heads each")
        if found.facts and found.facts.deepest >= sizes.layers:
            raise BadText(f"there is no layer {found.facts.deepest}: {sizes.layers} layers count from 0")
    except InvivoError as error:
        faults.append(f"circuits of report.json are damaged: {_why(error)}")
        return Circuits()
    return found


def _why(error: InvivoError) -> str:
    """What is wrong, without the data it was found in, which may be long."""
    return error.what.partition(" (got ")[0]


def _whole(report: dict[str, Any], part: str, key: str) -> int | None:
    """A whole number of the report, or None."""
    inside = report.get(part)
    value = inside.get(key) if isinstance(inside, dict) else None
    return value if isinstance(value, int) else None
