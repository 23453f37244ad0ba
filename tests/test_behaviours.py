"""What fruitfly is said to do: each measure on a model whose answer is known, then the shipped model and its bars."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `training` is no part of the package: it runs from the repository's root

from invivo.errors import InvivoError  # noqa: E402
from invivo.training.measure import Score  # noqa: E402
from training import behaviours as measured  # noqa: E402
from training.behaviours import (  # noqa: E402
    BEHAVIOURS,
    Bar,
    Behaviour,
    Found,
    Subject,
    answers,
    english,
    entry,
    facts,
    grammar,
    indirect,
    induction,
    lists,
    reading,
    refusal,
    sampling,
    style,
)
from training.blocks import BLOCKS  # noqa: E402
from training.card import card, fill, marks  # noqa: E402
from training.evaluate import earlier, language, lineage  # noqa: E402
from training.generator import facts as written_facts  # noqa: E402
from training.generator import items  # noqa: E402
from training.generator.words import HELDOUT_NAMES  # noqa: E402

SHIPPED = ROOT / "src" / "invivo" / "model" / "fruitfly"
END = 0


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(SHIPPED, local_files_only=True)


def gpt2(seed: int = 0, layers: int = 2, context: int = 160, vocabulary: int = 8192) -> GPT2LMHeadModel:
    """A random model whose parts all have an effect that can be measured."""
    torch.manual_seed(seed)
    sizes = dict(n_embd=32, n_layer=layers, n_head=4, n_positions=context, vocab_size=vocabulary)
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=END, eos_token_id=END, initializer_range=0.3)).eval()


class Rule(torch.nn.Module):
    """A model that follows one rule: `rule(ids so far)` is the token that it is sure of, or None for no idea."""

    def __init__(self, rule: Callable[[list[int]], int | None], vocabulary: int = 8192) -> None:
        super().__init__()
        self.rule = rule
        self.config = SimpleNamespace(vocab_size=vocabulary, n_positions=512, eos_token_id=END)
        self.device = torch.device("cpu")

    def forward(self, ids: torch.Tensor, use_cache: bool = True, logits_to_keep: int = 0) -> SimpleNamespace:
        logits = torch.zeros(*ids.shape, self.config.vocab_size)
        for row, line in enumerate(ids.tolist()):
            for i in range(len(line) - logits_to_keep if logits_to_keep else 0, len(line)):
                if (token := self.rule(line[: i + 1])) is not None:
                    logits[row, i, token] = 20.0
        return SimpleNamespace(logits=logits[:, -logits_to_keep:])


def copies(line: list[int]) -> int | None:
    """What came after the last token's place before."""
    before = [i for i, token in enumerate(line[:-1]) if token == line[-1]]
    return line[before[-1] + 1] if before else None


def met(behaviour: Behaviour, found: Found) -> bool:
    return all(bar.met(found.figures) for bar in behaviour.bars)


# ---- bars ----


@pytest.mark.parametrize(
    ("bar", "value", "reached"),
    [
        (Bar("x", at_least=0.5), 0.5, True),
        (Bar("x", at_least=0.5), 0.4999, False),
        (Bar("x", at_most=0.5), 0.5, True),
        (Bar("x", at_most=0.5), 0.5001, False),
        (Bar("x", at_most=0.0), 0.0, True),
        (Bar("x", at_least=0.5), math.nan, False),
        (Bar("x", at_most=0.5), math.nan, False),
        (Bar("x"), 0.5, False),
    ],
)
def test_a_bar_is_reached_or_not(bar: Bar, value: float, reached: bool) -> None:
    assert bar.met({"x": value}) is reached
    assert not bar.met({"y": value})


def test_an_entry_is_judged_by_the_figures_it_shows() -> None:
    told = entry("asked", {"a": 0.94996, "b": math.nan}, (Bar("a", at_least=0.95),))
    assert told == {"asked": "asked", "figures": {"a": 0.95}, "bars": [{"figure": "a", "at_least": 0.95}], "met": True}
    assert not entry("asked", {"a": 0.94994}, (Bar("a", at_least=0.95),))["met"]
    assert not entry("asked", {"a": 1.0}, (Bar("a", at_least=0.5), Bar("b", at_most=0.5)))["met"]
    assert entry("asked", {}, (Bar("b", at_most=0.5),))["bars"] == [{"figure": "b", "at_most": 0.5}]


