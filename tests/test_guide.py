"""The guide in the terminal: where the reader is, what is next, and what counts as done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from invivo.experiment import Experiment, Lab
from invivo.journal import Journal
from invivo.labs import QUICKSTART, SECTIONS, all_labs, lab_named
from invivo.surfaces.cli import guide as guiding

from . import samples
from .test_reports import Fake, fake, invoke  # noqa: F401 - fixtures

LABS = [lab.full_name for lab in all_labs()]


def keep(lab: str | None, kind: str, takeaway: str = "") -> None:
    Journal().keep(samples.comparison(), lab=lab, takeaway=takeaway, kind=kind)


def told(invoke: Any, *words: str) -> dict[str, Any]:
    code, out, _ = invoke("guide", *words, "--json")
    assert code == 0
    return json.loads(out)


def done(data: dict[str, Any]) -> list[str]:
    return [lab["name"] for section in data["sections"] for lab in section["labs"] if lab["done"]]


def test_it_begins_at_the_first_lab(fake: Fake, invoke: Any) -> None:
    data = told(invoke)
    assert [section["number"] for section in data["sections"]] == list(range(12))
    assert done(data) == []
    assert data["next"] == {"section": all_labs()[0].section, "lab": LABS[0]}
    code, out, err = invoke("guide")
    assert (code, err) == (0, "")
    for section in SECTIONS:
        assert f"{guiding.OPEN} §{section.number}  {section.title}" in out
    assert "invivo guide next" in out
    assert guiding.DONE not in out
    assert "\x1b" not in out
    assert fake.loads == 0


def test_the_journal_remembers_whole_runs_of_labs_only(fake: Fake, invoke: Any) -> None:
    keep(LABS[0], "quickstart", "quick")
    keep(LABS[1], "cut short", "half")
    keep(None, "compare", "own question")
    keep("mine", "lab", "an own lab")
    assert done(told(invoke)) == []
    keep(LABS[1], "lab", "first")
    keep(LABS[1], "lab", "second")
    keep(LABS[1], "lab")  # without a line: the one before still counts
    data = told(invoke)
    assert done(data) == [LABS[1]]
    assert data["next"]["lab"] == LABS[0]
    (lab,) = [lab for section in data["sections"] for lab in section["labs"] if lab["done"]]
    assert lab["takeaway"] == "second"
    Journal().add_takeaway("last", "my own words")
    out = " ".join(invoke("guide")[1].split())
    assert "my own words" in out
    assert "second" not in out


def test_the_commands_keep_their_runs_as_the_guide_counts_them(fake: Fake, invoke: Any) -> None:
    assert invoke("quickstart", "--out", "post")[0] == 0
    assert {entry.kind for entry in Journal().list()} == {"quickstart"}
    fake.stops = {QUICKSTART[0]}
    assert invoke("run", QUICKSTART[0])[0] == 130
    assert done(told(invoke)) == []
    fake.stops = set()
    assert invoke("run", QUICKSTART[0])[0] == 0
    assert done(told(invoke)) == [lab_named(QUICKSTART[0]).full_name]


def test_next_walks_through_all_of_it(fake: Fake, invoke: Any) -> None:
    def walk(labs: list[Lab], before: int) -> None:
        for number, lab in enumerate(labs, before + 1):
            code, out, _ = invoke("guide", "next")
            assert code == 0
            assert f"Lab {lab.label} · {lab.title}" in out
            first = guiding.labs_of(SECTIONS[lab.section])[0] == lab
            assert (f"§{lab.section} · {SECTIONS[lab.section].title}" in out) == first
            after = out.split("Run it again")[1]
            assert ("invivo guide next" if lab != all_labs()[-1] else "through the whole guide") in after
            assert done(told(invoke)) == LABS[:number]

    course = [lab for lab in all_labs() if lab.section < guiding.GLUE]
    walk(course, 0)
    assert told(invoke)["next"] == {"section": 10, "lab": None}
    asked = len(fake.asked)
    code, out, err = invoke("guide", "next")
    assert code == 0
    assert "every number is the same" in " ".join(out.split())
    assert fake.asked[asked] == fake.asked[asked + 1]
    assert "kept as" in err
    assert Journal().show("last").kind == "guide"
    assert told(invoke)["next"]["section"] == 11
    walk([lab for lab in all_labs() if lab.section > guiding.GLUE], len(course))
    data = told(invoke)
    assert data["next"] is None
    assert all(section["done"] for section in data["sections"] if section["labs"] or section["number"] == 10)
    asked = len(fake.asked)
    code, out, _ = invoke("guide", "next")
    assert code == 0
    assert "through the whole guide" in out
    assert len(fake.asked) == asked


def test_one_cut_short_is_next_again(fake: Fake, invoke: Any) -> None:
    fake.stops = {all_labs()[0].label}
    code, out, _ = invoke("guide", "next")
    assert code == 130
    assert "invivo guide next" not in out
    assert told(invoke)["next"]["lab"] == LABS[0]


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.full_name)
def test_a_section_is_shown_with_its_labs(lab: Lab, fake: Fake, invoke: Any) -> None:
    keep(lab.full_name, "lab", "what I saw")
    code, out, _ = invoke("guide", str(lab.section))
    assert code == 0
    plain = " ".join(out.split())
    assert SECTIONS[lab.section].why[:40] in plain
    assert f"{guiding.DONE} Lab {lab.label} · {lab.title}" in plain
    assert "what I saw" in plain
    assert f"invivo run {lab.number}" in plain
    assert fake.loads == 0


def test_the_last_section_shows_every_door_to_one_experiment(fake: Fake, invoke: Any) -> None:
    whole = guiding.example({})
    assert whole.decoding.temperature == 0.8
    assert whole.seed == 7
    code, out, _ = invoke("guide", "10")
    assert code == 0
    assert "config.yaml:4" in out
    assert "flag --tweak" in out
    Path("config.yaml").write_text(guiding.CONFIG)
    assert invoke("compare", guiding.PROMPT, "--tweak", guiding.TWEAK, "--no-journal")[0] == 0
    Path("config.yaml").unlink()
    Path("recipe.yaml").write_text(whole.to_yaml())
    assert invoke("compare", "--recipe", "recipe.yaml", "--no-journal")[0] == 0
    assert invoke("run", "recipe.yaml", "--no-journal")[0] == 0
    assert fake.asked == [whole] * 3
    scope: dict[str, Any] = {"print": lambda *a: None}
    exec(whole.to_python(), scope)
    assert fake.asked[-1] == whole
    assert Experiment.from_yaml(whole.to_yaml()) == whole


def test_two_doors_that_differ_are_told() -> None:
    one, two = samples.comparison(), samples.comparison(strength=0.2)
    assert "every number is the same" in guiding.verdict(one, one)
    assert "the numbers differ" in guiding.verdict(one, two)


def test_there_is_no_other_section(fake: Fake, invoke: Any) -> None:
    for word in ("12", "-1", "nxt", "1.5"):
        code, out, err = invoke("guide", "--", word)
        assert (code, out) == (2, "")
        assert f"no section '{word}'" in err
    assert invoke("guide", "§1")[0] == 0


def test_to_look_at_the_guide_loads_no_model(tmp_path: Path) -> None:
    code = (
        "import sys; from invivo.surfaces.cli import main; assert [main(w.split()) for w in "
        "('guide', 'guide 0', 'guide 10', 'guide --json', 'labs', 'copy 02 x.py')] == [0] * 6; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'matplotlib')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, cwd=tmp_path, text=True)
    assert ran.returncode == 0, ran.stderr
