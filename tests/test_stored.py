"""Figures that were computed beforehand: of the source that is here, written whole, and told as what they are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from invivo.engine import stored
from invivo.engine.exhibits import _sizes, run
from invivo.engine.live import Model
from invivo.engine.stored import Figures, all_figures, source_of
from invivo.errors import BadText, InvivoError, UnknownName
from invivo.experiment import Step
from invivo.experiment.exhibit import ExhibitRecipe
from invivo.labs import all_labs

from . import tiny

NAMES = sorted(all_figures())
MADE = """\
from . import other
from .other import half, Shape as Form

TIMES = 3  # times
IDLE = 1


class Asked:
    width = TIMES
    \"\"\"Of it.\"\"\"


def make(asked: Asked) -> float:
    \"\"\"Figures.\"\"\"
    return half(asked.width) + other.third(1)


def beside() -> Form:
    return IDLE
"""
OTHER = """\
SMALL = 0.5


def half(x):
    return SMALL * x


def third(x):
    return x / 3


class Shape: ...
"""


# ── the files ──


def test_every_json_beside_an_exhibit_has_code_that_makes_it() -> None:
    assert NAMES == sorted(path.stem for path in stored.FOLDER.glob("*.json")) == ["isoflop", "scaling", "schemes"]


@pytest.mark.parametrize("name", NAMES)
def test_stored_figures_are_of_the_source_that_is_here(name: str) -> None:
    """Where this fails, its message says which definition changed and which command makes the figures anew."""
    assert not all_figures()[name].stale(), all_figures()[name].stale()


@pytest.mark.parametrize("name", NAMES)
def test_they_say_what_they_came_out_of(name: str) -> None:
    kept = all_figures()[name].read()
    assert kept.command == f"python -m invivo.engine.stored {name}"
    assert kept.versions.keys() >= {"invivo", "python", "torch", "transformers"}
    assert kept.seconds > 0
    assert {"engine.toys.fit", "engine.toys._factor", "engine.toys.WARMUP"} <= kept.source.keys()
    assert not any(part.startswith("engine.stored.") for part in kept.source)


# ── the digest ──


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a package of two modules and gives its function's digests."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(stored, "SCOPE", "kept_here")
    folder = tmp_path / "kept_here"
    folder.mkdir()
    (folder / "__init__.py").touch()

    def digests(made: str = MADE, other: str = OTHER) -> dict[str, str]:
        (folder / "made.py").write_text(made)
        (folder / "other.py").write_text(other)
        stored._page.cache_clear()
        for name in [name for name in sys.modules if name.startswith("kept_here")]:
            monkeypatch.delitem(sys.modules, name)
        import kept_here.made as module  # pyright: ignore[reportMissingImports]

        return source_of(module.make)

    yield digests
    stored._page.cache_clear()
    for name in [name for name in sys.modules if name.startswith("kept_here")]:
        del sys.modules[name]


def test_a_digest_is_of_all_that_a_function_names_and_of_nothing_else(package: Any) -> None:
    found = package()
    made, other = "kept_here.made.", "kept_here.other."
    assert list(found) == [
        f"{made}Asked",
        f"{made}TIMES",
        f"{made}make",
        f"{other}SMALL",
        f"{other}half",
        f"{other}third",
    ]
    bare = "def half(x):\n    return SMALL * x"
    assert found[f"{other}half"] == hashlib.sha256(bare.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("TIMES = 3", "TIMES = 4", ["made.TIMES"]),
        ("half(asked.width)", "half(asked.width + 1)", ["made.make"]),
        ("SMALL = 0.5", "SMALL = 0.25", ["other.SMALL"]),
        ("x / 3", "x / 4", ["other.third"]),
        ("  # times", "  # so many times", []),
        ('"""Figures."""', '"""Other words,\n\n    and more of them.\n    """', []),
        ('"""Of it."""', '"""Of all."""', []),
        ("IDLE = 1", "IDLE = 2", []),
    ],
)
def test_it_changes_with_what_can_change_a_figure(package: Any, before: str, after: str, changed: list[str]) -> None:
    first = package()
    assert before in MADE + OTHER
    now = package(MADE.replace(before, after), OTHER.replace(before, after))
    assert [name.removeprefix("kept_here.") for name in first if first[name] != now[name]] == changed


# ── writing ──


def some() -> list[int]:
    """Figures."""
    return [1, 2, 3]


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Figures:
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    monkeypatch.setattr(stored, "SCOPE", __package__)
    return Figures("some", {"count": 3}, some)


def test_what_is_written_is_read_and_no_half_of_it(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures.made()
    figures.store(made)
    assert figures.read() == made
    assert made.figures == [1, 2, 3]
    assert not figures.stale()
    before = figures.path.read_bytes()
    monkeypatch.setattr("invivo.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(InvivoError, match="No space left"):
        figures.store(made.model_copy(update={"figures": [4]}))
    assert figures.path.read_bytes() == before
    assert [path.name for path in figures.path.parent.iterdir()] == ["some.json"]


def test_figures_of_other_code_are_told_with_what_to_do(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures.made()
    (name,) = made.source
    figures.store(made.model_copy(update={"source": {name: "0" * 16}, "figures": [7]}))
    said = figures.stale()
    assert f"{name} changed since" in said
    assert "`python -m invivo.engine.stored some` computes it anew" in said
    figures.stamp()
    assert not figures.stale()
    assert figures.read().figures == [7]
    other = Figures("some", {"count": 4}, some)
    assert "what is asked for" in other.stale()
    with pytest.raises(InvivoError, match="other settings"):
        other.stamp()


def test_a_missing_or_damaged_file_is_told(figures: Figures) -> None:
    with pytest.raises(InvivoError, match=r"some\.json is missing"):
        figures.read()
    for text in ("{", "[]", "{}"):
        figures.path.write_text(text)
        with pytest.raises(InvivoError, match="is damaged"):
            figures.read()


def test_the_command_stamps_and_makes(figures: Figures, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(stored, "all_figures", lambda: {"some": figures})
    stored.main(["some"])
    figures.store(figures.read().model_copy(update={"source": {}, "figures": [9]}))
    stored.main(["some", "--stamp"])
    assert figures.read().figures == [9]
    assert not figures.stale()
    stored.main(["some"])
    assert figures.read().figures == [1, 2, 3]
    assert capsys.readouterr().out.count("wrote ") == 3
    with pytest.raises(UnknownName, match="sum"):
        stored.main(["sum"])
    with pytest.raises(BadText, match="no figures named"):
        stored.main(["--stamp"])


def test_it_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "invivo.engine.stored", "scalling"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "scaling" in done.stderr
    assert "Traceback" not in done.stderr


# ── what readers are told ──


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# Steps whose figures are stored, each with how many of its claims are about what is computed now; and steps that train.
STORED = {"14-law": 0, "14-sharper": 0, "14-budget": 0, "14-fails": 0, "17-schemes": 0, "17-fails": 1}
LIVE = {"14-live", "14-real", "17-live"}


def steps() -> dict[str, tuple[Step, ExhibitRecipe]]:
    """Each step of a lab that shows an exhibit which keeps figures, or reads those of another."""
    found = {}
    for lab in all_labs():
        for step in lab.steps:
            recipe = step.recipe(lab.experiment)
            if isinstance(recipe, ExhibitRecipe) and recipe.name in (*NAMES, "beyond"):
                found[f"{lab.number}-{step.name}"] = (step, recipe)
    return found


def test_every_step_on_such_figures_is_known_here() -> None:
    assert steps().keys() == STORED.keys() | LIVE


@pytest.mark.parametrize("name", STORED)
def test_claims_and_sentences_say_that_figures_are_stored(name: str, model: Model) -> None:
    step, recipe = steps()[name]
    if recipe.name == "isoflop":
        recipe = recipe.model_copy(update={"settings": {"live": 0}})  # its smallest budget would be spent here
    shown = run(model.living, recipe)
    assert stored.BEFOREHAND in shown.to_markdown().lower()
    assert "again=true` does it anew" in shown.to_markdown()
    assert stored.BEFOREHAND in step.text.lower()
    unmarked = [claim.text for claim in step.claims if stored.BEFOREHAND not in claim.text]
    assert len(unmarked) == STORED[name], unmarked
    if recipe.name in NAMES:
        assert shown.sentence.startswith(stored.BEFOREHAND.capitalize())


@pytest.mark.parametrize("name", sorted(LIVE))
def test_what_is_trained_now_is_not_called_stored(name: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trained(Exception):
        """It would train."""

    def stop(*_: Any, **__: Any) -> None:
        raise Trained

    monkeypatch.setattr("invivo.engine.toys.fit", stop)
    _sizes.trained.cache_clear()  # another test may have trained it in this process
    step, recipe = steps()[name]
    with pytest.raises(Trained):
        run(model.living, recipe)
    assert not [claim.text for claim in step.claims if stored.BEFOREHAND in claim.text]


def test_a_sentence_says_what_was_computed_now(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invivo.engine.exhibits.isoflop.trained", lambda w, r, s, rows, seed: one(w, s))
    kept = all_figures()["isoflop"].read().figures

    def one(width: int, steps: int) -> Any:
        return _sizes.Trained.of(next(run for run in kept if (run["width"], run["steps"]) == (width, steps)))

    shown = model.show("isoflop")
    assert shown.sentence.startswith("Computed beforehand but for 1 of 3 budgets: with 9 times")
    assert shown.numbers["apart"] == 0
    assert stored.BEFOREHAND.capitalize() not in model.show("isoflop", live=3).sentence
