"""Labs of the reader's own: copied, written in Python or YAML, listed without running, and told where they are wrong.

At the end every lab of the guide through every door on fruitfly, with the same numbers.
"""

from __future__ import annotations

import ast
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import invivo
from invivo.errors import InvivoError, UnknownName
from invivo.experiment import Comparison, Lab, LabResult, Sweep
from invivo.experiment.control import ControlRecipe
from invivo.experiment.exhibit import ExhibitRecipe
from invivo.labs import all_labs, copying, lab_named, own
from invivo.labs.own import find, lab_from, own_labs
from invivo.surfaces.cli import main
from invivo.tweaks import Stack

from . import samples
from .test_reports import Fake, fake, invoke  # noqa: F401 - fixtures

each_lab = pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.full_name)
CALLED = {"takeaway", "claims", "steps"}  # hold functions, so that two of them are never equal


def data(lab: Lab) -> dict[str, Any]:
    """A lab without its name and without what holds functions."""
    return {name: getattr(lab, name) for name in Lab.model_fields if name not in {*CALLED, "number", "name", "file"}}


def same(one: Lab, other: Lab) -> bool:
    """Whether two labs say the same."""
    claims = [[c.text for c in lab.claims] for lab in (one, other)]
    steps = [[(s.name, s.title, s.text, len(s.claims)) for s in lab.steps] for lab in (one, other)]
    return data(one) == data(other) and claims[0] == claims[1] and steps[0] == steps[1]


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_lab
def test_a_copy_in_python_is_the_lab_and_stands_alone(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(copying.as_python(lab, "mine", "invivo run mine.py"), encoding="utf-8")
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert not re.search(r"invivo\.labs\._", path.read_text())
    copy = lab_from(path)
    assert (copy.number, copy.name, copy.label, copy.full_name) == ("", "mine", "mine", "mine")
    questions = tuple(re.sub(rf"invivo run {lab.number}\b", "invivo run mine.py", q) for q in lab.questions)
    assert same(copy, lab.model_copy(update={"questions": questions}))
    assert f"invivo run {lab.number} " not in "".join(copy.questions)


@each_lab
def test_a_copy_as_data_is_the_lab(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(copying.as_yaml(lab, "invivo run mine.yaml"), encoding="utf-8")
    copy = lab_from(path)
    assert copy.experiment == lab.experiment
    questions = tuple(re.sub(rf"invivo run {lab.number}\b", "invivo run mine.yaml", q) for q in lab.questions)
    assert same(copy, lab.model_copy(update={"questions": questions}))
    assert copy.takeaway is lab.takeaway


def test_copy_writes_a_file_once(fake: Fake, invoke: Any) -> None:
    code, _, err = invoke("copy", "02")
    assert code == 0
    assert "wrote my_head_ablation.py; change it, then: invivo run my_head_ablation.py" in err
    assert invoke("copy", "head-ablation", "--as", "yaml")[0] == 0
    for name in ("my_head_ablation.py", "my_head_ablation.yaml"):
        assert invoke("run", name, "--no-journal")[0] == 0
    assert fake.asked == [lab_named("02").experiment] * 2
    assert invoke("copy", "02")[0] == 2
    Path("my_head_ablation.py").write_text("mine")
    assert invoke("copy", "02")[0] == 2
    assert Path("my_head_ablation.py").read_text() == "mine"
    assert invoke("copy", "02", "--force")[0] == 0
    assert invoke("copy", "02", "a b.py")[2].splitlines()[0].endswith("invivo run 'a b.py'")
    for name in ("head_ablation.py", "02_head_ablation.yaml", "notes.txt", "02"):
        code, _, err = invoke("copy", "02", name)
        assert code == 2, name
        assert not Path(name).exists()
    assert invoke("copy", "02", "x.py", "--as", "yaml")[0] == 2


# ── a lab in YAML ────────────────────────────────────────────────────────────────────────────────────────────────────

YAML = """\
title: Does it count?
why: To see.
prompt: One, two, three,
tweaks:
- zero head 0.1
- zero head 3.5
target: " four"
numbers: [target, kl_next]
pictures: [next_tokens]
claims:
- {metric: target, below: BASE}
- {metric: kl_next, above: 0.5, text: It moves.}
- {metric: kl_next, row: zero head 0.1, below: zero head 3.5}
- {metric: kl_next, above: 100}
questions: ["Why? `invivo run 02`"]
steps:
- title: Everywhere
  sweep: {tweak: zero head *, metric: target}
- show: {name: norm, settings: {layer: 1}}
- control: {count: 7}
"""


def written(tmp_path: Path, text: str, name: str = "mine.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_lab_in_yaml_has_all_that_it_says(tmp_path: Path) -> None:
    lab = lab_from(written(tmp_path, YAML))
    assert lab.title == "Does it count?"
    assert lab.experiment.target == " four"
    c = samples.comparison("zero head 0.1", "zero head 3.5")
    assert [claim.holds(c) for claim in lab.claims] == [True, True, True, False]
    assert lab.claims[1].text == "It moves."
    assert lab.claims[0].text == "`zero head 3.5`: log-probability of the target is below BASE."
    other = lab.experiment.model_copy(update={"prompt": "Four, five,", "model": "gpt2"})
    sweep, shown, control = [step.recipe(other) for step in lab.steps]
    assert isinstance(sweep, Sweep)
    assert isinstance(shown, ExhibitRecipe)
    assert isinstance(control, ControlRecipe)
    assert [sweep.cases[0].prompt, control.case.prompt] == ["Four, five,"] * 2
    assert {sweep.model, shown.model, control.model} == {"gpt2"}
    assert (str(control.tweak), control.count) == ("zero head 3.5", 7)
    assert [step.name for step in lab.steps] == ["sweep_1", "show_2", "real"]
    drafted = lab.takeaway(c)
    assert drafted.startswith("Zeroing head 3.5 moves the next prediction by 0.775 nats (KL); ")
    assert LabResult(lab=lab.full_name, comparison=c, takeaway=drafted, verdicts=()).document(lab).figures


def test_little_is_enough(tmp_path: Path) -> None:
    lab = lab_from(written(tmp_path, "prompt: Hi\ntweaks: zero head 0.1\n"))
    assert (lab.title, lab.claims, lab.steps) == ("mine", (), ())
    assert "What to know" not in str(
        LabResult(lab="mine", comparison=samples.comparison("zero head 0.1"), takeaway="x", verdicts=()).document(lab)
    )
    told = lab_from(written(tmp_path, "prompt: Hi\ntweaks: zero head 0.1\ntakeaway: I knew.\n"))
    assert told.takeaway(samples.comparison()) == "I knew."


def test_what_is_like_another_lab_claims_only_what_it_may(tmp_path: Path) -> None:
    parent = lab_named("02")
    whole = lab_from(written(tmp_path, "like: 02\n"))
    assert same(whole, parent)
    moved = lab_from(written(tmp_path, "like: head_ablation\nprompt: The end.\n"))
    assert [c.text for c in moved.claims] == [c.text for c in parent.claims if c.exact]
    other = lab_from(written(tmp_path, "like: 02\ntweaks: [zero head 1.1]\n"))
    assert other.claims == ()
    assert other.experiment.prompt == parent.experiment.prompt
    assert lab_from(written(tmp_path, "like: 02\ntitle: T\n")).title == "T"


GOOD = "prompt: Hi\ntweaks: [zero head 0.1]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prompt: [", r"mine\.yaml: unreadable YAML at line 1"),
        ("", r"mine\.yaml holds no lab"),
        ("- a", r"mine\.yaml holds no lab"),
        (GOOD + "titel: x", r"mine\.yaml, line 3: no field of a lab is called 'titel'"),
        (GOOD + "why: 3", r"mine\.yaml, line 3: why: "),
        (GOOD + "section: 12", r"mine\.yaml, line 3: section: "),
        ("prompt: Hi\ntweaks: [zero hed 0.1]", r"mine\.yaml, line 2: "),
        ("prompt: 3\ntweaks: [zero head 0.1]", r"mine\.yaml, line 1: prompt: "),
        ("tweaks: [zero head 0.1]", r"mine\.yaml: prompt: field required"),
        ("prompt: Hi", r"mine\.yaml: the lab has no tweaks"),
        (GOOD + "numbers: [kl_nxt]", r"mine\.yaml, line 3: no metric is called 'kl_nxt'"),
        (GOOD + "pictures: [x]", r"mine\.yaml, line 3: no picture is called 'x'"),
        (GOOD + "like: 77", r"mine\.yaml, line 3: "),
        (GOOD + "hero: 4", r"mine\.yaml: hero: there is no row 4"),
        (GOOD + "claims: [{metric: kl_next}]", r"mine\.yaml, line 3: a claim needs `above` or `below`"),
        (GOOD + "claims: [{metric: kl_next, above: 1, row: zero head 9.9}]", r"mine\.yaml: no row of this lab"),
        (GOOD + "steps: [{title: x}]", r"mine\.yaml, line 3: a step has one experiment"),
        (GOOD + "steps: [{swep: {}}]", r"mine\.yaml, line 3: no kind of step is called 'swep'"),
        (GOOD + "steps: [{sweep: {tweak: zero head 0.1}}]", r"mine\.yaml: "),
        (GOOD + "steps: [{sweep: 3}]", r"mine\.yaml, line 3: the step's sweep needs fields"),
        (GOOD + "prompts: {1: x}", r"mine\.yaml, line 3: "),
    ],
)
def test_a_mistake_in_yaml_is_told_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvivoError, match=told):
        lab_from(written(tmp_path, text))


