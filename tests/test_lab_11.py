"""Lab 11: the softmax of the real logits, how near each layer is to the output, and lenses that know nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from invivo.engine.live import Model
from invivo.experiment import Experiment, Lab, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named

from . import tiny

PROMPTS = ("the cat sat", "a dog", "two big red hens")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@torch.no_grad()
def ending(model: Model, hidden: torch.Tensor) -> torch.Tensor:
    """Log-probabilities through GPT-2's own last norm and head, written out."""
    return model.hf.lm_head(model.hf.transformer.ln_f(hidden)).log_softmax(-1)


# ── softmax ──


def test_the_softmax_is_that_of_the_models_logits(model: Model) -> None:
    shown = model.show("softmax", prompt=PROMPTS[0], temperatures=[0.5, 1, 3], add=7)
    with torch.no_grad():
        scores = model.hf(torch.tensor([model.living.encode(PROMPTS[0])])).logits[0, -1].tolist()
    parts = [math.exp(s) for s in scores]
    chances = sorted((p / sum(parts) for p in parts), reverse=True)
    n = shown.numbers
    assert n["probability_top"] == pytest.approx(chances[0], rel=1e-6)
    assert n["odds"] == pytest.approx(chances[0] / chances[1], rel=1e-6)
    assert n["lead"] == pytest.approx(math.log(chances[0] / chances[1]), rel=1e-6)
    assert n["sum_of_exponentials"] == pytest.approx(sum(math.exp(s - max(scores)) for s in scores), rel=1e-6)
    assert n["entropy"] == pytest.approx(-sum(p * math.log(p) for p in chances), rel=1e-6)
    assert n["entropy"] == pytest.approx(model.compare(PROMPTS[0], "zero head 0.0").base.entropy_nats[10], rel=1e-4)
    hot = [math.exp(s / 3) for s in scores]
    assert n["probability_top_at_3"] == pytest.approx(max(hot) / sum(hot), rel=1e-6)
    assert n["entropy_at_0.5"] < n["entropy_at_1"] < n["entropy_at_3"] < math.log(tiny.V)
    assert n["added_moves"] < 1e-12
    assert n["probability_sum"] == pytest.approx(1, abs=1e-12)
    assert Exhibit.from_json(shown.to_json()) == shown


def test_the_table_adds_up(model: Model) -> None:
    shown = model.show("softmax", prompt=PROMPTS[0], top=3)
    table = next(b for b in shown.document().blocks if b.kind == "table")
    assert len(table.rows) == 5  # three tokens, the others, the sum
    assert table.rows[-2][0] == f"{tiny.V - 3} others"
    assert sum(float(row[3]) for row in table.rows[:-1]) == pytest.approx(float(table.rows[-1][3]), abs=0.005)
    assert float(table.rows[0][3]) == 1.0


# ── depths ──


def test_the_depths_are_the_lenses_on_every_prompt(model: Model) -> None:
    shown = model.show("depths", prompts=list(PROMPTS), blind=True)
    streams = [[model.capture(p, f"L{n}.resid_post")[f"L{n}.resid_post"].detach() for n in range(3)] for p in PROMPTS]
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))

    def far(hidden: torch.Tensor, said: torch.Tensor) -> tuple[float, float]:
        guess = ending(model, hidden).expand_as(said)
        kl = (said.exp() * (said - guess)).sum(-1).mean()
        return float(kl), float((guess.argmax(-1) == said.argmax(-1)).float().mean())

    for layer in range(3):
        found: dict[str, list[tuple[float, float]]] = {"raw": [], "shuffled": [], "average": []}
        for n, layers in enumerate(streams):
            said = ending(model, layers[-1])
            others = torch.cat([other[-1] for i, other in enumerate(streams) if i != n]).mean(0)
            found["raw"].append(far(layers[layer], said))
            found["shuffled"].append(far(layers[layer][:, order], said))
            found["average"].append(far(others[None], said))
        for name, pairs in found.items():
            for what, values in zip(("kl", "agree"), zip(*pairs, strict=True), strict=True):
                assert shown.numbers[f"{name}_{what}_{layer}"] == pytest.approx(sum(values) / 3, abs=1e-4), name
        beats = sum(a[0] < b[0] for a, b in zip(found["raw"], found["shuffled"], strict=True))
        assert shown.numbers[f"raw_beats_shuffled_{layer}"] == beats
    lenses = [model.lens(p, tuned=True) for p in PROMPTS]
    for layer in range(3):
        means = [sum(x.base.kl_nats[layer]) / len(x.prompt_tokens) for x in lenses]
        assert shown.numbers[f"tuned_kl_{layer}"] == pytest.approx(sum(means) / 3, abs=1e-4)
        means = [sum(x.base.entropy_nats[layer]) / len(x.prompt_tokens) for x in lenses]
        assert shown.numbers[f"tuned_entropy_{layer}"] == pytest.approx(sum(means) / 3, abs=1e-4)
    assert shown.numbers["last_apart"] < 1e-5
    assert Exhibit.from_json(shown.to_json()) == shown


def test_layers_in_pieces_are_the_layers_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from invivo.engine.exhibits import depths

    at_once = model.show("depths", prompts=list(PROMPTS)).numbers
    monkeypatch.setattr(depths, "CHUNK", 1)
    assert model.show("depths", prompts=list(PROMPTS)).numbers == pytest.approx(at_once, abs=1e-5)


def test_a_lens_draws_kl_and_entropy_by_layer(model: Model) -> None:
    found = model.lens(PROMPTS[0], "zero head 1.2")
    drawn = {f.name: f.picture for f in found.document().figures}
    kl, entropy = drawn["lens-kl"], drawn["lens-entropy"]
    assert [s.name for s in kl.series] == ["BASE", "TWEAK"]  # type: ignore[union-attr]
    assert kl.series[1].values == tuple(row[-1] for row in found.tweak.kl_nats)  # type: ignore[union-attr]
    assert entropy.series[0].values == tuple(row[-1] for row in found.base.entropy_nats)  # type: ignore[union-attr]
    assert kl.series[0].values[-1] == 0  # type: ignore[union-attr]


# ── the lab ──


@pytest.mark.parametrize("family", ["llama", "gemma3", "opt"])
def test_the_lab_runs_on_other_families(family: str) -> None:
    own = Experiment.of({"prompt": PROMPTS[0], "tweaks": ["zero embed at -2"], "decoding": {"max_new_tokens": 2}})
    result = tiny.model(family).run_lab(lab_named("11"), own)
    assert [step.name for step in result.steps if step.result is None] == []
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert result.step("softmax").result.recipe.settings["prompt"] == PROMPTS[0]  # type: ignore[union-attr]
    assert LabResult.from_json(result.to_json()) == result


@pytest.fixture(scope="module")
def outcome(on_fruitfly: Callable[[Lab], LabResult]) -> LabResult:
    return on_fruitfly(lab_named("11"))


def test_every_claim_of_every_step_holds_on_fruitfly(outcome: LabResult) -> None:
    assert {v.text: v.holds for v in outcome.all_verdicts} == {v.text: True for v in outcome.all_verdicts}
    assert [step.name for step in outcome.steps] == ["softmax", "raw", "tuned", "depth", "real"]
    assert "' Paris'" in outcome.takeaway
    assert outcome.step("raw").result.recipe.prompt == outcome.comparison.recipe.prompt  # type: ignore[union-attr]
