"""The writers: nothing hostile gets through, every number that is there is shown, and files appear whole."""

from __future__ import annotations

import csv
import html
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from invivo.errors import BadText, InvivoError, UnknownName
from invivo.pictures import Bars, Heatmap, Lines, Picture, Series
from invivo.show import palette, shell, terminal
from invivo.show.blocks import Code, Document, Figure, Heading, Points, Strip, Table, Text
from invivo.show.figures import save
from invivo.show.html import fragment
from invivo.show.markdown import code_span, escaped, fenced, markdown, opening
from invivo.show.svg import svg
from invivo.show.tables import table_of
from invivo.show.text import cells, decimals_for, number, quoted, safe, safe_lines, shorten, visible
from tests.samples import HOSTILE, pictures

PICTURES = pictures()
each_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
ANY = st.text(st.characters(), max_size=40)  # surrogates, controls and unassigned characters among them
UNSEEN = "\x1b\x00\x85\u202e\u2066\u200b\ufeff\ud800\ue000"


def everything(text: str = HOSTILE) -> Document:
    """A document with one block of every kind, all made of the same text."""
    bars = Bars(
        title=text,
        summary=text,
        labels=(text, "b"),
        unit=text,
        series=(Series(name=text, role="tweak", values=(1.0, 2.5)),),
    )
    return Document(
        blocks=(
            Heading(text=text, level=1),
            Text(text=text),
            Text(text=text, tone="note"),
            Text(text=text, tone="takeaway"),
            Points(items=(text, text), numbered=True),
            Strip(role="base", label="BASE", prompt=text, tokens=(text, " b"), probabilities=(0.25, 1.0)),
            Strip(role="tweak", label=f"TWEAK {text}", prompt=text, tokens=("a", text), parted_at=1),
            Table(columns=(text, "n"), rows=((text, "1.5"),), caption=text),
            Figure(picture=bars, name="f"),
            Code(text=text),
            Code(text=text, language="text"),
        )
    )


def shown(document: Document, width: int = 80, **options: object) -> str:
    """What a terminal gets."""
    out = Console(file=io.StringIO(), width=width, **options)  # type: ignore[arg-type]
    out.print(terminal.render(document))
    return out.file.getvalue()  # type: ignore[attr-defined]


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_seen_is_shown_as_its_escape():
    assert safe("a\x1b[2J\tb\nc\u202ed\u200be") == r"a\x1b[2J\tb⏎c\u202ed\u200be"
    assert safe("héllo 中文 👩‍🚀 שלום") == "héllo 中文 👩‍🚀 שלום"
    assert safe_lines("a\n\tb\x07") == "a\n    b\\x07"


@given(ANY)
def test_safe_text_has_nothing_unseen_and_is_safe_already(text: str):
    once = safe(text)
    assert not set(once) & set(UNSEEN)
    assert "\n" not in once
    assert safe(once) == once
    once.encode()  # no half of a character is left


@given(ANY)
def test_visible_tokens_keep_no_blank_ends(token: str):
    label = visible(token)
    assert label
    assert label == label.strip()
    assert visible(label) == label


def test_tokens_show_their_blanks():
    assert [visible(t) for t in (" Mary", "a ", "  ", "\n", "", "\u0301", "\xa0x")] == [
        "·Mary",
        "a·",
        "··",
        "⏎",
        '""',
        "◌\u0301",
        r"\xa0x",
    ]
    assert quoted(" Mary") == "' Mary'"
    assert quoted(" don't") == '" don\'t"'


def test_numbers_read_well():
    assert [number(v, d) for v, d in ((-1.5, 1), (1234.5, 0), (None, 2), (float("nan"), 1), (float("-inf"), 1))] == [
        "−1.5",
        "1,234",
        "–",
        "–",
        "−∞",
    ]
    assert number(0.04, 1, signed=True) == "0.0" != number(0.06, 1, signed=True) == "+0.1"
    assert [decimals_for(v) for v in ((62.1, 9), (0.01234,), (180.2, 21), (1, 2, 30), (), (0.0,))] == [1, 4, 0, 0, 0, 0]


@given(ANY, st.integers(min_value=1, max_value=20))
def test_shortened_text_fits(text: str, room: int):
    assert cells(shorten(text, room)) <= room
    assert cells(text) > room or shorten(text, room) == text


# ── terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_long_words_are_folded_and_none_of_them_is_lost():
    word = "".join(map(str, range(200)))
    out = shown(
        Document(
            blocks=(
                Text(text=word),
                Text(text=word, tone="note"),
                Points(items=(word,)),
                Code(text=word, language="text"),
                Strip(role="base", label="BASE", prompt="p", tokens=(word,)),
                Table(columns=("n",), rows=((f"a{word}",),)),
            )
        )
    )
    assert "…" not in out
    assert re.sub(r"[^\d]", "", out) == word * 6


def test_no_markup_and_no_escape_sequence_reaches_the_terminal():
    out = shown(everything(), 200, force_terminal=True, color_system="truecolor")
    assert "[bold]red[/]" in out
    assert r"\x1b[31m" in out
    assert not set(re.sub(r"\x1b\[[\d;]*m", "", out)) & set("\x1b\u202e")
    assert "\x1b[31m" not in out  # red is none of our colours


def test_without_colour_there_are_only_characters():
    out = shown(everything("plain words"))
    assert "\x1b" not in out
    assert "a▸plain words" in out
    orange = "\x1b[38;2;217;115;13m"
    coloured = shown(everything("x"), force_terminal=True, color_system="truecolor")
    assert f"a{orange.replace('[', '[1;')}▸\x1b[0m{orange}x\x1b[0m" in coloured


@each_picture
@pytest.mark.parametrize("width", [40, 80, 132])
def test_figures_fit_the_terminal(picture: Picture, width: int):
    lines = shown(Document(blocks=(Figure(picture=picture, name="x"),)), width).splitlines()
    assert max(map(cells, lines)) <= width
    assert lines[0] == picture.title
    assert " ".join(" ".join(lines).split()).endswith(picture.summary)


def test_bars_are_as_long_as_their_numbers():
    bars = Bars(
        title="t",
        summary="s",
        labels=("a", "b", "c"),
        unit="u",
        series=(Series(name="TWEAK", role="tweak", values=(8.0, 4.0, 0.0)),),
    )
    lines = [x for x in shown(Document(blocks=(Figure(picture=bars, name="x"),))).splitlines() if " TWEAK " in x]
    a, b, c = (line.count("█") for line in lines)
    assert lines[0].endswith("█ 8")
    assert len(lines[0]) == 80
    assert 0 <= a - 2 * b <= 1 < b
    assert c == 0
    below = Series(name="TWEAK", role="tweak", values=(-1.0, 1.0, 0.5))
    signed = shown(Document(blocks=(Figure(picture=bars.model_copy(update={"series": (below,)}), name="x"),)))
    left, right, half = (line for line in signed.splitlines() if " TWEAK " in line)
    assert left.rindex("█") < right.index("█") == half.index("█")
    assert "−1.00" in left
    assert "−" not in right


def test_base_stands_over_tweak_and_the_notch_shows_where_they_part():
    strips = (
        Strip(role="base", label="BASE", prompt="p", tokens=(" one", " two")),
        Strip(role="tweak", label="TWEAK zero head 3.5", prompt="p", tokens=(" one", " three"), parted_at=1),
    )
    base, name, tweak = shown(Document(blocks=strips)).splitlines()
    assert base.index("one") == tweak.index("one")
    assert "one▸ three" in tweak
    assert name.split() == ["TWEAK", "zero", "head", "3.5"]
    same = Strip(role="tweak", label="TWEAK x", prompt="p", tokens=(" one",))
    assert "the same text" in shown(Document(blocks=(same,)))
    assert "the same text" not in shown(Document(blocks=strips))


def joined(lines: list[str]) -> str:
    """Lines as a shell joins them; a line end inside quotes stays."""
    return "".join(line[:-1] if line.endswith("\\") else line for line in lines)


@pytest.mark.parametrize("width", [30, 80])
@settings(deadline=None)
@given(prompt=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=200))
def test_a_broken_command_is_still_the_command(width: int, prompt: str):
    words = ["invivo", "compare", prompt, "--read-text", prompt, "--tweak", "zero head 3.5"]
    assert shell.split(shell.join(words)) == words
    lines = shell.broken(shell.join(words), width)
    assert shell.split(joined(lines)) == words
    assert max(cells(part) for line in lines for part in line.split("\n")) <= width
    assert safe_lines(out := "\n".join(lines)) == out, "nothing in it acts on a terminal"


