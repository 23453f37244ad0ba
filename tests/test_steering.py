"""Directions: made by hand and by us, added and taken out at every position and step, refused where they do not fit."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import invivo
from invivo.engine import decode, directions, reading
from invivo.engine.forward import watched
from invivo.engine.live import Model
from invivo.engine.rows import prepare
from invivo.errors import BadText, InvivoError, OutOfRange, Refused, UnknownName
from invivo.experiment.direction import Direction
from invivo.home import home
from invivo.surfaces.cli import main
from invivo.tweaks import Decoding, Project, Stack, Steer, read_tweak
from tests import tiny

PROMPT = "Once upon a time"
POLITE = ["please sit down", "thank you, sir", "would you kindly"]
PLAIN = ["sit down at once", "no, you fool"]
STEPS = 12
SAME = 1e-6  # nats: rounding, where nothing differs
LINES = [
    "steer L1.resid_post with d by 3",
    "steer L1.resid_post with d by -2 during generation",
    "steer L1.resid_post with d by 2 during prompt",
    "steer L0.mlp_out at 3:6,-1 with d by 4",
    "steer L1.resid_post at 18: with d by 4",
    "project d out of L1.resid_post",
    "project d out of L0.attn_out during generation",
    "steer L0.resid_pre with d by 2 + project d out of L2.resid_pre",
]


@pytest.fixture(scope="module")
def gpt2() -> Model:
    return tiny.model("gpt2")


def keep(values: Any, name: str = "d", **told: Any) -> np.ndarray:
    """Keep a direction with these numbers."""
    array = np.asarray(values, dtype=np.float32)
    told = {"model": "gpt2", "revision": "random"} | told
    directions.write(Direction(name=name, width=len(array), norm=float(np.linalg.norm(array)), **told), array)
    return array


@pytest.fixture
def d() -> torch.Tensor:
    """A kept direction of the tiny models' width, called d."""
    return torch.from_numpy(keep(np.random.default_rng(0).normal(size=32)))


def rows_of(model: Model, *lines: str, prompt: str = PROMPT) -> list[Any]:
    return prepare(model.living, [Stack.of(x) for x in lines], model.living.encode(prompt), {}, Decoding(), 0)


def one_hot(width: int, at: int) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[at]


# ── making one ──


@pytest.mark.parametrize(
    ("site", "at"), [("L1.resid_post", "-1"), ("L1.resid_post", ":"), ("head 1.2", "1:"), ("L0.mlp_post", "0,2")]
)
def test_a_direction_is_one_mean_minus_the_other(gpt2: Model, site: str, at: str) -> None:
    made = gpt2.direction("d", with_=POLITE, without=PLAIN, site=site, at=at)
    rows = {"-1": [-1], ":": slice(None), "1:": slice(1, None), "0,2": [0, 2]}[at]

    def mean(texts: list[str]) -> torch.Tensor:
        values = [gpt2.capture(t, site)[site].reshape(len(t), -1) for t in texts]  # one character is one token
        return torch.stack([x[rows].mean(0) for x in values]).mean(0)

    wanted = mean(POLITE) - mean(PLAIN)
    record, values = directions.read("d")
    torch.testing.assert_close(torch.from_numpy(values), wanted, rtol=0, atol=1e-5)
    assert wanted.norm() > 0.1
    assert record.norm == pytest.approx(float(wanted.norm()), rel=1e-5)
    assert (made.with_prompts, made.without_prompts, made.width) == (3, 2, len(wanted))
    lengths = [gpt2.capture(t, site)[site].reshape(len(t), -1)[rows].mean(0).norm() for t in [*POLITE, *PLAIN]]
    assert made.usual_norm == pytest.approx(float(sum(lengths)) / 5, rel=1e-5)


def test_strength_one_leads_from_one_mean_to_the_other(gpt2: Model) -> None:
    gpt2.direction("d", with_=POLITE, without=PLAIN, site="L1.resid_post")
    last = lambda texts, tweak=None: torch.stack(  # noqa: E731
        [gpt2.capture(t, "L1.resid_post at -1", tweak=tweak)["L1.resid_post at -1"][0] for t in texts]
    ).mean(0)
    there, here = last(POLITE), last(PLAIN)
    torch.testing.assert_close(last(PLAIN, "steer L1.resid_post with d by 1"), there, rtol=0, atol=1e-5)
    assert (there - here).abs().max() > 0.1


