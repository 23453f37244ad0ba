"""Every lab, whole: its claims on fruitfly, and what it is on every other family of models.

Each lab is run once on fruitfly, and once, made short (`guide.short`), on a random model of each family, its steps on
some of them (`walk.whole`). What a family cannot have stands in `docs/families.json`, which `python docs/families.py`
writes and the page of labs and models is made of.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from invivo.experiment import Lab, LabResult
from invivo.experiment.step import REAL
from invivo.metrics import METRICS

from .guide import GUIDE, altered, can_fail, check_command, reasons
from .samples import comparison
from .walk import LABS, MODELS, broken, cell, outcome_on, whole

TABLE = Path(__file__).parent.parent / "docs" / "families.json"
# Claims that read something which no alteration changes yet: the lens' grids, the sizes of kept sets.
UNREACHED = {"10_compare_decoding_strategies": 1, "11_logit_lens_peek": 4}
COMPLETE = LABS.keys() == GUIDE.keys()

each_lab = pytest.mark.parametrize("lab", list(LABS.values()), ids=list(LABS))


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_lab_is_one_of_the_guides_and_in_its_section():
    assert {name: lab.section for name, lab in LABS.items()} == {name: GUIDE[name] for name in LABS}


@each_lab
def test_a_lab_ends_in_is_it_real(lab: Lab):
    if not lab.steps and not COMPLETE:
        pytest.xfail("this lab has no steps yet; asked for as soon as all thirteen are there")
    assert lab.steps[-1].name == REAL
    assert lab.steps[-1].claims
    names = [step.name for step in lab.steps]
    assert len(names) == len(set(names))


# ── on fruitfly ──────────────────────────────────────────────────────────────────────────────────────────────────────


@each_lab
def test_every_claim_holds_on_fruitfly(on_fruitfly: Callable[[Lab], LabResult], lab: Lab):
    outcome = on_fruitfly(lab)
    assert reasons(outcome) == {}
    claimed = [claim.text for part in (lab, *lab.steps) for claim in part.claims]
    assert [verdict.text for verdict in outcome.all_verdicts] == claimed
    assert {verdict.text: verdict.holds for verdict in outcome.all_verdicts} == dict.fromkeys(claimed, True)
    assert all(verdict.expected for verdict in outcome.all_verdicts)
    assert outcome.takeaway.isprintable()
    assert "nan" not in outcome.takeaway.lower().split()
    for name in lab.numbers:
        value = METRICS[name].of(outcome.comparison, lab.hero % len(lab.experiment.tweaks))
        assert value is not None
        assert math.isfinite(value)


@each_lab
def test_every_claim_can_fail(on_fruitfly: Callable[[Lab], LabResult], lab: Lab):
    """A claim that is true of every altered result (`guide.altered` says which there are) checks nothing."""
    outcome = on_fruitfly(lab)
    results = {step.name: step.result for step in outcome.steps}
    judged = [(claim, outcome.comparison) for claim in lab.claims]
    judged += [(claim, results[step.name]) for step in lab.steps for claim in step.claims]
    idle = [claim.text for claim, result in judged if result is not None and not can_fail(claim.holds, result)]
    assert len(idle) <= UNREACHED.get(lab.full_name, 0), idle


def test_a_claim_that_cannot_fail_is_found_out():
    c = comparison()
    assert can_fail(lambda c: max(c.tweaks[0].kl_nats) > 0.01, c)  # false where every row is BASE
    assert can_fail(lambda c: max(c.tweaks[0].kl_nats) < 9, c)
    assert can_fail(lambda c: c.tweaks[0].ids != c.base.ids, c)
    assert not can_fail(lambda c: len(c.tweaks) == len(c.recipe.tweaks) or True, c)
    assert not can_fail(lambda c: c.recipe.prompt != "", c)  # what was asked is not altered
    assert not can_fail(lambda c: 1 / 0, c)
    assert any(one != c for one in altered(c))
    assert all(type(one) is type(c) for one in altered(c))


@each_lab
def test_a_result_survives_json_and_is_shown(on_fruitfly: Callable[[Lab], LabResult], lab: Lab):
    outcome = on_fruitfly(lab)
    assert LabResult.from_json(outcome.to_json()).to_json() == outcome.to_json()
    shown = outcome.document(lab)
    names = [figure.name for figure in shown.figures]
    assert len(names) >= len(lab.pictures)
    assert all(figure.picture.summary for figure in shown.figures)
    for step in outcome.steps:
        if step.command:
            check_command(shlex.split(step.command))


# ── on every other family ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "name"), [(model, name) for model in MODELS for name in LABS])
def test_a_lab_runs_on_every_family_or_says_why_not(model: str, name: str):
    steps = whole(model, name)
    outcome, told = outcome_on(model, name, steps), cell(model, name, steps)
    why = [told["refused"]] if "refused" in told else [*told.get("without", {}).values()]
    assert all(reason.strip() and reason.isprintable() for reason in why)  # so it is one line, too
    assert broken(model, name, steps) == []
    if isinstance(outcome, LabResult):
        assert [v.expected for v in outcome.verdicts] == [claim.exact for claim in LABS[name].claims]
        assert "nan" not in outcome.takeaway.lower().split()
        assert outcome.takeaway.isprintable()
    if model == "gpt2":  # what fruitfly has, every GPT-2 has; a step may ask for what only training gives
        assert "refused" not in told
    known = json.loads(TABLE.read_text(encoding="utf-8"))["labs"][name].get(model, {})
    assert told.get("refused") == known.get("refused"), "write the table again: python docs/families.py"


def test_the_table_knows_every_lab_and_model():
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert table["models"] == list(MODELS)
    assert list(table["labs"]) == list(LABS), "write the table again: python docs/families.py"
