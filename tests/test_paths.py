"""Path patching: sending to everybody is copying, one edge is what plain hooks make of it, and no path is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from invivo.engine import paths
from invivo.engine.live import Model
from invivo.engine.reading import logits_of
from invivo.engine.rows import prepare
from invivo.errors import BadText, InvivoError, NoEffect, OutOfRange, Refused
from invivo.tweaks import Decoding, Receiver, Stack
from invivo.tweaks.elsewhere import elsewhere
from invivo.tweaks.stars import read_stars

from . import tiny

CORRUPT, CLEAN = "the cat sat on t", "the dog ran on t"
FAMILIES = ("gpt2", "llama", "gpt_neox", "gemma2")  # plain, grouped heads, parallel, a norm behind each part
SENDERS = ("head 0.1", "L0.attn_out", "neuron 0.3:20", "L1.resid_pre", "head 1.2 at 5")


@cache
def model(family: str = "gpt2") -> Model:
    return tiny.model(family)


def logits(living: Model, *lines: str) -> Tensor:
    """Logits (rows, T, V) of TWEAK rows, in one batch without a cache."""
    ids = living.living.encode(CORRUPT)
    prompts = {"clean": living.living.encode(CLEAN)}
    with torch.no_grad():
        rows = prepare(living.living, [Stack.of(line) for line in lines], ids, prompts, Decoding(), 0)
        return logits_of(living.living, rows[1:], ids, len(ids))


def base(living: Model) -> Tensor:
    with torch.no_grad():
        return living.hf(torch.tensor([living.living.encode(CORRUPT)])).logits[0]


def everybody(living: Model) -> Iterator[str]:
    """Every receiver that a model has."""
    for layer, block in enumerate(living.living.anatomy.blocks):
        for part in "qkv":
            yield f"head {layer}.0:{block.sizes['H' if part == 'q' else 'H_kv']} {part}"
        yield f"mlp {layer}"
    yield "logits"


def reached(living: Model, sender: str) -> list[str]:
    """The lines that send to whoever a path leads to."""
    lines = [f"send {sender} to {receiver} from clean" for receiver in everybody(living)]
    ids = living.living.encode(CORRUPT)
    rows = prepare(living.living, [Stack.of(x) for x in lines], ids, {"clean": ids}, Decoding(), 0)[1:]
    return [line for line, row in zip(lines, rows, strict=True) if row.actions[0].idle is None]


# ── laws ──


@pytest.mark.parametrize("family", FAMILIES)
def test_sending_to_everybody_is_copying(family: str) -> None:
    living = model(family)
    for sender in SENDERS:
        lines = reached(living, sender)
        copied, sent, some = logits(living, f"copy {sender} from clean", " + ".join(lines), " + ".join(lines[:-1]))
        scale = float((copied - base(living)).abs().max())
        assert scale > 0.05, f"{sender}: it must do something"
        apart = float((copied - sent).abs().max())
        assert apart <= 1e-5 * scale + 2e-6, f"{sender}: {apart:.1e} apart, effect {scale:.1e}"
        assert float((copied - some).abs().max()) > 1e-3 * scale  # without one of them it is not


def test_a_path_leads_upwards_only() -> None:
    serial, parallel = model(), model("gpt_neox")
    assert len(reached(serial, "head 1.2")) == 1 + 4 + 1  # the MLP beside it, all of layer 2, the logits
    assert len(reached(parallel, "head 1.2")) == 4 + 1  # there the MLP reads what attention reads
    assert len(reached(serial, "L1.mlp_out")) == 4 + 1
    assert len(reached(serial, "L1.resid_pre")) == 4 + 4 + 1
    assert reached(serial, "L2.mlp_out") == ["send L2.mlp_out to logits from clean"]


# ── one edge against plain hooks of a plain model ──


def difference(living: Model, sender: str) -> Tensor:
    """What GPT-2's head or neurons write more on CLEAN (T, D): by its own weights."""
    place = sender.split()[0] + " " + sender.split()[1]
    new, old = (living.capture(text, place)[place] for text in (CLEAN, CORRUPT))
    layer, _, number = sender.split()[1].partition(".")
    block = living.hf.transformer.h[int(layer)]
    if sender.startswith("head"):
        width = 8
        rows = block.attn.c_proj.weight[int(number) * width : (int(number) + 1) * width]
        return (new - old)[:, 0] @ rows
    low, _, high = number.partition(":")
    return (new - old) @ block.mlp.c_proj.weight[int(low) : int(high)]


