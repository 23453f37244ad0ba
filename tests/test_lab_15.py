"""Lab 15: what its exhibits measure, beside plain arithmetic; the lab whole is run in test_all_labs."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from invivo.engine import adapters, toys
from invivo.engine.exhibits import adapters as ways
from invivo.engine.exhibits import shots
from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.engine.makers import block_matrices
from invivo.experiment.exhibit import Exhibit
from invivo.model.load import Loaded

from . import tiny

PAGES = ("08h wind N, sea calm.", "12h wind S, sea rough.", "20h wind N, lamp lit.")
PLAIN = ("The cat sat on the mat.", "A dog ran home.")


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: Any) -> Model:
    weights = tiny.weights(request.param, size=replace(tiny.TINY, context=128))
    return Model(wake(Loaded(weights, tiny.tokenizer(), request.param, "random")))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that a tiny model can read, one character a token."""
    for module in (ways, shots):
        monkeypatch.setattr(module, "pages", lambda count, seed=0: [PAGES[(n + seed) % 3] for n in range(count)])


def cost(hf: Any, text: list[int], before: list[int]) -> float:
    """Mean surprise at a text's tokens from the second on, one call of the model for each."""
    found = []
    for n in range(1, len(text)):
        with torch.no_grad():
            logs = hf(input_ids=torch.tensor([before + text[:n]])).logits[0, -1].double().log_softmax(-1)
        found.append(-float(logs[text[n]]))
    return sum(found) / len(found)


def test_an_adapter_is_counted_switched_off_and_merged(model: Model) -> None:
    shown = model.show("adapters", ranks=[1, 3], vectors=2, examples=1, full=True, steps=6, texts=list(PLAIN))
    x = shown.numbers
    shapes = [m.weight.shape for _, m in block_matrices(model.living, model.hf)]
    for rank in (1, 3):
        assert x[f"lora{rank}_trained"] == x[f"lora{rank}_expected"] == sum(rank * (a + b) for a, b in shapes)
        assert x[f"lora{rank}_rank"] == rank
        assert x[f"lora{rank}_off"] < 1e-6
        assert x[f"lora{rank}_merged"] < 1e-4
        assert x[f"lora{rank}_moved"] > 1e-2
    assert x["prompt_trained"] == 2 * tiny.TINY.width
    assert x["full_trained"] == x["parameters"] == sum(p.numel() for p in model.hf.parameters())
    book, plain = ([model.living.encode(t) for t in texts] for texts in (ways.pages(ways.READ, seed=1), PLAIN))
    front = model.living.encode(PAGES[2] + "\n")
    assert x["base_domain"] == pytest.approx(sum(cost(model.hf, t, []) for t in book) / len(book), abs=1e-4)
    assert x["base_plain"] == pytest.approx(sum(cost(model.hf, t, []) for t in plain) / 2, abs=1e-4)
    assert x["examples_domain"] == pytest.approx(sum(cost(model.hf, t, front) for t in book) / len(book), abs=1e-4)
    adapted = adapters.put_on(model.living, copy.deepcopy(model.hf), 3)
    toys.fit(adapted, ways.batches(model.living, 6), steps=6, rate=ways.RATES["lora"])
    assert x["lora3_domain"] == pytest.approx(sum(cost(adapted, t, []) for t in book) / len(book), abs=1e-4)
    assert x["lora3_domain"] < x["base_domain"] - 0.01
    assert Exhibit.from_json(shown.to_json()) == shown


def test_what_is_off_or_merged_wrongly_is_told(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"ranks": [2], "vectors": 0, "examples": 0, "full": False, "steps": 6, "texts": list(PLAIN)}
    monkeypatch.setattr(adapters, "merge", lambda adapted: adapted.unload())  # the adapter is dropped instead
    x = model.show("adapters", **asked).numbers
    assert x["lora2_merged"] == pytest.approx(x["lora2_moved"], rel=1e-4)
    assert x["lora2_rank"] == 0


def test_shots_are_surprise_behind_so_many_pages(model: Model) -> None:
    x = model.show("shots", counts=[0, 1, 3], pages=2).numbers
    new = [model.living.encode(PAGES[(n + 1) % 3]) for n in range(2)]
    given = [model.living.encode(PAGES[(n + 2) % 3] + "\n") for n in range(3)]
    for count in (0, 1, 3):
        front = [token for page in given[:count] for token in page]
        assert x[f"pages_{count}"] == pytest.approx(sum(cost(model.hf, t, front) for t in new) / 2, abs=1e-4)
    assert x["shuffled_0"] == x["pages_0"]
    assert abs(x["shuffled_3"] - x["pages_3"]) > 1e-4
