"""Lab 19: its claims on fruitfly, other families, and a machine without the harness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from invivo.errors import Refused
from invivo.experiment import Experiment, Lab, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named

from . import tiny

STEPS = ["windows", "tasks", "fails", "real"]


def own(tweak: str = "zero head 1.2") -> Experiment:
    return Experiment.of({"prompt": "the cat", "tweaks": [tweak], "target": "x", "decoding": {"max_new_tokens": 2}})


@pytest.fixture(scope="module")
def outcome(on_fruitfly: Callable[[Lab], LabResult]) -> LabResult:
    return on_fruitfly(lab_named("19"))


def test_every_claim_of_every_step_holds_on_fruitfly(outcome: LabResult) -> None:
    assert {v.text: v.holds for v in outcome.all_verdicts} == {v.text: True for v in outcome.all_verdicts}
    assert [step.name for step in outcome.steps] == STEPS
    assert all(step.result is not None for step in outcome.steps)
    assert LabResult.from_json(outcome.to_json()) == outcome
    assert "a task asks more than once" in outcome.takeaway


def test_the_exam_and_the_mistake_are_about_the_same_items(outcome: LabResult) -> None:
    exam, few = outcome.step("tasks").result, outcome.step("fails").result
    assert isinstance(exam, Exhibit)
    assert isinstance(few, Exhibit)
    assert few.numbers["difference"] == pytest.approx(exam.numbers["giving_acc_gain_1"])
    assert few.numbers["lost"] == exam.numbers["giving_acc_lost_1"]
    assert few.numbers["unseen_5"] == pytest.approx((1 - few.numbers["lost"] / 80) ** 5, abs=0.04) or few.numbers["won"]


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_it_runs_on_other_families(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = lab_named("19")
    steps = tuple(step for step in small.steps if step.name in ("windows", "fails"))
    result = tiny.model(family).run_lab(small.model_copy(update={"steps": steps}), own())
    assert [step.skipped for step in result.steps] == ["", ""]
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert "nan" not in result.takeaway


def test_without_the_harness_the_lab_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from invivo.engine.evaluation import harness

    def missing(module: str, name: str) -> Any:
        raise Refused("this needs lm-eval, which is not installed", hint=f"pip install 'invivo[{name}]'")

    monkeypatch.setattr(harness, "extra", missing)
    result = tiny.model().run_lab(lab_named("19"), own())
    assert [step.result is not None for step in result.steps] == [True, False, False, False]
    assert all("pip install 'invivo[eval]'" in step.skipped for step in result.steps[1:])