# ── a lab in Python ──────────────────────────────────────────────────────────────────────────────────────────────────

PYTHON = """\
from invivo.experiment import Claim, Experiment, Lab
from invivo.labs.words import doing

TWEAK = "zero head 0.1"


def takeaway(c):
    return doing(c.tweaks[0])


LAB = Lab(
    name="x",
    section=1,
    title="Mine",
    why="",
    know=(),
    experiment=Experiment.of({"prompt": "Hi", "tweaks": [TWEAK]}),
    numbers=("kl_next",),
    look_for="",
    takeaway=takeaway,
    claims=(Claim(text="c", holds=lambda c: True),),
    questions=(),
    sources=(),
)
"""


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('TWEAK = "zero', 'TWEAK = ("zero', r"mine\.py, line 4: "),
        ("TWEAK]", "TWAEK]", r"mine\.py, line \d+: NameError: name 'TWAEK' is not defined"),
        ("zero head 0.1", "zero hed 0.1", r"mine\.py, line \d+: .*hed"),
        ('title="Mine"', 'titel="Mine"', r"mine\.py, line \d+: Lab: titel: extra inputs"),
        ("section=1", "section=12", r"mine\.py, line \d+: Lab: section: "),
        ("LAB = ", "LABS = ", r"mine\.py defines no LAB"),
        ("from invivo.labs.words", "from invivo.labs.wrods", r"mine\.py, line 2: No module named"),
        ("import doing", "import dong", r"mine\.py, line 2: ImportError"),
        ("TWEAK = ", "import sys\nsys.exit(3)\nTWEAK = ", r"mine\.py, line 5: SystemExit: 3"),
        ("TWEAK = ", "1 / 0\nTWEAK = ", r"mine\.py, line 4: ZeroDivisionError: division by zero"),
    ],
)
def test_a_mistake_in_python_is_told_with_its_line(before: str, after: str, told: str, tmp_path: Path) -> None:
    assert lab_from(written(tmp_path, PYTHON, "mine.py")).title == "Mine"
    with pytest.raises(InvivoError, match=told):
        lab_from(written(tmp_path, PYTHON.replace(before, after), "mine.py"))


