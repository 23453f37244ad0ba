"""Steps of a lab: run, skipped where a model has no such, read back from JSON; trials, a pattern, a wrong answer."""

from __future__ import annotations

import math

import pytest
import torch

from invivo.engine import finders, trials
from invivo.engine.live import Model
from invivo.errors import BadText, UnknownName
from invivo.experiment import Claim, Experiment, LabResult, Recipe, Step, Sweep
from invivo.experiment.look import LookRecipe
from invivo.experiment.trials import Trials, TrialsRecipe
from invivo.labs import lab_named
from invivo.tweaks import Stack

from . import tiny

PROMPT = "the cat sat"
STEPS = (
    Step(
        name="grid",
        title="Everywhere",
        text="Each head.",
        recipe=lambda e: Sweep.of({"tweak": "zero head *", "cases": [e.case], **e.on}),
        claims=(Claim(text="Twelve places.", holds=lambda grid: len(grid.lines) == 12, exact=True),),
    ),
    Step(name="far", title="Too far", text="-", recipe=lambda e: LookRecipe(prompt=e.prompt, layer=9, head=0, **e.on)),
    Step(name="look", title="One", text="-", recipe=lambda e: LookRecipe(prompt=e.prompt, layer=1, head=2, **e.on)),
)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def result(model: Model) -> LabResult:
    lab = lab_named("02").model_copy(update={"steps": STEPS, "finds": {"head 0.7": "induction head"}})
    own = Experiment.of({"prompt": PROMPT, "tweaks": ["zero head 1.2"], "decoding": {"max_new_tokens": 2}})
    return model.run_lab(lab, own)


def test_steps_run_on_the_labs_own_prompt_and_say_why_one_cannot(result: LabResult) -> None:
    grid, far, look = result.steps
    assert grid.result.recipe.cases[0].prompt == PROMPT  # type: ignore[union-attr]
    assert [v.holds for v in result.all_verdicts] == [True]
    assert far.result is None
    assert "layer 9" in far.skipped
    assert look.command is None
    with pytest.raises(UnknownName, match="lok"):
        result.step("lok")


def test_a_result_with_steps_survives_json_and_is_shown(result: LabResult) -> None:
    again = LabResult.from_json(result.to_json())
    assert again == result
    assert [type(step.result) for step in again.steps] == [type(step.result) for step in result.steps]
    shown = result.to_markdown()
    assert "## Everywhere" in shown
    assert "Not here:" in shown
    assert "✓ Twelve places." in shown


def test_the_pattern_is_what_capture_gives_and_its_rows_sum_to_one(model: Model, result: LabResult) -> None:
    pattern = torch.tensor(result.step("look").result.pattern)  # type: ignore[union-attr]
    assert torch.allclose(pattern, model.capture(PROMPT, "L1.pattern heads 2")["L1.pattern heads 2"][0], atol=1e-6)
    assert torch.allclose(pattern.sum(-1), torch.ones(len(pattern)), atol=1e-5)


def test_what_no_run_belongs_to_is_refused(model: Model) -> None:
    from invivo.engine.steps import run

    with pytest.raises(BadText, match="Recipe cannot be run"):
        run(model.living, Recipe())


def test_trials_are_the_comparisons_one_by_one(model: Model) -> None:
    rows = ("zero head 1.2", "scale head 1.2 by 1")
    recipe = TrialsRecipe(
        prompts=(PROMPT, "a dog"), targets=("x", "y"), tweaks=tuple(map(Stack.of, rows)), metric="target"
    )
    found = trials.run(model.living, recipe.model_copy(update={"model": model.name}))
    for n, (prompt, target) in enumerate(zip(recipe.prompts, recipe.targets, strict=True)):
        one = model.compare(prompt, *rows, target=target)
        assert found.base[n] == (one.base.target_nats,)
        assert [row[n] for row in found.values] == [(r.target_nats,) for r in one.tweaks]
    gains = [found.values[0][n][0] - found.base[n][0] for n in range(2)]  # type: ignore[operator]
    assert found.gains(0) == pytest.approx(gains)
    spread = found.effect(0)
    assert spread.mean == pytest.approx(sum(gains) / 2)
    assert spread.low <= spread.mean <= spread.high
    assert (found.effect(1).mean, found.higher(1), found.lower(1)) == (0, 0, 0)
    assert "anecdote" in found.sentence(1)
    assert Trials.from_json(found.to_json()) == found
    with pytest.raises(BadText, match="1 targets for 2 prompts"):
        TrialsRecipe.of(recipe.plain() | {"targets": ["x"]})


def test_the_wrong_answer_is_compared_where_the_two_part(model: Model) -> None:
    for target, wrong, shared in (("b", "c", ""), ("xb", "xc", "x")):
        one = model.compare(PROMPT, "zero head 1.2", target=target, wrong=wrong, max_new_tokens=1)
        with model.tweaked("zero head 1.2"):
            logits = model.hf(torch.tensor([model.living.encode(PROMPT + shared)])).logits[0, -1]
        b, c = (model.living.encode(letter, special=False)[0] for letter in "bc")
        assert one.tweaks[0].ahead_nats == pytest.approx(float(logits[b] - logits[c]), abs=1e-4)
        assert not math.isclose(one.base.ahead_nats or 0.0, one.tweaks[0].ahead_nats or 0.0, abs_tol=1e-3)
    with pytest.raises(BadText, match="never differ"):
        model.compare(PROMPT, "zero head 1.2", target="ab", wrong="a")
    with pytest.raises(BadText, match="no target"):
        model.compare(PROMPT, "zero head 1.2", wrong="a")


def test_a_head_named_for_fruitfly_is_found_here(model: Model) -> None:
    own = Experiment.of({"prompt": PROMPT, "tweaks": ["zero head 0.7", "scale head 0.7 by 2"]})
    found, notes = finders.at(model.living, own, {"head 0.7": "induction head"})
    head = model.heads().ranked("induction")[0][0]
    assert list(map(str, found.tweaks)) == [f"zero head {head}", f"scale head {head} by 2"]
    assert f"head {head}" in notes[0]
    with pytest.raises(UnknownName):
        finders.at(model.living, own, {"head 0.7": "induction hed"})
