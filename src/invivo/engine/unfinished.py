"""What a long sweep has found so far, on disk: a kill loses the chunk in hand, and the same sweep goes on.

One JSON line says which sweep of which weights it is; each further line is a finished chunk. A line torn by a kill is
dropped. A file of another sweep is refused, with what differs, and left as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import BadText
from ..experiment.sweep import Sweep


class Unfinished:
    """The file of one sweep, `path`; it is gone when the sweep has ended."""

    def __init__(self, path: Path, sweep: Sweep, revision: str) -> None:
        self.path = path
        self.head: dict[str, Any] = {"sweep": sweep.plain(), "revision": revision}
        self.written = 0

    def open(self, places: int) -> dict[int, dict[int, float]]:
        """What earlier runs found: {case: {place: value}}. Raises BadText for the file of another sweep."""
        head = self.head | {"places": places}
        found: dict[int, dict[int, float]] = {}
        lines = []
        if self.path.exists():
            lines = files.read(self.path).decode("utf-8", "replace").splitlines()
            try:
                was = json.loads(lines[0])
            except (json.JSONDecodeError, IndexError):
                was = None
            if not isinstance(was, dict) or "sweep" not in was:
                raise BadText(f"{self.path} is no unfinished sweep", hint="give the name of a new file")
            if was != head:
                raise BadText(
                    f"{self.path} belongs to another sweep: {_difference(was, head)}",
                    hint="run that one to its end, or give another file",
                )
        good = [json.dumps(head)]
        for line in lines[1:]:
            try:
                chunk = json.loads(line)
            except json.JSONDecodeError:
                break
            found.setdefault(chunk["case"], {}).update(zip(chunk["places"], chunk["values"], strict=True))
            good.append(line)
        files.replace(self.path, ("\n".join(good) + "\n").encode())
        return found

    def add(self, case: int, places: Sequence[int], values: Sequence[float]) -> None:
        """Keep a finished chunk, for good."""
        with files.mishaps("write", self.path), self.path.open("a") as file:
            file.write(json.dumps({"case": case, "places": list(places), "values": list(values)}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """The sweep has ended: nothing is unfinished."""
        self.path.unlink(missing_ok=True)


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    """The settings that two files do not share, in words."""
    one, other = was["sweep"] | was, now["sweep"] | now
    names = [n for n in one.keys() | other.keys() if n != "sweep" and one.get(n) != other.get(n)]
    return "; ".join(f"{n} was {one.get(n)!r}, is {other.get(n)!r}" for n in sorted(names)) or "its form differs"
