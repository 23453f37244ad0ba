"""The laws of the engine: each fast path against its slow twin, each equality beside an inequality."""

import math
import re

import pytest
import torch

from invivo.engine import decode, packed, reading
from invivo.engine.forward import watched
from invivo.engine.rows import prepare
from invivo.engine.weights import edited
from invivo.errors import BadText, InvivoError, NoEffect, OutOfRange, Refused
from invivo.tweaks import Decoding, Stack
from tests import tiny

PROMPT = "Once upon a time"
OTHER = "Twice below fish"  # as many tokens as PROMPT
SAME = 1e-6  # nats: rounding, where nothing differs
STEPS = 14  # with the prompt, well past the sliding windows
OPEN_SAMPLE = ["gpt2", "gpt_neox", "llama", "mistral", "qwen3", "gemma2", "gemma3", "opt", "olmo2"]
TWEAKS = [
    "zero head 1.2",
    "mean head 1.1",
    "mean L1.attn_out from other",
    "scale head 0.0:3 by 2.5",
    "add 1.5 to neuron 1.3,7",
    "add noise 0.8 to L1.resid_pre seed 3",
    "add noise 0.5 to head 2.1",
    "scale L0.mlp_out by 0.3",
    "zero embed dims 0:8",
    "zero L1.q heads 1",
    "scale L1.k by 1.5",
    "add noise 0.5 to L1.v",
    "add noise 1 to L2.scores heads 0",
    "scale L0.pattern by 0.5",
    "add 0.1 to L1.pattern",
    "add noise 0.3 to L1.pattern",
    "zero L1.pattern heads 2 keys 0",
    "add 0.7 to L1.resid_mid dims 3",
    "scale L2.mlp_pre by 2",
    "scale final_norm by 0.5",
    "add 2 to logits dims 40:60",
    "scale L1.resid_post by 1.7 during generation",
    "zero L0.attn_out during prompt",
    "add 3 to L0.resid_pre dims 5:9 at 17",
    "add 2 to L1.resid_pre dims 5:9 at 3:6,-1",
    "copy L1.resid_pre at 4 from other",
    "copy L1.z at 2:5 from other at 1:4",
    "copy L1.pattern from other",
    "set temperature 1.3",
    "set top_k 5 + set seed 3",
    "set top_p 0.7",
    'add 3 to logit "e"',
    "zero head 0.1 + set temperature 0.8 + scale L2.mlp_out by 2",
]


def rows_of(model, tweaks, prompt=PROMPT, **decoding):
    living = model.living
    prompts = {"other": living.encode(OTHER)}
    return prepare(living, [Stack.of(t) for t in tweaks], living.encode(prompt), prompts, Decoding(**decoding), 0)


def possible(model, tweak):
    return all(f".{s}" not in tweak and not tweak.endswith(s) for s in model.living.anatomy.missing)


def speak(model, rows, prompts=None):
    ids = prompts or [model.living.encode(PROMPT)] * len(rows)
    return list(decode.generate(model.living, ids, rows, STEPS))[-1]


@pytest.fixture(scope="module", params=OPEN_SAMPLE)
def model(request):
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def gpt2():
    return tiny.model("gpt2")


def test_cached_decoding_is_the_full_forward_for_every_tweak(model):
    """The log-probability of each generated token, decoded with a KV cache, against one full pass over the text."""
    prompt = model.living.encode(PROMPT)
    base = speak(model, rows_of(model, []))[0]
    for tweak in filter(lambda t: possible(model, t), TWEAKS):
        rows = rows_of(model, [tweak])
        said = speak(model, rows)[1]
        untouched, full = reading.logits_of(model.living, rows, prompt + said.ids, len(prompt))
        nats = rows[1].bias(full).log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(said.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(said.nats), nats, rtol=0, atol=2e-4, msg=lambda m, t=tweak: f"{t}: {m}")
        if model.name in ("olmo2", "gemma2", "gemma3") and tweak.startswith("scale L0.pattern"):
            continue  # the norm behind attention undoes a common factor
        if len(said.ids) == STEPS:  # it did not end before the tweak's position
            moved = float((full - untouched).abs().max())
            assert moved > 1e-3 or said.ids != base.ids, tweak


def test_a_row_in_a_batch_is_the_row_alone(model):
    tweaks = [t for t in TWEAKS if possible(model, t)]
    together = speak(model, rows_of(model, tweaks))
    for number, tweak in enumerate(tweaks, start=1):
        alone = speak(model, rows_of(model, [tweak]))[1]
        assert alone.ids == together[number].ids, tweak
        torch.testing.assert_close(torch.tensor(alone.nats), torch.tensor(together[number].nats), rtol=0, atol=2e-4)
    base = speak(model, rows_of(model, []))[0]
    assert together[0].ids == base.ids
    assert sum(t.ids != base.ids for t in together) > len(tweaks) / 3


