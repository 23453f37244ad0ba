"""Heads, controls and direct logit attribution: against arithmetic that does not use them."""

from __future__ import annotations

import json

import pytest
import torch

from invivo.engine import attribution
from invivo.engine.live import Model
from invivo.errors import BadText, InvivoError, OutOfRange, Refused
from invivo.experiment.attribution import Attribution
from invivo.experiment.control import Control
from invivo.experiment.heads import HeadScores
from invivo.tweaks import Stack
from invivo.tweaks.elsewhere import elsewhere, kind_of

from . import tiny

PROMPT = "the cat sat on t"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model("gpt2")


# ── direct logit attribution ──


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_shares_add_up_to_the_logit(family: str) -> None:
    living = tiny.model(family)
    a, b = living.living.encode("a")[0], living.living.encode("c")[0]
    if {"embed", "attn_out", "mlp_out", "final_norm"} & living.living.anatomy.missing.keys():
        with pytest.raises(Refused, match="offers no"):
            living.attribute(PROMPT, "a", "c")
        return
    found = living.attribute(PROMPT, "a", "c")
    logits = living.hf(torch.tensor([living.living.encode(PROMPT)])).logits[0, -1].double()
    cap = getattr(living.hf.config, "final_logit_softcapping", None)
    plain = cap * torch.atanh(logits / cap) if cap else logits
    assert found.total == pytest.approx(float(plain[a] - plain[b]), abs=1e-4)
    assert sum(s.logit for s in found.shares) == pytest.approx(found.total, abs=1e-4)
    assert abs(found.rest) < 1e-4
    assert max(abs(s.logit) for s in found.shares) > 0.05
    alone = living.attribute(PROMPT, "a")
    assert alone.total == pytest.approx(float(plain[a]), abs=1e-4)
    assert alone.total != pytest.approx(found.total, abs=1e-3)


def test_a_heads_share_is_what_its_output_adds_with_the_norm_held(model: Model) -> None:
    found = {s.component: s.logit for s in model.attribute(PROMPT, "a", "c").shares}
    z = model.capture(PROMPT, "head 2.1 at -1")["head 2.1 at -1"][0, 0]
    stream = model.capture(PROMPT, "L2.resid_post at -1")["L2.resid_post at -1"][0]
    block, norm = model.hf.transformer.h[2], model.hf.transformer.ln_f
    written = z @ block.attn.c_proj.weight[8:16]
    held = (written - written.mean()) / (stream.var(unbiased=False) + norm.eps).sqrt() * norm.weight
    reads = model.hf.lm_head.weight
    a, b = model.living.encode("a")[0], model.living.encode("c")[0]
    assert found["head 2.1"] == pytest.approx(float(held @ (reads[a] - reads[b])), abs=1e-5)
    assert found["head 2.1"] != pytest.approx(found["head 2.2"], abs=1e-4)


def test_an_unexplained_stream_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "_by_head", lambda anatomy, layer, z: torch.zeros(4, 32, dtype=torch.float64) + 1)
    shares = model.attribute(PROMPT, "a", "c").shares  # heads and bias together still are attention's output
    assert sum(s.logit for s in shares) == pytest.approx(model.attribute(PROMPT, "a", "c").total, abs=1e-4)
    real = attribution._Frozen.linear
    monkeypatch.setattr(attribution._Frozen, "linear", lambda self, x: real(self, x) + (x.abs().sum() > 0) * 0.1)
    with pytest.raises(Refused):
        model.attribute(PROMPT, "a", "c")


def test_an_attribution_is_data(model: Model) -> None:
    found = model.attribute(PROMPT, "a", "c")
    assert Attribution.of(json.loads(found.to_json())) == found
    assert found.ranked()[0].component in found.summary()
    assert "together" in str(found)
    assert "<svg" in found._repr_html_()
    with pytest.raises(BadText, match="2 tokens"):
        model.attribute(PROMPT, "ab")
    with pytest.raises(BadText, match="same token"):
        model.attribute(PROMPT, "a", "a")


# ── heads ──


def test_head_scores_are_means_of_the_pattern(model: Model) -> None:
    found = model.heads(rows=3, length=8, seed=4)
    from invivo.engine.heads import strings

    ids = strings(model.living, 3, 8, 4)
    assert torch.equal(ids[:, :8], ids[:, 8:])
    assert not torch.equal(ids, strings(model.living, 3, 8, 5))
    eager = tiny.weights("gpt2")
    eager.set_attn_implementation("eager")
    patterns = eager(ids, output_attentions=True).attentions
    for layer, head in ((0, 0), (2, 3)):
        p = patterns[layer][:, head]
        assert found.previous_token[layer][head] == pytest.approx(
            float(torch.stack([p[:, i, i - 1] for i in range(1, 16)]).mean()), abs=1e-5
        )
        assert found.induction[layer][head] == pytest.approx(
            float(torch.stack([p[:, i, i - 7] for i in range(8, 15)]).mean()), abs=1e-5
        )
        assert found.duplicate_token[layer][head] == pytest.approx(
            float(torch.stack([p[:, i, i - 8] for i in range(8, 15)]).mean()), abs=1e-5
        )


