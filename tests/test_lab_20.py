"""Lab 20: directions in every layer, refusals that are counted, calibration, thresholds, and a small search."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from invivo.engine import refusing
from invivo.engine.contrast import contrast, in_every_layer, last_tokens
from invivo.engine.exhibits.calibration import Judged, fitted
from invivo.engine.exhibits.thresholds import best_cut
from invivo.engine.live import Model
from invivo.errors import BadText, Refused
from invivo.experiment import Experiment, Lab, LabResult
from invivo.experiment.contrast import Contrast
from invivo.experiment.exhibit import Exhibit
from invivo.experiment.requests import ASKED, MADE
from invivo.labs import lab_named
from invivo.sites import Place
from invivo.tweaks import Project, Stack, Steer

from . import tiny

WITH, WITHOUT = ("the cat sat", "a big dog", "no hens"), ("one two", "six old men", "the end", "so it was")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── directions ──


def test_a_layers_direction_is_the_one_that_is_made_alone(model: Model) -> None:
    made = in_every_layer(model.living, Contrast(name="x_L*", with_=WITH, without=WITHOUT))
    assert [record.name for record, _ in made] == ["x_L0", "x_L1", "x_L2"]
    for layer, (record, values) in enumerate(made):
        alone, expected = contrast(model.living, "y", WITH, WITHOUT, Place.of(f"L{layer}.resid_post"))
        assert torch.allclose(torch.tensor(values), torch.tensor(expected), atol=1e-6)
        assert record.norm == pytest.approx(alone.norm, rel=1e-6)
        assert record.agreement == pytest.approx(alone.agreement, abs=1e-6)


def test_a_level_direction_makes_the_others_zero_and_leaves_the_way_between_the_means(model: Model) -> None:
    seen = [last_tokens(model.living, texts, "resid_post") for texts in (WITH, WITHOUT)]  # (N, L, D)
    made = in_every_layer(model.living, Contrast(name="x_L*", with_=WITH, without=WITHOUT, level=True))
    for layer, (_, values) in enumerate(made):
        shown, hidden = (one[:, layer].mean(0) for one in seen)
        direction = torch.tensor(values).double()
        assert abs(float(direction @ hidden)) < 1e-4 * float(direction.norm() * hidden.norm())
        rest = (shown - hidden) - direction
        assert float(rest @ hidden) ** 2 == pytest.approx(float((rest @ rest) * (hidden @ hidden)), rel=1e-3)
        assert float(direction @ shown) > 0


def test_last_tokens_are_what_capture_sees(model: Model) -> None:
    found = last_tokens(model.living, WITH, "resid_post")
    for n, text in enumerate(WITH):
        kept = model.capture(text, "L1.resid_post")["L1.resid_post"][-1]
        assert torch.allclose(found[n, 1].float(), kept.cpu(), atol=1e-5)


# ── refusals ──


def test_what_counts_as_a_refusal() -> None:
    assert refusing.is_refusal(" I am sorry, but no.")
    assert refusing.is_refusal("\nI’m sorry")
    assert not refusing.is_refusal(" I am well.")
    assert not refusing.is_refusal(" Yes. I am sorry")


def test_replies_in_a_batch_are_those_of_a_comparison(model: Model) -> None:
    model.direction("side", with_=WITH, without=WITHOUT, site="L1.resid_post")
    direction = {"side": torch.tensor(contrast(model.living, "side", WITH, WITHOUT, Place.of("L1.resid_post"))[1])}
    lines = (
        Project(place=Place.of("L1.resid_post"), direction="side"),
        Steer(place=Place.of("L1.resid_post"), direction="side", strength=4),
    )
    plain = refusing.replies(model.living, WITHOUT, steps=5)
    for line in lines:
        batch = refusing.replies(model.living, WITHOUT, [line], direction, steps=5)
        alone = [model.compare(p, Stack.of(line), max_new_tokens=5) for p in WITHOUT]
        assert batch == [c.tweaks[0].text for c in alone]
        assert plain == [c.base.text for c in alone]
        assert plain != batch


def test_wilsons_interval() -> None:
    none = refusing.rate([False] * 36)
    assert (none.mean, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.0964, abs=1e-3)  # 1.96² / (36 + 1.96²)
    half = refusing.rate([True, False] * 50)
    assert (half.low, half.high) == (pytest.approx(0.4038, abs=1e-3), pytest.approx(0.5962, abs=1e-3))


def test_requests_share_no_phrasing_between_halves() -> None:
    halves = [set(one.refused) | set(one.allowed) for one in (MADE, ASKED)]
    assert not halves[0] & halves[1]
    assert all(len(one.refused) >= 30 and len(one.allowed) >= 30 for one in (MADE, ASKED))
    assert all(p.startswith("User: ") and p.endswith("\nAssistant:") for half in halves for p in half)


# ── calibration ──


def test_calibration_by_hand() -> None:
    # four predictions of 3 to 1 (75 %), of which two are right; two of 1 to 1 are not looked at: none ties
    logits = torch.tensor([[math.log(3.0), 0.0]] * 4, dtype=torch.float64)
    judged = Judged(logits, torch.tensor([0, 1, 0, 1]))
    assert judged.accuracy(1.0) == 0.5
    assert judged.error(1.0, 10) == pytest.approx(0.25)
    assert judged.surprise(1.0) == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert judged.accuracy(7.0) == judged.accuracy(0.1) == 0.5


def test_the_fitted_temperature_is_the_one_that_was_put_in() -> None:
    dice = torch.Generator().manual_seed(0)
    true = 1.5 * torch.randn(6000, 8, generator=dice, dtype=torch.float64)
    came = torch.multinomial(true.softmax(-1), 1, generator=dice)[:, 0]
    assert fitted(Judged(true, came)) == pytest.approx(1.0, abs=0.05)
    loud = Judged(4 * true, came)
    assert fitted(loud) == pytest.approx(4.0, rel=0.05)
    assert loud.error(fitted(loud), 10) < 0.03 < loud.error(1.0, 10)


def test_the_calibration_exhibit_measures_both_models(model: Model) -> None:
    shown = model.show("calibration", steps=30, texts=["the cat sat on it", "a dog ran off again"])
    n = shown.numbers
    assert n["toy_accuracy"] == n["toy_accuracy_scaled"]
    assert n["model_accuracy"] == n["model_accuracy_scaled"]
    assert n["model_predictions"] == len("a dog ran off again") - 1
    assert Exhibit.from_json(shown.to_json()) == shown
    with pytest.raises(BadText, match="nothing to fit"):
        model.show("calibration", steps=0, texts=["a", "b"])


# ── thresholds ──


def test_the_best_cut_is_the_best_of_all() -> None:
    dice = torch.Generator().manual_seed(1)
    for _ in range(20):
        scores = torch.randn(9, generator=dice, dtype=torch.float64)
        truth = torch.rand(9, generator=dice) > 0.5
        cut = best_cut(scores, truth)
        tried = [*(float(s) + e for s in scores for e in (-1e-9, 1e-9))]
        best = max(float(((sign * (scores - t) > 0) == truth).double().mean()) for t in tried for sign in (1, -1))
        assert cut.right == pytest.approx(best)
        assert cut.judged(scores, truth) == pytest.approx(best)


# ── the lab on models that refuse nothing ──


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_model_that_refuses_nothing_is_told_so(family: str) -> None:
    tale = tiny.roomy(family)
    with pytest.raises(Refused, match="refuses 0 of 8"):
        tale.show("refusal")
    with pytest.raises(Refused, match="fruitfly alone"):
        tale.show("attacks")


def test_a_taller_stack_for_more_layers(model: Model) -> None:
    from invivo.engine import finders

    lab = lab_named("20")
    planned, notes = finders.at(model.living, lab.experiment, lab.finds)
    assert str(planned.tweaks[-1]) == " + ".join(f"project lab20_L{n} out of L{n}.resid_post" for n in range(3))
    assert notes == [f"the stack has a line for each of {model.name}'s layers"]
    own = Experiment.of({"prompt": "the cat", "tweaks": ["zero head 0.0"]})
    step = lab.steps[0].recipe(own)
    assert isinstance(step, Experiment)
    assert str(step.tweaks[0]) == "steer L4.resid_post with lab20_L4 by 1.2"


def test_the_search_lowers_what_it_says_it_lowers() -> None:
    from invivo.engine.exhibits.attacks import END, Settings, search

    random = tiny.roomy("gpt2")
    prompts = MADE.refused[:2]
    words, before, after = search(random.living, prompts, Settings(words=2, rounds=2, draws=6))
    assert len(words.split()) == 2
    assert words.startswith(" ")
    assert after < before
    first = [
        random.compare(p.removesuffix(END) + words + END, "zero head 0.0", target=" I", max_new_tokens=1)
        for p in prompts
    ]
    assert math.exp(sum(c.base.target_nats or 0 for c in first) / 2) == pytest.approx(after, rel=1e-3)


def test_surprise_of_a_request_is_that_of_its_tokens() -> None:
    from invivo.engine.exhibits.attacks import END, surprises

    random = tiny.roomy("gpt2")
    found = surprises(random.living, MADE.refused[:3])
    for prompt, value in zip(MADE.refused[:3], found, strict=True):
        request = prompt.removesuffix(END).removeprefix("User:")
        c = random.compare("User:", "zero head 0.0", target=request, max_new_tokens=1)
        tokens = len(random.living.encode(request, special=False))
        assert value == pytest.approx(-(c.base.target_nats or 0) / tokens, rel=1e-4)


# ── the lab on fruitfly ──


def test_every_claim_of_every_step_holds_on_fruitfly(on_fruitfly: Callable[[Lab], LabResult]) -> None:
    outcome = on_fruitfly(lab_named("20"))
    assert {v.text: v.holds for v in outcome.all_verdicts} == {v.text: True for v in outcome.all_verdicts}
    assert [s.name for s in outcome.steps] == ["added", "rates", "attacks", "sure", "fails", "real"]
    assert all(s.result is not None for s in outcome.steps)
    assert "BASE refuses, and TWEAK does not" in outcome.takeaway
    assert LabResult.from_json(outcome.to_json()) == outcome


def test_the_takeaway_follows_the_numbers(on_fruitfly: Callable[[Lab], LabResult]) -> None:
    c = on_fruitfly(lab_named("20")).comparison
    still = tuple(r.model_copy(update={"tokens": c.base.tokens}) for r in c.tweaks)
    assert "TWEAK still does" in lab_named("20").takeaway(c.model_copy(update={"tweaks": still}))