def test_every_bar_asks_for_something_and_every_module_is_entered() -> None:
    for name, behaviour in BEHAVIOURS.items():
        assert name == "grammar" or behaviour.bars
        assert not met(behaviour, Found({}, {})) or name == "grammar"
        for bar in behaviour.bars:
            assert (bar.at_least is None) != (bar.at_most is None)
    modules = {p.stem for p in (ROOT / "training" / "behaviours").glob("*.py")}
    assert modules - {"__init__", "answers", "behaviour", "hooks", "sampling"} == set(BEHAVIOURS)


@pytest.mark.parametrize("module", [indirect, lists, style, refusal, reading])
def test_only_the_held_out_side_is_asked(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Exception):
        pass

    def asked(kind: str, split: str, *given: Any, **more: Any) -> None:
        raise Asked(split)

    monkeypatch.setattr(module, "items", asked)
    with pytest.raises(Asked, match=r"^test$"):
        module.measure(Subject(Rule(copies), tokenizer()))


# ---- answers ----


def test_given_is_what_decoding_gives() -> None:
    model = gpt2(context=24)
    dice = random.Random(1)
    pairs = []
    for length in (3, 3, 5, 9, 9, 9):
        prompt = [dice.randrange(1, 8192) for _ in range(length)]
        ids = list(prompt)
        for _ in range(length % 4 + 1):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        pairs.append((prompt, ids[length:]))
    assert answers.given(model, pairs).tolist() == [True] * 6
    for at in (0, -1):
        wrong = [(p, [(t + (i == at % len(a))) % 8192 for i, t in enumerate(a)]) for p, a in pairs]
        assert answers.given(model, wrong).tolist() == [False] * 6
    with torch.no_grad():
        full = [1] * 24, [int(model(torch.tensor([[1] * 24])).logits[0, -1].argmax())]
    assert answers.given(model, [full, ([1, *full[0]], full[1])]).tolist() == [True, False]  # too long to be read


def test_differences_are_of_the_first_token_that_differs() -> None:
    model = gpt2()
    one, two = [5, 6, 7], [8, 9]
    asked = [answers.Contrast((1, 2, *one), 10, 11), answers.Contrast((3, *two), 12, 13), answers.Contrast((4,), 9, 9)]
    with torch.no_grad():
        alone = [model(torch.tensor([c.row])).logits[0, -1] for c in asked]
    want = [float(line[c.right] - line[c.wrong]) for line, c in zip(alone, asked, strict=True)]
    assert answers.differences(model, asked) == pytest.approx(want, abs=1e-4)
    assert want[0] != 0 != want[1]

    item = replace(items("indirect", "test", 1)[0], prompt="Give it to", answer=" Marmalade", wrong=" Marmoset")
    (contrast,) = answers.contrasts([item], tokenizer())
    right, wrong = (answers.encoded(text, tokenizer()) for text in (item.answer, item.wrong))
    shared = len(contrast.row) - len(answers.encoded(item.prompt, tokenizer()))
    assert shared >= 1
    assert right[:shared] == wrong[:shared] == list(contrast.row[-shared:])
    assert (contrast.right, contrast.wrong) == (right[shared], wrong[shared])
    assert contrast.right != contrast.wrong


# ---- induction ----


def test_copying_is_an_induction_drop_and_nothing_else_is() -> None:
    drop = partial(induction.induction_drop, rows=4, length=16)
    assert drop(Rule(copies)) == pytest.approx(math.log(8192), abs=0.01)
    assert abs(drop(Rule(lambda line: None))) < 1e-5
    assert drop(Rule(lambda line: line[-1])) == pytest.approx(0, abs=0.2)  # sure, and wrong in both rounds
    assert not met(BEHAVIOURS["induction"], induction.measure(Subject(gpt2(), tokenizer()), rows=8))


def test_heads_are_scored_by_where_they_look() -> None:
    length, places = 5, torch.arange(10)
    heads = torch.zeros(1, 4, 10, 10)
    for head, back in enumerate((1, length, length - 1, 3)):
        heads[0, head, places, (places - back).clamp(min=0)] = 1.0
    found = induction.scores([torch.zeros_like(heads), heads], length)
    assert found["previous_token"].tolist() == [[0.0] * 4, [1.0, 0.0, 0.0, 0.0]]
    assert found["duplicate_token"].tolist() == [[0.0] * 4, [0.0, 1.0, 0.0, 0.0]]
    assert found["induction"].tolist() == [[0.0] * 4, [0.0, 0.0, 1.0, 0.0]]
    assert induction.best(found["induction"], 1) == [{"head": "1.2", "score": 1.0}]
    first = heads.clone()
    first[:, 2, length:] = 0  # looks there from the first round only: that is no induction
    assert induction.scores([first], length)["induction"].max() == 0


