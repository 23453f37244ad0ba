"""A document as an HTML fragment or page that needs nothing else: its style, light and dark, and figures as SVG inside.

Everything that comes from a prompt or a model goes through `html.escape`, in text and in attributes alike; there is no
address in what is written, and in a fragment no script, so a notebook or a mail shows it as it is. A page has links,
all of them to its own parts, forbids the browser to load anything, and lets it run one script, `live.py`'s, that says
what somebody points at.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from . import live
from .blocks import Block, Code, Document, Drawing, Figure, Heading, Points, Strip, Stroke, Table, Text
from .palette import BASE, EMPTY, EMPTY_DARK, FAINT, GRID, INK, INKS, PAPER, TWEAK
from .svg import svg
from .tables import table_of
from .text import is_number, pieces, safe, safe_lines

NOTCH = "▸"
STYLE = f"""
.invivo {{ --paper: {PAPER}; --ink: {INK}; --faint: {FAINT}; --grid: {GRID}; --empty: {EMPTY}; --base: {BASE};
  --tweak: {TWEAK}; --said: #a85400; --shade: 91 118 144; color-scheme: light; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; max-width: 46rem;
  padding: 1rem 1.25rem; border-radius: 6px; }}
@media (prefers-color-scheme: dark) {{ .invivo {{ --paper: #17191c; --ink: #e7e5e1; --faint: #9aa1ab; --grid: #34383e;
  --empty: {EMPTY_DARK}; --base: #86a5c3; --tweak: #f0943a; --said: #f3aa63; --shade: 134 165 195;
  color-scheme: dark; }} }}
.invivo h2, .invivo h3, .invivo h4 {{ line-height: 1.25; margin: 1.6em 0 .5em; color: inherit; }}
.invivo h2 {{ font-size: 1.5em; margin-top: .3em; }} .invivo h3 {{ font-size: 1.15em; }}
.invivo h4 {{ font-size: 1em; color: var(--faint); }}
.invivo > style + * {{ margin-top: .3em; }}
.invivo p {{ margin: .5em 0; }} .invivo .dim, .invivo figcaption {{ color: var(--faint); font-size: .9em; }}
.invivo .note, .invivo .takeaway {{ border-left: 3px solid var(--tweak); padding: .1em 0 .1em .8em; }}
.invivo .takeaway {{ font-size: 1.1em; }}
.invivo code, .invivo pre, .invivo .said, .invivo td.token {{ font-family: ui-monospace, "Cascadia Mono", Menlo,
  "DejaVu Sans Mono", monospace; font-size: .92em; }}
.invivo code {{ background: none; color: inherit; padding: 0; white-space: pre-wrap; }}
.invivo pre {{ background: none; color: inherit; border-left: 3px solid var(--grid); margin: .5em 0;
  padding: .2em 0 .2em .8em; white-space: pre-wrap; overflow-wrap: anywhere; }}
.invivo pre.drawing {{ white-space: pre; overflow-x: auto; line-height: 1.3; }}
.invivo pre.drawing .dim {{ font-size: 1em; font-weight: normal; }}
{" ".join(f".invivo .drawing .{ink} {{ color: {colour}; }}" for ink, colour in INKS.items())}
.invivo .strip {{ display: grid; grid-template-columns: 5rem 1fr; margin: .4em 0; }}
.invivo .strip > b {{ color: var(--base); }} .invivo .strip.tweak > b, .invivo .notch {{ color: var(--tweak); }}
.invivo .said {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }}
.invivo .said span {{ background: rgb(var(--shade) / calc(var(--p, 0) * .32)); border-radius: 2px; }}
.invivo .said .parted {{ color: var(--said); }} .invivo .notch {{ font-style: normal; font-weight: 700; }}
.invivo table {{ border-collapse: collapse; margin: .5em 0; font-size: .92em; background: none; color: inherit; }}
.invivo caption {{ text-align: left; color: var(--faint); padding: .2em 0; }}
.invivo tr {{ background: none; }}
.invivo th, .invivo td {{ text-align: left; padding: .2em 1em .2em 0; border: 0; border-bottom: 1px solid var(--grid);
  font-weight: normal; vertical-align: top; overflow-wrap: anywhere; white-space: normal; }}
