"""Looking along a text: what was about to be said, a head's pattern under a tweak, and what a tweak reaches."""

from __future__ import annotations

import pytest
import torch

from invivo.engine.along import along
from invivo.engine.live import Model
from invivo.errors import BadText, OutOfRange
from invivo.experiment.cone import reached
from invivo.experiment.lens import LensRecipe
from invivo.experiment.look import Look, LookRecipe
from invivo.tweaks import Stack

from . import tiny

PROMPT = "the cat sat on"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def test_the_first_table_is_the_comparisons_and_the_others_are_a_longer_prompts(model: Model) -> None:
    result = model.compare(PROMPT, "scale head 1.2 by 4", max_new_tokens=5, top=4)
    tables = along(model.living, result.recipe, result.base.ids, 0)
    assert len(tables) == 5
    for found, told in zip(tables[0], result.tweaks[0].next, strict=True):
        assert (found.id, found.text) == (told.id, told.text)
        assert found.tweak == pytest.approx(told.tweak, abs=1e-6)
    ids = torch.tensor([[*result.prompt_ids, *result.base.ids[:3]]])
    with torch.no_grad():
        base = model.hf(input_ids=ids).logits[0, -1].softmax(-1)
        with model.tweaked("scale head 1.2 by 4") as hf:
            tweak = hf(input_ids=ids).logits[0, -1].softmax(-1)
    for token in tables[3]:
        assert token.base == pytest.approx(float(base[token.id]), abs=1e-5)
        assert token.tweak == pytest.approx(float(tweak[token.id]), abs=1e-5)
    assert {t.id for t in tables[3]} >= {int(i) for i in base.topk(4).indices}


def test_a_place_after_the_prompt_stays_where_it_was(model: Model) -> None:
    """`at -1` is the prompt's last token, also where a longer text is read."""
    result = model.compare(PROMPT, "zero L1.resid_post at -1", max_new_tokens=4)
    tables = along(model.living, result.recipe, result.base.ids, 0)
    last = len(result.prompt_ids) - 1
    fixed = model.compare(PROMPT, f"zero L1.resid_post at {last}", max_new_tokens=4)
    assert tables == along(model.living, fixed.recipe, result.base.ids, 0)


def test_what_cannot_be_looked_at_is_refused(model: Model) -> None:
    e = model.experiment(PROMPT, "zero head 1.2")
    for ids, row in (((1, 2), 1), ((1, 10**6), 0), ((1,) * 100, 0)):
        with pytest.raises(OutOfRange):
            along(model.living, e, ids, row)


# ── one head's pattern ──


def look(model: Model, **more: object) -> Look:
    from invivo.engine.look import run

    return run(model.living, LookRecipe.of({"prompt": PROMPT, "layer": 2, "head": 1, "model": model.name, **more}))


def test_a_pattern_under_a_tweak_is_what_the_model_has_under_it(model: Model) -> None:
    line = "scale head 0.1 by 6"
    found = look(model, tweak=line)
    assert found.tweak is not None
    seen = model.capture(PROMPT, "L2.pattern head 1", tweak=line)["L2.pattern head 1"]
    assert torch.allclose(torch.tensor(found.tweak), seen.reshape(len(found.tokens), -1), atol=1e-6)
    assert found.pattern == look(model).pattern
    assert found.pattern != found.tweak
    assert Look.from_json(found.to_json()) == found
    figures = found.document().figures
    assert [f.name for f in figures] == ["pattern-2-1", "pattern-2-1-tweak", "pattern-2-1-difference"]
    assert figures[2].picture.diverging  # type: ignore[union-attr]


def test_a_tweak_of_the_heads_own_output_leaves_its_pattern(model: Model) -> None:
    found = look(model, tweak="zero head 2.1")
    assert found.pattern == found.tweak
    assert "as it was" in found.document().figures[2].picture.summary


def test_a_choice_of_tokens_has_no_pattern(model: Model) -> None:
    with pytest.raises(BadText, match="changes nothing that attention reads"):
        look(model, tweak="set greedy")


# ── what a tweak can reach ──


@pytest.mark.parametrize(
    "line",
    [
        "zero head 1.2 at 2",
        "zero L1.v at 1",
        "zero L1.k at 1",
        "scale L1.q at 2 by 9",
        "zero L0.resid_pre at 3",
        "add 3 to L1.resid_pre dims 5 at 2",
        "zero embed at 2",
        "zero L2.mlp_out at 1,3",
        "scale neuron 1.5 by 40",
        "scale L1.pattern at 2 keys 0 by 0.1",
        "scale logits at 3 by 2",
        "scale final_norm at 1 by 2",
        "zero head 0.0 at 1 + zero L2.attn_out at 0",
    ],
)
def test_a_tweak_moves_what_it_can_reach_and_nothing_else(model: Model, line: str) -> None:
    lens = model.lens(PROMPT, line)
    assert lens.tweak is not None
    assert lens.tweak.moved_nats is not None
    moved = torch.tensor(lens.tweak.moved_nats)
    cells = torch.tensor(reached(Stack.of(line), lens.layers, len(lens.prompt_tokens)))
    assert float(moved[~cells].abs().max() if (~cells).any() else 0) <= 1e-6
    assert bool((moved[cells] > 1e-9).float().mean() > 0.8), (moved, cells)
    base, tweak, apart = [f.picture for f in lens.document().figures[:3]]
    assert base.outlined is None  # type: ignore[union-attr]
    assert tweak.outlined == apart.outlined == reached(Stack.of(line), lens.layers, moved.shape[1])  # type: ignore[union-attr]


def test_negative_places_and_bad_ones(model: Model) -> None:
    assert reached(Stack.of("zero L-1.attn_out at -1"), 3, 4)[2] == (False, False, False, True)
    with pytest.raises(OutOfRange):
        reached(Stack.of("zero head 9.0"), 3, 4)
    assert LensRecipe(prompt="a").tweak is None
