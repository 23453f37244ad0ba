"""Reports: what is written into a folder and what never is, all labs in one, and what Ctrl-C leaves."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import invivo
from invivo import files
from invivo.errors import InvivoError, Refused
from invivo.experiment import Comparison, Experiment, Lab, LabResult, Step, Verdict
from invivo.journal import Journal, Part, again, report, run_of, runs_in, write_report
from invivo.labs import NEXT, all_labs, lab_named
from invivo.labs.own import find
from invivo.show.blocks import Document, Figure, Heading, Text
from invivo.show.html import page
from invivo.surfaces.cli import main

from . import samples

NAMES = [lab.full_name for lab in all_labs()]


class Stop(KeyboardInterrupt):
    """As the engine's own: Ctrl-C, with what there was by then."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept
        super().__init__()


class Fake:
    """Stands for a model: made-up numbers at once. A lab in `fails` raises, in `stops` is stopped, in `wrong` errs."""

    name, revision, device, dtype = "fruitfly", "sha256:0123456789abcdef", "cpu", "float32"

    def __init__(self) -> None:
        self.fails: dict[str, Exception] = {}
        self.stops: set[str] = set()
        self.wrong: set[str] = set()
        self.asked: list[Experiment] = []
        self.loads = 0

    def run(self, experiment: Experiment) -> Comparison:
        self.asked.append(experiment)
        lines = [str(stack) for stack in experiment.tweaks]
        return samples.comparison(*lines, prompts=experiment.prompts).model_copy(update={"recipe": experiment})

    def run_lab(self, lab: Lab, experiment: Experiment | None = None, **how: Any) -> LabResult:
        if lab.label in self.fails:
            raise self.fails[lab.label]
        c = self.run(experiment or lab.experiment)
        held = lab.label not in self.wrong
        verdicts = tuple(Verdict(text=one.text, holds=held, expected=True) for one in lab.claims)
        for one in lab.claims:
            one.holds(c)
        result = LabResult(lab=lab.full_name, comparison=c, takeaway=lab.takeaway(c), verdicts=verdicts)
        if lab.label in self.stops:
            raise Stop(result)
        return result


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The test runs in an empty folder, and whatever it loads is a fake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    model = Fake()

    def load(name: str = "fruitfly", **how: Any) -> Fake:
        model.loads += 1
        return model

    monkeypatch.setitem(vars(invivo), "load", load)
    return model


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line; its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


