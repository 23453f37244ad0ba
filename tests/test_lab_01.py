"""Labs 01 and 02: where W_Q, W_K and W_V are in every family, the exhibits of a head, and heads found elsewhere."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from invivo.engine import finders
from invivo.engine.live import Model
from invivo.engine.projections import edge, projections, spectrum
from invivo.errors import BadText, OutOfRange, Refused
from invivo.experiment import Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named
from invivo.labs.heads import head_in

from . import tiny

PROMPT = "the cat sat"
NORMED = ("qwen3", "gemma3", "olmo2", "qwen3_moe")  # their queries and keys are normalised after the matrices


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.mark.parametrize("family", tiny.OPEN)
def test_the_matrices_of_every_family_give_what_attention_compares(family: str) -> None:
    """At position 0 nothing is rotated, so what the layer reads times W, plus b, is what capture sees there."""
    model = tiny.model(family)
    made = projections(model.living, 1)
    read: dict[str, torch.Tensor] = {}

    def keep(site: str, _module: object, args: tuple[torch.Tensor, ...]) -> None:
        read[site] = args[0]

    handles = [made[site].module.register_forward_pre_hook(partial(keep, site)) for site in "qkv"]
    try:
        seen = model.capture(PROMPT, *(f"L1.{site}" for site in "qkv"))
    finally:
        for handle in handles:
            handle.remove()
    for site in "qkv":
        projection = made[site]
        given, mine = seen[f"L1.{site}"], projection.of(read[site].reshape(-1, read[site].shape[-1]))
        assert mine.shape == given.shape
        if projection.gain is None:
            assert family in NORMED
            assert site != "v"
            turns = torch.cosine_similarity(mine[0], given[0], dim=-1)  # the norm's scale differs by dimension
            assert float(turns.min()) > 0.5
        else:
            torch.testing.assert_close(mine[0] * projection.gain, given[0], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close((mine * projection.gain)[:, 0].norm(dim=-1), given[:, 0].norm(dim=-1))
    assert not torch.allclose(made["q"].weight[0], made["q"].weight[1])


def test_the_matrices_of_gpt2_are_the_thirds_of_c_attn(model: Model) -> None:
    fused = model.hf.transformer.h[2].attn.c_attn
    for i, site in enumerate("qkv"):
        made = projections(model.living, 2)[site]
        third = fused.weight[:, 32 * i : 32 * (i + 1)]
        assert torch.equal(made.weight, third.reshape(32, 4, 8).transpose(0, 1))
        assert torch.equal(made.bias, fused.bias[32 * i : 32 * (i + 1)].reshape(4, 8))


def test_closed_attention_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="keeps its attention to itself"):
        projections(tiny.model("gpt_neo").living, 1)


def test_the_spectrum_is_the_singular_values_and_the_edge_is_where_noise_ends() -> None:
    noise = torch.randn(3, 300, 40, generator=torch.Generator().manual_seed(1)) * 0.3
    torch.testing.assert_close(spectrum(noise), torch.linalg.svdvals(noise.double()), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(spectrum(noise.mT), spectrum(noise))
    assert edge(noise)[0] == pytest.approx(0.3 * (math.sqrt(300) + math.sqrt(40)), rel=0.02)
    top = spectrum(noise)[:, 0] / edge(noise)
    assert bool(((top > 0.93) & (top < 1.07)).all())
    planted = noise[0] + 0.3 * torch.ones(300, 40)  # one direction that all entries share
    assert float(spectrum(planted)[0] / edge(planted)) > 2


def test_the_spectrum_shown_is_the_heads_own_and_the_best_is_found(model: Model) -> None:
    every = torch.stack([projections(model.living, layer)["q"].weight for layer in range(3)])
    top = torch.linalg.svdvals(every)[..., 0] / (every.pow(2).mean((-2, -1)).sqrt() * (32**0.5 + 8**0.5))
    shown = model.show("spectrum", layer=1, head=2).numbers
    assert shown["passes"] == pytest.approx(float(top[1, 2]), rel=1e-5)
    assert shown["matched_frobenius"] == pytest.approx(float(every[1, 2].norm()), rel=1e-5)
    assert shown["matched_passes"] == pytest.approx(shown["initial_passes"], rel=1e-4)
    best = model.show("spectrum").numbers
    assert (best["layer"], best["head"]) == divmod(int(top.argmax()), 4)
    assert best["passes"] == pytest.approx(float(top.max()), rel=1e-5)


def test_the_edges_count_what_passes_the_luckiest(model: Model) -> None:
    hf = tiny.weights("gpt2", seed=5)
    hf.transformer.h[1].attn.c_attn.weight.data[:, 8:16] += 0.4  # head 1.1 of 12 stands out
    planted = tiny_living(hf)
    shown = planted.show("edges", draws=50, layer=1, head=1).numbers
    assert shown["named"] == shown["trained_most"] > shown["random_most"] > shown["random_least"]
    assert shown["real"] >= 1
    assert shown["shuffled_most"] < shown["trained_most"]
    assert model.show("edges", draws=50).numbers["trained_most"] < shown["trained_most"]


def tiny_living(hf: object) -> Model:
    from invivo.engine.living import wake
    from invivo.model.load import Loaded

    return Model(wake(Loaded(hf, tiny.tokenizer(), "gpt2", "random")))


@pytest.mark.parametrize("family", ["gpt2", "llama", "gptj", "phi3", "opt", "qwen3"])
def test_the_lookup_table_is_the_score_of_a_token_with_itself(family: str) -> None:
    model = tiny.model(family)
    shown = model.show("lookup", prompt=PROMPT, layer=1, head=3).numbers
    made = projections(model.living, 1)
    key = made["k"].weight[3 * len(made["k"].weight) // 4]
    product = made["q"].weight[3].double() @ key.double().T
    assert shown["rank"] == int(torch.linalg.matrix_rank(product)) <= shown["head_width"]
    seen = model.capture(PROMPT, "L1.q heads 3 at -1", "L1.k at -1")
    own = float(seen["L1.q heads 3 at -1"].flatten() @ seen["L1.k at -1"][0, 3 * len(made["k"].weight) // 4])
    if family == "qwen3":
        assert "by_table" not in shown
    else:
        assert shown["by_model"] == pytest.approx(own, rel=1e-5)
        assert shown["by_table"] == pytest.approx(own, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "gemma2", "qwen3"])
def test_attention_step_by_step(family: str) -> None:
    model = tiny.model(family)
    shown = model.show("attending", prompt=PROMPT, layer=1, head=1)
    pattern = model.capture(PROMPT, "L1.pattern heads 1")["L1.pattern heads 1"][0]
    assert shown.numbers["top"] == pytest.approx(float(pattern[-1].max()), rel=1e-5)
    assert shown.numbers["future"] == 0 < shown.numbers["future_score"]
    assert shown.numbers["row_sum_off"] < 1e-5
    assert shown.numbers["z_off"] < 1e-5
    assert shown.numbers["uneven"] > 0.01
    scores, after = (f.picture for f in shown.document().figures)
    assert scores.values[0][1] is not None  # type: ignore[union-attr]
    assert after.values[0][1] is None  # type: ignore[union-attr]
    even = model.show("attending", prompt=PROMPT, layer=1, head=1, tweak="zero L1.q heads 1")
    assert even.numbers["uneven"] < 1e-6
    assert "the same share" in even.sentence
    assert even.numbers["base_top"] == pytest.approx(shown.numbers["top"], rel=1e-5)
    other = model.show("attending", prompt=PROMPT, layer=1, head=1, tweak="zero L1.q heads 2")
    assert other.numbers["uneven"] == pytest.approx(shown.numbers["uneven"], rel=1e-5)
    assert Exhibit.from_json(even.to_json()) == even
    with pytest.raises(OutOfRange, match="head 9"):
        model.show("attending", prompt=PROMPT, layer=1, head=9)


def test_the_glances_are_each_heads_last_row(model: Model) -> None:
    shown = model.show("glances", prompt=PROMPT, layer=1).numbers
    last = model.capture(PROMPT, "L1.pattern")["L1.pattern"][:, -1]
    tops = last.argmax(-1).tolist()
    assert [shown[f"top_{h}"] for h in range(4)] == pytest.approx(last.max(-1).values.tolist())
    assert shown["places"] == len(set(tops))
    assert shown["agree"] == max(map(tops.count, tops))


def test_what_stands_in_for_one_head_is_not_taken_for_another(model: Model) -> None:
    ranked = [head for head, _ in model.heads().ranked("induction")[:3]]
    swapped = {f"head {ranked[1]}": "induction head", f"head {ranked[0]}": "induction head, number 2"}
    line = f"mean head {ranked[1]} + mean head {ranked[0]}"
    own = Experiment.of({"prompt": PROMPT, "tweaks": [line, f"zero head {ranked[1]},3", "zero L5.q heads 2"]})
    finds = swapped | {"L5.q heads 2": "induction head's queries", "L5.q": "queries of its layer"}
    found, notes = finders.at(model.living, own, finds)
    layer, head = ranked[0].split(".")
    assert list(map(str, found.tweaks)) == [
        f"mean head {ranked[0]} + mean head {ranked[1]}",
        f"zero head {ranked[1]},3",  # several heads at once are not the one that is named
        f"zero L{layer}.q heads {head}",
    ]
    assert len(notes) == 4
    assert finders._kept == {}


def test_the_head_an_experiment_is_about() -> None:
    def about(*lines: str) -> tuple[int, int]:
        return head_in(Experiment.of({"prompt": PROMPT, "tweaks": list(lines)}))

    assert about("zero head 1.2") == about("zero L1.q heads 2", "zero L1.q") == (1, 2)
    assert about("mean head 0.3 + mean head 1.2") == (0, 3)
    with pytest.raises(BadText, match="no tweak here"):
        about("zero head 1.0:2", "set temperature 1")


@pytest.mark.parametrize("number", ["01", "02"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_step_runs_on_a_strange_model_and_survives_json(number: str, family: str) -> None:
    lab = lab_named(number)
    short = {"prompt": "ab cd ab c", "prompts": {"other": "xy zw xy zw xy"}, "target": "d"}
    short["decoding"] = {"max_new_tokens": 2}  # type: ignore[assignment]
    lines = [str(stack) for stack in lab.experiment.tweaks]
    outcome = tiny.model(family).run_lab(lab, Experiment.of({**short, "tweaks": lines}))
    # the prompts of their own that two steps add are longer than a tiny model's context
    assert {step.name for step in outcome.steps if step.skipped} <= {"grid", "team", "prompts"}
    assert all(v.holds for v in outcome.all_verdicts if v.expected), [v.line for v in outcome.all_verdicts]
    assert LabResult.from_json(outcome.to_json()) == outcome
