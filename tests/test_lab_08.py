"""Lab 08: positions boosted on vectors and on rotation, sinusoids, noise as long as a vector, and what shows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from invivo.engine import trials
from invivo.engine.live import Model
from invivo.errors import BadText, Refused
from invivo.experiment import Comparison, Experiment, Lab, LabResult, Sweep
from invivo.experiment.exhibit import Exhibit
from invivo.experiment.trials import TrialsRecipe
from invivo.labs import lab_named
from invivo.tweaks import Stack

from . import tiny

PROMPT = "the cat sat on"
ROTARY = ("llama", "gemma3", "falcon", "gpt_neox", "phi")  # whole rotation, two rates, closed attention, part of a head

each_rotary = pytest.mark.parametrize("family", ROTARY)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def rotary() -> Model:
    return tiny.model("llama")


def ids(model: Model) -> torch.Tensor:
    return torch.tensor([model.living.encode(PROMPT)])


def logits(model: Model, *lines: str, **kwargs: Any) -> torch.Tensor:
    with torch.no_grad():
        if not lines:
            return model.hf(ids(model), use_cache=False, **kwargs).logits[0]
        with model.tweaked(*lines):
            return model.hf(ids(model), use_cache=False, **kwargs).logits[0]


# ── boost ──


def test_boosted_vectors_are_scaled_vectors_and_scaled_weights(model: Model) -> None:
    found = logits(model, "boost positions by 2.5")
    assert torch.equal(found, logits(model, "scale positions by 2.5"))
    table = model.hf.transformer.wpe.weight
    kept = table.data.clone()
    try:
        table.data *= 2.5
        assert torch.allclose(found, logits(model), atol=1e-5)
    finally:
        table.data = kept
    assert not torch.allclose(found, logits(model), atol=1e-2)


@each_rotary
@pytest.mark.filterwarnings("ignore:this model has no position vectors")
def test_a_boosted_rotary_model_is_one_that_is_told_other_positions(family: str) -> None:
    model = tiny.model(family)
    length = ids(model).shape[1]
    mask = torch.ones(1, length, dtype=torch.long)  # without it, positions with gaps would be read as several texts
    there = logits(model, position_ids=3 * torch.arange(length)[None], attention_mask=mask)
    assert torch.allclose(logits(model, "boost positions by 3"), there, atol=1e-5)
    assert torch.equal(logits(model, "boost positions by 1"), logits(model))
    assert not torch.allclose(there, logits(model), atol=1e-3)


@pytest.mark.filterwarnings("ignore:this model has no position vectors")
def test_some_positions_and_times_only(rotary: Model) -> None:
    length = ids(rotary).shape[1]
    places = torch.arange(length).where(torch.arange(length) < 3, 2 * torch.arange(length))
    mask = torch.ones(1, length, dtype=torch.long)
    there = logits(rotary, position_ids=places[None], attention_mask=mask)
    assert torch.allclose(logits(rotary, "boost positions at 3: by 2"), there, atol=1e-5)
    one = rotary.compare(PROMPT, "boost positions by 2 during generation", max_new_tokens=4)
    assert max(one.tweaks[0].kl_nats[: length - 1]) == 0  # the prompt is read as ever
    assert max(one.tweaks[0].kl_nats) > 1e-4


@each_rotary
@pytest.mark.filterwarnings("ignore:this model has no position vectors")
def test_a_boosted_row_is_the_same_alone_in_a_batch_and_with_a_cache(family: str) -> None:
    model = tiny.model(family)
    rows = model.compare(PROMPT, "boost positions by 2", "boost positions by 1", max_new_tokens=5)
    alone = model.compare(PROMPT, "boost positions by 2", max_new_tokens=5)
    assert rows.base.ids == alone.base.ids == rows.tweaks[1].ids
    assert rows.tweaks[0].ids == alone.tweaks[0].ids
    assert rows.tweaks[0].kl_nats == pytest.approx(alone.tweaks[0].kl_nats, abs=1e-6)
    assert max(rows.tweaks[1].kl_nats) < 1e-6
    with model.tweaked("boost positions by 2"):
        said = [
            model.hf.generate(ids(model), max_new_tokens=5, min_new_tokens=5, do_sample=False, use_cache=cached)
            for cached in (True, False)
        ]
    assert torch.equal(*said)
    assert int(said[0][0, ids(model).shape[1]]) == alone.tweaks[0].ids[0]


def test_a_sweep_of_boosts_is_the_comparisons_one_by_one(model: Model, rotary: Model) -> None:
    for one in (model, rotary):
        sweep = Sweep.of(
            {"tweak": "boost positions by *", "values": [0, 1, 2], "cases": [{"prompt": PROMPT}], "model": one.name}
        )
        grid = one.sweep(sweep)
        slow = [one.compare(PROMPT, line, max_new_tokens=0).tweaks[0].kl_nats[-1] for line in grid.lines]
        assert grid.values[0] == pytest.approx(slow, abs=1e-5)
        assert slow[2] > 1e-4
    with pytest.raises(Refused, match="cannot be estimated"):
        rotary.sweep(sweep, estimate=True)


def test_a_model_without_positions_says_so() -> None:
    with pytest.raises(Refused, match="has no positions to scale"):
        tiny.model("bloom").compare(PROMPT, "boost positions by 2")
    with pytest.raises(Refused, match="offers no pos_embed"):
        tiny.model("llama").compare(PROMPT, "swap positions for sinusoids")
    with pytest.raises(BadText):
        Stack.of("boost embed by 2")


def test_what_was_done_is_told_once(rotary: Model) -> None:
    shown = rotary.compare(PROMPT, "boost positions by 2", "boost positions by 3", max_new_tokens=1).to_markdown()
    assert shown.count("no position vectors") == 1


# ── sinusoids and noise ──


def test_sinusoids_are_the_papers_and_as_long_as_what_they_replace(model: Model) -> None:
    old = model.capture(PROMPT, "positions")["positions"].detach()
    new = model.capture(PROMPT, "positions", tweak="swap positions for sinusoids")["positions"].detach()
    length, width = old.shape
    for p in range(length):
        waves = [(math.sin, math.cos)[d % 2](p / 10000 ** ((d - d % 2) / width)) for d in range(width)]
        size = math.sqrt(sum(w * w for w in waves))
        assert new[p].tolist() == pytest.approx([w * float(old[p].norm()) / size for w in waves], abs=1e-5)
    part = model.capture(PROMPT, "positions", tweak="swap positions at 2 for sinusoids")["positions"].detach()
    assert torch.allclose(part[2], new[2])
    assert torch.equal(part[3], old[3])


def test_relative_noise_is_so_many_times_as_long(model: Model) -> None:
    old = model.capture(PROMPT, "positions")["positions"].detach()
    for seed in ("", " seed 4"):
        new = model.capture(PROMPT, "positions", tweak=f"add relative noise 2 to positions{seed}")["positions"].detach()
        assert torch.allclose((new - old).norm(dim=-1), 2 * old.norm(dim=-1), rtol=1e-4)
        others = (new - old) / (new - old).norm(dim=-1, keepdim=True)
        assert float((others @ others.T).fill_diagonal_(0).abs().max()) < 0.9  # other at every position


def test_trials_draw_noise_anew_with_their_dice(model: Model) -> None:
    recipe = TrialsRecipe(
        prompts=(PROMPT,),
        targets=("x",),
        tweaks=(Stack.of("add relative noise 2 to positions"), Stack.of("boost positions by 2")),
        metric="target",
        seeds=2,
        model=model.name,
    )
    noise, boost = (row[0] for row in trials.run(model.living, recipe).values)
    assert noise[0] != noise[1]
    assert boost[0] == boost[1]
    again = model.compare(PROMPT, "add relative noise 2 to positions seed 1", target="x")
    assert noise[1] == pytest.approx(again.tweaks[0].target_nats)


# ── the number and the exhibit ──


def test_an_answer_is_right_when_it_is_the_likeliest_or_ahead(model: Model) -> None:
    from invivo.metrics import metric_named

    right = metric_named("right")
    best = model.compare(PROMPT, "boost positions by 2", max_new_tokens=1)
    for row in (None, 0):
        said = (
            max(best.base.next, key=lambda c: c.base)
            if row is None
            else max(best.tweaks[0].next, key=lambda c: c.tweak)
        )
        one = model.compare(PROMPT, "boost positions by 2", target=said.text, max_new_tokens=1)
        assert right.of(one, row) == 1.0
        assert right.of(model.compare(PROMPT, "boost positions by 2", target="~", max_new_tokens=1), row) == 0.0
        worse = model.compare(PROMPT, "boost positions by 2", target="~", wrong=said.text, max_new_tokens=1)
        assert right.of(worse, row) == 0.0
        assert right.of(worse.model_copy(update={"recipe": best.recipe}), row) == 0.0
    assert right.of(best, 0) is None
    prompt = top = ""
    for letter in "abcdefghijklmnopqrstuvwxyz":  # until what comes next is a character that one can write
        prompt = f"{PROMPT} {letter}"
        top = max(model.compare(prompt, max_new_tokens=1).base.next, key=lambda c: c.base).text
        if len(top) == 1 and top.isascii() and top.isprintable():
            break
    for target, wrong, expected in ((top, None, 1.0), (top, "~", 1.0), ("~", None, 0.0), ("~", top, 0.0)):
        case = {"prompt": prompt, "target": target, "wrong": wrong}
        sweep = {"tweak": "scale head 0.* by 1", "cases": [case], "metric": "right", "model": model.name}
        assert model.sweep(Sweep.of(sweep)).base == (expected,)
    assert right.text(-0.25) == "−25.0 %"


def test_the_vectors_numbers_are_those_of_the_table(model: Model) -> None:
    shown = model.show("positions", count=16)
    table = model.hf.transformer.wpe.weight[:16].detach()
    cosine = torch.nn.functional.cosine_similarity(table[:, None], table[None], dim=-1)
    assert shown.numbers["neighbours"] == pytest.approx(float(cosine.diagonal(1).mean()), abs=1e-5)
    assert shown.numbers["far"] == pytest.approx(float(cosine.diagonal(8).mean()), abs=1e-5)
    assert shown.numbers["length_first"] == pytest.approx(float(table[0].norm()), rel=1e-5)
    assert shown.numbers["length_mean"] == pytest.approx(float(table[1:].norm(dim=-1).mean()), rel=1e-5)
    rates = [10000 ** (-2 * i / 32) for i in range(16)]
    apart = {d: sum(math.cos(d * r) for r in rates) / 16 for d in (1, 8)}
    assert shown.numbers["neighbours_sinusoidal"] == pytest.approx(apart[1], abs=1e-5)
    assert shown.numbers["far_sinusoidal"] == pytest.approx(apart[8], abs=1e-5)
    near = sum(int(row.argmax()) in (p - 1, p + 1) for p, row in enumerate(cosine.clone().fill_diagonal_(-2)))
    assert shown.numbers["nearest_is_neighbour"] == pytest.approx(near / 16)
    assert len(shown.document().figures) == 4
    assert Exhibit.from_json(shown.to_json()) == shown


def test_of_a_rotary_model_the_angles_are_shown(rotary: Model) -> None:
    shown = rotary.show("positions", count=16)
    rates = rotary.hf.model.rotary_emb.inv_freq.tolist()
    assert shown.numbers["far"] == pytest.approx(sum(math.cos(8 * r) for r in rates) / len(rates), abs=1e-5)
    assert "no position vectors" in shown.sentence
    with pytest.raises(Refused, match="neither position vectors nor angles"):
        tiny.model("bloom").show("positions")


# ── the lab ──


@pytest.mark.parametrize("family", ["llama", "gemma3", "opt", "gpt_neo"])
def test_the_lab_runs_on_other_families_or_says_why_not(family: str) -> None:
    model = tiny.model(family)
    lab = lab_named("08")
    own = Experiment.of({"prompt": "1. a\n2. b\n", "tweaks": ["boost positions by 2"], "target": "3"})
    result = model.run_lab(
        lab, own.model_copy(update={"decoding": own.decoding.model_copy(update={"max_new_tokens": 2})})
    )
    steps = {step.name: step for step in result.steps}
    assert steps["vectors"].result is not None
    assert all(step.result is not None or "\n" not in step.skipped for step in result.steps)
    assert (steps["sinusoids"].result is None) == (family in ("llama", "gemma3"))
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert "nan" not in result.takeaway
    assert LabResult.from_json(result.to_json()) == result


@pytest.fixture(scope="module")
def outcome(on_fruitfly: Callable[[Lab], LabResult]) -> LabResult:
    return on_fruitfly(lab_named("08"))


def test_every_claim_of_every_step_holds_on_fruitfly(outcome: LabResult) -> None:
    assert {v.text: v.holds for v in outcome.all_verdicts} == {v.text: True for v in outcome.all_verdicts}
    assert [step.name for step in outcome.steps] == ["vectors", "dose", "sinusoids", "unread", "real"]
    assert all(step.result is not None for step in outcome.steps)
    assert "Boosting positions by 4" in outcome.takeaway


def test_the_takeaway_follows_the_numbers(outcome: LabResult) -> None:
    c: Comparison = outcome.comparison
    rows = tuple(r.model_copy(update={"read_perplexity": c.base.read_perplexity}) for r in c.tweaks)
    same = lab_named("08").takeaway(c.model_copy(update={"tweaks": rows}))
    assert "hardly moves the perplexity" in same
    assert "raises the perplexity" in outcome.takeaway
