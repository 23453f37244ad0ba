"""Finding passages: BM25, vectors, fusion, index and store beside plain arithmetic; the tweak on tiny models."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from invivo.engine.live import Model
from invivo.engine.retrieval import collection, query_of, read
from invivo.engine.retrieval.cells import Cells, exact, recall
from invivo.engine.retrieval.dense import ByModel, ByName, Dense
from invivo.engine.retrieval.fusion import fuse
from invivo.engine.retrieval.lexical import STOPWORDS, B, Lexical, words
from invivo.engine.retrieval.passages import LONGEST, cut
from invivo.engine.retrieval.store import store
from invivo.errors import BadText, InvivoError, OutOfRange, Refused, UnknownName
from invivo.experiment.village import NAME, QUESTIONS
from invivo.tweaks import Retrieve, Stack, read_tweak

from . import tiny

NOTES = {"a.txt": "A red fox.\n\nThe cat sat.", "deep/b.md": "Rain fell\non it.", ".hidden/c.txt": "x", "d.csv": "y"}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in NOTES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


# ── passages ──


def test_passages_are_the_paragraphs_of_text_files(folder: Path) -> None:
    assert [(p.text, p.source) for p in read(str(folder))] == [
        ("A red fox.", "a.txt 1"),
        ("The cat sat.", "a.txt 2"),
        ("Rain fell on it.", "deep/b.md 1"),
    ]
    assert [p.text for p in read(str(folder / "a.txt"))] == ["A red fox.", "The cat sat."]


def test_long_paragraphs_are_cut_behind_sentences() -> None:
    text = " ".join(f"This is sentence number {n} of them." for n in range(40))
    parts = list(cut(text))
    assert " ".join(parts) == text
    assert all(len(p.split()) <= LONGEST and p.endswith(".") for p in parts)
    assert [len(p.split()) for p in cut("word " * (2 * LONGEST + 3))] == [LONGEST, LONGEST, 3]
    assert list(cut("")) == []


def test_a_folder_that_cannot_be_searched_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="there is no folder") as told:
        read(str(folder / "deap"))
    assert "did you mean" in (told.value.hint or "")
    assert "deep" in (told.value.hint or "")
    with pytest.raises(UnknownName, match="there is no folder vilage") as told:
        read("vilage")
    assert "village" in (told.value.hint or "")
    (folder / "empty").mkdir()
    with pytest.raises(BadText, match="has no text files"):
        read(str(folder / "empty"))
    (folder / "empty" / "x.txt").write_text("\n \n")
    with pytest.raises(BadText, match="are empty"):
        read(str(folder / "empty"))
    (folder / "empty" / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadText, match=r"x\.txt cannot be read as text"):
        read(str(folder / "empty"))


def test_the_villages_questions_are_what_they_are_said_to_be() -> None:
    passages = read(NAME)
    assert len(passages) == 36
    for question in QUESTIONS:
        having = [p for p in passages if question.answer in words_of(p.text)]
        assert len(having) == 1, question
        shared = set(words(question.text)) & set(words(having[0].text))
        if question.kind == "paraphrase":
            assert not shared, question
        else:
            names = [w for w in words_of(question.text)[1:] if w[0].isupper()]
            assert [p for p in passages if names[-1] in words_of(p.text)] == having, question
    assert {q.kind for q in QUESTIONS} == {"exact", "paraphrase"}
    assert len({q.answer for q in QUESTIONS}) == len(QUESTIONS) == 36


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


# ── words ──


def test_bm25_is_the_formula() -> None:
    texts = [p.text for p in read(NAME)]
    every = [Counter(words(t)) for t in texts]
    mean = sum(sum(c.values()) for c in every) / len(every)
    lexical = Lexical(texts)
    for query in ("Where does Belku live, and who lives in Kerdun?", "bread bread in a castle", "the"):
        expected = []
        for held in every:
            score = 0.0
            for word in words(query):
                df = sum(word in c for c in every)
                tf = held[word]
                idf = math.log(1 + (len(every) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + 1.5 * (1 - B + B * sum(held.values()) / mean))
            expected.append(score)
        assert lexical.scores(query) == pytest.approx(expected, abs=1e-5)
    assert max(lexical.scores("bread castle")) > 1
    assert Lexical(["the", "of"]).scores("the cat").tolist() == [0, 0]


def test_a_missing_library_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(Refused, match="bm25s") as told:
        Lexical(["a cat"])
    assert "pip install 'invivo[rag]'" in (told.value.hint or "")


# ── vectors ──


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_vector_is_the_mean_direction_of_words_of_weight(family: str) -> None:
    model = tiny.model(family)
    texts = ["The cat sat.", "A dog of mine", "the of", "Rain!"]
    ours = ByModel(model.living)(texts)
    for text, found in zip(texts, ours, strict=True):
        with torch.no_grad():
            states = model.hf(
                torch.tensor([model.tokenizer(text).input_ids]), output_hidden_states=True, use_cache=False
            ).hidden_states[2][0]  # after block 1 of 3; a token is a character
        heavy = [m.span() for m in re.finditer(r"\w+", text) if m[0].lower() not in STOPWORDS] or [(0, len(text))]
        kept = [states[i] / states[i].norm() for a, b in heavy for i in range(a, b)]
        assert torch.allclose(found, torch.stack(kept).mean(0), atol=1e-5)
    again = torch.cat([ByModel(model.living)([text]) for text in texts])
    assert torch.allclose(ours, again, atol=1e-5)
    assert not torch.allclose(ours, ByModel(model.living, 2)(texts), atol=1e-2)
    with pytest.raises(OutOfRange):
        ByModel(model.living, 3)


def test_scores_are_cosines_without_the_collections_mean(model: Model) -> None:
    texts = ["The cat sat.", "A dog of mine", "Rain fell."]
    embed = ByModel(model.living)
    raw, query = embed(texts), embed(["a fat cat"])[0]
    expected = torch.nn.functional.cosine_similarity(raw - raw.mean(0), (query - raw.mean(0))[None])
    found = Dense(embed, texts).scores("a fat cat")
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, torch.nn.functional.cosine_similarity(raw, query[None]), atol=1e-2)


def test_a_named_embedder_pools_what_is_no_padding(tmp_path: Path) -> None:
    tiny.weights("gpt2").save_pretrained(tmp_path / "m")
    tiny.tokenizer().save_pretrained(tmp_path / "m")
    embed = ByName(str(tmp_path / "m"))
    texts = ["the cat", "a dog and a fox"]
    together, alone = embed(texts), torch.cat([embed([text]) for text in texts])
    assert torch.allclose(together, alone, atol=1e-4)
    assert together.shape == (2, tiny.TINY.width)
    with pytest.raises(Refused, match="no embedding model"):
        ByName(str(tmp_path / "nowhere"))


# ── both, index, store ──


def test_fusion_adds_reciprocal_ranks() -> None:
    found = dict(fuse([[7, 3, 5], [3, 9]]))
    assert found == pytest.approx({3: 1 / 62 + 1 / 61, 7: 1 / 61, 9: 1 / 62, 5: 1 / 63})
    assert [n for n, _ in fuse([[7, 3, 5], [3, 9]])] == [3, 7, 9, 5]
    assert fuse([[], [4, 2]])[0] == (4, pytest.approx(1 / 61))
    assert [n for n, _ in fuse([[1, 2], [2, 1]])] == [1, 2]


def groups(seed: int = 0, count: int = 12, each: int = 40, width: int = 16) -> np.ndarray:
    dice = np.random.default_rng(seed)
    middles = dice.standard_normal((count, width))
    x = (middles[:, None] + 0.35 * dice.standard_normal((count, each, width))).reshape(-1, width)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_an_index_finds_more_with_more_cells_and_all_with_all() -> None:
    vectors, k = groups(), 10
    queries, kept = vectors[::30], np.delete(vectors, np.s_[::30], axis=0)
    curves = {}
    for by_chance in (False, True):
        cells = Cells(kept, 12, by_chance=by_chance)
        assert sorted(np.concatenate(cells.members)) == list(range(len(kept)))
        curve, most = [], 0
        for probes in range(1, 13):
            found = [cells.search(q, k, probes) for q in queries]
            curve.append(np.mean([recall(f, exact(kept, q, k)) for (f, _), q in zip(found, queries, strict=True)]))
            assert all(n <= len(kept) for _, n in found)
            most = found[0][1]
        assert all(b >= a for a, b in pairwise(curve))
        assert curve[-1] == 1
        assert most == len(kept)
        curves[by_chance] = curve
    assert curves[False][1] > 2 * curves[True][1]
    assert curves[True][0] == pytest.approx(1 / 12, abs=0.06)
    cells = Cells(kept, 12)
    for c, members in enumerate(cells.members):
        mean = kept[members].mean(0)
        near = float(cells.centres[c] @ mean / np.linalg.norm(mean))
        assert near == pytest.approx(1, abs=0.02)
    true = exact(kept, queries[0], k)
    assert set(true) == set(np.argsort(np.linalg.norm(kept - queries[0], axis=1))[:k])
    with pytest.raises(OutOfRange):
        Cells(kept, len(kept) + 1)
    with pytest.raises(OutOfRange):
        cells.search(queries[0], k, 13)


def test_a_store_in_memory_finds_what_a_matrix_product_finds() -> None:
    passages = read(NAME)
    vectors = torch.from_numpy(groups(3, 6, 6))
    with store() as opened:
        opened.fill(passages, vectors)
        for query in torch.from_numpy(groups(4, 2, 3)):
            scores = vectors @ query
            found = opened.search(query, 5)
            assert [n for n, _, _ in found] == scores.topk(5).indices.tolist()
            assert [s for _, s, _ in found] == pytest.approx(scores.topk(5).values.tolist(), abs=1e-5)
            assert [t for _, _, t in found] == [passages[n].text for n, _, _ in found]
        opened.fill(passages[:2], vectors[:2])  # in place of what it held
        assert len(opened.search(vectors[0], 5)) == 2


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(Refused, match=r"http://127\.0\.0\.1:9 does not answer"), store("http://127.0.0.1:9"):
        pass
    with pytest.raises(Refused, match="is no address"), store("localhost"):
        pass


# ── a collection ──


def test_every_way_ranks_as_it_says(model: Model, folder: Path) -> None:
    found = collection(model.living, str(folder))
    assert [h.passage.source for h in found.search("where did the cat go", 3, "bm25")] == ["a.txt 2"]
    assert found.search("nothing shared", 3, "bm25") == []
    dense = found.search("fox", 3, "dense")
    assert [h.score for h in dense] == sorted((h.score for h in dense), reverse=True)
    hybrid = found.search("the rain", 2, "hybrid")
    ranks = [[h.number for h in found.search("the rain", 3, how)] for how in ("bm25", "dense")]
    assert [(h.number, h.score) for h in hybrid] == fuse(ranks)[:2]
    drawn = {tuple(h.number for h in found.search("fox", 3, "chance", seed)) for seed in range(40)}
    assert len(drawn) == 6  # every order comes up
    assert found.search("fox", 3, "chance") == found.search("fox", 3, "chance")
    with pytest.raises(UnknownName, match="hybird"):
        found.search("fox", 1, "hybird")


def test_a_collection_is_read_again_when_a_file_changes(model: Model, folder: Path) -> None:
    first = collection(model.living, str(folder))
    assert collection(model.living, str(folder)) is first
    (folder / "a.txt").write_text("A quick brown fox jumps.")
    again = collection(model.living, str(folder))
    assert again is not first
    assert [p.text for p in again.passages] == ["A quick brown fox jumps.", "Rain fell on it."]


def test_the_question_is_what_is_searched_for() -> None:
    assert query_of("Question: Who sings? Answer:") == "Who sings?"
    assert query_of("Passage: A b. Question: One? Answer: two. Question: Three? Answer:") == "Three?"
    assert query_of("Once upon a time") == "Once upon a time"
    assert query_of("Question: Answer:") == "Question: Answer:"


# ── the tweak ──


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_row_reads_what_was_found_in_front_of_its_prompt(family: str, folder: Path) -> None:
    model, line = tiny.model(family), f"retrieve 1 from {folder} by bm25"
    for prompt, read_instead in (
        ("Question: cat? Answer:", "Passage: The cat sat. Question: cat? Answer:"),
        ("cat", "Passage: The cat sat. Question: cat Answer:"),
    ):
        row = model.compare(prompt, line, max_new_tokens=3, target=" x").tweaks[0]
        alone = model.compare(read_instead, max_new_tokens=3, target=" x").base
        assert row.ids == alone.ids
        assert row.target_nats == pytest.approx(alone.target_nats, abs=1e-5)
        assert "a.txt 2" in row.notes[0]
    formed = model.compare("cat", f'{line} as "{{passages}} / {{prompt}}"', max_new_tokens=0, target=" x").tweaks[0]
    alone = model.compare("The cat sat. / cat", max_new_tokens=0, target=" x").base
    assert formed.target_nats == pytest.approx(alone.target_nats, abs=1e-5)


def test_finding_nothing_is_told_and_changes_nothing(model: Model, folder: Path) -> None:
    row = model.compare("zzz", f"retrieve 2 from {folder} by bm25", max_new_tokens=2).tweaks[0]
    assert "found nothing" in row.notes[0]
    assert max(row.kl_nats) == 0


def test_its_line_is_read_and_written() -> None:
    for line in (
        "retrieve 3 from notes/",
        "retrieve 1 from village by chance",
        "retrieve 2 from n by dense with some/model",
        'retrieve 2 from n by bm25 as "Text: {passages} {prompt}"',
    ):
        assert str(read_tweak(line)) == line
    assert str(read_tweak("retrieve 1 from village by hybrid")) == "retrieve 1 from village"
    assert read_tweak("retrieve 1 from village").files == ()
    assert read_tweak("retrieve 1 from ./village with m").files == ("./village", "m")
    both = Retrieve(count=1, folder="n", around="{prompt} < {passages}")
    assert both.put("has {prompt} in it", "P") == "P < has {prompt} in it"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("retrieve 0 from notes", "0 passages cannot be retrieved"),
        ("retrieve 101 from notes", "101 passages"),
        ("retrieve 1 from notes by luck", "cannot read"),
        ('retrieve 1 from notes as "{prompt}"', r"0 places for \{passages\}"),
        ('retrieve 1 from notes as "{passages} {prompt} {prompt}"', r"2 places for \{prompt\}"),
    ],
)
def test_a_mistake_in_its_line_is_told(line: str, said: str) -> None:
    with pytest.raises(InvivoError, match=said):
        Stack.of(line)


def test_a_folder_that_is_not_there_is_told_when_it_runs(model: Model) -> None:
    with pytest.raises(UnknownName, match="there is no folder nowhere/"):
        model.compare("a", "retrieve 1 from nowhere/ by bm25", max_new_tokens=1)
