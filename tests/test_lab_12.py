"""Lab 12, bias: a rate as a metric, a real bias on the output layer against the tweak, and the claims."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from invivo.engine.exhibits.output_bias import biased
from invivo.engine.live import Model
from invivo.errors import BadText
from invivo.experiment import LabResult
from invivo.labs import lab_named
from invivo.metrics import METRICS, metric_named

from . import tiny
from .test_labs import kl, result

LAB = lab_named("12")
PROMPT = "the cat sat"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── a rate ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rate_is_the_share_of_generated_tokens() -> None:
    said = {"tokens": (",", " a", ' ",', ","), "ids": (5, 1, 6, 5)}
    c = result(LAB.experiment, said, {str(LAB.experiment.tweaks[1]): {"tokens": (" a", "a", "b", ",")}})
    assert METRICS["comma_rate"].of(c, None) == 0.5
    assert METRICS["comma_rate"].of(c, 1) == 0.25
    assert metric_named('rate " a"').of(c, 1) == 0.5
    assert metric_named('rate " a"').of(c, None) == 0.25
    assert metric_named('rate ","').name == "comma_rate"
    assert metric_named(metric_named('rate "\\""').name).name == 'rate "\\""'
    assert METRICS["comma_rate"].of(result(LAB.experiment, {"tokens": ()}, {}), None) is None
    with pytest.raises(BadText, match="cannot read"):
        metric_named("rate x")


# ── the bias on the output layer ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["gpt2", "phi"])  # phi's output layer has a bias of its own
def test_a_real_bias_is_the_tweak_and_multiplies_odds(family: str) -> None:
    model = tiny.model(family)
    head = model.hf.get_output_embeddings()
    before = None if head.bias is None else head.bias.clone()
    shown = model.show("output_bias", prompt=PROMPT, token=",", biases=(-2.0, 1.0), draws=2, tokens=6)
    assert shown.numbers["deviation"] < 1e-5
    assert shown.numbers["odds_-2"] == pytest.approx(math.exp(-2), rel=1e-4)
    assert shown.numbers["odds_1"] == pytest.approx(math.e, rel=1e-4)
    assert head.bias is None if before is None else torch.equal(head.bias, before)
    again = [
        model.compare(PROMPT, 'add 1 to logit ","', do_sample=True, max_new_tokens=6, seed=seed) for seed in range(2)
    ]
    rates = [[METRICS["comma_rate"].of(c, row) or 0.0 for c in again] for row in (None, 0)]
    assert [shown.numbers["rate_0"], shown.numbers["rate_1"]] == pytest.approx([sum(r) / 2 for r in rates])


def test_the_output_layer_really_had_the_bias_and_is_restored(model: Model) -> None:
    head, token = model.hf.get_output_embeddings(), model.living.single_token(",")
    ids = torch.tensor([model.living.encode(PROMPT)])
    with torch.no_grad():
        plain = model.hf(ids).logits
        with pytest.raises(ZeroDivisionError), biased(head, token, 2.5):
            moved = model.hf(ids).logits - plain
            raise ZeroDivisionError
        assert torch.equal(model.hf(ids).logits, plain)
    wanted = torch.zeros_like(moved)
    wanted[..., token] = 2.5
    assert torch.allclose(moved, wanted, atol=1e-5)
    assert head.bias is None


def test_where_logits_change_after_the_layer_it_says_so() -> None:
    found = tiny.model("gemma2").run_lab(LAB)
    assert "changes its logits after the output layer" in found.step("same").skipped


# ── the lab on other models ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["gpt2", "llama", "gptj"])
def test_every_family_runs_the_lab_and_its_exact_claims_hold(family: str) -> None:
    found = tiny.model(family).run_lab(LAB)
    assert [v.holds for v in found.all_verdicts if v.expected] == [True] * 4
    for step in found.steps:
        assert step.result is not None or step.skipped
    assert "' was' is 4 tokens" in found.step("real").skipped or "' the' is 4 tokens" in found.step("real").skipped
    assert LabResult.from_json(found.to_json()) == found


def test_the_steps_follow_the_readers_token(model: Model) -> None:
    own = LAB.experiment.model_copy(
        update={"tweaks": model.experiment(PROMPT, 'add 3 to logit "!"').tweaks, "target": None}
    )
    found = model.run_lab(LAB, own)
    assert found.step("same").result.recipe.settings["token"] == "!"  # type: ignore[union-attr]
    assert found.step("dose").result.recipe.metric == 'rate "!"'  # type: ignore[union-attr]
    assert 'Adding 3 to logit "!"' in found.takeaway


# ── claims about the comparison ──────────────────────────────────────────────────────────────────────────────────────

MORE = 'add 2 to logit ","'
ODDS = math.log(0.2 / 0.8)


def nats(log_odds: float) -> float:
    return -math.log1p(math.exp(-log_odds))


def made(zero: dict[str, Any], more: dict[str, Any]) -> list[bool]:
    rows = {
        'add 0 to logit ","': {"target_nats": nats(ODDS)} | zero,
        MORE: {"target_nats": nats(ODDS + 2), "top_changed": (True, False, False, False)} | more,
    }
    c = result(LAB.experiment, {"target_nats": nats(ODDS)}, rows)
    assert LAB.takeaway(c).startswith('Adding 2 to logit ","')
    return [claim.holds(c) for claim in LAB.claims]


def test_every_claim_can_hold_and_can_fail() -> None:
    assert made({}, {}) == [True, True, True]
    assert made({"kl_nats": kl(1e-3)}, {}) == [False, True, True]
    assert made({}, {"target_nats": nats(ODDS + 1.9)}) == [True, False, True]
    assert made({}, {"top_changed": (True, True, False, False)}) == [True, True, False]