@pytest.mark.parametrize(("width", "most"), [(60, 60), (24, 24)])
def test_a_shell_reads_a_broken_command_as_one(width: int, most: int):
    word = "it's " * 30 + "done"
    lines = shell.broken(shell.join(["printf", "%s|", word, "--flag", "a b", "--long", "one\ntwo " + word]), width)
    assert len(lines) > 3
    assert max(cells(part) for line in lines for part in line.split("\n")) <= most
    said = subprocess.run(["/bin/sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout
    assert said == f"{word}|--flag|a b|--long|one\ntwo {word}|"


def test_a_command_is_broken_behind_words_only():
    prompt = "The quick brown fox jumps over the lazy dog, and then a very long walk home begins for both of them."
    lines = shell.broken(shell.join(["invivo", "compare", prompt, "--read-text", prompt]), 40)
    assert len(lines) > 5
    assert all("\n".join(lines).count(word) == 2 * prompt.count(word) for word in prompt.split() if len(word) > 3)
    assert "--read-text '" in "\n".join(lines), "a flag stays with its value"
    assert shell.split(joined(lines))[2:] == [prompt, "--read-text", prompt]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which reads $'…'")
def test_what_cannot_be_seen_is_quoted_as_bash_reads_it():
    words = ["\x1b[2J", "tab\there", "5\x077", "turned \u202e back", "it's \x1b\\ \n fine", "$HOME", "plain"]
    line = shell.join(words)
    assert safe(line) == line
    assert "plain" in line.split()
    for width in (20, 200):
        script = "\n".join(shell.broken(f"printf '%s|' {line}", width))
        run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert run.stdout.split("|")[:-1] == words


def test_a_command_that_is_none_is_shown_as_it_is():
    assert shell.broken("say 'it", 80) == ["say 'it"]
    assert shell.split("""invivo "a \\"b\\" c" d\\ e$x""") == ["invivo", 'a "b" c', "d e$x"]


@pytest.mark.parametrize("width", [34, 40, 59])
def test_a_table_that_does_not_fit_is_a_list_with_whole_words(width: int):
    rows = (("perplexity after the prompt", "0.638 nats", "<0.001 nats", "0.7 nats"), ("entropy", "–", "1", "2"))
    table = Table(columns=("", "BASE", "zero head 5.1 + zero head 5.2", "zero neuron 4.100"), rows=rows)
    narrow, wide = shown(Document(blocks=(table,)), width), shown(Document(blocks=(table,)), 100)
    for word in ("perplexity", "prompt", "entropy", "0.638 nats", "<0.001 nats", "4.100"):
        assert word in narrow
    assert wide.count("BASE") == 1
    assert max(map(cells, narrow.splitlines())) <= width


def test_an_encoding_without_the_glyphs_shows_escapes(monkeypatch: pytest.MonkeyPatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    out = terminal.console()
    out.print(terminal.render(Document(blocks=(Text(text="a → b [bold]"),))))
    sys.stdout.flush()
    assert raw.getvalue().rstrip() == rb"a \u2192 b [bold]"


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_escapes_what_markdown_html_and_liquid_would_read():
    out = markdown(everything())
    assert "<script" not in out
    assert not re.search(r"\{[{%]", out)
    table = next(line for line in out.splitlines() if line.endswith("| 1.5 |"))
    assert r"\|" in table
    assert table.replace(r"\|", "").count("|") == 3
    assert r"\*a\*" in table
    assert r"\x1b[31m" in out
    assert not set(out) & set("\x1b\u202e")


@given(ANY)
def test_no_text_opens_liquid_html_or_a_table_cell(text: str):
    for written in (escaped(text), code_span(text), opening(escaped(text))):
        assert not re.search(r"\{[{%]|<(?!/?code>)", written)
        assert not re.search(r"(?<!\\)\|", written)
        assert "\n" not in written
    assert not re.search(r"\{[{%]", fenced(text, "sh"))


@given(st.text("abc-+=1.):#* \t>_`|", max_size=12))
def test_no_text_opens_a_list_a_heading_or_a_fence(text: str):
    written = opening(escaped(text))
    assert not re.match(r"\s*([-+*:>#=|]|\d+[.)](\s|$)|`{3})| {4}", written)
    assert "".join(html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written)).split()) == "".join(safe(text).split())


def test_plain_words_and_numbers_stay_plain():
    for text in ("Zeroing head 3.5 lowers it by 1.2 nats", "21.4", "top_k", "−0.5 (of 3)", "0:64"):
        assert opening(escaped(text)) == text
    assert code_span("zero head 3.5") == "`zero head 3.5`"


def test_a_figure_is_embedded_or_tabled():
    figure = Document(blocks=(Figure(picture=PICTURES["bars"], name="02-next"),))
    tabled = markdown(figure)
    assert "| ·Mary | 62.0 | 31.0 |" in tabled
    assert "from 62 % to 31 %" in tabled
    linked = markdown(figure, lambda f: f"/assets/a b/{f.name}.svg")
    assert "![Next token](/assets/a%20b/02-next.svg)" in linked
    assert "from 62 % to 31 %" in linked
    assert "| ·Mary" not in linked


# ── HTML and SVG ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_html_escapes_everything_and_asks_for_nothing():
    out = fragment(everything())
    assert "&lt;script&gt;" in out
    assert not re.search(r"<script|\bon\w+=|<link|<img|@import|url\(|https?://(?!www\.w3\.org/2000/svg)", out)
    assert not set(out) & set("\x1b\u202e")
    hostile = fragment(everything('x\' onload=alert(1) " style="a'))
    assert not re.search(r"<[^>]*\bonload=(?![^<]*&#x27;)[^>]*>", re.sub(r'"[^"]*"', '""', hostile))


@given(ANY)
def test_html_is_well_formed_whatever_is_said(text: str):
    document = everything(text)
    body = re.sub(r"<style>.*?</style>", "", fragment(document), flags=re.DOTALL)
    body = body.replace("<br>", "<br/>").replace("class=number", 'class="number"')
    tree = ElementTree.fromstring(body)
    said = tree.find(".//p[@class='said']")
    assert said is not None
    assert "".join(said.itertext()) == safe(text) + " b"


def test_dark_mode_sets_every_colour_again():
    out = fragment(everything("x"))
    light, dark = out.split("prefers-color-scheme: dark", 1)
    names = set(re.findall(r"--[a-z]+(?=:)", light))
    assert names - {"--p"} == set(re.findall(r"--[a-z]+(?=:)", dark.split("} }")[0]))
    assert len(names) > 6


@each_picture
def test_svg_is_xml_with_a_name_a_summary_and_all_its_words(picture: Picture):
    tree = ElementTree.fromstring(svg(picture))
    space = "{http://www.w3.org/2000/svg}"
    assert tree.get("role") == "img"
    assert tree.get("aria-labelledby") == f"{tree[0].get('id')} {tree[1].get('id')}"
    assert (tree[0].tag, tree[0].text) == (f"{space}title", picture.title)
    assert (tree[1].tag, tree[1].text) == (f"{space}desc", picture.summary)
    words = [node.text for node in tree.iter(f"{space}text")]
    names = {
        "bars": lambda p: (*p.labels, p.unit),
        "lines": lambda p: (*(p.x_labels or ()), p.x_name, p.y_name),
        "heatmap": lambda p: (*p.rows, *p.columns, p.row_name, p.column_name, p.unit),
    }[picture.kind](picture)
    assert set(names) <= set(words)
    if not isinstance(picture, Heatmap):
        assert {s.name for s in picture.series} <= set(words)


@each_picture
def test_nothing_is_drawn_outside_the_svg(picture: Picture):
    tree = ElementTree.fromstring(svg(picture))
    width, height = (float(v) for v in (tree.get("viewBox") or "").split()[2:])
    pairs = [pair.split(",") for node in tree.iter() for pair in (node.get("points") or "").split()]
    pairs += [[node.get("x") or "", node.get("y") or ""] for node in tree.iter() if node.get("x")]
    assert len(pairs) > 3
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in pairs)


