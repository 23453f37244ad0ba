"""Toy models and the loop that trains them."""

from __future__ import annotations

import math

import pytest
import torch

from invivo.engine import toys
from invivo.errors import OutOfRange

SHAPE = {"layers": 2, "width": 32, "vocabulary": 50, "context": 24}


def rows(count: int = 16, seed: int = 0) -> torch.Tensor:
    """Rows that count on from a random token: easily learned."""
    start = torch.randint(50, (count, 1), generator=torch.Generator().manual_seed(seed))
    return (start + torch.arange(24)) % 50


def test_a_seed_is_a_model_and_nobody_elses_dice_are_touched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (toys.gpt2(**SHAPE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim < 2 or not torch.equal(a, c)


def test_an_untrained_model_is_as_surprised_as_a_die_and_learns_to_count() -> None:
    model = toys.gpt2(**SHAPE)
    assert toys.measured(model, rows()) == pytest.approx(math.log(50), abs=0.15)
    found = toys.fit(model, (rows(seed=n) for n in range(60)), steps=60, rate=1e-2)
    assert len(found) == 60
    assert found[0] == pytest.approx(math.log(50), abs=0.15)
    assert toys.measured(model, rows(seed=99)) < 0.5
    assert not model.training


def test_the_loss_is_transformers_own() -> None:
    model, ids = toys.gpt2(**SHAPE), rows(5)
    assert toys.loss(model, ids).item() == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-6)
    assert toys.measured(model, ids, rows=2) == pytest.approx(toys.loss(model, ids).item(), rel=1e-6)


def test_only_what_asks_for_a_gradient_is_trained() -> None:
    model = toys.gpt2(**SHAPE)
    model.requires_grad_(False)
    model.transformer.h[1].mlp.c_fc.weight.requires_grad_(True)
    before = {n: p.clone() for n, p in model.named_parameters()}
    toys.fit(model, (rows(seed=n) for n in range(3)), steps=3, rate=1e-2)
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert changed == ["transformer.h.1.mlp.c_fc.weight"]


def test_blocks_are_counted_without_embeddings() -> None:
    d = 32
    assert toys.weights(toys.gpt2(**SHAPE)) == 2 * (12 * d * d + 13 * d) + 2 * d
    with pytest.raises(OutOfRange, match="not divisible by 4 heads"):
        toys.gpt2(layers=1, width=30, vocabulary=50, context=8)