class Tags(HTMLParser):
    """Every tag's opening has its end, and every attribute is kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "br", "rect", "polygon", "polyline", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# ── one lab ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_labs_report_has_every_form_and_its_figures(fake: Fake, invoke: Any) -> None:
    code, _, err = invoke("run", "02", "--out", "r")
    assert code == 0
    name, folder = "02_head_ablation", Path("r")
    assert {p.name for p in folder.iterdir()} == {
        report.FILES,
        "figures",
        *(f"{name}.{ending}" for ending in ("md", "html", "json", "yaml")),
    }
    number = len(lab_named("02").pictures)
    files = ", ".join(f"{name}.{ending}" for ending in ("md", "html", "json", "yaml"))
    assert f"wrote {files}, {number} figures as SVG and PNG into r" in err
    text = (folder / f"{name}.md").read_text()
    linked = re.findall(r"\]\((figures/[^)]*)\)", text)
    assert len(linked) == number
    for link in linked:
        assert (folder / link).read_text().startswith("<svg")
        assert (folder / link).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    result = LabResult.from_json((folder / f"{name}.json").read_text())
    assert result.comparison.recipe == lab_named("02").experiment == find(f"r/{name}.yaml").experiment
    assert len(find(f"r/{name}.yaml").claims) == len(lab_named("02").claims)
    html = (folder / f"{name}.html").read_text()
    assert html.count("<svg") == number
    assert "What to try next" in html


def test_a_page_asks_for_nothing_and_escapes_everything() -> None:
    bad = samples.HOSTILE + '"><img src=x onerror=alert(1)>'
    figures = [Figure(picture=picture, name=name) for name, picture in samples.pictures().items()]
    document = Document(blocks=(Heading(text=bad, level=1), Text(text=bad), *figures))
    html = page(bad, [Part("a", bad, document), Part("b", "B", document)], Document(blocks=(Heading(text=bad),)))
    found = Tags(html).attributes
    assert html.startswith("<!doctype html>")
    assert {value for _, name, value in found if name == "href"} == {"#a", "#b"}
    assert {value for tag, name, value in found if tag == "section" and name == "id"} == {"a", "b"}
    assert not [one for one in found if one[1].startswith("on") or one[1] in ("src", "xlink:href", "action")]
    assert not re.search(r"<img|@import|url\(|https?://(?!www\.w3\.org/2000/svg)", html)
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)  # our own, and the only one that may run
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in html
    assert "default-src 'none'" in html
    assert not set(html) & set("\x1b\u202e")
    assert "<nav" not in page("t", [Part("a", "A", document)])


def test_another_folder_is_not_written_into_and_nothing_runs(fake: Fake, invoke: Any) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("dear diary")
    for words in (("run", "02"), ("run", "all")):
        code, out, err = invoke(*words, "--out", "mine")
        assert (code, out) == (2, "")
        assert "mine holds files that are no report" in err
    assert fake.loads == 0
    assert [p.name for p in Path("mine").iterdir()] == ["notes.txt"]
    Path("file").write_text("x")
    assert invoke("run", "02", "--out", "file")[0] == 2


def parts(text: str, *names: str) -> list[Part]:
    figures = [Figure(picture=samples.pictures()["bars"], name=name) for name in names]
    return [Part("a", "A", Document(blocks=(Heading(text="A", level=1), Text(text=text), *figures)))]


def test_a_report_is_written_anew_and_one_that_was_edited_is_not(tmp_path: Path) -> None:
    write_report(tmp_path, "one", "t", parts("first", "x", "y"), {"one.json": "{}"})
    write_report(tmp_path, "two", "t", parts("other"), {})
    assert (tmp_path / "figures/a-y.png").exists()
    write_report(tmp_path, "one", "t", parts("second", "x"), {"one.json": "{}"})
    assert "second" in (tmp_path / "one.md").read_text()
    assert "other" in (tmp_path / "two.md").read_text()
    assert (tmp_path / "figures/a-x.png").exists()
    assert not (tmp_path / "figures/a-y.png").exists()
    (tmp_path / "one.md").write_text("my own words")
    with pytest.raises(Refused, match=r"one\.md was edited"):
        write_report(tmp_path, "one", "t", parts("third", "x"), {"one.json": "{}"})
    assert (tmp_path / "one.md").read_text() == "my own words"
    assert "third" not in (tmp_path / "one.html").read_text()


def test_a_report_killed_half_way_can_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(tmp_path, "one", "t", parts("first", "x"), {})
    written: list[Path] = []

    def replace(path: Path, data: bytes) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        files.replace(path, data)

    monkeypatch.setattr(report, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, "one", "t", parts("second", "x"), {})
    monkeypatch.undo()
    write_report(tmp_path, "one", "t", parts("third", "x"), {})
    assert "third" in (tmp_path / "one.md").read_text()
    assert not list(tmp_path.rglob("*.part"))


def test_a_list_of_files_from_elsewhere_deletes_nothing_outside(tmp_path: Path) -> None:
    folder, outside = tmp_path / "r", tmp_path / "outside"
    write_report(folder, "one", "t", parts("first"), {})
    outside.write_text("x")
    listed = json.loads((folder / report.FILES).read_text())
    digest = report._digest(b"x")
    listed["one"] |= {"../outside": [digest], str(outside): [digest]}
    (folder / report.FILES).write_text(json.dumps(listed))
    write_report(folder, "one", "t", parts("second"), {})
    assert outside.read_text() == "x"
    (folder / report.FILES).write_text("[]")
    with pytest.raises(Refused, match="cannot be read"):
        write_report(folder, "one", "t", parts("third"), {})


# ── all labs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_labs_run_in_guide_order_into_one_report(fake: Fake, invoke: Any) -> None:
    code, out, err = invoke("run", "all", "--set", "max_new_tokens=3")
    assert code == 0, err
    assert {e.decoding.max_new_tokens for e in fake.asked} == {3}
    data = json.loads(Path("report/labs.json").read_text())
    assert [one["lab"] for one in data["labs"]] == NAMES
    assert fake.loads == 1
    text = Path("report/labs.md").read_text()
    at = [text.index(f"](#{lab.label})") for lab in all_labs()]
    assert at == sorted(at)
    for lab in all_labs():
        assert f'<a id="{lab.label}"></a>' in text
        assert f"lab {lab.label} · {lab.title}" in err
        assert f"Lab {lab.label} · {lab.title}" in out
        assert find(f"report/recipes/{lab.full_name}.yaml").experiment.decoding.max_new_tokens == 3
    html = Path("report/labs.html").read_text()
    links = {value for tag, name, value in Tags(html).attributes if (tag, name) == ("a", "href")}
    assert links == {f"#{lab.label}" for lab in all_labs()}
    assert [entry.lab for entry in reversed(Journal().list())] == NAMES
    assert {entry.kind for entry in Journal().list()} == {"lab"}


@pytest.mark.parametrize(("word", "inside"), [("guide", lambda n: n < NEXT), ("Next", lambda n: n == NEXT)])
def test_a_part_of_them_is_named_by_a_word(fake: Fake, invoke: Any, word: str, inside: Callable[[int], bool]) -> None:
    code, out, err = invoke("run", word, "--no-journal", "--json")
    assert code == 0, err
    expected = [lab.full_name for lab in all_labs() if inside(lab.section)]
    assert [one["lab"] for one in json.loads(out)["labs"]] == expected
    assert 0 < len(expected) < len(NAMES)


def test_a_lab_that_fails_is_told_and_the_rest_runs(fake: Fake, invoke: Any) -> None:
    first, second = all_labs()[0].label, all_labs()[1].label
    fake.fails = {first: InvivoError("no such <place>", hint="take another"), second: ZeroDivisionError("by zero")}
    code, out, err = invoke("run", "all", "--out", "r", "--json", "--no-journal")
    assert code == 1
    data = json.loads(out)
    assert [one["lab"] for one in data["labs"]] == NAMES[2:]
    assert data["failed"] == {
        NAMES[0]: "no such <place> (take another)",
        NAMES[1]: "ZeroDivisionError: by zero (a fault of invivo; INVIVO_DEBUG=1 shows where)",
    }
    assert data["report"] == "r"
    assert err.count("failed: ") == 2
    for name in ("labs.md", "labs.html"):
        assert "This lab could not be run: no such &lt;place&gt;" in Path("r", name).read_text()
    assert Journal().list() == ()


def test_a_claim_that_does_not_hold_ends_in_1(fake: Fake, invoke: Any) -> None:
    assert invoke("run", "02", "--no-journal")[0] == 0
    fake.wrong = {"02"}
    assert invoke("run", "02", "--no-journal")[0] == 1
    code, out, _ = invoke("run", "all", "--no-journal")
    assert code == 1
    assert f"✗ {lab_named('02').claims[0].text[:30]}" in out


def test_ctrl_c_keeps_what_was_done(fake: Fake, invoke: Any) -> None:
    fake.stops = {all_labs()[1].label}
    code, _, err = invoke("run", "all")
    assert code == 130
    assert f"stopped in lab {all_labs()[1].label}; what was done until then is in report" in err
    data = json.loads(Path("report/labs.json").read_text())
    assert [one["lab"] for one in data["labs"]] == NAMES[:2]
    assert [entry.kind for entry in Journal().list()] == ["cut short", "lab"]
    assert "Stopped by Ctrl-C" in Path("report/labs.md").read_text()
    fake.stops = {"02"}
    assert invoke("run", "02", "--out", "one")[0] == 130
    assert Path("one/02_head_ablation.md").exists()
    assert Journal().show("last").kind == "cut short"


def test_what_is_for_one_lab_is_refused_for_all(fake: Fake, invoke: Any) -> None:
    for words in (("--tweak", "zero head 0.1"), ("--as", "yaml"), ("--takeaway", "x")):
        code, _, err = invoke("run", "all", *words)
        assert code == 2
        assert f"{words[0]} is for a single lab" in err
    assert invoke("run", "all", "--set", "seed=x")[0] == 2
    assert fake.loads == 0


# ── the engine's side of Ctrl-C ──────────────────────────────────────────────────────────────────────────────────────


def test_ctrl_c_in_a_step_keeps_the_comparison_and_the_steps_before() -> None:
    from invivo.engine.compare import Interrupted
    from invivo.experiment.look import LookRecipe

    from . import tiny

    def look(e: Experiment) -> LookRecipe:
        return LookRecipe(prompt=e.prompt, layer=1, head=2, **e.on)

    def stopped(e: Experiment) -> LookRecipe:
        raise KeyboardInterrupt

    steps = [Step(name=n, title=n, text="-", recipe=r) for n, r in (("a", look), ("b", stopped), ("c", look))]
    lab = lab_named("02").model_copy(update={"steps": tuple(steps)})
    own = Experiment.of({"prompt": "the cat", "tweaks": ["zero head 1.2"], "decoding": {"max_new_tokens": 2}})
    with pytest.raises(Interrupted) as caught:
        tiny.model().run_lab(lab, own)
    kept = caught.value.kept
    assert isinstance(kept, LabResult)
    assert [step.name for step in kept.steps] == ["a"]
    assert kept.steps[0].result is not None
    assert len(kept.comparison.base.ids) == 2
    assert kept.notes == ("stopped by Ctrl-C after 1 of 3 steps",)
    assert "stopped by Ctrl-C after 1 of 3 steps" in str(kept.document(lab))


# ── run again ──


def test_a_report_is_run_again_and_a_changed_number_is_told(
    fake: Fake, invoke: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = invoke("run", "02", "--out", str(tmp_path / "out"), "--no-journal")
    assert code == 0, err
    page = tmp_path / "out" / f"{lab_named('02').full_name}.html"
    code, out, _ = invoke("replay", str(page))
    assert code == 0
    assert "The numbers agree." in out
    text = page.read_text(encoding="utf-8")
    (kept,) = runs_in(text)
    assert kept.recipe == lab_named("02").experiment
    name, values = next((n, v) for n, v in kept.numbers.items() if v[-1])
    before = json.dumps({name: [*values]})[1:-1].replace('"', "&quot;")
    after = json.dumps({name: [*values[:-1], 1.1 * values[-1]]})[1:-1].replace('"', "&quot;")  # type: ignore[operator]
    assert before in text
    page.write_text(text.replace(before, after), encoding="utf-8")
    code, out, _ = invoke("replay", str(page), "--json")
    assert code == 1
    (run,) = json.loads(out)["runs"]
    assert run["same_text"]
    assert run["apart"] == pytest.approx(1 - 1 / 1.1)
    page.write_text("<html></html>", encoding="utf-8")
    code, _, err = invoke("replay", str(page))
    assert code == 2
    assert "no run of invivo's" in err


def test_other_words_other_weights_and_other_versions_are_told() -> None:
    c = samples.comparison("zero head 0.7")
    (kept,) = runs_in(f'<template class="invivo-run">{escape(run_of(c))}</template>')
    assert again(kept, c).agrees
    spoken = c.model_copy(update={"base": c.base.model_copy(update={"ids": (*c.base.ids[:-1], 0)})})
    assert not again(kept, spoken).same_text
    moved = c.model_copy(update={"revision": "sha256:other", "versions": {**c.versions, "torch": "9.9"}})
    told = again(kept, moved)
    assert not told.same_weights
    assert any("now 9.9" in change for change in told.changed)
