"""From a folder of text to a model folder: what is read, what is learned, what survives a kill, what the card says."""

from __future__ import annotations

import errno
import json
import lzma
import math
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `training` is no part of the package: it runs from the repository's root

from invivo.training import log  # noqa: E402
from invivo.training.corpus import SEPARATOR, CorpusError, Source, is_heldout, read_folder  # noqa: E402
from invivo.training.files import CannotWrite, write_folder, write_whole  # noqa: E402
from invivo.training.learner import CheckpointError, Learner, new_model  # noqa: E402
from invivo.training.loss import ROWS, head_loss  # noqa: E402
from invivo.training.measure import Score, predicted, score, token_bytes  # noqa: E402
from invivo.training.muon import Muon  # noqa: E402
from invivo.training.recipe import Recipe  # noqa: E402
from invivo.training.stream import ANSWER, Batch, Stage, Tokens, batch, encode, read, stage_at  # noqa: E402
from invivo.training.train import KEPT, Diverged, moments, train  # noqa: E402
from invivo.training.vocabulary import train_tokenizer  # noqa: E402
from training import mixture  # noqa: E402
from training.__main__ import beginning, main  # noqa: E402
from training.card import END, START  # noqa: E402
from training.credits import KNOWN, licence  # noqa: E402
from training.credits import credits as credits_of  # noqa: E402
from training.generator import items  # noqa: E402
from training.ngram import NGram, discounts  # noqa: E402
from training.stream import STAGES  # noqa: E402

TINY = Recipe(
    layers=2,
    heads=2,
    width=32,
    vocabulary=400,
    context=64,
    tokens=16 * 256,
    batch_tokens=256,
    warmup=0.3,
    generated=0,
)
FLAGS = [
    part
    for name in ("layers", "heads", "width", "vocabulary", "context", "tokens", "batch_tokens", "warmup", "generated")
    for part in ("--" + name.replace("_", "-"), str(getattr(TINY, name)))
]