def test_agreement_is_the_cosine_of_two_halves(gpt2: Model) -> None:
    a, b, c = (gpt2.capture(t, "L1.resid_post at -1")["L1.resid_post at -1"][0] for t in ("abc", "xyz", "pqr"))
    made = gpt2.direction("d", with_=["abc", "xyz"], without=["xyz", "pqr"], site="L1.resid_post")
    assert made.agreement == pytest.approx(float(torch.cosine_similarity(a - b, b - c, dim=0)), abs=1e-4)
    same = gpt2.direction("e", with_=["abc"] * 2, without=["xyz"] * 2, site="L1.resid_post")
    assert same.agreement == pytest.approx(1)
    assert abs(made.agreement or 1) < 0.99


def test_the_file_says_how_it_was_made_and_is_the_same_again(gpt2: Model, tmp_path: Path) -> None:
    made = gpt2.direction("polite", with_=POLITE, without=PLAIN, site="L1.resid_post")
    file = home() / "directions" / "polite.safetensors"
    with safe_open(file, framework="numpy") as opened:
        told = opened.metadata()
        assert opened.keys() == ["direction"]
        assert opened.get_tensor("direction").shape == (32,)
    assert (told["model"], told["revision"], told["site"], told["layer"]) == ("gpt2", "random", "resid_post", "1")
    assert (told["how"], told["at"]) == ("mean difference", "-1")
    assert (told["with_prompts"], told["without_prompts"]) == ("3", "2")
    assert float(told["norm"]) == pytest.approx(made.norm)
    assert json.loads(told["versions"])["torch"] == torch.__version__
    read = directions.read("polite")[0]
    assert read == made.model_copy(update={"norm": read.norm})
    assert read.norm == pytest.approx(made.norm)
    before = file.read_bytes()
    with pytest.raises(Refused, match="already"):
        gpt2.direction("polite", with_=PLAIN, without=POLITE, site="L1.resid_post")
    assert file.read_bytes() == before
    values = directions.read("polite")[1]
    gpt2.direction("polite", with_=POLITE, without=PLAIN, site="L1.resid_post", replace=True)
    assert directions.read("polite")[0] == read
    assert np.array_equal(directions.read("polite")[1], values)
    gpt2.direction("polite", with_=PLAIN, without=POLITE, site="L1.resid_post", replace=True)
    assert np.array_equal(directions.read("polite")[1], -values)
    path = tmp_path / "mine.safetensors"
    gpt2.direction(str(path), with_=POLITE, without=PLAIN, site="L1.resid_post")
    by_path, by_name = gpt2.compare(
        PROMPT, f'steer L1.resid_post with "{path}" by 2', "steer L1.resid_post with polite by -2", max_new_tokens=2
    ).tweaks
    assert by_path.kl_nats == pytest.approx(by_name.kl_nats, abs=1e-5)
    assert max(by_path.kl_nats) > 1e-3


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"with_": POLITE[:1]}, BadText, "1 prompts with are too few"),
        ({"without": []}, BadText, "0 prompts without are too few"),
        ({"with_": "please"}, BadText, "are one text"),
        ({"with_": ["please", ""]}, BadText, "prompt 1 with is empty"),
        ({"without": POLITE}, BadText, "same mean"),
        ({"site": "L1.z"}, BadText, "several heads"),
        ({"site": "L1.pattern heads 1"}, BadText, "no direction"),
        ({"site": "L1.resid_post dims 3"}, BadText, "all dims"),
        ({"site": "L1.resid_post at 3"}, BadText, "--at"),
        ({"site": "L9.resid_post"}, OutOfRange, "layer 9"),
        ({"at": "99"}, OutOfRange, "prompt 0 with"),
        ({"at": "3:3"}, BadText, "no position"),
        ({"at": "last"}, BadText, "not a set of indices"),
        ({"name": "../evil"}, BadText, "no name of a direction"),
        ({"name": "/tmp/evil"}, BadText, "no name of a direction"),
        ({"name": "a/b"}, BadText, "no name of a direction"),
        ({"name": "a\0.safetensors"}, BadText, "no name of a direction"),
        ({"name": ""}, BadText, "no name of a direction"),
        ({"name": "n" * 300}, InvivoError, "too long"),
        ({"name": "nowhere/at/all.safetensors"}, InvivoError, "cannot write"),
    ],
)
def test_what_no_direction_comes_from(gpt2: Model, change: dict[str, Any], error: type[Exception], words: str) -> None:
    asked = {"name": "d", "with_": POLITE, "without": PLAIN, "site": "L1.resid_post"} | change
    with pytest.raises(error, match=words):
        gpt2.direction(asked.pop("name"), **asked)
    assert not list(home().rglob("*.safetensors"))