.invivo th {{ color: var(--faint); vertical-align: bottom; }}
.invivo .number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.invivo figure {{ margin: 1em 0; }} .invivo svg {{ max-width: 100%; height: auto; }}
.invivo .wide {{ overflow-x: auto; }}
.invivo summary {{ color: var(--faint); font-size: .9em; cursor: pointer; }}
.invivo svg .paper {{ fill: none; }} .invivo svg text.ink {{ fill: var(--ink); }}
.invivo svg text.faint {{ fill: var(--faint); }} .invivo svg .empty {{ fill: var(--empty); }}
.invivo svg polyline.grid {{ stroke: var(--grid); }} .invivo svg polyline.axis {{ stroke: var(--faint); }}
.invivo svg .base {{ fill: var(--base); }} .invivo svg polyline.base {{ fill: none; stroke: var(--base); }}
@media (prefers-color-scheme: dark) {{ .invivo svg .cell, .invivo svg text.own {{ fill: var(--dark); }} }}
.invivo svg .tweak {{ fill: var(--tweak); }} .invivo svg polyline.tweak {{ fill: none; stroke: var(--tweak); }}
"""
PAGE_STYLE = f"""
html {{ background: {PAPER}; color-scheme: light dark; -webkit-text-size-adjust: 100%; }}
body {{ margin: 0; }} main {{ max-width: 48.5rem; margin: 0 auto; padding: 1rem 0 4rem; }}
.invivo {{ border-radius: 0; max-width: none; }} .invivo + .invivo {{ border-top: 1px solid var(--grid); }}
.invivo h2 {{ font-size: 1.7em; }} .invivo li {{ margin: .25em 0; }} .invivo svg {{ display: block; }}
.invivo th, .invivo td {{ overflow-wrap: break-word; }}
.invivo a {{ color: inherit; text-decoration-color: var(--tweak); text-underline-offset: .2em; }}
@media (prefers-color-scheme: dark) {{ html {{ background: #17191c; }} }}
@media (max-width: 40rem) {{ .invivo {{ padding: 1rem; }} .invivo .strip {{ grid-template-columns: 1fr; }}
  .invivo .wide svg {{ width: 36rem; max-width: none; }} .invivo ul, .invivo ol {{ padding-left: 1.4em; }}
  .invivo th, .invivo td {{ padding-right: .7em; }} }}
@media print {{ .invivo {{ break-before: page; }} .invivo figure {{ break-inside: avoid; }} }}
"""


class Part(NamedTuple):
    """A part of a report."""

    name: str
    """A word for it in addresses and file names."""
    title: str
    """Its line in the contents."""
    document: Document
    """What it shows."""
    run: str = ""
    """What was run and what came out, as JSON: it goes into the page unseen, so that `invivo replay` can read it."""


RUN = '<template class="invivo-run">'


def fragment(document: Document) -> str:
    """The document as one `<section>` with its `<style>`."""
    return f'<section class="invivo">\n<style>{STYLE}</style>\n{_blocks(document)}\n</section>\n'


def page(title: str, parts: Sequence[Part], opening: Document | None = None) -> str:
    """The parts as one page that opens offline, after an opening and, where there are several, their contents."""
    sections = [
        f'<section class="invivo" id="{escape(p.name)}">\n{_blocks(p.document, True)}\n</section>'
        + (f"\n{RUN}{escape(p.run)}</template>" if p.run else "")
        for p in parts
    ]
    if opening is not None or len(parts) > 1:
        lines = "".join(f'<li><a href="#{escape(p.name)}">{_text(p.title)}</a></li>' for p in parts)
        nav = f"\n<nav><h3>Contents</h3><ol>{lines}</ol></nav>" if len(parts) > 1 else ""
        sections.insert(0, f'<section class="invivo">\n{_blocks(opening or Document(blocks=()))}{nav}\n</section>')
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        f'script-src {live.RULE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}{PAGE_STYLE}{live.STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>{live.SCRIPT}</script>\n</body>\n</html>\n"
    )


def _blocks(document: Document, moves: bool = False) -> str:
    return "\n".join(_block(block, moves) for block in document.blocks)


def _block(block: Block, moves: bool) -> str:
    match block:
        case Heading():
            return f"<h{block.level + 1}>{_paragraph(block.text)}</h{block.level + 1}>"
        case Text():
            word = {"note": "<b>Note.</b> ", "takeaway": "<b>Takeaway.</b> "}.get(block.tone, "")
            return f'<p class="{block.tone}">{word}{_paragraph(block.text)}</p>'
        case Points():
            tag = "ol" if block.numbered else "ul"
            return f"<{tag}>{''.join(f'<li>{_paragraph(item)}</li>' for item in block.items)}</{tag}>"
        case Strip():
            return _strip(block)
        case Table():
            return _table(block)
        case Figure():
            table = _table(table_of(block.picture).model_copy(update={"caption": ""}))
            return (
                f'<figure><div class="wide">{svg(block.picture, live=moves, dark=True)}</div>'
                f"<figcaption>{_paragraph(block.picture.summary)}</figcaption>\n"
                f"<details><summary>the numbers</summary>{table}</details></figure>"
            )
        case Code():
            return f"<pre><code>{escape(safe_lines(block.text))}</code></pre>"
        case Drawing():
            return f'<pre class="drawing">{chr(10).join(map(_line, block.lines))}</pre>'


def _line(strokes: tuple[Stroke, ...]) -> str:
    """A line of a drawing: an ink is a class."""
    return "".join(_text(s.text) if s.ink == "plain" else f'<b class="{s.ink}">{_text(s.text)}</b>' for s in strokes)


def _text(text: str) -> str:
    return escape(safe(text))


def _paragraph(text: str) -> str:
    return "".join(f"<code>{_text(piece)}</code>" if is_code else _text(piece) for piece, is_code in pieces(text))


def _strip(strip: Strip) -> str:
    """What a row said, token by token: shade is probability; after a notch comes what differs from BASE."""
    said = []
    for i, token in enumerate(strip.tokens):
        if i == strip.parted_at:
            said.append(f'<i class="notch" title="the first token that differs">{NOTCH}</i>')
        parted = ' class="parted"' if strip.parted_at is not None and i >= strip.parted_at else ""
        if i < len(strip.probabilities):
            p = strip.probabilities[i]
            parted += f' style="--p:{p:.3f}" title="{100 * p:.1f} %"'
        said.append(f"<span{parted}>{_text(token).replace('⏎', '⏎<br>')}</span>")
    if strip.parted_at is not None and strip.parted_at >= len(strip.tokens):
        said.append(f'<i class="notch">{NOTCH} (stops here)</i>')
    rest = strip.label.removeprefix(strip.role.upper()).strip()
    line = f"<div><code>{_text(rest)}</code></div>" if rest else ""
    words = "".join(said) or '<span class="dim">(nothing was generated)</span>'
    return (
        f'<div class="strip {strip.role}"><b>{strip.role.upper()}</b><div>{line}'
        f'<p class="said" dir="auto">{words}</p></div></div>'
    )


def _table(table: Table) -> str:
    """Columns of numbers are flush right."""
    numeric = [all(is_number(row[i]) for row in table.rows) for i in range(len(table.columns))]

    def row(cells: tuple[str, ...], tag: str) -> str:
        return (
            "<tr>"
            + "".join(
                f"<{tag}{' class=number' if right else ''}>{_text(cell)}</{tag}>"
                for cell, right in zip(cells, numeric, strict=True)
            )
            + "</tr>"
        )

    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="wide"><table>{caption}<thead>{row(table.columns, "th")}</thead>'
        f"<tbody>{''.join(row(r, 'td') for r in table.rows)}</tbody></table></div>"
    )
