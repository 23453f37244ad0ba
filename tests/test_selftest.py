"""The self-test: green on every kind of family, and red in exactly the laws that a planted fault breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from pytest import MonkeyPatch as Patch  # noqa: PT013 - the word stands in every signature

import invivo
from invivo.engine import dice, forward, laws, packed, subject
from invivo.engine import selftest as selftesting
from invivo.engine.actions import Action
from invivo.errors import InvivoError, Refused
from invivo.experiment.selftest import SelfTest
from invivo.model import attention
from invivo.surfaces.cli import main
from invivo.tweaks import Scale, Zero
from invivo.tweaks.activation import Copy

from . import tiny

LAWS = [rule.name for rule in selftesting.RULES]


@pytest.mark.parametrize("family", ["gpt2", "qwen3", "gemma2", "bloom"])
def test_the_laws_hold(family: str) -> None:
    model = tiny.model(family)
    tested = model.selftest()
    assert {law.name: law.note for law in tested.broken} == {}
    assert [law.name for law in tested.laws] == LAWS
    absent = {law.name for law in tested.laws if law.outcome == "not offered"}
    assert absent == {"packed layers"} | ({"stock", "weights"} if family == "bloom" else set())
    for law in tested.laws:
        assert (law.difference is None) == (law.outcome == "not offered")
        assert law.note or law.outcome == "holds"
    assert model.hf.config._attn_implementation == ("eager" if family == "bloom" else attention.NAME)


def test_packed_layers_are_tried_where_there_are_some(monkeypatch: Patch) -> None:
    if not packed.available():
        pytest.skip("this torch has no packed operators; the stock layers run instead")
    model = tiny.model("gpt2")
    monkeypatch.setattr(packed, "LEAST_WEIGHTS", 0)
    only(monkeypatch, "packed layers")
    (law,) = model.selftest().laws
    assert (law.outcome, law.note) == ("holds", "13 layers are packed")
    monkeypatch.setenv("INVIVO_EXACT", "1")
    (law,) = model.selftest().laws
    assert law.outcome == "not offered"
    assert "INVIVO_EXACT" in law.note


# ── planted faults, each with the laws that it must break, and no other ──


def a_row_is_shifted(patch: Patch) -> None:
    real = Action.apply
    patch.setattr(Action, "apply", lambda self, x, row, *rest: real(self, x, (row + 1) % x.shape[0], *rest))


def what_a_visitor_returns_is_ignored(patch: Patch) -> None:
    def visit(self: forward.Pass, module: Any, site: str, x: Any) -> Any:
        self.touch((self.layers[id(module)], site), x)
        return x

    patch.setattr(forward.Pass, "visit", visit)


def the_cache_is_off_by_one(patch: Patch) -> None:
    real = forward.Pass.begin

    def begin(self: forward.Pass, *call: Any) -> None:
        real(self, *call)
        self.past += self.past > 0

    patch.setattr(forward.Pass, "begin", begin)


def packed_weights_are_off(patch: Patch) -> None:
    real = packed._linear
    patch.setattr(packed, "LEAST_WEIGHTS", 0)
    patch.setattr(packed, "_linear", lambda *given: lambda x: 1.01 * real(*given)(x))


def a_hook_is_left_on(patch: Patch) -> None:
    real = subject.generate

    def generate(living: Any, *rest: Any) -> Any:
        living.hf.lm_head.register_forward_hook(lambda *_: None)
        return real(living, *rest)

    patch.setattr(subject, "generate", generate)


def a_visitor_is_left_on(patch: Patch) -> None:
    class Idle:
        def inside(self, module: Any) -> frozenset[str]:
            return frozenset()

        def visit(self, module: Any, site: str, x: Any) -> Any:
            return x

    def restore(module: Any, visitor: Any) -> None:
        attention.VISITORS[module] = visitor or Idle()

    patch.setattr(forward, "_restore", restore)


def an_edit_is_not_undone(patch: Patch) -> None:
    real = laws.edited

    @contextmanager
    def edited(anatomy: Any, tweak: Any) -> Iterator[None]:
        with real(anatomy, tweak):
            yield
        anatomy.root.lm_head.weight.data.mul_(1.01)

    patch.setattr(laws, "edited", edited)


def our_attention_is_off(patch: Patch) -> None:
    real = attention.sdpa_attention_forward
    patch.setattr(attention, "sdpa_attention_forward", lambda *a, **k: (1.01 * real(*a, **k)[0], None))


def noise_comes_from_a_stream(patch: Patch) -> None:
    patch.setattr(
        dice, "normal", lambda seed, *counters: torch.randn(torch.broadcast_shapes(*(c.shape for c in counters[1:])))
    )


def the_seed_is_ignored(patch: Patch) -> None:
    real = dice.gumbel
    patch.setattr(dice, "gumbel", lambda seed, step, size: real(0, step, size))


def the_dice_have_no_seed(patch: Patch) -> None:
    patch.setattr(dice, "gumbel", lambda seed, step, size: -torch.rand(size).log().neg().log())


def a_copy_is_off_by_one(patch: Patch) -> None:
    patch.setattr(Copy, "change", lambda self, old, here: here.source().roll(1, 0))


def scaling_adds_a_little(patch: Patch) -> None:
    patch.setattr(Scale, "change", lambda self, old, here: old * (self.factor + 0.01))


def zeroing_does_nothing(patch: Patch) -> None:
    patch.setattr(Zero, "change", lambda self, old, here: old)


FAULTS: list[tuple[Callable[[Patch], None], set[str]]] = [
    (a_row_is_shifted, {"batch", "left padding", "fast = slow"}),
    (what_a_visitor_returns_is_ignored, {"a tweak acts", "weights", "fast = slow"}),
    (the_cache_is_off_by_one, {"cache"}),
    (packed_weights_are_off, {"packed layers", "fast = slow"}),
    (a_hook_is_left_on, {"nothing left"}),
    (a_visitor_is_left_on, {"nothing left"}),
    (an_edit_is_not_undone, {"BASE again"}),
    # where something is looked into, attention runs step by step, and the kernel is no longer the same
    (our_attention_is_off, {"stock", "scale by 1", "noise of 0", "patch from itself", "batch", "left padding"}),
    (noise_comes_from_a_stream, {"cache", "batch", "left padding"}),
    (the_seed_is_ignored, {"another seed"}),
    (the_dice_have_no_seed, {"same seed"}),
    (a_copy_is_off_by_one, {"patch from itself", "patch everything"}),
    (scaling_adds_a_little, {"scale by 1"}),
    (zeroing_does_nothing, {"a tweak acts", "weights"}),
]


@pytest.mark.parametrize(("fault", "broken"), FAULTS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_fault_breaks_its_laws_and_no_other(
    fault: Callable[[Patch], None], broken: set[str], monkeypatch: Patch
) -> None:
    model = tiny.model("gpt2")
    fault(monkeypatch)
    tested = model.selftest()
    assert {law.name for law in tested.broken} == broken
    monkeypatch.undo()
    assert all(law.name in str(tested) for law in tested.broken)


def test_every_law_is_broken_by_some_fault() -> None:
    assert set().union(*(broken for _, broken in FAULTS)) == set(LAWS)


# ── when it goes wrong, and its doors ──


def only(patch: Patch, *names: str) -> None:
    patch.setattr(selftesting, "RULES", [rule for rule in selftesting.RULES if rule.name in names])


def test_a_law_that_ends_in_an_error_does_not_hold_and_restores_attention(monkeypatch: Patch) -> None:
    model = tiny.model("gpt2")
    only(monkeypatch, "stock", "same seed")

    def broken(self: Any, ids: Any) -> Any:
        if model.hf.config._attn_implementation != attention.NAME:
            raise InvivoError("no kernel")
        return plain(self, ids)

    plain = subject.Subject.plain
    monkeypatch.setattr(subject.Subject, "plain", broken)
    tested = model.selftest()
    assert tested.law("stock").note == "it ended in an error: no kernel"
    assert [law.name for law in tested.broken] == ["stock"]
    assert model.hf.config._attn_implementation == attention.NAME


def test_logits_that_are_no_numbers_keep_no_law(monkeypatch: Patch) -> None:
    model = tiny.model("gpt2")
    only(monkeypatch, "stock", "patch everything", "a tweak acts", "BASE again")
    model.hf.lm_head.weight.data[5] = float("nan")
    assert len(model.selftest().broken) == 4


def test_it_is_refused_inside_a_tweaked_model() -> None:
    model = tiny.model("gpt2")
    with model.tweaked("zero head 1.2") as hf, pytest.raises(Refused, match="tweaked BASE"):
        hf(torch.tensor([[5, 6, 7]]))
        model.selftest()


def test_the_command_tells_and_fails_where_a_law_does(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def load(name: str, **_: Any) -> Any:
        asked.append(name)
        return tiny.model("gpt2")

    monkeypatch.setattr(invivo, "load", load, raising=False)
    only(monkeypatch, "same seed", "another seed", "packed layers")
    assert main(["selftest", "some/model"]) == 0
    told = capsys.readouterr().out
    assert all(words in told for words in ("All 2 laws", "One seed gives one text", "too small"))
    the_dice_have_no_seed(monkeypatch)
    assert main(["selftest", "--model", "other", "--json"]) == 1
    tested = SelfTest.of(json.loads(capsys.readouterr().out))
    assert [law.name for law in tested.broken] == ["same seed"]
    assert "1 of 2 laws do not hold: same seed" in str(tested)
    assert asked == ["some/model", "other"]
    assert main(["selftest", "one", "--model", "two"]) == 2
    assert "two models are named" in capsys.readouterr().err
