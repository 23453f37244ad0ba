"""Lab 13: a language of known entropy, backpropagation checked, what a text costs, and behind which words."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from invivo.engine import little, toys
from invivo.engine.exhibits import gradients, learning, prefixes
from invivo.engine.live import Model
from invivo.errors import BadText
from invivo.experiment import Comparison
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named

from . import tiny

TEXTS = ("the cat sat on the mat and it was red", "a dog ran to the door of the house on the hill")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── the language ──


def test_the_language_is_as_open_as_its_stories_are_many() -> None:
    told = [little.text(row.tolist()[1:]).split() for row in little.stories(3000, seed=1)]
    free = [n for n, kind in enumerate(little.kinds()) if kind == "free choice"]
    many = math.prod(len({words[n] for words in told}) for n in free)  # all options turn up in so many
    assert little.floor() == pytest.approx(math.log(many) / 24)
    assert len({tuple(words[n] for n in free) for words in told}) > 2900  # and they are drawn apart
    for words in told:
        name, thing, animal = words[2], words[6], words[17]
        assert (words[11], words[14], words[20], words[22]) == (name, thing, animal, name)
        assert words[21] == little.VERB_OF[animal]
    assert Counter(little.kinds()) == {"by rule": 14, "free choice": 5, "fact": 1, "copy": 4}
    assert len(little.words()) == len(set(little.words()))


def test_shuffled_stories_have_the_same_words() -> None:
    for row in little.stories(20, seed=3, shuffled=True)[:, 1:].tolist():
        counts = Counter(little.text(row).split())
        assert counts["."] == 3
        assert sum(counts[name] for name in little.NAMES) == 3
    one = Counter(little.text(little.stories(1, seed=5)[0, 1:].tolist()).split())
    orders = math.lgamma(25) - sum(math.lgamma(n + 1) for n in one.values())
    assert little.unordered() == pytest.approx(little.floor() + orders / 24)
    assert not torch.equal(little.stories(4, seed=3), little.stories(4, seed=3, shuffled=True))


# ── exhibits ──


def test_what_a_small_model_learns(model: Model) -> None:
    shown = model.show("learning", steps=12)
    fresh = toys.gpt2(layers=2, width=48, vocabulary=len(little.words()), context=25)
    aside = little.stories(128, seed=-1)
    assert shown.numbers["first"] == pytest.approx(toys.measured(fresh, aside), rel=1e-5)
    assert shown.numbers["first_batch"] == pytest.approx(toys.measured(fresh, little.stories(32, seed=0)), rel=1e-5)
    assert shown.numbers["ln_v"] == pytest.approx(math.log(len(little.words())))
    toys.fit(fresh, (little.stories(32, seed=n) for n in range(12)), steps=12, rate=1e-2)
    assert shown.numbers["last"] == pytest.approx(toys.measured(fresh, aside), rel=1e-4)
    assert shown.numbers["last"] < shown.numbers["first"] - 0.5
    per_kind = learning.by_kind(learning.judge(fresh, aside))
    assert shown.numbers["copy_end"] == pytest.approx(per_kind["copy"], rel=1e-4)
    count = Counter(little.kinds())
    assert sum(per_kind[k] * n for k, n in count.items()) / 24 == pytest.approx(shown.numbers["last"], rel=1e-4)
    assert len(shown.document().figures) == 2
    assert Exhibit.from_json(shown.to_json()) == shown


def test_words_are_judged_by_their_own_kind() -> None:
    for kind in little.KINDS:
        found = learning.by_kind([float(one == kind) for one in little.kinds()])
        assert found == {one: float(one == kind) for one in little.KINDS}


def test_the_placebo_has_the_same_length_and_other_stories(model: Model) -> None:
    shown = model.show("learning", steps=12, placebo=True)
    fresh = toys.gpt2(layers=2, width=48, vocabulary=len(little.words()), context=25)
    toys.fit(fresh, (little.stories(32, seed=n, shuffled=True) for n in range(12)), steps=12, rate=1e-2)
    assert shown.numbers["shuffled"] == pytest.approx(toys.measured(fresh, little.stories(128, seed=-1)), rel=1e-4)
    other = toys.gpt2(layers=2, width=48, vocabulary=len(little.words()), context=25, seed=1)
    toys.fit(other, (little.stories(32, seed=10_000 + n) for n in range(12)), steps=12, rate=1e-2)
    assert shown.numbers["other_dice"] == pytest.approx(toys.measured(other, little.stories(128, seed=-1)), rel=1e-4)


def test_differences_agree_in_float64_and_not_through_float32(model: Model) -> None:
    shown = model.show("gradients", loss="both", exponents=[-2, -3], stories=2)
    assert shown.numbers["float64_checked"] < 1e-8
    assert 60 < shown.numbers["float64_-2"] / shown.numbers["float64_-3"] < 160
    assert shown.numbers["float32_checked"] > 0.1
    assert Exhibit.from_json(shown.to_json()) == shown


def test_a_wrong_gradient_is_found(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(toy: Any, ids: torch.Tensor) -> torch.Tensor:
        value = gradients.loss64(toy, ids)
        return value.detach() + 1.01 * (value - value.detach())  # the same loss, a gradient that is off by a hundredth

    monkeypatch.setitem(gradients.LOSSES, "float64", wrong)
    shown = model.show("gradients", exponents=[-3], stories=2)
    assert shown.numbers["float64_checked"] == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_a_weight_is_put_back_exactly() -> None:
    toy = toys.gpt2(layers=1, width=16, vocabulary=len(little.words()), context=25).double()
    p, before = toy.transformer.h[0].mlp.c_fc.weight.data, toy.transformer.h[0].mlp.c_fc.weight.data.clone()
    found = gradients.difference(toy, gradients.loss64, little.stories(2, 0), p, 5, 1e-3)
    assert torch.equal(p, before)
    assert found != 0


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_of_a_text_and_its_gradient(family: str) -> None:
    one = tiny.model(family)
    shown = one.show("cross_entropy", text=TEXTS[0], tokens=9)
    ids = torch.tensor([one.living.encode(TEXTS[0])[:9]])
    with torch.no_grad():
        theirs = float(one.hf(input_ids=ids, labels=ids).loss)
    assert shown.numbers["loss"] == pytest.approx(theirs, abs=1e-5)
    assert shown.numbers["theirs_apart"] < 1e-5
    assert shown.numbers["gradient_apart"] < 1e-15
    assert shown.numbers["one_by_one_apart"] < 1e-4
    assert shown.numbers["tokens"] == 8
    assert Exhibit.from_json(shown.to_json()) == shown
    with pytest.raises(BadText, match="single token"):
        one.show("cross_entropy", text="a")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_true_words_behind_each_prefix(family: str) -> None:
    one = tiny.model(family)
    shown = one.show("prefixes", texts=list(TEXTS), given=3, draws=2)
    length = int(shown.numbers["length"])
    rows = [one.living.encode(text)[: 3 + length] for text in TEXTS]

    def cost(read: list[int], true: list[int]) -> list[float]:
        found = []
        for n in range(3, len(true)):
            with torch.no_grad():
                logs = one.hf(input_ids=torch.tensor([read[:n]])).logits[0, -1].log_softmax(-1)
            found.append(-float(logs[true[n]]))
        return found

    half = length // 2
    gold = [v for row in rows for v in cost(row, row)[half:]]
    other = [v for a, b in (rows, rows[::-1]) for v in cost(a[:3] + b[3:], a)[half:]]
    assert shown.numbers["gold_late"] == pytest.approx(sum(gold) / len(gold), abs=1e-4)
    assert shown.numbers["other_late"] == pytest.approx(sum(other) / len(other), abs=1e-4)
    assert abs(sum(gold) / len(gold) - sum(other) / len(other)) > 1e-4
    assert shown.numbers["first_apart"] < 1e-5
    assert one.show("prefixes", texts=list(TEXTS), given=3, draws=2).numbers == shown.numbers
    assert Exhibit.from_json(shown.to_json()) == shown
    with pytest.raises(BadText, match="has fewer than"):
        one.show("prefixes", texts=["a", "b"])


def test_the_gap_is_what_ones_own_words_cost(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told what the model says, the gap is that row's surprise minus the true one's, token by token."""
    texts = ("the cat sat on the mat and it was red", "a dog ran to the door of the house on")
    length = min(len(model.living.encode(text)) for text in texts) - 3
    rows = torch.tensor([model.living.encode(text)[: 3 + length] for text in texts])
    said = torch.cat([rows[:, :3], rows.flip(1)[:, :length]], dim=1)
    monkeypatch.setattr(prefixes, "_goes_on", lambda living, start, count: torch.cat([start, said[:, 3:]], dim=1))
    shown = model.show("prefixes", texts=list(texts), given=3, draws=2).numbers
    assert shown["length"] == length

    def cost(read: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logs = model.hf(input_ids=read).logits.double().log_softmax(-1)
        return torch.stack([-logs[:, n - 1].gather(1, rows[:, n, None])[:, 0] for n in range(3, 3 + length)], dim=1)

    gold, own, half = cost(rows), cost(said), length // 2
    assert shown["early_gap"] == pytest.approx(float((own - gold)[:, 1:5].mean()), abs=1e-4)
    assert shown["late_gap"] == pytest.approx(float((own - gold)[:, half:].mean()), abs=1e-4)
    assert shown["own_late"] == pytest.approx(float(own[:, half:].mean()), abs=1e-4)
    assert shown["true_itself"] == pytest.approx(float(gold.mean()), abs=1e-4)
    assert shown["first_apart"] < 1e-5


# ── the lab ──


@pytest.fixture(scope="module")
def outcome(fruitfly: Model) -> Comparison:
    return fruitfly.run(lab_named("13").experiment)


def test_the_claims_of_the_comparison_hold_on_fruitfly(outcome: Comparison) -> None:
    assert [claim.text for claim in lab_named("13").claims if not claim.holds(outcome)] == []


def test_the_takeaway_follows_the_numbers(outcome: Comparison) -> None:
    lab = lab_named("13")
    assert "takes ' Otto' from" in lab.takeaway(outcome)
    still = tuple(r.model_copy(update={"target_nats": outcome.base.target_nats}) for r in outcome.tweaks)
    assert "leaves ' Otto' at" in lab.takeaway(outcome.model_copy(update={"tweaks": still}))