@contextmanager
def edge(living: Model, more: Tensor, receiver: str) -> Iterator[None]:
    """GPT-2 with one reader of the stream reading `more`: plain hooks on its own modules."""
    words, part = receiver.split(), receiver.split()[-1]
    transformer = living.hf.transformer
    with ExitStack() as stack:
        if part == "logits":
            stack.callback(transformer.ln_f.register_forward_pre_hook(lambda m, args: (args[0] + more,)).remove)
        elif words[0] == "mlp":
            norm = transformer.h[int(part)].ln_2
            stack.callback(norm.register_forward_pre_hook(lambda m, args: (args[0] + more,)).remove)
        else:
            layer, head = map(int, words[1].split("."))
            block, kept = transformer.h[layer], []
            columns = slice("qkv".index(part) * 32 + head * 8, "qkv".index(part) * 32 + head * 8 + 8)

            def replace(module: Any, args: Any, output: Tensor) -> Tensor:
                weight, bias = block.attn.c_attn.weight, block.attn.c_attn.bias
                output = output.clone()
                output[..., columns] = (normed(kept[0] + more) @ weight + bias)[..., columns]
                return output

            def normed(x: Tensor) -> Tensor:
                norm = block.ln_1
                return torch.nn.functional.layer_norm(x, (32,), norm.weight, norm.bias, norm.eps)

            stack.callback(block.register_forward_pre_hook(lambda m, args: kept.append(args[0])).remove)
            stack.callback(block.attn.c_attn.register_forward_hook(replace).remove)
        yield


EDGES = [
    ("head 0.1", "head 1.2 q"),
    ("head 0.1", "head 2.3 k"),
    ("head 1.0", "head 2.1 v"),
    ("head 1.3", "mlp 1"),
    ("neuron 0.3:20", "mlp 2"),
    ("neuron 1.0:48", "head 2.0 k"),
    ("head 1.1", "logits"),
    ("neuron 2.5:9", "logits"),
]


@pytest.mark.parametrize(("sender", "receiver"), EDGES)
def test_one_edge_is_what_plain_hooks_make_of_it(sender: str, receiver: str) -> None:
    living = model()
    more = difference(living, sender)
    with edge(living, more, receiver):
        wanted = base(living)
    (found,) = logits(living, f"send {sender} to {receiver} from clean")
    scale = float((wanted - base(living)).abs().max())
    assert scale > 1e-3
    assert float((found - wanted).abs().max()) <= 1e-5 * scale + 2e-6
    # one position's share of it
    one = torch.zeros_like(more)
    one[5] = more[5]
    with edge(living, one, receiver):
        wanted = base(living)
    (found,) = logits(living, f"send {sender} at 5 to {receiver} from clean")
    assert float((found - wanted).abs().max()) <= 1e-5 * scale + 2e-6
    assert torch.equal(wanted[:5], base(living)[:5])


def test_each_edge_carries_its_own() -> None:
    living = model()
    lines = ["send head 0.1 to head 2.3 q from clean", "send head 0.2 to head 2.3 k from clean"]
    one, other = (difference(living, f"head 0.{head}") for head in (1, 2))
    with edge(living, one, "head 2.3 q"), edge(living, other, "head 2.3 k"):
        wanted = base(living)
    crossed = "send head 0.1 to head 2.3 k from clean + send head 0.2 to head 2.3 q from clean"
    both, swapped = logits(living, " + ".join(lines), crossed)
    assert float((both - wanted).abs().max()) < 5e-6 < float((swapped - wanted).abs().max())


def test_what_two_send_to_one_reader_adds_up() -> None:
    living = model()
    for to in ("head 2.3 k", "mlp 2", "logits"):
        both, apart, one = logits(
            living,
            f"send head 0.1,2 to {to} from clean",
            f"send head 0.1 to {to} from clean + send head 0.2 to {to} from clean",
            f"send head 0.1 to {to} from clean",
        )
        assert float((both - apart).abs().max()) < 5e-6 < float((both - one).abs().max())