def test_left_padding_changes_nothing(model):
    """Prompts of different lengths in one batch: each row as if alone, tweaks at its own positions."""
    texts = ["Hi", PROMPT, "A much longer one, with words"]
    for tweak in (
        "zero head 1.2",
        "add noise 0.8 to L1.resid_pre seed 3",
        "add 2 to L1.resid_pre dims 5:9 at 1,-1",
        "zero L1.pattern heads 2 keys 0",
        "scale L1.resid_post by 1.7 during generation",
        "scale L1.k by 1.5",
        "add 0.1 to L1.pattern",
    ):
        rows = [rows_of(model, [tweak], prompt=text)[1] for text in texts]
        for place, row in enumerate(rows):
            for action in row.actions:
                action.row = place
        together = speak(model, rows, [model.living.encode(t) for t in texts])
        for text, padded in zip(texts, together, strict=True):
            row = rows_of(model, [tweak], prompt=text)[1]
            for action in row.actions:
                action.row = 0
            alone = speak(model, [row], [model.living.encode(text)])[0]
            assert alone.ids == padded.ids, (tweak, text)
            torch.testing.assert_close(torch.tensor(alone.nats), torch.tensor(padded.nats), rtol=0, atol=2e-4)


def test_strength_zero_leaves_base_untouched(model):
    nothing = [
        "scale head 1.2 by 1",
        "add 0 to L1.resid_pre",
        "add noise 0 to L1.z",
        "scale L1.pattern by 1",
        "copy L1.resid_pre from same",
        "zero embed dims 0:0",
    ]
    prompts = {"same": PROMPT}
    result = model.compare(PROMPT, *nothing, prompts=prompts, max_new_tokens=STEPS)
    for tweak in result.tweaks:
        assert tweak.text == result.base.text
        assert max(tweak.kl_nats) < SAME
        assert any("changed nothing" in note for note in tweak.notes), tweak.tweak
    moved = model.compare(PROMPT, "scale head 1.2 by 3", max_new_tokens=STEPS).tweaks[0]
    assert max(moved.kl_nats) > 1e-6
    assert not moved.notes


def test_steering_there_and_back_is_base(gpt2):
    result = gpt2.compare(
        PROMPT,
        "add 2 to L1.resid_pre dims 3 + add -2 to L1.resid_pre dims 3",
        "add 2 to L1.resid_pre dims 3",
        max_new_tokens=STEPS,
    )
    assert max(result.tweaks[0].kl_nats) < SAME
    assert max(result.tweaks[1].kl_nats) > 1e-4


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "qwen3", "opt", "phi3"])
@pytest.mark.parametrize(
    "tweak",
    [
        "zero head 1.2",
        "scale head 1.0,3 by 2.5",
        "zero neuron 2.5",
        "scale neuron 0.3:9 by -1",
        "scale L1.attn_out by 0.4",
        "scale L2.mlp_out by 3",
        "scale positions by 2",
        "add 0.5 to neuron 1.4",
    ],
)
def test_the_activation_form_is_the_weight_form(name, tweak):
    model = tiny.model(name)
    (one,) = Stack.of(tweak)
    if one.place.site in model.living.anatomy.missing:
        pytest.skip(f"{name} has no {one.place.site}; other families run this")
    ids = torch.tensor([model.living.encode(PROMPT)])
    base = model.hf(input_ids=ids).logits
    with model.tweaked(tweak):
        acted = model.hf(input_ids=ids).logits
    try:
        with edited(model.living.anatomy, one):
            weighed = model.hf(input_ids=ids).logits
    except Refused:
        assert name in ("llama", "qwen3", "phi3")  # no bias to put a constant into
        assert tweak.startswith("add")
        return
    torch.testing.assert_close(acted, weighed, rtol=0, atol=2e-4)
    assert (acted - base).abs().max() > 1e-2
    assert torch.equal(model.hf(input_ids=ids).logits, base)


def test_a_logit_bias_is_a_bias_of_the_logits_site(gpt2):
    token = gpt2.living.single_token("e")
    result = gpt2.compare(PROMPT, 'add 3 to logit "e"', f"add 3 to logits dims {token}", max_new_tokens=STEPS)
    first, second = result.tweaks
    assert first.text == second.text != result.base.text
    torch.testing.assert_close(torch.tensor(first.kl_nats), torch.tensor(second.kl_nats), rtol=0, atol=1e-6)


def test_mean_ablation_holds_on_generated_tokens_too(gpt2):
    """A peer averages over the one cached token and so does nothing while generating."""
    living = gpt2.living
    rows = rows_of(gpt2, ["mean head 1.2"])
    seen = []
    with watched(living.anatomy, [], capture=[(1, "z")]) as outside:
        speak(gpt2, rows)
        seen = [x[1, -1, 2] for x in outside.captured[(1, "z")]]
    clean = gpt2.capture(PROMPT, "L1.z")["L1.z"][:, 2]
    assert len(seen) == STEPS
    with watched(living.anatomy, [], capture=[(1, "attn_out")]):
        pass
    mean = rows[1].actions[0].source[0, 2]
    torch.testing.assert_close(mean, clean.mean(0), rtol=0, atol=1e-5)
    assert (clean - mean).abs().max() > 1e-3
    result = gpt2.compare(PROMPT, "mean head 1.2 during generation", max_new_tokens=STEPS).tweaks[0]
    assert max(result.kl_nats[: len(gpt2.living.encode(PROMPT))]) < SAME
    assert min(result.kl_nats[len(gpt2.living.encode(PROMPT)) :]) > 0


