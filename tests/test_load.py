"""Loading: folders in Hugging Face's formats, and what is refused, in words that help."""

import hashlib
import json
import shutil

import pytest
import torch

import invivo
from invivo.errors import BadText, InvivoError, Refused, UnknownName
from invivo.model import load as weights
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny.weights("llama").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_a_folder_loads_and_is_the_same_model(folder):
    model = invivo.load(str(folder))
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(
        model.hf(input_ids=ids).logits, tiny.weights("llama")(input_ids=ids).logits, rtol=0, atol=1e-6
    )
    assert model.dtype == "float32"
    assert model.revision.startswith("sha256:")
    assert "3 layers, 4 heads, width 32" in repr(model)


def test_the_revision_is_the_weights(folder, copy, monkeypatch):
    before = invivo.load(str(copy)).revision
    assert before == invivo.load(str(folder)).revision
    digest = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    assert before == f"sha256:{digest}", "as sha256sum says it"
    (copy / "training_args.bin").write_bytes(b"not loaded")
    assert weights._fingerprint(copy) == before
    tiny.weights("llama", seed=1).save_pretrained(copy)
    assert invivo.load(str(copy)).revision != before
    monkeypatch.setattr(weights, "HASHED_BYTES", 10)
    large = weights._fingerprint(copy)
    assert large.startswith("headers:")
    assert large != weights._fingerprint(folder)


def test_half_precision_weights_run_in_float32_on_a_cpu_and_as_asked(copy):
    tiny.weights("llama").half().save_pretrained(copy)
    assert invivo.load(str(copy)).dtype == "float32"
    half = invivo.load(str(copy), dtype="bfloat16")
    assert half.dtype == "bfloat16"
    result = half.compare("Once upon", "zero head 1.2", max_new_tokens=3)
    assert result.device == "cpu, bfloat16"
    assert max(result.tweaks[0].kl_nats) > 0


def test_pickled_weights_are_refused_unless_asked_for(copy):
    (copy / "model.safetensors").unlink()
    torch.save(tiny.weights("llama").state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(Refused, match="--allow-pickle"):
        invivo.load(str(copy))
    model = invivo.load(str(copy), allow_pickle=True)
    result = model.compare("Once upon", "zero head 1.2", max_new_tokens=1)
    assert result.allowed == ("pickle",)
    assert "--allow-pickle" in str(result)
    assert "--allow" not in str(result.model_copy(update={"allowed": ()}))
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(
        model.hf(input_ids=ids).logits, tiny.weights("llama")(input_ids=ids).logits, rtol=0, atol=1e-6
    )


def test_a_model_with_code_of_its_own_is_refused_and_its_code_does_not_run(copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (copy / "code.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    with pytest.raises(Refused, match="--allow-remote-code"):
        invivo.load(str(copy))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda p: (p / "config.json").unlink(), UnknownName, "no config.json"),
        (lambda p: (p / "model.safetensors").unlink(), UnknownName, "no weights"),
        (lambda p: (p / "model.safetensors").write_bytes(b"junk"), BadText, "cannot be loaded"),
        (lambda p: (p / "config.json").write_text("{"), BadText, "cannot be loaded"),
        (lambda p: (p / "tokenizer.json").write_text("{"), BadText, "cannot be loaded"),
    ],
)
def test_a_broken_folder_is_told_in_words(copy, change, error, words):
    change(copy)
    with pytest.raises(error, match=words):
        invivo.load(str(copy))


def test_names_that_lead_nowhere():
    with pytest.raises(UnknownName, match="did you mean 'fruitfly'"):
        invivo.load("fruitfli")
    with pytest.raises(UnknownName, match="not a folder"):
        invivo.load("./nowhere")
    with pytest.raises(UnknownName, match="cannot be reached"):
        invivo.load("someone/some-model")


def test_devices_and_formats_that_do_not_exist(folder):
    with pytest.raises(UnknownName, match="no device 'cuda:99'"):
        invivo.load(str(folder), device="cuda:99")
    with pytest.raises(UnknownName, match="did you mean 'bfloat16'"):
        invivo.load(str(folder), dtype="bfloat61")


def test_tokens_show_bytes_of_a_broken_character(folder):
    tokens = invivo.load(str(folder)).tokens("é!")
    assert [t.bytes for t in tokens] == [b"\xc3", b"\xa9", b"!"]
    assert [t.text for t in tokens] == ["\\xc3", "\\xa9", "!"]


def test_every_error_is_an_invivo_error_with_a_next_step(folder):
    for call in (
        lambda: invivo.load("nowhere/at-all"),
        lambda: invivo.load(str(folder), dtype="x"),
        lambda: invivo.load(str(folder)).compare("Hi", "zero head 9.9"),
    ):
        with pytest.raises(InvivoError) as caught:
            call()
        assert caught.value.hint or "0 to" in caught.value.what
