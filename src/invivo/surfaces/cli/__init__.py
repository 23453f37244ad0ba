"""The command `invivo`: one small file per group of commands, all of them thin: parse, one call, show."""

from __future__ import annotations

from . import compare, config, doctor, journal, labs, models, quickstart, reference  # noqa: F401 - they add themselves to `app`
from .app import app, main

__all__ = ["app", "main"]
