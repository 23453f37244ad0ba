"""Evaluation: a row that reads and writes, the harness around it, tasks and their mistakes, intervals over items."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from invivo.engine.evaluation import scores
from invivo.engine.evaluation.harness import harness, hushed, reader
from invivo.engine.evaluation.scorer import Scorer, windows
from invivo.engine.evaluation.shipped import HERE, shipped
from invivo.engine.evaluation.tasks import find
from invivo.engine.live import Model
from invivo.errors import BadText, InvivoError, NoEffect, OutOfRange, Refused, UnknownName
from invivo.experiment.exhibit import Exhibit, ExhibitRecipe
from invivo.journal import Journal
from invivo.tweaks import Decoding, Stack

from . import tiny

LONG = "the cat sat on the mat and the dog sat on the log while the rain fell on the hill. " * 3
LINES = [
    {"question": "two and two is", "choices": ["three", "four"], "answer": "four"},
    {"question": "a cow says", "choices": ["moo", "meow", "quack"], "answer": 0},
    {"question": "the sky is", "choices": ["blue", "made of tin"], "answer": "blue"},
]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def scorer(model: Model, line: str | None = None) -> Scorer:
    return Scorer.of(model.living, None if line is None else Stack.of(line))


def direct(model: Model, ids: list[int], first: int) -> list[float]:
    """Log-probabilities of ids[first:], from transformers alone."""
    with torch.no_grad():
        log_probs = model.hf(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    return [float(log_probs[place - 1, ids[place]]) for place in range(first, len(ids))]


def written(folder: Path, lines: list[Any], name: str = "mine.jsonl") -> str:
    path = folder / name
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    return str(path)


# ── reading and writing ──


def test_a_continuation_has_the_log_probability_that_transformers_gives(model: Model) -> None:
    plain = scorer(model)
    pairs = [(plain.encode("the cat"), plain.encode(end)) for end in (" sat", " on", "!", " sat")]
    heard = plain.read([*pairs, ([0], plain.encode("dog"))])
    for (context, end), one in zip(pairs, heard, strict=False):
        assert one.nats == pytest.approx(direct(model, [*context, *end], len(context)), abs=1e-4)
    assert heard[0].nats == heard[3].nats != heard[1].nats
    with torch.no_grad():
        best = int(model.hf(torch.tensor([pairs[0][0]]), use_cache=False).logits[0, -1].argmax())
    assert [one.greedy for one in plain.read([(pairs[0][0], [best]), (pairs[0][0], [best - 1])])] == [True, False]


def test_windows_predict_every_token_once_and_are_full() -> None:
    ids = list(range(1, 24))
    for stride in (None, 8, 3, 1):
        parts = list(windows(ids, 0, 8, stride))
        assert [token for _, new in parts for token in new] == ids
        assert all(len(context) + len(new) == 9 for context, new in parts)
        text = [0, *ids]
        assert all(text[(end := text.index(new[-1])) - 8 : end + 1] == [*context, *new] for context, new in parts)
    assert list(windows(ids[:5], 0, 8)) == [([0], ids[:5])]
    assert not list(windows([], 0, 8))
    with pytest.raises(OutOfRange, match="stride of 9"):
        list(windows(ids, 0, 8, 9))


def test_what_is_too_long_loses_its_beginning(model: Model) -> None:
    plain = scorer(model)
    ids = plain.encode(LONG)[:100]
    (heard,) = plain.read([(ids[:98], ids[98:])])
    (short,) = plain.read([(ids[35:98], ids[98:])])
    assert heard.nats == pytest.approx(short.nats, abs=1e-5)
    with pytest.raises(OutOfRange, match="reads at most 64"):
        plain.read([([0], ids)])


def test_the_question_is_the_prompt(model: Model) -> None:
    plain, context = scorer(model), "the cat sat"
    ids, end = plain.encode(context), plain.encode(" on it")
    (after,) = scorer(model, "zero embed at -1").read([(ids, end)])
    with model.tweaked(f"zero embed at {len(ids) - 1}"):
        assert after.nats == pytest.approx(direct(model, [*ids, *end], len(ids)), abs=1e-4)
    (before,) = plain.read([(ids, end)])
    (later,) = scorer(model, "zero embed during generation").read([(ids, end)])
    assert later.nats[0] == pytest.approx(before.nats[0], abs=1e-5)
    assert abs(later.nats[1] - before.nats[1]) > 1e-3


def test_prompts_and_models_of_a_rows_own(model: Model) -> None:
    row = scorer(model, 'prepend "well, " + zero head 1.2')
    assert row.question("now") == "well, now"
    assert row.row.name == 'prepend "well, " + zero head 1.2'
    assert scorer(model, "quantize int4").living is not model.living
    with pytest.raises(Refused, match="takes values from another run"):
        scorer(model, "copy L1.resid_pre from clean")


# ── the harness ──


@pytest.fixture(scope="module")
def stock(model: Model) -> Any:
    """The harness's own model class around the same weights: the other way to everything that ours computes."""
    with hushed():
        return harness("models.huggingface").HFLM(
            pretrained=model.hf, tokenizer=model.tokenizer, batch_size=3, max_length=model.living.anatomy.context
        )


