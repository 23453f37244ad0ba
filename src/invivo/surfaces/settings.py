"""Where every setting of a run comes from: defaults < config file < the lab's own < the config's labs < flags.

A `Layer` is a flat dictionary of settings by their permanent name (`seed`, `decoding.top_k`, `prompts.clean`), each
with the place it came from. Layers are merged with `|`, so the outcome says by itself who decided what. An experiment
is built from the outcome and validated there; a config file is checked key by key before, so that a mistake in it is
told with its line. Nothing here runs a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import BadText, InvivoError, unknown
from ..experiment import Experiment, Lab, read_yaml
from ..spec import NAME
from ..tweaks import Decoding, Stack
from .files import read_text

FILE_NAME = "config.yaml"
LISTED_BY = "invivo config show"
GROUPS = ("decoding", "prompts")
DECODING = tuple(f"decoding.{name}" for name in Decoding.model_fields)
GENERAL = ("model", "device", "dtype", "seed", "prompt", *DECODING)  # of a config, beside prompts and labs
OF_EXPERIMENT = (*(name for name in Experiment.model_fields if name not in GROUPS), *DECODING)


class Value(NamedTuple):
    """A setting's value and the place it came from."""

    value: Any
    source: str


Layer = dict[str, Value]


@dataclass(frozen=True)
class Config:
    """A config file: its general settings, and what it says about single labs (by number)."""

    name: str = ""
    values: Layer = field(default_factory=dict)
    labs: dict[str, Layer] = field(default_factory=dict)


def key_named(word: str, known: tuple[str, ...]) -> str:
    """A setting's permanent name from what a person writes: `temperature` is `decoding.temperature`."""
    key = {"tweak": "tweaks"}.get(word, word)
    key = f"decoding.{key}" if f"decoding.{key}" in DECODING else key
    if key.startswith("prompts."):
        if not re.fullmatch(NAME.pattern, key.removeprefix("prompts.")):
            raise BadText(f"{key.removeprefix('prompts.')!r} cannot name a prompt", hint="use letters, digits, _ and -")
    elif key not in known:
        raise unknown("setting", word, (*known, *(name for name in Decoding.model_fields)), LISTED_BY)
    return key


def flatten(data: Mapping[str, Any], source: str) -> Layer:
    """An experiment's plain data as a layer."""
    layer: Layer = {}
    for key, value in data.items():
        if key in GROUPS and isinstance(value, Mapping):
            layer |= {f"{key}.{name}": Value(item, source) for name, item in value.items()}
        else:
            layer[key] = Value(value, source)
    return layer


def nest(layer: Layer) -> dict[str, Any]:
    """The layer as an experiment's plain data (and `device`, which is no part of an experiment)."""
    data: dict[str, Any] = {}
    for key, setting in layer.items():
        group, dot, name = key.partition(".")
        if dot:
            data.setdefault(group, {})[name] = setting.value
        else:
            data[key] = setting.value
    return data


def experiment_of(layer: Layer) -> Experiment:
    """The experiment that the settings describe. Raises InvivoError for what it cannot be."""
    data = nest(layer)
    if data.get("prompt") is None:
        raise BadText("there is no prompt", hint='write one: invivo compare "Once upon a time" --tweak "zero head 3.5"')
    data.pop("device", None)
    return Experiment.of(data)


def defaults() -> Layer:
    """Every setting as it is when nobody says anything."""
    plain = flatten(Experiment(prompt="-").model_dump() | {"device": None}, "default")
    return {key: plain[key] for key in ("model", "revision", "device", "dtype", "seed", *DECODING, "top")}


def lab_layer(lab: Lab) -> Layer:
    """What a lab says about itself. It outranks a config's general settings, because it is what makes the lab."""
    return flatten(lab.experiment.model_dump(exclude_unset=True), f"lab {lab.label}")


def outcome(config: Config, flags: Layer, lab: Lab | None = None) -> Layer:
    """All layers merged, in order."""
    own = {} if lab is None else lab_layer(lab) | config.labs.get(lab.label, {})
    return defaults() | config.values | own | flags


# ── the config file ──────────────────────────────────────────────────────────────────────────────────────────────────


