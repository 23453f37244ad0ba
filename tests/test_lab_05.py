"""Lab 05's steps: joins against the tokenizer, slices and tied tables against models edited by hand, rows, norms."""

from __future__ import annotations

import copy
import math
import random
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from invivo.engine.exhibits.pieces import Merges, merges_of, words_of
from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.errors import BadText, Refused
from invivo.experiment import Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.experiment.passages import OPENINGS, PASSAGES
from invivo.labs import lab_named
from invivo.model.load import Loaded
from tests import tiny

TEXTS = ["the cat sat on the mat", "seven ships had left"]
CORPUS = [*PASSAGES, *OPENINGS, "banana bananas été Ünïcode 你好"]
HARD = ("Once upon a time", "bananabanana ban", "  two  spaces\n\tand a tab", "été 你好 🙂", "the the the", "a")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── how a prompt is cut ──────────────────────────────────────────────────────────────────────────────────────────────


def by_bytes() -> Tokenizer:
    """A byte-level BPE, trained here."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, special_tokens=["<end>"])
    )
    return backend


def by_characters() -> Tokenizer:
    """A BPE over characters with ▁ for spaces and bytes for what it does not know, as SentencePiece writes them."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fallback = [f"<0x{n:02X}>" for n in range(256)]
    backend.train_from_iterator(
        [*PASSAGES[:3]], trainers.BpeTrainer(vocab_size=600, special_tokens=["<end>", *fallback], max_token_length=8)
    )
    described = backend.to_str().replace('"byte_fallback":false', '"byte_fallback":true')
    return Tokenizer.from_str(described)


@pytest.mark.parametrize("make", [by_bytes, by_characters])
@pytest.mark.parametrize("text", HARD)
def test_the_joins_give_what_the_tokenizer_gives(make: Any, text: str) -> None:
    backend = make()
    merges = merges_of(backend)
    assert isinstance(merges, Merges)
    words = words_of(backend, text)
    assert [piece for word in words for piece in merges.cut(word)] == backend.encode(text).tokens
    for word in words:
        before = merges.start(word)
        for step in merges.steps(word):
            after = list(step.pieces)
            pairs = [(a, b) for a, b in pairwise(before) if (a, b) in merges.ranks]
            assert step.rule - 1 == min(merges.ranks[pair] for pair in pairs)
            assert len(after) == len(before) - 1
            assert "".join(after) == "".join(before)
            before = after