def test_attention_is_read_and_the_model_left_as_it_was() -> None:
    model = gpt2()
    model.set_attn_implementation("sdpa")
    ids = induction.strings(model, 3, 8, seed=1)
    found = induction.attentions(model, ids)
    assert [tuple(a.shape) for a in found] == [(3, 4, 16, 16)] * 2
    assert torch.allclose(found[1].sum(-1), torch.ones(3, 4, 16), atol=1e-5)
    assert float(found[0].triu(1).abs().max()) == 0
    assert model.config._attn_implementation == "sdpa"
    with pytest.raises(IndexError):
        induction.attentions(model, torch.full((1, 4), 9999))
    assert model.config._attn_implementation == "sdpa"


# ---- indirect objects ----


def test_the_receiver_is_told_from_the_giver() -> None:
    asked = items("indirect", "test", 60, seed=3)

    def told(choose: Callable[[list[str]], str]) -> dict[str, float]:
        def rule(line: list[int]) -> int:
            named = [name for name in re.findall("[A-Z][a-z]+", tokenizer().decode(line)) if name in HELDOUT_NAMES]
            return answers.encoded(" " + choose(named), tokenizer())[0]

        return indirect.shares(Rule(rule), asked, tokenizer())

    once = told(lambda named: min(named, key=named.count))
    assert once["right"] == once["right_ABBA"] == once["exact"] == 1
    assert once["difference_nats"] == 20
    last = told(lambda named: named[-1])
    assert (last["right"], last["exact"], last["difference_nats"]) == (0, 0, -20)
    first = told(lambda named: named[0])
    assert (first["right_ABBA"], first["right_BABA"]) == (1, 0)
    assert (first["right_receiver_first"], first["right_receiver_later"] < first["right"]) == (1, True)
    assert 0.2 < first["right"] < 0.8


def test_mean_ablation_is_a_constant_in_the_place_of_a_head() -> None:
    model = gpt2()
    dice = random.Random(0)
    asked = [
        answers.Contrast(tuple(dice.randrange(1, 8192) for _ in range(n)), dice.randrange(1, 8192), 7)
        for n in (4, 4, 7, 9)
    ]
    layer, head, part = 1, 2, slice(16, 24)
    base = answers.differences(model, asked).mean()
    change = indirect.ablations(model, asked)
    assert change.shape == (2, 4)
    assert answers.differences(model, asked).mean() == base  # every hook is off again

    # The same by hand: the head's rows of the output matrix give way to what the mean would give through them.
    mean = indirect.mean_inputs(model, asked)[layer]
    projection = model.transformer.h[layer].attn.c_proj
    with torch.no_grad():
        projection.bias += mean[part] @ projection.weight[part]
        projection.weight[part] = 0
    by_hand = (answers.differences(model, asked).mean() - base) / max(abs(base), 1)
    assert change[layer, head] == pytest.approx(by_hand, abs=1e-5)
    assert abs(by_hand) > 1e-3
    again = indirect.ablations(model, asked)
    assert again[layer, head] == 0
    assert abs(again[layer, head - 1]) > 1e-3


def test_the_mean_of_a_head_is_over_every_token() -> None:
    model = gpt2()
    rows = [(5, 6, 7), (8, 9)]
    seen: list[torch.Tensor] = []
    handle = model.transformer.h[0].attn.c_proj.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        for row in rows:
            model(torch.tensor([row]))
    handle.remove()
    want = torch.cat([z[0] for z in seen]).mean(0)
    assert torch.allclose(indirect.mean_inputs(model, [answers.Contrast(r, 1, 2) for r in rows])[0], want, atol=1e-5)
    assert not torch.allclose(want, seen[0][0].mean(0), atol=1e-3)


def test_heads_are_named_by_what_they_change() -> None:
    change = np.array([[0.01, -0.5, 0.2], [0.1, 0.09, -0.02]])
    assert indirect.strongest(change) == [
        {"head": "0.1", "change": -0.5},
        {"head": "0.2", "change": 0.2},
        {"head": "1.0", "change": 0.1},
        {"head": "1.1", "change": 0.09},
    ]
    assert len(indirect.strongest(np.full((2, 3), 0.3))) == 6


# ---- facts ----


