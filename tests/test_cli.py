"""The command line: what is data and what is talk, how every mistake ends, and the one recipe behind its flags."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import invivo
from invivo.errors import Refused, UnknownName
from invivo.experiment import Candidate, Comparison, Experiment, LabResult, Run, TweakRun, Verdict
from invivo.labs import QUICKSTART, all_labs, lab_named
from invivo.metrics import METRICS
from invivo.show import shell
from invivo.sites import SITES
from invivo.surfaces.cli import main
from invivo.surfaces.settings import template
from invivo.tweaks import Decoding, Tweak

HEAVY = ("torch", "transformers", "matplotlib")


# ── a model that answers at once ─────────────────────────────────────────────────────────────────────────────────────


class Interrupted(KeyboardInterrupt):
    """As the engine's own: Ctrl-C, with what was said by then."""

    def __init__(self, kept: Comparison | LabResult) -> None:
        self.kept = kept
        super().__init__()


@dataclass
class Token:
    id: int
    text: str
    bytes: bytes


class FakeModel:
    """Stands for a model: keeps what it was asked, and answers with made-up numbers."""

    name, revision, device, dtype = "fake", "sha256:0123456789abcdef", "cpu", "float32"

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}
        self.loads: list[str] = []
        self.asked: list[Experiment] = []
        self.stop_at: int | None = None
        self.said_something = False  # when it is stopped
        self.allowed: tuple[str, ...] = ()

    def run(self, experiment: Experiment, on_token: Any = None) -> Comparison:
        if self.stop_at == len(self.asked):
            self.stop_at = None
            raise Interrupted(self.run(experiment)) if self.said_something else KeyboardInterrupt
        self.asked.append(experiment)
        row: dict[str, Any] = dict(
            ids=(1, 2),
            tokens=(" a", "\x1b[31mb"),
            said_nats=(-0.5, -1.0),
            choice_entropy_nats=(0.0, 0.0),
            entropy_nats=(1.0, 1.0, 1.0, 1.0),
            perplexity=3.0,
            target_nats=-2.0,
            next=(Candidate(id=1, text=" a", base=0.6, tweak=0.5),),
        )
        tweaks = tuple(
            TweakRun(
                text=" a b", tweak=t, kl_nats=(0.1, 0.2, 0.3, 0.4), top_changed=(False,) * 4, first_divergence=1, **row
            )
            for t in experiment.tweaks
        )
        return Comparison(
            recipe=experiment,
            prompt_ids=(5, 6),
            prompt_tokens=("x", "y"),
            tweaks=tweaks,
            seconds=0.1,
            base=Run(text=" a b", **row),
            versions={"invivo": "0"},
            revision=self.revision,
            device="cpu",
            allowed=self.allowed,
        )

    def run_lab(self, lab: Any, experiment: Experiment | None = None, **how: Any) -> LabResult:
        done = dict(lab=lab.full_name, takeaway=f"learned {lab.number}")
        try:
            result = self.run(experiment or lab.experiment)
        except Interrupted as stop:
            raise Interrupted(LabResult(comparison=stop.kept, verdicts=(), **done)) from None  # type: ignore[arg-type]
        return LabResult(comparison=result, verdicts=(Verdict(text="it is so", holds=True, expected=True),), **done)

    def tokens(self, text: str) -> list[Token]:
        return [Token(7, " caf", b" caf"), Token(8, "\\xc3", b"\xc3"), Token(9, "\x1b", b"\x1b")]


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Every test runs in an empty folder, and whatever it loads is a fake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    fake = FakeModel()

    def load(name: str = "fruitfly", **how: Any) -> FakeModel:
        fake.loaded = {"name": name, **how}
        fake.loads.append(name)
        return fake

    monkeypatch.setitem(vars(invivo), "load", load)
    return fake


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]):
    """Run a command line; its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def fails(result: tuple[int, str, str], what: str, hint: str = "", code: int = 2) -> None:
    """It ended as a mistake: nothing on stdout, two lines on stderr."""
    assert result[0] == code
    assert result[1] == ""
    lines = result[2].splitlines()
    assert lines[0].startswith("error: "), lines
    assert what in lines[0]
    assert len(lines) <= 2
    assert hint in "".join(lines[1:])


# ── help, and what it costs ──────────────────────────────────────────────────────────────────────────────────────────

QUICK = [
    "",
    "-h",
    "--help",
    "--version",
    "labs",
    "labs --json",
    "sites",
    "tweaks",
    "metrics",
    "config show",
    "config -h",
    "config init c.yaml",
    "compare --help",
    "run --help",
    "run 2 --as cli",
    "journal -h",
    "compare hi --tweak 'zero head 0.1' --as yaml",
    "compare hi --tweak 'zero hed 0.1'",
    "journal list",
    "journal verify",
]


def test_no_model_library_is_loaded_to_answer():
    code = "\n".join(
        (
            "import shlex, sys",
            "from invivo.surfaces.cli import main",
            "for line in sys.argv[1:]:",
            "    code = main(shlex.split(line))",
            "    assert code == (2 if 'hed' in line else 0), line",
            f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]",
            "    assert not loaded, (line, loaded)",
        )
    )
    done = subprocess.run([sys.executable, "-c", code, *QUICK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("c.yaml").exists()


def test_help_loads_no_experiment_either():
    code = (
        "import sys; from invivo.surfaces.cli import main; main(['--help']); "
        "sys.exit('invivo.experiment' in sys.modules or 'invivo.errors' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_help_names_every_command(invoke):
    for words in ((), ("--help",)):
        code, out, err = invoke(*words)
        assert (code, err) == (0, "")
        for name in (
            "quickstart",
            "labs",
            "run",
            "compare",
            "tokens",
            "models",
            "journal",
            "doctor",
            "config",
            "sites",
            "tweaks",
            "metrics",
        ):
            assert name in out


def test_version(invoke):
    assert invoke("--version") == (0, f"invivo {invivo.__version__}\n", "")


# ── the lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("sites", list(SITES)),
        ("metrics", list(METRICS)),
        ("tweaks", [k.usage() for k in Tweak.kinds.values()]),
        ("labs", [lab.full_name for lab in all_labs()]),
    ],
)
def test_a_list_names_everything_in_both_forms(invoke, command: str, names: list[str]):
    _, out, err = invoke(command)
    plain = " ".join(out.split())
    _, document, silence = invoke(command, "--json")
    assert err == silence == ""
    entries = json.loads(document)[command]
    assert [entry.get("form") or entry["name"] for entry in entries] == names
    for name in names:
        assert name.split("[")[0] in plain


# ── compare ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_compare_runs_what_its_flags_say(invoke, model: FakeModel):
    code, out, _ = invoke(
        "compare",
        "hi",
        "--tweak",
        "zero head 3.5",
        "--tweak",
        "copy L1.z from clean + set greedy",
        "--prompt",
        "clean=a=b",
        "--seed",
        "3",
        "--sample",
        "--temperature",
        "0.7",
        "--device",
        "cpu",
        "--model",
        "some/model",
        "--allow-pickle",
        "--no-journal",
    )
    assert code == 0
    assert model.asked == [
        Experiment.of(
            {
                "prompt": "hi",
                "tweaks": ["zero head 3.5", "copy L1.z from clean + set greedy"],
                "prompts": {"clean": "a=b"},
                "seed": 3,
                "decoding": {"do_sample": True, "temperature": 0.7},
                "model": "some/model",
            }
        )
    ]
    assert model.loaded == {
        "name": "some/model",
        "device": "cpu",
        "dtype": None,
        "revision": None,
        "allow_pickle": True,
        "allow_remote_code": False,
    }
    assert "TWEAK" in out
    assert "zero head 3.5" in out


def test_json_is_one_document_and_runs_again(invoke, model: FakeModel):
    _, out, err = invoke("compare", "hi", "--tweak", "zero head 3.5", "--json", "--no-journal")
    assert err == ""
    saved = Comparison.from_json(out)
    assert saved.recipe == model.asked[0]
    Path("saved.json").write_text(out)
    Path("config.yaml").write_text("seed: 9\ndevice: cpu\n")
    code, _, err = invoke("compare", "--recipe", "saved.json", "--no-journal")
    assert code == 0
    assert model.asked[1] == saved.recipe, "a recipe is complete: a config changes nothing of it"
    assert model.loaded["device"] == "cpu"
    assert err == "config: config.yaml sets device\n"


WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12)
LINES = st.sampled_from(
    [
        "zero head 3.5",
        "mean head 1.0 from clean",
        "copy L3.resid_pre at 5 from clean",
        "add noise 0.1 to resid 2 seed 4",
        "set temperature 1.2",
        'add 4 to logit "\\" + \\n"',
        "scale positions by 3 during prompt",
        "zero embed dims 0:64,-1",
    ]
)
NUMBERS = st.floats(0, 1e6, allow_nan=False)
EXPERIMENTS = st.builds(
    lambda **fields: Experiment.of(fields),
    prompt=WORDS,
    prompts=st.fixed_dictionaries({"clean": WORDS}, optional={"b-2": WORDS}),
    tweaks=st.lists(st.lists(LINES, min_size=1, max_size=2).map(" + ".join), max_size=3),
    target=st.none() | WORDS,
    read=st.none() | WORDS,
    seed=st.integers(0, 10**20),
    model=WORDS,
    revision=st.none() | WORDS,
    dtype=st.none() | WORDS,
    top=st.integers(1, 100),
    decoding=st.builds(
        Decoding,
        do_sample=st.booleans(),
        temperature=NUMBERS,
        top_k=st.integers(0, 10**20),
        top_p=st.floats(0, 1, exclude_min=True),
        max_new_tokens=st.integers(0, 10**6),
    ),
)


@given(experiment=EXPERIMENTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_command_of_an_experiment_builds_it_again(experiment: Experiment, model: FakeModel):
    words = shell.split(experiment.to_cli())
    assert words[:2] == ["invivo", "compare"]
    assert main([*words[1:2], "--no-journal", "--json", *words[2:]]) == 0
    assert model.asked[-1] == experiment
    assert main(["compare", "--no-journal", "--json", "--top", str(experiment.top % 100 + 1), *words[2:]]) == 0
    assert experiment.top == 8 or model.asked[-1] == experiment, "the later flag decides"


@pytest.mark.parametrize("form", ["yaml", "python", "cli"])
def test_a_recipe_is_printed_and_nothing_runs(invoke, model: FakeModel, form: str):
    code, out, err = invoke("compare", "--tweak", "zero head 3.5", "--seed", "2", "--as", form, "--", "-hi")
    assert (code, err) == (0, "")
    assert model.loaded == {}
    wanted = Experiment.of({"prompt": "-hi", "tweaks": ["zero head 3.5"], "seed": 2})
    if form == "yaml":
        assert Experiment.from_yaml(out) == wanted
        Path("r.yaml").write_text(out)
        assert invoke("compare", "--recipe", "r.yaml", "--no-journal")[0] == 0
        assert model.asked == [wanted]
    else:
        assert out.strip() == (wanted.to_cli() if form == "cli" else wanted.to_python().strip())


def test_a_recipe_shows_no_control_character_and_runs_all_the_same(invoke):
    prompt = "a\x1b[2Jb\u202e"
    for form in ("yaml", "python", "cli"):
        out = invoke("compare", prompt, "--as", form)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert shell.split(out.strip()) == ["invivo", "compare", prompt]


def test_what_was_allowed_is_asked_for_again(invoke, model: FakeModel):
    allow = ("--allow-pickle", "--allow-remote-code")
    for form, said in (("cli", " ".join(allow)), ("yaml", " ".join(allow)), ("python", "allow_remote_code=True")):
        assert said in invoke("compare", "hi", *allow, "--as", form)[1]
        assert "allow" not in invoke("compare", "hi", "--as", form)[1]
    assert "--allow-pickle" in invoke("run", "02", "--allow-pickle", "--as", "cli")[1]
    model.allowed = ("pickle",)
    assert "--allow-pickle" in invoke("compare", "hi")[1]
    assert "--allow-pickle" in invoke("journal", "show", "--as", "cli")[1]
    model.allowed = ()
    assert "allow" not in invoke("compare", "hi")[1]


def test_the_python_of_a_recipe_prints_the_result(invoke, model: FakeModel, capsys):
    code = invoke("compare", "hi", "--tweak", "zero head 3.5", "--allow-pickle", "--as", "python")[1]
    exec(compile(code, "recipe", "exec"), {})
    assert "zero head 3.5" in capsys.readouterr().out
    assert (model.loaded["allow_pickle"], model.loaded["allow_remote_code"]) == (True, False)
    assert model.asked[0].prompt == "hi"


def test_run_takes_a_lab_by_name_too(model: FakeModel):
    for lab in ("02", "head_ablation", lab_named("02")):
        result = invivo.run(lab)
        assert isinstance(result, LabResult)
        assert "learned 02" in str(result)
        assert "it is so" in str(result)
    assert model.asked == [lab_named("02").experiment] * 3
    with pytest.raises(UnknownName, match="no lab is called '99'"):
        invivo.run("99")
    with pytest.raises(TypeError, match=r"not int: invivo.run"):
        invivo.run(2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("prompt: [", "odd.yaml: unreadable YAML at line 1"),
        ("promt: hi", "odd.yaml: unknown field 'promt'"),
        ("{recipe: {prompt: hi, tweaks: [zero hed 1.1]}}", "odd.yaml: no site is called 'hed'"),
        ("- hi", "odd.yaml: "),
    ],
)
def test_a_mistake_in_a_recipe_names_its_file(invoke, text: str, what: str):
    Path("odd.yaml").write_text(text)
    fails(invoke("compare", "--recipe", "odd.yaml"), what)


def test_a_prompt_from_a_file(invoke, model: FakeModel):
    Path("p.txt").write_bytes("\ufeffEin Löwe \r\n".encode())
    assert invoke("compare", "--prompt-file", "p.txt", "--no-journal")[0] == 0
    assert model.asked[0].prompt == "Ein Löwe "
    Path("bad.txt").write_bytes(b"abc\xff")
    fails(invoke("compare", "--prompt-file", "bad.txt"), "not UTF-8: byte 3 is 0xff")
    fails(invoke("compare", "--prompt-file", "none.txt"), "there is no prompt file 'none.txt'")
    fails(invoke("compare", "--prompt-file", "."), "the prompt file '.' is a folder")
    fails(invoke("compare", "hi", "--prompt-file", "p.txt"), "a prompt and a --prompt-file")


def test_an_idle_decoding_flag_is_told(invoke):
    assert "--temperature changes nothing" in invoke("compare", "hi", "--temperature", "2", "--no-journal")[2]
    assert "changes nothing" not in invoke("compare", "hi", "--temperature", "2", "--sample", "--no-journal")[2]


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("comparre hi", "no such command 'comparre'", "invivo --help"),
        ("compare hi --temprature 2", "no such option: --temprature", "invivo compare --help"),
        ("compare hi --seed x", "--seed", "invivo compare --help"),
        ("compare hi --as toml", "--as", "invivo compare --help"),
        ("run", "missing argument", "invivo run --help"),
        ("compare", "there is no prompt", "invivo compare"),
        ("compare ''", "the prompt is empty", ""),
        ("compare hi --tweak 'zreo head 1.1'", "flag --tweak: no tweak is called 'zreo'", "`invivo tweaks`"),
        ("compare hi --tweak 'zero L1.resid_pro'", "no site is called 'resid_pro'", "`invivo sites`"),
        ("compare hi --tweak 'zero hed 1.1'", "no site is called 'hed'", "did you mean 'head 3.5'?"),
        ("compare hi --tweak 'zero L1.head'", "no site is called 'head'", "did you mean 'head 3.5'?"),
        ("compare hi --tweak 'ablate head 1.1'", "no tweak is called 'ablate'", "did you mean 'zero'?"),
        ("compare hi --tweak ''", "without any tweak", "`invivo tweaks`"),
        ("compare hi --tweak 'scale head 1.1 by nan'", "a finite number", ""),
        ("compare hi --tweak 'copy L1.z from clean'", "'clean', which is not given", "--prompt clean="),
        ("compare hi --temperature -1", "temperature -1.0 is negative", ""),
        ("compare hi --temperature inf", "flag --temperature: a finite number", ""),
        ("compare hi --top-p 0", "flag --top-p: top_p 0.0 is outside (0, 1]", ""),
        ("compare hi --top-p nan", "flag --top-p", ""),
        ("compare hi --top-k -3", "flag --top-k", ""),
        ("compare hi --max-new-tokens -3", "flag --max-new-tokens", ""),
        ("compare hi --prompt clean", "has no name", "NAME="),
        ("compare hi --prompt 'a b=c'", "'a b' cannot name a prompt", ""),
        ("compare hi --recipe none.yaml", "there is no recipe 'none.yaml'", ""),
        ("compare hi --config none.yaml", "there is no config file 'none.yaml'", ""),
        ("run 77", "no lab is called '77'", "`invivo labs`"),
        ("run 99", "no lab is called '99'", "hint: `invivo labs`"),
        ("run haed_ablation", "no lab is called", "'head_ablation'"),
        ("run 02 --set promt=x", "no setting is called 'promt'", "'prompt'"),
        ("run 02 --set prompt", "has no value", "FIELD=VALUE"),
        ("run 02 --set temperature=-1", "flag --set: temperature -1.0 is negative", ""),
        ("run 02 --tweak 'zreo head 1.1'", "'zreo'", "'zero'"),
        ("config show --lab 77", "no lab is called '77'", "`invivo labs`"),
        ("config init nowhere/c.yaml", "nowhere/c.yaml: No such file or directory", "make the folder first"),
        ("journal show", "the journal is empty", "invivo run"),
        ("journal add ' '", "the takeaway is empty", ""),
        ("journal add not in quotes", "one line in quotes", 'invivo journal add "…"'),
        ("journal list --limit -1", "a list of -1 entries", ""),
    ],
)
def test_a_mistake_is_two_lines_and_exit_code_2(invoke, model: FakeModel, line: str, what: str, hint: str):
    fails(invoke(*shlex.split(line)), what, hint)
    assert model.asked == []


def test_errors_go_to_stderr_in_json_mode_too(invoke):
    fails(invoke("compare", "", "--json"), "the prompt is empty")


def test_words_that_are_not_utf8(invoke):
    fails(invoke("compare", os.fsdecode(b"caf\xe9")), "is not UTF-8, from its character 3 on")


def test_escapes_in_a_mistake_do_not_reach_the_terminal(invoke):
    for words in (("compare", "hi", "--tweak", "zero \x1b[2Jx"), ("run", "\x1b]0;x\x07"), ("--\x1b[2J",)):
        code, _, err = invoke(*words)
        assert code == 2
        assert "\x1b" not in err
    assert "\x1b" not in invoke("compare", "hi", "--no-journal")[1]
    Path("\x1b[2J.yaml").write_text("sead: 3")
    assert invoke("compare", "hi", "--config", "\x1b[2J.yaml")[2].startswith("error: \\x1b[2J.yaml:1: no setting")


def test_a_refusal_of_the_model_is_passed_on(invoke, monkeypatch: pytest.MonkeyPatch):
    def load(*_: Any, **__: Any) -> None:
        raise Refused("m holds pickled weights", hint="add --allow-pickle")

    monkeypatch.setitem(vars(invivo), "load", load)
    fails(invoke("compare", "hi", "--model", "m"), "pickled", "--allow-pickle")


def test_a_fault_of_ours_shows_a_traceback_only_when_asked(monkeypatch, capsys):
    def load(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(vars(invivo), "load", load)
    assert main(["compare", "hi"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ZeroDivisionError: oops\nhint: ")
    assert "Traceback" not in told
    monkeypatch.setenv("INVIVO_DEBUG", "1")
    assert main(["compare", "hi"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_told(invoke, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(os, "fsync", full)
    fails(invoke("config", "init"), "No space left on device", "space")
    assert list(Path().iterdir()) == []
    monkeypatch.setitem(vars(invivo), "load", full)
    fails(invoke("compare", "hi"), "No space left on device: 'somewhere'", "make room")


def test_control_c_in_a_comparison(invoke, model: FakeModel):
    model.stop_at = 0
    assert invoke("compare", "hi") == (130, "", "stopped; this run was not finished and is not kept\n")
    assert invoke("journal", "list")[1] == ""


@pytest.mark.parametrize("command", ["compare hi", "run 02"])
def test_control_c_keeps_and_shows_what_was_said(invoke, model: FakeModel, command: str):
    model.stop_at, model.said_something = 0, True
    code, out, err = invoke(*command.split())
    assert code == 130
    assert "BASE" in out
    assert "kept as" in err
    assert err.endswith("stopped; what was said until then is above\n")
    assert len(json.loads(invoke("journal", "list", "--json")[1])["entries"]) == 1


def test_control_c_before_a_lab_has_said_anything_keeps_nothing(invoke, model: FakeModel):
    model.stop_at = 0
    assert invoke("run", "02") == (130, "", "stopped; this run was not finished and is not kept\n")
    assert invoke("journal", "list")[1] == ""


def test_a_reader_that_leaves_is_no_error():
    code = "import sys; from invivo.surfaces.cli import main; sys.exit(main(['tweaks', '--json']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# ── config ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_config_show_tells_who_decided(invoke):
    Path("config.yaml").write_text("temperature: 0.5\nlabs: {'02': {target: ' x'}}\n")
    _, out, _ = invoke("config", "show", "--seed", "4", "--json")
    told = json.loads(out)
    assert told["config"] == "config.yaml"
    assert told["settings"]["seed"] == {"value": 4, "source": "flag --seed"}
    assert told["settings"]["decoding.temperature"] == {"value": 0.5, "source": "config.yaml:1"}
    assert told["settings"]["model"] == {"value": "fruitfly", "source": "default"}
    assert told["settings"]["labs.02.target"] == {"value": " x", "source": "config.yaml:2"}
    lab = json.loads(invoke("config", "show", "--lab", "2", "--json")[1])["settings"]
    assert lab["target"] == {"value": " x", "source": "config.yaml:2"}
    assert lab["prompt"]["source"] == "lab 02"
    plain = invoke("config", "show", "--lab", "2")[1]
    assert "·x" in plain
    assert "config.yaml:1" in plain


def test_config_show_still_lists_the_settings_after_a_wrong_key(invoke):
    Path("config.yaml").write_text("sead: 3\n")
    code, out, err = invoke("config", "show")
    assert code == 2
    assert "decoding.top_p" in out
    assert err == (
        "error: config.yaml:1: no setting is called 'sead'\n"
        "hint: did you mean 'seed'? `invivo config show` lists them all\n"
    )


def test_config_init_writes_the_template_once(invoke):
    assert invoke("config", "init")[0] == 0
    assert Path("config.yaml").read_text() == template()
    Path("config.yaml").write_text("mine")
    fails(invoke("config", "init"), "already there", "--force")
    assert Path("config.yaml").read_text() == "mine"
    assert invoke("config", "init", "--force")[0] == 0
    assert Path("config.yaml").read_text() == template()
    assert [file.name for file in Path().iterdir()] == ["config.yaml"]


def test_the_config_that_is_used_is_named(invoke, model: FakeModel):
    Path("config.yaml").write_text("seed: 4\nprompt: from the file\n")
    code, _, err = invoke("compare", "--no-journal")
    assert code == 0
    assert err == "config: config.yaml sets seed, prompt\n"
    assert (model.asked[0].prompt, model.asked[0].seed) == ("from the file", 4)
    assert invoke("compare", "hi", "--no-journal", "--seed", "0")[2] == ""
    assert model.asked[-1].seed == 0, "a flag decides even where it says the default"
    Path("config.yaml").write_text("decoding: {do_sample: true}\n")
    assert invoke("compare", "hi", "--no-journal", "--no-sample")[2] == ""
    assert not model.asked[-1].decoding.do_sample
    Path("config.yaml").write_text(template())
    assert invoke("compare", "hi", "--no-journal")[2] == ""
    Path("mine.yml").write_text("seed: 5\n")
    assert "mine.yml" in invoke("compare", "hi", "--no-journal", "--config", "mine.yml")[2]
    assert model.asked[-1].seed == 5


# ── models, tokens, doctor ───────────────────────────────────────────────────────────────────────────────────────────


def test_tokens(invoke, model: FakeModel):
    _, out, _ = invoke("tokens", "café", "--model", "m", "--json")
    assert model.loaded["name"] == "m"
    assert json.loads(out)["tokens"] == [
        {"index": 0, "id": 7, "text": " caf", "bytes": "20636166"},
        {"index": 1, "id": 8, "text": "\\xc3", "bytes": "c3"},
        {"index": 2, "id": 9, "text": "\x1b", "bytes": "1b"},
    ]
    plain = invoke("tokens", "café")[1]
    assert "·caf" in plain
    assert "20 63 61 66" in plain
    assert "\x1b" not in plain


def test_models_lists_fruitfly_and_the_cache(invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    names = [m["name"] for m in json.loads(invoke("models", "--json")[1])["models"]]
    assert names == ["fruitfly"]
    snapshot = cache / "models--some--thing" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    found = json.loads(invoke("models", "--json")[1])["models"]
    assert [m["name"] for m in found] == ["fruitfly", "some/thing"]
    assert found[1]["revisions"] == ["0" * 40]
    assert "--model" in invoke("models")[1]


def test_models_says_when_there_is_no_cache(invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert invoke("models", "--json")[::2] == (0, "")


def findings(result: tuple[int, str, str]) -> dict[str, dict[str, str]]:
    document = json.loads(result[1])
    assert document["healthy"] == (result[0] == 0)
    return {finding["what"]: finding for finding in document["findings"]}


def test_doctor_reports_what_it_finds(invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    Path("config.yaml").write_text("seed: 1\n")
    found = findings(invoke("doctor", "--json"))
    assert set(found) >= {
        "invivo",
        "python",
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "numpy",
        "devices",
        "threads",
        "fast path",
        "journal",
        "model cache",
        "model hub",
        "config file",
        "fruitfly",
    }
    assert found["invivo"]["value"] == invivo.__version__
    assert found["config file"]["value"] == "config.yaml sets 1"
    assert found["journal"]["value"].startswith(os.environ["INVIVO_HOME"])
    assert "✓" in invoke("doctor")[1]
    monkeypatch.setenv("INVIVO_EXACT", "1")
    assert findings(invoke("doctor", "--json"))["fast path"]["value"] == "off: INVIVO_EXACT is set"


def test_doctor_works_where_torch_does_not(invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    Path("config.yaml").write_text("sead: 1\n")
    code, out, err = invoke("doctor")
    assert (code, err) == (1, "")
    assert "pip install --force-reinstall torch" in out
    assert "'seed'" in out
    found = findings(invoke("doctor", "--json"))
    assert found["torch starts"]["fix"]
    assert not found["python"]["fix"]


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", "seed: {"])
def test_doctor_marks_a_config_that_cannot_be_read(invoke, text: str):
    Path("config.yaml").write_text(text)
    finding = findings(invoke("doctor", "--json"))["config file"]
    assert "config.yaml" in finding["value"]
    assert finding["fix"]
    assert invoke("doctor")[0] == 1


def test_doctor_marks_a_damaged_journal(invoke):
    assert findings(invoke("doctor", "--json"))["journal"]["fix"] == ""
    invoke("compare", "hi")
    invoke("compare", "ho")
    path = Path(os.environ["INVIVO_HOME"]) / "journal.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE entries SET title = 'another'")
    finding = findings(invoke("doctor", "--json"))["journal"]
    assert "column title" in finding["value"]
    assert "(and 1 more)" in finding["value"]
    assert "invivo journal verify" in finding["fix"]
    path.write_bytes(b"no database at all, " * 300)
    assert "damaged" in findings(invoke("doctor", "--json"))["journal"]["value"]
    with closing(sqlite3.connect(path.with_name("new.db"))) as db, db:
        db.execute("PRAGMA user_version = 99")
    path.with_name("new.db").replace(path)
    assert "upgrade invivo" in findings(invoke("doctor", "--json"))["journal"]["fix"]


# ── labs and the journal ─────────────────────────────────────────────────────────────────────────────────────────────


def test_run_a_lab_with_changes(invoke, model: FakeModel):
    code, out, err = invoke(
        "run",
        "head_ablation.py".removesuffix(".py"),
        "--set",
        "prompt=hi",
        "--set",
        "top_k=3",
        "--set",
        "tweak=zero head 1.1",
        "--set",
        "tweak=zero head 1.2",
        "--seed",
        "5",
    )
    assert code == 0
    assert "learned 02" in out
    assert "kept as" in err
    asked = model.asked[0]
    assert (asked.prompt, asked.seed, asked.decoding.top_k) == ("hi", 5, 3)
    assert list(map(str, asked.tweaks)) == ["zero head 1.1", "zero head 1.2"]
    assert asked.target == lab_named("02").experiment.target, "what is not changed stays the lab's"
    assert invoke("run", "02", "--tweak", "zero head 0.1", "--json", "--no-journal")[0] == 0
    assert list(map(str, model.asked[1].tweaks)) == ["zero head 0.1"]


def test_an_untouched_lab_runs_as_it_is_written(invoke, model: FakeModel):
    _, out, err = invoke("run", "2", "--json")
    assert model.asked == [lab_named("02").experiment]
    assert LabResult.of(json.loads(out)).takeaway == "learned 02"
    assert err.startswith("kept as ")


def test_what_is_kept_can_be_listed_shown_and_told(invoke, model: FakeModel):
    first = invoke("compare", "hi", "--tweak", "zero head 1.1")[2]
    assert "`invivo journal add" in first
    second = invoke("compare", "ho", "--takeaway", "it hurts")[2]
    assert "journal add" not in second
    names = [text.split()[2].strip(";") for text in (second, first)]
    entries = json.loads(invoke("journal", "list", "--json")[1])["entries"]
    assert [entry["id"] for entry in entries] == names
    assert [entry["takeaway"] for entry in entries] == ["it hurts", ""]
    assert "it hurts" in invoke("journal", "list")[1]
    assert "it hurts" not in invoke("journal", "list", "--search", "1.1")[1]
    assert "zero head 1.1" in invoke("journal", "show", names[1])[1]
    assert "zero head 1.1" not in invoke("journal", "show")[1]
    assert json.loads(invoke("journal", "show", names[1], "--json")[1])["id"] == names[1]
    assert Experiment.from_yaml(invoke("journal", "show", names[1], "--as", "yaml")[1]) == model.asked[0]
    assert "a line" in invoke("journal", "add", names[1], "a line")[2]
    assert names[0] in invoke("journal", "add", "it hurts")[2], "the last run is meant where none is named"
    assert "2 of 2" in invoke("journal", "export", "post.md")[2]
    post = Path("post.md").read_bytes()
    assert post.index(b"- a line") < post.index(b"- it hurts"), "oldest first"
    assert "0 of 2" in invoke("journal", "export", "post.md")[2]
    assert Path("post.md").read_bytes() == post
    assert "1 of 1" in invoke("journal", "export", "other.md", names[0])[2]
    assert b"a line" not in Path("other.md").read_bytes()
    assert invoke("journal", "verify")[0] == 0


def test_verify_tells_damage(invoke):
    invoke("compare", "hi")
    path = Path(os.environ["INVIVO_HOME"]) / "journal.db"
    assert json.loads(invoke("journal", "verify", "--json")[1]) == {"journal": str(path), "problems": []}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE entries SET title = 'another'")
    code, out, _ = invoke("journal", "verify")
    assert code == 1
    assert "column title" in out


def test_a_result_is_shown_even_where_it_cannot_be_kept(invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INVIVO_HOME", str(tmp_path / "file" / "home"))
    code, out, err = invoke("compare", "hi", "--tweak", "zero head 1.1")
    assert code == 2
    assert "zero head 1.1" in out
    assert err.startswith("error: ")


def test_quickstart_runs_the_checklist_and_writes_a_post(invoke, model: FakeModel):
    code, out, err = invoke("quickstart", "--out", "told")
    assert (code, err) == (0, "")
    assert model.asked == [lab_named(number).experiment for number in QUICKSTART]
    assert model.loads == ["fruitfly"]
    [post] = Path("told").glob("*.md")
    text = post.read_text(encoding="utf-8")
    assert str(post) in out
    assert list(Path("told").rglob("*.svg"))
    for number in QUICKSTART:
        assert f"learned {number}" in out
        assert f"learned {number}" in text.split("⚡ Examples from Experiments")[1]
    assert len(json.loads(invoke("journal", "list", "--json")[1])["entries"]) == 3
    assert "\x1b" not in out


def test_quickstart_in_json(invoke):
    code, out, err = invoke("quickstart", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert [lab["lab"][:2] for lab in told["labs"]] == list(QUICKSTART)
    assert Path(told["post"]).is_file()


@pytest.mark.parametrize(("said", "labs"), [(False, ("05", "02")), (True, ("05", "02", "09"))])
def test_control_c_in_the_quickstart_keeps_what_was_done(invoke, model: FakeModel, said: bool, labs: tuple[str, ...]):
    model.stop_at, model.said_something = 2, said
    code, out, err = invoke("quickstart")
    assert code == 130
    [post] = Path("post").glob("*.md")
    names = ", ".join(lab_named(number).full_name for number in labs)
    assert err == f"stopped; kept in the journal and in {post}: {names}\n"
    text = post.read_text(encoding="utf-8")
    for number in QUICKSTART:
        assert (f"learned {number}" in out) == (f"learned {number}" in text) == (number in labs)
    assert ("Two experiments" in text) == (len(labs) == 2)
    assert len(json.loads(invoke("journal", "list", "--json")[1])["entries"]) == len(labs)


def test_control_c_at_the_start_of_the_quickstart_keeps_nothing(invoke, model: FakeModel):
    model.stop_at = 0
    assert invoke("quickstart", "--json") == (130, "", "stopped; nothing was kept yet\n")
    assert list(Path("post").rglob("*.*")) == []


def test_quickstart_tries_its_folder_before_it_runs(invoke, model: FakeModel, monkeypatch: pytest.MonkeyPatch):
    Path("file").write_text("")
    fails(invoke("quickstart", "--out", "file"), "cannot make file: ")
    fails(invoke("quickstart", "--out", "file/post"), "cannot make file/post: Not a directory")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    fails(invoke("quickstart"), "cannot write into post: No space left on device", "free some space")
    assert model.asked == []
    assert model.loads == []


def test_quickstart_gives_a_lab_its_own_settings(invoke, model: FakeModel):
    Path("config.yaml").write_text("labs:\n  '02': {prompt: mine, model: other}\n")
    code, _, err = invoke("quickstart")
    assert (code, err) == (0, "config: config.yaml sets model, prompt\n")
    assert [experiment.prompt == "mine" for experiment in model.asked] == [False, True, False]
    assert model.loads == [experiment.model for experiment in model.asked] == ["fruitfly", "other", "fruitfly"]
