r"""Pictures as PNG and PDF: the marks that the SVG shows, put on matplotlib's canvas.

Tokens may hold any character. matplotlib draws an empty box, and warns, for those its own fonts lack; before 3.11 it
lays right-to-left scripts out backwards; and it reads `$…$` as mathematics. The first two are written out (`\u4e2d`),
a dollar stays a dollar. No pyplot, and none of the reader's own matplotlib settings: the same picture everywhere.
"""

from __future__ import annotations

import io
import unicodedata
from functools import lru_cache

from ..pictures import Picture
from .canvas import WIDTH, Dot, Words
from .layout import laid_out
from .palette import PAPER
from .text import safe

FONTS = ("DejaVu Sans", "DejaVu Sans Mono")  # both come with matplotlib
UNITS_PER_INCH = 96  # CSS pixels
DOTS_PER_INCH = 192
POINT = 72 / UNITS_PER_INCH


@lru_cache
def drawable() -> frozenset[int]:
    """The characters that matplotlib's own fonts hold."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(code for name in FONTS for code in get_font(findfont(FontProperties(family=name))).get_charmap())


def plain(text: str) -> str:
    """`text` as matplotlib can draw it: a character that it cannot is written out."""

    def drawn(char: str) -> str:
        backwards = unicodedata.bidirectional(char) in ("R", "AL")
        return char.encode("unicode_escape").decode() if backwards or ord(char) not in drawable() else char

    return "".join(map(drawn, safe(text)))


def raster(picture: Picture, ending: str) -> bytes:
    """The picture as `png` or `pdf`. The same picture gives the same bytes: no dates, no names of programs."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle, Polygon

    canvas = laid_out(picture, plain)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["pdf.fonttype"] = 42  # text stays text
        figure = Figure(figsize=(WIDTH / UNITS_PER_INCH, canvas.height / UNITS_PER_INCH), facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(canvas.height, 0))
        axes.set_axis_off()
        for layer, mark in enumerate(canvas.marks):
            if isinstance(mark, Dot):
                axes.add_patch(Circle((mark.x, mark.y), mark.radius, facecolor=mark.fill, linewidth=0, zorder=layer))
            elif isinstance(mark, Words):
                axes.text(
                    mark.x,
                    mark.y,
                    mark.text.replace("$", r"\$"),
                    fontsize=mark.size * POINT,
                    color=mark.fill,
                    family=FONTS[::-1] if mark.mono else FONTS,
                    fontweight="bold" if mark.bold else "normal",
                    ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
                    va="baseline",
                    rotation=-mark.turn,
                    rotation_mode="anchor",
                    zorder=layer,
                )
            elif mark.stroke is None:
                axes.add_patch(Polygon(mark.points, facecolor=mark.fill, alpha=mark.opacity, linewidth=0, zorder=layer))
            else:
                xs, ys = zip(*mark.points, strict=True)
                axes.add_line(
                    Line2D(
                        xs,
                        ys,
                        color=mark.stroke,
                        linewidth=mark.width * POINT,
                        zorder=layer,
                        linestyle=(0, (4, 2.7)) if mark.dashed else "-",
                        solid_joinstyle="round",
                    )
                )
        out = io.BytesIO()
        figure.savefig(
            out,
            format=ending,
            dpi=DOTS_PER_INCH,
            metadata={"CreationDate": None} if ending == "pdf" else {"Software": None},
        )
    return out.getvalue()
