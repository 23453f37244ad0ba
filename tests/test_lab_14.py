"""Lab 14: a language whose entropy is known, the law through points, models judged by the language, and the lab."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from invivo.engine import toys
from invivo.engine.exhibits import _sizes, all_exhibits, isoflop, scaling
from invivo.engine.live import Model
from invivo.engine.power_law import law, straight
from invivo.engine.source import Source, invented
from invivo.errors import BadText, OutOfRange, Refused
from invivo.experiment import Comparison, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named

from . import tiny

FEW = {"widths": [4, 8, 16], "steps": 10, "rates": [0.1]}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── the language ──


def test_the_entropy_of_a_language_is_that_of_a_long_text() -> None:
    made = invented(12, 2.0, 3)
    assert made.table.sum(1) == pytest.approx(np.ones(12))
    assert made.often @ made.table == pytest.approx(made.often, abs=1e-12)  # it has always been running
    rows = made.rows(4000, 20, 1)
    surprise = -np.log(made.table[rows[:, :-1], rows[:, 1:]])
    assert made.entropy == pytest.approx(surprise.mean(), abs=0.01)
    counts = torch.bincount(rows.flatten(), minlength=12) / rows.numel()
    assert counts.numpy() == pytest.approx(made.often, abs=0.005)
    assert made.unordered == pytest.approx(-(made.often * np.log(made.often)).sum())
    assert made.entropy < made.unordered - 0.2


def test_a_small_language_can_be_reckoned_by_hand() -> None:
    table = np.array([[0.5, 0.5], [1.0, 0.0]])  # 0 after 1, always; either after 0
    made = Source(table, np.array([2 / 3, 1 / 3]))
    assert made.entropy == pytest.approx(2 / 3 * math.log(2))
    assert made.unordered == pytest.approx(math.log(3) - 2 / 3 * math.log(2))
    rows = made.rows(200, 10, 0)
    assert not ((rows[:, :-1] == 1) & (rows[:, 1:] == 1)).any()
    assert 0.4 < float(rows[:, 1:][rows[:, :-1] == 0].float().mean()) < 0.6


def test_shuffling_leaves_the_words_and_takes_their_order() -> None:
    made = invented(12, 2.0, 3)
    mixed = made.shuffled()
    assert mixed.entropy == pytest.approx(made.unordered)
    assert mixed.unordered == pytest.approx(made.unordered)
    assert (mixed.table == made.often).all()


def test_a_seed_is_a_language_and_a_text_only_goes_on() -> None:
    assert not np.allclose(invented(12, 2.0, 3).table, invented(12, 2.0, 4).table)
    flat = invented(12, 0.0, 3)  # without contrast every word has the same followers, Zipf's
    assert flat.entropy == pytest.approx(flat.unordered)
    assert flat.often[0] / flat.often[3] == pytest.approx(4)
    more, less = (_sizes.text(rows, ordered=True, seed=0) for rows in (700, 520))
    assert torch.equal(more[:520], less)
    assert more.shape == (700, _sizes.LENGTH)
    assert not torch.equal(more[:512], more[188:])
    with pytest.raises(OutOfRange, match="1 words"):
        invented(1, 1.0, 0)


# ── the law ──


@pytest.mark.parametrize(("floor", "exponent"), [(2.0, 0.5), (0.0, 0.25), (1.0, 1.1)])
def test_the_law_finds_what_points_were_made_of(floor: float, exponent: float) -> None:
    sizes = [1000.0 * 2**n for n in range(8)]
    losses = [floor + 50 * n**-exponent for n in sizes]
    found = law(sizes, losses)
    assert found.exponent == pytest.approx(exponent, abs=0.006)
    assert found.floor == pytest.approx(floor, abs=0.03)
    assert found.at(sizes) == pytest.approx(losses, rel=2e-3)
    assert found.exponents[0] - 0.011 <= exponent <= found.exponents[1] + 0.011


def test_its_band_is_wider_the_more_the_points_scatter() -> None:
    sizes = [1000.0 * 2**n for n in range(8)]
    dice = np.random.default_rng(0)
    bands = []
    for noise in (0.002, 0.02):
        losses = [2 + 50 * n**-0.5 + noise * dice.standard_normal() for n in sizes]
        low, high = law(sizes, losses).exponents
        bands.append(high - low)
        assert low <= 0.5 <= high
    assert bands[1] > 2 * bands[0] > 0
    with pytest.raises(Refused, match="5 sizes"):
        law(sizes[:4], [4.0, 3.0, 2.5, 2.2])


def test_a_line_is_straight_and_a_bent_one_is_not() -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert straight(x, [1.0, 3.0, 5.0, 7.0]) == pytest.approx((2.0, 1.0, 1.0))
    y = [1.0, 3.0, 2.0, 5.0]
    assert straight(x, y)[2] == pytest.approx(float(np.corrcoef(x, y)[0, 1]) ** 2)
    assert straight(x, [2.0] * 4)[2] == 0.0


# ── the models ──


def test_a_models_loss_is_the_entropy_and_what_it_is_away() -> None:
    source = _sizes.language(ordered=True, seed=0)
    ids = source.rows(24, _sizes.LENGTH, 5)
    toy = _sizes.model_of(8)
    loss, entropy = _sizes.judged(toy, source, ids)
    with torch.no_grad():
        said = toy(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    true = torch.from_numpy(source.table)[ids[0, :-1]].float()
    away = torch.nn.functional.kl_div(said, true, reduction="batchmean")
    assert _sizes.judged(toy, source, ids[:1])[0] == pytest.approx(source.entropy + float(away), abs=1e-4)
    assert loss == pytest.approx(toys.measured(toy, ids), abs=0.2)  # what was drawn, with its luck
    assert entropy == pytest.approx(math.log(_sizes.VOCABULARY), abs=0.05)  # it has learned nothing yet
    assert loss > source.entropy + 1


def test_weights_are_counted_without_positions() -> None:
    for width in (4, 10):
        parts = {n: p.numel() for n, p in _sizes.model_of(width).named_parameters() if "wpe" not in n}
        assert _sizes.weights(width) == sum(parts.values())


def test_the_best_rate_counts() -> None:
    runs = [
        _sizes.Trained(width=w, weights=w, rate=r, steps=1, loss=x, entropy=0.0)
        for w, r, x in ((8, 0.1, 3.0), (4, 0.1, 4.0), (4, 0.3, 3.5), (8, 0.3, 3.2))
    ]
    assert [(run.width, run.rate) for run in _sizes.best(runs)] == [(4, 0.3), (8, 0.1)]


def test_the_lowest_point_of_a_valley() -> None:
    def run(n: int, loss: float) -> _sizes.Trained:
        return _sizes.Trained(width=4, weights=n, rate=0.1, steps=1, loss=loss, entropy=0.0)

    sizes = [1000, 2000, 3500, 8000, 16000]
    bowl = [run(n, 3 + 0.2 * (math.log(n) - math.log(4200)) ** 2) for n in sizes]
    assert isoflop.valley(bowl) == pytest.approx(4200, rel=1e-6)
    assert isoflop.valley([run(n, n) for n in sizes]) == 1000
    assert isoflop.valley([run(n, -n) for n in sizes]) == 16000


# ── the exhibits ──


def test_what_is_trained_on_the_spot_is_shown_and_survives_json(model: Model) -> None:
    shown = model.show("scaling", **FEW)
    top = [_sizes.train(width, 0.1, 10, scaling.ROWS) for width in FEW["widths"]]  # type: ignore[attr-defined]
    assert [shown.numbers[f"loss_{i}"] for i in range(3)] == pytest.approx([run.loss for run in top], abs=1e-6)
    logs = np.log([run.weights for run in top])
    line = np.polyfit(logs, np.log([run.loss for run in top]), 1)
    assert shown.numbers["slope"] == pytest.approx(line[0], abs=1e-9)
    assert "floor" not in shown.numbers  # three points are no law of three numbers
    assert Exhibit.from_json(shown.to_json()) == shown
    sharp = model.show("scaling", **FEW, about="entropy")
    assert sharp.numbers["slope"] == pytest.approx(np.polyfit(logs, [run.entropy for run in top], 1)[0], abs=1e-9)
    assert "on the spot" in shown.to_markdown()


def test_what_is_stored_is_what_the_code_makes(model: Model) -> None:
    kept = scaling.FIGURES.read()
    runs = _sizes.known(kept)
    shown = model.show("scaling")
    wanted = set(scaling.RATES) | {scaling.TOO_HIGH}
    widths = (*scaling.WIDTHS, scaling.STARVED)
    assert {(run.width, run.rate) for run in runs} == {(w, r) for w in widths for r in wanted}
    assert {run.steps for run in runs} == {kept.settings["steps"]}
    assert "Computed beforehand" in shown.to_markdown()
    first = min(runs, key=lambda run: (run.width, run.rate))
    made = _sizes.train(first.width, first.rate, first.steps, scaling.ROWS)
    assert made.loss == pytest.approx(first.loss, abs=0.05)
    assert made.weights == first.weights
    assert {run.steps for run in _sizes.known(isoflop.FIGURES.read())} >= {
        isoflop._steps(4, b) for b in isoflop.BUDGETS
    }


@pytest.mark.parametrize("exhibit", [scaling, isoflop], ids=["scaling", "isoflop"])
def test_what_is_stored_is_what_would_be_stored_now(exhibit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def untrained(width: int, rate: float, steps: int, rows: int, **_: Any) -> _sizes.Trained:
        return _sizes.Trained(
            width=width, weights=_sizes.weights(width), rate=rate, steps=steps, loss=0.0, entropy=float(rows)
        )

    monkeypatch.setattr(exhibit, "train", untrained)
    old, new = exhibit.FIGURES.read(), exhibit.FIGURES.made()
    assert old.settings == new.settings
    assert old.command == new.command
    assert old.versions.keys() == new.versions.keys()
    asked = [[(run.width, run.weights, run.rate, run.steps) for run in _sizes.known(one)] for one in (old, new)]
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("name", "settings", "error", "said"),
    [
        ("scaling", {"widths": [4, 8]}, OutOfRange, "widths 4, 8 will not do"),
        ("scaling", {"widths": [4, 8, 7]}, OutOfRange, "will not do"),
        ("scaling", {"widths": [4, 7, 8]}, OutOfRange, "7 is not divisible by 2 heads"),
        ("scaling", {"rates": [0.1, 0]}, OutOfRange, "above 0"),
        ("scaling", {"steps": 1}, BadText, "steps"),
        ("scaling", {"text": "mixed"}, BadText, "text"),
        ("isoflop", {"budgets": [9e9, 3e9]}, OutOfRange, "rising"),
        ("isoflop", {"budgets": [1e3, 1e4]}, OutOfRange, "budgets go from"),
        ("isoflop", {"widths": [4, 6, 8]}, OutOfRange, "will not do"),
    ],
)
def test_mistakes_are_told(
    model: Model, name: str, settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        model.show(name, **settings)
    assert name in all_exhibits()


# ── the lab ──


@pytest.fixture(scope="module")
def outcome(on_fruitfly: Any) -> LabResult:
    return on_fruitfly(lab_named("14"))


def test_every_claim_of_every_step_holds_on_fruitfly(outcome: LabResult) -> None:
    assert {v.text: v.holds for v in outcome.all_verdicts} == {v.text: True for v in outcome.all_verdicts}
    assert [step.name for step in outcome.steps] == ["law", "sharper", "live", "budget", "fails", "real"]
    assert all(step.result is not None for step in outcome.steps)
    assert LabResult.from_json(outcome.to_json()) == outcome


def test_the_takeaway_follows_the_numbers(outcome: LabResult) -> None:
    c: Comparison = outcome.comparison
    rows = tuple(r.model_copy(update={"read_perplexity": c.base.read_perplexity}) for r in c.tweaks)
    assert "raises the perplexity" in outcome.takeaway
    assert "hardly moves the perplexity" in lab_named("14").takeaway(c.model_copy(update={"tweaks": rows}))


def test_the_claim_about_the_floor_can_fail(model: Model) -> None:
    """From the five smallest sizes the fitted floor is far below the entropy, and the claim says so."""
    step = next(step for step in lab_named("14").steps if step.name == "law")
    claim = next(claim for claim in step.claims if "inside the 95 % band" in claim.text)
    assert claim.holds(model.show("scaling"))
    assert not claim.holds(model.show("scaling", widths=[4, 6, 8, 10, 12]))
