"""The command `invivo`: one small file per group of commands, all of them thin: parse, one call, show."""

from __future__ import annotations

from . import (  # noqa: F401 - they add themselves to `app`
    attribute,
    compare,
    config,
    direction,
    doctor,
    fruitfly,
    heads,
    journal,
    labs,
    lens,
    models,
    quickstart,
    reference,
    selftest,
    serve,
    show,
    sweep,
)
from .app import app, main

__all__ = ["app", "main"]
