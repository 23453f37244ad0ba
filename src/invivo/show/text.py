"""Hostile text made visible, and numbers as people read them: what every writer shares.

A prompt or a token may hold anything: terminal escapes, controls that reverse the reading direction, halves of
characters. `safe` shows what cannot be seen and leaves every other character alone; `visible` also shows the spaces of
a token. Escaping for a language (HTML, Markdown, XML) is the business of that language's writer and comes after.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

JOINERS = "\u200c\u200d"  # invisible, but Persian, Hindi and emoji are spelled with them


class _Shown(dict[int, str]):
    """A table for str.translate, filled as characters turn up: those that cannot be seen become their escapes."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        unseen = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and char not in JOINERS
        self[code] = escape(char) if unseen else char
        return self[code]


def escape(char: str) -> str:
    r"""A character as Python writes it in a string: `\x1b`, `\u202e`, `\t`."""
    if ord(char) < 128 and char.isprintable():
        return char
    short = char.encode("unicode_escape").decode("ascii")
    return short if short.startswith("\\") else char


_LINE = _Shown({ord("\n"): "⏎"})
_LINES = _Shown({ord("\n"): "\n"})


def safe(text: str) -> str:
    """`text` on one line: a line end as ⏎, whatever else cannot be seen as its escape."""
    return text.translate(_LINE)


def safe_lines(text: str) -> str:
    """The same with line ends kept and tabs set as four spaces: for code and for long prompts."""
    return text.replace("\r\n", "\n").expandtabs(4).translate(_LINES)


def visible(token: str) -> str:
    """A token as a label: spaces at its ends as `·`, other blanks as escapes, a lone accent on a dotted circle."""
    if not token:
        return '""'
    shown = "".join(escape(c) if c != " " and unicodedata.category(c) == "Zs" else c for c in safe(token))
    core = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    after = len(shown) - before - len(core)
    if core and unicodedata.category(core[0]) in ("Mn", "Mc", "Me"):
        core = "◌" + core
    return "·" * before + core + "·" * after


def quoted(token: str) -> str:
    """A token inside a sentence: `' Mary'`."""
    mark = '"' if "'" in token and '"' not in token else "'"
    return f"{mark}{safe(token)}{mark}"


def cells(text: str) -> int:
    """How many columns of a monospaced font `text` takes: two for East Asian wide characters and most emoji."""
    return sum(
        0
        if unicodedata.combining(c) or c in JOINERS or unicodedata.category(c) in ("Mn", "Me")
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def shorten(text: str, room: int) -> str:
    """`text` in at most `room` cells, an ellipsis in place of what was cut."""
    if cells(text) <= room:
        return text
    kept = ""
    for char in text:
        if cells(kept + char) > room - 1:
            break
        kept += char
    return kept.rstrip() + "…"


def pieces(text: str) -> list[tuple[str, bool]]:
    """A paragraph cut at its back quotes: (text, whether it is code). A back quote without a partner is text."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # the last back quote has no partner
        parts[-2:] = ["`".join(parts[-2:])]
    return [(part, i % 2 == 1) for i, part in enumerate(parts) if part]


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def decimals_for(values: Iterable[float | None]) -> int:
    """How many decimals show about three digits of the largest of these numbers; none for whole numbers."""
    there = [abs(v) for v in values if v is not None and math.isfinite(v)]
    largest = max(there, default=0.0)
    if largest == 0 or all(v == int(v) for v in there):
        return 0
    return min(max(2 - math.floor(math.log10(largest)), 0), 6)


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """A number with a real minus sign; `signed` writes the plus too. A value that is not there is an en dash."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    if not text.strip("+-0.,"):  # rounded to nothing: a sign would claim a direction
        text = text.lstrip("+-")
    return text.replace("-", "−")


def with_unit(text: str, unit: str) -> str:
    """A number and its unit, if it has one."""
    return f"{text} {unit}" if unit else text


def is_number(cell: str) -> bool:
    """Whether a table's cell is a number (or none), which belongs flush right."""
    return not cell or cell.lstrip("▲▼ <+−-")[:1].isdigit() or cell in "–∞"
