"""Lab 18: what its exhibits measure, beside plain arithmetic; the lab whole is run in test_all_labs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from invivo.engine import heads
from invivo.engine.exhibits._village import (
    LOOKED_AT,
    copying_heads,
    nats,
    notes,
    other_heads,
    right,
    some,
    with_passage,
    zeroed,
)
from invivo.engine.exhibits.believing import planted
from invivo.errors import BadText, OutOfRange
from invivo.experiment.exhibit import Exhibit
from invivo.experiment.village import EXACT, QUESTIONS
from invivo.labs import lab_named

from . import tiny


def test_an_answers_log_probability_is_the_models() -> None:
    model = tiny.model()
    before, after = (model.tokenizer(t).input_ids for t in ("Where is it? A:", " over"))
    with torch.no_grad():
        odds = model.hf(torch.tensor([before + after]), use_cache=False).logits[0].double().log_softmax(-1)
    expected = sum(float(odds[len(before) + i - 1, t]) for i, t in enumerate(after))
    plain, without = nats(model.living, "Where is it? A:", " over", [zeroed(["0.1", "1.2"])])
    assert plain == pytest.approx(expected, abs=1e-4)
    with model.tweaked("zero head 0.1", "zero head 1.2"), torch.no_grad():
        odds = model.hf(torch.tensor([before + after]), use_cache=False).logits[0].double().log_softmax(-1)
    expected = sum(float(odds[len(before) + i - 1, t]) for i, t in enumerate(after))
    assert without == pytest.approx(expected, abs=1e-4)
    assert abs(without - plain) > 1e-2


def test_copying_heads_are_those_of_invivo_heads() -> None:
    model = tiny.model()
    rows, length = LOOKED_AT
    scores = heads.scores(model.living, rows, length)
    found = copying_heads(model.living)
    assert [h for h, _ in found] == [h for h, _ in scores.ranked("induction")]
    assert [s for _, s in found] == pytest.approx([s for _, s in scores.ranked("induction")], abs=1e-5)
    names = [h for h, _ in found]
    for drawn in other_heads(names, 3, 20):
        assert len(set(drawn)) == 3
        assert not set(drawn) & set(names[:3])


def test_questions_are_spread_over_both_kinds_and_lies_are_of_one_kind() -> None:
    assert [q.kind for q in some(6)] == ["exact"] * 3 + ["paraphrase"] * 3
    assert some(36) == list(QUESTIONS)
    for question in QUESTIONS:
        other = planted(question)
        assert other != question.answer
        assert any(other == q.answer and q.kind == question.kind for q in QUESTIONS)
    assert planted(QUESTIONS[0]) == EXACT[1][1]
    assert with_passage("It is red.", QUESTIONS[6]) == "Passage: It is red. Question: Where does Zelmi live? Answer:"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("answering", {"count": 4}),
        ("believing", {"count": 2}),
        ("copying", {"count": 2, "most": 2}),
        ("reading", {"count": 2, "draws": 2}),
        ("vector_store", {}),
        ("index", {"queries": 20}),
    ],
)
def test_an_exhibit_comes_back_from_json_and_keeps_its_word(fruitfly: Any, name: str, settings: dict[str, Any]) -> None:
    shown = fruitfly.show(name, **settings)
    assert Exhibit.from_json(shown.to_json()) == shown
    x = shown.numbers
    assert "nan" not in shown.to_markdown().lower()
    match name:
        case "answering":
            assert x["bm25_exact"] > x["none_exact"] + 5
            assert x["bm25_exact_given"] == 1
            assert x["none_exact_given"] == 0
        case "copying":
            assert x["nats_0"] > x["nats_2"] > x["without_passage"] - 3
            assert x["copier_looks"] > 0.5
        case "reading":
            assert x["right"] > max(x["none"], x["random"]) + 5
            assert x["right"] >= x["others"] >= x["worst_others"]
        case "believing":
            assert x["planted_planted"] > x["planted_true"]
        case "vector_store":
            assert x["same_first"] == 1
        case _:
            assert x["learned_6"] == x["chance_6"] == x["learned_compared_6"] == 1
            assert 0 < x["learned_0"] < 1


def test_without_copying_heads_is_the_row_that_zeroes_them(fruitfly: Any) -> None:
    shown = fruitfly.show("reading", count=2, heads=3, draws=2).numbers
    ranked = [head for head, _ in copying_heads(fruitfly.living)]
    passages, rows = notes(), []
    for question in some(2):
        prompt = with_passage(passages[right(question, passages)].text, question)
        stacks = [zeroed(ranked[:3]), *map(zeroed, other_heads(ranked, 3, 2))]
        rows.append(nats(fruitfly.living, prompt, question.target, stacks))
    whole, copying, *others = ((a + b) / 2 for a, b in zip(*rows, strict=True))
    assert shown["right"] == pytest.approx(whole, abs=1e-3)
    assert shown["copying"] == pytest.approx(copying, abs=1e-3)
    assert shown["others"] == pytest.approx(sum(others) / 2, abs=1e-3)
    assert shown["worst_others"] == pytest.approx(min(others), abs=1e-3)
    assert copying < min(others) - 0.5


def test_log_probabilities_are_means_over_questions(fruitfly: Any) -> None:
    living, passages, asked = fruitfly.living, notes(), some(2)
    texts = [passages[right(question, passages)].text for question in asked]

    def mean(prompts: list[str], *heads: list[str]) -> list[float]:
        stacks = [zeroed(one) for one in heads]
        rows = [nats(living, prompt, q.target, stacks) for prompt, q in zip(prompts, asked, strict=True)]
        return [sum(column) / 2 for column in zip(*rows, strict=True)]

    bare, given = [q.prompt for q in asked], [with_passage(t, q) for t, q in zip(texts, asked, strict=True)]
    shown = fruitfly.show("copying", count=2, most=2).numbers
    best = [head for head, _ in copying_heads(living)]
    assert shown["without_passage"] == pytest.approx(mean(bare)[0], abs=1e-3)
    curve = [shown[f"nats_{n}"] for n in range(3)]
    assert curve == pytest.approx(mean(given, best[:1], best[:2]), abs=1e-3)
    reading = fruitfly.show("reading", count=2, heads=1, draws=2).numbers
    assert reading["none"] == pytest.approx(shown["without_passage"], abs=1e-3)
    assert reading["right_wins"] == 1
    answers = fruitfly.show("answering", count=2).numbers  # one of each kind
    assert sum(answers[f"none_{q.kind}"] for q in asked) / 2 == pytest.approx(mean(bare)[0], abs=1e-3)
    exact = next(n for n, q in enumerate(asked) if q.kind == "exact")  # words find its note
    assert answers["bm25_exact"] == pytest.approx(nats(living, given[exact], asked[exact].target)[0], abs=1e-3)


def test_what_is_believed_is_the_probability_of_each_answer(fruitfly: Any) -> None:
    shown, passages = fruitfly.show("believing", count=2).numbers, notes()
    for name, order in (("right_planted", (0, 1)), ("planted_right", (1, 0)), ("planted", (1,)), ("right", (0,))):
        found = []
        for question in some(2):
            true = passages[right(question, passages)].text
            both = (true, true.replace(question.answer, planted(question)))
            prompt = with_passage(" ".join(both[n] for n in order), question)
            answers = (question.answer, planted(question))
            found.append([math.exp(nats(fruitfly.living, prompt, f" {a}")[0]) for a in answers])
        means = [sum(column) / 2 for column in zip(*found, strict=True)]
        assert [shown[f"{name}_true"], shown[f"{name}_planted"]] == pytest.approx(means, abs=1e-4), name


def test_an_index_by_chance_finds_what_it_looks_at_and_a_learned_one_more(fruitfly: Any) -> None:
    x = fruitfly.show("index", queries=200).numbers
    for probe in range(int(x["probes"])):
        assert x[f"chance_{probe}"] == pytest.approx(x[f"chance_compared_{probe}"], abs=0.04)
    assert x["learned_0"] > 3 * x["chance_0"]
    assert x["learned_compared_0"] < 0.1


def test_numbers_of_the_search_are_those_of_the_collection(fruitfly: Any) -> None:
    from invivo.engine.retrieval import collection

    shown = fruitfly.show("retrieval")
    searched = collection(fruitfly.living, "village")
    for way in ("bm25", "dense", "hybrid"):
        for kind in ("exact", "paraphrase"):
            asked = [q for q in QUESTIONS if q.kind == kind]
            hits = [[h.passage.text for h in searched.search(q.text, 3, way)] for q in asked]
            first = sum(q.answer in " ".join(h[:1]) for q, h in zip(asked, hits, strict=True))
            among = sum(q.answer in " ".join(h) for q, h in zip(asked, hits, strict=True))
            assert shown.numbers[f"{way}_{kind}"] == pytest.approx(first / len(asked))
            assert shown.numbers[f"{way}_{kind}_among"] == pytest.approx(among / len(asked))
    assert shown.numbers["exact_after_2"] == pytest.approx(shown.numbers["dense_exact"])  # half-way up
    assert shown.numbers["chance_exact"] == pytest.approx(1 / 36, abs=0.03)
    assert Exhibit.from_json(shown.to_json()) == shown


def test_a_bad_setting_is_told() -> None:
    model = tiny.model()
    with pytest.raises(BadText, match="count"):
        model.show("reading", count=1)
    with pytest.raises(OutOfRange, match="too few for this index"):
        model.show("index")


def test_the_takeaway_follows_the_numbers(fruitfly: Any) -> None:
    lab = lab_named("18")
    rows = fruitfly.compare(lab.experiment.prompt, *map(str, lab.experiment.tweaks), target=" Narto", max_new_tokens=2)
    line = lab.takeaway(rows)
    assert line.startswith("Retrieving 1 from village takes the probability of ' Narto' from <0.1 % to 9")
    turned = rows.model_copy(update={"tweaks": tuple(reversed(rows.tweaks))})
    assert "by chance leaves" in lab.takeaway(turned) or "by chance takes" in lab.takeaway(turned)
    assert "Narto" not in lab.takeaway(fruitfly.compare("Once", "retrieve 1 from village by chance", max_new_tokens=1))