def test_a_tweak_at_a_position_leaves_everything_before_it_alone(gpt2):
    result = gpt2.compare(PROMPT, "add 3 to L1.resid_pre dims 5:9 at 5", max_new_tokens=4).tweaks[0]
    assert max(result.kl_nats[:5]) < SAME
    assert min(result.kl_nats[5:]) > 10 * SAME


def test_copying_everything_gives_the_other_run(gpt2):
    result = gpt2.compare(
        PROMPT,
        "copy L0.resid_pre from other",
        "copy L2.resid_post at -1 from other",
        prompts={"other": OTHER},
        max_new_tokens=0,
        top=100,
    )
    other = gpt2.compare(OTHER, max_new_tokens=0, top=100)
    wanted = {c.id: c.base for c in other.base.next}
    for tweak in result.tweaks:
        got = {c.id: c.tweak for c in tweak.next}
        assert all(abs(got[i] - p) < 1e-5 for i, p in wanted.items() if i in got)
    assert max(result.tweaks[0].kl_nats) > 1e-2


def test_tweaked_works_inside_generate_and_says_what_compare_says(model):
    ids = torch.tensor([model.living.encode(PROMPT)])
    ended = len(speak(model, rows_of(model, []))[0].ids) < STEPS
    for tweak in ("zero head 1.2", "add noise 0.8 to L1.resid_pre seed 3", "add 3 to L0.resid_pre dims 5:9 at 17"):
        if ended and "at 17" in tweak:
            continue  # this random model ends its text at once
        with model.tweaked(tweak) as hf:
            theirs = hf.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False, pad_token_id=0
            )[0, ids.shape[1] :].tolist()
        assert theirs == speak(model, rows_of(model, [tweak]))[1].ids, tweak
    plain = model.hf.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False, pad_token_id=0
    )
    assert plain[0, ids.shape[1] :].tolist() == speak(model, rows_of(model, []))[0].ids


def test_tweaked_works_with_left_padded_batches_in_generate(gpt2):
    texts = ["Hi you", PROMPT]
    batch = tiny.tokenizer()(texts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
    with gpt2.tweaked("add 2 to L1.resid_pre dims 5:9 at 1,-1") as hf:
        both = hf.generate(**batch, max_new_tokens=6, do_sample=False, pad_token_id=0)[:, batch.input_ids.shape[1] :]
    for text, out in zip(texts, both, strict=True):
        row = rows_of(gpt2, ["add 2 to L1.resid_pre dims 5:9 at 1,-1"], prompt=text)[1]
        row.actions[0].row = 0
        assert speak(gpt2, [row], [gpt2.living.encode(text)])[0].ids[:6] == out.tolist()


def test_tweaked_contexts_nest(gpt2):
    ids = torch.tensor([gpt2.living.encode(PROMPT)])
    with gpt2.tweaked("zero head 1.2 + zero head 2.0"):
        both = gpt2.hf(input_ids=ids).logits
    with gpt2.tweaked("zero head 1.2"), gpt2.tweaked("zero head 2.0"):
        nested = gpt2.hf(input_ids=ids).logits
    with gpt2.tweaked("zero head 1.2"):
        one = gpt2.hf(input_ids=ids).logits
    assert torch.equal(both, nested)
    assert not torch.equal(both, one)


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())


def test_no_hook_stays_behind_even_when_the_run_breaks(gpt2):
    ids = torch.tensor([gpt2.living.encode(PROMPT)])
    base = gpt2.hf(input_ids=ids).logits
    before = hooks(gpt2)
    with (
        pytest.raises(ZeroDivisionError),
        gpt2.tweaked("zero head 1.2", "scale L0.mlp_out by 2", "add 1 to L1.resid_mid"),
    ):
        assert hooks(gpt2) > before
        raise ZeroDivisionError
    assert hooks(gpt2) == before
    assert torch.equal(gpt2.hf(input_ids=ids).logits, base)
    assert not any("forward" in vars(m) for m in gpt2.hf.modules())


def test_packed_layers_agree_with_stock_ones(gpt2):
    if not packed.available():
        pytest.skip("this torch has no packed operators; the stock layers run instead")
    torch.manual_seed(0)
    hf = tiny.weights("gpt2")
    wide = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.Linear(512, 256, bias=False))
    del hf
    x = torch.randn(2, 3, 256)
    stock = wide(x)
    with torch.no_grad(), packed.packed(wide):
        assert all("forward" in vars(m) for m in wide)
        torch.testing.assert_close(wide(x), stock, rtol=0, atol=1e-5)
        torch.testing.assert_close(wide(x[:, :1]), stock[:, :1], rtol=0, atol=1e-5)
    assert not any("forward" in vars(m) for m in wide)
    with torch.no_grad():
        wide[0].weight.data[0] *= 3  # an edit that no version counter shows
        changed = wide(x)
        with packed.packed(wide):
            torch.testing.assert_close(wide(x), changed, rtol=0, atol=1e-5)
    assert (changed - stock).abs().max() > 1e-2


