"""Where invivo keeps what it remembers: one folder, `$INVIVO_HOME` or the platform's own place for such things.

It only says where. Nothing is made here, so that asking costs nothing and a read-only machine can be asked too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import InvivoError


def home() -> Path:
    """The folder, which may not exist yet. Raises InvivoError where the system knows no home for this user."""
    try:
        if chosen := os.environ.get("INVIVO_HOME"):
            return Path(chosen).expanduser().absolute()
        return _data_folder() / "invivo"
    except RuntimeError:  # pathlib found no home folder
        raise InvivoError(
            "this user has no home folder to keep a journal in",
            hint="set INVIVO_HOME to a folder that you may write in",
        ) from None


def _data_folder() -> Path:
    """Where programs of this platform keep their data."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    xdg = os.environ.get("XDG_DATA_HOME", "")  # a relative one is to be ignored, says the XDG base directory standard
    return Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".local" / "share"