def test_a_bar_is_as_long_as_its_number():
    def lengths(*values: float) -> list[float]:
        bars = Bars(
            title="t", summary="s", labels=("a", "b"), unit="u", series=(Series(name="x", role="tweak", values=values),)
        )
        points = re.findall(r'<polygon class="tweak" points="([^"]*)"', svg(bars))[1:]  # the first is the legend's
        xs = [[float(p.split(",")[0]) for p in point.split()] for point in points]
        return [max(x) - min(x) for x in xs]

    assert lengths(4.0, 2.0)[0] == pytest.approx(2 * lengths(4.0, 2.0)[1], abs=0.1)
    assert lengths(4.0, 1.0)[0] == pytest.approx(4 * lengths(4.0, 1.0)[1], abs=0.1)
    assert lengths(-4.0, 2.0)[0] == pytest.approx(2 * lengths(-4.0, 2.0)[1], abs=0.1)


def test_text_is_white_on_dark_cells_and_dark_on_light_ones():
    heat = PICTURES["heat"]
    assert isinstance(heat, Heatmap)
    assert palette.ink_on(palette.cell_colour(heat, 0.85)) == "#ffffff"
    assert palette.ink_on(palette.cell_colour(heat, 0.01)) == "#000000"
    assert re.search(r'fill="#ffffff"[^>]*>0.85', svg(heat))