def test_a_heads_effect_is_the_cost_of_averaging_it(model: Model) -> None:
    from invivo.engine.heads import strings

    found = model.heads(rows=2, length=8, seed=4)
    costs = {}
    for layer, head in ((0, 1), (2, 2)):
        rises = []
        for row in strings(model.living, 2, 8, 4):
            base = model.hf(row[None]).logits[0]
            z = model.capture("x", f"L{layer}.z")  # any: only to be sure that the place is there
            assert z
            mean = _z(model, row, layer)[:, head].mean(0)

            def replace(module, args, mean=mean, head=head):
                x = args[0].clone()
                x[..., head * 8 : head * 8 + 8] = mean
                return (x,)

            handle = model.hf.transformer.h[layer].attn.c_proj.register_forward_pre_hook(replace)
            changed = model.hf(row[None]).logits[0]
            handle.remove()
            rises.append(_second(changed, row) - _second(base, row))
        costs[layer, head] = sum(rises) / 2
        assert found.effect_nats[layer][head] == pytest.approx(costs[layer, head], abs=1e-4)
    assert max(abs(c) for c in costs.values()) > 1e-3


def _z(model: Model, row: torch.Tensor, layer: int) -> torch.Tensor:
    kept = []
    handle = model.hf.transformer.h[layer].attn.c_proj.register_forward_pre_hook(lambda m, args: kept.append(args[0]))
    model.hf(row[None])
    handle.remove()
    return kept[0][0].view(len(row), 4, 8)


def _second(logits: torch.Tensor, row: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(logits[8:15], row[9:16]))


def test_head_scores_are_data_and_say_what_they_mean(model: Model) -> None:
    found = model.heads(rows=2, length=8)
    assert HeadScores.of(json.loads(found.to_json())) == found
    assert found.ranked("induction")[0][0] in str(found)
    with pytest.raises(OutOfRange, match="do not fit"):
        model.heads(length=40)
    with pytest.raises(Refused):
        tiny.model("bloom").heads()


# ── controls ──


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("zero head 1.2", "heads"),
        ("zero L1.z heads 0,3 at 2", "heads"),
        ("zero neuron 1.5", "units"),
        ("zero embed dims 0:8", "units"),
        ("zero L1.resid_pre at 3", "at"),
        ("zero L1.mlp_out", "layer"),
        ("add noise 1 to embed", "seed"),
    ],
)
def test_a_control_does_the_same_somewhere_else(line: str, kind: str) -> None:
    stack = Stack.of(line)
    assert kind_of(stack) == kind
    found = elsewhere(stack, 6, lambda site, axis, layer: {"H": 4, "K": 8, "F": 48, "D": 32}[axis], 16, 3)
    assert len({str(s) for s in found}) == len(found) == (2 if kind == "layer" else 6)
    assert stack not in found
    for other in found:
        (mine,), (theirs,) = stack, other
        assert type(mine) is type(theirs)
        assert mine.place.site == theirs.place.site
        if kind not in ("layer", "seed"):
            count = len(str(getattr(theirs.place, kind)).split(","))
            assert count == {"zero L1.z heads 0,3 at 2": 2, "zero embed dims 0:8": 8}.get(line, 1)
    again = elsewhere(stack, 6, lambda site, axis, layer: {"H": 4, "K": 8, "F": 48, "D": 32}[axis], 16, 3)
    assert again == found


def test_a_control_measures_what_a_sweep_measures(model: Model) -> None:
    found = model.control("zero head 1.2", PROMPT, metric="logit_diff", target="a", wrong="c", count=8)
    grid = model.sweep("zero head *", PROMPT, metric="logit_diff", target="a", wrong="c")
    effects = dict(zip(grid.lines, grid.effects, strict=True))
    assert found.effect == pytest.approx(effects["zero head 1.2"], abs=1e-5)
    for line, effect in zip(found.lines, found.others, strict=True):
        assert effect == pytest.approx(effects[line], abs=1e-5)
    assert found.beaten == sum(abs(found.effect) > abs(e) for e in found.others)
    assert f"{found.beaten} of 8 random heads" in found.sentence()
    best = max(effects, key=lambda line: abs(effects[line]))
    assert model.control(best, PROMPT, metric="logit_diff", target="a", wrong="c", count=8).beaten == 8


def test_a_control_tries_other_prompts(model: Model) -> None:
    tried = ["some other text", "and a third one"]
    found = model.control("zero head 1.2", PROMPT, count=4, prompts_to_try=tried)
    assert found.prompts == tuple(tried)
    alone = model.sweep("zero head 1.*", tried[1])
    assert found.elsewhere[1] == pytest.approx(alone.effects[2], abs=1e-5)
    assert "2 of 2 other prompts" in found.sentence()  # a KL is never negative
    assert Control.of(json.loads(found.to_json())) == found
    assert "<svg" in found._repr_html_()


def test_what_has_one_place_has_no_control(model: Model) -> None:
    for line in ("zero embed", "set temperature 2"):
        with pytest.raises(InvivoError, match=r"one place only|no places"):
            model.control(line, PROMPT)


def test_a_verdict_needs_enough_places() -> None:
    common = dict(tweak="zero head 1.2", case={"prompt": "x"}, metric="logit_diff", effect=2.0)
    few = Control.of(common | dict(lines=["zero head 0.1"] * 5, others=[1.0] * 5))
    enough = Control.of(common | dict(lines=["zero head 0.1"] * 20, others=[1.0] * 20))
    beaten = Control.of(common | dict(lines=["zero head 0.1"] * 20, others=[3.0] * 20))
    assert "no more to compare with" in few.sentence()
    assert enough.sentence().endswith("random heads.")
    assert enough.p_value == pytest.approx(1 / 21)
    assert "anecdote" in beaten.sentence()
    assert beaten.p_value == 1
