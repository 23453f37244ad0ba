"""`train … on`, `reset weights`: second models that learned or forgot, against a loop written out here."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch

from invivo.engine.live import Model
from invivo.engine.makers import second
from invivo.errors import BadText, InvivoError, OutOfRange, Refused, UnknownName
from invivo.experiment import Experiment
from invivo.surfaces.server.runs import check
from invivo.tweaks import Stack, Train, TrainFile, read_tweak

from . import tiny

PROMPT, TEXT = "the cat sat on", "the cat sat on a red hat"


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Model:
    return tiny.model(request.param)


def trained(model: Model, steps: int, rate: float) -> torch.nn.Module:
    """The same by hand: AdamW, the rate up and down a half cosine, gradients cut to length 1."""
    hf = copy.deepcopy(model.hf).train()
    for p in hf.parameters():
        p.requires_grad_(True)
    ids = torch.tensor([model.living.encode(TEXT)])
    optimizer = torch.optim.AdamW(hf.parameters(), betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(steps):
        torch.manual_seed(step)  # for dropout
        up = (step + 1) / max(1.0, 0.05 * steps)
        optimizer.param_groups[0]["lr"] = rate * min(1, up, 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
        logs = hf(input_ids=ids).logits[0, :-1].log_softmax(-1)
        loss = -logs.gather(-1, ids[0, 1:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(hf.parameters(), 1.0)
        optimizer.step()
    return hf.eval()


def test_training_is_that_of_a_plain_loop_and_base_is_untouched(model: Model) -> None:
    before = {name: p.clone() for name, p in model.hf.named_parameters()}
    done = model.compare(PROMPT, f'train 4 steps on "{TEXT}" at rate 0.002', max_new_tokens=4)
    ids = torch.tensor([[*done.prompt_ids, *done.base.ids]])
    taught = trained(model, 4, 2e-3)
    with torch.no_grad():
        base, other = (hf(input_ids=ids).logits[0].double().log_softmax(-1) for hf in (model.hf, taught))
    assert done.tweaks[0].kl_nats == pytest.approx((base.exp() * (base - other)).sum(-1).tolist(), abs=1e-4)
    assert max(done.tweaks[0].kl_nats) > 1e-2
    assert all(torch.equal(p, before[name]) for name, p in model.hf.named_parameters())
    assert "nats a token at the first step" in done.tweaks[0].notes[0]


def test_no_steps_are_base_and_many_learn_the_text(model: Model) -> None:
    lines = (f'train 0 steps on "{TEXT}"', f'train 20 steps on "{TEXT}" at rate 0.005')
    done = model.compare(PROMPT, *lines, read=TEXT, max_new_tokens=4)
    assert done.tweaks[0].ids == done.base.ids
    assert max(done.tweaks[0].kl_nats) < 1e-6
    assert (done.tweaks[1].read_perplexity or 0) < 0.3 * (done.base.read_perplexity or 0)


def test_more_rows_than_are_kept_are_each_trained(model: Model) -> None:
    lines = [f'train {n} steps on "{TEXT}" at rate 0.01' for n in (1, 2, 3, 4, 5, 6)]
    rows = model.compare(PROMPT, *lines, read=TEXT, max_new_tokens=1).tweaks
    values = [r.read_perplexity or 0.0 for r in rows]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 6


def test_reset_weights_know_nothing_and_a_seed_is_a_model(model: Model) -> None:
    done = model.compare(PROMPT, "reset weights", "reset weights seed 1", "reset weights seed 1", read=TEXT)
    one, two, same = (math.log(r.read_perplexity or 0) for r in done.tweaks)
    vocabulary = model.hf.get_input_embeddings().weight.shape[0]
    assert one == pytest.approx(math.log(vocabulary), abs=0.3)
    assert two == same != one
    made = second(model.living, [read_tweak("reset weights")]).living.hf
    assert type(made) is type(model.hf)
    assert not torch.equal(made.get_input_embeddings().weight, model.hf.get_input_embeddings().weight)


def test_a_kind_that_cannot_be_made_anew_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_more(*_: object) -> None:
        raise TypeError("__init__() misses a vision tower")

    monkeypatch.setattr(type(model.hf), "__init__", needs_more)
    with pytest.raises(Refused, match=r"cannot be made anew with random weights: .* vision tower"):
        model.compare(PROMPT, "reset weights seed 5")


def test_tweaks_of_one_stack_come_in_order(model: Model) -> None:
    train = f'train 3 steps on "{TEXT}"'
    rows = model.compare(
        PROMPT, f"reset weights + {train}", f"{train} + reset weights", "reset weights", read=TEXT
    ).tweaks
    assert rows[1].read_perplexity == rows[2].read_perplexity != rows[0].read_perplexity


def test_long_texts_are_read_in_windows(model: Model) -> None:
    from invivo.engine.makers._train import ROWS, windows

    ids = list(range(50))
    for rows in windows(ids, 5, 8):
        assert rows.shape == (ROWS, 8)
        assert (rows[:, 1:] - rows[:, :-1] == 1).all()
    assert [w.tolist() for w in windows(ids, 2, 50)] == [[ids]] * 2
    assert [w.tolist() for w in windows(ids, 3, 8)] == [w.tolist() for w in windows(ids, 3, 8)]


def test_a_file_is_its_text_and_another_text_another_model(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    line = f"train 3 steps on {file}"
    first = model.compare(PROMPT, line, f'train 3 steps on "{TEXT}"', max_new_tokens=2).tweaks
    assert first[0].kl_nats == first[1].kl_nats
    file.write_text("a dog ran to the door")
    assert model.compare(PROMPT, line, max_new_tokens=2).tweaks[0].kl_nats != first[0].kl_nats
    with pytest.raises(UnknownName, match="no file here"):
        model.compare(PROMPT, f"train 3 steps on {tmp_path / 'none.txt'}")


def test_mistakes_are_told(model: Model) -> None:
    assert isinstance(read_tweak('train 3 steps on "a b"'), Train)
    assert isinstance(read_tweak("train 3 steps on notes.txt"), TrainFile)
    assert str(read_tweak('train 3 steps on "a b" at rate 0.0003')) == 'train 3 steps on "a b"'
    for line in ('train -1 steps on "a"', 'train 99999 steps on "a"', 'train 3 steps on "a b" at rate 0'):
        with pytest.raises(InvivoError):
            Stack.of(line)
    with pytest.raises(BadText, match="single token"):
        model.compare(PROMPT, 'train 3 steps on "a"')


def test_the_page_does_not_train_for_hours() -> None:
    def recipe(steps: int) -> Experiment:
        return Experiment.of({"prompt": PROMPT, "tweaks": [f'train {steps} steps on "{TEXT}"']})

    check(recipe(200))
    with pytest.raises(OutOfRange, match="201 steps of training"):
        check(recipe(201))
