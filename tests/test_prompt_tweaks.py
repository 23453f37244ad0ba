"""Tweaks of the prompt: a row that reads another text, and what is compared then."""

from __future__ import annotations

import pytest
import torch

import invivo
from invivo.errors import BadText, OutOfRange, Refused, UnknownName
from invivo.tweaks import Stack, Wrap, read_tweak
from tests import tiny

PROMPT = "the cat sat on the mat"
GIVEN = ["prepend", "append", "replace", "wrap"]
LINES = {
    "prepend": ('prepend "a dog. "', "a dog. " + PROMPT),
    "append": ('append " and"', PROMPT + " and"),
    "replace": ('replace "cat" with "big old dog"', "the big old dog sat on the mat"),
    "wrap": ('wrap in "Q: {} A:"', f"Q: {PROMPT} A:"),
}


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request):
    return tiny.model(request.param)


@pytest.mark.parametrize("name", GIVEN)
def test_a_row_says_what_base_says_to_that_prompt(model, name):
    line, text = LINES[name]
    row = model.compare(PROMPT, line, max_new_tokens=6, target=" x").tweaks[0]
    alone = model.compare(text, max_new_tokens=6, target=" x").base
    assert row.ids == alone.ids
    assert row.said_nats == pytest.approx(alone.said_nats, abs=1e-5)
    assert row.target_nats == pytest.approx(alone.target_nats, abs=1e-5)


@pytest.mark.parametrize("name", GIVEN)
def test_it_reads_bases_words_behind_its_own_prompt(model, name):
    line, text = LINES[name]
    done = model.compare(PROMPT, line, max_new_tokens=6)
    row, said = done.tweaks[0], list(done.base.ids)
    with torch.no_grad():
        ours, theirs = (
            model.hf(input_ids=torch.tensor([ids + said])).logits[0, -len(said) - 1 :].double().log_softmax(-1)
            for ids in (model.tokenizer(PROMPT).input_ids, model.tokenizer(text).input_ids)
        )
    expected = (ours.exp() * (ours - theirs)).sum(-1)
    assert row.kl_nats[-len(said) - 1 :] == pytest.approx(expected.tolist(), abs=1e-5)
    surprise = -theirs[:-1].gather(1, torch.tensor(said)[:, None]).mean()
    assert row.perplexity == pytest.approx(float(surprise.exp()), rel=1e-4)
    assert max(row.kl_nats) > 1e-4


def test_texts_are_compared_from_where_they_are_the_same_again(model):
    done = model.compare(PROMPT, 'replace "cat" with "dog"', 'prepend "a dog. "', max_new_tokens=0)
    changed, longer = (row.kl_nats for row in done.tweaks)
    ids = [model.tokenizer(text).input_ids for text in (PROMPT, PROMPT.replace("cat", "dog"))]
    alike = next(n for n, (a, b) in enumerate(zip(*map(reversed, ids), strict=False)) if a != b)
    assert all(kl == 0 for kl in changed[:-alike])
    assert all(kl > 0 for kl in changed[-alike:])
    assert done.tweaks[0].perplexity is None
    assert longer[-1] > 0


def test_a_row_with_a_prompt_has_its_own_positions(model):
    row = model.compare(PROMPT, 'prepend "a dog. " + zero embed at 0', max_new_tokens=4).tweaks[0]
    alone = model.compare("a dog. " + PROMPT, "zero embed at 0", max_new_tokens=4).tweaks[0]
    assert row.ids == alone.ids
    assert row.said_nats == pytest.approx(alone.said_nats, abs=1e-5)


def test_rows_throw_the_same_dice_whatever_they_read(model):
    how = {"do_sample": True, "temperature": 1.0, "max_new_tokens": 8, "seed": 3}
    row = model.compare(PROMPT, 'prepend "a dog. "', **how).tweaks[0]
    assert row.ids == model.compare("a dog. " + PROMPT, **how).base.ids


def test_a_file_comes_in_front(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples.txt").write_text("a b\nc d\n")
    row = model.compare(PROMPT, "prepend examples.txt", max_new_tokens=4).tweaks[0]
    assert row.ids == model.compare("a b\nc d\n\n" + PROMPT, max_new_tokens=4).base.ids
    assert any("examples.txt" in note and "sha256" in note for note in row.notes)
    assert read_tweak("prepend examples.txt").files == ("examples.txt",)


@pytest.mark.parametrize(
    ("line", "error", "told"),
    [
        ("prepend nowhere.txt", UnknownName, "no file here"),
        ("prepend .", UnknownName, "is a folder"),
        ('replace "dog" with "x"', BadText, "the prompt has no 'dog'"),
        ('prepend "' + "word " * 200 + '"', OutOfRange, "reads at most"),
    ],
)
def test_what_cannot_be_read_is_refused(model, line, error, told):
    with pytest.raises(error, match=told):
        model.compare(PROMPT, line, max_new_tokens=2)


def test_a_template_has_one_place(tmp_path):
    for wrong in ("none", "{} and {}"):
        with pytest.raises(BadText, match="places for the prompt"):
            Wrap.of({"template": wrong})
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n")
    with pytest.raises(BadText, match="is empty"):
        tiny.model("gpt2").compare(PROMPT, f"prepend {empty}")


def test_what_looks_at_one_prompt_says_so(model):
    with pytest.raises(Refused, match="changes the prompt"):
        model.lens(PROMPT, 'prepend "a "')
    with pytest.raises(Refused, match="changes the prompt"):
        model.sweep("zero head *", PROMPT, under=Stack.of('append " b"'))


def test_the_recipe_reads_back(model):
    done = model.compare(PROMPT, *(line for line, _ in LINES.values()), max_new_tokens=1)
    assert invivo.Experiment.from_yaml(done.recipe.to_yaml()) == done.recipe