def read_config(path: Path | None = None) -> Config:
    """The config file at `path`, or the working folder's `config.yaml`, or an empty one. Raises with file and line."""
    if path is None:
        path = Path(FILE_NAME)
        if not path.is_file():
            return Config()
    text, name = read_text(path, "config file"), path.name
    try:
        data = read_yaml(text)
    except InvivoError as error:
        raise located(error, name) from None
    if data is None:
        return Config(name)
    if not isinstance(data, dict):
        raise BadText(
            f"{name}: settings are needed, as `seed: 7`, not {type(data).__name__}",
            hint="`invivo config init` writes one to start from",
        )
    values: Layer = {}
    labs: dict[str, Layer] = {}
    for keys, value, source in entries(text, name):
        try:
            layer, known = values, GENERAL
            if keys[0] == "labs":
                from ..labs.own import label_named

                layer, known, keys = labs.setdefault(label_named(keys[1]), {}), OF_EXPERIMENT, keys[2:]
            key = key_named(".".join(keys), known)
            if key in layer:
                raise BadText(f"{key} is given twice, first at {layer[key].source}")
        except InvivoError as error:
            raise located(error, source) from None
        layer[key] = given(key, value, source)
    return Config(name, values, labs)


def entries(text: str, name: str) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Every setting of a YAML mapping: the keys that lead to it as they are spelled, its value, its `name:line`."""
    loader = yaml.SafeLoader(text)

    def walk(node: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, str]]:
        for key, value in node.value:
            keys, source = (*above, str(key.value)), f"{name}:{key.start_mark.line + 1}"
            group = (keys[0] == "labs" and len(keys) <= 2) or (keys[-1] in GROUPS and len(keys) in (1, 3))
            if not group:
                try:
                    plain = loader.construct_object(value, deep=True)
                except yaml.constructor.ConstructorError as error:  # a value that holds itself
                    raise BadText(f"{source}: {'.'.join(keys)}: {error.problem}") from None
                yield keys, plain, source
            elif isinstance(value, yaml.MappingNode):
                yield from walk(value, keys)
            elif not value.tag.endswith(":null"):  # a group whose lines are all commented out is no mistake
                raise BadText(f"{source}: {'.'.join(keys)} holds settings of its own", hint=f"`{LISTED_BY}` lists them")

    yield from walk(loader.get_single_node(), ())


def given(key: str, value: Any, source: str) -> Value:
    """A value that somebody gave, once it is known to be allowed there. Raises InvivoError that names the source."""
    try:
        if key == "tweaks":
            return Value([str(Stack.of(row)) for row in (value if isinstance(value, list) else [value])], source)
        if key != "device":
            Experiment.of({"prompt": "-"} | nest({key: Value(value, source)}))
        elif value is not None and not isinstance(value, str):
            raise BadText(f"device: a name is needed (got {value!r})", hint="cpu, cuda, cuda:1 or mps")
        return Value(value, source)
    except InvivoError as error:
        raise located(error, source) from None


def located(error: InvivoError, where: str) -> InvivoError:
    """The same error, saying where."""
    return type(error)(f"{where}: {error.what}", hint=error.hint)


def template() -> str:
    """A config file in which every line is a default or an example, commented out: it changes nothing as it stands."""

    def item(name: str, value: Any, what: str | None, indent: str = "") -> str:
        line = yaml.safe_dump({name: value}).strip().replace(" null", "")
        return f"#{indent}{line}".ljust(24) + f"# {what}"

    general, decoding, start = Experiment.model_fields, Decoding.model_fields, Decoding()
    return "\n".join(
        (
            "# Settings of invivo. As it stands this file changes nothing: take the # off a line, and that line does.",
            "# defaults < this file < flags. `invivo config show` tells the outcome, and where each value came from.",
            "",
            item("model", general["model"].default, general["model"].description),
            item("device", None, "Where it runs: cpu, cuda, cuda:1 or mps; the best there is when left out."),
            item("dtype", None, general["dtype"].description),
            item("seed", general["seed"].default, general["seed"].description),
            "",
            "#decoding:",
            *(item(name, getattr(start, name), decoding[name].description, "  ") for name in decoding),
            "",
            "# What `invivo compare` reads when given no prompt, and prompts by name that tweaks take values from.",
            "#prompt: Once upon a time",
            "#prompts:",
            "#  clean: The capital of France is",
            "",
            "# Where a lab says something itself, the lab is right; here is the place to overrule it.",
            "#labs:",
            '#  "02":',
            "#    tweaks: [zero head 1.4]",
            "#    decoding: {max_new_tokens: 24}",
            "",
        )
    )
