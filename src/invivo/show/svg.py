"""Pictures as SVG: one small static drawing with real text, and nothing that runs.

Colours stand as presentation attributes, which is all that a file in an `<img>` needs; every mark also carries its kind
as a class, so that a page's stylesheet can set the colours again for dark mode.
"""

from __future__ import annotations

import hashlib
from html import escape

from ..pictures import Heatmap, Picture
from .canvas import WIDTH, Dot, Shape, Words
from .layout import laid_out
from .palette import PAPER
from .text import safe

SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'Cascadia Mono', Menlo, 'DejaVu Sans Mono', monospace"


def svg(picture: Picture, *, live: bool = False, dark: bool = False) -> str:
    """The picture as one `<svg>` element, with its title and its summary for those who cannot see it.

    `live`: every mark also says what it stands for and to which series it belongs, for a page's script (`live.py`).
    `dark`: a cell and its number also carry their colours on a dark ground, as `--dark`, for a page's stylesheet.
    """
    canvas = laid_out(picture)
    size = f'width="{WIDTH}" height="{canvas.height:g}"'
    wide = f' data-columns="{len(picture.columns)}"' if live and isinstance(picture, Heatmap) else ""
    marks = "".join(_element(mark, live, dark) for mark in canvas.marks)
    key = hashlib.sha256(repr(picture).encode()).hexdigest()[:10]  # two figures on a page: two names
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {canvas.height:g}" {size}{wide} '
        f'role="img" aria-labelledby="t-{key} d-{key}">\n'
        f'<title id="t-{key}">{escape(safe(picture.title))}</title>\n'
        f'<desc id="d-{key}">{escape(safe(picture.summary))}</desc>\n'
        f'<rect class="paper" {size} fill="{PAPER}"/>\n{marks}</svg>\n'
    )


def _element(mark: Shape | Dot | Words, live: bool, dark: bool) -> str:
    told = _told(mark) if live else ""
    if dark and not isinstance(mark, Dot) and mark.dark:
        told += f' style="--dark:{mark.dark}"'
    if isinstance(mark, Dot):
        return (
            f'<circle class="{mark.kind}" cx="{_px(mark.x)}" cy="{_px(mark.y)}" r="{_px(mark.radius)}" '
            f'fill="{mark.fill}"{told}/>\n'
        )
    if isinstance(mark, Words):
        extra = ' font-weight="600"' if mark.bold else ""
        extra += f' transform="rotate({mark.turn:g} {_px(mark.x)} {_px(mark.y)})"' if mark.turn else ""
        return (
            f'<text class="{mark.kind}" x="{_px(mark.x)}" y="{_px(mark.y)}" font-size="{_px(mark.size)}" '
            f'font-family="{MONO if mark.mono else SANS}" text-anchor="{mark.anchor}" fill="{mark.fill}"{extra}{told}>'
            f"{escape(mark.text)}</text>\n"
        )
    points = " ".join(f"{_px(x)},{_px(y)}" for x, y in mark.points)
    if mark.stroke is None:
        faded = f' fill-opacity="{mark.opacity:g}"' if mark.opacity < 1 else ""
        return f'<polygon class="{mark.kind}" points="{points}" fill="{mark.fill}"{faded}{told}/>\n'
    dashes = ' stroke-dasharray="6 4"' if mark.dashed else ""
    return (
        f'<polyline class="{mark.kind}" points="{points}" fill="none" stroke="{mark.stroke}" '
        f'stroke-width="{mark.width:g}" stroke-linejoin="round"{dashes}{told}/>\n'
    )


def _told(mark: Shape | Dot | Words) -> str:
    told = "" if mark.series is None else f' data-series="{mark.series}"'
    if isinstance(mark, Words):
        return told + (" data-key" if mark.key else "")
    say = mark.say
    return told + (f' data-say="{escape(say)}"' if say else "")


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
