"""The command `invivo`: one small file per group of commands, all of them thin: parse, one call, show."""

from __future__ import annotations

from . import (  # noqa: F401 - they add themselves to `app`
    adapt,
    attribute,
    compare,
    config,
    direction,
    doctor,
    evaluate,
    fruitfly,
    guide,
    heads,
    journal,
    labs,
    lens,
    models,
    quickstart,
    reference,
    replay,
    selftest,
    serve,
    show,
    sweep,
    train,
)
from .app import app, main

__all__ = ["app", "main"]
