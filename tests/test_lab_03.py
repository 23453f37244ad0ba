"""Lab 03: the output matrix by heads, a tweak as weights, and a head scaled, each against another way to compute it."""

from __future__ import annotations

from types import SimpleNamespace as As

import pytest
import torch

from invivo.engine import finders
from invivo.engine.live import Model
from invivo.errors import BadText, Refused
from invivo.experiment import Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named
from invivo.tweaks import Stack

from . import tiny

PROMPT = "the cat sat"
LAB = lab_named("03")


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Model:
    return tiny.model(request.param)


def test_a_heads_slice_writes_what_attention_loses_without_the_head(model: Model) -> None:
    shown = model.show("projection", prompt=PROMPT, layer=1)
    whole = model.capture(PROMPT, "L1.attn_out")["L1.attn_out"][-1]
    bias = model.capture(PROMPT, "L1.attn_out", tweak="zero head 1.0:4")["L1.attn_out"][-1]
    for head in range(4):
        without = model.capture(PROMPT, "L1.attn_out", tweak=f"zero head 1.{head}")["L1.attn_out"][-1]
        assert shown.numbers[f"length_{head}"] == pytest.approx(float((whole - without).norm()), rel=1e-4)
        share = float((whole - without) @ (whole - bias) / ((whole - bias) @ (whole - bias)))
        assert shown.numbers[f"share_{head}"] == pytest.approx(share, rel=1e-3, abs=1e-5)
    assert sum(shown.numbers[f"share_{h}"] for h in range(4)) == pytest.approx(1.0)
    assert 0 <= shown.numbers["deviation"] < 1e-5 < shown.numbers["output_length"]
    assert Exhibit.from_json(shown.to_json()) == shown


def test_the_size_of_a_slice_is_that_of_its_part_of_the_matrix() -> None:
    model = tiny.model("llama")
    shown = model.show("projection", prompt=PROMPT, layer=1)
    weight = model.hf.model.layers[1].self_attn.o_proj.weight  # (D, H * K)
    assert [shown.numbers[f"size_{h}"] for h in range(4)] == pytest.approx(
        [float(part.norm()) for part in weight.detach().split(8, dim=1)], rel=1e-5
    )


def test_the_weight_form_is_the_matrix_edited_by_hand() -> None:
    model = tiny.model()
    shown = model.show("weight_form", prompt=PROMPT, tweaks=["scale head 1.2 by 1.7"])
    ids = torch.tensor([model.living.encode(PROMPT)])
    base = model.hf(ids).logits.detach()
    weight = model.hf.transformer.h[1].attn.c_proj.weight
    kept = weight.data.clone()
    weight.data[16:24] *= 1.7
    edited = model.hf(ids).logits.detach()
    weight.data.copy_(kept)
    assert shown.numbers["moved"] == pytest.approx(float((edited - base).abs().max()), rel=1e-3)
    assert 0 <= shown.numbers["deviation"] < 1e-5
    with pytest.raises(Refused, match="weight form"):
        model.show("weight_form", prompt=PROMPT, tweaks=["scale head 1.2 at 0 by 2"])
    with pytest.raises(BadText, match="not one change"):
        model.show("weight_form", prompt=PROMPT, tweaks=["set temperature 2"])


def test_the_answering_head_is_the_one_whose_loss_moves_the_answer_most(model: Model) -> None:
    asked = Experiment.of({"prompt": PROMPT, "target": "x", "wrong": "y"})
    heads = [f"{layer}.{head}" for layer in range(3) for head in range(4)]
    rows = model.compare(PROMPT, *(f"zero head {h}" for h in heads), target="x", wrong="y", max_new_tokens=1)
    moved = [abs((r.ahead_nats or 0.0) - (rows.base.ahead_nats or 0.0)) for r in rows.tweaks]
    assert finders.answering_head(model.living, asked) == f"head {heads[moved.index(max(moved))]}"
    kl = [r.kl_nats[len(PROMPT) - 1] for r in rows.tweaks]
    for unasked in ({}, {"target": "ab", "wrong": "a"}):
        found = finders.answering_head(model.living, Experiment.of({"prompt": PROMPT, **unasked}))
        assert found == f"head {heads[kl.index(max(kl))]}"