# ── using one ──


def test_steering_is_adding_and_projecting_is_zeroing_where_that_can_be_said(gpt2: Model) -> None:
    """A direction along one dimension: `add`, `zero` and `scale` say the same in their own words."""
    keep(3 * one_hot(32, 5))
    keep(one_hot(8, 2), "k")  # a head's width
    keep(np.arange(32), "ramp")
    result = gpt2.compare(
        PROMPT,
        "steer L1.resid_post with d by 2",
        "add 6 to L1.resid_post dims 5",
        "project d out of L0.resid_post",
        "zero L0.resid_post dims 5",
        "steer head 1.1 with k by 4",
        "add 4 to head 1.1 dims 2",
        "project k out of L2.k heads 3",
        "zero L2.k heads 3 dims 2",
        "steer L1.resid_post dims 4:6 with ramp by 0.5",
        "add 2 to L1.resid_post dims 4 + add 2.5 to L1.resid_post dims 5",
        max_new_tokens=STEPS,
    )
    for mine, other in zip(result.tweaks[::2], result.tweaks[1::2], strict=True):
        assert mine.kl_nats == pytest.approx(other.kl_nats, abs=1e-5), str(mine.tweak)
        assert mine.ids == other.ids
        assert max(mine.kl_nats) > 1e-4, str(mine.tweak)
        assert not mine.notes


def test_there_and_back_is_base_and_strength_zero_is_told(gpt2: Model, d: torch.Tensor) -> None:
    back, none, twice, once = gpt2.compare(
        PROMPT,
        "steer L1.resid_post with d by 2 + steer L1.resid_post with d by -2",
        "steer L1.resid_post with d by 0",
        "project d out of L1.resid_post + project d out of L1.resid_post",
        "project d out of L1.resid_post",
        max_new_tokens=STEPS,
    ).tweaks
    assert max(back.kl_nats) < SAME
    assert max(none.kl_nats) == 0
    assert "changed nothing" in none.notes[0]
    assert twice.kl_nats == pytest.approx(once.kl_nats, abs=1e-6)
    assert max(once.kl_nats) > 1e-4


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    ("line", "acting"),
    [
        ("steer L1.resid_post with d by 3", lambda p, n: True),
        ("steer L1.resid_post with d by 3 during generation", lambda p, n: p >= n),
        ("steer L1.resid_post with d by 3 during prompt", lambda p, n: p < n),
        ("steer L1.resid_post at 2,18: with d by 3", lambda p, n: p == 2 or p >= 18),
        ("project d out of L1.resid_post", lambda p, n: True),
    ],
)
def test_it_acts_once_at_every_position_asked_for_at_every_step(
    gpt2: Model, d: torch.Tensor, cache: bool, line: str, acting: Any
) -> None:
    """What the place holds inside `generate`, against what it holds of the same text untouched plus the direction."""
    ids = torch.tensor([gpt2.living.encode(PROMPT)])
    length = ids.shape[1]
    ask: dict[str, Any] = dict(max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False, pad_token_id=0)
    with gpt2.tweaked(line) as hf, watched(gpt2.living.anatomy, capture=[(1, "resid_post")]) as run:
        out = hf.generate(ids, use_cache=cache, **ask)
    calls = [x[0] for x in run.captured[(1, "resid_post")]]
    assert len(calls) == STEPS
    if cache:
        assert [len(x) for x in calls] == [length] + [1] * (STEPS - 1)
    with watched(gpt2.living.anatomy, capture=[(1, "resid_post")]) as run:
        gpt2.hf(input_ids=out[:, :-1], use_cache=False)
    plain = run.tensors()[(1, "resid_post")][0]  # nothing below the place is touched, so this is what came into it
    unit = d / d.norm()
    changed = plain - (plain @ unit)[:, None] * unit if line.startswith("project") else plain + 3 * d
    wanted = torch.stack([changed[p] if acting(p, length) else plain[p] for p in range(len(plain))])
    for step, x in enumerate(calls):
        end = length + step
        torch.testing.assert_close(x, wanted[end - len(x) : end], rtol=0, atol=2e-5)
    assert (changed - plain).norm(dim=-1).median() > 0.3
    base = gpt2.hf.generate(ids, use_cache=cache, **ask)
    assert not torch.equal(base, out) or line.startswith("project")


