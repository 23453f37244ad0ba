"""Libraries that single tweaks and labs need: imported where they are used, without their warnings and their talk."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType

from ..errors import Refused


@contextmanager
def silence(level: int = logging.WARNING) -> Iterator[None]:
    """Inside, nothing is said that is no error: some libraries import others when called, or warn of their own ways.
    Of what is logged, nothing up to `level` is heard.
    """
    heard = logging.root.manager.disable
    logging.disable(level)  # some handlers write to the stream that was there before
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(heard)


def extra(module: str, name: str) -> ModuleType:
    """The module, imported in silence. Raises Refused, with the line that installs the extra `name`, where it is
    missing.
    """
    try:
        with silence():
            found = importlib.import_module(module)
    except ImportError as error:
        missing = module.split(".")[0]
        why = "" if getattr(error, "name", None) == missing else f" ({error})"
        raise Refused(
            f"this needs {missing.replace('_', '-')}{why}, which is not installed", hint=f"pip install 'invivo[{name}]'"
        ) from None
    logging.getLogger(module.split(".")[0]).setLevel(logging.ERROR)
    return found