@pytest.mark.parametrize("shape", [(256,), (1, 256), (1, 1, 256), (2, 1, 256), (3, 1, 256), (4, 256), (0, 256)])
def test_few_vectors_are_filled_up(shape, monkeypatch):
    """What is filled in is seen by nobody; on this processor or another."""
    if not packed.available():
        pytest.skip("this torch has no packed operators; the stock layers run instead")
    monkeypatch.setattr(packed, "FEW", 4)
    monkeypatch.setattr(packed, "LARGE", 1)
    filled = []
    real = torch.nn.functional.pad
    monkeypatch.setattr(torch.nn.functional, "pad", lambda *given: filled.append(given) or real(*given))
    wide = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.Linear(512, 256, bias=False))
    x = torch.randn(shape)
    with torch.no_grad():
        stock = wide(x)
        with packed.packed(wide):
            found = wide(x)
    torch.testing.assert_close(found, stock, rtol=0, atol=1e-5)
    assert len(filled) == (2 if 0 < x.numel() < 4 * 256 else 0)


def test_the_fast_path_says_the_same_text(monkeypatch):
    """A model wide enough that layers are packed: same greedy text, logits within 1e-5 of stock."""
    from transformers import AutoModelForCausalLM, GPT2Config

    from invivo.engine.live import Model
    from invivo.engine.living import wake
    from invivo.model.load import Loaded

    torch.manual_seed(1)
    hf = AutoModelForCausalLM.from_config(
        GPT2Config(
            n_embd=128,
            n_layer=3,
            n_head=4,
            vocab_size=tiny.V,
            n_positions=64,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).eval()
    model = Model(wake(Loaded(hf, tiny.tokenizer(), "wide", "random")))
    assert any(m.weight.numel() >= packed.LEAST_WEIGHTS for m in hf.modules() if packed.is_linear(m))
    fast = model.compare(PROMPT, "zero head 1.2", max_new_tokens=20)
    monkeypatch.setenv("INVIVO_EXACT", "1")
    slow = model.compare(PROMPT, "zero head 1.2", max_new_tokens=20)
    assert fast.tweaks[0].text == slow.tweaks[0].text != fast.base.text
    assert fast.base.text == slow.base.text
    for a, b in zip(fast.tweaks[0].said_nats, slow.tweaks[0].said_nats, strict=True):
        assert math.isclose(a, b, abs_tol=1e-4)


def test_the_same_dice(gpt2):
    one = gpt2.compare(PROMPT, "set seed 5", "zero head 1.2", do_sample=True, temperature=1.0, max_new_tokens=STEPS)
    two = gpt2.compare(PROMPT, "set seed 5", do_sample=True, temperature=1.0, max_new_tokens=STEPS, seed=0)
    assert one.base.text == two.base.text
    assert one.tweaks[0].text == two.tweaks[0].text != one.base.text
    assert gpt2.compare(PROMPT, do_sample=True, seed=5, max_new_tokens=STEPS).base.text == one.tweaks[0].text


def test_filters_keep_what_they_say():
    log_probs = torch.tensor([0.4, 0.3, 0.2, 0.06, 0.04]).log()
    top_k = decode.filtered(log_probs, Decoding(do_sample=True, top_k=2)).exp()
    torch.testing.assert_close(top_k, torch.tensor([4 / 7, 3 / 7, 0, 0, 0]), rtol=0, atol=1e-6)
    top_p = decode.filtered(log_probs, Decoding(do_sample=True, top_p=0.75)).exp()
    torch.testing.assert_close(top_p, torch.tensor([4 / 9, 3 / 9, 2 / 9, 0, 0]), rtol=0, atol=1e-6)
    cold = decode.filtered(log_probs, Decoding(do_sample=True, temperature=0.5)).exp()
    squares = torch.tensor([0.16, 0.09, 0.04, 0.0036, 0.0016])
    torch.testing.assert_close(cold, squares / squares.sum(), rtol=0, atol=1e-6)
    assert decode.filtered(log_probs, Decoding()).exp().tolist() == [1, 0, 0, 0, 0]
    tiny_p = decode.filtered(log_probs, Decoding(do_sample=True, top_p=1e-9)).exp()
    assert tiny_p.tolist() == [1, 0, 0, 0, 0]


def test_numbers_of_a_comparison_by_hand(gpt2):
    result = gpt2.compare(PROMPT, "zero head 1.2", max_new_tokens=5, target="ab", read="Some other text")
    tweak, ids = result.tweaks[0], list(result.prompt_ids + result.base.ids)
    batch = torch.tensor([ids])
    base = gpt2.hf(input_ids=batch).logits[0].log_softmax(-1)
    with gpt2.tweaked("zero head 1.2"):
        mine = gpt2.hf(input_ids=batch).logits[0].log_softmax(-1)
        read_ids = torch.tensor([gpt2.living.encode("Some other text")])
        read = gpt2.hf(input_ids=read_ids).logits[0].log_softmax(-1)
        aimed_ids = list(result.prompt_ids) + gpt2.living.encode("ab", special=False)
        aimed = gpt2.hf(input_ids=torch.tensor([aimed_ids])).logits[0].log_softmax(-1)
    kl = (base.exp() * (base - mine)).sum(-1)
    torch.testing.assert_close(torch.tensor(tweak.kl_nats), kl, rtol=0, atol=1e-5)
    n = len(result.prompt_ids)
    nats = mine[n - 1 : -1].gather(1, batch[0, n:, None])
    assert math.isclose(tweak.perplexity, math.exp(-nats.mean()), rel_tol=1e-4)
    assert math.isclose(
        tweak.read_perplexity, math.exp(-read[:-1].gather(1, read_ids[0, 1:, None]).mean()), rel_tol=1e-4
    )
    assert math.isclose(
        tweak.target_nats, sum(float(aimed[n - 1 + k, aimed_ids[n + k]]) for k in range(2)), abs_tol=1e-4
    )
    torch.testing.assert_close(torch.tensor(tweak.entropy_nats), -(mine.exp() * mine).sum(-1), rtol=0, atol=1e-4)
    assert tweak.perplexity != result.base.perplexity
    assert tweak.target_nats != result.base.target_nats
    for candidate in tweak.next:
        assert math.isclose(candidate.base, float(base[n - 1].exp()[candidate.id]), abs_tol=1e-5)
        assert math.isclose(candidate.tweak, float(mine[n - 1].exp()[candidate.id]), abs_tol=1e-5)
    assert type(result).from_json(result.to_json()) == result


def test_rows_are_measured_in_groups_when_memory_is_small(gpt2, monkeypatch):
    tweaks = ["zero head 1.0", "zero head 1.1", "zero head 1.2", "zero head 1.3", 'add 1 to logit "e"']
    one = gpt2.compare(PROMPT, *tweaks, max_new_tokens=5, read="Some other text", target="a")
    monkeypatch.setattr(reading, "LOGIT_BYTES", 1)
    monkeypatch.setattr(reading, "STRETCH", 4)
    two = gpt2.compare(PROMPT, *tweaks, max_new_tokens=5, read="Some other text", target="a")
    for a, b in zip(one.tweaks, two.tweaks, strict=True):
        torch.testing.assert_close(torch.tensor(a.kl_nats), torch.tensor(b.kl_nats), rtol=0, atol=1e-6)
        assert math.isclose(a.read_perplexity, b.read_perplexity, rel_tol=1e-5)
    assert len({round(t.read_perplexity, 6) for t in one.tweaks}) == len(tweaks)


# ── never silence ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tweak", "error", "words"),
    [
        ("add 1 to L0.resid_pre at 60", NoEffect, "never reached"),
        ("zero head 9.0", OutOfRange, "layer 9 does not exist: there are 3, 0 to 2"),
        ("zero head 1.7", OutOfRange, "head 7 does not exist in layer 1: there are 4"),
        ("zero neuron 1.48", OutOfRange, "neuron 48 does not exist in layer 1: there are 48, 0 to 47"),
        ("zero embed dims 30:40", OutOfRange, "there are 32"),
        ("add 1 to L0.resid_pre at -99", OutOfRange, "position -99"),
        ('add 1 to logit "two"', BadText, "is 3 tokens"),
        ("copy L1.resid_pre at 5:8 from other at 2:4", BadText, "copies 2 positions to 3"),
        ("copy L1.resid_pre from longer", BadText, "16 tokens and 'longer' has 18"),
        ("scale L1.resid_pre by 1e38", InvivoError, "scale L1.resid_pre by 1e\\+38.*NaN.*first place.*L1"),
    ],
)
def test_what_cannot_be_is_said(gpt2, tweak, error, words):
    with pytest.raises(error, match=words):
        gpt2.compare(PROMPT, tweak, prompts={"other": OTHER, "longer": OTHER + "!!"}, max_new_tokens=4)