def test_patching_finds_the_layer_that_reads_the_subject() -> None:
    dice = random.Random(2)
    pairs = []
    for _ in range(6):
        clean = [dice.randrange(1, 8192) for _ in range(8)]
        corrupt = [*clean[:2], *(dice.randrange(1, 8192) for _ in range(2)), *clean[4:]]
        pairs.append(facts.Pair(tuple(clean), tuple(corrupt), dice.randrange(1, 8192), dice.randrange(1, 8192)))
    assert pairs[0].where == [2, 3]
    shares, difference = facts.restored(gpt2(layers=3), pairs)
    assert shares[0] == pytest.approx(1, abs=1e-4)
    assert abs(difference) > 1e-3
    for reader in range(3):  # only this layer's attention moves anything
        model = gpt2(layers=3)
        for layer, block in enumerate(model.transformer.h):
            if layer != reader:
                torch.nn.init.zeros_(block.attn.c_proj.weight)
        shares, difference = facts.restored(model, pairs)
        assert shares == pytest.approx([1.0] * (reader + 1) + [0.0] * (2 - reader), abs=1e-3)
        assert abs(difference) > 1e-3


def test_pairs_differ_in_their_subject_alone() -> None:
    everything = written_facts.test_items()
    found = facts.pairs(everything, tokenizer(), 40)
    assert len(set(found)) == 40
    prompts = {tuple(answers.encoded(item.prompt, tokenizer())) for item in everything}
    for pair in found:
        assert pair.clean in prompts
        assert pair.corrupt in prompts
        assert pair.right != pair.wrong
        assert 0 < len(pair.where) < len(pair.clean)
        assert len(pair.clean) - 1 not in pair.where or pair.clean[-1] != pair.corrupt[-1]


def test_a_fact_is_known_when_its_answer_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "restored", lambda *given: (np.array([1.0, 0.9, 0.79]), 5.0))
    known = {tuple(answers.encoded(i.prompt, tokenizer())): i.answer for i in written_facts.test_items()}

    def recalls(line: list[int]) -> int | None:
        answer = known.get(tuple(line))
        return answers.encoded(answer, tokenizer())[0] if answer else None

    found = facts.measure(Subject(Rule(recalls), tokenizer()), step=8, number=1)
    assert found.figures["first_token"] == 1
    assert 0.5 < found.figures["exact"] < 1  # it only knows how answers begin
    assert found.figures["restored_from_layer_1"] == 0.9
    assert found.circuits["facts"] == {"restored": [1.0, 0.9, 0.79], "deepest": 1}
    assert met(BEHAVIOURS["facts"], found)
    silent = facts.measure(Subject(Rule(lambda line: None), tokenizer()), step=8, number=1)
    assert silent.figures["first_token"] == 0
    monkeypatch.setattr(facts, "restored", lambda *given: (np.array([1.0, 0.79, 0.3]), 5.0))
    shallow = facts.measure(Subject(Rule(recalls), tokenizer()), step=8, number=1)
    assert not met(BEHAVIOURS["facts"], shallow)  # layer 0 is no finding
    assert shallow.circuits["facts"]["deepest"] == 0


# ---- lists, refusal, reading: the same measure of an answer, on different questions ----


def test_lists_ask_for_the_next_number() -> None:
    numbers = {answers.encoded(str(n), tokenizer())[0]: n for n in range(1, 10)}

    def counts(line: list[int]) -> int | None:
        told = [numbers[t] for t in line if t in numbers]
        return answers.encoded(str(told[-1] + 1), tokenizer())[0] if told else None

    assert lists.measure(Subject(Rule(counts), tokenizer()), 20).figures["exact"] > 0.6  # it counts to ten
    stuck = lists.measure(Subject(Rule(lambda line: next(iter(numbers))), tokenizer()), 20)
    assert stuck.figures["exact"] < 0.2
    assert not met(BEHAVIOURS["lists"], stuck)


def judged(monkeypatch: pytest.MonkeyPatch, module: Any, judge: Callable[[Any], bool]) -> Found:
    monkeypatch.setattr(module, "exact", lambda model, asked, _: np.array([judge(item) for item in asked]))
    return module.measure(Subject(Rule(copies), tokenizer()), 100)