def test_a_receiver_passes_on_what_it_makes() -> None:
    """Through layer 1's MLP into layer 2 and the logits: a receiver is not the end of it."""
    living = model()
    direct, through = logits(living, "send head 0.1 to logits from clean", "send head 0.1 to mlp 1 from clean")
    stopped = logits(living, "send head 0.1 to mlp 1 from clean + scale L1.mlp_out by 0")[0]
    assert torch.equal(stopped, logits(living, "scale L1.mlp_out by 0")[0])
    assert not torch.allclose(direct, through, atol=1e-3)


# ── speaking ──


@pytest.mark.parametrize("family", ["gpt2", "mistral", "gpt_neox"])
@pytest.mark.parametrize("receiver", ["head 2.1 k", "head 2.0:2 v", "head 1.1 q", "mlp 2", "logits"])
def test_a_cache_makes_no_difference(family: str, receiver: str) -> None:
    living = model(family)
    line = f"send head 0.1 to {receiver} from clean"
    said = living.compare(CORRUPT, line, prompts={"clean": CLEAN}, max_new_tokens=4)
    row = said.tweaks[0]
    ids = living.living.encode(CORRUPT)
    clean = {"clean": living.living.encode(CLEAN)}
    with torch.no_grad():
        rows = prepare(living.living, [Stack.of(line)], ids, clean, Decoding(), 0)[1:]
        whole = logits_of(living.living, rows, [*ids, *row.ids], len(ids))[0].log_softmax(-1)
        plain = living.hf(torch.tensor([[*ids, *row.ids]])).logits[0].log_softmax(-1)
    nats = [float(whole[len(ids) - 1 + i, token]) for i, token in enumerate(row.ids)]
    assert row.said_nats == pytest.approx(nats, abs=2e-6)
    if receiver[-1] in "kv":  # the keys stay changed, and so what comes later
        assert float((plain - whole)[-2].abs().max()) > 1e-4


def test_another_text_is_read_without_what_arrived_on_the_first() -> None:
    for line in ("send head 0.1 at 12 to head 2.0:4 k from clean", "send head 0.1 at 12 to mlp 2 from clean"):
        found = model().compare(CORRUPT, line, prompts={"clean": CLEAN}, read="some words", max_new_tokens=2)
        assert found.tweaks[0].read_perplexity == pytest.approx(found.base.read_perplexity, rel=1e-6)
        assert max(found.tweaks[0].kl_nats) > 1e-6


# ── sweeps ──

