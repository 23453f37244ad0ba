"""Files that are whole or not there: written under a temporary name, then renamed, so that a kill leaves no half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from ..errors import InvivoError


class CannotWrite(InvivoError):
    """No room, no permission, no disk. What was there before is untouched."""


def _cannot(path: Path, error: Exception) -> CannotWrite:
    why = getattr(error, "strerror", None) or str(error)
    return CannotWrite(
        f"cannot write {path}: {why}",
        hint="what was saved before is untouched; make room, and the same command goes on from there",
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, or leave `path` as it was and raise CannotWrite."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()  # it holds room that the reader of the error will look for
        raise _cannot(path, error) from None


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder, then move its files into `folder`; others that are there stay.

    The largest file moves last. It is the one whose presence says that the others are there too.
    """
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write(part)
        folder.mkdir(exist_ok=True)
        for file in sorted(part.iterdir(), key=lambda f: f.stat().st_size):
            file.chmod(0o644)  # safetensors writes for the owner alone
            file.replace(folder / file.name)
    except (OSError, SafetensorError) as error:
        raise _cannot(folder, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
