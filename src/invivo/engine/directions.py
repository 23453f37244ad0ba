"""Directions on disk: one safetensors file each, by name in a folder of invivo's own or at a path.

A file holds the tensor "direction", one row of finite numbers, and says as metadata how it was made. safetensors can
hold numbers and nothing that runs. Reading and listing need no torch. What this module does not do: make a direction
(contrast.py), or judge whether it fits a model (rows.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .. import files
from ..errors import BadText, InvivoError, Refused, UnknownName, unknown
from ..experiment.direction import Direction
from ..home import home
from ..tweaks.steering import SUFFIX, direction_name

TENSOR = "direction"
LISTED_BY = "invivo directions"
FORMATS = ("F32", "F64", "F16")


def folder() -> Path:
    """Where named directions are kept; it may not exist yet."""
    return home() / "directions"


def file_of(name: str) -> Path:
    """The file of a direction. Raises BadText for what is neither a name nor a path of a safetensors file."""
    name = direction_name(name)
    return Path(name) if name.endswith(SUFFIX) else folder() / f"{name}{SUFFIX}"


def check_free(name: str) -> None:
    """Raises Refused where a direction of that name is kept already: older results were made with it."""
    file = file_of(name)
    with files.mishaps("look for", file):
        if file.exists():
            raise Refused(
                f"there is a direction {name!r} already, and results may depend on it",
                hint="choose another name; --force (in Python replace=True) overwrites it",
            )


def write(record: Direction, values: np.ndarray) -> Path:
    """Keep a direction (width,) in its file, whole or not at all. Returns where."""
    file = file_of(record.name)
    if not record.name.endswith(SUFFIX):
        with files.mishaps("make", file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
    files.replace(file, save({TENSOR: np.ascontiguousarray(values, dtype=np.float32)}, record.metadata()))
    return file


def read(name: str) -> tuple[Direction, np.ndarray]:
    """A direction's record and its numbers (width,).

    Raises UnknownName where there is none, and BadText where the file is not what it should be.
    """
    file = file_of(name)
    with files.mishaps("read", file):
        if not file.is_file():
            raise _missing(name, file)
        try:
            with safe_open(file, framework="numpy") as opened:
                values = _values(opened, file)
                metadata: Mapping[str, str] = opened.metadata() or {}
        except SafetensorError as error:
            raise BadText(
                f"{file} is no safetensors file: {error}", hint="other files can run code when they are loaded"
            ) from None
    with np.errstate(over="ignore"):  # an endless length is told below
        size = float(np.linalg.norm(values.astype(np.float64)))
    if not math.isfinite(size):
        raise BadText(f"{file}: the direction's numbers or its length are not finite", hint="make it again")
    if size == 0:
        raise BadText(f"{file}: the direction is zero everywhere, so it leads nowhere", hint="make it again")
    try:
        return Direction.from_metadata(metadata, name, len(values), size), values
    except InvivoError as error:
        raise BadText(f"{file}: what it says about itself cannot be read: {error.what}", hint="make it again") from None


def listed() -> tuple[list[Direction], dict[str, InvivoError]]:
    """The named directions, by name, and the files of the folder that are none, each with what is wrong."""
    found: list[Direction] = []
    broken: dict[str, InvivoError] = {}
    for stem in _stems():
        try:
            if stem.endswith(SUFFIX):
                raise BadText(f"{stem!r} is no name of a direction")
            found.append(read(stem)[0])
        except InvivoError as error:
            broken[f"{stem}{SUFFIX}"] = error
    return found, broken


def _stems() -> list[str]:
    with files.mishaps("read", folder()):
        return sorted(file.name.removesuffix(SUFFIX) for file in folder().glob(f"*{SUFFIX}"))


def _values(opened: safe_open, file: Path) -> np.ndarray:
    """The numbers of an open file. Raises BadText before anything large is read."""
    names = list(opened.keys())
    if names != [TENSOR]:
        told = ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "none"
        raise BadText(f"{file} should hold one tensor, {TENSOR!r}, and holds {told}", hint="it is no direction")
    part = opened.get_slice(TENSOR)
    shape, kind = part.get_shape(), part.get_dtype()
    if len(shape) != 1 or shape[0] == 0:
        raise BadText(f"{file}: a direction is one row of numbers, not of shape {tuple(shape)}")
    if kind not in FORMATS:
        raise BadText(f"{file}: the direction is {kind}", hint=f"save it as one of {', '.join(FORMATS)}")
    return opened.get_tensor(TENSOR)


def _missing(name: str, file: Path) -> InvivoError:
    if name.endswith(SUFFIX):
        return UnknownName(f"there is no file {str(file)!r}", hint="a direction with a name needs no path")
    known = [stem for stem in _stems() if stem != name]
    if not known:
        return UnknownName(
            f"no direction is called {name!r}: none is kept yet",
            hint=f"make it: invivo direction {name} --site L4.resid_post --with FILE --without FILE",
        )
    return unknown("direction", name, known, LISTED_BY)