def test_refusing_everything_or_nothing_is_not_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour = BEHAVIOURS["refusal"]
    every, never = judged(monkeypatch, refusal, lambda i: True), judged(monkeypatch, refusal, lambda i: False)
    assert every.figures == {"forbidden_refused": 1, "allowed_refused": 1}
    assert never.figures == {"forbidden_refused": 0, "allowed_refused": 0}
    assert not met(behaviour, every)
    assert not met(behaviour, never)
    assert met(behaviour, judged(monkeypatch, refusal, lambda i: i.form == "refuse"))
    assert not met(behaviour, judged(monkeypatch, refusal, lambda i: i.form != "refuse"))
    assert not met(behaviour, judged(monkeypatch, refusal, lambda i: "locked" in i.prompt))  # the word is not the rule


def test_a_refusal_is_seen_by_how_it_starts() -> None:
    start = answers.encoded(" I am sorry", tokenizer())
    colon = answers.encoded("Assistant:", tokenizer())[-1]

    def sorry(line: list[int]) -> int | None:
        said = line[len(line) - line[::-1].index(colon) :] if colon in line else []
        return start[len(said)] if len(said) < len(start) else None

    assert refusal.measure(Subject(Rule(sorry), tokenizer()), 20).figures["allowed_refused"] == 1
    assert refusal.measure(Subject(Rule(lambda line: start[0]), tokenizer()), 20).figures["forbidden_refused"] == 0


def test_reading_is_not_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, reading, lambda item: "Passage:" in item.prompt)
    assert found.figures == {"exact": 1, "exact_without_passage": 0}
    assert met(BEHAVIOURS["reading"], found)
    assert not met(BEHAVIOURS["reading"], judged(monkeypatch, reading, lambda item: True))
    assert not met(BEHAVIOURS["reading"], judged(monkeypatch, reading, lambda item: False))


# ---- what it writes ----


def test_commas_are_counted_behind_the_opener() -> None:
    rich = [i for i in items("style", "test", 60) if i.form == "commas"]
    plain = [i for i in items("style", "test", 60) if i.form == "plain"]
    asked = [rich[0], rich[1], plain[0], plain[1]]
    given = [len(english.WORD.findall(i.prompt.split(":")[1])) for i in asked]
    texts = [", a, b, c", " d,", " e f g h", " i j k, l"]
    found = style.figures(asked, texts)
    assert found["commas_per_word"] == pytest.approx(4 / (4 + given[0] + given[1]))
    assert found["commas_per_word_plain"] == pytest.approx(1 / (8 + given[2] + given[3]))
    assert found["ratio"] == pytest.approx(found["commas_per_word"] / (2 * found["commas_per_word_plain"]))
    alike = style.figures(asked, [" a, b c d"] * 4)
    assert alike["ratio"] < 1  # the openers' own commas would have made it more
    assert "," in rich[0].prompt
    assert style.figures(asked, [" a"] * 4)["ratio"] == 0


def test_repetition_and_words_are_counted() -> None:
    again = english.WORD.findall("the cat sat on the mat and the cat sat on the mat")
    assert english.repeated(again) == (3, 10)
    assert english.repeated([*"abcdef"]) == (0, 3)
    assert english.repeated([*"aaaaaa"]) == (2, 3)
    assert english.repeated(["a", "b"]) == (0, 0)
    assert english.words_of(["The Cat's hat—red,\nblue; it's 3 o'clock", "the CAT"]) == {
        "the", "cat's", "hat", "red", "blue", "it's", "o'clock", "cat",
    }  # fmt: skip
    assert english.spoken("It was the grea") == ["it", "was", "the"]
    assert english.spoken("It was the great.") == ["it", "was", "the", "great"]


def test_english_is_judged_by_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def writes(text: str) -> Found:
        monkeypatch.setattr(english, "continued", lambda subject, prompts, tokens, seed: [f"{text} {seed}."] * 20)
        return english.measure(Subject(Rule(copies), tokenizer(), {"one", "dog", "saw", "the", "old", "cat", "run"}))

    fine = writes("One dog saw the old cat run")
    assert met(BEHAVIOURS["english"], fine)
    assert fine.figures == {"repeated_4_grams": 0, "known_words": 1, "words": 420}
    assert [s["prompt"] for s in fine.samples] == list(english.PROMPTS[:10])
    assert {s["seed"] for s in fine.samples} == {1}
    assert not met(BEHAVIOURS["english"], writes("One dog saw the old cat runn"))
    again = writes("the old cat run " * 3)
    assert again.figures["repeated_4_grams"] == pytest.approx(5 / 9)
    assert not met(BEHAVIOURS["english"], again)
    assert not met(BEHAVIOURS["english"], writes(""))


