"""The model organism explained: its parts counted right, its report read with care, and every line to type works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from invivo.errors import BadText
from invivo.model import organism as module
from invivo.model.card import blocks, card_document
from invivo.model.circuits import ROLES, command, ranked
from invivo.model.organism import FRUITFLY, Bar, Organism, read_organism
from invivo.model.portrait import _apart, drawing, portrait
from invivo.model.sizes import Sizes
from invivo.show import html, markdown
from invivo.show.blocks import Code, Document, Drawing, Heading, Points, Table, Text
from invivo.show.terminal import render
from invivo.surfaces.cli import main

HOSTILE = "is it \x1b[31mred\u202e?"


def report() -> dict[str, Any]:
    """A report as training writes it, with made-up numbers."""
    made = json.loads((FRUITFLY / "report.json").read_text(encoding="utf-8"))
    made["behaviours"] = {
        "induction": {
            "asked": HOSTILE,
            "figures": {"drop_nats": 5.81, "best_head": 0.93, "aside": 1.0},
            "bars": [{"figure": "drop_nats", "at_least": 2}, {"figure": "best_head", "at_least": 0.5}],
            "met": True,
        },
        "indirect": {
            "asked": "Who is given it?",
            "figures": {"right": 0.94996},
            "bars": [{"figure": "right", "at_least": 0.95}],
            "met": False,
        },
        "refusal": {
            "asked": "Are the others helped?",
            "figures": {"refused_rest": 0.05},
            "bars": [{"figure": "refused_rest", "at_most": 0.05}],
            "met": True,
        },
        "grammar": {
            "asked": "Is the right sentence the likelier one?",
            "figures": {f"paradigm_{i}": 0.5 + i / 100 for i in range(20)},
            "bars": [],
            "met": True,
        },
    }
    made["circuits"] = {
        "induction": [{"head": "2.5", "score": 0.6}, {"head": "1.3", "score": 0.9312}],
        "previous_token": [{"head": "0.0", "score": 0.91}],
        "duplicate_token": [{"head": "1.3", "score": 0.2}],
        "indirect": [{"head": "5.1", "change": 0.12}, {"head": "4.2", "change": -0.35}],
        "facts": {"restored": [1, 0.99, 0.97, 0.85, 0.31, 0.05], "deepest": 3},
    }
    return made


Folder = Callable[[dict[str, Any] | str | bytes], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Makes a model folder around a report, without weights."""

    def make(content: dict[str, Any] | str | bytes) -> Path:
        for name in ("README.md", "config.json"):
            shutil.copy(FRUITFLY / name, tmp_path)
        text = json.dumps(content) if isinstance(content, dict) else content
        (tmp_path / "report.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return make


@pytest.fixture
def fly(folder: Folder) -> Organism:
    return read_organism(folder(report()))


def shown(document: Document, width: int = 100, **how: Any) -> str:
    out = StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False, **how).print(render(document))
    return out.getvalue()


def said(fly: Organism) -> str:
    """The whole explanation with every space as one: wherever a line was broken, words stand side by side."""
    return " ".join(shown(portrait(fly)).split())


def commands(fly: Organism) -> list[str]:
    return [b.text for b in portrait(fly).blocks if isinstance(b, Code) and b.text.startswith("invivo ")]


# ── anatomy ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_parts_are_counted_as_the_weights_have_them():
    with (FRUITFLY / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))

    def held(pattern: str) -> int:
        found = [entry["shape"] for name, entry in header.items() if re.search(pattern, name)]
        assert found, pattern
        return sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in found)

    sizes = read_organism().sizes
    assert sizes.embed == held(r"wte\.")
    assert sizes.pos_embed == held(r"wpe\.")
    assert sizes.attention == held(r"\bh\.1\.attn\.c_")
    assert sizes.mlp == held(r"\bh\.1\.mlp\.")
    assert sizes.layer == held(r"\bh\.1\.(attn\.c_|mlp\.|ln_)")
    assert sizes.norm == held(r"ln_f")
    assert sizes.parameters == held(r"\.(weight|bias)$")