class Request:
    def __init__(self, *args: Any) -> None:
        self.args = args


def test_our_class_gives_what_the_harnesss_own_gives(model: Model, stock: Any) -> None:
    pairs = [Request("the cat", " sat"), Request("the cat", " is not here"), Request("", "dog"), Request("a ", "b")]
    texts = [Request(LONG), Request("one two three"), Request("x")]
    (free,) = scorer(model).write(["the cat"], 6, [], Decoding())
    until = {"until": [free[2], "\n"], "max_gen_toks": 6, "do_sample": False}
    wanted = [Request("the cat", until), Request("a dog and a cat", until), Request("x", {**until, "max_gen_toks": 3})]
    ours = reader(scorer(model))
    with hushed():
        theirs = stock.loglikelihood(pairs), stock.loglikelihood_rolling(texts), stock.generate_until(wanted)
    mine = ours.loglikelihood(pairs), ours.loglikelihood_rolling(texts), ours.generate_until(wanted)
    assert [n for n, _ in mine[0]] == pytest.approx([n for n, _ in theirs[0]], abs=1e-4)
    assert [g for _, g in mine[0]] == [g for _, g in theirs[0]]
    assert mine[1] == pytest.approx(theirs[1], rel=1e-5)
    assert mine[2] == theirs[2]
    assert mine[2][0] == free.split(free[2])[0] != free


def test_it_runs_on_the_tweaked_model(model: Model, stock: Any) -> None:
    pairs, base = [Request("the cat", " sat"), Request("a dog", " ran off")], reader(scorer(model))
    after = [n for n, _ in reader(scorer(model, "zero head 1.2")).loglikelihood(pairs)]
    weight = model.hf.transformer.h[1].attn.c_proj.weight
    kept = weight.data.clone()
    try:
        weight.data[16:24] = 0  # head 2 of four, eight wide
        with hushed():
            slow = [n for n, _ in stock.loglikelihood(pairs)]
    finally:
        weight.data = kept
    assert after == pytest.approx(slow, abs=1e-4)
    assert after != pytest.approx([n for n, _ in base.loglikelihood(pairs)], abs=1e-3)