@pytest.mark.parametrize("family", ["gpt2", "mistral", "gemma2"])
def test_the_cache_changes_nothing_and_neither_does_padding(family: str, d: torch.Tensor) -> None:
    model = tiny.model(family)
    prompt = model.living.encode(PROMPT)
    rows = rows_of(model, *LINES)
    cached = list(decode.generate(model.living, [prompt] * len(rows), rows, STEPS))[-1]
    for number, line in enumerate(LINES, start=1):
        said = cached[number]
        both = rows_of(model, line)
        base, full = reading.logits_of(model.living, both, prompt + said.ids, len(prompt))
        nats = full.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(said.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(said.nats), nats, rtol=0, atol=3e-4, msg=lambda m, t=line: f"{t}: {m}")
        assert (full - base).abs().max() > 1e-3, line
        for action in both[1].actions:
            action.row = 1
        padded = list(decode.generate(model.living, [prompt + prompt[:3], prompt], both, STEPS))[-1][1]
        assert padded.ids == said.ids, line
        torch.testing.assert_close(torch.tensor(padded.nats), torch.tensor(said.nats), rtol=0, atol=3e-4)
    assert len({tuple(s.ids) for s in cached}) > len(LINES) / 2


def test_a_sweep_steers_everywhere(gpt2: Model, d: torch.Tensor) -> None:
    asked: dict[str, Any] = dict(metric="logit_diff", target="a", wrong="c")
    line = "steer L*.resid_post at * with d by *"
    fast = gpt2.sweep(line, "the cat sat", values=(-2, 0, 2), **asked)
    slow = gpt2.sweep(line, "the cat sat", values=(-2, 0, 2), exact=True, **asked)
    np.testing.assert_allclose(fast.array, slow.array, atol=1e-4)
    assert np.abs(fast.array[..., 1]).max() < 1e-5
    assert np.abs(fast.array[..., 2]).max() > 1e-2
    assert np.abs(fast.array[..., 2] - fast.array[..., 0]).max() > 1e-2


def test_half_precision_keeps_the_direction_and_the_shape(d: torch.Tensor) -> None:
    class Here:
        def direction(self) -> torch.Tensor:
            return d

    old = torch.randn(5, 32).bfloat16()
    for tweak in (read_tweak("steer L1.resid_post with d by 3"), read_tweak("project d out of L1.resid_post")):
        assert isinstance(tweak, Steer | Project)
        new = tweak.change(old, Here())  # type: ignore[arg-type]
        exact = tweak.change(old.double(), Here())  # type: ignore[arg-type]
        torch.testing.assert_close(new.double(), exact, rtol=0, atol=1e-5)


# ── what does not fit ──


def test_another_model_is_noted_loudly_and_one_of_the_same_weights_is_not(gpt2: Model, d: torch.Tensor) -> None:
    other = Model(dataclasses.replace(gpt2.living, name="cousin", revision="other"))
    line = "steer L1.resid_post with d by 1"
    (run,) = other.compare(PROMPT, line, max_new_tokens=1).tweaks
    assert "was made on gpt2 at random, and this is cousin at other" in run.notes[0]
    with pytest.warns(UserWarning, match="made on gpt2 at random"), other.tweaked(line):
        other.hf(input_ids=torch.tensor([[5, 6]]))
    with pytest.warns(UserWarning, match="made on gpt2 at random"):
        other.capture(PROMPT, "L2.resid_pre", tweak=line)
    moved = Model(dataclasses.replace(gpt2.living, name="elsewhere"))  # the same weights from another folder
    for same in (gpt2, moved):
        assert not same.compare(PROMPT, line, max_new_tokens=1).tweaks[0].notes
        with same.tweaked(line):
            same.hf(input_ids=torch.tensor([[5, 6]]))


