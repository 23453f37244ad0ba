"""Rows that are heard while they speak give what a pass over BASE's text gives: the fast way and its slow twin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from invivo.engine import reading
from invivo.engine.compare import Interrupted
from invivo.engine.live import Model
from invivo.engine.reading import Reading
from invivo.experiment import Comparison

from . import tiny
from .test_engine import OPEN_SAMPLE, OTHER, PROMPT, TWEAKS, possible

STEPS = 10


@pytest.fixture(scope="module", params=OPEN_SAMPLE)
def model(request: pytest.FixtureRequest) -> Model:
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def gpt2() -> Model:
    return tiny.model("gpt2")


@contextmanager
def calls(model: Model) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of the ids that the model is called on."""
    seen: list[tuple[int, ...]] = []
    handle = model.hf.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    try:
        yield seen
    finally:
        handle.remove()


def both(
    model: Model, monkeypatch: pytest.MonkeyPatch, *tweaks: str, **settings: Any
) -> tuple[Comparison, Comparison, list[tuple[int, ...]]]:
    """The same comparison heard and read, and the calls of the former."""
    with calls(model) as seen:
        heard = model.compare(PROMPT, *tweaks, prompts={"other": OTHER}, max_new_tokens=STEPS, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(Reading, "can_hear", lambda *_: False)
        read = model.compare(PROMPT, *tweaks, prompts={"other": OTHER}, max_new_tokens=STEPS, **settings)
    return heard, read, [shape for shape in seen if shape[0] > 1]


def agree(heard: Comparison, read: Comparison) -> None:
    """All that is measured on BASE's text, and what was said."""
    for mine, other in zip((heard.base, *heard.tweaks), (read.base, *read.tweaks), strict=True):
        assert mine.ids == other.ids
        assert len(mine.entropy_nats) == len(heard.prompt_ids) + len(heard.base.ids)
        assert mine.entropy_nats == pytest.approx(other.entropy_nats, abs=1e-4)
        assert mine.said_nats == pytest.approx(other.said_nats, abs=1e-4)
        assert mine.perplexity == pytest.approx(other.perplexity, rel=1e-4)
        assert [c.id for c in mine.next] == [c.id for c in other.next]
    for mine, other in zip(heard.tweaks, read.tweaks, strict=True):
        assert mine.kl_nats == pytest.approx(other.kl_nats, abs=2e-5, rel=1e-4), mine.tweak
        assert mine.top_changed == other.top_changed
        assert (mine.first_divergence, mine.notes) == (other.first_divergence, other.notes)


@pytest.mark.parametrize("sample", [False, True])
def test_heard_is_read(model: Model, sample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tweaks = [t for t in TWEAKS if possible(model, t) and "beams" not in t]
    heard, read, seen = both(model, monkeypatch, *tweaks, do_sample=sample)
    agree(heard, read)
    assert sum(t.first_divergence is not None for t in heard.tweaks) > len(tweaks) / 3
    assert sum(max(t.kl_nats) > 1e-3 for t in heard.tweaks) > len(tweaks) / 3
    # One call a token and one for BASE's last; nothing is read anew, and whoever parted has a second row.
    runs = (heard.base, *heard.tweaks)
    steps = max(len(heard.base.ids) + 1, *(len(run.ids) for run in runs))
    assert [columns for _, columns in seen] == [len(heard.prompt_ids), *[1] * (steps - 1)]
    parted = sum(t.first_divergence is not None and t.first_divergence < len(heard.base.ids) for t in heard.tweaks)
    assert max(rows for rows, _ in seen) == len(runs) + parted


@pytest.mark.parametrize("who", ["base", "tweak"])
@pytest.mark.parametrize("at", [0, 3])
def test_a_text_that_ends_before_the_other(gpt2: Model, who: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("scale L1.resid_post by 1.7 during generation", "zero head 1.2", "set seed 3")
    first = gpt2.compare(PROMPT, *lines, max_new_tokens=STEPS, do_sample=True)
    end = (first.base if who == "base" else first.tweaks[1]).ids[at]
    monkeypatch.setattr(gpt2.hf.generation_config, "eos_token_id", end)
    heard, read, _ = both(gpt2, monkeypatch, *lines, do_sample=True)
    agree(heard, read)
    assert (heard.base if who == "base" else heard.tweaks[1]).ids[-1] == end
    assert len({len(run.ids) for run in (heard.base, *heard.tweaks)}) > 1


@pytest.mark.parametrize("stretch", [1, 2, 5, 1000])
def test_a_prompt_is_heard_in_stretches(gpt2: Model, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invivo.engine.decode.STRETCH", stretch)
    told: list[tuple[Reading, int, list[int]]] = []
    real = Reading.hear

    def noting(self: Reading, numbers: Any, predicted: Any, readers: Any, following: Any) -> None:
        told.append((self, predicted.probs.shape[1], list(following)))
        real(self, numbers, predicted, readers, following)

    monkeypatch.setattr(Reading, "hear", noting)
    heard, read, _ = both(gpt2, monkeypatch, "zero head 1.2", "scale embed at 2 by 1.1", 'add 2 to logit "e"')
    agree(heard, read)
    text = [*heard.prompt_ids, *heard.base.ids]
    assert all(positions == len(following) <= stretch for _, positions, following in told)
    assert [token for *_, following in told for token in following] == [*text[1:], text[-1]]
    assert told[0][0].heard[: len(text)] == text


def test_one_token_and_none(gpt2: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for steps in (0, 1):
        with calls(gpt2) as seen:
            heard = gpt2.compare(PROMPT, "zero head 1.2", max_new_tokens=steps)
        with monkeypatch.context() as patch:
            patch.setattr(Reading, "can_hear", lambda *_: False)
            agree(heard, gpt2.compare(PROMPT, "zero head 1.2", max_new_tokens=steps))
        assert len(seen) == 1 + steps


@pytest.mark.parametrize(
    "line",
    ["set beams 3", "prepend 'Well then. '", "send head 0.1 to mlp 1 from other"],
)
def test_what_cannot_be_heard_is_read(gpt2: Model, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts are several texts, another prompt has other positions, and what is carried belongs to one text."""
    heard, read, seen = both(gpt2, monkeypatch, "zero head 1.2", line)
    agree(heard, read)
    assert any(columns > len(heard.prompt_ids) for _, columns in seen)


def test_little_memory_and_exact_read(gpt2: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for patch in (
        lambda: monkeypatch.setattr("invivo.engine.reading.LOGIT_BYTES", 1),
        lambda: monkeypatch.setenv("INVIVO_EXACT", "1"),
    ):
        patch()
        heard, read, seen = both(gpt2, monkeypatch, "zero head 1.2")
        agree(heard, read)
        assert any(columns > len(heard.prompt_ids) for _, columns in seen)
        monkeypatch.undo()


@pytest.mark.parametrize("at", [1, 4, 9])
def test_ctrl_c_while_a_row_is_heard(gpt2: Model, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a row's numbers, also of the last ones: what is kept is whole."""
    real, asked = reading.divergence, [0]

    def stopping(*rest: Any) -> Any:
        asked[0] += 1
        if asked[0] == at:
            raise KeyboardInterrupt
        return real(*rest)

    monkeypatch.setattr(reading, "divergence", stopping)
    try:
        kept = gpt2.compare(PROMPT, "zero head 1.2", max_new_tokens=8)
    except Interrupted as stop:
        kept = stop.kept
    except KeyboardInterrupt:
        assert at == 1  # nothing had been said
        return
    length = len(kept.prompt_ids) + len(kept.base.ids)
    (tweak,) = kept.tweaks
    assert {len(x) for x in (tweak.kl_nats, tweak.entropy_nats, tweak.top_changed)} == {length}
    assert len(kept.base.entropy_nats) == length
    monkeypatch.undo()
    assert gpt2.run(kept.recipe).tweaks[0].kl_nats == pytest.approx(tweak.kl_nats, abs=1e-6)


def test_who_never_parts_is_base_to_the_bit(gpt2: Model) -> None:
    """A tweak that does nothing beside one that parts: the fork does not touch the others."""
    result = gpt2.compare(PROMPT, "scale head 1.1 by 1", "zero head 1.2", max_new_tokens=STEPS)
    same, other = result.tweaks
    assert max(same.kl_nats) == 0
    assert same.entropy_nats == result.base.entropy_nats
    assert other.first_divergence is not None
    assert 1e-3 < max(other.kl_nats) < math.inf


def test_positions_are_turned_on_every_draft() -> None:
    """Scaled positions of a rotary model reach a row's further batch rows: what it says is what it would say alone."""
    llama = tiny.model("llama")
    line = "boost positions by 1.5"
    result = llama.compare(PROMPT, f"{line} + set beams 3", line, max_new_tokens=STEPS)
    ids = list(result.prompt_ids)
    for run in result.tweaks:
        with pytest.warns(UserWarning, match="no position vectors"), llama.tweaked(line) as hf:
            logits = hf(input_ids=torch.tensor([[*ids, *run.ids]])).logits[0].log_softmax(-1)
        nats = [float(logits[len(ids) + k - 1, token]) for k, token in enumerate(run.ids)]
        assert run.said_nats == pytest.approx(nats, abs=2e-4)
