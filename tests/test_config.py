"""Settings: who decides what, what a mistake in a file is told as, and the file that explains them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from invivo.errors import BadText, InvivoError, UnknownName
from invivo.experiment import Experiment
from invivo.labs import all_labs, lab_named
from invivo.surfaces import settings
from invivo.surfaces.cli.flags import FLAGS
from invivo.surfaces.settings import Value, defaults, experiment_of, given, outcome, read_config, template
from invivo.tweaks import Decoding

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(text: str, name: str = "config.yaml") -> settings.Config:
    Path(name).write_text(text, encoding="utf-8")
    return read_config(None if name == "config.yaml" else Path(name))


# ── who decides ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_defaults_are_the_experiments_own():
    assert experiment_of(defaults() | {"prompt": Value("hi", "argument")}) == Experiment(prompt="hi")
    assert {v.source for v in defaults().values()} == {"default"}


def test_config_outranks_defaults_and_flags_outrank_config():
    found = config("seed: 3\nmodel: gpt2\ndecoding:\n  top_k: 5\n")
    merged = outcome(found, {"seed": Value(7, "flag --seed")})
    assert merged["seed"] == (7, "flag --seed")
    assert merged["model"] == ("gpt2", "config.yaml:2")
    assert merged["decoding.top_k"] == (5, "config.yaml:4")
    assert merged["decoding.top_p"] == (1.0, "default")


def test_a_lab_outranks_general_settings_but_not_what_is_said_for_it():
    lab = lab_named("02")
    found = config('seed: 3\nprompt: mine\nlabs:\n  head_ablation:\n    prompt: theirs\n  "09": {top_k: 3}\n')
    merged = outcome(found, {}, lab)
    assert merged["prompt"] == ("theirs", "config.yaml:5")
    assert merged["seed"] == (3, "config.yaml:1")
    assert merged["tweaks"].source == "lab 02"
    assert merged["decoding.top_k"].value == 0, "what is said for lab 09 is not for lab 02"
    without = outcome(config("prompt: mine\n"), {}, lab)
    assert without["prompt"] == (lab.experiment.prompt, "lab 02")


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.full_name)
def test_without_settings_a_lab_is_what_it_says(lab):
    assert experiment_of(outcome(settings.Config(), {}, lab)) == lab.experiment
    assert experiment_of(outcome(settings.Config(), {"seed": Value(9, "flag --seed")}, lab)) != lab.experiment


def test_names_may_be_written_as_flags_are():
    flat, nested = config("temperature: 0.5\n"), config("decoding: {temperature: 0.5}\n")
    assert flat == nested
    assert flat.values["decoding.temperature"].value == 0.5
    lab = config("labs: {2: {tweak: zero head 1.1, target: x, prompts: {clean: y}}}\n").labs["02"]
    assert {key: v.value for key, v in lab.items()} == {
        "tweaks": ["zero head 1.1"],
        "target": "x",
        "prompts.clean": "y",
    }


def test_another_file_is_read_instead():
    config("seed: 1\n")
    assert config("seed: 2\n", "other.yml").values["seed"] == (2, "other.yml:1")
    assert read_config().values["seed"] == (1, "config.yaml:1")


@pytest.mark.parametrize("text", ["", "# nothing\n", "decoding:\n", "labs:\n", "prompts:\nlabs:\n  '02':\n"])
def test_a_file_that_says_nothing_changes_nothing(text: str):
    found = config(text)
    assert found.values == {}
    assert not any(found.labs.values())
    assert outcome(found, {}) == defaults()


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "kind", "what", "hint"),
    [
        ("model: a\nsead: 3\n", UnknownName, "config.yaml:2: no setting is called 'sead'", "'seed'"),
        ("decoding:\n  temprature: 3\n", UnknownName, "config.yaml:2: no setting", "`invivo config show`"),
        ("labs:\n  '99': {seed: 1}\n", UnknownName, "config.yaml:2: no lab is called '99'", "`invivo labs`"),
        ("labs:\n  '02':\n    promt: x\n", UnknownName, "config.yaml:3: no setting is called 'promt'", "'prompt'"),
        ("labs:\n  '02': {device: cpu}\n", UnknownName, "no setting is called 'device'", ""),
        (
            "labs:\n  '02': {tweaks: [zreo head 1.1]}\n",
            UnknownName,
            "config.yaml:2: no tweak is called 'zreo'",
            "'zero'",
        ),
        ("seed: -1\n", BadText, "config.yaml:1: seed: ", ""),
        ("seed: x\n", BadText, "config.yaml:1: seed: ", ""),
        ("model: 3\n", BadText, "config.yaml:1: model: ", ""),
        ("device: 3\n", BadText, "config.yaml:1: device: ", "cuda"),
        ("\ntemperature: -0.1\n", InvivoError, "config.yaml:2: temperature -0.1 is negative", ""),
        ("decoding: {top_p: 1.5}\n", InvivoError, "config.yaml:1: top_p 1.5 is outside (0, 1]", ""),
        ("decoding: {top_p: .nan}\n", InvivoError, "config.yaml:1: ", ""),
        ("decoding: {temperature: .inf}\n", InvivoError, "config.yaml:1: a finite number", ""),
        ("prompt: ''\n", BadText, "config.yaml:1: the prompt is empty", ""),
        ("prompts: {'a b': x}\n", BadText, "config.yaml:1: 'a b' cannot name a prompt", ""),
        ("prompts: {clean: ''}\n", BadText, "config.yaml:1: the prompt 'clean' is empty", ""),
        (
            "seed: 1\ntemperature: 1\ndecoding: {temperature: 2}\n",
            BadText,
            "config.yaml:3: decoding.temperature is given twice, first at config.yaml:2",
            "",
        ),
        ("seed: 1\nseed: 2\n", BadText, "config.yaml:2: seed is given twice", ""),
        ("seed: [1\n", BadText, "config.yaml: unreadable YAML at line 2, column 1", ""),
        ("a: b: c\n", BadText, "config.yaml: unreadable YAML at line 1, column 5", ""),
        ("seed: 2024-13-45\n", BadText, "config.yaml: unreadable YAML", ""),
        ("x: !!python/object/apply:os.getcwd []\n", BadText, "config.yaml: unreadable YAML at line 1", ""),
        ("[" * 5000, BadText, "config.yaml: unreadable YAML", ""),
        ("seed: &a {b: *a}\n", BadText, "config.yaml:1: seed: found unconstructable recursive node", ""),
        ("- seed\n", BadText, "config.yaml: settings are needed", "`invivo config init`"),
        ("decoding: 3\n", BadText, "config.yaml:1: decoding holds settings of its own", ""),
        ("labs:\n  '02': 3\n", BadText, "config.yaml:2: labs.02 holds settings of its own", ""),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_next_step(text, kind, what, hint):
    with pytest.raises(kind) as told:
        config(text)
    assert what in told.value.what
    assert hint in (told.value.hint or "")


def test_a_file_that_is_no_text():
    Path("config.yaml").write_bytes(b"seed: 1 # \xff")
    with pytest.raises(BadText, match="not UTF-8: byte 10 is 0xff"):
        read_config()
    with pytest.raises(BadText, match=r"there is no config file 'nowhere\.yaml'"):
        read_config(Path("nowhere.yaml"))
    Path("folder").mkdir()
    with pytest.raises(BadText, match="is a folder"):
        read_config(Path("folder"))


def test_a_byte_order_mark_is_no_mistake():
    Path("config.yaml").write_bytes(b"\xef\xbb\xbfseed: 4\n")
    assert read_config().values["seed"].value == 4


def test_a_wrong_value_names_its_flag():
    with pytest.raises(InvivoError, match=r"flag --top-p: top_p 2\.0 is outside"):
        given("decoding.top_p", 2.0, "flag --top-p")
    assert given("decoding.top_p", 0.5, "flag --top-p") == (0.5, "flag --top-p")


# ── the file that explains them ──────────────────────────────────────────────────────────────────────────────────────


def uncommented() -> str:
    return re.sub(r"^#(?! \S)", "", template(), flags=re.MULTILINE)


def test_the_template_changes_nothing():
    assert yaml.safe_load(template()) is None
    assert outcome(config(template()), {}) == defaults()


def test_the_template_shows_every_setting_at_its_default():
    found = config(uncommented())
    assert set(found.values) >= set(settings.GENERAL), "a setting is missing"
    examples = {"prompt", "prompts.clean"}
    assert {key: v.value for key, v in found.values.items() if key not in examples} == {
        key: v.value for key, v in defaults().items() if key not in ("revision", "top")
    }
    assert found.labs["02"]


def test_the_roots_config_is_the_template():
    assert (ROOT / "config.yaml").read_text(encoding="utf-8") == template()


def test_flags_speak_the_fields_own_words():
    for key, flag in FLAGS.items():
        if key == "device":
            assert flag.help in template()
            continue
        group, _, name = key.rpartition(".")
        field = (Decoding if group else Experiment).model_fields[name]
        assert flag.help == field.description, key
    assert set(FLAGS) - {"device"} == {
        *(f for f in Experiment.model_fields if f not in ("prompt", "decoding")),
        *(f"decoding.{f}" for f in Decoding.model_fields),
    }
