"""Tweaks of the model: rows on a second model beside BASE."""

from __future__ import annotations

import copy

import pytest
import torch

from invivo.engine.makers import KEPT, all_makers, block_matrices, second
from invivo.errors import InvivoError, OutOfRange, Refused
from invivo.tweaks import ModelTweak, Tweak, read_tweak
from tests import tiny

PROMPT = "the cat sat on the mat"


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request):
    return tiny.model(request.param)


def pruned(model, share):
    """The same weights pruned by hand."""
    hf = copy.deepcopy(model.hf)
    for _, module in block_matrices(model.living, hf):
        cut = module.weight.abs().flatten().sort().values[round(share * module.weight.numel()) - 1]
        with torch.no_grad():
            module.weight[module.weight.abs() <= cut] = 0
    return hf


def test_every_tweak_of_the_model_has_a_maker():
    kinds = {kind for kind in Tweak.kinds.values() if issubclass(kind, ModelTweak)}
    assert set(all_makers()) == kinds


def test_a_row_runs_on_the_second_model_and_base_on_the_first(model):
    before = {name: p.clone() for name, p in model.hf.named_parameters()}
    done = model.compare(PROMPT, "prune 0.5 of weights", "zero head 1.1", max_new_tokens=6)
    plain = model.compare(PROMPT, "zero head 1.1", max_new_tokens=6)
    ids = torch.tensor([[*done.prompt_ids, *done.base.ids]])
    with torch.no_grad():
        base, other = (hf(input_ids=ids).logits[0].double().log_softmax(-1) for hf in (model.hf, pruned(model, 0.5)))
    expected = (base.exp() * (base - other)).sum(-1)
    assert done.tweaks[0].kl_nats == pytest.approx(expected.tolist(), abs=1e-5)
    assert max(expected) > 1e-3
    assert done.base.ids == plain.base.ids
    assert done.tweaks[1].ids == plain.tweaks[0].ids
    assert done.tweaks[1].kl_nats == pytest.approx(plain.tweaks[0].kl_nats, abs=1e-5)
    for name, p in model.hf.named_parameters():
        assert torch.equal(p, before[name])


def test_what_it_says_is_what_that_model_says(model):
    row = model.compare(PROMPT, "prune 0.5 of weights", max_new_tokens=8).tweaks[0]
    hf, ids = pruned(model, 0.5), model.tokenizer(PROMPT, return_tensors="pt").input_ids
    said = hf.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert list(row.ids) == said.tolist()[: len(row.ids)]


def test_families_stack(model):
    line = 'prune 0.5 of weights + prepend "a dog. " + zero head 1.1 + set seed 3'
    row = model.compare(PROMPT, line, max_new_tokens=4).tweaks[0]
    again = model.compare("a dog. " + PROMPT, "prune 0.5 of weights + zero head 1.1", max_new_tokens=4).tweaks[0]
    assert row.ids == again.ids
    assert row.said_nats == pytest.approx(again.said_nats, abs=1e-5)


def test_nothing_pruned_is_base_and_all_pruned_says_so(model):
    nothing, all_of_it = model.compare(PROMPT, "prune 0 of weights", "prune 1 of weights", max_new_tokens=4).tweaks
    assert max(nothing.kl_nats) < 1e-6
    assert any("changed nothing" in note for note in nothing.notes)
    assert max(all_of_it.kl_nats) > 1e-3
    with pytest.raises(OutOfRange, match="not between 0 and 1"):
        read_tweak("prune 2 of weights")


def test_a_second_model_is_made_once_and_few_are_kept(model):
    tweak = read_tweak("prune 0.25 of weights")
    assert isinstance(tweak, ModelTweak)
    made = second(model.living, [tweak])
    assert second(model.living, [tweak]) is made
    for share in range(KEPT):
        model.compare(PROMPT, f"prune 0.{share + 3} of weights", max_new_tokens=1)
    assert len(model.living.seconds) == KEPT
    assert second(model.living, [tweak]) is not made


def test_more_rows_than_are_kept_are_each_their_own():
    wide = tiny.roomy("gpt2")  # whose layers are large enough to be packed
    lines = [f"prune 0.{share} of weights" for share in range(1, KEPT + 4)]
    together = wide.compare("a cat", *lines, max_new_tokens=2).tweaks
    for line, row in zip(lines, together, strict=True):
        alone = wide.compare("a cat", line, max_new_tokens=2).tweaks[0]
        assert row.kl_nats == pytest.approx(alone.kl_nats, rel=1e-3, abs=1e-5)
    assert len({row.kl_nats for row in together}) == len(lines)


def test_what_looks_at_one_model_says_so(model):
    with pytest.raises(Refused, match="changes the model"):
        model.lens(PROMPT, "prune 0.5 of weights")
    with pytest.raises(Refused, match="no change of activations"), model.tweaked("prune 0.5 of weights"):
        pass


def test_a_row_that_breaks_leaves_nothing_behind_on_base(model):
    before = model.compare(PROMPT, "scale L0.mlp_out by 1", max_new_tokens=3).tweaks[0]
    with pytest.raises(InvivoError, match="NaN") as held:  # held, as a notebook holds its last exception
        model.compare(
            PROMPT, "prune 0.1 of weights + scale L0.mlp_out by 1e38 + scale L1.mlp_out by 1e38", "zero head 0.1"
        )
    after = model.compare(PROMPT, "scale L0.mlp_out by 1", max_new_tokens=3).tweaks[0]
    assert after.kl_nats == pytest.approx(before.kl_nats, abs=1e-7)
    assert max(after.kl_nats) < 1e-6
    del held