def write_corpus(folder: Path, documents: int = 400, seed: int = 0) -> Path:
    """Stories of made-up sentences: two files, one of them compressed."""
    dice = random.Random(seed)
    words = [
        "".join(dice.choice("bdfgklmnprst") + dice.choice("aeiou") for _ in range(dice.randint(1, 3)))
        for _ in range(300)
    ]

    def story() -> str:
        return "".join(" ".join(dice.choices(words, k=8)).capitalize() + ". " for _ in range(16))

    texts = [story() for _ in range(documents)]
    folder.mkdir(parents=True)
    half = f"\n{SEPARATOR}\n".join(texts[: documents // 2])
    (folder / "new.txt").write_text(half)
    (folder / "old.txt.xz").write_bytes(lzma.compress(f"\n{SEPARATOR}\n".join(texts[documents // 2 :]).encode()))
    return folder


def random_tokens(name: str = "noise", length: int = 5000, seed: int = 0) -> Tokens:
    """Tokens of a language in which the next one is often the last one plus one."""
    dice = np.random.default_rng(seed)
    steps = np.where(dice.random(length) < 0.8, 1, dice.integers(0, TINY.vocabulary, length))
    ids = (np.cumsum(steps) % TINY.vocabulary).astype(np.uint16)
    return read(name, "large", ids, 0)


def alike(ids: np.ndarray) -> Batch:
    """Rows of tokens of which each counts as much as any."""
    return Batch(ids, np.ones(ids.shape, dtype=np.float32))


ONE_BYTE_EACH = np.ones(TINY.vocabulary, dtype=int)


def learn(folder: Path, recipe: Recipe = TINY, **more: Any) -> Learner:
    """A tiny run on one thread, without compiling; every step logged."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    learner = Learner(recipe, folder / "checkpoint.pt", compile=False)
    train(learner, [random_tokens()], folder / "log.jsonl", bytes_of=ONE_BYTE_EACH, log_seconds=0, **more)
    return learner


def curve(folder: Path) -> list[tuple[int, int, float]]:
    """(step, tokens, loss) of every step in the log."""
    return [(e["step"], e["tokens"], e["train_nats"]) for e in log.read(folder / "log.jsonl") if "train_nats" in e]


def same_weights(a: Learner, b: Learner) -> bool:
    """Whether two models are equal bit for bit."""
    return all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True))


# ---- the 5-gram model ----


def by_the_book(ids: list[int], vocabulary: int, order: int, context: tuple[int, ...], word: int) -> Fraction:
    """Interpolated modified Kneser-Ney straight from its definition, with the discounts that the fast one chose."""
    grams = {n: [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)] for n in range(1, order + 1)}
    counts = {n: Counter(g[1:] for g in set(grams[n + 1])) for n in range(1, order)} | {order: Counter(grams[order])}

    def p(context: tuple[int, ...], word: int) -> Fraction:
        n = len(context) + 1
        lower = p(context[1:], word) if context else Fraction(1, vocabulary)
        taken = [Fraction(float(d)) for d in discounts(np.array([counts[n][g] for g in set(grams[n])]))]
        after = {g[-1]: c for g, c in counts[n].items() if g[:-1] == context}
        total = sum(after.values())
        if total == 0:
            return lower
        c = after.get(word, 0)
        rest = sum(taken[min(k, 3)] for k in after.values()) / total
        return (c - taken[min(c, 3)]) / total + rest * lower

    return p(context, word)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=6, max_size=60),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.integers(1, 5),
)
def test_the_5_gram_model_is_kneser_ney_and_sums_to_one(ids: list[int], text: list[int], order: int) -> None:
    model = NGram(np.array(ids, dtype=np.uint16), 6, order)  # token 5 never occurs
    every = [np.exp(-model.nats(np.array([*text, w]))[-1]) for w in range(6)]
    assert sum(every) == pytest.approx(1, abs=1e-12)
    assert min(every) > 0
    context = tuple(text[max(0, len(text) - order + 1) :]) if order > 1 else ()
    for word in range(6):
        assert every[word] == pytest.approx(float(by_the_book(ids, 6, order, context, word)), rel=1e-9)


def test_the_5_gram_model_beats_the_uniform_one_and_order_1_on_text_with_structure() -> None:
    seen, new = random_tokens(length=40_000), random_tokens(length=2_000, seed=1)
    five, one = (NGram(seen.ids, TINY.vocabulary, n).nats(new.ids)[5:].mean() for n in (5, 1))
    assert five < one - 1
    assert one == pytest.approx(math.log(TINY.vocabulary), abs=0.1)  # all single tokens are about equally frequent


def test_discounts_are_chen_and_goodmans() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 10, 5])
    y = 100 / (100 + 80)
    expected = [0, 1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 10 / 20]
    assert discounts(counts) == pytest.approx(expected)
    assert list(discounts(np.array([7, 8]))) == [0, 0.5, 1, 1.5]  # nothing rare: the formula has no value


# ---- text, split, tokens ----


def test_no_held_out_document_is_in_the_training_tokens(tmp_path: Path) -> None:
    sources = read_folder(write_corpus(tmp_path / "corpus"), 0.1)
    tokenizer = train_tokenizer(sources, TINY.vocabulary, tmp_path / "model", TINY.context)
    reading = [encode(s, s.train, tokenizer, tmp_path / f"{s.name}.train.npy") for s in sources]
    heldout = [encode(s, s.heldout, tokenizer, tmp_path / f"{s.name}.heldout.npy") for s in sources]
    read = b"".join(t.ids.tobytes() for t in reading)

    def pieces(texts: list[Tokens]) -> list[bytes]:  # 24 tokens out of the middle of every document
        ends = [(t.ids, *ends) for t in texts for ends in pairwise([*t.starts, len(t.ids)])]
        return [ids[(a + b) // 2 :][:24].tobytes() for ids, a, b in ends]

    assert len(pieces(heldout)) > 20
    assert len(pieces(heldout)) + len(pieces(reading)) == 400
    assert not [p for p in pieces(heldout) if p in read]
    assert all(p in read for p in pieces(reading)[::10])  # the search does find what is there
    assert not {d for s in sources for d in s.train} & {d for s in sources for d in s.heldout}


def test_the_split_depends_on_the_text_alone() -> None:
    texts = [f"story number {i}" for i in range(4000)]
    out = {t for t in texts if is_heldout(t, 0.03)}
    assert 80 < len(out) < 160
    assert out < {t for t in texts if is_heldout(t, 0.06)}  # a larger share keeps what was held out
    assert out == {t for t in reversed(texts) if is_heldout(t, 0.03)}


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    texts = [random_tokens("a"), random_tokens("b", 3000, 1)]
    one, again = (batch(texts, STAGES[0], 256, 0, 7).ids for _ in range(2))
    assert np.array_equal(one, again)
    assert one.shape == (4, 64)
    assert not np.array_equal(one, batch(texts, STAGES[0], 256, 0, 8).ids)
    assert not np.array_equal(one, batch(texts, STAGES[0], 256, 1, 7).ids)


def test_rows_are_never_longer_than_the_context() -> None:
    assert [stage_at(x, 512, STAGES).length for x in (0, 0.5, 0.9, 1)] == [64, 256, 512, 512]
    assert [stage_at(x, 100, STAGES).length for x in (0, 0.5, 0.9, 1)] == [64, 100, 100, 100]


def test_the_stages_name_what_there_is_and_share_out_all_of_it() -> None:
    for stage in STAGES:
        assert sum(stage.mix.values()) == pytest.approx(1)
        assert set(stage.mix) <= {"large", "small", "starts", "few", "many", *mixture.DOCUMENTS}
    assert [s.until for s in STAGES] == sorted({s.until for s in STAGES})
    assert STAGES[-1].until == 1
    assert set().union(*(s.mix for s in STAGES)) == {"large", "small", "starts", "few", "many", *mixture.DOCUMENTS}


def same_ids(group: str, ids: int, document: int, documents: int, generated: bool) -> Tokens:
    """A source whose every token is `ids`, so that a batch tells where its tokens are from."""
    return Tokens(
        group, group, np.full(document * documents, ids, np.uint16), np.arange(documents) * document, generated
    )


@pytest.mark.parametrize("there", [("large", "small", "facts", "lists"), ("large", "lists"), ("facts", "lists")])
def test_tokens_have_the_shares_of_the_mix_and_those_there_take_over_for_others(there: tuple[str, ...]) -> None:
    mix = {"large": 0.4, "small": 0.1, "facts": 0.2, "lists": 0.25, "chat": 0.05}
    made = {
        "large": same_ids("large", 1, 3000, 4, False),
        "small": same_ids("small", 2, 800, 5, False),
        "facts": same_ids("facts", 3, 5, 300, True),
        "lists": same_ids("lists", 4, 20, 200, True),
    }
    sources = [made[name] for name in there]
    counts = np.zeros(5)
    for number in range(24):
        rows = batch(sources, Stage(1.0, 256, mix), 256 * 50, 0, number).ids
        assert rows.shape == (50, 256)
        counts += np.bincount(rows.ravel(), minlength=5)
    present = sum(mix[name] for name in there)
    for name in there:
        assert counts[made[name].ids[0]] / counts.sum() == pytest.approx(mix[name] / present, abs=0.025)
    assert counts[0] == 0


def test_a_row_of_generated_text_holds_whole_documents_with_one_end_between() -> None:
    dice = np.random.default_rng(0)
    documents = [tuple(dice.integers(1, 400, dice.integers(3, 12)).tolist()) for _ in range(9)]

    def kind(name: str, of: list[tuple[int, ...]]) -> Tokens:  # as `encode` writes: nothing behind the last one
        return read(name, name, np.array([i for d in of for i in (0, *d)], dtype=np.uint16), 0, True)

    mix = {"facts": 0.5, "chat": 0.5}
    met = set()
    kinds = [kind("facts", documents[:4]), kind("chat", documents[4:])]
    for row in batch(kinds, Stage(1.0, 64, mix), 64 * 200, 0, 0).ids:
        *whole, cut = "".join(f" {i}" for i in row).split(" 0")
        found = [tuple(map(int, part.split())) for part in whole]
        assert set(found) <= set(documents)
        part = tuple(map(int, cut.split()))
        assert any(d[: len(part)] == part for d in documents)
        met |= set(found)
    assert met == set(documents)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no *.txt"),
        ({"a.txt": b"\xff\xfe\x00\x80" * 99}, "not UTF-8"),
        ({"a.txt": b"\0" * 999}, "zero bytes"),
        ({"a.txt.xz": b"no archive"}, "not UTF-8"),
        ({"a.txt.xz": lzma.compress(b"words " * 999)[:60]}, "not UTF-8"),
        ({"a.txt": b"a few words"}, "too little to learn from"),
        ({"a.txt": b"words " * 50_000, "a.txt.xz": lzma.compress(b"words")}, "twice"),
        ({"a.txt": b"some words " * 50_000}, "no document was held out"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_named(
    files: dict[str, bytes], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert main([str(tmp_path), str(tmp_path / "out"), "--no-compile"]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert re.search(r"^error: .*\nhint: ", err)
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_too_little_text_for_the_vocabulary(tmp_path: Path) -> None:
    source = Source("a", ("one two three four five six seven one two three",), ())
    with pytest.raises(CorpusError, match=r"too little text for a vocabulary of 400: only \d+ pieces"):
        train_tokenizer([source], 400, tmp_path / "model", 64)
    assert not (tmp_path / "model").exists()


def test_tokens_of_another_corpus_are_not_used(tmp_path: Path) -> None:
    source = Source("a", ("one two three one two three",) * 3, ())
    tokenizer = train_tokenizer([source], 260, tmp_path / "model", 64)
    cache = tmp_path / "a.train.npy"
    first = encode(source, source.train, tokenizer, cache)
    assert np.array_equal(encode(source, source.train, tokenizer, cache).ids, first.ids)
    for other in (source.train[:2], ("one two three four five", *source.train[1:])):  # the second as many documents
        with pytest.raises(CorpusError, match="from another text"):
            encode(source, other, tokenizer, cache)
    assert len(set(tmp_path.glob("a.train.*.npy"))) == 1


# ---- scores ----


def test_a_score_is_the_mean_loss_of_the_predicted_tokens() -> None:
    torch.set_num_threads(1)
    model, text = new_model(TINY).eval(), random_tokens(length=1000)
    bytes_of = np.arange(TINY.vocabulary)
    found = score(model, text.ids, bytes_of, 64)
    mask = predicted(1000, 64)
    assert found.tokens == mask.sum() == 1000 - 16
    assert found.bytes == bytes_of[text.ids[mask]].sum()
    with torch.no_grad():
        rows = [torch.from_numpy(text.ids[i : i + 64].astype("int64"))[None] for i in range(0, 1000, 64)]
        slow = sum(model(r, labels=r).loss.item() * (r.shape[1] - 1) for r in rows)
    assert found.nats == pytest.approx(slow, rel=1e-5)
    some = score(model, text.ids, bytes_of, 64, rows=4)
    assert some.tokens == 4 * 63
    assert some.nats_per_token == pytest.approx(found.nats_per_token, rel=0.05)
    assert score(model, text.ids[:1], bytes_of, 64).tokens == 0


def test_bits_per_byte_and_perplexity_of_a_coin() -> None:
    coin = Score(nats=8 * math.log(2), tokens=8, bytes=4)
    assert (coin.bits_per_byte, coin.perplexity) == (pytest.approx(2), pytest.approx(2))
    assert (coin + coin).figures() == coin.figures()
    assert (coin + Score(9.0, 1, 1)).perplexity > 2


def test_bytes_of_tokens_are_the_bytes_of_their_text(tmp_path: Path) -> None:
    text = "one two – naïve “quotes” 三 one two"
    tokenizer = train_tokenizer([Source("a", (text,), ())], 262, tmp_path / "model", 64)
    ids = tokenizer(text)["input_ids"]
    assert token_bytes(tokenizer)[ids].sum() == len(text.encode())
    assert token_bytes(tokenizer)[tokenizer.eos_token_id] == 0


# ---- training, and going on ----


@pytest.mark.parametrize("half", [False, True])
def test_learning_learns(half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invivo.training.learner.has_bfloat16", lambda device: half)
    assert learn(tmp_path).half is half
    losses = [loss for *_, loss in curve(tmp_path)]
    assert len(losses) == TINY.steps == 16
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1


def test_muon_is_torchs_muon() -> None:
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((12, 40), (40, 12), (16, 16), (16, 16))]
    moves = [[torch.randn_like(p) * 0.1 + p * 0.3 for p in start] for _ in range(6)]

    def after(kind: Any, lr: float, **more: Any) -> torch.Tensor:  # how far all entries have moved
        params = [torch.nn.Parameter(p.clone()) for p in start]
        optimizer = kind(params, lr=lr, weight_decay=0.5, momentum=0.9, **more)
        for grads in moves:
            for p, grad in zip(params, grads, strict=True):
                p.grad = grad.clone()
            optimizer.step()
        return torch.cat([(p.detach() - q).flatten() for p, q in zip(params, start, strict=True)])

    theirs = after(torch.optim.Muon, 0.05, adjust_lr_fn="match_rms_adamw")
    assert (after(Muon, 0.05) - theirs).norm() < 0.01 * theirs.norm()  # theirs is bfloat16
    assert (after(Muon, 0.0525) - theirs).norm() > 0.04 * theirs.norm()
    assert (after(Muon, 0.05) - theirs).norm() > 0


def test_the_first_token_of_an_answer_counts_more_and_no_other(tmp_path: Path) -> None:
    texts = ("one two three, one two. three one", "two one three two three", "three.")
    answers = ((3, 16, 23), (0, 19), (5,))  # at blanks, at a first letter, inside a word, at a full stop
    source = Source("facts", texts * 2, (), True, answers * 2)
    tokenizer = train_tokenizer([source], 262, tmp_path / "model", 64)
    tokens = encode(source, source.train, tokenizer, tmp_path / "facts.npy", source.answers)
    again = encode(source, source.train, tokenizer, tmp_path / "facts.npy", source.answers)
    assert tokens.answers is not None
    assert again.answers is not None
    assert np.array_equal(tokens.answers, again.answers)
    with pytest.raises(CorpusError, match="from another text"):
        encode(source, source.train, tokenizer, tmp_path / "facts.npy", ((3, 16), *source.answers[1:]))
    for number, (text, places) in enumerate(zip(texts, answers, strict=True)):
        ids, marks = (x[tokens.document(number)].tolist() for x in (tokens.ids, tokens.answers))
        starts = [len(tokenizer.decode(ids[:k])) for k in range(len(ids))]  # where each token begins
        for place in places:
            shown = place + text[place].isspace()  # the blank before a word may or may not be its token's own
            k = next(k for k in range(len(ids)) if starts[k] <= shown < len(tokenizer.decode(ids[: k + 1])))
            assert marks[k] == 1
        assert sum(marks) == len(places)
    rows = batch([tokens], Stage(1.0, 16, {"facts": 1.0}), 16 * 40, 0, 0)
    assert set(np.unique(rows.weights)) == {1, ANSWER}
    heavy = set(rows.ids[rows.weights == ANSWER].tolist())
    assert heavy == set(tokens.ids[tokens.answers == 1].tolist())
    assert 0.05 < (rows.weights == ANSWER).mean() < 0.5


def test_every_kind_of_generated_text_says_where_its_answers_start() -> None:
    for kind in mixture.DOCUMENTS:
        several = 0
        for item in items(kind, "train", 60):
            assert item.answers[-1] == len(item.prompt)
            assert item.text[item.answers[-1] :].startswith(item.answer)
            assert sorted(set(item.answers)) == list(item.answers) or kind == "indirect"
            several += len(item.answers) > 1
            if kind in ("facts", "reading", "indirect"):
                assert all(re.match(r" [A-Za-z]+\b", item.text[at:]) for at in item.answers), item
            if kind == "indirect" and item.others:  # the one who gave is given something
                assert item.text[item.others[0] :] == item.wrong + "."
        assert (several > 5) == (kind in ("facts", "reading", "indirect"))


@pytest.mark.parametrize("rows", [3, ROWS, 2 * ROWS + 37])
def test_the_loss_by_the_piece_is_cross_entropy_with_its_gradients(rows: int) -> None:
    dice = torch.Generator().manual_seed(rows)
    hidden, head = (torch.randn(n, 7, generator=dice, dtype=torch.float64, requires_grad=True) for n in (rows, 11))
    targets = torch.randint(11, (rows,), generator=dice)
    weights = 1 + 9 * torch.randint(2, (rows,), generator=dice).double()

    def found(loss: torch.Tensor) -> list[torch.Tensor]:
        return [loss.detach(), *torch.autograd.grad(3 * loss, (hidden, head))]

    nats = F.cross_entropy(hidden @ head.T, targets, reduction="none")
    slow = found((nats * weights).mean())
    loss, plain = head_loss(hidden, head, targets, weights)
    torch.testing.assert_close(plain, nats.detach().mean(), rtol=1e-12, atol=1e-12)
    assert not plain.requires_grad
    for mine, theirs in zip(found(loss), slow, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    for wrong in (((targets + 1) % 11, weights), (targets, weights.roll(1) + 1)):
        for mine, theirs in zip(found(head_loss(hidden, head, *wrong)[0]), slow, strict=True):
            assert (mine - theirs).norm() > 1e-3 * theirs.norm()


def test_pieces_give_the_gradients_of_the_whole_and_workers_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invivo.training.learner.has_bfloat16", lambda device: False)
    ids = random_tokens().ids[: 5 * 64].reshape(5, 64).astype("int64")
    weights = np.where(ids % 5 == 0, np.float32(ANSWER), np.float32(1))

    def step(piece: int, workers: int) -> list[torch.Tensor]:
        monkeypatch.setattr("invivo.training.learner.PIECE", piece)
        torch.set_num_threads(workers)
        learner = Learner(TINY, tmp_path / "none.pt", compile=False)
        torch.set_num_threads(1)
        loss = learner._pieces(torch.from_numpy(ids), torch.from_numpy(weights))
        grads = [p.grad for p in learner.model.parameters() if p.grad is not None]
        assert len(grads) == len(list(learner.model.parameters()))
        again = Learner(TINY, tmp_path / "none.pt", compile=False)
        again._pieces(torch.from_numpy(ids), torch.from_numpy(weights))
        again.learn(Batch(ids, weights))
        learner.learn(Batch(ids, weights))
        assert same_weights(again, learner)
        return [loss, *grads]

    whole, pieces, both = step(9999, 1), step(128, 1), step(128, 2)  # one of five rows; two, two and one
    assert all(torch.equal(a, b) for a, b in zip(pieces, both, strict=True))
    for a, b in zip(pieces, whole, strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm()
    assert not all(torch.equal(a, b) for a, b in zip(pieces, whole, strict=True))
    with torch.no_grad():
        model = new_model(TINY)
        slow = model(torch.from_numpy(ids), labels=torch.from_numpy(ids)).loss
    assert whole[0].item() == pytest.approx(slow.item(), rel=1e-5)


def test_weights_are_kept_at_moments_that_are_spaced_evenly_in_their_logarithm(tmp_path: Path) -> None:
    for steps in (1, 16, 700, 2929):
        found = sorted(moments(steps))
        assert (found[0], found[-1]) == (0, steps)
    assert len(found) == KEPT == 12
    spacing = math.log(found[-1]) / 10
    assert [math.log(n) for n in found[1:]] == pytest.approx([i * spacing for i in range(11)], abs=0.11)
    assert [math.log(n) for n in found[5:]] == pytest.approx([i * spacing for i in range(4, 11)], abs=0.02)

    kept: dict[int, torch.Tensor] = {}
    last = learn(tmp_path, keep=lambda model, step: kept.update({step: model.transformer.wte.weight.detach().clone()}))
    assert set(kept) == moments(TINY.steps) == {0, 1, 2, 3, 4, 5, 7, 9, 12, 16}
    assert torch.equal(kept[0], new_model(TINY).transformer.wte.weight)
    assert torch.equal(kept[16], last.model.transformer.wte.weight)
    assert not torch.equal(kept[12], kept[16])


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_training import Score, learn
learn(Path(sys.argv[1]), save_seconds=0, watch=lambda *_: time.sleep(0.1) or ({{"noise": Score(1.0, 1, 1)}}, {{}}))
"""


def test_a_run_killed_at_any_moment_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    unbroken = learn(tmp_path / "unbroken")
    broken = tmp_path / "broken"
    broken.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CHILD.format(root=str(ROOT)), str(broken)], cwd=ROOT)
    diary = broken / "log.jsonl"
    while child.poll() is None and len(curve(broken)) < 6:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert 6 <= len(curve(broken)) < TINY.steps
    (broken / "checkpoint.pt.part").write_bytes(b"half")  # as a kill in the middle of writing leaves it
    with diary.open("a") as file:
        file.write('{"step": 99, "tok')
    reached = torch.load(broken / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < reached < TINY.steps

    resumed = learn(broken)
    assert same_weights(unbroken, resumed)
    assert curve(broken) == curve(tmp_path / "unbroken")
    assert not same_weights(unbroken, learn(tmp_path / "other", replace(TINY, seed=1)))


class Enough(KeyboardInterrupt):
    """Raised in place of measuring."""


def grow_generated(corpus: Path, out: Path, pause: float = 0.0) -> None:
    """The whole command up to its measuring, on few generated documents, with a checkpoint after every step."""

    def no_more(*_: Any, **__: Any) -> None:
        raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixture, "DOCUMENTS", dict.fromkeys(mixture.DOCUMENTS, 40))
        patch.setattr(mixture, "HELDOUT", 2)
        patch.setattr(mixture, "STRING_TOKENS", 2000)
        patch.setattr("training.__main__.train", partial(train, save_seconds=0, log_seconds=0))
        patch.setattr("training.__main__.score", lambda *_, **__: Score(1.0, 1, 1))
        patch.setattr("training.__main__.glance", lambda *_: time.sleep(pause) or {})
        patch.setattr("training.__main__.evaluate", no_more)
        flags = ["--no-compile", "--threads", "1", "--heldout", "0.1", *FLAGS, "--generated", "1"]
        assert main([str(corpus), str(out), *flags]) == 130  # as if stopped while measuring


GROWING = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_training import grow_generated
grow_generated(Path(sys.argv[1]), Path(sys.argv[2]), pause=0.1)
"""


def test_a_run_with_generated_text_killed_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    grow_generated(corpus, unbroken)
    command = [sys.executable, "-c", GROWING.format(root=str(ROOT)), str(corpus), str(broken)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and len(curve(broken)) < 5:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    reached = torch.load(broken / "checkpoint.pt", weights_only=True)
    assert 0 < reached["step"] < TINY.steps
    assert reached["recipe"]["generated"] == 1
    grow_generated(corpus, broken)
    assert len(curve(unbroken)) == TINY.steps
    assert curve(broken) == curve(unbroken)
    ends = [torch.load(out / "checkpoint.pt", weights_only=True)["model"] for out in (unbroken, broken)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert list((broken / "work").glob("chat.train.*.npy"))

    learn(tmp_path / "books alone")
    assert curve(tmp_path / "books alone") != curve(unbroken)
    before = (broken / "checkpoint.pt").read_bytes()
    assert main([str(corpus), str(broken), "--heldout", "0.1", *FLAGS]) == 2  # --generated 0
    assert (broken / "checkpoint.pt").read_bytes() == before


def test_the_learning_rate_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"

    def rates(learner: Learner) -> list[float]:
        return [o.param_groups[0]["lr"] for o in learner.optimizers]

    learner = Learner(TINY, path, compile=False)
    base = [TINY.muon_rate, TINY.adam_rate]
    ids = random_tokens().ids[:256].reshape(4, 64).astype("int64")
    seen = []
    for step in range(TINY.steps):
        assert rates(learner) == pytest.approx([b * TINY.rate(step) for b in base])
        seen.append(rates(learner))
        learner.learn(alike(ids))
        learner.save()
        learner = Learner(TINY, path, compile=False)
        assert learner.step == step + 1
    assert seen[1] < seen[7] > seen[-1]


def test_more_tokens_are_welcome_and_another_recipe_is_not(tmp_path: Path) -> None:
    learn(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(CheckpointError, match=r"width was 32, is 64; seed was 0, is 3") as error:
        learn(tmp_path, replace(TINY, width=64, seed=3))
    assert "tokens was" not in error.value.what
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    longer = learn(tmp_path, replace(TINY, tokens=TINY.tokens + 512))
    assert [step for step, *_ in curve(tmp_path)] == list(range(1, TINY.steps + 3))
    assert longer.seen == TINY.tokens + 512


@pytest.mark.parametrize("what", ["garbage", "other file", "other shape"])
def test_a_checkpoint_that_does_not_fit_is_refused_and_kept(what: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    if what == "garbage":
        path.write_bytes(b"not a checkpoint")
    elif what == "other file":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        Learner(replace(TINY, width=64), path, compile=False).save()
        state = torch.load(path, weights_only=True)
        torch.save(state | {"recipe": asdict(TINY)}, path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"another shape" if what == "other shape" else "no checkpoint"):
        learn(tmp_path)
    assert path.read_bytes() == before


def test_no_room_on_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(tmp_path, replace(TINY, tokens=1024))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    replace_file = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "checkpoint.pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CannotWrite, match="No space left on device"):
        learn(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
    monkeypatch.undo()
    assert learn(tmp_path).step == TINY.steps


def test_a_full_folder_is_not_half_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_folder(folder, lambda part: (part / "weights").write_text("old"))

    def fails(part: Path) -> None:
        (part / "weights").write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CannotWrite):
        write_folder(folder, fails)
    assert (folder / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    with pytest.raises(CannotWrite):
        write_whole(folder / "weights" / "below", b"a file is no folder")


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path: Path) -> None:
    learner = Learner(TINY, tmp_path / "checkpoint.pt", compile=False)
    learner.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with torch.no_grad():
        learner.model.transformer.wte.weight[0] = float("nan")
    with pytest.raises(Diverged):
        train(learner, [random_tokens()], tmp_path / "log.jsonl", bytes_of=ONE_BYTE_EACH, save_seconds=0)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_ctrl_c_saves_and_the_run_goes_on(tmp_path: Path) -> None:
    learner = Learner(TINY, tmp_path / "checkpoint.pt", compile=False)
    original, before = learner.learn, signal.getsignal(signal.SIGINT)

    def stop_at_five(ids: np.ndarray) -> torch.Tensor:
        if learner.step == 4:
            signal.raise_signal(signal.SIGINT)
        return original(ids)

    learner.learn = stop_at_five
    with pytest.raises(KeyboardInterrupt, match="stopped at step 5"):
        train(learner, [random_tokens()], tmp_path / "log.jsonl", bytes_of=ONE_BYTE_EACH, log_seconds=0)
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 5
    assert same_weights(learn(tmp_path), learn(tmp_path / "unbroken"))


def test_the_log_reads_as_if_unbroken(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [{"step": s, "tokens": 10 * s, "train_nats": 5.0 - s, "tokens_per_s": 5} for s in (1, 2, 3, 2, 3, 4)]
    lines.insert(4, {"step": 2, "tokens": 20, "books": 4.5})  # held-out loss as earlier runs wrote it
    path.write_text("".join(map(log.line, lines)) + '{"step": 5, "to')
    found = log.read(path)
    assert [e["step"] for e in found] == [1, 2, 2, 3, 4]
    assert log.seconds(found) == pytest.approx(8)
    assert [e["step"] for e in log.read(path, until=3)] == [1, 2, 2, 3]
    assert log.read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("wrong", [{"width": 33}, {"vocabulary": 100}, {"context": 4096}, {"tokens": 0}])
def test_a_recipe_that_cannot_be_is_refused(wrong: dict[str, int], tmp_path: Path) -> None:
    flags = [part for name, value in wrong.items() for part in (f"--{name}", str(value))]
    assert main([str(tmp_path), str(tmp_path / "out"), *FLAGS, *flags]) == 2


def test_the_recipe_of_fruitfly_fits_its_size() -> None:
    with torch.device("meta"):
        parameters = new_model(Recipe()).num_parameters()
    assert parameters > 6_500_000
    assert parameters * 2 <= 16 * 2**20


# ---- the whole command ----


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of one tiny run of the whole command, with the corpus beside it."""
    top = tmp_path_factory.mktemp("grown")
    corpus = write_corpus(top / "corpus")
    (corpus / "attribution_new.tsv").write_text(
        "title\tlicense\ttext_by\tkept\nThe <b>Hen</b>\t[CC-BY]\tAda \x1b[31mB\t1\nNot in it\t[CC-BY-NC]\tC\t0\n"
    )
    (top / "page.md").write_text(f"# A page\n\n{START}\nold figures\n{END}\n\nThe end.\n")
    assert (
        main(
            [
                str(corpus),
                str(top / "out"),
                "--no-compile",
                "--threads",
                "1",
                "--name",
                "mayfly",
                "--heldout",
                "0.1",
                "--page",
                str(top / "page.md"),
                *FLAGS,
            ]
        )
        == 0
    )
    return top / "out"


def test_the_model_folder_is_what_transformers_loads(grown: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = grown / "model"
    assert {p.name for p in folder.iterdir()} == {
        "README.md",
        "CREDITS.txt",
        "report.json",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float16
    assert model.lm_head.weight is model.transformer.wte.weight
    assert 0 <= (folder / "model.safetensors").stat().st_size - 2 * model.num_parameters() < 9999  # the head once
    config = json.loads((folder / "config.json").read_text())
    assert config["activation_function"] == "gelu_new"
    assert not {k for k in config if k.startswith("_") or "attn_impl" in k}
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 0
    for file in folder.iterdir():
        assert str(ROOT).encode() not in file.read_bytes()
        assert str(grown.parent).encode() not in file.read_bytes()
    text = tokenizer("The bird", return_tensors="pt")
    assert model.float().generate(**text, max_new_tokens=4, do_sample=False).shape[1] > text["input_ids"].shape[1]

    trained = Learner(TINY, grown / "checkpoint.pt", compile=False).model.eval()
    kept = {int(p.name): p for p in (grown / "steps").iterdir()}
    assert set(kept) == moments(TINY.steps)
    first, last = (AutoModelForCausalLM.from_pretrained(kept[step]).transformer.wte.weight for step in (0, TINY.steps))
    assert torch.equal(first, new_model(TINY).transformer.wte.weight.half())
    assert torch.equal(last, trained.transformer.wte.weight.half())
    with torch.no_grad():
        apart = (trained(text["input_ids"]).logits - model(text["input_ids"]).logits).abs().max().item()
    assert 0 < apart < 0.02  # half precision, and nothing else


def test_the_model_folder_needs_no_invivo(grown: Path, tmp_path: Path) -> None:
    script = """
import sys
sys.modules["invivo"] = sys.modules["training"] = None  # importing either is an error
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = (auto.from_pretrained(sys.argv[1]) for auto in (AutoModelForCausalLM, AutoTokenizer))
ids = model.generate(**tokenizer("The bird", return_tensors="pt"), max_new_tokens=5, min_new_tokens=5, do_sample=False)
print(len(tokenizer("The bird").input_ids), ids.shape[1], type(model).__module__)
try:
    import invivo
except ImportError:
    print("without")
"""
    command = [sys.executable, "-c", script, str(grown / "model")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    numbers, last = done.stdout.strip().split("\n")
    read, length, module = numbers.split()
    assert int(length) == int(read) + 5
    assert (module, last) == ("transformers.models.gpt2.modeling_gpt2", "without")


def test_a_run_can_start_from_the_weights_of_a_folder(grown: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    weights, digest = beginning(grown / "model", tmp_path / "out" / "model", TINY.heads)
    assert len(digest) == 64
    assert weights is not None
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / "model" / name).read_bytes() == (grown / "model" / name).read_bytes()
    assert not (tmp_path / "out" / "model" / "model.safetensors").exists()
    ids = random_tokens(seed=5).ids[:256].reshape(4, 64).astype("int64")
    with torch.no_grad():
        rows = torch.from_numpy(ids)
        folder = AutoModelForCausalLM.from_pretrained(grown / "model").float()(rows, labels=rows).loss.item()
    recipe = replace(TINY, start=digest)
    learner = Learner(recipe, tmp_path / "checkpoint.pt", start=weights, compile=False)
    assert learner.learn(alike(ids))[0].item() == pytest.approx(folder, rel=1e-5)
    assert abs(Learner(TINY, tmp_path / "no.pt", compile=False).learn(alike(ids))[0].item() - folder) > 0.05
    learner.save()
    with pytest.raises(CheckpointError, match=rf"start was {digest}, is none\n"):
        Learner(TINY, tmp_path / "checkpoint.pt", compile=False)
    assert beginning(None, tmp_path / "none", TINY.heads) == (None, "")


def test_a_model_may_be_the_mean_of_both_ends(grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file

    command = [
        str(grown.parent / "corpus"),
        str(tmp_path),
        "--no-compile",
        "--threads",
        "1",
        "--heldout",
        "0.1",
        *FLAGS,
    ]
    command += ["--start-from", str(grown / "model")]
    assert main(command) == 0
    ends = [load_file(folder / "model" / "model.safetensors") for folder in (grown, tmp_path)]
    assert main([*command, "--finish", "--average", "0.25"]) == 0
    mean = load_file(tmp_path / "model" / "model.safetensors")
    for name, weight in mean.items():
        wanted = 0.25 * ends[0][name].float() + 0.75 * ends[1][name].float()
        torch.testing.assert_close(weight.float(), wanted, rtol=2e-3, atol=1e-4)  # half precision
    assert any((ends[0][name] - ends[1][name]).abs().max() > 0.01 for name in mean)
    assert json.loads((tmp_path / "model" / "report.json").read_text())["training"]["average"] == 0.25
    assert "these counting 25%" in (tmp_path / "model" / "README.md").read_text()
    capsys.readouterr()
    for wrong in (["--average", "1"], ["--average", "-0.1"]):
        assert main([*command, "--finish", *wrong]) == 2
        assert "is a share of the weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--width", "64"], r"another shape.*wte\.weight is \(400, 32\) there, \(400, 64\) here"),
        (["--layers", "1"], r"another shape.*h\.1\.[a-z_.0-9]+ is .* there, missing here"),
        (["--layers", "3"], r"another shape.*h\.2\.[a-z_.0-9]+ is missing there"),
        (["--vocabulary", "300"], r"vocabulary of 400, not 300"),
        (["--heads", "4"], r"has 2 heads, not 4"),
    ],
)
def test_weights_of_another_shape_are_refused(
    flags: list[str], words: str, grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(grown.parent / "corpus"), str(tmp_path / "out"), "--no-compile", "--heldout", "0.1", *FLAGS, *flags]
    assert main([*command, "--start-from", str(grown / "model")]) == 2
    err = capsys.readouterr().err
    assert re.search(rf"^error: .*{words}", err, re.MULTILINE)
    assert re.search(rf"^hint: .*{flags[0]}", err, re.MULTILINE)
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_folder_without_weights_is_nothing_to_start_from(
    grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(grown.parent / "corpus"), str(tmp_path / "out"), *FLAGS, "--start-from", str(grown.parent)]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "has no model.safetensors and no tokenizer.json" in err
    assert "hint: name a model folder" in err
    assert not (tmp_path / "out").exists()


def test_the_report_is_measured_and_the_card_is_the_report(grown: Path) -> None:
    report = json.loads((grown / "model" / "report.json").read_text())
    assert report["training"]["steps"] == TINY.steps
    assert report["training"]["tokens"] == TINY.tokens
    assert report["model"]["weights_bytes"] == (grown / "model" / "model.safetensors").stat().st_size
    assert set(report["heldout"]) == {"new", "old", "all"}
    for row in report["heldout"].values():
        assert row["uniform"]["nats_per_token"] == pytest.approx(math.log(TINY.vocabulary), abs=1e-3)
        assert row["uniform"]["nats_per_token"] > row["five_gram"]["nats_per_token"] > 1
        for who in ("model", "five_gram", "uniform"):
            bits = row[who]["nats_per_token"] * row["tokens"] / row["bytes"] / math.log(2)
            assert row[who]["bits_per_byte"] == pytest.approx(bits, rel=1e-3)
    assert report["heldout"]["all"]["tokens"] == sum(report["heldout"][n]["tokens"] for n in ("new", "old"))
    text = (grown / "model" / "README.md").read_text()
    assert "\n# mayfly\n" in text
    assert text.startswith("---\nlicense: unknown\n")
    for who in ("model", "five_gram", "uniform"):
        assert f"{report['heldout']['all'][who]['bits_per_byte']:.2f}" in text
    page = (grown.parent / "page.md").read_text()
    assert page.startswith("# A page\n")
    assert page.endswith("The end.\n")
    assert "old figures" not in page
    assert page.split(START)[1].split(END)[0].strip() in text


def test_the_same_command_again_says_the_same(grown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shipped() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (grown / "model").iterdir()}

    before = shipped()
    arguments = [str(grown.parent / "corpus"), str(grown), "--no-compile", "--threads", "1", "--name", "mayfly"]
    assert main([*arguments, "--heldout", "0.1", "--finish", *FLAGS]) == 0
    assert shipped() == before
    assert main([*arguments, "--heldout", "0.2", *FLAGS]) == 2
    assert "--heldout was another" in capsys.readouterr().err
    assert main([*arguments, "--heldout", "0.1", *FLAGS, "--vocabulary", "300"]) == 2
    assert "vocabulary of 400, not 300" in capsys.readouterr().err
    assert shipped() == before


def test_credits_name_who_is_in_the_corpus_and_hide_nothing(grown: Path) -> None:
    text = (grown / "model" / "CREDITS.txt").read_text()
    assert "The <b>Hen</b> · text: Ada [31mB · [CC-BY]" in text
    assert "Not in it" not in text
    assert "\x1b" not in text
    (grown.parent / "corpus" / "attribution_bad.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(CorpusError, match="no column license, text_by, title"):
        credits_of(grown.parent / "corpus")


def test_a_licence_is_claimed_for_known_texts_only() -> None:
    assert licence(KNOWN) == "cc-by-4.0"
    assert licence([*KNOWN, "my_diary"]) == "unknown"