def test_a_generation_tweak_without_generation_is_an_error(gpt2):
    with pytest.raises(NoEffect, match="nothing ran during generation"):
        gpt2.compare(PROMPT, "zero head 1.0 during generation", max_new_tokens=0)
    with pytest.raises(NoEffect, match="never reached"), gpt2.tweaked("zero L0.resid_pre at 50") as hf:
        hf(input_ids=torch.tensor([[5, 6, 7]]))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("", "the prompt is empty"), ("x" * 65, "65 tokens.*at most 64"), ("x" * 64, "fills the whole context")],
)
def test_prompts_that_cannot_be_read(gpt2, prompt, words):
    with pytest.raises(InvivoError, match=words):
        gpt2.compare(prompt, "zero head 1.0")


def test_running_into_the_end_of_the_context_is_noted(gpt2):
    result = gpt2.compare("x" * 60, "zero head 1.0", max_new_tokens=40)
    assert len(result.base.ids) <= 4
    assert any("context" in note for note in result.notes)


def test_a_tweak_of_another_shape_is_an_error_that_names_it(gpt2, monkeypatch):
    from invivo.tweaks import Zero

    monkeypatch.setattr(Zero, "change", lambda self, old, here: old[..., :1].expand(*old.shape[:-1], old.shape[-1] + 1))
    with pytest.raises(InvivoError, match=r"zero head 1\.0 gave values of shape .* at z"):
        gpt2.compare(PROMPT, "zero head 1.0", max_new_tokens=2)