KINDS = [
    "send head *.* to logits from clean",
    "send head 0.1 to head *.* q from clean",
    "send head *.* to head 2.1 k from clean",
    "send head 0.1 at * to mlp * from clean",
    "send L*.mlp_out to head *.0 v from clean",
    "send L*.resid_pre at * to mlp 1 from clean",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_of_paths_is_the_slow_way(family: str) -> None:
    living = model(family)
    common = dict(prompts={"clean": CLEAN}, target="a", wrong="c", metric="logit_diff")
    for line in KINDS:
        fast, slow = living.sweep(line, CORRUPT, **common), living.sweep(line, CORRUPT, exact=True, **common)
        scale = max(map(abs, slow.effects))
        assert scale > 1e-4, line
        assert "growing" in fast.path
        apart = max(abs(a - b) for a, b in zip(fast.effects, slow.effects, strict=True))
        assert apart <= 1e-5 * scale + 2e-6, f"{line}: {apart:.1e} apart, effects up to {scale:.1e}"


def test_both_ends_can_be_swept() -> None:
    stars = read_stars("send head * to head * k from clean")
    assert stars.axes == ("layer", "head", "to layer", "to head")
    assert read_stars("send L*.mlp_out to mlp * from clean").axes == ("layer", "to layer")
    living = model("llama")
    grid = living.sweep(
        "send L*.mlp_out to head *.* k from clean", CORRUPT, prompts={"clean": CLEAN}, over="layers x receivers"
    )
    assert grid.shape == (3, 3, 2)  # key-value heads
    table = grid.array
    assert (table[[0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2]] == 0).all()  # no path, nothing
    assert (table[[0, 0, 1], [1, 2, 2]] > 0).all()
    alone = living.compare(CORRUPT, grid.lines[-1].replace("L2", "L1"), prompts={"clean": CLEAN}, max_new_tokens=1)
    assert table[1, 2, 1] == pytest.approx(alone.tweaks[0].kl_nats[-2], abs=1e-6)


def test_a_control_sends_from_elsewhere_below() -> None:
    stack = Stack.of("send head 1.2 to head 2.1 q from clean")
    others = elsewhere(stack, 7, lambda site, axis, layer: 4, 16, 3)
    layers = {next(iter(other)).place.layer for other in others}
    assert layers == {0, 1}
    assert all(next(iter(other)).receiver == next(iter(stack)).receiver for other in others)


# ── mistakes ──


@pytest.mark.parametrize(
    ("family", "line", "error", "words"),
    [
        ("gpt2", "send head 2.1 to head 1.0 k from clean", NoEffect, "no path, because head 1.0 k reads"),
        ("gpt_neox", "send head 1.1 to mlp 1 from clean", NoEffect, "no path"),
        ("gpt2", "send head 0.1 to head 2.7 k from clean", OutOfRange, "head 7 does not exist"),
        ("llama", "send head 0.1 to head 2.3 k from clean", OutOfRange, "there are 2"),
        ("gpt2", "send head 0.1 to mlp 5 from clean", OutOfRange, "layer 5"),
        ("bloom", "send L0.mlp_out to head 1.1 q from clean", Refused, "offers no q"),
        ("gpt2", "send head 0.1 at 40 to mlp 2 from clean", OutOfRange, "position 40"),
        ("gpt2", "send embed to mlp 2 from clean", BadText, "embed is no sender"),
    ],
)
def test_mistakes_are_told(family: str, line: str, error: type[InvivoError], words: str) -> None:
    with pytest.raises(error, match=words):
        model(family).compare(CORRUPT, line, prompts={"clean": CLEAN}, max_new_tokens=1)


def test_a_path_has_no_gradient_to_estimate_it_by() -> None:
    with pytest.raises(Refused, match="gradient"):
        model().sweep("send head *.* to mlp 2 from clean", CORRUPT, prompts={"clean": CLEAN}, estimate=True)


def test_what_is_written_is_seen_before_it_is_believed() -> None:
    living = tiny.model("gpt2")
    blocks = living.living.anatomy.blocks
    blocks[0].readers["z"] = blocks[1].readers["z"]
    with pytest.raises(Refused, match=r"L0.z writes cannot be told: ours is off by"):
        living.compare(CORRUPT, "send head 0.1 to logits from clean", prompts={"clean": CLEAN}, max_new_tokens=1)


def test_nothing_is_left_behind() -> None:
    living = model()
    before = base(living)
    logits(living, "send head 0.1 to head 2.3 k from clean + send head 0.1 to mlp 1 from clean")
    assert torch.equal(base(living), before)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in living.hf.modules())


def test_receivers_have_one_text() -> None:
    for text in ("head 4.3 k", "head 4.0:2 q", "mlp -1", "logits"):
        assert str(Receiver.of(text)) == text
    assert Receiver.of("HEADS 4.3 K") == Receiver(input="k", layer=4, heads="3")
    for wrong in ("head 4.3", "mlp", "embed", "mlp 3.1"):
        with pytest.raises(BadText, match="receiver"):
            Receiver.of(wrong)
    with pytest.raises(BadText, match="no receiver"):
        Receiver(input="mlp", layer=1, heads="2")


def test_values_fall_on_their_positions() -> None:
    strip = paths.Strip(3, torch.arange(4.0))  # positions 3 to 6
    for first, count, columns, values in ((0, 10, [3, 4, 5, 6], [0, 1, 2, 3]), (5, 3, [0, 1], [2, 3]), (7, 2, [], [])):
        where, found = strip.over(first, count)
        assert list(range(count))[where] == columns
        assert found.tolist() == values
