"""Causal tracing, pairs in both directions, and prompts of unequal length: against what is written out by hand."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from invivo.engine.alignment import common_ends
from invivo.engine.live import Model
from invivo.errors import BadText, InvivoError, NoEffect
from invivo.experiment import Case, Grid, Sweep
from invivo.surfaces.cli import main
from invivo.surfaces.cli.swept import Wanted, read_cases
from invivo.tweaks.stars import read_stars

from . import tiny

CLEAN, CORRUPT = "the dog ran on t", "the cat sat on t"
LONGER = "the old dog ran on t"  # `old ` is what CLEAN has not
ANSWERS = {"target": "a", "wrong": "c"}
NOISE = "add noise 3 to embed at 4:7"


@cache
def model(family: str = "gpt2") -> Model:
    return tiny.model(family)


def traced(line: str, **fields: Any) -> Sweep:
    """A sweep that undoes noise on the subject by copying from the clean run."""
    case = {"prompt": CLEAN, "prompts": {"clean": CLEAN}} | ANSWERS
    return Sweep.of({"tweak": line, "metric": "recovered", "under": NOISE, "cases": [case]} | fields)


# ── windows ──


def test_a_window_goes_around_the_layer_and_ends_at_the_ends() -> None:
    sizes = {"layer": [str(i) for i in range(5)], "position": ["0", "1"]}
    stars = read_stars(f"{NOISE} + copy L*.mlp_out at * from clean")
    found = dict(stars.lines(sizes, 3))
    assert len(found) == 10
    for (layer, position), line in found.items():
        near = [n for n in (layer - 1, layer, layer + 1) if 0 <= n < 5]
        assert line == " + ".join([NOISE, *(f"copy L{n}.mlp_out at {position} from clean" for n in near)])
    wide = [re.findall(r"L(\d)", line) for _, line in stars.lines({**sizes, "position": ["0"]}, 4)]
    assert wide == [list("01"), list("012"), list("0123"), list("1234"), list("234")]  # two below, one above
    assert dict(stars.lines(sizes, 1)) == dict(stars.lines(sizes))
    two = [line for _, line in read_stars("zero L*.attn_out + zero L*.mlp_out").lines({"layer": ["0", "1"]}, 2)]
    assert two[1] == "zero L0.attn_out + zero L1.attn_out + zero L0.mlp_out + zero L1.mlp_out"


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_windowed_sweep_is_the_slow_way(family: str) -> None:
    asked = traced("copy L*.mlp_out at * from clean", window=2, seeds=2)
    fast, slow = model(family).sweep(asked), model(family).sweep(asked, exact=True)
    scale = max(map(abs, slow.effects))
    assert scale > 1e-3
    assert max(abs(a - b) for a, b in zip(fast.effects, slow.effects, strict=True)) <= 1e-5 * scale + 2e-6
    single = model(family).sweep(traced("copy L*.mlp_out at * from clean", seeds=2))
    assert max(abs(a - b) for a, b in zip(fast.effects, single.effects, strict=True)) > 1e-3 * scale


# ── noise that is undone ──


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_restoring_everything_undoes_the_noise(family: str) -> None:
    whole = model(family).sweep(traced("copy L*.resid_pre from clean"))
    assert whole.values[0] == pytest.approx([1.0] * 3, abs=1e-5)
    assert whole.base[0] == pytest.approx(0.0, abs=1e-9)
    every = " + ".join(f"copy L*.resid_post at {p} from clean" for p in (4, 5, 6))
    subject = model(family).sweep(traced("copy L*.resid_pre at 4:7 from clean"))
    assert subject.values[0][0] == pytest.approx(1.0, abs=1e-5)  # nothing has left the subject below layer 0
    assert abs(subject.values[0][2] - 1.0) > 1e-2
    assert model(family).sweep(traced(every, window=6)).values[0][0] != pytest.approx(1.0, abs=1e-3)


def test_what_is_under_all_is_in_base_and_in_every_row() -> None:
    living = model()
    grid = living.sweep(traced("copy L*.resid_pre at 5 from clean", metric="target"))
    noisy, clean = living.compare(CLEAN, NOISE, target="a", max_new_tokens=1), living.compare(CLEAN, target="a")
    assert grid.base[0] == pytest.approx(noisy.tweaks[0].target_nats, abs=1e-5)
    assert grid.base[0] != pytest.approx(clean.base.target_nats, abs=1e-2)
    assert grid.lines[1] == "copy L1.resid_pre at 5 from clean"
    one = living.compare(CLEAN, f"{NOISE} + {grid.lines[1]}", prompts={"clean": CLEAN}, target="a", max_new_tokens=1)
    assert grid.values[0][1] == pytest.approx(one.tweaks[0].target_nats, abs=1e-5)
    assert living.sweep(grid.recipe, check=3).checked < 1e-5  # type: ignore[operator]
    assert f"under `{NOISE}`" in str(grid)


def test_draws_of_noise_are_averaged() -> None:
    living = model()
    line = "copy L*.resid_pre at 5 from clean"
    grid = living.sweep(traced(line, seeds=3))
    alone = [living.sweep(traced(line, under=f"{NOISE} seed {n}")) for n in range(3)]
    assert len({one.effects[1] for one in alone}) == 3
    for place, effect in enumerate(grid.effects):
        assert effect == pytest.approx(sum(one.effects[place] for one in alone) / 3, abs=1e-6)
    assert [row[1] for row in grid.values] == pytest.approx([one.values[0][1] for one in alone], abs=1e-6)
    assert grid.interval() is not None
    assert "interval over draws" in str(grid)
    assert "3 draws" in str(grid)


# ── pairs ──


def test_a_pair_runs_in_both_directions() -> None:
    pair = {"clean": CLEAN, "corrupt": CORRUPT} | ANSWERS
    assert Case.of(pair) == Case.of({"prompt": CORRUPT, "prompts": {"clean": CLEAN}} | ANSWERS)
    assert Case.of(pair | {"direction": "noising"}) == Case.of(
        {"prompt": CLEAN, "prompts": {"corrupt": CORRUPT}} | ANSWERS
    )
    living = model()
    denoised = living.sweep("copy L*.resid_post from clean", metric="logit_diff", **pair)
    noised = living.sweep("copy L*.resid_post from corrupt", metric="logit_diff", direction="noising", **pair)
    assert noised.base[0] != pytest.approx(denoised.base[0], abs=1e-2)
    assert denoised.values[0] == pytest.approx([noised.base[0]] * 3, abs=1e-5)  # all of it: the other prompt
    assert noised.values[0] == pytest.approx([denoised.base[0]] * 3, abs=1e-5)


def wanted(**given: Any) -> Wanted:
    nothing = dict.fromkeys(("tweak", "metric", "over", "values", "under")) | {"window": 1, "seeds": 1}
    return Wanted(**nothing | given)


class _Said:
    def __init__(self, value: Any) -> None:
        self.value = value


def swept(given: Wanted, file: Path | None = None, prompt: str | None = None, **pair: str) -> Sweep:
    settings = {"model": _Said("fruitfly"), "revision": _Said(None), "dtype": _Said(None), "target": _Said("a")}
    return given.sweep(settings, prompt, dict.fromkeys(("clean", "corrupt", "direction")) | pair, "c", file)


def test_flags_leave_the_usual_to_be_understood(tmp_path: Path) -> None:
    pair = {"clean": CLEAN, "corrupt": CORRUPT}
    assert swept(wanted(), **pair).tweak == "copy L*.resid_pre at * from clean"
    assert swept(wanted(), **pair).metric == "recovered"
    noising = swept(wanted(over="heads"), **pair, direction="noising")
    assert (noising.tweak, noising.cases[0].prompt) == ("copy head * from corrupt", CLEAN)
    assert swept(wanted(tweak="zero head *", metric="kl_next"), **pair).tweak == "zero head *"
    assert swept(wanted(), prompt=CLEAN).tweak == "zero head *"
    assert swept(wanted(), prompt=CLEAN).metric == "kl_next"
    noisy = swept(wanted(under=NOISE, window=5), prompt=CLEAN)
    assert noisy.metric == "target_probability"
    assert (noisy.tweak, noisy.cases[0].prompts) == ("copy L*.resid_pre at * from clean", {"clean": CLEAN})
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(pair | {"target": t}) + "\n" for t in "ab"))
    both = swept(wanted(over="heads"), file, direction="noising")
    assert [(c.prompt, c.target, c.wrong) for c in both.cases] == [(CLEAN, "a", "c"), (CLEAN, "b", "c")]
    assert both.tweak == "copy head * from corrupt"
    with pytest.raises(BadText, match="both given"):
        swept(wanted(), prompt="x", **pair)
    with pytest.raises(BadText, match="no usual line"):
        swept(wanted(over="dims"), **pair)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"clean": "x"}', "line 2: the pair has no corrupt prompt"),
        ('{"target": "x"}', "line 2: a case needs a prompt, or a pair"),
        ('{"clean": "x", "corrupt": "y", "direction": "noisng"}', "line 2: no direction is called 'noisng'"),
        ('{"clean": "x", "corrupt": "y", "wrongs": "z"}', "line 2: unknown field 'wrongs'"),
        ("{", "line 2: no JSON"),
    ],
)
def test_a_wrong_line_of_a_file_is_named(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "fine"}\n' + line + "\n")
    with pytest.raises(InvivoError, match=words):
        read_cases(file, {}, {})


def test_a_pair_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clean", "The queen went to the sea", "--corrupt", "The king went to the sea", "--over", "positions"]
    assert main(["sweep", *words, "--target", " She", "--wrong", " He", "--metric", "logit_diff", "--json"]) == 0
    grid = Grid.of(json.loads(capsys.readouterr().out))
    assert grid.recipe.tweak == "copy L0.resid_pre at * from clean"
    assert grid.recipe.cases[0].prompt == "The king went to the sea"
    assert max(map(abs, grid.effects)) > 1e-3


def test_a_recipe_runs_on_its_own_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "sweep.yaml"
    recipe.write_text(traced("copy L*.resid_pre from clean", model=str(tmp_path / "absent")).to_yaml())
    assert main(["sweep", "--recipe", str(recipe)]) == 2
    assert "absent" in capsys.readouterr().err


# ── prompts of unequal length ──


@pytest.mark.parametrize(
    ("here", "there", "ends"),
    [
        ("abcxyz", "abc-xyz", (3, 3)),
        ("aaa", "aaaaa", (3, 0)),  # what is shared at the beginning is not shared again at the end
        ("abab", "ab", (2, 0)),
        ("pqqab", "pqab", (2, 2)),
        ("xyz", "xabyz", (1, 2)),
        ("abc", "def", (0, 0)),
        ("same", "same", (4, 0)),
    ],
)
def test_common_ends_are_counted_once(here: str, there: str, ends: tuple[int, int]) -> None:
    assert common_ends([*map(ord, here)], [*map(ord, there)]) == ends


def test_unequal_prompts_are_refused_with_a_line_that_works() -> None:
    living = model()
    with pytest.raises(BadText) as told:
        living.compare(CLEAN, "copy L1.resid_pre from long", prompts={"long": LONGER}, target="a")
    assert "the prompt has 16 tokens and 'long' has 20" in told.value.what
    assert "they part at 4: nothing in the prompt, 'o' 'l' 'd' ' ' in 'long'" in told.value.what
    assert told.value.hint is not None
    (line,) = re.findall(r"write `(.*)`", told.value.hint)
    assert line == "copy L1.resid_pre at 0:4,4:16 from long at 0:4,8:20"
    runs = [
        living.compare(CLEAN, text, prompts={"long": LONGER}, target="a", max_new_tokens=1).tweaks[0]
        for text in (line, "copy L1.resid_pre from long aligned by ends")
    ]
    assert runs[0].target_nats == pytest.approx(runs[1].target_nats, abs=1e-6)
    assert max(runs[0].kl_nats) > 1e-2
    # all that the answer's position can see is the other prompt's, by way of its own last position
    whole = living.compare(LONGER, target="a", max_new_tokens=1).base
    last = living.compare(
        CLEAN, "copy L2.resid_post from long aligned by ends", prompts={"long": LONGER}, target="a", max_new_tokens=1
    )
    assert last.tweaks[0].target_nats == pytest.approx(whole.target_nats, abs=1e-5)


def test_a_sweep_says_how_many_have_no_partner() -> None:
    living = model()
    common = {"prompts": {"short": CLEAN}, "metric": "recovered"} | ANSWERS
    with pytest.raises(BadText, match="they part at 4: 'o' 'l' 'd' ' ' in the prompt, nothing in 'short'") as told:
        living.sweep("copy L*.resid_pre at * from short", LONGER, **common)
    assert told.value.hint == "to copy what both have, end the line in `aligned by ends`"
    line = "copy L*.resid_pre at * from short aligned by ends"
    grid, slow = living.sweep(line, LONGER, **common), living.sweep(line, LONGER, exact=True, **common)
    assert grid.effects == pytest.approx(slow.effects, abs=1e-5)
    assert any("4 of 20 positions have no partner in 'short'" in note for note in grid.notes)
    table = grid.array  # (layers, positions)
    assert (table[:, :8] == 0).all()  # the same beginning; nobody to copy from
    assert (abs(table[:, 8:]).max(0) > 1e-5).all()
    heads = living.sweep("copy head * from short aligned by ends", LONGER, **common)
    assert max(map(abs, heads.effects)) > 1e-3


def test_prompts_of_one_length_are_aligned_as_they_stand() -> None:
    living = model()
    common = {"prompts": {"clean": CLEAN}, "metric": "logit_diff"} | ANSWERS
    plain = living.sweep("copy L*.resid_pre at * from clean", CORRUPT, **common)
    aligned = living.sweep("copy L*.resid_pre at * from clean aligned by ends", CORRUPT, **common)
    assert aligned.values == plain.values
    assert not any("partner" in note for note in aligned.notes)


def test_paths_are_aligned_too() -> None:
    living = model()
    lines = ["send head 0.1 to mlp 2 from long aligned by ends", "send head 0.1 at 4:16 to mlp 2 from long at 8:20"]
    one, other = living.compare(CLEAN, *lines, prompts={"long": LONGER}, target="a", max_new_tokens=1).tweaks
    assert one.target_nats == pytest.approx(other.target_nats, abs=1e-6)
    assert max(one.kl_nats) > 1e-4


def test_where_nobody_has_a_partner_nothing_is_copied() -> None:
    living = model()
    with pytest.raises(NoEffect, match="no position there has a partner in 'short'"):
        living.compare(LONGER, "copy L1.resid_pre at 5 from short aligned by ends", prompts={"short": CLEAN})
    with pytest.raises(BadText, match="they part at 0") as told:
        living.compare("abc", "copy L1.resid_pre from other", prompts={"other": "defg"})
    assert "at 5 from other at 7" in (told.value.hint or "")
    with pytest.raises(BadText, match="3 tokens") as told:
        living.compare("abc", "copy L1.pattern from other", prompts={"other": "abcd"})
    assert "prompts of one length" in (told.value.hint or "")


# ── recipes and mistakes ──


def test_a_tracing_goes_through_its_doors() -> None:
    asked = traced("copy L*.mlp_out at * from clean", window=2, seeds=2)
    assert Sweep.from_yaml(asked.to_yaml()) == asked
    assert {"under": NOISE, "window": 2, "seeds": 2}.items() <= asked.plain().items()
    assert f"--under '{NOISE}' --window 2 --seeds 2" in (asked.to_cli() or "")
    grid = model().sweep(asked)
    assert Grid.of(json.loads(grid.to_json())) == grid
    told = "\n".join(model().plan(asked))
    assert "3 layers x 16 positions = 48, on each of 2" in told


@pytest.mark.parametrize(
    ("fields", "how", "words"),
    [
        ({"tweak": "copy L1.mlp_out at * from clean", "window": 3}, {}, "no star that stands for a layer"),
        ({"under": "zero embed at 4", "seeds": 3}, {}, "no noise to draw again"),
        ({"under": "copy L1.z from other"}, {}, "needs a prompt called 'other'"),
        ({"under": "set temperature 2"}, {}, "acts when tokens are chosen"),
        ({"under": "add noise 3 to embed at 40"}, {}, "never reached"),
        ({"window": 0}, {}, "window"),
        ({}, {"estimate": True}, "starts from BASE"),
    ],
)
def test_mistakes_are_told(fields: dict[str, Any], how: dict[str, Any], words: str) -> None:
    with pytest.raises(InvivoError, match=words):
        model().sweep(traced("copy L*.mlp_out at 3 from clean", **fields), **how)
