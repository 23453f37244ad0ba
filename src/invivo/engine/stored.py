"""Figures that were computed beforehand, tied to the code that made them.

An exhibit whose figures take minutes keeps them as JSON beside its file: the settings they were asked with, a digest
of every definition that decides them, versions, seconds, and the figures. A test holds the digests against the source
of today. Seen is what a definition names in `invivo.engine`; what it reaches through an instance is not. `store` is
how the files are written:

    python -m invivo.engine.stored scaling            computes the figures anew
    python -m invivo.engine.stored scaling --stamp    keeps them: for a change of code that can change no figure
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import pkgutil
import sys
import time
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import BadText, InvivoError, unknown
from ..files import read, replace
from ..show.text import number
from ..spec import Spec

FOLDER = Path(__file__).parent / "exhibits"
COMMAND = "python -m invivo.engine.stored"
BEFOREHAND = "computed beforehand"  # what stands in every sentence and every claim about such figures
SCOPE = "invivo.engine"  # definitions elsewhere say how things are asked for and shown; these decide what comes out
DIGITS = 16  # of a digest, in hex


class Stored(Spec):
    """Figures as they lie on disk, with all that is needed to make them again."""

    command: str
    """What makes this file anew."""
    settings: dict[str, Any]
    """What was asked for."""
    source: dict[str, str]
    """The start of the SHA-256 of each definition that decides the figures, by its name; comments do not count."""
    versions: dict[str, str]
    """Of invivo, Python and libraries when the figures were computed."""
    seconds: float
    """How long it took."""
    figures: Any
    """What came out, as plain data."""


@dataclass(frozen=True)
class Figures:
    """An exhibit's figures that are computed beforehand."""

    name: str
    """The exhibit's; its file is NAME.json."""
    settings: Mapping[str, Any]
    """What is asked for, as plain data."""
    make: Callable[[], Any]
    """Computes them, as plain data; its source, and what that calls, is what they are tied to."""

    @property
    def path(self) -> Path:
        """Where they lie."""
        return FOLDER / f"{self.name}.json"

    @property
    def command(self) -> str:
        """What makes the file anew."""
        return f"{COMMAND} {self.name}"

    def read(self) -> Stored:
        """What is stored. Raises InvivoError where the file is missing or damaged."""
        if not self.path.is_file():
            raise InvivoError(
                f"{self.path.name} is missing", hint=f"`invivo show {self.name} again=true` computes its figures now"
            )
        try:
            return Stored.of(json.loads(read(self.path)))
        except (ValueError, BadText) as error:
            raise InvivoError(f"{self.path} is damaged: {error}", hint="install invivo anew") from None

    def made(self) -> Stored:
        """Figures computed now, in the form that is stored."""
        from .compare import versions

        began = time.perf_counter()
        figures = self.make()
        seconds = round(time.perf_counter() - began, 1)
        return Stored(
            command=self.command,
            settings=dict(self.settings),
            source=source_of(self.make),
            versions=versions(),
            seconds=seconds,
            figures=figures,
        )

    def store(self, stored: Stored) -> None:
        """Write them, whole or not at all. Raises InvivoError."""
        replace(self.path, (json.dumps(stored.model_dump(mode="json"), indent=1) + "\n").encode())

    def stamp(self) -> None:
        """Keep the figures and say that they are of the source of today. Only for a change that can change none.

        Raises InvivoError where other settings were asked for: those figures are others.
        """
        kept = self.read()
        if kept.settings != dict(self.settings):
            raise InvivoError(f"{self.path.name} was made with other settings", hint=f"`{self.command}` makes it anew")
        self.store(kept.model_copy(update={"source": source_of(self.make), "command": self.command}))

    def stale(self) -> str:
        """Why the file is not what today's code would make, and what to do; empty where nothing is wrong."""
        kept, now = self.read(), source_of(self.make)
        changed = sorted(name for name in kept.source.keys() | now.keys() if kept.source.get(name) != now.get(name))
        if kept.settings != dict(self.settings):
            changed.append("what is asked for")
        if not changed:
            return ""
        return (
            f"{self.path.name} was made by other code: {', '.join(changed)} changed since. `{self.command}` computes "
            f"it anew ({number(kept.seconds, 0)} seconds last time); `{self.command} --stamp` keeps its figures, where "
            "the change can have changed none."
        )

    def told(self) -> str:
        """A sentence about where the figures come from, for whoever reads them."""
        kept = self.read()
        libraries = " and ".join(f"{name} {kept.versions[name]}" for name in ("torch", "transformers"))
        return (
            f"{BEFOREHAND.capitalize()}, in {number(kept.seconds, 0)} seconds with {libraries}; "
            f"`invivo show {self.name} again=true` does it anew."
        )