def test_parts_are_counted_right_where_neurons_are_given_and_the_head_is_not_tied():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = dict(n_layer=3, n_head=2, n_embd=12, n_inner=7, n_positions=9, vocab_size=11, tie_word_embeddings=False)
    model = GPT2LMHeadModel(GPT2Config(**config, bos_token_id=0, eos_token_id=0))
    sizes = Sizes.of(config)
    assert sizes.parameters == model.num_parameters()
    assert Sizes.of(config | {"tie_word_embeddings": True}).parameters == model.num_parameters() - 11 * 12
    assert Sizes.of(config | {"n_inner": None}).neurons == 48


def test_every_head_of_the_drawing_bears_its_signs_and_no_others(fly: Organism):
    signs = {(0, 0): "◄", (1, 3): "≡▲", (2, 5): "▲", (4, 2): "●", (5, 1): "●"}
    lines = drawing(fly).text.splitlines()
    for layer in range(6):
        [line] = [line for line in lines if line.startswith(f"├ L{layer} ")]
        heads = line[6 : line.index("+ MLP")].split()
        assert heads == [signs.get((layer, head), "·") for head in range(8)]
        assert line.endswith(f"{fly.sizes.layer:,}")
    assert "▲ induction        1.3  2.5" in lines, "best first"
    parts = lines[1 : lines.index(next(line for line in lines if line.startswith("all ")))]
    counts = [int(line.split()[-1].replace(",", "")) for line in parts if not line.startswith("│")]
    assert len(counts) == 10
    assert sum(counts) == fly.sizes.parameters, "what stands above the sum adds up to it"


def test_each_circuit_has_a_sign_and_a_colour_of_its_own(fly: Organism):
    assert len({role.sign for role in ROLES}) == len({role.ink for role in ROLES}) == len(ROLES) == 4
    plain = shown(Document(blocks=(drawing(fly),)))
    coloured = shown(Document(blocks=(drawing(fly),)), force_terminal=True, color_system="truecolor")
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    colours = {role.sign: set(re.findall(rf"\x1b\[1;([\d;]+)m{role.sign}", coloured)) for role in ROLES}
    assert all(len(found) == 1 for found in colours.values()), colours
    assert len(set.union(*colours.values())) == 4


@pytest.mark.parametrize("width", [60, 100, 120])
def test_it_fits_a_terminal_and_nothing_hostile_reaches_it(fly: Organism, width: int):
    text = shown(portrait(fly), width)
    assert max(map(len, text.splitlines())) <= min(width, 100)
    for line in drawing(fly).text.splitlines():
        assert line.rstrip() in text, "no line of the drawing is broken"
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred\\u202e?" in text


def test_a_drawing_reads_alike_in_markdown_and_in_html(fly: Organism):
    document = Document(blocks=(drawing(fly),))
    assert drawing(fly).text in markdown.markdown(document)
    page = html.fragment(document)
    inside = page[page.index("<pre") : page.index("</pre>")]
    assert re.sub(r"<[^>]*>", "", inside) == drawing(fly).text
    for role in ROLES:
        assert f'<b class="{role.ink}">{role.sign}' in inside
        assert re.search(rf"\.drawing \.{role.ink} {{ color: #\w{{6}}; }}", page)
    hostile = Drawing.of({"lines": [[{"text": "<b>\x1b", "ink": "one"}]]})
    assert '<b class="one">&lt;b&gt;\\x1b</b>' in html.fragment(Document(blocks=(hostile,)))
    assert shown(Document(blocks=(hostile,))) == "<b>\\x1b\n"


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_report_has_no_faults_and_its_behaviours_are_told(fly: Organism):
    assert fly.faults == ()
    [table] = [b for b in portrait(fly).blocks if isinstance(b, Table) and b.columns[0] == "behaviour"]
    assert table.rows[:5] == (
        ("induction", "drop nats", "5.81", "≥ 2.00", "✓"),
        ("", "best head", "0.930", "≥ 0.500", "✓"),
        ("indirect", "right", "0.94996", "≥ 0.95000", "✗"),
        ("refusal", "refused rest", "0.0500", "≤ 0.0500", "✓"),
        ("grammar", "paradigm 0", "0.500", "none", "–"),
    )
    assert table.rows[-1] == ("", "and 17 more", "", "none", "–")
    assert "Of the 4 things that it was measured on, 3 have a bar to reach, and 2 reach it." in said(fly)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans())