def test_our_perplexity_is_the_harnesss_also_with_overlap(model: Model) -> None:
    plain, utils = scorer(model), harness("utils")
    ids = plain.encode(LONG)
    for stride in (64, 20):
        parts = utils.get_rolling_token_windows(ids, plain.prefix, 64, 64 - stride + 1)
        theirs = [tuple(utils.make_disjoint_window(part)) for part in parts]
        assert [([*a], [*b]) for a, b in windows(ids, plain.prefix, 64, stride)] == [([*a], [*b]) for a, b in theirs]
    shown = model.show("windows", text=LONG, window=16)
    assert shown.numbers["harness_apart"] < 1e-6
    total = -sum(plain.surprise(ids))
    assert shown.numbers["perplexity"] == pytest.approx(math.exp(total / len(ids)), rel=1e-6)
    assert shown.numbers["bits_per_byte"] == pytest.approx(total / len(LONG.encode()) / math.log(2), rel=1e-6)
    assert shown.numbers["stride_16"] == pytest.approx(math.exp(-np.mean(plain.surprise(ids, 16, 16))), rel=1e-6)
    assert shown.numbers["beyond_128"] > 0
    assert model.hf.transformer.wpe.weight.shape[0] == model.living.anatomy.context  # the table is as it was
    assert Exhibit.from_json(shown.to_json()) == shown


def test_decoding_tweaks_act_where_text_is_written(model: Model, tmp_path: Path) -> None:
    asked = written(tmp_path, [{"question": f"the cat {w}", "answer": "x"} for w in ("sat", "ran", "hid", "ate")])
    hot = scorer(model, "set temperature 5")
    said = hot.write(["the cat"] * 3, 4, [], Decoding(do_sample=True))
    assert len(set(said)) > 1  # every item has dice of its own
    assert said == hot.write(["the cat"] * 3, 4, [], Decoding(do_sample=True))
    assert scores.outcomes(hot, find([asked]))
    with pytest.raises(NoEffect, match="acts when text is written"):
        scores.outcomes(hot, find([written(tmp_path, LINES, "choose.jsonl")]))


# ── scores ──


def test_scores_are_those_counted_by_hand(model: Model, tmp_path: Path) -> None:
    tasks = find([written(tmp_path, LINES)])
    (one,) = scores.outcomes(scorer(model), tasks).values()
    plain, right = scorer(model), []
    for line in LINES:
        gold = line["answer"] if isinstance(line["answer"], int) else line["choices"].index(line["answer"])
        sums = []
        for choice in line["choices"]:
            ids, first = plain.encode(f"{line['question']} {choice}"), len(plain.encode(line["question"]))
            sums.append(sum(direct(model, ids, first)))
        right.append(float(int(np.argmax(sums)) == gold))
    assert one.values.tolist() == right
    assert one.total == pytest.approx(np.mean(right))
    assert one.metric.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    (first,) = scores.outcomes(scorer(model), tasks, limit=1).values()
    assert first.values.tolist() == right[:1]


def outcome(values: Any, fold: str = "mean", **more: Any) -> scores.Outcome:
    array = np.array(values, dtype=float)
    metric = scores.Metric("t", "acc", True, scores.FOLDS[fold], None)
    return scores.Outcome(metric, float(scores.FOLDS[fold](array)), array, ())


def test_intervals_are_those_of_theory_and_pairing_narrows_them() -> None:
    dice = np.random.default_rng(3)
    hard = dice.random(400)
    base, tweak = outcome(hard < 0.8), outcome(hard < 0.7)
    spot, gain = base.interval, tweak.above(base)
    half = 1.96 * math.sqrt(spot.mean * (1 - spot.mean) / 400)
    assert (spot.high - spot.low) / 2 == pytest.approx(half, rel=0.12)
    d = base.values - tweak.values
    assert (gain.high - gain.low) / 2 == pytest.approx(1.96 * d.std() / 20, rel=0.12)
    widths = [one.interval.high - one.interval.low for one in (base, tweak)]
    assert gain.high - gain.low < 0.7 * math.hypot(*widths)  # what two unpaired scores would have
    assert scores.differs(gain)
    assert tweak.changed(base) == (int(d.sum()), 0)
    assert not scores.differs(base.above(base))


def test_where_all_items_agree_the_interval_is_exact() -> None:
    spot = outcome([1.0] * 30).interval
    assert spot.high == 1.0
    assert spot.low**30 == pytest.approx(0.025)
    none = outcome([0.0] * 30).interval
    assert (none.low, none.high) == pytest.approx((0.0, 1 - spot.low))


