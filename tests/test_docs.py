"""The documents tell the truth: what is generated is fresh, and what README says to type works."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from invivo.surfaces.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_what_is_generated_is_fresh():
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"run `make docs`:\n{done.stderr}"


LINES = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("invivo ")]
COMMANDS = [line for line in LINES if line != "invivo serve"]  # which goes on until somebody stops it


def test_readme_has_commands_and_the_two_that_matter():
    assert len(COMMANDS) >= 5
    assert [block.strip() for block in blocks("sh")][:2] == ["make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^run:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_readme_commands_run(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out.strip()


def test_readme_python_runs(capsys):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "BASE" in capsys.readouterr().out


def test_every_tweak_of_the_readme_parses():
    from invivo.tweaks import Stack

    table = README.split("| line | what it does |")[1].split("\n\n")[0]
    lines = [t for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for t in re.findall(r"`([^`]+)`", row)]
    assert len(lines) >= 9
    for line in lines:
        assert Stack.of(str(Stack.of(line))) == Stack.of(line)


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_project_names_no_registry_and_no_path_of_a_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout; the checkout runs this")
    forbidden = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|/work/main|/root/|download\.pytorch", re.IGNORECASE)
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.suffix in (".safetensors", ".png") or name == "tests/test_docs.py":
            continue
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{name}: {found and found[0]}"