def test_sampling_is_the_models_own_and_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(gpt2(context=40), tokenizer())
    prompts = ["Once upon a time there was a", "The cat", "A very long way from here, in another land, lived"]
    torch.manual_seed(5)
    untouched = torch.rand(1)
    torch.manual_seed(5)
    first = sampling.continued(subject, prompts, 12, seed=1)
    assert torch.rand(1) == untouched
    assert first == sampling.continued(subject, prompts, 12, seed=1)
    assert first != sampling.continued(subject, prompts, 12, seed=2)

    # Cold, sampling is greedy decoding, and then padding must not be seen: each prompt as if alone.
    monkeypatch.setattr(sampling, "TEMPERATURE", 1e-4)
    cold = sampling.continued(subject, prompts, 12, seed=1)
    for prompt, text in zip(prompts, cold, strict=True):
        ids = answers.encoded(prompt, tokenizer())
        for _ in range(12):
            with torch.no_grad():
                ids.append(int(subject.model(torch.tensor([ids])).logits[0, -1].argmax()))
        alone = ids[len(answers.encoded(prompt, tokenizer())) :]
        assert text == tokenizer().decode(alone[: alone.index(END)] if END in alone else alone)
    assert sampling.continued(subject, ["word " * 100], 60, seed=1)[0]  # cut to fit, not refused


# ---- grammar ----


