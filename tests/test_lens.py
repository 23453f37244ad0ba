"""Lenses: the model's own end against arithmetic, chunks, tweaks, the maps of a tuned lens, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import invivo
from invivo.engine import end, tuned
from invivo.engine import lens as lenses
from invivo.engine.forward import watched
from invivo.engine.live import Model
from invivo.engine.rows import prepare
from invivo.errors import BadText, InvivoError, NoEffect, Refused
from invivo.experiment.lens import Lens, LensRecipe, Seen
from invivo.surfaces.cli import main

from . import tiny

PROMPT, CLEAN = "the cat sat on t", "the dog ran on t"
STOCK = ("gpt2", "llama", "gemma2", "gpt_neox", "opt", "olmo2", "bloom", "gptj", "falcon")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model("gpt2")


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def by_hand(model: Model, prompt: str) -> Tensor:
    """Every layer's log-probabilities (L, T, V): hidden states, last norm, head and softcap, one after the other."""
    ids = torch.tensor([model.living.encode(prompt)])
    states = model.hf(ids, output_hidden_states=True).hidden_states  # the last one has gone through the norm
    norm, head = model.living.anatomy.points["final_norm"].module, model.hf.get_output_embeddings()
    read = [head(norm(x))[0] for x in states[1:-1]] + [head(states[-1])[0]]
    cap = getattr(model.hf.config, "final_logit_softcapping", None)
    logits = torch.stack([x if cap is None else cap * (x / cap).tanh() for x in read])
    return logits.double().log_softmax(-1)


def agrees(seen: Seen, log_probs: Tensor, apart: float = 1e-5) -> None:
    """Hold every number of one row against log-probabilities (L, T, V)."""
    best = log_probs.exp().topk(5)
    assert tensor(seen.probabilities) == pytest.approx(best.values, abs=apart)
    given = log_probs.exp().gather(-1, torch.tensor(seen.ids))
    assert given == pytest.approx(tensor(seen.probabilities), abs=apart)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    assert tensor(seen.entropy_nats) == pytest.approx(entropy, abs=10 * apart)
    kl = (log_probs[-1].exp() * (log_probs[-1] - log_probs)).sum(-1)
    assert tensor(seen.kl_nats) == pytest.approx(kl, abs=10 * apart)
    assert kl[0].min() > 0.05  # layers differ, or nothing was tested
    assert entropy[0].max() > 0.05


# ── what a layer would say ──


@pytest.mark.parametrize("family", STOCK)
def test_every_cell_is_norm_and_head_of_its_layer(family: str) -> None:
    one = tiny.model(family)
    found = one.lens(PROMPT, target="a")
    log_probs = by_hand(one, PROMPT)
    agrees(found.base, log_probs)
    assert found.base.target is not None
    token = one.living.single_token("a")
    assert tensor(found.base.target) == pytest.approx(log_probs.exp()[..., token], abs=1e-5)


@pytest.mark.parametrize("family", sorted(tiny.FAMILIES.keys() - set(STOCK)))
def test_the_last_layer_is_the_output(family: str) -> None:
    one = tiny.model(family)
    found = one.lens(PROMPT)
    said = one.hf(torch.tensor([one.living.encode(PROMPT)])).logits[0].double().softmax(-1).topk(5)
    assert tensor(found.base.probabilities[-1]) == pytest.approx(said.values, abs=1e-5)
    assert tensor(found.base.probabilities[0]) != pytest.approx(said.values, abs=1e-2)