# ── what a careful reader would try ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tweak", ["add 0.1 to L1.pattern", "add noise 1 to L1.scores", "add 3 to L1.v heads 0 dims 2"])
def test_no_tweak_lets_a_position_see_the_future(gpt2, tweak):
    one, two = (torch.tensor([gpt2.living.encode(text)]) for text in ("same start, one end", "same start, XYZ way"))
    with gpt2.tweaked(tweak):
        a, b = gpt2.hf(input_ids=one).logits[0, :12], gpt2.hf(input_ids=two).logits[0, :12]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    assert (a - gpt2.hf(input_ids=one).logits[0, :12]).abs().max() > 1e-3


def test_threads_do_not_change_each_others_rows():
    from concurrent.futures import ThreadPoolExecutor

    model = tiny.model("gpt2")
    tweaks = [f"scale L{n}.mlp_out by {k}" for n in range(3) for k in (0, 2)]
    ask = lambda tweak: model.compare(PROMPT, tweak, max_new_tokens=6).tweaks[0]  # noqa: E731
    alone = [ask(tweak) for tweak in tweaks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(ask, tweaks * 2))
    assert together == alone * 2
    assert len({tuple(run.kl_nats) for run in alone}) == len(tweaks)


def test_a_tweaked_model_generates_in_another_thread(gpt2):
    from threading import Thread

    ids, out = torch.tensor([gpt2.living.encode(PROMPT)]), []
    settings = dict(attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False, pad_token_id=0)
    with gpt2.tweaked("zero head 1.2", "scale L0.mlp_out by 2") as hf:
        thread = Thread(target=lambda: out.append(hf.generate(ids, **settings)))
        thread.start()
        thread.join()
        here = hf.generate(ids, **settings)
    assert torch.equal(out[0], here)
    assert not torch.equal(here, gpt2.hf.generate(ids, **settings))


