"""Lab 17: toys told positions in several ways, caches and their bytes, a fact from far back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from invivo.engine import caches, schemes, toys
from invivo.engine.exhibits import kv_cache
from invivo.engine.exhibits.schemes import FIGURES, Settings, measured
from invivo.engine.live import Model
from invivo.errors import BadText, OutOfRange, UnknownName
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named

from . import tiny

PROMPT = "the cat sat on the mat"
each_family = pytest.mark.parametrize("family", list(tiny.FAMILIES))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


# ── the text ──


def test_a_digit_tells_the_letter_so_many_places_back() -> None:
    ids, nats = schemes.text(4, 200, 3)
    told = schemes.echoed(ids)
    seen = 0
    for row, line in enumerate(ids.tolist()):
        for t in range(1, 200):
            back = t - 2 - (line[t - 1] - schemes.LETTERS)
            sure = line[t - 1] >= schemes.LETTERS and line[back] < schemes.LETTERS
            assert bool(told[row, t]) == sure
            if sure:
                seen += 1
                assert line[t] == line[back]
                assert nats[row, t] == 0
            assert not (line[t] >= schemes.LETTERS and line[t - 1] >= schemes.LETTERS)
    assert seen > 50
    assert max(map(max, ids.tolist())) < schemes.VOCABULARY


def test_the_odds_are_those_that_the_text_is_drawn_from() -> None:
    """The mean surprise is the entropy of the odds: told again by counting what follows a letter."""
    ids, nats = schemes.text(400, 120, 5)
    digit = ids >= schemes.LETTERS
    after_letter = ~digit[:, 50:-1]
    share = digit[:, 51:][after_letter].float().mean()
    assert float(share) == pytest.approx(schemes.ECHOED, abs=0.01)
    here = (ids[:, 50:-1] == 3) & ~digit[:, 51:]  # a letter after letter 3
    count = torch.bincount(ids[:, 51:][here], minlength=26).float()
    odds = count / count.sum()
    expected = torch.exp(-nats[:, 51:][here]) / (1 - schemes.ECHOED)
    for letter in odds.topk(3).indices.tolist():
        said = expected[ids[:, 51:][here] == letter]
        assert float(said.min()) == pytest.approx(float(said.max()), rel=1e-4)
        assert float(said[0]) == pytest.approx(float(odds[letter]), abs=0.06)


# ── the toys ──


def test_toys_are_told_positions_as_their_name_says() -> None:
    ids = schemes.text(2, schemes.TRAINED, 1)[0]
    shuffled = ids.clone()
    shuffled[:, :8] = ids[:, torch.tensor([3, 1, 0, 2, 7, 6, 5, 4])]
    for name, scheme in schemes.SCHEMES.items():
        if scheme.make is None:
            continue
        toy = scheme.make(0)
        with torch.no_grad():
            one, other = (toy(input_ids=x).logits[:, -1] for x in (ids, shuffled))
            short = toy(input_ids=ids[:, :20]).logits[:, -1]
            assert torch.allclose(short, toy(input_ids=ids).logits[:, 19], atol=1e-5), name  # nobody looks ahead
        assert not torch.equal(one, other), name
    table = schemes.sinusoids(8)
    assert table[3, 4].item() == pytest.approx(schemes.LOUD * math.sin(3 / 10000 ** (4 / schemes.WIDTH)), abs=1e-6)
    assert table[3, 5].item() == pytest.approx(schemes.LOUD * math.cos(3 / 10000 ** (4 / schemes.WIDTH)), abs=1e-6)


def test_a_reading_costs_no_training_and_changes_the_angles_only() -> None:
    rope = schemes.SCHEMES["rope"].make(4)  # type: ignore[misc]
    ids = schemes.text(2, 100, 1)[0]
    rates = rope.model.rotary_emb.inv_freq
    for name in ("linear", "yarn", "window"):
        other: Any = schemes.SCHEMES[name].read(rope)  # type: ignore[misc]
        for (key, a), (_, b) in zip(rope.state_dict().items(), other.state_dict().items(), strict=True):
            assert torch.equal(a, b), key
    linear: Any = schemes.SCHEMES["linear"].read(rope)  # type: ignore[misc]
    yarn: Any = schemes.SCHEMES["yarn"].read(rope)  # type: ignore[misc]
    assert torch.allclose(linear.model.rotary_emb.inv_freq, rates / 8)
    assert torch.allclose(yarn.model.rotary_emb.inv_freq[0], rates[0])  # the fastest is left alone
    assert torch.allclose(yarn.model.rotary_emb.inv_freq[-1], rates[-1] / 8)  # the slowest is slowed by eight
    assert torch.allclose(schemes.surprise(linear, ids), schemes.surprise(rope, ids, torch.arange(100) / 8), atol=1e-4)


def test_a_window_sees_what_its_width_says() -> None:
    """In one layer a token under a window is what it is when only the window was read, at the same positions."""
    rope = schemes.made(schemes.llama(num_hidden_layers=1), 2)
    other = schemes._with(rope, schemes.MistralConfig(**schemes._rotary() | {"num_hidden_layers": 1}, sliding_window=6))
    ids = schemes.text(1, 30, 1)[0]
    with torch.no_grad():
        seen = rope(input_ids=ids[:, 24:], position_ids=torch.arange(24, 30)[None]).logits[0, -1]
        found = other(input_ids=ids).logits[0, -1]
        assert torch.allclose(found, seen, atol=1e-5)
        assert not torch.allclose(found, rope(input_ids=ids).logits[0, -1], atol=1e-5)


def test_surprise_is_the_loss_and_its_windows_are_means() -> None:
    toy, (ids, _) = schemes.table(0), schemes.text(3, schemes.READ, 2)
    nats = schemes.surprise(toy, ids, rows=2)
    assert float(nats[:, :63].mean()) == pytest.approx(toys.measured(toy, ids[:, :64]), rel=1e-5)
    clamped = schemes.surprise(toy, ids, schemes.SCHEMES["clamped"].positions(schemes.READ))  # type: ignore[misc]
    assert torch.allclose(clamped[:, :63], nats[:, :63], atol=1e-5)
    toy.transformer.wpe.weight.data[64:] = toy.transformer.wpe.weight.data[63]
    assert torch.allclose(clamped, schemes.surprise(toy, ids), atol=1e-4)


def test_a_few_texts_are_read_and_told_apart_from_what_was_kept() -> None:
    found = measured(Settings(only=("rope",), again=True, samples=64))
    assert list(found["schemes"]) == ["rope", "linear", "yarn", "window"]
    row = found["schemes"]["rope"]
    assert len(row["windows"]) == 8
    assert row["windows"][-1] == pytest.approx(row["beyond"], abs=1e-6)
    assert row["inside"] == pytest.approx(math.log(schemes.VOCABULARY), abs=0.4)  # it has learned next to nothing
    assert found["floor"]["echo_inside"] == found["floor"]["echo_beyond"] == 0
    kept = FIGURES.read().figures
    assert set(kept["schemes"]) == set(schemes.SCHEMES)
    assert kept["floor"]["inside"] == pytest.approx(found["floor"]["inside"], abs=1e-3)  # by this very code
    for name, there in kept["schemes"].items():
        assert there["inside"] >= kept["floor"]["inside"] - 0.02, name
    weights = {name: there["weights"] for name, there in kept["schemes"].items() if "weights" in there}
    made = {name: schemes.SCHEMES[name].make(0) for name in weights}  # type: ignore[misc]
    assert weights == {n: sum(p.numel() for p in m.parameters() if p.requires_grad) for n, m in made.items()}


def test_what_was_kept_is_shown(model: Model) -> None:
    shown = model.show("schemes")
    row = FIGURES.read().figures["schemes"]["alibi"]
    assert shown.numbers["rise_alibi"] == pytest.approx(row["beyond"] - row["inside"])
    assert "Computed beforehand" in shown.to_markdown()
    assert Exhibit.from_json(shown.to_json()) == shown
    assert "rise_rope" not in model.show("schemes", only=["alibi"]).numbers
    with pytest.raises(UnknownName, match="ropes"):
        model.show("schemes", only=["ropes"])


# ── one token too many ──


def test_a_table_ends_and_the_others_go_on(model: Model) -> None:
    shown = model.show("beyond")
    assert shown.numbers["raises_learned"] == 1
    assert shown.numbers["raises_model"] == 1  # a GPT-2 of 64 positions
    assert [shown.numbers[f"raises_{n}"] for n in ("sinusoidal", "none", "alibi", "rope")] == [0, 0, 0, 0]
    assert "IndexError" in shown.to_markdown()
    assert tiny.model("llama").show("beyond").numbers["raises_model"] == 0


# ── caches ──


@pytest.mark.parametrize("bits", caches.BITS)
@pytest.mark.parametrize("width", [7, 16])
def test_packed_numbers_are_at_most_half_a_step_off(bits: int, width: int) -> None:
    x = torch.randn(2, 3, 5, width, generator=torch.Generator().manual_seed(1))
    codes, low, step = caches.packed(x, bits)
    assert codes.dtype == torch.uint8
    assert codes.shape[-1] == -(-width * bits // 8)
    back = caches.unpacked(codes, low, step, bits, width)
    assert back.shape == x.shape
    spread = (x.amax(-1) - x.amin(-1)) / (2**bits - 1)
    assert bool(((back - x).abs().amax(-1) <= 0.5 * spread + 4e-3).all())  # and what float16 rounds
    assert float((back - x).abs().max()) > 1e-4
    levels = max(len(set(line)) for line in codes.flatten(0, 2).tolist()) if bits == 8 else 0
    assert levels <= 2**bits


def test_a_layer_of_few_bits_grows_as_transformers_own(model: Model) -> None:
    ids = torch.tensor([model.living.encode(PROMPT)])
    with torch.no_grad():
        whole = caches.whole()
        model.hf(input_ids=ids, cache=whole, use_cache=True)
        few = caches.few_bits(model.living.anatomy.layers, 8)
        for token in ids[0]:
            model.hf(input_ids=token[None, None], cache=few, use_cache=True)
    assert few.get_seq_length() == ids.shape[1]
    heads, width, tokens, layers = 4, 8, ids.shape[1], 3
    assert caches.bytes_of(few) == 2 * layers * tokens * heads * (width + 4)
    assert caches.bytes_of(whole) == 2 * layers * tokens * heads * width * 4
    with pytest.raises(OutOfRange, match="3 bits"):
        caches.few_bits(1, 3)


@each_family
def test_the_same_tokens_and_the_bytes_of_the_formula(family: str) -> None:
    model = tiny.model(family)
    shown = model.show("kv_cache", prompt=PROMPT, count=9)
    assert shown.numbers["same"] == 9
    assert shown.numbers["bytes"] == shown.numbers["bytes_expected"] > 0
    long = len(model.living.encode(PROMPT))
    assert shown.numbers["through_on"] == long + 8
    assert shown.numbers["through_off"] == sum(range(long, long + 9))
    assert Exhibit.from_json(shown.to_json()) == shown


@each_family
def test_smaller_caches_run_on_every_family_or_say_why_not(family: str) -> None:
    shown = tiny.model(family).show("small_caches", text=PROMPT, bits=[8], windows=[4])
    assert shown.numbers["kl_bits_8"] < 0.2
    assert shown.numbers["bytes_bits_8"] < shown.numbers["bytes_whole"]
    assert ("kl_window_4" in shown.numbers) != ("Not with this model" in shown.to_markdown())


def test_a_wide_window_is_the_whole_past_and_a_narrow_one_is_a_mistral() -> None:
    model = tiny.model("llama")
    wide = model.show("small_caches", text=PROMPT, bits=[], windows=[60, 5])
    assert wide.numbers["kl_window_60"] == pytest.approx(0, abs=1e-6)
    assert wide.numbers["bytes_window_60"] == wide.numbers["bytes_whole"]
    mistral = tiny.weights("llama")
    config = schemes.MistralConfig(
        **{k: v for k, v in mistral.config.to_dict().items() if k in tiny.TINY.grouped or k == "tie_word_embeddings"}
        | {"sliding_window": 5}
    )
    other = schemes._with(mistral, config)
    ids = torch.tensor([model.living.encode(PROMPT)])
    with torch.no_grad():
        nats = schemes.surprise(other, ids)[0]
    assert wide.numbers["surprise_window_5"] == pytest.approx(float(nats[ids.shape[1] // 2 :].mean()), abs=1e-4)
    assert wide.numbers["kl_window_5"] > 1e-3


def test_mistakes_are_told(model: Model) -> None:
    for settings, match in (({"bits": [3]}, "3 bits"), ({"windows": [1]}, "at least 2")):
        with pytest.raises(OutOfRange, match=match):
            model.show("small_caches", text=PROMPT, **settings)
    with pytest.raises(BadText, match="3 tokens"):
        model.show("small_caches", text="abc")
    with pytest.raises(OutOfRange, match="64"):
        model.show("kv_cache", prompt="a" * 64)
    with pytest.raises(OutOfRange, match="no such distance"):
        model.show("far_fact", lengths=[60])


def test_exponents_are_slopes_in_logarithms() -> None:
    lengths = range(8, 400)
    assert kv_cache._exponent(lengths, [3 * n**2 for n in lengths]) == pytest.approx(2)
    assert kv_cache._exponent(lengths, [0.1 * n for n in lengths]) == pytest.approx(1)
    shown = tiny.model().show("kv_cache", prompt=PROMPT[:3], count=50).numbers
    off, on = shown["exponent_through_off"], shown["exponent_through_on"]
    assert off == pytest.approx(2, abs=0.15)
    assert on == pytest.approx(1, abs=0.05)


def test_a_sliding_window_is_the_trained_length() -> None:
    """What stands more than a window back changes nothing in one layer; the last token of the window does."""
    rope = schemes.made(schemes.llama(num_hidden_layers=1), 2)
    narrow: Any = schemes.windowed(schemes.made(schemes.llama(), 2))
    assert narrow.config.sliding_window == schemes.TRAINED
    one: Any = schemes._with(
        rope, schemes.MistralConfig(**schemes._rotary() | {"num_hidden_layers": 1}, sliding_window=6)
    )
    ids = schemes.text(1, 30, 1)[0]
    with torch.no_grad():
        before = one(input_ids=ids).logits[0, -1]
        for place, moves in ((23, False), (24, True)):
            other = ids.clone()
            other[0, place] = (other[0, place] + 1) % schemes.VOCABULARY
            assert torch.allclose(one(input_ids=other).logits[0, -1], before, atol=1e-6) != moves


# ── a fact from far back ──


def test_a_far_names_probability_is_the_models_own(model: Model) -> None:
    shown = model.show("far_fact", lengths=[0, 4], count=2)
    from invivo.engine.exhibits.far_fact import FILLER, NAMES

    found = []
    for name, there in (*zip(NAMES[:2], NAMES[:2], strict=True), *zip(NAMES[:2], NAMES[1::-1], strict=True)):
        text = f"Mr. {there} had a dog.{FILLER[:4]} One morning Mr. {name}"
        ids = model.living.encode(text)
        with torch.no_grad():
            found.append(float(model.hf(torch.tensor([ids[:-1]])).logits[0, -1].softmax(-1)[ids[-1]]))
    assert shown.numbers["said_4"] == pytest.approx((found[0] + found[1]) / 2, rel=1e-4)
    assert shown.numbers["other_4"] == pytest.approx((found[2] + found[3]) / 2, rel=1e-4)
    assert Exhibit.from_json(shown.to_json()) == shown


# ── the lab ──


def test_the_takeaway_follows_the_numbers() -> None:
    from .samples import comparison

    said = lab_named("17").takeaway(comparison())
    assert said.endswith(".")
    assert "nan" not in said