def test_a_figure_that_misses_its_bar_never_looks_like_it(value: float, bound: float, least: bool):
    bar = Bar.of({"figure": "x", "at_least" if least else "at_most": bound})
    measured, reach = _apart(value, bar)
    assert (measured == reach) == (value == bound)
    assert bar.holds(value) == (value >= bound if least else value <= bound)


def test_what_the_figures_contradict_is_told(folder: Folder):
    made = report()
    made["behaviours"]["indirect"]["met"] = True
    made["behaviours"]["refusal"]["met"] = False
    made["model"]["parameters"] += 1
    faults = read_organism(folder(made)).faults
    assert len(faults) == 3
    assert "indirect" in faults[0]
    assert "they are not" in faults[0]
    assert "refusal" in faults[1]
    assert "they are" in faults[1]
    assert "6,967,296" in faults[2]
    assert "6,967,297" in faults[2]


def test_a_first_version_without_behaviours_and_circuits_says_so_and_shows_the_rest(folder: Folder):
    made = report()
    del made["behaviours"], made["circuits"]
    fly = read_organism(folder(made))
    text = said(fly)
    assert "note report.json has no behaviours" in text
    assert "note report.json has no circuits" in text
    assert "├ L5" in text
    assert f"{made['training']['tokens']:,} tokens" in text
    assert "tinystories sample" in text
    assert "What it was taught" not in text
    assert commands(fly) == []


DAMAGE: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda r: r.update(behaviours=[1]), "behaviours of report.json is damaged"),
    (lambda r: r["behaviours"].update(induction=7), "behaviours.induction of report.json is damaged"),
    (lambda r: r["behaviours"]["indirect"]["figures"].update(right="x" * 999), "behaviours.indirect"),
    (lambda r: r["behaviours"]["indirect"]["bars"][0].update(figure="wrong"), "no such figure"),
    (lambda r: r["behaviours"]["indirect"]["bars"][0].update(at_most=1), "either at_least or at_most"),
    (lambda r: r["heldout"]["all"].pop("model"), "heldout.all"),
    (lambda r: r.update(circuits="none"), "circuits of report.json are damaged"),
    (lambda r: r["circuits"]["induction"].append({"head": "6.0", "score": 1}), "there is no head 6.0"),
    (lambda r: r["circuits"]["induction"].append({"head": "0.8", "score": 1}), "there is no head 0.8"),
    (lambda r: r["circuits"]["induction"].append({"head": "x", "score": 1}), "circuits of report.json are damaged"),
    (lambda r: r["circuits"]["facts"].update(deepest=6), "deepest is layer 6"),
    (lambda r: r["circuits"]["facts"].update(deepest=6, restored=[1] * 9), "there is no layer 6"),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGE, ids=[told for _, told in DAMAGE])
def test_a_damaged_part_is_told_and_the_rest_is_shown(folder: Folder, damage: Callable[[Any], None], told: str):
    made = report()
    damage(made)
    fly = read_organism(folder(made))
    [fault] = fly.faults
    assert told in fault
    assert len(fault) < 200
    text = said(fly)
    assert f"note {fault}." in text
    assert "├ L5" in text
    assert "refused rest" in text or "behaviours of" in told
    assert ("▲ induction 1.3 2.5" in text) == ("circuits" not in fault)


UNREADABLE = {
    "not JSON": (b"{", "is damaged"),
    "not UTF-8": (b'{"a": "\xff"}', "is not UTF-8"),
    "no object": (b"[]", "holds no JSON object"),
    "not a number": (b'{"a": NaN}', "NaN is not a finite number"),
    "too large": (b'{"a": 1e999}', "1e999 is not a finite number"),
    "too deep": (b"[" * 200_000, "is damaged"),
}


