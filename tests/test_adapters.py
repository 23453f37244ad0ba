"""Adapters: what they train and change, files in peft's format, and `invivo adapt`."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import invivo
from invivo.engine import adapters, toys
from invivo.engine.extras import extra, silence
from invivo.engine.makers import block_matrices, second
from invivo.engine.tuning import tune
from invivo.errors import BadText, InvivoError, OutOfRange, Refused, UnknownName
from invivo.experiment.logbook import SEA_OF, page, pages
from invivo.tweaks import Adapt, AdaptTo, read_tweak
from tests import tiny

PROMPT = "the cat sat on the mat"
TEXT = "A heron stood in the river. "


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request) -> invivo.engine.live.Model:  # type: ignore[name-defined]
    return tiny.model(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "texts"
    place.mkdir()
    (place / "book.txt").write_text("\n<|endoftext|>\n".join(pages(60)))
    return place


def test_an_untrained_adapter_is_base_and_trains_rank_times_in_plus_out(model):
    adapted = adapters.put_on(model.living, copy.deepcopy(model.hf), 3)
    ids = torch.tensor([model.living.encode(PROMPT)])
    with torch.no_grad():
        assert torch.allclose(adapted(input_ids=ids).logits, model.hf(input_ids=ids).logits, atol=1e-6)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert trained == sum(
        3 * (m.weight.shape[0] + m.weight.shape[1]) for _, m in block_matrices(model.living, model.hf)
    )
    with pytest.raises(OutOfRange, match="rank 400 is larger"):
        adapters.put_on(model.living, copy.deepcopy(model.hf), 400)


def test_adapt_to_changes_the_matrices_by_its_rank_and_nothing_else(model):
    made = second(model.living, [read_tweak(f'adapt to "{TEXT * 4}" with rank 2 in 12 steps at rate 0.01')])  # type: ignore[list-item]
    found = adapters.changes(model.hf, made.living.hf, model.living)
    assert {adapters.rank_of(change) for change in found.values()} == {2}
    names = {f"{name}.weight" for name in found}
    for (name, old), new in zip(model.hf.named_parameters(), made.living.hf.parameters(), strict=True):
        assert torch.equal(old, new) == (name not in names)
    ids = torch.tensor([model.living.encode(TEXT)])
    assert toys.measured(made.living.hf, ids) < toys.measured(model.hf, ids) - 0.1
    assert "numbers learned" in made.notes[0]
    row = model.compare(PROMPT, f'adapt to "{TEXT}" in 0 steps', max_new_tokens=2).tweaks[0]
    assert max(row.kl_nats) < 1e-6


def test_rank_is_counted_above_rounding():
    a, b = torch.randn(20, 3), torch.randn(3, 30)
    assert adapters.rank_of(a @ b) == 3
    assert adapters.rank_of(torch.zeros(4, 4)) == 0
    assert adapters.rank_of(torch.randn(6, 9)) == 6


def test_a_file_in_pefts_format_is_added_as_peft_adds_it(model, tmp_path):
    adapted = adapters.put_on(model.living, copy.deepcopy(model.hf), 2)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    with silence():
        adapted.save_pretrained(str(tmp_path / "mine"))
    done = model.compare(PROMPT, f"adapt with {tmp_path}/mine", max_new_tokens=5)
    ids = torch.tensor([[*done.prompt_ids, *done.base.ids]])
    with torch.no_grad():
        base, other = (m(input_ids=ids).logits[0].double().log_softmax(-1) for m in (model.hf, adapted))
    expected = (base.exp() * (base - other)).sum(-1)
    assert done.tweaks[0].kl_nats == pytest.approx(expected.tolist(), abs=1e-4)
    assert max(expected) > 0.01
    assert "each by rank 2" in done.tweaks[0].notes[0]
    file = read_tweak(f"adapt with {tmp_path}/mine/adapter_model.safetensors")
    assert isinstance(file, Adapt)
    assert file.folder == tmp_path / "mine"
    before = file.stamp()
    os.utime(tmp_path / "mine" / "adapter_model.safetensors", ns=(1, 1))
    assert file.stamp() != before


def test_what_is_no_adapter_for_this_model_is_refused(model, tmp_path):
    with pytest.raises(UnknownName, match=r"has no adapter_config\.json"):
        model.compare(PROMPT, f"adapt with {tmp_path}", max_new_tokens=1)
    wide = tiny.model("gpt2" if "llama" in model.name else "llama")
    adapted = adapters.put_on(wide.living, copy.deepcopy(wide.hf), 2)
    with silence():
        adapted.save_pretrained(str(tmp_path / "other"))
    with pytest.raises(BadText, match="does not fit"):
        model.compare(PROMPT, f"adapt with {tmp_path}/other", max_new_tokens=1)
    (tmp_path / "other" / "adapter_config.json").write_text(json.dumps({"peft_type": "PROMPT_TUNING"}))
    with pytest.raises(Refused, match="is a learned prompt"):
        model.compare(PROMPT, f"adapt with {tmp_path}/other", max_new_tokens=1)
    (tmp_path / "other" / "adapter_config.json").write_text("{")
    with pytest.raises(BadText, match="cannot be read"):
        model.compare(PROMPT, f"adapt with {tmp_path}/other", max_new_tokens=1)
    with pytest.raises(InvivoError):
        AdaptTo.of({"text": "a", "rank": 0})


def test_a_folder_of_text_becomes_an_adapter_that_peft_opens(model, folder, tmp_path):
    report = tune(model.living, folder, tmp_path / "out", rank=4, steps=30, rate=1e-2)
    assert report["heldout_after"] < report["heldout_before"] - 0.5
    assert len(report["losses"]) == 30
    with silence():
        opened = extra("peft", "adapt").PeftModel.from_pretrained(copy.deepcopy(model.hf), str(tmp_path / "out"))
    ids = torch.tensor([model.living.encode(page(10**9, entries=1))])
    assert toys.measured(opened, ids) < toys.measured(model.hf, ids) - 0.5
    row = model.compare("08h wind", f"adapt with {tmp_path}/out", max_new_tokens=3).tweaks[0]
    assert max(row.kl_nats) > 0.01
    assert not (tmp_path / "out" / "checkpoint.pt").exists()
    assert "base_model" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(Refused, match="holds an adapter already"):
        tune(model.living, folder, tmp_path / "out")


def test_one_that_was_stopped_goes_on_as_if_it_never_had(folder, tmp_path):
    living = tiny.model().living
    how = {"rank": 2, "steps": 12, "rate": 1e-2}
    whole = tune(living, folder, tmp_path / "whole", **how)

    def stop(step: int, nats: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(living, folder, tmp_path / "cut", **how, on_step=stop)
    with pytest.raises(Refused, match="rank was 2, not 3"):
        tune(living, folder, tmp_path / "cut", **how | {"rank": 3})
    told: list[int] = []
    again = tune(living, folder, tmp_path / "cut", **how, on_step=lambda step, nats: told.append(step))
    assert told == list(range(5, 12))
    assert again["losses"] == whole["losses"]
    assert again["heldout_after"] == pytest.approx(whole["heldout_after"], rel=1e-6)


def test_the_command_survives_a_kill(folder, tmp_path):
    out = tmp_path / "adapter"
    words = [sys.executable, "-m", "invivo", "adapt", str(folder), "--out", str(out), "--rank", "1", "--steps", "51"]
    environment = os.environ | {"INVIVO_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen([*words, "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 240
    while not (out / "checkpoint.pt").exists() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    done = subprocess.run([*words, "--json"], env=environment, capture_output=True, text=True, check=False)
    if not (out / "report.json").exists():
        raise AssertionError(done.stderr)
    assert (out / "adapter_model.safetensors").exists()
    assert len(json.loads((out / "report.json").read_text())["losses"]) == 51


def test_the_logbook_keeps_its_rules():
    for text in pages(40, seed=3):
        for line in text.splitlines():
            hour, wind = int(line[:2]), line.split()[2].rstrip(",")
            assert f"sea {SEA_OF[wind]}," in line
            assert ("lamp lit" in line) == (hour >= 18 or hour < 6)
    assert len(set(pages(40, seed=3)) & set(pages(40, seed=4))) <= 2
    assert page(5) == page(5)


def test_a_folder_that_is_another_is_not_gone_on_with(folder, tmp_path):
    living = tiny.model().living

    def stop(step: int, nats: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(living, folder, tmp_path / "cut", steps=6, on_step=stop)
    (folder / "book.txt").write_text("\n<|endoftext|>\n".join(pages(60, seed=9)))
    with pytest.raises(Refused, match="text was"):
        tune(living, folder, tmp_path / "cut", steps=6)


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"steps": 0}, {"rate": -1.0}, {"rate": float("nan")}, {"seed": -1}])
def test_numbers_that_make_no_adapter_are_refused(folder, tmp_path, wrong):
    with pytest.raises(OutOfRange, match=next(iter(wrong))):
        tune(tiny.model().living, folder, tmp_path / "out", **wrong)


def test_one_that_diverges_is_not_written(folder, tmp_path):
    with pytest.raises(InvivoError, match="no number any more"):
        tune(tiny.model().living, folder, tmp_path / "out", rank=1, steps=4, rate=1e30)
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_missing_or_renamed_weights_of_an_adapter_are_told(model, tmp_path):
    from safetensors.torch import load_file, save_file

    adapted = adapters.put_on(model.living, copy.deepcopy(model.hf), 2)
    with silence():
        adapted.save_pretrained(str(tmp_path / "mine"))
    file = tmp_path / "mine" / "adapter_model.safetensors"
    weights = load_file(file)
    first = sorted(weights)[0]
    save_file({name.replace("lora_A", "lora_X") if name == first else name: w for name, w in weights.items()}, file)
    with pytest.raises(BadText, match="does not fit"):
        model.compare(PROMPT, f"adapt with {tmp_path}/mine", max_new_tokens=1)


def test_a_changed_config_is_another_adapter(model, tmp_path):
    adapted = adapters.put_on(model.living, copy.deepcopy(model.hf), 2)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    with silence():
        adapted.save_pretrained(str(tmp_path / "mine"))
    line = f"adapt with {tmp_path}/mine"
    before = model.compare(PROMPT, line, max_new_tokens=1).tweaks[0].kl_nats
    config = json.loads((tmp_path / "mine" / "adapter_config.json").read_text())
    (tmp_path / "mine" / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 20}))
    assert model.compare(PROMPT, line, max_new_tokens=1).tweaks[0].kl_nats != before