def test_sums_over_items_are_the_harnesss_own() -> None:
    api = harness("api.metrics")
    pairs = [(-12.5, 4), (-30.0, 11), (-3.25, 2)]
    for name in ("weighted_perplexity", "bits_per_byte"):
        assert outcome(pairs, name).total == pytest.approx(getattr(api, name)(pairs))
    assert outcome([-1.0, -2.5], "perplexity").total == pytest.approx(api.perplexity([-1.0, -2.5]))


# ── tasks ──


def test_the_shipped_tasks_are_sound() -> None:
    found = find([task.name for task in shipped()])
    assert {name: len(task.eval_docs) for name, task in found.items()} == {t.name: t.items for t in shipped()}
    assert all(len(task.what) < 160 for task in shipped())
    for path in HERE.glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        questions = [line.get("question") or line["text"] for line in lines]
        assert len(set(questions)) == len(questions)
        assert all(line["answer"] in line.get("choices", [line["answer"]]) for line in lines if "answer" in line)
    first = [json.loads(line) for line in (HERE / "giving.jsonl").read_text().splitlines()]
    assert 30 <= sum(line["choices"][0] == line["answer"] for line in first) <= 50  # the place tells nothing


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        ('{"question": "a", "choices": ["b", "c"], "answer": "b"', "line 2: no JSON at column", "one object a line"),
        ('["a"]', "line 2: an object in braces", None),
        ({"question": "a", "choices": ["b", "c"], "anwser": "b"}, "line 2: unknown field 'anwser'", "'answer'"),
        ({"question": "a", "choices": ["b", "c"]}, "line 2: it has no 'answer'", None),
        ({"question": "a", "choices": ["cold", "hot"], "answer": "colt"}, "none of the choices", "'cold'"),
        ({"question": "a", "choices": ["b", "c"], "answer": 2}, "answer 2 is none of the 2 choices", "from 0"),
        ({"question": "a", "choices": ["b"], "answer": "b"}, "two or more", None),
        ({"question": "a", "choices": ["b", "b"], "answer": "b"}, "stands there twice", None),
        ({"question": "", "choices": ["b", "c"], "answer": "b"}, "'question' must be a text", None),
    ],
)
def test_a_mistake_in_ones_own_questions_is_told_with_its_line(
    tmp_path: Path, line: Any, said: str, hint: str | None
) -> None:
    with pytest.raises(BadText, match=said) as caught:
        find([written(tmp_path, [LINES[0], line])])
    assert "mine.jsonl" in caught.value.what
    assert hint is None or hint in (caught.value.hint or "")


YAML = """\
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: mine.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{choices.index(answer)}}"
"""


@pytest.mark.parametrize(
    ("old", "new", "kind", "said"),
    [
        ("doc_to_text", "doc_to_txt", BadText, "unknown field 'doc_to_txt'"),
        ("{{question}}", "{{questoin}}", BadText, "questoin"),
        ("multiple_choice", "multiple_choise", BadText, "multiple_choise"),
        ("mine.jsonl", "yours.jsonl", InvivoError, "yours.jsonl"),
        ("task: mine", "", BadText, "needs a name"),
        ('"{{choices}}"', "!function utils.choices", Refused, "!function"),
        ("test_split: test", "test_split: [", BadText, "unreadable YAML"),
        ("{{choices.index(answer)}}", "7", BadText, "cannot build this task"),
    ],
)
def test_a_mistake_in_a_task_file_is_told(tmp_path: Path, old: str, new: str, kind: type[Exception], said: str) -> None:
    written(tmp_path, [{"question": "a", "choices": ["b", "c"], "answer": "b"}])
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    assert len(find([str(path)])["mine"].eval_docs) == 1
    path.write_text(YAML.replace(old, new))
    with pytest.raises(kind, match=said):
        find([str(path)])


