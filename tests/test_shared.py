"""Below the first tweaked block one row stands for all that read the same text; nothing else may change by that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from transformers import MptConfig

from invivo.engine.caches import growing
from invivo.engine.live import Model
from invivo.engine.shared import Shared

from . import tiny
from .test_engine import PROMPT
from .test_hearing import STEPS, agree, both

LINES = (
    "scale L2.mlp_out by 3",
    "zero L1.attn_out",
    "add noise 0.8 to L1.resid_pre seed 3",
    "zero L2.attn_out during generation",
    'add 2 to logit "e"',
)
WHOLE = {"bloom", "mpt"}  # their biases have one entry a head, or a row and head


def mpt(size: tiny.Size) -> MptConfig:
    """A family that gives its blocks a tensor whose first axis counts heads."""
    return MptConfig(
        d_model=size.width,
        n_heads=size.heads,
        n_layers=size.layers,
        max_seq_len=size.context,
        expansion_ratio=2,
        **size.old,
    )


@pytest.fixture(autouse=True)
def one_family_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny.FAMILIES, "mpt", mpt)


@contextmanager
def leaving(model: Model, layer: int) -> Iterator[list[int]]:
    """How many rows leave a block at each call."""
    seen: list[int] = []

    def hook(module: Any, args: Any, output: Any) -> None:
        seen.append((output if isinstance(output, torch.Tensor) else output[0]).shape[0])

    handle = model.living.anatomy.blocks[layer].module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("family", [*sorted(tiny.FAMILIES), "mpt"])
@pytest.mark.parametrize("sample", [False, True])
def test_shared_rows_say_what_rows_of_their_own_say(family: str, sample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invivo.engine.decode.end_tokens", lambda _: set())
    model = tiny.model(family)
    lines = (*LINES, "set seed 3") if sample else LINES
    with leaving(model, 0) as lowest, leaving(model, 1) as tweaked:
        heard, read, _ = both(model, monkeypatch, *lines, do_sample=sample)
    agree(heard, read)
    steps = len(heard.base.ids)
    below, above = lowest[1:steps], tweaked[1:steps]  # the prompt is read by every row
    assert len(below) == STEPS - 1
    if family in WHOLE:
        assert below == above
    else:
        assert all(b <= a - len(lines) for b, a in zip(below, above, strict=True))
    assert any(t.first_divergence is not None for t in heard.tweaks)


@pytest.mark.parametrize(
    "lines",
    [("zero head 1.2", "zero head 1.1", "scale embed by 1.1"), ("zero head 1.2",), ("zero head 0.1", "zero head 2.1")],
)
def test_where_nothing_is_alike_or_few_rows_are_nothing_is_shared(lines: tuple[str, ...]) -> None:
    model = tiny.model("gpt2")
    with leaving(model, 0) as lowest, leaving(model, 2) as highest:
        model.compare("Once upon a time", *lines, max_new_tokens=4)
    assert lowest == highest


@pytest.mark.parametrize("at", [0, 2, 5])
def test_base_may_end_first(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on its row is fed nothing, and those that went along with it need their own."""
    model = tiny.model("gpt2")
    lines = (*LINES, "scale L2.mlp_out by 1.0001", "set seed 3")
    first = model.compare("Once upon a time", *lines, max_new_tokens=10, do_sample=True)
    monkeypatch.setattr(model.hf.generation_config, "eos_token_id", first.base.ids[at])
    heard, read, _ = both(model, monkeypatch, *lines, do_sample=True)
    agree(heard, read)
    assert len(heard.base.ids) < max(len(t.ids) for t in heard.tweaks)


@pytest.mark.parametrize("family", ["mpt", "bloom", "falcon", "gpt2", "gemma3"])
def test_as_many_rows_as_heads(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias with one entry a head is not one with one entry a row."""
    model = tiny.model(family)
    heads = model.hf.config.num_attention_heads
    lines = [f"scale L2.mlp_out by {1 + n / 100:g}" for n in range(1, heads)]
    heard, read, _ = both(model, monkeypatch, *lines)
    agree(heard, read)
    assert heard.base.entropy_nats == pytest.approx(
        model.compare(PROMPT, max_new_tokens=STEPS).base.entropy_nats, abs=1e-4
    )


@pytest.mark.parametrize(
    ("beside", "allowed"),
    [
        (torch.zeros(1, 3), True),
        (torch.ones(4, 1, 3), True),
        (torch.arange(4.0).view(4, 1, 1), False),  # something else, of which there happen to be four
        (torch.zeros(8, 3), False),
        (torch.zeros(8), True),
    ],
)
def test_a_family_that_counts_rows_in_another_way_shares_none(beside: torch.Tensor, allowed: bool) -> None:
    model = tiny.model("gpt2")
    shared = Shared(model.living.anatomy, type("Cache", (), {"layers": [None] * 3})(), 2, 4, torch.device("cpu"))
    assert shared.allowed
    assert shared._narrow(model.hf, (torch.randn(4, 1, 8),), {"bias": (beside, None)}) is None
    assert shared.allowed == allowed


def test_a_stream_of_another_form_is_left_alone() -> None:
    model = tiny.model("gpt2")
    for given in ({"x": torch.zeros(4, 1, 8)}, {"hidden_states": torch.zeros(4, 8)}):
        shared = Shared(model.living.anatomy, type("Cache", (), {"layers": [None] * 3})(), 2, 4, torch.device("cpu"))
        assert shared._narrow(model.hf, (), given) is None
        assert not shared.allowed


def test_the_past_follows_whoever_continues_it() -> None:
    """Rows are named by numbers that they carry in their keys."""
    model = tiny.model("gpt2")
    cache = growing(model.hf.config, 4)
    names = torch.arange(3.0).view(3, 1, 1, 1)
    for number in range(len(cache.layers)):
        cache.update(names.clone(), names.clone(), number)
    shared = Shared(model.living.anatomy, cache, 1, 3, torch.device("cpu"))

    def kept() -> list[list[float]]:
        return [layer.keys[:, 0, 0, 0].tolist() for layer in cache.layers[:2]]  # type: ignore[union-attr]

    shared.follow([2, 0, 0, 1], [0, 1, 1, 3])
    assert kept() == [[2, 0, 1], [2, 0, 0, 1]]
    shared.follow([3, 2, 0], [0, 1, 0])
    assert kept() == [[1, 0], [1, 0, 2]]
    shared.follow([0, 1, 2], [0, 1, 2])
    assert kept() == [[1, 0, 1], [1, 0, 2]]  # what was shared stays what it was