def test_a_diverging_scale_is_symmetric_about_white():
    both = PICTURES["diverging"]
    assert isinstance(both, Heatmap)
    assert palette.limits(both) == (-1.5, 1.5)
    assert palette.cell_colour(both, 0.0) == palette.SIGNED[2]
    assert palette.cell_colour(both, 1.5) == palette.SIGNED[-1] != palette.cell_colour(both, -1.5) == palette.SIGNED[0]
    assert palette.limits(both.model_copy(update={"diverging": False, "values": ((2.0, 5.0),)})) == (0.0, 5.0)


def test_a_missing_value_is_a_gap_and_an_infinite_one_breaks_nothing():
    numeric = PICTURES["numeric"]
    assert svg(numeric).count('<polyline class="tweak"') == 2
    whole = numeric.model_copy(update={"series": (Series(name="TWEAK", role="tweak", values=(0.0, 0.5, 1.0)),)})
    assert svg(whole).count('<polyline class="tweak"') == 1
    wild = Bars(
        title="t",
        summary="s",
        labels=("a", "b", "c"),
        unit="",
        series=(Series(name="x", values=(float("inf"), float("nan"), 1.0)),),
    )
    ElementTree.fromstring(svg(wild))
    assert "∞" in shown(Document(blocks=(Figure(picture=wild, name="x"),)))


@pytest.mark.parametrize(
    "picture",
    [
        Bars(title="", summary="", labels=(), unit="", series=()),
        Bars(title="", summary="", labels=("a",), unit="", series=(Series(name="", values=(None,)),)),
        Lines(title="", summary="", x=(), x_name="", y_name="", series=()),
        Lines(title="", summary="", x=(), x_labels=(), x_name="", y_name="", series=(Series(name="", values=()),)),
        Lines(title="", summary="", x=(1.0,), x_name="", y_name="", series=(Series(name="", values=(1e-9,)),)),
        Heatmap(title="", summary="", rows=(), columns=(), values=(), row_name="", column_name="", unit=""),
        Heatmap(
            title="",
            summary="",
            rows=("a",),
            columns=("b",),
            values=((None,),),
            row_name="",
            column_name="",
            unit="",
            diverging=True,
        ),
    ],
    ids=lambda p: p.kind,
)
def test_pictures_of_nothing_are_drawn_too(picture: Picture):
    ElementTree.fromstring(svg(picture))
    shown(Document(blocks=(Figure(picture=picture, name="x"),)))
    markdown(Document(blocks=(Figure(picture=picture, name="x"),)))


def test_series_of_the_wrong_length_are_refused():
    bars = PICTURES["bars"].model_copy(update={"labels": ("one",)})
    with pytest.raises(BadText, match="3 values for 1 places"):
        svg(bars)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────

