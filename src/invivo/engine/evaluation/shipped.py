"""The tasks that come with this package: YAML in the harness's format, and JSON lines beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "tasks"


@dataclass(frozen=True)
class Shipped:
    """A task of this package."""

    name: str
    what: str  # the first line of its file
    items: int


def shipped() -> tuple[Shipped, ...]:
    """All of them, by name."""
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        what = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        items = len(path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines())
        found.append(Shipped(path.stem, what, items))
    return tuple(found)


def tales() -> tuple[str, ...]:
    """The texts of the reading task."""
    lines = (HERE / "tales.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)