def test_a_direction_of_another_width_is_refused(gpt2: Model) -> None:
    keep(np.ones(31))
    with pytest.raises(BadText, match=r"31 numbers, and L1\.resid_post of gpt2 32"):
        gpt2.compare(PROMPT, "steer L1.resid_post with d by 1")
    with pytest.raises(BadText, match="31 numbers"), gpt2.tweaked("project d out of L1.resid_post"):
        pass
    keep(np.ones(32), "e")
    with pytest.raises(BadText, match=r"32 numbers, and head 1\.2 of gpt2 8"):
        gpt2.compare(PROMPT, "steer head 1.2 with e by 1")


def test_an_unknown_direction_is_told_with_the_nearest(gpt2: Model) -> None:
    with pytest.raises(UnknownName, match="none is kept yet") as caught:
        gpt2.compare(PROMPT, "steer L1.resid_post with politeness by 1")
    assert "invivo direction politeness --site" in str(caught.value.hint)
    keep(np.ones(32), "politeness")
    with pytest.raises(UnknownName, match="'politenes'") as caught:
        gpt2.compare(PROMPT, "steer L1.resid_post with politenes by 1")
    assert "did you mean 'politeness'" in str(caught.value.hint)
    assert "invivo directions" in str(caught.value.hint)
    with pytest.raises(UnknownName, match="no file"):
        gpt2.compare(PROMPT, 'steer L1.resid_post with "gone.safetensors" by 1')


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("steer L1.resid_post with ../d by 1", "steer PLACE with DIRECTION by NUMBER"),
        ('steer L1.resid_post with "../d" by 1', "no name of a direction"),
        ('steer L1.resid_post with "/etc/passwd" by 1', "no name of a direction"),
        ('steer L1.resid_post with "a\\n.safetensors" by 1', "no name of a direction"),
        ("steer L1.resid_post with d", "steer PLACE with DIRECTION by NUMBER"),
        ("steer L1.resid_post with d by nan", "finite"),
        ("steer L1.pattern with d by 1", "no direction fits"),
        ("project d out of L1.scores", "no direction fits"),
        ("project d out of L1.resid_post dims 0:8", "all dims or none"),
        ("project d from L1.resid_post", "project DIRECTION out of PLACE"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, words: str) -> None:
    with pytest.raises(InvivoError, match=words):
        Stack.of(line)


def test_a_line_is_read_and_written() -> None:
    line = "steer L4.resid_post at 5 with politeness by 3 during generation"
    assert str(read_tweak(line)) == line
    assert read_tweak(line) != read_tweak(line.replace("5", "6"))
    assert str(read_tweak("steer L4.resid_post with 'politeness' by 3")) == "steer L4.resid_post with politeness by 3"
    assert str(read_tweak("project 'a b.safetensors' out of head 3.2")) == 'project "a b.safetensors" out of head 3.2'


