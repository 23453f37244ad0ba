"""Sweeps: stars, the growing batch against the slow twin, metrics against arithmetic, chunks, kills and refusals."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invivo.engine import end, spared, trunk
from invivo.engine import sweep as sweeping
from invivo.engine.live import Model
from invivo.engine.unfinished import Unfinished
from invivo.errors import BadText, InvivoError, NoEffect, OutOfRange, Refused
from invivo.experiment import Grid, Sweep
from invivo.metrics import METRICS
from invivo.tweaks import Stack
from invivo.tweaks.stars import read_stars

from . import tiny

CORRUPT, CLEAN = "the cat sat on t", "the dog ran on t"
CASE = {"prompt": CORRUPT, "prompts": {"clean": CLEAN}, "target": "a", "wrong": "c"}
KINDS: list[tuple[str, str, tuple[float, ...]]] = [
    ("zero head *", "kl_next", ()),
    ("mean head *", "target", ()),
    ("copy head * from clean", "recovered", ()),
    ("copy L*.resid_pre at * from clean", "recovered", ()),
    ("copy L*.attn_out at * from clean", "logit_diff", ()),
    ("copy L*.mlp_out at * from clean", "target", ()),
    ("copy L*.q heads * from clean", "logit_diff", ()),
    ("copy L*.k heads * from clean", "logit_diff", ()),
    ("copy L*.v heads * at * from clean", "logit_diff", ()),
    ("copy L*.pattern heads * from clean", "logit_diff", ()),
    ("zero L*.scores heads * keys 3", "logit_diff", ()),
    ("zero neuron 1.*", "logit_diff", ()),
    ("scale head 1.* by *", "logit_diff", (0, 1, 2)),
    ("add noise 0.5 to resid *", "entropy_next", ()),
    ("zero embed at *", "target_probability", ()),
    ("add 0.5 to L*.mlp_post at *", "logit_diff", ()),
    ("zero L0.resid_mid at * + zero L1.k at 2", "logit_diff", ()),
    ("zero embed dims *", "kl_next", ()),
    ("scale L*.resid_post by 2", "kl_next", ()),
    ("zero final_norm dims *", "kl_next", ()),
    ("zero L*.attn_out + zero L*.mlp_out", "kl_next", ()),
]
FAMILIES = ("gpt2", "llama", "qwen3", "gpt_neox", "gemma2", "mistral", "opt", "olmo2", "bloom")


def sweep(line: str, metric: str = "kl_next", values: tuple[float, ...] = (), **case: Any) -> Sweep:
    return Sweep.of({"tweak": line, "metric": metric, "values": values, "cases": [CASE | case]})


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model("gpt2")


# ── stars ──


@pytest.mark.parametrize(
    ("text", "axes", "first"),
    [
        ("zero head *", ("layer", "head"), "zero head 0.0"),
        ("zero head *.*", ("layer", "head"), "zero head 0.0"),
        ("zero head 2.*", ("head",), "zero head 2.0"),
        ("zero head *.2", ("layer",), "zero head 0.2"),
        ("zero L*.z heads * at *", ("layer", "head", "position"), "zero head 0.0 at 0"),
        ("copy L*.resid_pre at * from clean at *", ("layer", "position"), "copy L0.resid_pre at 0 from clean at 0"),
        ("zero L1.pattern heads 0 keys *", ("key",), "zero L1.pattern heads 0 keys 0"),
        ("zero neuron 4.*", ("unit",), "zero neuron 4.0"),
        ("zero embed dims *", ("unit",), "zero embed dims 0"),
        ("scale head 1.2 by *", ("value",), "scale head 1.2 by 0"),
        ("add noise 1 to resid 2 seed *", ("value",), "add noise 1 to L2.resid_pre"),
        ("zero L*.attn_out + zero L*.mlp_out", ("layer",), "zero L0.attn_out + zero L0.mlp_out"),
        ("blocks", None, ""),
    ],
)
def test_a_star_varies_what_its_number_would_set(text: str, axes: tuple[str, ...] | None, first: str) -> None:
    if axes is None:
        with pytest.raises(BadText, match="nothing varies"):
            read_stars(text)
        return
    stars = read_stars(text)
    assert stars.axes == axes
    assert str(Stack.of(stars.line(dict.fromkeys(axes, "0")))) == first
    assert str(Stack.of(stars.line(dict.fromkeys(axes, "1")))) != first


def test_a_quoted_star_is_a_star() -> None:
    with pytest.raises(BadText, match="nothing varies"):
        read_stars('add 4 to logit "*"')
    assert read_stars('add * to logit "*"').axes == ("value",)


@given(st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_lines_go_through_every_combination_once(layers: int, heads: int) -> None:
    stars = read_stars("zero head *")
    cells = list(stars.lines({"layer": [str(i) for i in range(layers)], "head": [str(i) for i in range(heads)]}))
    assert [c for c, _ in cells] == list(itertools.product(range(layers), range(heads)))
    assert [line for _, line in cells] == [
        f"zero head {a}.{b}" for a, b in itertools.product(range(layers), range(heads))
    ]


def test_over_is_checked_against_the_stars() -> None:
    for over in ("heads", "layers x heads"):
        Sweep.of({"tweak": "zero head *", "cases": [CASE], "over": over})
    Sweep.of({"tweak": "zero L*.resid_pre at *", "cases": [CASE], "over": "layers x positions"})
    with pytest.raises(BadText, match="varies layer x head, not positions"):
        Sweep.of({"tweak": "zero head *", "cases": [CASE], "over": "positions"})


# ── fast = slow ──


@pytest.mark.parametrize("family", FAMILIES)
def test_the_growing_batch_is_the_slow_way(family: str) -> None:
    living = tiny.model(family)
    ran = 0
    for line, metric, values in KINDS:
        asked = sweep(line, metric, values)
        try:
            fast = living.sweep(asked)
        except Refused:
            continue  # what this family does not offer is told by name: test_families.py
        slow = living.sweep(asked, exact=True)
        scale = max(map(abs, slow.effects))
        assert scale > 1e-4, f"{line}: the tweak must do something"
        assert fast.lines == slow.lines
        apart = max(abs(a - b) for a, b in zip(fast.values[0], slow.values[0], strict=True))  # type: ignore[operator]
        assert apart <= 1e-5 * scale + 2e-6, f"{line}: {apart:.1e} apart, effects up to {scale:.1e}"
        assert ("growing" in fast.path) == (family != "bloom")
        ran += 1
    assert ran >= (9 if family == "bloom" else 19)


def test_a_wrong_walk_would_be_seen(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sweep("copy L*.resid_pre at * from clean", "logit_diff")
    right = model.sweep(asked)
    monkeypatch.setattr(trunk, "_FITS", {})
    monkeypatch.setattr(trunk, "_cut", lambda value, total, first: value)
    assert "rows in batches, because" in tiny.model("llama").sweep(asked).path  # its rotations are one position off
    monkeypatch.undo()
    first = sweeping._first
    monkeypatch.setattr(sweeping, "_first", lambda *a: None if (p := first(*a)) is None else p + 1)
    wrong = model.sweep(asked)
    assert max(abs(a - b) for a, b in zip(right.effects, wrong.effects, strict=True)) > 1e-3


def test_where_both_prompts_have_the_same_token_nothing_changes(model: Model) -> None:
    asked = sweep("copy L*.resid_pre at * from clean", "logit_diff")
    parted = next(i for i, (a, b) in enumerate(zip(CLEAN, CORRUPT, strict=True)) if a != b)
    alike = sum(a == b for a, b in zip(CLEAN[parted:], CORRUPT[parted:], strict=True))  # a character is a token
    assert alike > 3
    grid = model.sweep(asked)
    assert grid.values[0] == pytest.approx(model.sweep(asked, exact=True).values[0], abs=1e-5)
    assert f"{alike} of {3 * len(CLEAN)} places changed nothing" in " ".join(grid.notes)
    noisy = model.sweep(asked.model_copy(update={"under": Stack.of("add noise 1 to embed")}))
    exact = model.sweep(noisy.recipe, exact=True)
    assert noisy.values[0] == pytest.approx(exact.values[0], abs=1e-5)  # noise below: nothing is as in BASE


def test_nothing_is_left_behind(model: Model) -> None:
    ids = torch.tensor([model.living.encode(CORRUPT)])
    before = model.hf(ids).logits
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())
    model.sweep(sweep("zero head *"))
    with pytest.raises(InvivoError):
        model.sweep(sweep("zero head 9.*"))
    assert torch.equal(model.hf(ids).logits, before)
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())
    assert not any("forward" in vars(m) for m in model.hf.modules())
    assert not trunk.inner.VISITORS
    assert not trunk.inner.PREFIXES


# ── what the numbers mean ──


def test_copying_everything_recovers_everything(model: Model) -> None:
    grid = model.sweep(sweep("copy L*.resid_pre from clean", "recovered"))
    assert grid.values[0] == pytest.approx([1.0] * 3, abs=1e-4)
    last = model.sweep(sweep("copy L2.resid_post at * from clean", "recovered"))
    assert last.values[0][-1] == pytest.approx(1.0, abs=1e-4)
    assert all(v == pytest.approx(0.0, abs=1e-9) for v in last.values[0][:-1])


def test_an_answer_of_several_tokens_is_scored_whole(model: Model) -> None:
    grid = model.sweep(sweep("zero head *", "target", target="abc"))
    one = model.compare(CORRUPT, "zero head 1.2", target="abc", max_new_tokens=1)
    assert grid.values[0][grid.lines.index("zero head 1.2")] == pytest.approx(one.tweaks[0].target_nats, abs=1e-5)
    assert grid.values[0] == pytest.approx(model.sweep(grid.recipe, exact=True).values[0], abs=1e-5)
    # two answers are compared where they part, behind what they share
    parted = model.sweep(sweep("zero head *", "logit_diff", target="abc", wrong="abd"))
    behind = model.sweep(sweep("zero head *", "logit_diff", prompt=CORRUPT + "ab", target="c", wrong="d"))
    assert parted.base[0] == pytest.approx(behind.base[0], abs=1e-5)


def test_a_sweep_says_what_compare_says(model: Model) -> None:
    grid = model.sweep(sweep("zero head *", "target"))
    one = model.compare(CORRUPT, "zero head 1.2", target="a", max_new_tokens=1)
    assert grid.values[0][grid.lines.index("zero head 1.2")] == pytest.approx(one.tweaks[0].target_nats, abs=1e-5)
    assert grid.base[0] == pytest.approx(one.base.target_nats, abs=1e-5)
    far = model.sweep(sweep("zero head *", "kl_next"))
    assert far.values[0][far.lines.index("zero head 1.2")] == pytest.approx(one.tweaks[0].kl_nats[-2], abs=1e-5)
    assert far.base[0] == pytest.approx(0.0, abs=1e-9)


def test_a_factor_of_one_is_base_and_of_zero_is_zeroing(model: Model) -> None:
    dose = model.sweep(sweep("scale head 1.* by *", "logit_diff", (1, 0)))
    zero = model.sweep(sweep("zero head 1.*", "logit_diff"))
    table = dose.array
    assert abs(table[:, 0]).max() < 1e-5 < abs(table[:, 1]).max()
    assert table[:, 1] == pytest.approx(zero.array, abs=1e-5)


def test_cases_give_a_mean_and_an_interval(model: Model) -> None:
    cases = [CASE, CASE | {"prompt": "the cat sat on a"}, CASE | {"prompt": "some cats sat in"}]
    grid = model.sweep(Sweep.of({"tweak": "zero head *", "metric": "logit_diff", "cases": cases}))
    alone = [model.sweep(Sweep.of({"tweak": "zero head *", "metric": "logit_diff", "cases": [c]})) for c in cases]
    for place, effect in enumerate(grid.effects):
        assert effect == pytest.approx(sum(g.effects[place] for g in alone) / 3, abs=1e-5)
    ends = grid.interval()
    assert ends is not None
    assert all(low <= effect <= high for effect, (low, high) in zip(grid.effects, ends, strict=True))
    assert any(low < high for low, high in ends)
    assert alone[0].interval() is None


def test_causality_leaves_out_what_cannot_be_seen(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.sweep(sweep("zero head *"))  # the check that walking is right is made once
    walked: list[int] = []
    real = trunk.Trunk.walk

    def counted(self: trunk.Trunk, rows: Any, *rest: Any) -> Any:
        walked.append(sum(bool(actions) for _, actions in rows))  # BASE is walked to see whether its end narrows
        return real(self, rows, *rest)

    monkeypatch.setattr(trunk.Trunk, "walk", counted)
    grid = model.sweep(sweep("copy L*.resid_pre at * from clean", "logit_diff"))
    alike = next(i for i, (a, b) in enumerate(zip(CORRUPT, CLEAN, strict=True)) if a != b)
    known = sum(a == b for a, b in zip(CORRUPT[alike:], CLEAN[alike:], strict=True))  # of layer 0: the same token
    assert sum(walked) == 3 * (len(CORRUPT) - alike) - known
    assert all(v == grid.base[0] for v in grid.values[0][:alike])


def test_linear_layers_see_changed_cells_only(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.sweep(sweep("zero head *"))  # the check that walking is right is made once
    seen: list[int] = []  # vectors that each linear layer was given
    real = spared._partly

    def counted(forward: Any, *rest: Any) -> Any:
        return real(lambda x: (seen.append(x.numel() // x.shape[-1]), forward(x))[1], *rest)

    monkeypatch.setattr(spared, "_partly", counted)
    monkeypatch.setattr(sweeping, "TOGETHER", 1)  # one chunk
    length, heads = len(CORRUPT), 4
    model.sweep(sweep("zero head 1.*", "logit_diff"))
    # nothing in front of the heads' output is run again, and the last block only where the metric looks: the heads'
    # mixing and the MLP, which is one layer where nothing acts inside
    assert seen == [heads] * 2
    seen.clear()
    model.sweep(sweep("scale L1.resid_pre at * by 2", "logit_diff"))
    # one position a row, until attention carries it to all later ones; layer 2 is the last
    later = length * (length + 1) // 2
    assert seen == [length, later, later, later, length, length]
    seen.clear()
    model.sweep(sweep("scale L1.mlp_post at * by 2", "logit_diff"))  # inside layer 1's MLP; the one above stays whole
    assert seen == [length] * 4


def test_the_head_is_asked_for_the_answers_alone(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the metric is a difference of two logits; all of the vocabulary where it is not, or a tweak needs it."""
    sizes: list[int] = []
    real = end.End.__call__

    def noting(self: end.End, *rest: Any) -> Any:
        logits = real(self, *rest)
        sizes.append(logits.shape[-1])
        return logits

    monkeypatch.setattr(end.End, "__call__", noting)
    for metric, line, few in (
        ("logit_diff", "zero head *", True),
        ("recovered", "copy L*.resid_pre at * from clean", True),
        ("target", "zero head *", False),
        ("logit_diff", 'zero head * + add 2 to logit "a"', False),
        ("logit_diff", "scale logits dims * by 2", False),
    ):
        sizes.clear()
        grid = model.sweep(sweep(line, metric), check=6)
        assert (set(sizes[1:]) == {2}) is few, (metric, line, sizes)
        assert grid.checked is not None
        assert grid.checked < 1e-5
        assert max(grid.values[0]) - min(grid.values[0]) > 1e-3
    monkeypatch.setattr(trunk.Trunk, "narrows", lambda *_: False)
    for metric, line in (("logit_diff", "zero head *"), ("recovered", "copy L*.resid_pre at * from clean")):
        whole = model.sweep(sweep(line, metric))
        monkeypatch.undo()
        narrow = model.sweep(sweep(line, metric))
        assert narrow.values[0] == pytest.approx(whole.values[0], abs=1e-5)
        monkeypatch.setattr(trunk.Trunk, "narrows", lambda *_: False)


