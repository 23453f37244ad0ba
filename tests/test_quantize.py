"""Weights in few bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from invivo.engine.extras import extra
from invivo.engine.makers import block_matrices, second
from invivo.engine.makers.quantize import rounded
from invivo.errors import BadText, InvivoError, OutOfRange, Refused
from invivo.tweaks import Quantize, read_tweak
from tests import tiny

PROMPT = "the cat sat on the mat"


def of(line: str) -> Quantize:
    tweak = read_tweak(line)
    assert isinstance(tweak, Quantize)
    return tweak


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("group", [0, 16])
def test_whole_numbers_times_a_scale(bits, group):
    rows = torch.randn(12, 48, generator=torch.Generator().manual_seed(bits))
    found = rounded(rows, of(f"quantize int{bits}" + (f" in groups of {group}" if group else "")))
    parts, theirs = rows.reshape(12, -1, group or 48), found.values.reshape(12, -1, group or 48)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = parts.abs().amax(-1, keepdim=True) / ((high - low) / 2)
    ours = (parts / scale).round().clamp(low, high) * scale
    assert bool(((theirs - ours).abs() <= 1.001 * scale).all())  # where a value lies between two levels, either may be
    assert float(((theirs - ours).abs() > 1e-5).float().mean()) < 0.02
    assert found.bits == bits * 12 * 48 + 32 * scale.numel()


@pytest.mark.parametrize("line", ["quantize int4 in groups of 16", "quantize nf4"])
def test_the_rounded_layer_gives_what_the_real_one_gives(line):
    """The slow twin: a layer that keeps the whole numbers and scales."""
    tweak, layer = of(line), nn.Linear(64, 96)
    layer.requires_grad_(False)
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    ours = x @ rounded(layer.weight, tweak).values.t() + layer.bias
    if tweak.to == "nf4":
        real = extra("bitsandbytes.nn", "quant").Linear4bit(64, 96, quant_type="nf4", compute_dtype=torch.float32)
        real.weight = extra("bitsandbytes.nn", "quant").Params4bit(
            layer.weight.data.clone(), requires_grad=False, quant_type="nf4"
        )
        real.bias = layer.bias
        theirs = real.to("cpu")(x)
    else:
        real, q = copy.deepcopy(layer), extra("torchao.quantization", "quant")
        granularity = extra("torchao.quantization.granularity", "quant").PerGroup(tweak.group)
        q.quantize_(real, q.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=granularity))
        theirs = real(x)
    near = 2e-3 if tweak.to == "nf4" else 1e-5  # bitsandbytes multiplies in fewer digits on some processors
    assert ours == pytest.approx(theirs, abs=near)
    assert (ours - layer(x)).abs().max() > 10 * near


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_only_matrices_of_blocks_change_and_fewer_bits_hurt_more(family):
    model = tiny.model(family)
    made = second(model.living, [of("quantize int4")]).living
    names = {name + ".weight" for name, _ in block_matrices(model.living, made.hf)}
    for (name, old), new in zip(model.hf.named_parameters(), made.hf.parameters(), strict=True):
        assert torch.equal(old, new) == (name not in names)
    tied = model.hf.get_input_embeddings().weight is model.hf.get_output_embeddings().weight
    assert tied == (made.hf.get_input_embeddings().weight is made.hf.get_output_embeddings().weight)
    rows = model.compare(PROMPT, *(f"quantize int{bits}" for bits in (8, 4, 2)), max_new_tokens=6).tweaks
    apart = [sum(row.kl_nats) for row in rows]
    assert 0 < apart[0] < apart[1] < apart[2]
    assert "MiB instead of" in rows[0].notes[0]


def test_bits_and_groups_out_of_range_are_refused():
    for line, told in (("quantize int9", "9 bits"), ("quantize int0", "0 bits"), ("quantize int4 in groups of 1", "1")):
        with pytest.raises(OutOfRange, match=told):
            read_tweak(line)
    with pytest.raises(BadText, match="no number format"):
        read_tweak("quantize float7")
    with pytest.raises(InvivoError, match="no whole number of groups"):
        tiny.model().compare(PROMPT, "quantize int4 in groups of 20", max_new_tokens=1)
    with pytest.raises(OutOfRange, match="nf4 in groups of 48"):
        read_tweak("quantize nf4 in groups of 48")


def test_where_no_weight_changed_there_is_nothing_to_compare():
    model = tiny.model()
    with pytest.raises(Refused, match="changed no weight"):
        model.compare(PROMPT, "prune 1 of weights + quantize int8", max_new_tokens=1)