class Exploit:
    """A pickle that would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("pwned"),))


FINE = np.ones(32, dtype=np.float32)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"vector": FINE}, "holds vector"),
        ({"direction": FINE, "other": FINE}, "holds"),
        ({"direction": FINE[None]}, "not of shape"),
        ({"direction": FINE[:0]}, "not of shape"),
        ({"direction": FINE.astype(np.int64)}, "is I64"),
        ({"direction": np.where(np.arange(32) == 7, np.nan, FINE).astype(np.float32)}, "not finite"),
        ({"direction": np.where(np.arange(32) == 7, np.inf, FINE).astype(np.float32)}, "not finite"),
        ({"direction": 0 * FINE}, "zero everywhere"),
        ({"direction": np.full(32, 1e300)}, "not finite"),
        ({"direction": np.full(32, 1e39)}, "too large"),
    ],
)
def test_a_file_that_holds_something_else(gpt2: Model, tensors: dict[str, np.ndarray], words: str) -> None:
    directions.folder().mkdir()
    save_file(tensors, directions.folder() / "d.safetensors")
    with pytest.raises(BadText, match=words):
        gpt2.compare(PROMPT, "steer L1.resid_post with d by 1")
    found, broken = directions.listed()
    assert not found
    assert words.split()[-1] in broken["d.safetensors"].what


def test_a_pickle_a_torn_file_and_odd_metadata(
    gpt2: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    directions.folder().mkdir()
    file = directions.folder() / "d.safetensors"
    for data in (pickle.dumps(Exploit()), b"", b"\xff" * 64):
        file.write_bytes(data)
        with pytest.raises(BadText, match="no safetensors file"):
            directions.read("d")
    assert not Path("pwned").exists()
    for metadata in ({"with_prompts": "many"}, {"place": "L1.nowhere"}, {"versions": "{"}, {"usual_norm": "nan"}):
        save_file({"direction": FINE}, file, metadata)
        with pytest.raises(BadText, match="what it says about itself"):
            directions.read("d")
    save_file({"direction": FINE}, file, {"format": "pt", "model": "\x1b[31mred"})  # made elsewhere: used, and noted
    (note,) = gpt2.compare(PROMPT, "steer L1.resid_post with d by 1", max_new_tokens=1).tweaks[0].notes
    assert "red" in note
    assert main(["directions"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    file.unlink()
    file.mkdir()
    with pytest.raises(UnknownName):
        directions.read("d")


# ── the command line ──


def test_make_list_and_use_from_the_command_line(
    gpt2: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(vars(invivo), "load", lambda name="fruitfly", **how: gpt2)

    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return code, *capsys.readouterr()

    assert "No direction is kept yet" in call("directions")[1]
    Path("with.txt").write_text("please sit down\n\nthank you, sir\r\n  would you kindly\n")
    Path("without.txt").write_text("\n".join(PLAIN))
    make = ("direction", "politeness", "--site", "L1.resid_post", "--with", "with.txt", "--without", "without.txt")
    code, out, err = call(*make, "--at", "-1")
    assert code == 0, err
    assert "3 prompts minus its mean over 2" in " ".join(out.split())
    assert "politeness.safetensors" in err
    lines = ["please sit down", "thank you, sir", "  would you kindly"]
    wanted = gpt2.direction("other", with_=lines, without=PLAIN, site="L1.resid_post")
    assert directions.read("politeness")[0].norm == pytest.approx(wanted.norm)
    code, out, err = call(*make)
    assert (code, out) == (2, "")
    assert "already" in err
    code, out, err = call(*make, "--force", "--at", ":", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["at"] == ":"
    (directions.folder() / "bad name.safetensors").write_bytes(b"")
    (directions.folder() / "torn.safetensors").write_bytes(b"x")
    code, out, err = call("directions", "--json")
    told = json.loads(out)
    assert [one["name"] for one in told["directions"]] == ["other", "politeness"]
    assert set(told["unreadable"]) == {"bad name.safetensors", "torn.safetensors"}
    assert "torn.safetensors" in call("directions")[1]
    code, out, err = call("compare", PROMPT, "--tweak", "steer L1.resid_post with politeness by 3", "--no-journal")
    assert code == 0, err
    for words, what in (
        ((*make[:3], "L1.resid_pst", *make[4:]), "resid_post"),
        ((*make[:5], "none.txt", *make[6:]), "there is no file of prompts"),
        (("direction", "../x", *make[2:]), "no name of a direction"),
    ):
        code, out, err = call(*words)
        assert (code, out) == (2, "")
        assert what in err
    Path("with.txt").write_text("please\n")
    assert "too few" in call("direction", "new", *make[2:])[2]


def test_listing_directions_loads_no_torch() -> None:
    keep(FINE)
    code = "import sys; from invivo.surfaces.cli import main; main(['directions']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^d .* 5\.66 .* gpt2\s*$", done.stdout, re.MULTILINE)


def test_a_direction_shows_itself(gpt2: Model) -> None:
    made = gpt2.direction("d", with_=POLITE, without=PLAIN, site="L1.resid_post", at=":")
    text = str(made)
    for words in ("Direction d", "all positions", "cosine", "steer L1.resid_post with d by 1", "project d out of"):
        assert words in text
    assert "<" in made._repr_html_()
    assert Direction.of(json.loads(made.to_json())) == made


def test_fruitfly_is_steered() -> None:
    model = invivo.load()
    made = model.direction("politeness", with_=POLITE, without=PLAIN, site="L4.resid_post")
    result = model.compare(PROMPT, "steer L4.resid_post with politeness by 3", max_new_tokens=4)
    assert max(result.tweaks[0].kl_nats) > 1e-3
    assert made.width == 256
