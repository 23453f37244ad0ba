"""Every family: BASE is what transformers gives, and each site holds what it should, by independent arithmetic."""

import pytest
import torch

from invivo.engine.living import wake
from invivo.errors import Refused
from invivo.model.load import Loaded
from tests import tiny

TEXT = "The quick brown fox jumps"  # longer than the sliding windows


def ids_of(text: str = TEXT) -> torch.Tensor:
    return torch.tensor([tiny.tokenizer()(text).input_ids])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_base_is_what_transformers_gives(family):
    hf = tiny.weights(family)
    exact = hf.config._attn_implementation in ("sdpa", "eager")
    assert exact
    ids = ids_of()
    padded = torch.cat([ids, torch.cat([torch.zeros(1, 5, dtype=torch.long), ids[:, 5:]], 1)])
    mask = torch.ones_like(padded)
    mask[1, :5] = 0
    plain = hf(input_ids=ids, use_cache=False).logits
    plain_padded = hf(input_ids=padded, attention_mask=mask, use_cache=False).logits
    living = wake(Loaded(hf, tiny.tokenizer(), family, "random"))
    ours, ours_padded = (
        living.hf(input_ids=ids, use_cache=False).logits,
        living.hf(input_ids=padded, attention_mask=mask, use_cache=False).logits,
    )
    assert torch.equal(ours, plain)
    seen = mask.bool()
    torch.testing.assert_close(ours_padded[seen], plain_padded[seen], rtol=0, atol=1e-5)
    assert plain.std() > 0.1


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_family_offers_its_sites_and_refuses_the_rest_by_name(family):
    model = tiny.model(family)
    inner = {"q", "k", "v", "scores", "pattern", "z"}
    missing = set(model.living.anatomy.missing)
    expected = set()
    if family in tiny.CLOSED:
        expected |= inner
    if family not in ("gpt2", "opt", "gpt_neo"):
        expected.add("pos_embed")
    if family in ("gpt_neox", "phi", "gptj", "falcon"):
        expected.add("resid_mid")
    if family == "qwen3_moe":
        expected |= {"mlp_pre", "mlp_post"}
    assert missing == expected
    for site in missing:
        place = site if site == "pos_embed" else f"L0.{site}"
        with pytest.raises(Refused, match=f"no {site}"):
            model.capture(TEXT, place)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_sites_hold_what_the_model_computes(family):
    model = tiny.model(family)
    hf, parts = model.hf, model.living.anatomy
    offered = [s for s in model.sites if s not in ("embed", "pos_embed", "final_norm", "logits")]
    got = {s: [model.capture(TEXT, f"L{n}.{s}")[str_place(s, n)] for n in range(3)] for s in offered}
    output = hf(input_ids=ids_of(), use_cache=False, output_hidden_states=True)
    close = dict(rtol=1e-4, atol=1e-4)
    for layer in range(3):
        torch.testing.assert_close(got["resid_pre"][layer], output.hidden_states[layer][0], **close)
        if layer < 2:
            torch.testing.assert_close(got["resid_post"][layer], output.hidden_states[layer + 1][0], **close)
        stream = got["resid_pre"][layer] + got["attn_out"][layer]
        if "resid_mid" in got:
            torch.testing.assert_close(got["resid_mid"][layer], stream, **close)
        torch.testing.assert_close(got["resid_post"][layer], stream + got["mlp_out"][layer], **close)
        assert got["attn_out"][layer].abs().max() > 1e-3
        assert got["mlp_out"][layer].abs().max() > 1e-3
        if "pattern" in got:
            pattern, z, v = got["pattern"][layer], got["z"][layer], got["v"][layer]
            torch.testing.assert_close(pattern.sum(-1), torch.ones(pattern.shape[:2]), rtol=0, atol=1e-5)
            assert bool((pattern.triu(1) == 0).all())
            groups = pattern.shape[0] // v.shape[1]
            mixed = torch.einsum("hts,shk->thk", pattern, v.repeat_interleave(groups, 1))
            torch.testing.assert_close(z, mixed, **close)
            reader = parts.blocks[layer].readers["z"]
            if family not in ("gemma2", "gemma3", "olmo2"):  # there a norm follows the output matrix
                torch.testing.assert_close(reader(z.flatten(1)), got["attn_out"][layer], **close)
        if "mlp_post" in got and family not in ("gemma2", "gemma3", "olmo2"):
            torch.testing.assert_close(
                parts.blocks[layer].readers["mlp_post"](got["mlp_post"][layer]), got["mlp_out"][layer], **close
            )
    ends = model.capture(TEXT, "logits", "final_norm", "embed")
    torch.testing.assert_close(ends["logits"], output.logits[0], **close)
    torch.testing.assert_close(ends["embed"], hf.get_input_embeddings()(ids_of())[0], **close)
    heads = hf.get_output_embeddings()(ends["final_norm"])
    if family != "gemma2":  # it caps its logits
        torch.testing.assert_close(heads, output.logits[0], **close)


def str_place(site: str, layer: int) -> str:
    return f"L{layer}.{site}"


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "qwen3", "phi", "olmo2"])
def test_pattern_is_the_eager_attention_of_transformers(family):
    model = tiny.model(family)
    ours = [model.capture(TEXT, f"L{n}.pattern")[f"L{n}.pattern"] for n in range(3)]
    plain = tiny.weights(family)
    plain.set_attn_implementation("eager")
    theirs = plain(input_ids=ids_of(), output_attentions=True, use_cache=False).attentions
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b[0], rtol=0, atol=1e-5)
        assert a.std() > 1e-2


def test_a_sliding_window_is_seen_in_the_pattern():
    pattern = tiny.model("mistral").capture(TEXT, "L0.pattern")["L0.pattern"]
    T = pattern.shape[1]
    outside = torch.ones(T, T).tril(-tiny.WINDOW).bool()
    assert outside.any()
    assert bool((pattern[:, outside] == 0).all())
    assert bool((pattern[:, torch.eye(T, dtype=torch.bool)] > 0).all())


def test_a_model_whose_attention_we_cannot_follow_is_refused(monkeypatch):
    from invivo.model import attention

    stock = attention.sdpa_attention_forward
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *a, **k: (stock(*a, **k)[0] * 1.01, None))
    with pytest.raises(Refused, match="differ from transformers"):
        tiny.model("llama")


def test_an_attention_argument_that_we_do_not_know_is_refused_not_dropped():
    from invivo.model.attention import attention

    x = torch.zeros(1, 1, 1, 4)
    with pytest.raises(Refused, match="strange_bias"):
        attention(torch.nn.Module(), x, x, x, None, strange_bias=torch.ones(1))


def test_attention_sinks_are_honoured():
    """gpt-oss gives each head a learned sink; the reference is its own eager arithmetic."""
    from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

    from invivo.model.attention import attention

    torch.manual_seed(0)
    module = torch.nn.Module()
    module.num_key_value_groups, module.sinks, module.training = 1, torch.randn(2), False
    q, k, v = (torch.randn(1, 2, 5, 4) for _ in range(3))
    mask = torch.full((5, 5), torch.finfo(torch.float32).min).triu(1)[None, None]
    theirs, _ = eager_attention_forward(module, q, k, v, mask, scaling=0.5)
    ours, _ = attention(module, q, k, v, mask, scaling=0.5, s_aux=module.sinks)
    without, _ = attention(module, q, k, v, mask, scaling=0.5)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (without - ours).abs().max() > 1e-2