def test_a_mistake_that_shows_while_it_runs_is_told_with_its_line(fake: Fake, invoke: Any) -> None:
    for before, after in (("lambda c: True", "lambda c: c.nothing"), ("doing(c.tweaks[0])", "doing(c.tweaks[7])")):
        text = PYTHON.replace(before, after)
        Path("mine.py").write_text(text)
        line = next(n for n, one in enumerate(text.splitlines(), 1) if after in one)
        code, out, err = invoke("run", "mine.py")
        assert (code, out) == (2, "")
        assert f"error: mine.py, line {line}: " in err
    Path("mine.py").write_bytes(b"\xff\xfe")
    assert "mine.py is not UTF-8" in invoke("run", "mine.py")[2]
    assert "there is no file 'other.yaml'" in invoke("run", "other.yaml")[2]


# ── finding them ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for labs of one's own."""
    own.folder().mkdir(parents=True)
    return own.folder()


def test_a_list_shows_own_labs_and_executes_none(folder: Path, fake: Fake, invoke: Any) -> None:
    mark = f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\n"
    written(folder, mark + PYTHON, "counting.py")
    written(folder, YAML, "more-numbers.yaml")
    written(folder, YAML, "more_numbers.yml")
    written(folder, mark + PYTHON, "head_ablation.py")
    written(folder, "LAB = [", "broken.py")
    written(folder, "x = 1", "nothing.py")
    written(folder, PYTHON, "_helper.py")
    written(folder, "", "notes.txt")
    listed = {Path(one.file).name: one for one in own_labs()}
    assert list(listed) == [
        "broken.py", "counting.py", "head_ablation.py", "more-numbers.yaml", "more_numbers.yml", "nothing.py",
    ]  # fmt: skip
    assert (listed["counting.py"].title, listed["counting.py"].problem) == ("Mine", "")
    assert (listed["more-numbers.yaml"].name, listed["more-numbers.yaml"].title) == ("more_numbers", "Does it count?")
    assert "lab 02 of the guide has this name" in listed["head_ablation.py"].problem
    assert "has this name, too" in listed["more_numbers.yml"].problem
    assert listed["broken.py"].problem == "it cannot be read, from line 1 on"
    assert listed["nothing.py"].problem == "it defines no LAB"
    code, out, _ = invoke("labs")
    assert code == 0
    assert "Your own" in out
    assert "counting · Mine" in out
    assert len(json.loads(invoke("labs", "--json")[1])["own"]) == 6
    assert invoke("run", "counting", "--as", "cli")[1] == "invivo compare Hi --tweak 'zero head 0.1'\n"
    assert (folder / "ran").exists()
    (folder / "ran").unlink()
    assert find("head_ablation") is lab_named("02")
    assert find("More-Numbers").title == "Does it count?"
    assert lab_from(folder / "head_ablation.py").name == "my_head_ablation"
    with pytest.raises(UnknownName, match="countin"):
        find("countin")


