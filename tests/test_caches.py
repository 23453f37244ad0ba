"""A cache with room gives what transformers' own gives, to the last bit, whatever is done to it in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from invivo.engine import caches

from . import tiny

STEPS = ("5", "1", "order", "1", "1", "repeat", "2", "crop", "1", "select", "1", "3")


def layer_of(cache: DynamicCache, name: str, dice: torch.Generator, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (torch.randn(rows, 2, int(name), 4, generator=dice) for _ in range(2))
    return cache.update(x, y, 0)


@pytest.mark.parametrize("room", [1, 6, 8, 40])
def test_room_changes_nothing(room: int) -> None:
    config = tiny.model("gpt2").hf.config
    mine, stock = caches.growing(config, room), DynamicCache(config=config)
    assert all(type(layer) is caches.Roomy for layer in mine.layers)
    dice = [torch.Generator().manual_seed(0) for _ in range(2)]
    rows = 3
    for step in STEPS:
        if step.isdigit():
            found = [layer_of(cache, step, drawn, rows) for cache, drawn in zip((mine, stock), dice, strict=True)]
            assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
        for cache in (mine, stock):
            layer: Any = cache.layers[0]
            if step == "order":
                cache.reorder_cache(torch.tensor([2, 0, 0, 1]))  # type: ignore[arg-type]
            elif step == "repeat":
                layer.batch_repeat_interleave(2)
            elif step == "crop":
                layer.crop(-3)
            elif step == "select":
                layer.batch_select_indices(torch.tensor([1, 3]))
        rows = {"order": 4, "repeat": 8, "select": 2}.get(step, rows)
        assert mine.get_seq_length() == stock.get_seq_length()


def test_what_is_there_stays_where_it_is() -> None:
    cache = caches.growing(tiny.model("gpt2").hf.config, 40)
    dice = torch.Generator().manual_seed(0)
    places = {tuple(x.data_ptr() for x in layer_of(cache, step, dice, 2)) for step in ("7", "1", "1", "4")}
    assert len(places) == 1


def test_windows_and_exact_keep_the_caches_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.model("gemma2").hf.config
    kinds = {type(layer).__name__ for layer in caches.growing(config, 9).layers}
    assert kinds == {"DynamicSlidingWindowLayer", "Roomy"}
    monkeypatch.setenv("INVIVO_EXACT", "1")
    assert not any(isinstance(layer, caches.Roomy) for layer in caches.growing(config, 9).layers)