FILES = [
    (name, ending, start)
    for ending, start in ((".svg", b"<svg "), (".csv", b""), (".png", b"\x89PNG"), (".pdf", b"%PDF-"))
    for name in PICTURES
    if ending in (".svg", ".csv") or name in ("signed", "dose", "heat")
]


@pytest.mark.parametrize(("name", "ending", "start"), FILES)
def test_a_picture_becomes_a_file_twice_the_same(name: str, ending: str, start: bytes, tmp_path: Path):
    picture = PICTURES[name]
    path = save(picture, tmp_path / "new" / f"x{ending}")
    first = path.read_bytes()
    assert first.startswith(start)
    assert save(picture, path).read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_any_token_can_be_drawn_without_a_warning(tmp_path: Path):
    labels = ("中文", "🦋", "שלום", "عربي", "$x^2$", r"\$5", "\x1b[2J", "\u202eevil", "e\u0301", "\ud800", "\U0001f9ff")
    bars = Bars(
        title="$a$ 中",
        summary="",
        labels=labels,
        unit="%",
        series=(Series(name="$", values=tuple(map(float, range(len(labels))))),),
    )
    save(bars, tmp_path / "x.png")
    save(bars, tmp_path / "x.pdf")
    from invivo.show.raster import plain

    assert plain("中a") == r"\u4e2da"
    assert plain("ש") == r"\u05e9"
    assert plain("·é☃") == "·é☃"


def test_csv_has_every_number_and_starts_no_formula(tmp_path: Path):
    path = save(PICTURES["bars"], tmp_path / "x.csv")
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert rows[0] == ["", "BASE (probability, %)", "TWEAK zero head 3.5 (probability, %)"]
    assert rows[2] == ["·John", "9.25", "44.2"]
    assert rows[3] == ["<script>", "0.3", ""]
    evil = Bars(title="", summary="", labels=("=1+1",), unit="", series=(Series(name="@x", values=(-1.0,)),))
    assert save(evil, tmp_path / "y.csv").read_text(encoding="utf-8") == ",'@x\n'=1+1,-1.0\n"


def test_tables_show_intervals_and_tell_equal_tokens_apart():
    dose = table_of(PICTURES["dose"])
    assert dose.columns == (
        "#",
        "zero embed dims …",
        "BASE (perplexity)",
        "TWEAK (perplexity)",
        "TWEAK, low end",
        "TWEAK, high end",
    )
    assert dose.rows[1] == ("1", "0:16", "21", "22", "21", "24")
    assert len(set(table_of(PICTURES["many"]).rows)) == 15


def test_a_grid_as_a_table_keeps_its_rows():
    heat = table_of(PICTURES["heat"])
    assert heat.columns == ("layer ╲ head", "0", "1", "2")
    assert heat.rows == (("layer 0", "0.010", "–", "0.200"), ("layer 1", "0.050", "0.400", "0.850"))


def test_an_unknown_ending_is_refused_with_those_there_are(tmp_path: Path):
    with pytest.raises(UnknownName, match=r"\.svg, \.png, \.pdf, \.csv"):
        save(PICTURES["bars"], tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(InvivoError, match="cannot write"):
        save(PICTURES["bars"], tmp_path / "x.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["x.svg"]


# ── the data ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_documents_go_through_json(text: str):
    document = everything(text)
    assert Document.model_validate_json(document.model_dump_json()) == document
    assert Document.model_validate_json(document.model_dump_json()) != everything(text + "x")


def test_showing_loads_no_torch_and_no_matplotlib():
    code = (
        "import sys, invivo.show.terminal, invivo.show.html, invivo.show.markdown, invivo.show.figures, "
        "invivo.experiment.views; sys.exit(bool({'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (
        subprocess.run(
            [sys.executable, "-c", code.replace("sys.exit", "import numpy; sys.exit")], check=False
        ).returncode
        == 1
    )


def test_a_curve_may_run_to_smaller_x() -> None:
    falling = Lines(
        title="t",
        summary="s",
        x=(-1.0, -2.0, -3.0),
        x_labels=("10^−1", "10^−2", "10^−3"),
        x_name="step",
        y_name="error",
        series=(Series(name="a", values=(1.0, 2.0, 3.0)),),
    )
    drawn = svg(falling)
    assert all(label in drawn for label in falling.x_labels or ())
