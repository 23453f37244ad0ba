"""`invivo doctor`: what is installed, where things are kept, what is missing, and the line that fixes it.

It must work where nothing else does, so every finding is made on its own and a failure is a finding too.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import typer

from ...errors import InvivoError
from . import talk
from .app import SET_UP, app
from .flags import ConfigFile, Json
from .models import fruitfly

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "matplotlib")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` is empty where all is well."""

    what: str
    value: str
    fix: str = ""


@app.command(rich_help_panel=SET_UP)
def doctor(config: ConfigFile = None, as_json: Json = False) -> None:
    """Look at what is installed and where things are kept; say what is missing and the line that fixes it."""
    with talk.busy("looking"):
        rounds = (versions, fruitfly_weights, torch_and_devices, fast_path, journal, cache, settings_in(config))
        found = [finding for examine in rounds for finding in guarded(examine)]
    ills = [finding for finding in found if finding.fix]
    if as_json:
        talk.data({"healthy": not ills, "findings": [asdict(finding) for finding in found]})
    else:
        from ...show.blocks import Document, Points, Table, Text

        rows = tuple(("✗" if f.fix else "✓", f.what, f.value) for f in found)
        cure = Points(items=tuple(f"{f.what}: {f.fix}" for f in ills)) if ills else Text(text="Nothing is missing.")
        talk.show(Document(blocks=(Table(columns=("", "what", "found"), rows=rows), cure)))
    if ills:
        raise typer.Exit(1)


def guarded(examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of one examination, its own failure included."""
    try:
        yield from examine()
    except InvivoError as error:
        yield Finding(examine.__name__.replace("_", " "), error.what, error.hint or "see README.md")
    except Exception as error:
        yield Finding(
            examine.__name__.replace("_", " "),
            f"{type(error).__name__}: {error}",
            "install again: pip install --force-reinstall invivo",
        )


def versions() -> Iterator[Finding]:
    """Python and the packages that results depend on, without importing them."""
    from ... import __version__

    yield Finding("invivo", __version__)
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        try:
            yield Finding(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "not installed", f"pip install {name}")


def fruitfly_weights() -> Iterator[Finding]:
    """The model that comes with the package."""
    model = fruitfly()
    yield Finding("fruitfly", model["where"], "" if model["size_bytes"] else "pip install --force-reinstall invivo")


def torch_and_devices() -> Iterator[Finding]:
    """Whether torch starts, on what it can run, and with how many threads."""
    try:
        import torch
    except Exception as error:
        yield Finding("torch starts", f"no: {type(error).__name__}: {error}", "pip install --force-reinstall torch")
        return
    devices = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    yield Finding("devices", ", ".join(["cpu", *devices]))
    yield Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores")


def fast_path() -> Iterator[Finding]:
    """Which shortcuts are taken: packed weights, and a sweep's rows that leave BASE where their tweak begins."""
    from ...engine.packed import available, exact

    yield Finding(
        "fast path",
        "on a CPU in float32" if available() else "off: INVIVO_EXACT is set" if exact() else "off: this torch lacks it",
    )
    yield Finding("growing batch", "in sweeps, where walking a model's blocks gives BASE; `--exact` turns it off")


def journal() -> Iterator[Finding]:
    """Where runs are kept, and whether each is as it was kept."""
    from ...journal import Journal

    kept = Journal()
    problems = list(kept.verify())
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        cure = f"`invivo journal verify` says all; to begin a new one: mv {kept.path} {kept.path}.old"
        yield Finding("journal", problems[0] + more, cure)
    else:
        yield writable("journal", kept.path)


def cache() -> Iterator[Finding]:
    """Where models from the hub are kept, and whether the hub is asked at all."""
    from huggingface_hub import constants

    yield writable("model cache", Path(constants.HF_HUB_CACHE))
    yield Finding("model hub", "offline: HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "asked by name")


def settings_in(config: Path | None) -> Callable[[], Iterator[Finding]]:
    """An examination of the config file that would be used."""

    def settings() -> Iterator[Finding]:
        from ..settings import read_config

        try:
            found = read_config(config)
            count = len(found.values) + sum(map(len, found.labs.values()))
            yield Finding("config file", f"{found.name} sets {count or 'nothing'}" if found.name else "none")
        except InvivoError as error:
            yield Finding("config file", error.what, error.hint or "mend that line, or take the file away")

    return settings


def writable(what: str, path: Path) -> Finding:
    """Where something is kept, and whether it can be written: the nearest folder that exists decides."""
    folder = next(p for p in (path, *path.parents) if p.exists())
    fine = os.access(folder, os.W_OK)
    return Finding(what, f"{path}{'' if fine else ' (cannot be written)'}", "" if fine else f"chmod u+w {folder}")
