"""Lab 07: the running sum and the noise against captures and comparisons one by one; doses found on known curves."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest

from invivo.engine.exhibits.fragility import LEAST, MOST, RUNGS, crossing, ladder
from invivo.engine.live import Model
from invivo.errors import BadText
from invivo.experiment import Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named
from tests import tiny
from tests.test_labs import kl
from tests.test_labs import result as by_hand

PROMPTS = ["the cat sat", "seven ships had"]
FAMILIES = ["gpt2", "llama", "gemma2", "opt", "gptj"]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stream_is_the_sum_of_what_is_added(family: str) -> None:
    model = tiny.model(family)
    shown = model.show("stream", prompt="the cat")
    seen = model.capture("the cat", "L0.resid_pre", "L2.resid_pre", "L2.resid_post")
    for name, n in (("L0.resid_pre", 0), ("L2.resid_pre", 2), ("L2.resid_post", 3)):
        assert shown.numbers[f"length_{n}"] == pytest.approx(float(seen[name][-1].norm()), rel=1e-5)
    assert shown.numbers["sum_apart"] < 1e-5
    assert "Added up" in shown.sentence
    assert Exhibit.from_json(shown.to_json()) == shown


def test_noise_by_layer_is_the_comparisons_one_by_one(model: Model) -> None:
    sigmas = [0.5, 2.0]
    shown = model.show("fragility", prompts=PROMPTS, sigmas=sigmas, seeds=2)
    for layer in range(3):
        for sigma in sigmas:
            each = [
                model.compare(prompt, f"add noise {sigma:g} to L{layer}.resid_pre seed {seed}", max_new_tokens=1)
                .tweaks[0]
                .kl_nats[len(prompt) - 1]
                for prompt in PROMPTS
                for seed in (0, 1)
            ]
            assert shown.numbers[f"kl_{layer}_{sigma:g}"] == pytest.approx(fmean(each), rel=1e-3, abs=1e-6)
    assert Exhibit.from_json(shown.to_json()) == shown
    (picture,) = (f.picture for f in shown.document().figures)
    assert [s.name for s in picture.series] == ["layer 0", "layer 1", "layer 2"]  # type: ignore[union-attr]
    assert all(s.low[i] <= s.values[i] <= s.high[i] for s in picture.series for i in range(3))  # type: ignore[union-attr, index, operator]


def test_a_share_of_the_stream_is_that_share_of_its_size(model: Model) -> None:
    shown = model.show("fragility", prompts=PROMPTS, sigmas=[0.5], relative=True, seeds=1)
    for layer in range(3):
        squares = [
            float(model.capture(p, f"L{layer}.resid_pre")[f"L{layer}.resid_pre"][1:].pow(2).mean()) for p in PROMPTS
        ]
        size = math.sqrt(fmean(squares))
        assert shown.numbers[f"size_{layer}"] == pytest.approx(size, rel=1e-5)
        line = f"add noise {0.5 * size!r} to L{layer}.resid_pre"
        each = [model.compare(p, line, max_new_tokens=1).tweaks[0].kl_nats[len(p) - 1] for p in PROMPTS]
        assert shown.numbers[f"kl_{layer}_0.5"] == pytest.approx(fmean(each), rel=1e-3)


def test_other_openings_come_with_other_noise(model: Model) -> None:
    usual, others = (model.show("fragility", sigmas=[1.0], seeds=1, others=flag).numbers for flag in (False, True))
    assert usual["prompts"] == others["prompts"] == 12
    assert usual["kl_0_1"] != others["kl_0_1"]


def test_the_dose_of_an_effect_is_read_off_the_curve() -> None:
    doses = (0.1, 0.3, 1.0, 3.0)
    square = [2 * dose**2 for dose in doses]  # KL of small noise grows with its square
    assert crossing(doses, square) == pytest.approx(0.5)
    assert crossing(doses, [0.6, 0.7, 0.8, 0.9]) == 0.1
    assert crossing(doses, [0.1, 0.2, 0.3, 0.4]) is None
    assert crossing(doses, [0.0, 0.0, 1.0, 0.2]) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(("smallest", "largest"), [(0.17, 23.0), (2.0, 2.0), (1e-3, 9e4), (0.03, 0.2)])
def test_a_ladder_of_sigmas_fits_the_stream(smallest: float, largest: float) -> None:
    rungs = ladder(smallest, largest)
    assert 3 <= len(rungs) <= RUNGS
    assert all(a < b for a, b in pairwise(rungs))
    assert LEAST * smallest <= rungs[0] <= 10 * LEAST * smallest
    assert rungs[-1] <= MOST * largest


def test_mistakes_are_told(model: Model) -> None:
    with pytest.raises(BadText, match="no interval"):
        model.show("fragility", prompts=["one"])
    with pytest.raises(BadText, match="rise"):
        model.show("fragility", prompts=PROMPTS, sigmas=[1.0, 0.5])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lab_runs_on_every_family(family: str) -> None:
    lab = lab_named("07")
    own = lab.experiment.model_copy(update={"prompt": "the cat sat"})
    own = own.model_copy(update={"decoding": own.decoding.model_copy(update={"max_new_tokens": 2})})
    result = tiny.model(family).run_lab(lab, own)
    assert [step.skipped for step in result.steps] == [""] * 4
    assert result.steps[-1].name == "real"
    assert result.verdicts[0].holds  # sigma 0 is BASE
    assert LabResult.from_json(result.to_json()) == result
    assert "nan" not in result.to_markdown()


def test_claims_of_the_steps_can_fail(model: Model) -> None:
    shown = model.show("embedding", prompt="a")
    steps = {step.name: step for step in lab_named("07").steps}
    rising = {"rising_0": 1.0, "rising_1": 1.0}
    sure = rising | {"most_fragile": 0, "lead_low": 1.2, "wins": 9, "prompts": 12}
    told: dict[str, list[tuple[dict[str, Any], list[bool]]]] = {
        "stream": [
            ({"sum_apart": 0.0, "length_0": 1.0, "length_1": 2.0}, [True, True]),
            ({"sum_apart": 0.1, "length_0": 1.0, "length_1": 1.9}, [False, False]),
        ],
        "layers": [
            (sure, [True, True]),
            (sure | {"rising_1": 0.0, "most_fragile": 1}, [False, False]),
            (sure | {"lead_low": 0.9}, [True, False]),
        ],
        "share": [
            (sure | {"most_fragile": 1}, [True, True]),
            (sure | {"rising_0": 0.0}, [False, False]),
        ],
        "real": [
            (sure, [True, True]),
            (sure | {"wins": 8}, [True, False]),
            (sure | {"most_fragile": 1, "lead_low": 2.0}, [False, False]),
        ],
    }
    assert told.keys() == steps.keys()
    for name, cases in told.items():
        for numbers, holds in cases:
            result = shown.model_copy(update={"numbers": numbers})
            assert [claim.holds(result) for claim in steps[name].claims] == holds, (name, numbers)


def test_claims_about_the_rows_can_fail() -> None:
    lab = lab_named("07")
    late, loud, early = (str(stack) for stack in lab.experiment.tweaks[1:])
    good = {late: {"kl_nats": kl(0.01)}, loud: {"kl_nats": kl(2.0)}, early: {"kl_nats": kl(3.0)}}
    bad: list[tuple[int, dict[str, Any]]] = [
        (0, {str(lab.experiment.tweaks[0]): {"kl_nats": kl(1e-3)}}),
        (1, {early: {"kl_nats": kl(0.3)}}),
        (2, {late: {"kl_nats": kl(2.0)}}),
        (3, {loud: {"kl_nats": kl(0.3)}}),
    ]
    assert [claim.holds(by_hand(lab.experiment, {}, good)) for claim in lab.claims] == [True] * 4
    for index, change in bad:
        held = [claim.holds(by_hand(lab.experiment, {}, good | change)) for claim in lab.claims]
        assert held == [i != index for i in range(4)], lab.claims[index].text


def test_the_takeaway_follows_the_numbers(model: Model) -> None:
    lab = lab_named("07")
    early = model.compare("the cat", "add noise 3 to L1.resid_pre", max_new_tokens=2)
    assert " moves predictions by " in lab.takeaway(early)
    own = Experiment.of(lab.experiment.plain() | {"prompt": "the cat", "decoding": {"max_new_tokens": 2}})
    drafted = lab.takeaway(model.run(own))
    assert "in front of the last by" in drafted
    assert drafted.endswith(".")