def test_without_a_folder_there_are_none(invoke: Any) -> None:
    assert own_labs() == ()
    assert json.loads(invoke("labs", "--json")[1])["own"] == []
    assert "Your own" not in invoke("labs")[1]


def test_a_file_that_is_called_as_a_lab_must_be_meant(fake: Fake, invoke: Any) -> None:
    Path("02_head_ablation.py").write_text(PYTHON)
    code, _, err = invoke("run", "02_head_ablation.py")
    assert code == 2
    assert "./02_head_ablation.py" in err
    assert find("./02_head_ablation.py").name == "my_02_head_ablation"
    Path("02_head_ablation.py").unlink()
    assert find("02_head_ablation.py") is lab_named("02")


def test_a_config_may_speak_of_an_own_lab(folder: Path, fake: Fake, invoke: Any) -> None:
    written(folder, PYTHON, "counting.py")
    Path("config.yaml").write_text("labs:\n  counting:\n    prompt: Yo\n")
    assert invoke("run", "counting", "--no-journal")[0] == 0
    assert fake.asked[0].prompt == "Yo"
    Path("config.yaml").write_text("labs:\n  countin:\n    prompt: Yo\n")
    assert invoke("run", "counting")[0] == 2


def test_an_own_lab_is_kept_and_reported_under_its_name(fake: Fake, invoke: Any) -> None:
    Path("mine.yaml").write_text(YAML)
    code, out, _ = invoke("run", "mine.yaml", "--out", "r")
    assert code == 0
    assert "Lab mine · Does it count?" in out
    assert "invivo run mine.yaml" in out
    assert Path("r/mine.html").exists()
    assert lab_from(Path("r/mine.yaml")).experiment == lab_from(Path("mine.yaml")).experiment
    assert "lab mine" in invoke("journal", "list")[1]
    assert isinstance(invivo.run("mine.yaml"), LabResult)


# ── every lab through every door, with the same numbers ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def fruitfly() -> Any:
    from invivo.engine.live import load

    return load()


@each_lab
def test_every_lab_gives_the_same_numbers_from_yaml_cli_and_python(
    fruitfly: Any, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fruitfly, "run_lab", partial(fruitfly.run_lab, steps=False), raising=False)
    monkeypatch.setitem(vars(invivo), "load", lambda *a, **k: fruitfly)
    short = lab.experiment.decoding.model_copy(update={"max_new_tokens": 2})
    experiment = lab.experiment.model_copy(update={"decoding": short})
    python = fruitfly.run_lab(lab, experiment)

    def of(words: list[str]) -> LabResult:
        assert main([*words, "--json", "--no-journal"]) in (0, 1)
        return LabResult.from_json(capsys.readouterr().out)

    (tmp_path / "recipe.yaml").write_text(copying.recipe(lab, experiment), encoding="utf-8")
    (tmp_path / "copy.py").write_text(copying.as_python(lab, "copy", "invivo run copy.py"), encoding="utf-8")
    doors = {
        "cli": of(["run", lab.number, "max_new_tokens=2"]),
        "yaml": of(["run", "recipe.yaml"]),
        "a copy": of(["run", "copy.py", "max_new_tokens=2"]),
    }
    for door, result in doors.items():
        assert numbers(result.comparison) == numbers(python.comparison), door
        assert result.takeaway == python.takeaway, door
    scope: dict[str, Any] = {"print": lambda *a: None}
    exec(experiment.to_python(), scope)
    assert numbers(scope["result"]) == numbers(python.comparison)
    other = fruitfly.run(
        experiment.model_copy(update={"tweaks": (Stack.of("zero head 0.0"),), "prompt": "Something else"})
    )
    assert numbers(other) != numbers(python.comparison)


def numbers(c: Comparison) -> Any:
    """Every number of a comparison; how long it took is none."""
    return json.loads(c.model_copy(update={"seconds": 0.0}).to_json())
