"""A picture as a file: SVG, PNG, PDF or CSV, by the ending of its name.

SVG is our own drawing, not matplotlib's: its text stays text that can be searched, restyled and read aloud, tokens of
any script are drawn with the reader's fonts, it is a tenth of the size, and it costs no import. PNG and PDF put the
same marks on matplotlib's canvas, which is loaded only then.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from ..errors import UnknownName
from ..files import mishaps, replace
from ..pictures import Picture
from .svg import svg
from .tables import grid_of
from .text import safe


def save(picture: Picture, path: str | Path) -> Path:
    """Write the picture; returns the path. Raises UnknownName for an ending that is none of ours.

    The file appears whole or not at all: it is written under a temporary name and then renamed.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise UnknownName(f"no figure is written as {path.name!r}", hint=f"its name ends in {', '.join(WRITERS)}")
    content = write(picture)
    with mishaps("make", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, content)
    return path


def csv_text(picture: Picture) -> str:
    """The numbers at full precision, names first. A name that a spreadsheet would run as a formula gets a `'` first."""

    def tame(name: str) -> str:
        return "'" + name if name.startswith(("=", "+", "-", "@")) else name

    columns, rows = grid_of(picture)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(tame(safe(c)) for c in columns)
    for names, numbers in rows:
        writer.writerow([*(tame(safe(n)) for n in names), *("" if v is None else repr(v) for v in numbers)])
    return out.getvalue()


def _matplotlib(ending: str) -> Callable[[Picture], bytes]:
    def write(picture: Picture) -> bytes:
        from .raster import raster

        return raster(picture, ending)

    return write


WRITERS: dict[str, Callable[[Picture], bytes]] = {
    ".svg": lambda picture: svg(picture).encode(),
    ".png": _matplotlib("png"),
    ".pdf": _matplotlib("pdf"),
    ".csv": lambda picture: csv_text(picture).encode(),
}