def test_the_last_layer_is_the_output_to_the_last_bit(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVIVO_EXACT", "1")
    monkeypatch.setattr(lenses, "CHUNK", 4 * tiny.V * len(PROMPT))  # a layer at a time: the shape of a plain call
    found = model.lens(PROMPT)
    log_probs = model.hf(torch.tensor([model.living.encode(PROMPT)])).logits[0].log_softmax(-1)
    assert torch.equal(torch.tensor(found.base.probabilities[-1]), log_probs.topk(5).values.exp())


def test_chunks_of_any_size_give_one_answer(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "zero head 1.2 + zero final_norm dims 0:9 at 3:"  # the second one acts where chunks are
    whole = model.lens(PROMPT, line, target="a")
    taken: list[int] = []
    real = end.End.__call__

    def noting(self: end.End, hidden: Tensor, *rest: Any) -> Tensor:
        taken.append(4 * tiny.V * hidden.shape[0] * hidden.shape[1])
        return real(self, hidden, *rest)

    monkeypatch.setattr(end.End, "__call__", noting)
    for cells in (1, 5, 16, 32):
        taken.clear()
        monkeypatch.setattr(lenses, "CHUNK", 4 * tiny.V * cells)
        small = model.lens(PROMPT, line, target="a")
        assert max(taken) <= 4 * tiny.V * cells
        for one, other in ((whole.base, small.base), (whole.tweak, small.tweak)):
            assert one is not None
            assert other is not None
            assert tensor(one.probabilities) == pytest.approx(tensor(other.probabilities), abs=1e-5)
            assert tensor(one.kl_nats) == pytest.approx(tensor(other.kl_nats), abs=1e-4)
            assert tensor(one.target) == pytest.approx(tensor(other.target), abs=1e-5)
        assert tensor(small.tweak.moved_nats) == pytest.approx(tensor(whole.tweak.moved_nats), abs=1e-4)  # type: ignore[union-attr]


# ── tweaks ──


@pytest.mark.parametrize(
    "line",
    [
        "zero head 1.2",
        "zero embed dims 0:8",
        "add noise 0.5 to resid 2",
        "copy L1.resid_pre at 5 from clean",
        "scale L2.resid_post by 2 + add 3 to L2.resid_post dims 0:4",
        "zero final_norm dims 0:9 at 3:",
        "zero logits dims 0:70",
        'add 4 to logit "a"',
    ],
)
def test_a_tweak_is_seen_at_its_layer_and_above(model: Model, line: str) -> None:
    found = model.lens(PROMPT, line, prompts={"clean": CLEAN}, target="a")
    assert found.tweak is not None
    assert found.tweak.moved_nats is not None
    agrees(found.base, by_hand(model, PROMPT))
    with torch.no_grad():
        row = prepare(
            model.living,
            [invivo.Stack.of(line)],
            model.living.encode(PROMPT),
            {"clean": model.living.encode(CLEAN)},
            invivo.Decoding(),
            0,
        )[1]
        for action in row.actions:
            action.row = None
        with watched(model.living.anatomy, row.actions):
            logits = model.hf(torch.tensor([model.living.encode(PROMPT)])).logits[0]
    said = row.bias(logits).double().log_softmax(-1)
    assert tensor(found.tweak.probabilities[-1]) == pytest.approx(said.exp().topk(5).values, abs=1e-5)
    base = by_hand(model, PROMPT)[-1]
    moved = (base.exp() * (base - said)).sum(-1)
    assert tensor(found.tweak.moved_nats[-1]) == pytest.approx(moved, abs=1e-4)
    assert moved.max() > 1e-3
    layer = next((a.layer for a in row.actions), None) if line.startswith(("zero head", "scale")) else None
    if layer is not None:  # below the tweak nothing differs
        assert max(max(kl) for kl in found.tweak.moved_nats[:layer]) < 1e-5 < max(found.tweak.moved_nats[layer])


def test_a_tweak_that_changes_nothing_moves_nothing(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "WINDOW", 12)
    found = model.lens(PROMPT, "scale head 1.2 by 1")
    assert found.tweak is not None
    assert found.tweak.moved_nats is not None
    assert max(max(row) for row in found.tweak.moved_nats) < 1e-5
    assert any("changed nothing" in note for note in found.notes)
    assert "likeliest token is BASE's" in str(found)
    assert any("fitted on BASE" in note for note in model.lens(PROMPT, "zero head 1.2", tuned=True).notes)


def test_nothing_is_left_behind(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "WINDOW", 12)
    ids = torch.tensor([model.living.encode(PROMPT)])
    before = model.hf(ids).logits
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())
    model.lens(PROMPT, "zero head 1.2 + zero final_norm dims 3", tuned=True)
    with pytest.raises(NoEffect):
        model.lens(PROMPT, "zero head 1.2 at 40")
    assert torch.equal(model.hf(ids).logits, before)
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())
    assert not any("forward" in vars(m) for m in model.hf.modules())
    assert all(p.grad is None for p in model.hf.parameters())