# ── long work ──


def test_chunks_of_any_size_give_one_answer(model: Model) -> None:
    asked = sweep("zero neuron 1.*", "logit_diff")
    whole, small = model.sweep(asked), model.sweep(asked, memory=1)
    assert whole.effects == pytest.approx(small.effects, abs=1e-5)


def test_check_runs_places_again(model: Model) -> None:
    grid = model.sweep(sweep("zero head *", "logit_diff"), check=4)
    assert grid.checked is not None
    assert 0 <= grid.checked < 1e-5
    assert "slow way" in str(grid)


def test_an_interrupted_sweep_goes_on(model: Model, tmp_path: Path) -> None:
    asked, file = sweep("zero neuron 1.*", "logit_diff"), tmp_path / "part.jsonl"
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sweep(asked, memory=1, progress=stop, unfinished=file)
    file.write_text(file.read_text() + '{"case": 0, "pla')  # torn by a kill
    again: list[int] = []
    grid = model.sweep(asked, memory=1, progress=lambda done, total: again.append(done), unfinished=file)
    assert len(again) == 48 - 5
    assert grid.effects == pytest.approx(model.sweep(asked).effects, abs=1e-5)
    assert not file.exists()


def test_a_killed_sweep_loses_a_chunk_at_most(tmp_path: Path) -> None:
    code = f"""
import time, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from tests import tiny, test_sweep
model = tiny.model("gpt2")
model.sweep(test_sweep.sweep("zero neuron 1.*", "logit_diff"), memory=1, unfinished={str(tmp_path / "part")!r},
            progress=lambda done, total: (print(done, flush=True), time.sleep(0.05)))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 8:
                os.kill(process.pid, signal.SIGKILL)
                break
    kept = [json.loads(x) for x in (tmp_path / "part").read_text().splitlines()[1:]]
    assert sum(len(chunk["places"]) for chunk in kept) >= 8


def test_the_file_of_another_sweep_is_refused(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "part"
    Unfinished(file, sweep("zero head *"), model.revision).open(12)
    before = file.read_bytes()
    with pytest.raises(BadText, match=r"belongs to another sweep: metric was None, is 'logit_diff'|metric was"):
        model.sweep(sweep("zero head *", "logit_diff"), unfinished=file)
    assert file.read_bytes() == before
    file.write_text("hello")
    with pytest.raises(BadText, match="no unfinished sweep"):
        model.sweep(sweep("zero head *"), unfinished=file)


# ── doors ──


def test_a_sweep_goes_through_its_doors(model: Model) -> None:
    asked = sweep("copy L*.resid_pre at * from clean", "recovered")
    assert Sweep.from_yaml(asked.to_yaml()) == asked
    assert "--tweak 'copy L*.resid_pre at * from clean'" in (asked.to_cli() or "")
    grid = model.sweep(asked)
    assert Grid.of(json.loads(grid.to_json())) == grid
    assert grid.array.shape == grid.shape == (3, len(CORRUPT))
    rows = grid.to_csv().splitlines()
    assert len(rows) == 1 + len(grid.lines)
    assert rows[1].startswith("0,0 t,copy L0.resid_pre at 0 from clean")
    assert grid.lines[grid.ranked()[0]] in str(grid)
    assert "<svg" in grid._repr_html_()


def test_a_plan_runs_nothing(model: Model) -> None:
    told = "\n".join(model.plan(sweep("copy L*.resid_pre at * from clean", "logit_diff")))
    assert "3 layers x 16 positions = 48" in told
    assert "growing batch" in told
    assert "chunks" in told


# ── mistakes ──


@pytest.mark.parametrize(
    ("line", "metric", "case", "error", "words"),
    [
        ("zero head *", "perplexity", {}, BadText, "whole texts"),
        ("zero head *", "logit_diff", {"wrong": None}, BadText, "needs a wrong"),
        ("zero head *", "logit_diff", {"wrong": "ab"}, BadText, "do not part"),
        ("zero head *", "recovered", {}, BadText, "copies from another prompt"),
        ("copy head * from other", "kl_next", {}, BadText, "needs a prompt called 'other'"),
        (
            "copy head * from clean",
            "kl_next",
            {"prompts": {"clean": "short"}},
            BadText,
            "has 16 tokens and 'clean' has 5",
        ),
        ("zero head 7.*", "kl_next", {}, OutOfRange, "layer 7"),
        ("zero L*.z heads 9", "kl_next", {}, OutOfRange, "head 9"),
        ("zero head * at 40", "kl_next", {}, NoEffect, "never reached"),
        ("set temperature *", "kl_next", {}, BadText, "no star|a star"),
        ("zero hed *", "kl_next", {}, InvivoError, "hed"),
        ("zero head *", "kl_next", {"prompt": "x" * 100}, OutOfRange, "at most 64"),
    ],
)
def test_mistakes_are_told(
    model: Model, line: str, metric: str, case: dict[str, Any], error: type[InvivoError], words: str
) -> None:
    with pytest.raises(error, match=words):
        model.sweep(sweep(line, metric, **case))


def test_a_tweak_that_breaks_the_metric_is_named(model: Model) -> None:
    with pytest.raises(InvivoError, match=r"`scale head 0.0 by 1e\+38` makes the metric NaN|makes the metric NaN"):
        model.sweep(sweep("scale L*.resid_post by *", "logit_diff", (3e38,)))


def test_every_metric_with_a_reading_is_swept_somewhere() -> None:
    swept = {metric for _, metric, _ in KINDS} | {"right"}  # a yes or a no: test_lab_08.py
    assert swept == {name for name, metric in METRICS.items() if metric.read is not None}


def test_time_is_not_measured_but_told(model: Model) -> None:
    start = time.perf_counter()
    assert 0 < model.sweep(sweep("zero head *")).seconds <= time.perf_counter() - start


# ── attribution patching ──


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize(
    "line",
    [
        "scale head * by 1.001",
        "scale L*.resid_pre at * by 1.001",
        "scale L*.resid_mid at * by 1.001",
        "scale L*.mlp_post neurons 0:20 by 1.001",
        "scale L*.q heads * by 1.001",
        "scale L*.v heads * by 1.001",
        "scale L*.scores heads * by 1.001",
        "scale L*.attn_out at * by 1.001",
        "scale embed at * by 1.001",
    ],
)
def test_an_estimate_is_right_for_small_changes(family: str, line: str) -> None:
    living = tiny.model(family)
    asked = sweep(line, "logit_diff")
    exact, guess = living.sweep(asked, exact=True), living.sweep(asked, estimate=True)
    scale = max(map(abs, exact.effects))
    assert scale > 1e-5
    assert guess.base[0] == pytest.approx(exact.base[0], abs=1e-5)
    assert guess.effects == pytest.approx(exact.effects, abs=0.02 * scale + 1e-5)


def test_an_estimate_is_exact_behind_the_last_norm_and_wrong_in_front_of_it(model: Model) -> None:
    target = model.living.encode("a")[0]
    for line, values in (("zero final_norm dims *", ()), (f"add * to logits dims {target}", (3,))):
        asked = sweep(line, "logit_diff", values)
        exact, guess = model.sweep(asked, exact=True), model.sweep(asked, estimate=True)
        assert max(map(abs, exact.effects)) > 0.01
        assert guess.effects == pytest.approx(exact.effects, abs=1e-5)
    asked = sweep("zero head *", "logit_diff")
    assert model.sweep(asked).effects != pytest.approx(model.sweep(asked, estimate=True).effects, abs=1e-4)
    checked = model.sweep(asked, estimate=True, check=4)
    assert checked.checked is not None
    assert checked.checked > 1e-4
    assert "gradient" in checked.path


def test_an_mlp_that_gives_or_takes_more_than_one_tensor_is_no_layer() -> None:
    anatomy = tiny.model("gpt2").living.anatomy
    x = torch.zeros(1, 4, 32)
    for args, output, kept in (((x,), x, True), ((x,), (x, None), False), ((x, x), x, False), ((x,), x[0], False)):
        spares = spared.Spared(anatomy)
        mlp = spares.mlps[0]
        assert mlp is not None
        spares._keeper(anatomy.blocks[0], 4, {id(anatomy.blocks[0].attention)})(mlp, args, output)
        assert (mlp in spares.outputs, mlp in spares.dropped) == (kept, not kept)
