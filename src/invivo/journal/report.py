"""A report: what was run as Markdown with its figures beside it, as one HTML file, as JSON, and as recipes in YAML.

The folder belongs to its reports. A small file, `FILES`, lists what was written and each file's digest, so that another
folder is never written into, and a file that somebody edited since is never overwritten. Everything is rendered before
anything is written, and each file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..experiment import Recipe
from ..experiment.result import Result
from ..files import mishaps, read, replace
from ..show.blocks import Code, Document, Figure, Heading
from ..show.figures import WRITERS
from ..show.html import Part, page
from ..show.markdown import escaped, markdown
from .post import below, namer, slug

FILES = ".invivo-report.json"
FIGURES = "figures"
Listed = dict[str, dict[str, list[str]]]  # report: file: digests that it may have


def write_report(
    folder: Path,
    name: str,
    title: str,
    parts: Sequence[Part],
    files: Mapping[str, str],
    opening: Document | None = None,
) -> list[Path]:
    """Write `name`.md, `name`.html and further text `files` into the folder; the paths, without those of figures.

    An opening stands first, then, where there are several parts, their contents. Raises InvivoError where the folder
    is not ours, a file was edited, or nothing can be written; then what was there is as it was.
    """
    folder_for_report(folder)
    new = rendered(name, title, parts, opening) | {path: text.encode("utf-8") for path, text in files.items()}
    listed = _listed(folder)
    before = {path: list(digests) for report in listed.values() for path, digests in report.items()}
    for path, data in new.items():
        if (folder / path).exists() and _digest(read(folder / path)) not in (*before.get(path, ()), _digest(data)):
            raise Refused(f"{folder / path} was edited since it was written", hint="choose another folder")
    stale = {path for path in listed.get(name, {}) if path not in new and ".." not in Path(path).parts}
    own = {path: [*before.get(path, ()), _digest(data)] for path, data in new.items()}
    _list(folder, listed | {name: listed.get(name, {}) | own})  # killed from here on, the folder is still ours
    for path, data in new.items():
        with mishaps("make", (folder / path).parent):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        replace(folder / path, data)
    for path in stale:
        if not Path(path).is_absolute() and (folder / path).is_file() and _digest(read(folder / path)) in before[path]:
            (folder / path).unlink()
    _list(folder, listed | {name: {path: [_digest(data)] for path, data in new.items()}})
    return [folder / path for path in new if not path.startswith(FIGURES)]


def one_file(result: Result, recipe: Recipe | None = None) -> str:
    """A result as one HTML page: it opens offline, says what was run, and `invivo replay` runs it again.

    `recipe` says what was run where the result does not carry it; without either nothing can be run again.
    """
    from .replay import run_of

    recipe = recipe or recipe_of(result)
    document = result.pictured()
    title = next((b.text.replace("`", "") for b in document.blocks if isinstance(b, Heading)), type(result).__name__)
    if recipe is not None:
        command = recipe.to_cli()
        told = any(isinstance(b, Code) and b.text == command for b in document.blocks)
        code = (() if told or command is None else (Code(text=command),)) + (
            Code(text=recipe.to_yaml().rstrip(), language="yaml"),
        )
        document += Document(blocks=(Heading(text="What was run"), *code))
    run = run_of(result, recipe) if recipe is not None else ""
    return page(title, [Part("run", title, document, run)])


def recipe_of(result: Any) -> Recipe | None:
    """What a result says was run."""
    found = getattr(getattr(result, "comparison", result), "recipe", None)
    return found if isinstance(found, Recipe) else None


def folder_for_report(folder: Path) -> None:
    """Make the folder and try it. Raises Refused for one that holds something and no report of ours."""
    with mishaps("make", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FILES).exists() and any(folder.iterdir()):
            raise Refused(
                f"{folder} holds files that are no report of invivo's", hint="choose a new or an empty folder"
            )
    with mishaps("write into", folder), tempfile.TemporaryFile(dir=folder):
        pass


def rendered(name: str, title: str, parts: Sequence[Part], opening: Document | None = None) -> dict[str, bytes]:
    """Every file of the report but JSON and recipes: its path in the folder, and what is in it."""
    found: dict[str, bytes] = {}
    named = namer()
    texts = []
    for part in parts:
        short = slug(part.name)

        def figure_path(figure: Figure, short: str = short) -> str:
            stem = slug(figure.name)
            stem = named(stem if stem.startswith(f"{short}-") else f"{short}-{stem}")
            for ending in (".svg", ".png"):
                found[f"{FIGURES}/{stem}{ending}"] = WRITERS[ending](figure.picture)
            return f"{FIGURES}/{stem}.svg"

        anchor = f'<a id="{short}"></a>\n\n' if len(parts) > 1 else ""
        texts.append(anchor + markdown(below(part.document) if anchor else part.document, figure_path))
    if len(parts) > 1:
        lines = "".join(f"{n}. [{escaped(p.title)}](#{slug(p.name)})\n" for n, p in enumerate(parts, 1))
        texts.insert(0, f"## Contents\n\n{lines}")
    if opening is not None:
        texts.insert(0, markdown(opening))
    anchored = [part._replace(name=slug(part.name)) for part in parts]
    found[f"{name}.md"] = "\n".join(texts).encode("utf-8", "backslashreplace")
    found[f"{name}.html"] = page(title, anchored, opening).encode("utf-8", "backslashreplace")
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _listed(folder: Path) -> Listed:
    """What earlier reports wrote here."""
    if not (folder / FILES).exists():
        return {}
    try:
        listed = json.loads(read(folder / FILES))
        return {str(r): {str(p): list(map(str, d)) for p, d in files.items()} for r, files in listed.items()}
    except (ValueError, AttributeError, TypeError):
        raise Refused(f"{folder / FILES} cannot be read", hint="choose a new or an empty folder") from None


def _list(folder: Path, listed: Listed) -> None:
    replace(folder / FILES, json.dumps(listed, indent=1).encode())