def test_an_end_that_is_not_the_models_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = tiny.model("gpt2", seed=3)
    real = end._standing_in
    monkeypatch.setattr(end, "_standing_in", lambda hidden, as_tuple: real(hidden.roll(1, -1), as_tuple))
    with pytest.raises(Refused, match="cannot be run by itself"):
        one.lens(PROMPT)


# ── tuned ──


def test_the_maps_come_closer_and_are_kept(model: Model) -> None:
    raw, first, again = model.lens(PROMPT), model.lens(PROMPT, tuned=True), model.lens(PROMPT, tuned=True)
    assert first.fit is not None
    assert again.fit is not None
    assert not first.fit.reused
    assert again.fit.reused
    assert first.base == again.base
    assert first.fit.tuned_nats[-1] == first.fit.raw_nats[-1] == 0.0
    assert all(a < 0.9 * b for a, b in zip(first.fit.tuned_nats[:-1], first.fit.raw_nats[:-1], strict=True))
    assert first.base.ids[-1] == raw.base.ids[-1]
    far = [sum(sum(row) for row in one.base.kl_nats) for one in (first, raw)]
    assert far[0] < 0.9 * far[1]  # on a prompt that it has never seen, too


def test_what_a_fit_says_is_what_the_lens_does(model: Model) -> None:
    """The held-out numbers, computed anew: through the lens itself, on the pieces that were put aside."""
    pieces = tuned._own(model.living)
    maps, fit = tuned.fitted(model.living, end.End.of(model.living), pieces, "its own")
    held = pieces[-tuned.ASIDE :]
    assert (fit.tokens, fit.held_out) == (pieces[: -tuned.ASIDE].numel(), held.numel())
    with torch.no_grad():
        states = model.hf(held, output_hidden_states=True).hidden_states
        norm, head = model.living.anatomy.points["final_norm"].module, model.hf.get_output_embeddings()
        said = head(states[-1]).double().log_softmax(-1)
        for layer in range(2):
            x = states[layer + 1]
            for moved, told in ((x, fit.raw_nats), (x + x @ maps.weights[layer] + maps.biases[layer], fit.tuned_nats)):
                guess = head(norm(moved)).double().log_softmax(-1)
                assert told[layer] == pytest.approx(float((said.exp() * (said - guess)).sum(-1).mean()), abs=1e-4)


def test_an_affine_difference_is_found() -> None:
    dice = torch.Generator().manual_seed(0)
    x, a, b = torch.randn(400, 8, generator=dice), torch.randn(8, 8, generator=dice), torch.randn(8, generator=dice)
    weights, bias = tuned._solved(x, x + x @ a + b)
    assert weights == pytest.approx(a, abs=0.01)
    assert bias == pytest.approx(b, abs=0.01)