def test_a_later_item_with_a_wrong_answer_is_told_too(tmp_path: Path) -> None:
    good = {"question": "a", "choices": ["b", "c"], "answer": "b"}
    written(tmp_path, [good, good | {"answer": "d"}])
    path = tmp_path / "mine.yaml"
    path.write_text(YAML.replace("{{choices.index(answer)}}", "{{answer}}"))
    with pytest.raises(BadText, match="item 1: the answer 'd' is none of the 2 choices"):
        find([str(path)])


def test_names_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvivoError, match="nowhere"):
        find([str(tmp_path / "nowhere.jsonl")])
    with pytest.raises(BadText, match="named twice"):
        find(["giving", "giving"])
    with pytest.raises(BadText, match="no task is named"):
        find([])


def test_a_name_is_looked_up_among_the_harnesss(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = harness("tasks")
    monkeypatch.setattr(tasks, "TaskManager", lambda **_: type("M", (), {"all_tasks": ["arc_easy", "hellaswag"]})())
    with pytest.raises(UnknownName, match="arc_eazy") as caught:
        find(["arc_eazy"])
    assert "arc_easy" in (caught.value.hint or "")


# ── the exhibits ──


def test_the_benchmark_is_shown_and_read_back(model: Model, tmp_path: Path) -> None:
    mine = written(tmp_path, LINES)
    shown = model.show("benchmark", tweaks=["zero head 1.2"], tasks=[mine], elsewhere=2, untrained=True)
    assert Exhibit.from_json(shown.to_json()) == shown
    numbers = shown.numbers
    assert numbers["mine_acc_items"] == 3
    assert numbers["mine_acc_gain_1"] == pytest.approx(numbers["mine_acc_1"] - numbers["mine_acc_base"])
    assert numbers["mine_acc_lost_1"] - numbers["mine_acc_won_1"] == pytest.approx(-3 * numbers["mine_acc_gain_1"])
    assert {"mine_acc_untrained", "mine_acc_elsewhere_mean"} <= numbers.keys()
    assert (
        numbers["mine_acc_untrained"]
        == model.show("benchmark", tweaks=["reset weights"], tasks=[mine]).numbers["mine_acc_1"]
    )
    assert "zero head 1.2" in shown.to_markdown()
    with pytest.raises(BadText, match="no tweak to try elsewhere"):
        model.show("benchmark", tasks=(mine,), elsewhere=2)


def test_windows_say_which_tweaks_are_idle(model: Model) -> None:
    for line in ('prepend "a b"', "set temperature 2", 'prepend "a b" + set greedy'):
        with pytest.raises(Refused, match="all numbers would be BASE's") as caught:
            model.show("windows", text=LONG, window=16, tweak=line)
        assert all(f"`{one}`" in caught.value.what for one in line.split(" + "))
    mixed = model.show("windows", text=LONG, window=16, tweak='prepend "a b" + zero head 1.2')
    alone = model.show("windows", text=LONG, window=16, tweak="zero head 1.2")
    assert mixed.numbers == alone.numbers
    assert '`prepend "a b"` changes the prompt and did nothing' in mixed.to_markdown()
    assert "did nothing" not in alone.to_markdown()


def test_too_few_items(model: Model, tmp_path: Path) -> None:
    many = [{"question": f"{n} and one is", "choices": ["more", "less"], "answer": "more"} for n in range(24)]
    shown = model.show("few_items", tweak="zero L1.mlp_out", task=written(tmp_path, many))
    assert shown.numbers["items"] == 24
    assert shown.numbers["first_24"] == pytest.approx(shown.numbers["difference"])
    with pytest.raises(BadText, match="has 3 items"):
        model.show("few_items", tweak="zero head 1.2", task=written(tmp_path, LINES, "few.jsonl"))


def test_without_the_harness_it_says_what_to_install(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from invivo.engine.evaluation import harness as module

    def missing(name: str, extra: str) -> Any:
        raise Refused("this needs lm-eval, which is not installed", hint=f"pip install 'invivo[{extra}]'")

    monkeypatch.setattr(module, "extra", missing)
    with pytest.raises(Refused, match=r"pip install 'invivo\[eval\]'"):
        model.show("benchmark", tasks=("giving",))
    shown = model.show("windows", text=LONG, window=16)
    assert "harness_apart" not in shown.numbers
    assert "pip install" in shown.to_markdown()


# ── the command ──


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from invivo.surfaces import cli

    assert cli.main(["eval", "--json"]) == 0
    assert [t["name"] for t in json.loads(capsys.readouterr().out)["tasks"]] == [t.name for t in shipped()]
    assert cli.main(["eval", "--tweak", "zero haed 1.2"]) == 2
    assert "did you mean" in capsys.readouterr().err
    import invivo

    monkeypatch.setattr(invivo, "load", lambda *_, **__: tiny.model())
    mine, out = written(tmp_path, LINES), tmp_path / "report"
    line = ["eval", "--tweak", "zero head 1.2", "--tasks", mine, "--json"]
    assert cli.main([*line, "--out", str(out), "--takeaway", "it costs little"]) == 0
    said = capsys.readouterr()
    result = Exhibit.from_json(said.out)
    entry = Journal().show("last")
    assert entry.result == result
    assert (entry.kind, entry.takeaway) == ("eval", "it costs little")
    assert f"kept as {entry.id}" in said.err
    assert cli.main([*line, "--no-journal"]) == 0
    assert "kept as" not in capsys.readouterr().err
    assert len(Journal().list()) == 1
    assert cli.main(["journal", "show"]) == 0
    assert "it costs little" in (shown := capsys.readouterr().out)
    assert "zero head 1.2 on benchmark" in shown
    assert cli.main(["journal", "show", "--as", "cli"]) == 0
    assert capsys.readouterr().out.strip() == entry.recipe.to_cli()
    assert cli.main(["journal", "show", "--as", "yaml"]) == 0
    assert ExhibitRecipe.from_yaml(capsys.readouterr().out) == result.recipe
    assert cli.main(["journal", "show", "--as", "python"]) == 2
    assert "--as cli" in capsys.readouterr().err
    assert cli.main(["journal", "list"]) == 0
    assert "eval" in capsys.readouterr().out
    assert result.recipe.settings == {"tweaks": ["zero head 1.2"], "tasks": [mine]}
    assert Exhibit.from_json((out / "evaluation.json").read_text()) == result
    assert "invivo show benchmark" in (out / "evaluation.md").read_text()


def _task(tmp_path: Path, **changes: Any) -> Path:
    """A task of one item in a file, with some of its fields changed."""
    (tmp_path / "data.jsonl").write_text('{"question": "up or", "choices": [" down", " left"], "answer": 0}\n')
    config = {
        "task": "mine",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config | changes))
    return tmp_path / "mine.yaml"


def test_a_template_of_a_task_reaches_no_python(model: Model, tmp_path: Path) -> None:
    plain = scorer(model)
    assert len(find([str(_task(tmp_path))])) == 1  # the same task with honest templates is one
    evil = "{{ cycler.__init__.__globals__.os.popen('touch " + str(tmp_path / "PWNED") + "').read() }}"
    with pytest.raises(InvivoError):
        scores.outcomes(plain, find([str(_task(tmp_path, doc_to_text=evil, doc_to_target=evil, doc_to_choice=evil))]))
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metric_list": [{"metric": "accu"}]}, "no metric of lm-evaluation-harness"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "no metric of lm-evaluation-harness"),
        ({"dataset_kwargs": "x"}, "dataset_kwargs is 'x'"),
    ],
)
def test_what_would_bring_code_or_break_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvivoError, match=told):
        find([str(_task(tmp_path, **changes))])


def test_a_prompt_tweak_where_nothing_is_asked_says_so() -> None:
    with pytest.raises(NoEffect, match="ask none"):
        tiny.model().show("benchmark", tasks=["tales"], tweaks=['prepend "zzz "'])