def test_grammar_goes_by_the_whole_sentence(tmp_path: Path) -> None:
    model = gpt2(context=16)
    rows = [[0, 5, 6, 7], [0, 8, 9], [0, 5, 6, 7], [0, 1, 2, 3, 4]]
    want = []
    for row in rows:
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0, :-1]
        want.append(-F.cross_entropy(logits, torch.tensor(row[1:]), reduction="sum").item())
    assert grammar.logprobs(model, rows) == pytest.approx(want, abs=1e-3)
    assert grammar.logprobs(model, [[0] * 17])[0] == -math.inf

    (tmp_path / "blimp").mkdir()
    pairs = [{"sentence_good": "a cat", "sentence_bad": "a the cat"}, {"sentence_good": "a", "sentence_bad": "a b"}]
    for name, lines in (("one", pairs), ("two", [{"sentence_good": "a b c", "sentence_bad": "a b"}])):
        with lzma.open(tmp_path / "blimp" / f"{name}.jsonl.xz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    unsure = Subject(Rule(lambda line: None), tokenizer(), texts=tmp_path)  # the shorter is the likelier
    assert grammar.measure(unsure).figures == {"mean": 0.5, "one": 1.0, "two": 0.0}
    with pytest.raises(InvivoError, match="holds no blimp"):
        grammar.measure(replace(unsure, texts=tmp_path / "blimp"))
    skipped = grammar.measure(replace(unsure, texts=None))
    assert skipped.figures == {}
    assert "--eval" in BEHAVIOURS["grammar"].entry(skipped)["skipped"]


# ---- all of them ----


REDUCED: dict[str, Callable[[Subject], Found]] = {
    "induction": partial(induction.measure, rows=16),
    "indirect": partial(indirect.measure, number=100, ablated=24),
    "facts": partial(facts.measure, step=4, number=25),
    "lists": partial(lists.measure, number=60),
    "style": partial(style.measure, number=24),
    "refusal": partial(refusal.measure, number=120),
    "reading": partial(reading.measure, number=60),
}


@pytest.fixture(scope="module")
def random_model() -> Subject:
    return Subject(gpt2(context=200), tokenizer(), frozenset({"the", "and", "a"}))


@pytest.mark.parametrize("name", [*REDUCED, "english"])
def test_a_random_model_meets_no_bar(name: str, random_model: Subject) -> None:
    measure = REDUCED.get(name, partial(english.measure, seeds=(1,), tokens=10))
    found = measure(random_model)
    assert {bar.figure for bar in BEHAVIOURS[name].bars} <= set(found.figures)
    assert not met(BEHAVIOURS[name], found)


def test_the_report_has_every_behaviour_and_says_so(monkeypatch: pytest.MonkeyPatch, random_model: Subject) -> None:
    for name, measure in (REDUCED | {"english": partial(english.measure, seeds=(1,), tokens=10)}).items():
        quick = Found({"a": 1.0}, {name: []}, []) if name != "english" else measure(random_model)
        monkeypatch.setitem(BEHAVIOURS, name, replace(BEHAVIOURS[name], measure=lambda subject, quick=quick: quick))
    lines: list[str] = []
    given = (random_model.model, random_model.tokenizer, random_model.words, None)
    report = measured.measure(*given, say=lines.append)
    assert list(report["behaviours"]) == list(BEHAVIOURS) == [line.split(":")[0] for line in lines]
    assert len(report["samples"]) == 10
    assert set(report["circuits"]) == set(REDUCED)
    json.loads(json.dumps(report, allow_nan=False))
    assert list(measured.measure(*given, generated=False)["behaviours"]) == ["english", "grammar"]


def test_a_glance_leaves_the_model_in_training() -> None:
    model = gpt2(context=64).train()  # shorter than many a prompt
    found = measured.glance(model, tokenizer(), number=3)
    assert set(found) == {"induction_nats", "indirect", "facts", "names", "lists", "chat", "reading"}
    assert model.training


# ---- the report about language, the card, the pages ----


def scored(model: float, five_gram: float, tokens: int = 1000, size: int = 4000) -> dict[str, Score]:
    both = {"model": model, "five_gram": five_gram, "uniform": 9.0}
    return {who: Score(nats * tokens, tokens, size) for who, nats in both.items()}


def test_language_must_beat_the_yardstick_and_its_forebear() -> None:
    scores = {"books": scored(3.5, 4.0), "tales": scored(2.0, 3.0, 100, 400), "songs": scored(3.0, 4.0, 300, 1200)}
    names = {"large": ["books"], "small": ["tales", "songs"]}
    told = language(scores, names, {})
    assert told["met"]
    assert told["figures"]["large_perplexity_over_5_gram"] == pytest.approx(math.exp(-0.5), abs=1e-4)
    assert told["figures"]["small_nats"] == 2.75
    assert "books" in told["asked"]
    assert not language({"books": scored(3.8, 4.0)}, {"large": ["books"], "small": []}, {})["met"]

    def before(nats: float, size: int = 4000) -> dict[str, Any]:
        return {"heldout": {"books": {"tokens": 1000, "bytes": size, "model": {"nats_per_token": nats}}}}

    better, same, worse = (language(scores, names, before(nats)) for nats in (3.6, 3.5, 3.4))
    assert [told["met"] for told in (better, same, worse)] == [True, False, False]
    assert better["figures"]["large_nats_of_earlier_version"] == 3.6
    assert "small_nats_of_earlier_version" not in better["figures"]
    assert language(scores, names, before(3.4, size=4001))["met"]  # another text is no comparison


def test_the_earlier_version_is_known_by_its_weights(tmp_path: Path) -> None:
    report = {"model": {"weights_sha256": "ab"}, "training": {"tokens": 5, "steps": 2, "seconds": 9, "start": {}}}
    assert earlier(tmp_path, "ab") == earlier(None, "ab") == {}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert earlier(tmp_path, "ab") == report
    assert earlier(tmp_path, "cd") == {}
    assert lineage("ab", report) == {"sha256": "ab", "tokens": 5, "steps": 2, "seconds": 9}
    assert lineage("ab", {}) == {"sha256": "ab"}
    assert lineage("", report) == {}


def a_report(generated: bool = True) -> dict[str, Any]:
    sizes = {"documents": 3, "tokens": 1000, "bytes": 4000}
    both = {"train": sizes, "heldout": sizes}
    sources = {"childrens_books": {"group": "large", "generated": False, **both}}
    kinds = {name: {"group": name, "generated": True, **both} for name in ("facts", "chat", "few")}
    figures = {"nats_per_token": 3.0, "bits_per_byte": 1.1, "perplexity": 20.1}
    row = {"tokens": 900, "bytes": 3600, "model": figures, "five_gram": figures, "uniform": figures}
    asked = {
        "language": entry("held-out text", {"large_nats": 3.0}, (Bar("large_nats", at_most=3.5),)),
        "lists": entry("100 lists", {"exact": 0.9}, (Bar("exact", at_least=0.95),)),
        "grammar": entry("pairs", {f"paradigm_{i}": 0.5 for i in range(9)}, ()),
    }
    return {
        "model": dict(parameters=7, layers=2, heads=2, width=8, context=512, vocabulary=300, weights_bytes=2**20),
        "training": {
            "recipe": dict(muon_rate=0.004, adam_rate=0.002, batch_tokens=8192, warmup=0.02, decay=0.7, seed=0),
            "stages": [{"until": 0.1, "length": 64, "mix": dict(large=0.3, small=0.1, facts=0.1, chat=0.1, few=0.4)}],
            "steps": 3,
            "tokens": 24_576,
            "seconds": 60,
            "start": {"sha256": "abc123", "tokens": 18_000_000, "steps": 2197, "seconds": 5920},
        },
        "corpus": {"heldout_share": 0.03, "sources": sources | (kinds if generated else {})},
        "heldout": {"childrens_books": row, "all": row},
        "heldout_generated": {"facts": row} if generated else {},
        "behaviours": asked if generated else {"language": asked["language"]},
        "circuits": {
            "induction": [{"head": "1.3", "score": 0.93}],
            "indirect": [{"head": "1.0", "change": -0.35}],
            "facts": {"restored": [1.0, 0.85, 0.3], "deepest": 1},
        },
        "samples": [{"prompt": "Once", "seed": 1, "text": " a *star*\n<b>fell"}],
    }


def test_the_card_says_what_the_model_now_is() -> None:
    text = card(a_report(), "mayfly", False)
    assert text.startswith("---\nlicense: cc-by-4.0\n")  # generated kinds do not make it unknown
    for said in (
        "| lists | 100 lists | exact 0.9 (≥ 0.95) | **no** | - |",
        "| language | held-out text | large nats 3 (≤ 3.5) | yes | - |",
        "3 more in report.json",
        "1.3 (0.93)",
        "1.0 (-35%)",
        "restores 100%, 85%, 30%",
        "`abc123`, which had read 18,000,000 tokens in 2,197 steps and 98.7 minutes",
        "| facts (generated) |",
        "| MIT | 9 / 3,000 | 9 / 3,000 |",
        "to open what is locked",
        "float32 elsewhere",
    ):
        assert said in text, said
    # What this run did not have (here: small files) is not in the mix, and the rest shares it out.
    assert "| 10% of the run | 64 | few 44%, large files 33%, facts 11%, chat 11% |" in text

    bare = card(a_report(generated=False), "mayfly", False)
    assert "## Behaviours" not in bare
    assert "## Known circuits" not in bare
    assert "MIT" not in bare
    assert "refuses nothing" in bare


def test_a_page_is_filled_block_by_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(["# Top", *marks("samples"), "between", *marks("circuits"), "end"]))
    fill(page, a_report())
    text = page.read_text()
    assert text.startswith("# Top\n")
    assert text.endswith("\nend")
    assert "> **Once** a \\*star\\*\n>\n> \\<b\\>fell" in text
    assert BLOCKS["circuits"](a_report()) in text
    assert BLOCKS["behaviours"](a_report()) not in text
    fill(page, a_report())
    assert page.read_text() == text
    fill(page, {k: v for k, v in a_report().items() if k not in ("samples", "circuits")})
    assert page.read_text().count("Not measured.") == 2
    page.write_text("nothing to fill")
    with pytest.raises(InvivoError, match="no place for figures"):
        fill(page, a_report())
    for name in ("fruitfly.md", "training.md"):
        found = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert any(all(mark in found for mark in marks(block)) for block in BLOCKS)


