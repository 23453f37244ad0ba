"""The colours of heatmaps: numbers can be read on every tone, and what is near zero recedes into the ground."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from invivo.pictures import Heatmap
from invivo.show import palette
from invivo.show.blocks import Document, Figure
from invivo.show.html import fragment
from invivo.show.svg import svg

SCALES = ("AMOUNT", "SIGNED", "AMOUNT_DARK", "SIGNED_DARK")
STEPS = 1000
GRID = Heatmap(
    title="difference",
    summary="s",
    rows=("0", "1"),
    columns=tuple(map(str, range(6))),
    values=((-1.0, -0.6, -0.3, 0.0, 0.25, None), (0.001, 0.5, 0.62, 0.8, 1.0, float("nan"))),
    row_name="layer",
    column_name="head",
    unit="nats",
    diverging=True,
)


def channel(value: int) -> float:
    """WCAG 2's linear light of one sRGB byte."""
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio, written down here anew."""
    lights = sorted(
        sum(w * channel(b) for w, b in zip((0.2126, 0.7152, 0.0722), bytes.fromhex(c[1:]), strict=True)) + 0.05
        for c in (one, other)
    )
    return lights[1] / lights[0]


def test_contrast_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the known lightest grey for AA


@pytest.mark.parametrize("name", SCALES)
def test_a_number_can_be_read_on_every_tone(name: str):
    for step in range(STEPS + 1):
        tone = palette.mixed(getattr(palette, name), step / STEPS)
        ink = palette.ink_on(tone)
        assert contrast(ink, tone) >= 4.5, (step, tone, ink)
        assert contrast(ink, tone) >= max(contrast("#000000", tone), contrast("#ffffff", tone)) - 1e-9


@pytest.mark.parametrize("dark", [False, True])
def test_what_a_drawing_writes_into_a_cell_can_be_read(dark: bool):
    drawn = svg(GRID, dark=True)
    key = r"--dark:(#\w{6})" if dark else r'fill="(#\w{6})"'
    cells = re.findall(rf'<polygon class="(?:cell|empty)" [^>]*{key}', drawn)
    texts = re.findall(rf'<text class="own" [^>]*{key}', drawn)
    there = [at for at, value in enumerate(v for row in GRID.values for v in row) if value is not None]
    assert len(texts) == len(there) == 11
    for at, ink in zip(there, texts, strict=True):
        assert contrast(ink, cells[at]) >= 4.5


@pytest.mark.parametrize(("dark", "ground"), [(False, palette.PAPER), (True, "#17191c")])
def test_nothing_recedes_into_the_ground_and_more_stands_out_more(dark: bool, ground: str):
    nothing = palette.cell_colour(GRID, 0.0, dark=dark)
    assert contrast(nothing, ground) < 1.25
    for sign in (1, -1):
        tones = [palette.cell_colour(GRID, sign * step / 50, dark=dark) for step in range(51)]
        ratios = [contrast(tone, ground) for tone in tones]
        assert all(after > before for before, after in pairwise(ratios))
        assert ratios[-1] > 5


def test_a_file_has_the_light_colours_and_a_page_both():
    assert "--dark" not in svg(GRID)
    written = fragment(Document(blocks=(Figure(picture=GRID, name="grid"),)))
    assert f"--dark:{palette.SIGNED_DARK[2]}" in written
    assert re.search(r"prefers-color-scheme: dark\) { \.invivo svg \.cell, \.invivo svg text\.own", written)


def test_the_page_paints_with_the_same_colours():
    source = (Path(__file__).parents[1] / "page" / "src" / "lib" / "format.ts").read_text(encoding="utf-8")
    for name in SCALES:
        (stops,) = re.findall(rf"const {name} = \[([^\]]*)\]", source)
        assert tuple(re.findall(r"#\w{6}", stops)) == getattr(palette, name)