@pytest.mark.parametrize("how", [{"use_cache": False}, {"cache_implementation": "static"}, {"prefill_chunk_size": 4}])
@pytest.mark.parametrize(
    "tweak",
    [
        "zero L1.v at 3",
        "zero L1.pattern heads 2 keys 0",
        "add 2 to L1.resid_pre dims 3 at -1",
        "scale L2.mlp_out by 2 during generation",
    ],
)
def test_generate_is_the_same_however_it_caches(gpt2, how, tweak):
    ids = torch.tensor([gpt2.living.encode(PROMPT)])
    settings = dict(
        attention_mask=torch.ones_like(ids),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with gpt2.tweaked(tweak) as hf:
        plain, other = hf.generate(ids, **settings), hf.generate(ids, **settings, **how)
    base = gpt2.hf.generate(ids, **settings)
    for a, b in zip(plain.logits, other.logits, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)
    assert max((a - b).abs().max() for a, b in zip(plain.logits, base.logits, strict=True)) > 1e-3


def test_copy_keeps_the_order_that_was_written(gpt2):
    tweaks = [
        "copy L1.resid_pre at 5,3 from other at 1,2",
        "copy L1.resid_pre at 3,5 from other at 2,1",
        "copy L1.resid_pre at 3,5 from other at 1,2",
        "copy L1.resid_pre at 3,4 from other at 2,2",
    ]
    first, same, crossed, twice = gpt2.compare(PROMPT, *tweaks, prompts={"other": OTHER}, max_new_tokens=2).tweaks
    torch.testing.assert_close(torch.tensor(first.kl_nats), torch.tensor(same.kl_nats), rtol=0, atol=1e-6)
    assert max(abs(a - b) for a, b in zip(first.kl_nats, crossed.kl_nats, strict=True)) > 1e-3
    assert max(twice.kl_nats) > 1e-3
    longer = {"other": OTHER + "!!"}
    last, named = gpt2.compare(
        PROMPT,
        "copy L1.resid_pre at -1 from other",
        "copy L1.resid_pre at -1 from other at -1",
        prompts=longer,
        max_new_tokens=2,
    ).tweaks
    torch.testing.assert_close(torch.tensor(last.kl_nats), torch.tensor(named.kl_nats), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("tweak", "words"),
    [
        ("set seed 5", "changed nothing that was measured"),
        ("set greedy", "changed nothing that was measured"),
        ("set temperature 0", "changed nothing that was measured"),
        ('add 0 to logit "e"', "changed nothing that was measured"),
        ("zero L1.z at 3,60", "never reached at 60"),
        ("add 5 to L1.scores at 2 keys 9", "changed nothing that was measured"),
    ],
)
def test_a_tweak_that_does_nothing_is_noted(gpt2, tweak, words):
    run = gpt2.compare(PROMPT, tweak, max_new_tokens=4).tweaks[0]
    assert any(words in note for note in run.notes), run.notes
    assert not gpt2.compare(PROMPT, "zero L1.z at 3", max_new_tokens=4).tweaks[0].notes


def test_what_only_the_text_to_read_reaches_is_not_reached(gpt2):
    with pytest.raises(NoEffect, match="never reached"):
        gpt2.compare(PROMPT, "zero L1.z at 40", read="y" * 50, max_new_tokens=4)


def test_capture_cuts_positions_and_keys_and_checks_its_tweak(gpt2):
    whole = gpt2.capture(PROMPT, "L1.pattern", "L1.resid_pre")
    part = gpt2.capture(PROMPT, "L1.pattern heads 1 at 2,-1 keys 0:2", "L1.resid_pre at 3 dims 4:6")
    assert torch.equal(part["L1.pattern heads 1 at 2,-1 keys 0:2"], whole["L1.pattern"][1:2, [2, -1], :2])
    assert torch.equal(part["L1.resid_pre at 3 dims 4:6"], whole["L1.resid_pre"][3:4, 4:6])
    with pytest.raises(OutOfRange, match="position 99"):
        gpt2.capture(PROMPT, "L1.z at 99")
    with pytest.raises(NoEffect, match="never reached"):
        gpt2.capture(PROMPT, "L2.z", tweak="zero L0.attn_out at 99")
    moved = gpt2.capture(PROMPT, "L2.z", tweak="zero L0.attn_out")["L2.z"]
    assert (moved - gpt2.capture(PROMPT, "L2.z")["L2.z"]).abs().max() > 1e-3


def test_texts_that_do_not_fit(gpt2):
    with pytest.raises(OutOfRange, match="prompt and target together have 70"):
        gpt2.compare("x" * 60, target="abcdefghij", max_new_tokens=0)
    with pytest.raises(OutOfRange, match="in the text to read, position -10"):
        gpt2.compare(PROMPT, "add 3 to L1.resid_pre dims 3 at -10", read="Hi you", max_new_tokens=2)
    single = gpt2.compare(PROMPT, "zero head 1.2", read="H", max_new_tokens=2)
    assert any("single token" in note for note in single.notes)


def test_numbers_too_large_for_a_float_stay_numbers(gpt2):
    run = gpt2.compare(PROMPT, "scale logits by 1000", read="Some other text", max_new_tokens=2)
    assert run.tweaks[0].read_perplexity == math.inf
    assert type(run).from_json(run.to_json()) == run
    with pytest.raises(BadText, match="too large"):
        gpt2.compare(PROMPT, 'add -1e39 to logit "e"')
    cold = gpt2.compare(PROMPT, "set temperature 1e-40", max_new_tokens=4)
    assert cold.tweaks[0].ids == cold.base.ids


def test_kl_of_what_is_never_said_is_finite():
    base = torch.tensor([[0.0, -torch.inf], [math.log(0.5), math.log(0.5)]])
    other = torch.tensor([[math.log(0.25), math.log(0.75)], [0.0, -torch.inf]])
    first, second = reading.divergence(base, other, base.exp()).tolist()
    assert math.isclose(first, math.log(4), rel_tol=1e-6)
    assert second == math.inf


def test_packed_weights_notice_two_rows_that_change_places():
    if not packed.available():
        pytest.skip("this torch has no packed operators; the stock layers run instead")
    layer = torch.nn.Sequential(torch.nn.Linear(256, 256))
    x = torch.randn(2, 256)
    with torch.no_grad():
        with packed.packed(layer):
            before = layer(x)
        layer[0].weight.data[[0, 1]] = layer[0].weight.data[[1, 0]].clone()
        with packed.packed(layer):
            after = layer(x)
        torch.testing.assert_close(after, layer(x), rtol=0, atol=1e-5)
    assert (after - before).abs().max() > 1e-2


def test_a_model_in_training_mode_is_compared_in_evaluation_mode():
    model = tiny.model("gpt2")
    model.hf.train()
    run = model.compare(PROMPT, "scale head 1.2 by 1", max_new_tokens=4).tweaks[0]
    assert max(run.kl_nats) < SAME
    assert model.hf.training


def test_base_is_never_tweaked_and_runs_do_not_nest(gpt2):
    with pytest.raises(Refused, match="tweaked BASE"), gpt2.tweaked("zero head 1.2"):
        gpt2.compare(PROMPT, "zero head 1.0")
    with pytest.raises(Refused, match="a comparison is running"):
        gpt2.compare(PROMPT, "zero head 1.0", on_token=lambda said: gpt2.compare(PROMPT, "zero head 1.1"))
    assert gpt2.compare(PROMPT, "zero head 1.0", max_new_tokens=2).base.text


def test_a_recipe_names_the_model_that_ran():
    from invivo.experiment import Experiment

    assert tiny.model("llama").run(Experiment.of({"prompt": PROMPT})).recipe.model == "llama"


def test_a_small_change_in_half_precision_is_a_change():
    from invivo.engine.live import Model
    from invivo.engine.living import wake
    from invivo.model.load import Loaded

    model = Model(wake(Loaded(tiny.weights("gpt2").bfloat16(), tiny.tokenizer(), "half", "random")))
    run = model.compare(PROMPT, "scale L1.resid_pre by 1.06", "scale head 1.2 by 1", max_new_tokens=2)
    assert not run.tweaks[0].notes
    assert run.tweaks[1].notes
    assert run.recipe.dtype == "bfloat16"


def test_ctrl_c_keeps_what_was_said(gpt2):
    from invivo.engine.compare import Interrupted

    def stop(said):
        if len(said[0].ids) == 5:
            raise KeyboardInterrupt

    before = hooks(gpt2)
    with pytest.raises(Interrupted) as caught:
        gpt2.compare(PROMPT, "zero head 1.2", max_new_tokens=STEPS, on_token=stop)
    kept = caught.value.kept
    assert len(kept.base.ids) == len(kept.tweaks[0].ids) == 5
    assert any("after 5 of 14" in note for note in kept.notes)
    again = gpt2.run(kept.recipe)
    assert again.base.ids == kept.base.ids
    assert again.tweaks[0].kl_nats == pytest.approx(kept.tweaks[0].kl_nats, abs=1e-6)
    assert hooks(gpt2) == before
    assert not any("forward" in vars(m) for m in gpt2.hf.modules())
    with pytest.raises(KeyboardInterrupt) as nothing:
        gpt2.compare(PROMPT, on_token=lambda said: (_ for _ in ()).throw(KeyboardInterrupt), max_new_tokens=0)
    assert not isinstance(nothing.value, Interrupted)


def test_ctrl_c_in_a_lab_keeps_what_was_said(gpt2):
    from invivo.engine.compare import Interrupted
    from invivo.labs import lab_named

    def stop(said):
        if len(said[0].ids) == 2:
            raise KeyboardInterrupt

    lab = lab_named("02")
    changed = {"prompt": "the cat sat", "prompts": {}, "tweaks": (Stack.of("zero head 1.2"),), "target": None}
    plan = lab.experiment.model_copy(update=changed)
    with pytest.raises(Interrupted) as caught:
        gpt2.run_lab(lab, plan, on_token=stop)
    kept = caught.value.kept
    assert (kept.lab, kept.verdicts) == (lab.full_name, ())
    assert len(kept.comparison.base.ids) == 2
    assert kept.takeaway == lab.takeaway(kept.comparison)


@pytest.mark.parametrize(
    ("tweak", "place"),
    [
        ("scale L1.resid_pre by 1e38 during generation", r"L1\.\w+ at 10, a generated token"),
        ("scale L1.resid_pre at 12 by 1e38", r"L1\.\w+ at 12, a generated token"),
        ("scale L1.resid_pre at 3 by 1e38", r"L1\.\w+ at 3;?$"),
    ],
)
def test_a_nan_on_a_generated_token_is_told_with_its_place(gpt2, tweak: str, place: str):
    prompt = "0123456789"
    assert len(gpt2.living.encode(prompt)) == 10
    with pytest.raises(InvivoError) as caught:
        gpt2.compare(prompt, tweak, max_new_tokens=STEPS)
    assert str(Stack.of(tweak)) in caught.value.what
    assert re.search("first place that is not finite is " + place, caught.value.what), caught.value.what


def test_each_step_throws_new_dice():
    from invivo.engine.rows import Row

    log_probs = torch.tensor([0.5, 0.3, 0.2]).log()
    row, other = Row(None, Decoding(do_sample=True), 0), Row(None, Decoding(do_sample=True), 1)
    picks = [decode.choose(log_probs, row, step)[0] for step in range(600)]
    shares = torch.bincount(torch.tensor(picks), minlength=3) / 600
    assert (shares - log_probs.exp()).abs().max() < 0.08
    assert picks == [decode.choose(log_probs, row, step)[0] for step in range(600)]
    assert picks != [decode.choose(log_probs, other, step)[0] for step in range(600)]


def test_a_list_of_tweaks_is_rows_and_a_wrong_one_is_named(gpt2):
    two = gpt2.compare(PROMPT, ["zero head 1.0", "zero head 1.1"], "zero head 1.2", max_new_tokens=1)
    assert [str(t.tweak) for t in two.tweaks] == ["zero head 1.0", "zero head 1.1", "zero head 1.2"]
    with pytest.raises(OutOfRange, match=r"`zero head 9.1`: layer 9"):
        gpt2.compare(PROMPT, "zero head 1.0 + zero head 9.1")


def test_a_lab_on_another_model_says_what_to_choose(gpt2):
    from invivo.labs import lab_named

    with pytest.raises(OutOfRange, match="lab 02 was written for fruitfly") as caught:
        gpt2.run_lab(lab_named("02"))
    assert "--tweak" in (caught.value.hint or "")