def speaking(backend: Tokenizer) -> Model:
    """A tiny model that reads with it."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=backend.get_vocab_size(), n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=0
    )
    reader = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", clean_up_tokenization_spaces=False)
    return Model(wake(Loaded(GPT2LMHeadModel(config).eval(), reader, "speaking", "random")))


def test_pieces_are_shown_join_by_join_and_counted() -> None:
    backend = by_bytes()
    shown = speaking(backend).show("pieces", prompt="banana bananas", steps=50)
    n = shown.numbers
    assert n["tokens"] == len(backend.encode("banana bananas").ids)
    assert (n["bytes"], n["starts"]) == (14, 14)
    assert n["starts"] - n["joins"] == n["tokens"]
    joins, tokens = (b for b in shown.blocks if b.kind == "table")
    assert len(joins.rows) == n["joins"] + 2  # a line a join, and one for each word's start
    assert joins.rows[0][0] == "b a n a n a"
    assert "".join(row[3] for row in tokens.rows).replace(" ", "") == b"banana bananas".hex()
    short = speaking(backend).show("pieces", prompt="banana bananas", steps=1)
    assert any("Left out" in b.text for b in short.blocks if b.kind == "text")


def test_a_tokenizer_that_joins_nothing_says_so_in_one_line() -> None:
    backend = Tokenizer(models.Unigram([("<end>", 0.0), *((c, -1.0) for c in "abc n"), ("ban", -2.0)], unk_id=0))
    shown = speaking(backend).show("pieces", prompt="ban a")
    assert "Unigram" in shown.sentence
    assert [b.kind for b in shown.blocks] == ["table"]
    assert "joins" not in shown.numbers


def test_what_is_not_replayed_right_is_not_shown() -> None:
    shown = speaking(by_bytes()).show("pieces", prompt="a<end>b")  # one special token, seven characters
    assert "not shown" in shown.sentence
    assert shown.numbers["tokens"] == 3


# ── rows of the table ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_nearest_row_is_the_nearest(model: Model) -> None:
    shown = model.show("embedding", prompt="cat")
    table = model.hf.transformer.wte.weight.detach()[: len(model.living.tokenizer)]
    centred = table - table.mean(0)
    token = model.living.encode("cat")[-1]
    cosines = [
        float(torch.nn.functional.cosine_similarity(centred[token], row, dim=0)) if i != token else -2.0
        for i, row in enumerate(centred)
    ]
    best = max(range(len(cosines)), key=cosines.__getitem__)
    assert shown.numbers["nearest"] == best
    assert shown.numbers["cosine"] == pytest.approx(cosines[best], abs=1e-5)
    grid, bars = (f.picture for f in shown.document().figures)
    assert grid.values[-1] == pytest.approx(tuple(table[token, :12].tolist()))  # type: ignore[union-attr]
    assert bars.series[0].values == pytest.approx(sorted(cosines, reverse=True)[:8], abs=1e-5)  # type: ignore[union-attr]


# ── perplexity of texts ──────────────────────────────────────────────────────────────────────────────────────────────


def surprise(hf: Any, ids: list[int], zeroed: list[int] | None = None) -> float:
    """Mean surprise in nats, the long way: the embeddings looked up, cut by hand and handed over."""
    x = hf.get_input_embeddings()(torch.tensor([ids])).detach().clone()
    x[..., zeroed or []] = 0
    with torch.no_grad():
        logits = hf(inputs_embeds=x).logits[0, :-1].double().log_softmax(-1)
    return -fmean(float(logits[i, token]) for i, token in enumerate(ids[1:]))


def test_slices_are_perplexities_with_columns_zeroed_by_hand(model: Model) -> None:
    shown = model.show("slices", texts=TEXTS, widths=[4, 20], draws=3, seed=5)
    ids = [model.living.encode(text) for text in TEXTS]
    dice = random.Random(5)
    base = [surprise(model.hf, one) for one in ids]
    assert shown.numbers["base"] == pytest.approx(math.exp(fmean(base)), rel=1e-4)
    for width in (4, 20):
        own = [surprise(model.hf, one, list(range(width))) for one in ids]
        assert shown.numbers[f"first_{width}"] == pytest.approx(math.exp(fmean(own)), rel=1e-4)
        assert shown.numbers[f"worse_{width}"] == sum(b > a for a, b in zip(base, own, strict=True))
        drawn = [dice.sample(range(32), width) for _ in range(3)]
        each = [math.exp(fmean(surprise(model.hf, one, dims) for one in ids)) for dims in drawn]
        assert shown.numbers[f"random_{width}_low"] == pytest.approx(min(each), rel=1e-4)
        assert shown.numbers[f"random_{width}_high"] == pytest.approx(max(each), rel=1e-4)
        assert shown.numbers[f"beaten_{width}"] == sum(math.exp(fmean(own)) > other for other in each)
    assert Exhibit.from_json(shown.to_json()) == shown
    half = model.show("slices", texts=TEXTS, part=0.5, draws=2)
    assert {"first_16", "random_16"} <= half.numbers.keys()
    (bars,) = (f.picture for f in half.document().figures)
    assert sorted(bars.labels) == ["BASE", "first", "random 1", "random 2"]  # type: ignore[union-attr]
    with pytest.raises(BadText, match="1 to 32"):
        model.show("slices", texts=TEXTS, widths=[33])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_table_blanked_is_the_way_in_and_where_tied_the_way_out(family: str) -> None:
    model = tiny.model(family)
    before = {name: p.detach().clone() for name, p in model.hf.named_parameters()}
    shown = model.show("tied", texts=TEXTS, widths=[8])
    assert all(torch.equal(p, before[name]) for name, p in model.hf.named_parameters())  # put back, bit for bit
    ids = [model.living.encode(text) for text in TEXTS]
    edited = copy.deepcopy(model.hf)
    edited.set_attn_implementation("eager")
    edited.get_input_embeddings().weight.data[:, :8] = 0
    n = shown.numbers
    assert n["table_8"] == pytest.approx(math.exp(fmean(surprise(edited, one) for one in ids)), rel=1e-4)
    way_in = math.exp(fmean(surprise(model.hf, one, list(range(8))) for one in ids))
    assert n["way_in_8"] == pytest.approx(way_in, rel=1e-4)
    assert n["apart"] < 1e-4
    if family == "gpt2":
        assert n["tied"] == 1
        assert abs(n["table_8"] / n["way_in_8"] - 1) > 1e-3
        assert "way out, too" in shown.sentence
    else:
        assert n["tied"] == 0
        assert "matrix of its own" in shown.sentence
        assert "way_out_8" not in n


# ── norms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3", "gemma2"])
def test_a_norm_is_seen_bare_and_with_a_part_of_the_vector_blanked(family: str) -> None:
    model = tiny.model(family)
    shown = model.show("norm", prompt="the cat", layer=1, blank=8)
    x = model.capture("the cat", "L1.resid_pre")["L1.resid_pre"][-1].detach()
    block: Any = model.living.anatomy.blocks[1].module
    norm = block.ln_1 if family == "gpt2" else block.input_layernorm
    cut = x.clone()
    cut[:8] = 0
    with torch.no_grad():
        whole, rest = norm(x[None])[0], norm(cut[None])[0]
    assert shown.numbers["length_after"] == pytest.approx(float(whole.norm()), rel=1e-4)
    assert shown.numbers["louder"] == pytest.approx(float(rest[8:].norm() / whole[8:].norm()), rel=1e-4)
    n = shown.numbers
    if family == "gpt2":
        assert (n["mean_bare"], n["sd_bare"]) == pytest.approx((0, 1), abs=1e-3)
    else:
        assert n["mean_bare"] ** 2 + n["sd_bare"] ** 2 == pytest.approx(1, abs=1e-3)


def test_a_layer_whose_norm_stands_behind_it_is_refused() -> None:
    with pytest.raises(Refused, match="no norm of olmo2 reads"):
        tiny.model("olmo2").show("norm", prompt="the cat", layer=1)


# ── the lab ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_step_runs_on_a_stranger_or_says_why_not() -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=tiny.V, n_embd=256, n_layer=2, n_head=8, n_positions=400, n_inner=64, bos_token_id=0)
    stranger = Model(wake(Loaded(GPT2LMHeadModel(config).eval(), tiny.tokenizer(), "stranger", "random")))
    own = Experiment.of({"prompt": "a cat", "tweaks": ["zero embed dims 0:64"], "decoding": {"max_new_tokens": 2}})
    result = stranger.run_lab(lab_named("05"), own)
    assert [step.skipped for step in result.steps] == [""] * 6
    assert result.step("pieces").result.numbers["bytes"] == 5  # type: ignore[union-attr]
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert result.steps[-1].name == "real"
    assert LabResult.from_json(result.to_json()) == result


def test_a_model_too_small_for_the_passages_skips_those_steps_and_says_so() -> None:
    own = Experiment.of({"prompt": "a cat", "tweaks": ["zero embed dims 0:8"], "decoding": {"max_new_tokens": 2}})
    result = tiny.model("opt").run_lab(lab_named("05"), own)
    skipped = {step.name: step.skipped for step in result.steps if step.skipped}
    assert skipped.keys() == {"dose", "tied", "real"}
    assert all("reads at most" in why for why in skipped.values())


def test_claims_of_the_steps_can_fail() -> None:
    steps = {step.name: step for step in lab_named("05").steps}
    curve = {"base": 10.0, "first_1": 9.0, "first_2": 11.0, "first_3": 12.0, "first_4": 13.0, "first_3_low": 1.0}
    told: dict[str, list[tuple[dict[str, float], list[bool]]]] = {
        "pieces": [
            ({"starts": 5, "joins": 3, "plain_tokens": 2}, [True]),
            ({"starts": 5, "joins": 3, "plain_tokens": 3}, [False]),
            ({}, [True]),
        ],
        "rows": [({"cosine": 0.5, "usual": 0.1}, [True]), ({"cosine": 0.2, "usual": 0.1}, [False])],
        "norm": [({"sd_bare": 1.0, "louder": 1.1}, [True, True]), ({"sd_bare": 0.9, "louder": 0.9}, [False, False])],
        "dose": [
            (curve | {"worse_1": 1, "worse_4": 8, "texts": 8}, [True, True]),
            (curve | {"first_4": 12.0, "worse_1": 8, "worse_4": 7, "texts": 8}, [False, False]),
            (curve | {"base": 12.5, "worse_4": 8, "texts": 8}, [False, True]),
        ],
        "tied": [
            ({"tied": 1, "apart": 0.0, "base": 1, "way_in_1": 2, "table_1": 3}, [True, True]),
            ({"tied": 1, "apart": 0.1, "base": 1, "way_in_1": 3, "table_1": 2}, [False, False]),
            ({"tied": 0, "apart": 0.0, "base": 1, "way_in_1": 2, "table_1": 2}, [True, False]),
        ],
        "real": [
            ({"base": 1, "first_4": 4, "random_4": 3, "worse_4": 8, "texts": 8}, [True, True]),
            ({"base": 1, "first_4": 4, "random_4": 1.5, "worse_4": 7, "texts": 8}, [False, False]),
            ({"base": 1, "first_4": 0.9, "random_4": 0.8, "worse_4": 8, "texts": 8}, [True, False]),
        ],
    }
    shown = tiny.model().show("embedding", prompt="a")
    assert told.keys() == steps.keys()
    for name, cases in told.items():
        for numbers, holds in cases:
            result = shown.model_copy(update={"numbers": numbers})
            assert [claim.holds(result) for claim in steps[name].claims] == holds, (name, numbers)
