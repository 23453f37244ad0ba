"""Lab 16: rounded weights against an independent measure, students and teachers, and a quantizer gone wrong."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from invivo.engine import toys
from invivo.engine.exhibits import students
from invivo.engine.live import Model
from invivo.engine.makers import block_matrices
from invivo.errors import BadText
from invivo.experiment.exhibit import Exhibit
from invivo.tweaks import Quantize
from tests import tiny

TEXTS = ("the cat sat on the mat", "a dog ran over the hill")


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request) -> Model:
    return tiny.model(request.param)


def read(hf, model: Model) -> float:
    """Perplexity over the texts, each counting alike."""
    nats = []
    for text in TEXTS:
        ids = torch.tensor([model.living.encode(text)])
        with torch.no_grad():
            nats.append(float(hf(input_ids=ids, labels=ids).loss))
    return math.exp(sum(nats) / len(nats))


def test_bits_are_what_the_second_models_say(model: Model) -> None:
    shown = model.show("bits", formats=("int8", "int3"), group=16, texts=TEXTS)
    assert shown.numbers["base"] == pytest.approx(read(model.hf, model), rel=1e-4)
    from invivo.engine.makers import second

    for name, tweak in (("row_int3", {"to": "int3"}), ("group_int3", {"to": "int3", "group": 16})):
        other = second(model.living, [Quantize.of(tweak)]).living.hf
        assert shown.numbers[name] == pytest.approx(read(other, model), rel=1e-4)
        off = sum(
            float((a.weight - b.weight).pow(2).sum())
            for (_, a), (_, b) in zip(
                block_matrices(model.living, model.hf), block_matrices(model.living, other), strict=True
            )
        )
        whole = sum(float(a.weight.pow(2).sum()) for _, a in block_matrices(model.living, model.hf))
        assert shown.numbers[name.replace("_", "_off_")] == pytest.approx(math.sqrt(off / whole), abs=2e-4)
    assert shown.numbers["row_off_int8"] < 0.1 * shown.numbers["row_off_int3"]
    assert shown.numbers["group_mib_int3"] > shown.numbers["row_mib_int3"]
    assert Exhibit.from_json(shown.to_json()).to_json() == shown.to_json()
    with pytest.raises(BadText, match="nothing to read"):
        model.show("bits", texts=())


def test_random_changes_are_as_large_as_the_rounding(model: Model) -> None:
    from invivo.engine.exhibits.bits import _shaken
    from invivo.engine.makers.quantize import rounded

    tweak = Quantize.of({"to": "int3"})
    one, two = (_shaken(model.living, tweak, seed).hf for seed in (0, 1))
    for (_, old), (_, new), (_, other) in zip(
        *(block_matrices(model.living, hf) for hf in (model.hf, one, two)), strict=True
    ):
        rows = old.weight if isinstance(old, torch.nn.Linear) else old.weight.t()
        size = float((rounded(rows, tweak).values - rows).pow(2).mean().sqrt())
        assert float((new.weight - old.weight).pow(2).mean().sqrt()) == pytest.approx(size, rel=0.1)
        assert not torch.equal(new.weight, other.weight)
    shown = model.show("bits", formats=("int3",), group=0, draws=2, texts=TEXTS)
    assert shown.numbers["random_low"] <= shown.numbers["random"] <= shown.numbers["random_high"]
    assert [figure.name for figure in shown.document().figures] == ["beside"]


def test_a_quantizer_that_is_handed_a_gpt2_rounds_its_head_alone() -> None:
    shown = tiny.model("gpt2").show("untied", texts=TEXTS, bits=8)
    assert shown.numbers["blocks_changed"] == 0
    assert (shown.numbers["head_changed"], shown.numbers["tied_before"], shown.numbers["tied_after"]) == (1, 1, 0)
    assert shown.numbers["bytes_before"] == sum(4 * p.numel() for p in tiny.model("gpt2").hf.parameters())
    assert shown.numbers["bytes_after"] > shown.numbers["bytes_before"]
    other = tiny.model("llama").show("untied", texts=TEXTS, bits=8)
    assert other.numbers["blocks_changed"] == other.numbers["blocks"] > 0
    assert other.numbers["bytes_after"] < other.numbers["bytes_before"]


def test_the_languages_own_entropy_is_a_floor_and_odds_teach() -> None:
    odds = students.chain(0)
    assert torch.allclose(odds.sum(-1), torch.ones(students.TOKENS))
    ids = students.text(odds, 400, 3)
    told = [float(-odds[a, b].log()) for row in ids.tolist() for a, b in pairwise(row)]
    assert students._floor(odds, ids) == pytest.approx(sum(told) / len(told), rel=1e-5)
    one = toys.gpt2(layers=1, width=16, vocabulary=students.TOKENS, context=students.LENGTH)
    assert students.apart(one, one, ids[:4]) == pytest.approx(0, abs=1e-6)
    soft, hard = students.soft(one)(one, ids[:4]).item(), toys.loss(one, ids[:4]).item()
    with torch.no_grad():
        said = one(input_ids=ids[:4]).logits[:, :-1].log_softmax(-1)
    assert soft == pytest.approx(float(-(said.exp() * said).sum(-1).mean()), rel=1e-5)
    assert abs(soft - hard) > 1e-4
    shown = tiny.model().show("students", rows=16, steps=60, width=16)
    assert shown.numbers["odds_kl"] < 0.7 * shown.numbers["text_kl"]
    assert shown.numbers["teacher_loss"] > shown.numbers["floor"]