def marked(sentence: str, but: str = "") -> str:
    """A sentence about stored figures that says so; `but` names what of them was computed now."""
    return f"{BEFOREHAND.capitalize()}{but}: {sentence[0].lower()}{sentence[1:]}"


@cache
def all_figures() -> dict[str, Figures]:
    """Whatever the exhibits keep, by the exhibit's name: each `FIGURES` of a file of theirs."""
    from . import exhibits

    found = {}
    for module in pkgutil.iter_modules(exhibits.__path__):
        figures = getattr(import_module(f"{exhibits.__name__}.{module.name}"), "FIGURES", None)
        if isinstance(figures, Figures) and figures.name == module.name:
            found[figures.name] = figures
    return found


# ── what figures rest on ──


def source_of(function: Callable[..., Any]) -> dict[str, str]:
    """Digests of a function's source and of all that it names in the engine, and so on, by name.

    Read from the text, not from what runs. Comments, docstrings and blank lines are left out.
    """
    found: dict[str, str] = {}
    wanted = [(function.__module__, function.__name__)]
    while wanted:
        module, name = wanted.pop()
        page = _page(module)
        key = f"{module}.{name}".removeprefix("invivo.")
        if name not in page.texts:
            wanted += [] if name not in page.imports else _within(*page.imports[name])
        elif key not in found:
            found[key] = hashlib.sha256(page.texts[name].encode()).hexdigest()[:DIGITS]
            for first, second in page.uses[name]:
                if first in page.texts:
                    wanted.append((module, first))
                elif first in page.imports:
                    wanted += _within(*page.imports[first], second)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class _Page:
    """A module's top-level definitions."""

    texts: dict[str, str]
    """The bare source of each."""
    uses: dict[str, set[tuple[str, str]]]
    """The names in it, each with the attribute that is taken of it, or nothing."""
    imports: dict[str, tuple[str, str]]
    """Where a name comes from that is defined elsewhere: a module, and the name in it."""


def _within(module: str, name: str, attribute: str = "") -> list[tuple[str, str]]:
    """The definition that an imported name, or an attribute of an imported module, stands for, inside SCOPE."""
    if not f"{module}.".startswith(f"{SCOPE}."):
        return []
    if find_spec(f"{module}.{name}") if hasattr(import_module(module), "__path__") else None:
        return [(f"{module}.{name}", attribute)] if attribute else []
    return [(module, name)]


@cache
def _page(module: str) -> _Page:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise InvivoError(f"the source of {module} is not there", hint="install invivo from its source")
    source = read(Path(spec.origin)).decode()
    tree, lines = ast.parse(source), _bare(source)
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    page = _Page({}, {}, {})
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            where = ".".join([*up, *([node.module] if node.module else [])])
            page.imports.update({alias.asname or alias.name: (where, alias.name) for alias in node.names})
        for name in _names(node):
            first = min(n.lineno for n in (node, *getattr(node, "decorator_list", ())))
            page.texts[name] = "\n".join(filter(None, lines[first - 1 : node.end_lineno]))
            page.uses[name] = set(_uses(node))
    return page


def _names(node: ast.stmt) -> list[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def _uses(node: ast.AST) -> Iterator[tuple[str, str]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id, ""
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            yield part.value.id, part.attr


def _bare(source: str) -> list[str]:
    """The lines of a module without comments and docstrings; an empty line where nothing is left."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return [line.rstrip() for line in lines]


def main(words: Sequence[str]) -> None:
    """Compute figures anew, or stamp them. Raises UnknownName, BadText."""
    known = all_figures()
    names = [word for word in words if word != "--stamp"]
    if not names:
        raise BadText("no figures named", hint=f"{COMMAND} {' | '.join(known)} [--stamp]")
    for name in names:
        if name not in known:
            raise unknown("stored figures", name, known, COMMAND)
    for name in names:
        if "--stamp" in words:
            known[name].stamp()
        else:
            known[name].store(known[name].made())
        sys.stdout.write(f"wrote {known[name].path}\n")


if __name__ == "__main__":
    from invivo.engine import stored  # the module that the exhibits know, not this second copy of it

    try:
        stored.main(sys.argv[1:])
    except InvivoError as error:
        sys.exit(f"error: {error.what}\nhint: {error.hint}")