def test_a_map_that_is_worse_is_dropped(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tuned._solved
    calls: list[int] = []

    def bad(x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(0)
        weights, bias = real(x, last)
        return (weights, bias) if len(calls) == 1 else (50 * weights.roll(1, 0), bias - 50)

    monkeypatch.setattr(tuned, "_solved", bad)
    raw, found = model.lens(PROMPT), model.lens(PROMPT, tuned=True)
    assert found.fit is not None
    assert found.fit.tuned_nats[0] < found.fit.raw_nats[0]
    assert found.fit.tuned_nats[1] == found.fit.raw_nats[1]
    assert found.base.kl_nats[1] == raw.base.kl_nats[1]
    assert found.notes == ("read raw, because no map was better there: layer 1",)
    assert found.base.kl_nats[0] != raw.base.kl_nats[0]


def test_a_spoilt_file_is_made_anew(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "WINDOW", 12)
    first = model.lens(PROMPT, tuned=True)
    path = tuned._path(model.living, None)
    assert path is not None
    for spoilt in (b"", b"hello", path.read_bytes()[:-8]):
        path.write_bytes(spoilt)
        again = model.lens(PROMPT, tuned=True)
        assert again.fit is not None
        assert not again.fit.reused
        assert again.base == first.base


def test_maps_are_fitted_on_a_text(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("".join(f"line {n} of a text that counts to {n * n}\n" for n in range(100)))
    found = model.lens(PROMPT, tuned=True, text=str(file))
    assert found.fit is not None
    assert found.fit.text == "words.txt text"
    assert found.fit.tokens < 4096
    own = model.lens(PROMPT, tuned=True)
    assert own.fit is not None
    assert not own.fit.reused
    assert own.base != found.base
    file.write_text("too short")
    with pytest.raises(BadText, match="has 9 tokens; maps need 640"):
        model.lens(PROMPT, tuned=True, text=str(file))
    file.write_bytes(b"\xff" * 4000)
    with pytest.raises(BadText, match="not UTF-8"):
        model.lens(PROMPT, tuned=True, text=str(file))
    with pytest.raises(InvivoError, match="cannot read"):
        model.lens(PROMPT, tuned=True, text=str(tmp_path / "nowhere"))


# ── doors and mistakes ──


def test_a_lens_goes_through_its_doors(model: Model) -> None:
    recipe = LensRecipe.of({"prompt": PROMPT, "tweak": "zero head 1.2", "target": "a", "tuned": True, "top": 3})
    assert LensRecipe.from_yaml(recipe.to_yaml()) == recipe
    assert recipe.to_cli() == f"invivo lens --tweak 'zero head 1.2' --tuned --target a --top 3 -- '{PROMPT}'"
    found = model.lens(PROMPT, "zero head 1.2", top=3)
    assert Lens.of(json.loads(found.to_json())) == found
    assert len(found.cell(0, 0)) == 3
    assert found.cell(-1, -1)[0].text == found.texts[found.base.ids[-1][-1][0]]
    tops = [row[-1][0] for row in found.base.ids]
    first = found.settled()
    assert set(tops[first:]) == {tops[-1]}
    assert first == 0 or tops[first - 1] != tops[-1]
    assert "raw logit lens (nostalgebraist 2020)" in str(found)
    assert found._repr_html_().count("<svg") == 5  # BASE, TWEAK, their difference; KL and entropy by layer
    with pytest.raises(BadText, match="no TWEAK"):
        model.lens(PROMPT).cell(0, 0, tweak=True)


def test_the_command_shows_and_prints(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(invivo, "load", lambda *_, **__: model, raising=False)
    assert main(["lens", PROMPT, "--tweak", "zero head 1.2", "--target", "a", "--top", "2", "--json"]) == 0
    found = Lens.of(json.loads(capsys.readouterr().out))
    assert found.recipe.target == "a"
    assert found.tweak is not None
    assert len(found.base.ids[0][0]) == 2
    assert main(["lens", PROMPT, "--target", "a"]) == 0
    assert "probability of 'a'" in capsys.readouterr().out
    assert main(["lens"]) == 2
    assert "no prompt is given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"target": "ab"}, BadText, "'ab' is 2 tokens"),
        ({"tweak": "set temperature 2"}, BadText, "acts when tokens are chosen"),
        ({"tweak": "zero head 1.2 at 40"}, NoEffect, "never reached"),
        ({"tweak": "zero head 7.0"}, InvivoError, "layer 7"),
        ({"tweak": "copy head 1.2 from clean"}, BadText, "needs a prompt called 'clean'"),
        ({"tweak": "scale L0.resid_post by 3e38"}, InvivoError, r"scale L0.resid_post by 3e\+38"),
        ({"prompt": ""}, BadText, "empty"),
        ({"text": "words.txt"}, BadText, "for the tuned lens"),
        ({"top": 0}, BadText, "top"),
    ],
)
def test_mistakes_are_told(model: Model, fields: dict[str, Any], error: type[InvivoError], words: str) -> None:
    with pytest.raises(error, match=words):
        model.lens(fields.pop("prompt", PROMPT), **fields)
