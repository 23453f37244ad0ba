"""The wheel, built as `pip` builds it and without a network: every file of the package that lies in git is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
# One of each kind that a rule of .gitignore or of pyproject.toml could leave out.
SURE = (
    "invivo/engine/evaluation/tasks/giving.jsonl",
    "invivo/engine/evaluation/tasks/giving.yaml",
    "invivo/engine/exhibits/schemes.json",
    "invivo/experiment/village/homes.txt",
    "invivo/model/fruitfly/model.safetensors",
    "invivo/py.typed",
    "invivo/surfaces/server/page/index.html",
)

if find_spec("hatchling") is None and os.environ.get("INVIVO_CI"):
    raise RuntimeError("hatchling is missing: `pip install -e '.[test]'` installs it")
pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")


def in_git() -> set[str]:
    """Paths below src of the package's files that git knows."""
    done = subprocess.run(["git", "ls-files", "-z", "src/invivo"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout of git's")
    paths = done.stdout.decode().split("\0")
    return {path.removeprefix("src/") for path in paths if path and (ROOT / path).exists()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The names in a wheel built now, with their sizes in bytes."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    with ZipFile(file) as built:
        return {one.filename: one.file_size for one in built.infolist()}


def test_every_file_in_git_is_in_the_wheel_whole(wheel: dict[str, int]) -> None:
    files = in_git()
    assert set(SURE) <= files
    assert files - wheel.keys() == set()
    assert {name: wheel[name] for name in files} == {name: (ROOT / "src" / name).stat().st_size for name in files}


def test_nothing_else_is_in_it(wheel: dict[str, int]) -> None:
    others = {name for name in wheel.keys() - in_git() if ".dist-info/" not in name}
    new = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard", "src/invivo"], cwd=ROOT, capture_output=True
    )
    assert others <= {path.removeprefix("src/") for path in new.stdout.decode().split("\0")}  # not added yet