@pytest.mark.parametrize(("content", "told"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("words", [("fruitfly",), ("fruitfly", "--json"), ("fruitfly", "card", "--json")])
def test_a_report_that_cannot_be_read_is_an_error(folder, capsys, monkeypatch, content: bytes, told: str, words):
    monkeypatch.setattr(module, "FRUITFLY", folder(content))
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .*report\.json.*\nhint: install again.*\n", err), err
    assert told in err


def test_missing_files_are_an_error(folder: Folder):
    for name in ("report.json", "config.json"):
        place = folder(report())
        (place / name).unlink()
        with pytest.raises(BadText, match=f"cannot read .*{name}"):
            read_organism(place)
    (place / "config.json").write_text('{"n_layer": 0}')
    with pytest.raises(BadText, match=r"config\.json is damaged: n_layer: .*\n") as told:
        read_organism(folder_with(place, {"n_layer": 0}))
    assert len(told.value.what) < 300
    with pytest.raises(BadText, match="not divisible by 7 heads"):
        read_organism(folder_with(place, {"n_head": 7}))


def folder_with(place: Path, changes: dict[str, Any]) -> Path:
    config = json.loads((FRUITFLY / "config.json").read_text(encoding="utf-8"))
    (place / "config.json").write_text(json.dumps(config | changes))
    (place / "report.json").write_text(json.dumps(report()))
    return place


# ── what to type ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_circuit_names_its_best_head_and_a_control_that_is_in_none(fly: Organism):
    asked = [re.findall(r"(?:zero|mean) head (\d\.\d)", line) for line in commands(fly)]
    assert asked == [["0.0", "0.1"], ["1.3", "1.0"], ["1.3", "1.0"], ["4.2", "4.0"], []]
    assert "copy L3.resid_pre at -2 from other" in commands(fly)[-1]
    text = said(fly)
    assert "93% of its attention" in text
    assert "changes by −35%" in text
    assert "brings back 85% of" in text


def test_no_head_is_named_where_none_was_found(folder: Folder):
    made = report()
    made["circuits"] |= {"previous_token": [], "indirect": [{"head": "5.1", "change": 0.12}]}
    made["circuits"]["induction"] = [{"head": f"1.{head}", "score": 0.5} for head in range(8)]
    fly = read_organism(folder(made))
    assert "No head was found for: previous token, indirect object." in said(fly)
    assert [re.findall(r"head (\d\.\d)", line) for line in commands(fly)] == [["1.3"], ["1.0"], []]
    assert "1.0  1.1  1.2  1.3  1.4 and 3 more" in drawing(fly).text


def test_what_is_told_to_type_can_be_typed(fly: Organism, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(commands(fly)) == 5
    for line in commands(fly):
        assert main(shlex.split(line)[1:]) == 0
        out = capsys.readouterr().out
        assert "log-probability of the target" in out
        assert out.count("TWEAK ") >= line.count("--tweak")


def falls(fly: Organism, model: Any) -> list[str]:
    """The circuits whose command does not show what is said: the answer falls, and further than with the control."""
    wrong = []
    for role in ROLES:
        if heads := ranked(fly, role)[:1]:
            words = shlex.split(command(fly, role, heads[0]))
            tweaks = [words[i + 1] for i, word in enumerate(words) if word == "--tweak"]
            result = model.compare(words[2], *tweaks, target=words[words.index("--target") + 1], max_new_tokens=1)
            best, *control = [row.target_nats for row in result.tweaks]
            if not best < min([result.base.target_nats, *control]):
                wrong.append(role.key)
    return wrong


def test_the_shipped_circuits_can_be_seen_as_told():
    import invivo

    fly = read_organism()
    if "circuits" not in fly.report:
        pytest.skip("the shipped report has no circuits yet; runs as soon as it has")
    assert not fly.faults
    assert falls(fly, invivo.load()) == []


# ── the card ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def told(document: Document) -> Iterator[str]:
    """Every text of a card, whatever block it stands in."""
    for block in document.blocks:
        match block:
            case Heading() | Text():
                yield block.text
            case Points():
                yield from block.items
            case Table():
                yield from (cell for row in (block.columns, *block.rows) for cell in row)
            case Code():
                yield from (block.text, block.language)


def test_the_card_leaves_out_no_word_and_no_address():
    source = (FRUITFLY / "README.md").read_text(encoding="utf-8")
    card = " ".join(told(card_document()))
    for word in re.findall(r"https?://[^)\s]+|\w+", source):
        assert word in card, word
    assert not re.search(r"\]\(|^#|\| ---|```", card)


@pytest.mark.parametrize("width", [60, 100, 120])
def test_the_card_can_be_read_in_a_terminal(width: int):
    text = shown(card_document(), width)
    assert max(map(len, text.splitlines())) <= min(width, 100)
    assert "…" not in text, "nothing is cut off"
    for name in re.findall(r"^\| (\w+) \|", (FRUITFLY / "README.md").read_text(encoding="utf-8"), re.MULTILINE):
        assert width > 60 or re.search(rf"\b{name}\b", text), "a record where columns would be too narrow"


CARD = """---
license: mit
---
# Fly **one**

Two lines
of `a*b*` and [words](https://x.org/y_z), *slanted* **bold** 3 * 4 * 5, a\\*b &lt;c.
<!-- nobody
sees this -->
- one
  more
- two
1. first

| a | b |
| --- | ---: |
| x \\| y | 1 | 2 |
| z |

> said \x1b[31m
> twice
```python
# no heading
```
after
"""


def test_the_marks_of_a_card_become_blocks():
    assert list(blocks(CARD)) == [
        Heading(text="Fly one", level=1),
        Text(text="Two lines of `a*b*` and words (https://x.org/y_z), slanted bold 3 * 4 * 5, a*b <c."),
        Points(items=("one more", "two", "first")),
        Table(columns=("a", "b"), rows=(("x | y", "1 | 2"), ("z", ""))),
        Code(text="said \x1b[31m\ntwice", language="text"),
        Code(text="# no heading", language="python"),
        Text(text="after"),
        Heading(text="Metadata"),
        Code(text="license: mit", language="yaml"),
    ]
    assert "\x1b" not in shown(Document(blocks=tuple(blocks(CARD))))


@given(st.text("ab12 |#-*>`.\n\\[]()!&;", max_size=80))
def test_whatever_a_card_holds_no_letter_of_it_is_lost(text: str):
    letters = sorted(c for c in text if c in "ab")
    kept = Document(blocks=tuple(blocks(text)))
    ours = sorted(c for t in told(kept) for c in t.replace("Metadata", "").replace("yaml", "") if c in "ab")
    assert ours == letters
    shown(kept, 60)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_explains_and_prints_the_card_and_all_of_the_report(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(module, "FRUITFLY", folder(report()))
    assert main(["fruitfly"]) == 0
    out, err = capsys.readouterr()
    assert "├ L0" in out
    assert "Data and credits" not in out
    assert "\x1b" not in out + err
    assert main(["fruitfly", "card"]) == 0
    card = capsys.readouterr().out
    assert "├ L0" not in card
    assert "Data and credits" in card
    for words in ("fruitfly --json", "fruitfly card --json", "fruitfly --json card"):
        assert main(words.split()) == 0
        assert json.loads(capsys.readouterr().out) == report()
    assert main(["fruitfly", "--help"]) == main(["--help"]) == 0
    help_texts = capsys.readouterr().out
    assert "Print fruitfly's card" in help_texts
    assert re.search(r"fruitfly\s+The model that comes with invivo", help_texts)


def test_it_loads_no_torch():
    code = (
        "import sys; from invivo.surfaces.cli import main\n"
        "for line in ('fruitfly', 'fruitfly card', 'fruitfly --json', 'fruitfly --help'):\n"
        "    assert main(line.split()) == 0, line\n"
        "    heavy = {'torch', 'transformers', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "    assert not heavy, (line, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "├ L0" in done.stdout
