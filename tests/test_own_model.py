"""`invivo train`: anyone's text to a model folder, stopped and gone on with, and what cannot be trained on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from invivo.errors import InvivoError
from invivo.surfaces.cli import main
from invivo.training.corpus import cut
from invivo.training.own import card, grow, sources_of, vocabulary_for

SMALL = dict(layers=1, heads=2, width=16, vocabulary=300, context=32, tokens=6 * 256, batch_tokens=256)
WORDS = ["the", "a", "dog", "cat", "ran", "to", "sat", "on", "mat", "hill", "red", "blue", "old", "king", "and", "door"]


def write(folder: Path, paragraphs: int = 200, seed: int = 0) -> Path:
    """A book without any separator."""
    dice = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "book.txt").write_text("\n\n".join(" ".join(dice.choices(WORDS, k=40)) for _ in range(paragraphs)))
    return folder


def silent(words: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("own")
    grow(write(folder / "text"), folder / "out", silent, **SMALL)
    return folder


def test_the_folder_is_opened_by_transformers_and_by_invivo(grown: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from invivo.engine.live import load

    out = grown / "out"
    hf, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert hf.config.n_embd == 16
    assert tokenizer.decode(tokenizer("the old king").input_ids) == "the old king"
    assert load(str(out)).compare("the old king", "zero head 0.1", max_new_tokens=2).tweaks


def test_the_report_and_the_card_say_what_was_measured(grown: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    report = json.loads((grown / "out" / "report.json").read_text())
    (source,) = sources_of(grown / "text")
    assert source.heldout
    assert not set(source.heldout) & set(source.train)
    hf = AutoModelForCausalLM.from_pretrained(grown / "out", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(grown / "out")
    ids = [i for text in source.heldout for i in (tokenizer.eos_token_id, *tokenizer(text).input_ids)]
    nats, seen = 0.0, 0
    for start in range(0, len(ids), 32):
        row = torch.tensor([ids[start : start + 32]])
        if row.shape[1] > 1:
            with torch.no_grad():
                nats += float(hf(input_ids=row, labels=row).loss) * (row.shape[1] - 1)
            seen += row.shape[1] - 1
    held = report["heldout"]["all"]
    assert held["tokens"] == seen
    assert held["nats_per_token"] == pytest.approx(nats / seen, abs=5e-3)  # stored in half precision
    assert held["nats_per_token"] < report["ln_vocabulary"]
    assert report["training"]["losses"][0][1] == pytest.approx(report["ln_vocabulary"], abs=1.0)
    assert card(report, "out") == (grown / "out" / "README.md").read_text()
    assert f"{held['nats_per_token']:.2f} nats a token" in card(report, "out")


def test_the_same_again_and_more_tokens_go_on(grown: Path) -> None:
    again = grow(grown / "text", grown / "out", silent, **SMALL)
    assert again["training"]["steps"] == 6
    more = grow(grown / "text", grown / "out", silent, **SMALL | {"tokens": 9 * 256})
    assert more["training"]["steps"] == 9
    with pytest.raises(InvivoError, match="width was 16, is 32"):
        grow(grown / "text", grown / "out", silent, **SMALL | {"width": 32})
    grow(grown / "text", grown / "out", silent, **SMALL | {"tokens": 9 * 256})


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "text")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in (SMALL | {"tokens": 4000 * 256}).items()]
    line = [sys.executable, "-m", "invivo", "train", str(tmp_path / "text"), "--out", str(tmp_path / "out"), *words]
    first = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "out" / "work" / "log.jsonl"
    for _ in range(1200):
        if log.exists() and log.read_text():
            break
        time.sleep(0.1)
    first.terminate()
    told = first.communicate()[1]
    assert first.returncode == 130, told
    assert "the same command goes on from there" in told
    step = torch.load(tmp_path / "out" / "work" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < step < 4000
    report = grow(tmp_path / "text", tmp_path / "out", silent, **SMALL | {"tokens": (step + 2) * 256})
    assert report["training"]["steps"] == step + 2


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "is not a folder"), ("", "holds no"), ("too short", "too little to learn from")],
)
def test_what_cannot_be_trained_on_is_told(
    text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "text"
    if text is not None:
        folder.mkdir()
    if text:
        (folder / "a.txt").write_text(text)
    assert main(["train", str(folder)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "hint:" in said
    assert not (tmp_path / "text-model").exists()


def test_a_model_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "other"
    out.mkdir()
    (out / "config.json").write_text("{}")
    with pytest.raises(InvivoError, match="holds a model already"):
        grow(write(tmp_path / "text"), out, silent, **SMALL)
    assert (out / "config.json").read_text() == "{}"


def test_a_shape_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "text")
    assert main(["train", str(tmp_path / "text"), "--width", "30"]) == 2
    assert "not divisible by 4 heads" in capsys.readouterr().err
    assert not (tmp_path / "text-model").exists()


def test_long_documents_are_cut_where_paragraphs_end() -> None:
    text = "\n\n".join(f"paragraph {n} " + "word " * 30 for n in range(50)).strip()
    pieces = cut(text, 1000)
    assert " ".join(" ".join(pieces).split()) == " ".join(text.split())
    assert all(len(p) <= 1500 for p in pieces)
    assert all(p.startswith("paragraph") for p in pieces)
    assert cut("x" * 5000, 1000) == ["x" * 1000] * 4 + ["x" * 1000]
    assert cut("short", 1000) == ["short"]


def test_the_vocabulary_follows_the_length(tmp_path: Path) -> None:
    assert vocabulary_for(sources_of(write(tmp_path / "text"))) == 1024