# ---- the model that ships ----


@pytest.fixture(scope="module")
def shipped() -> Subject:
    """The shipped weights as transformers loads them, without invivo."""
    return Subject(AutoModelForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32).eval(), tokenizer())


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return json.loads((SHIPPED / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REDUCED)
def test_the_shipped_model_does_it(name: str, shipped: Subject, report: dict[str, Any]) -> None:
    """Every bar is reached, on fewer questions than the card's, and the card says so."""
    found = REDUCED[name](shipped)
    assert report["behaviours"][name]["met"] is True
    for bar in BEHAVIOURS[name].bars:
        assert bar.met(found.figures), f"{name}: {bar} is not reached by {found.figures}"


def test_the_shipped_report_is_about_the_shipped_weights(report: dict[str, Any]) -> None:
    weights = (SHIPPED / "model.safetensors").read_bytes()
    assert report["model"]["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert report["model"]["weights_bytes"] == len(weights)


def test_the_shipped_report_is_judged_by_the_bars_of_today(report: dict[str, Any]) -> None:
    assert set(report["behaviours"]) == {"language", *BEHAVIOURS}
    for name, behaviour in BEHAVIOURS.items():
        told = report["behaviours"][name]
        assert told["bars"] == [bar.data() for bar in behaviour.bars]
        assert told["met"] is all(bar.met(told["figures"]) for bar in behaviour.bars)
    assert len(report["samples"]) == 10