def test_the_lab_runs_elsewhere_and_its_exact_claims_hold(model: Model) -> None:
    own = LAB.experiment.model_copy(
        update={"prompt": PROMPT, "decoding": LAB.experiment.decoding.model_copy(update={"max_new_tokens": 3})}
    )
    own = own.model_copy(update={"target": "x", "wrong": "y"})
    result = model.run_lab(LAB, own)
    assert [step.skipped for step in result.steps] == [""] * len(LAB.steps)
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert sum(v.expected for v in result.all_verdicts) == 5
    assert LabResult.from_json(result.to_json()) == result


def test_every_exact_claim_can_fail() -> None:
    model = tiny.model()
    tweaks = ["zero head 1.2", *(f"scale head 1.2 by {f}" for f in (0, 0.5, 1, 1.5, 2, 3))]
    good = model.compare(PROMPT, *tweaks, max_new_tokens=3)
    assert [claim.holds(good) for claim in LAB.claims if claim.exact] == [True, True]
    rows = {str(row.tweak): row for row in good.tweaks}
    swapped = [rows["scale head 1.2 by 2"].model_copy(update={"tweak": row.tweak}) for row in good.tweaks]
    bad = good.model_copy(update={"tweaks": (rows["zero head 1.2"], *swapped[1:])})
    assert [claim.holds(bad) for claim in LAB.claims if claim.exact] == [False, False]


@pytest.mark.parametrize("tweak", ["zero embed dims 0:4", "set temperature 0"])
def test_a_step_without_a_head_says_so(tweak: str) -> None:
    for step in LAB.steps:
        if step.name != "direct":
            with pytest.raises(BadText, match="a head"):
                step.recipe(Experiment.of({"prompt": PROMPT, "tweaks": [tweak]}))


def test_what_is_claimed_for_fruitfly_can_hold_and_can_fail() -> None:
    lead = next(claim.holds for claim in LAB.claims if not claim.exact)

    def rows(off: float | None, one: float) -> As:
        return As(
            tweaks=tuple(As(tweak=Stack.of(f"scale head 1.2 by {f}"), ahead_nats=n) for f, n in ((0, off), (1, one)))
        )

    assert lead(rows(1.0, 4.5))
    assert not lead(rows(2.0, 4.5))
    assert not lead(rows(None, 4.5))
    claims = {step.name: [claim.holds for claim in step.claims] for step in LAB.steps}
    (sees,) = claims["look"]
    assert sees(As(tokens=(" Henry", " Jane"), pattern=((1.0, 0.0), (0.4, 0.6))))
    assert not sees(As(tokens=(" Henry", " Jane"), pattern=((1.0, 0.0), (0.6, 0.4))))
    (writes,) = claims["direct"]
    assert writes(As(shares=(As(component="head 3.5", logit=-1.9),)))
    assert not writes(As(shares=(As(component="head 3.5", logit=-2.1),)))
    assert not writes(As(shares=()))
    at_one, rises, loud = claims["curve"]
    good, bad = (-9.0, -2.0, 0.0, 1.0, 0.5, -2.0), (-9.0, -9.5, 0.1, 1.0, 0.5, -0.2)
    assert [f(As(effects=good)) for f in (at_one, rises, loud)] == [True, True, True]
    assert [f(As(effects=bad)) for f in (at_one, rises, loud)] == [False, False, False]
    beats, same = claims["real"]
    assert [f(As(beaten=36, same_sign=4, prompts=("a",) * 6)) for f in (beats, same)] == [True, True]
    assert [f(As(beaten=35, same_sign=3, prompts=("a",) * 6)) for f in (beats, same)] == [False, False]
    for name in ("slices", "weights"):
        (one,) = claims[name]
        numbers = {"deviation": 1e-6, "largest_output": 1.0, "largest_logit": 1.0, "moved": 0.1}
        assert one(As(numbers=numbers))
        assert not one(As(numbers=numbers | {"deviation": 0.1}))
