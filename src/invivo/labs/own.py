"""Labs of the reader's own: a Python or YAML file, named on the command line or put into the folder `labs` of home.

A Python lab is the reader's own code: it is executed when it is run, never when labs are listed; a list reads the
title out of its source. A lab is called as its file is, and a mistake in the file is told with its line. Names of the
guide's labs are taken: such a file in the folder is listed as hidden, and runs when its path is given.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import ValidationError

from ..errors import BadText, InvivoError, unknown
from ..experiment import Lab
from ..files import read
from ..home import home
from ..spec import Spec
from . import LISTED_BY, aliases, lab_named
from .written import lab_from_yaml

ENDINGS = (".py", ".yaml", ".yml")


class Listed(Spec):
    """A lab of the reader's own, as a list shows it."""

    name: str
    """What it is called by."""
    file: str
    """Where it is."""
    title: str = ""
    """Its title, where the file says it in plain words."""
    problem: str = ""
    """Why it cannot be run by its name."""


def folder() -> Path:
    """Where labs of the reader's own are looked for; it may not exist. Raises InvivoError where there is no home."""
    return home() / "labs"


def own_labs() -> tuple[Listed, ...]:
    """The labs in the folder, by name. None of their code is executed."""
    try:
        files = sorted(
            p for p in folder().iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith(("_", "."))
        )
    except (OSError, InvivoError):
        return ()
    found: dict[str, Listed] = {}
    for path in files:
        name = name_of(path, free=False)
        title, problem = glance(path)
        if name in aliases():
            problem = f"lab {aliases()[name].number} of the guide has this name: rename the file"
        elif name in found:
            problem = f"{Path(found[name].file).name} has this name, too: rename one of them"
        found[path.name if problem else name] = Listed(name=name, file=str(path), title=title, problem=problem)
    return tuple(found.values())


def find(text: str) -> Lab:
    """The lab that answers to a name, the guide's or the reader's own, or that is in a file. Raises InvivoError."""
    word = text.strip()
    path = Path(word).expanduser()
    known = aliases()
    if path.suffix.lower() in ENDINGS:
        taken = known.get(word.lower().replace("-", "_"))
        if path.is_file() and taken is not None:
            raise BadText(
                f"{word!r} is a file here, and a lab of the guide",
                hint=f"write ./{word} or {taken.number}, as you mean",
            )
        if path.is_file():
            return lab_from(path, shown=word)
        if taken is None:
            raise BadText(f"there is no file {word!r}", hint=f"`{LISTED_BY}` lists the labs there are")
    mine = {one.name: one for one in own_labs() if not one.problem}
    name = word.lower().replace("-", "_")
    if name in mine:
        return lab_from(Path(mine[name].file))
    if mine and name not in known:
        raise unknown("lab", text, (*known, *mine), LISTED_BY)
    return lab_named(text)


def label_named(text: str) -> str:
    """The label of a lab by its name, without executing anything. Raises UnknownName."""
    name = text.strip().lower().replace("-", "_")
    mine = [one.name for one in own_labs() if not one.problem]
    return name if name in mine else lab_named(text).label


def name_of(path: Path, *, free: bool = True) -> str:
    """What a file's lab is called; with `free`, never as a lab of the guide."""
    name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    name = name if re.match("[a-z]", name) or not free else f"my_{name}".rstrip("_")
    return f"my_{name}" if free and name in aliases() else name


def lab_from(path: Path, shown: str = "") -> Lab:
    """The lab in a file; Python is executed. Raises BadText with the line that is wrong."""
    try:
        text = read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadText(f"{path} is not UTF-8, from byte {error.start} on", hint="save it as UTF-8") from None
    if path.suffix.lower() != ".py":
        return lab_from_yaml(text, name=name_of(path), where=path.name, file=shown)
    lab = executed(path, text)
    return lab.model_copy(
        update={
            "number": "",
            "name": name_of(path),
            "file": shown,
            "takeaway": guarded(lab.takeaway, path),
            "claims": tuple(c.model_copy(update={"holds": guarded(c.holds, path)}) for c in lab.claims),
            "steps": tuple(
                step.model_copy(
                    update={
                        "recipe": guarded(step.recipe, path),
                        "claims": tuple(c.model_copy(update={"holds": guarded(c.holds, path)}) for c in step.claims),
                    }
                )
                for step in lab.steps
            ),
        }
    )


def executed(path: Path, text: str) -> Lab:
    """Execute a Python file and take its LAB."""
    module = ModuleType(f"invivo_own_{name_of(path)}")
    module.__file__ = str(path.absolute())
    sys.modules[module.__name__] = module  # dataclasses and pydantic look their module up
    try:
        exec(compile(text, module.__file__, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise located(error, path) from None
    lab = vars(module).get("LAB")
    if not isinstance(lab, Lab):
        raise BadText(
            f"{path.name} defines no LAB", hint="a lab file ends in `LAB = Lab(…)`; `invivo copy 02` writes one"
        )
    return lab


def guarded(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """The same function; what it raises is told with its line."""

    @functools.wraps(function)
    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except Exception as error:
            raise located(error, path) from None

    return call


def located(error: BaseException, path: Path) -> InvivoError:
    """An error of somebody's file as one of ours: file, line, reason."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while line is None and trace is not None:
        at = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path.absolute()) else None
        trace = trace.tb_next
        if at is not None and not _again(trace, path):
            line = at
    where = path.name + (f", line {line}" if line else "")
    if isinstance(error, InvivoError):
        return type(error)(f"{where}: {error.what}", hint=error.hint)
    if isinstance(error, ValidationError):
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InvivoError):
            return type(cause)(f"{where}: {cause.what}", hint=cause.hint)
        field = ".".join(map(str, first["loc"]))
        return BadText(f"{where}: {error.title}: {field}: {first['msg'].lower()}")
    if isinstance(error, SyntaxError):
        return BadText(f"{where}: {error.msg}")
    if isinstance(error, ModuleNotFoundError):
        return BadText(f"{where}: {error}", hint="install it beside invivo, or leave the import out")
    said = f": {error}" if str(error) else ""
    return BadText(f"{where}: {type(error).__name__}{said}")


def _again(trace: Any, path: Path) -> bool:
    """Whether a traceback comes back to the file further in."""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.absolute()):
            return True
        trace = trace.tb_next
    return False


def glance(path: Path) -> tuple[str, str]:
    """A file's title, and what is wrong with it, as far as reading tells."""
    try:
        text = read(path).decode("utf-8-sig")
        if path.suffix.lower() != ".py":
            data = yaml.safe_load(text)
            return (str(data.get("title", "")), "") if isinstance(data, dict) else ("", "it holds no lab")
        for node in ast.parse(text).body:
            names = [t.id for t in getattr(node, "targets", ()) if isinstance(t, ast.Name)]
            if "LAB" in names and isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                words = {k.arg: k.value for k in node.value.keywords}
                title = words.get("title")
                return (str(ast.literal_eval(title)), "") if isinstance(title, ast.Constant) else ("", "")
            if "LAB" in names:
                return "", ""
        return "", "it defines no LAB"
    except (InvivoError, UnicodeDecodeError, SyntaxError, ValueError, RecursionError, yaml.YAMLError) as error:
        line = getattr(error, "lineno", None) or getattr(getattr(error, "problem_mark", None), "line", None)
        return "", "it cannot be read" + (f", from line {line} on" if line else "")
