"""The page's built files: they are what its source makes, small, and ask nobody but the server."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from invivo.surfaces.server import PAGE

SOURCE = Path(__file__).parents[1] / "page"
NPM = shutil.which("npm")
MOST_KB = 80
FILES = ("index.html", "page.css", "page.js", "icon.svg", "recorded.json")

if NPM is None and os.environ.get("INVIVO_CI"):
    raise RuntimeError("the page is built again and compared: install Node.js with npm")


def test_the_page_is_all_there_and_small():
    assert {file.name for file in PAGE.iterdir()} == set(FILES)
    packed = sum(len(gzip.compress((PAGE / name).read_bytes())) for name in ("page.css", "page.js"))
    assert packed <= MOST_KB * 1000


def test_the_page_names_no_other_address():
    known = ("http://www.w3.org/", "https://svelte.dev/e/")  # names of things and texts of errors, never asked for
    for name in FILES[:3]:
        found = re.findall(r"https?://[^\s\"'`<>)]+", (PAGE / name).read_text(encoding="utf-8"))
        assert [url for url in found if not url.startswith(known)] == [], name


@pytest.mark.skipif(NPM is None, reason="no npm here: Node.js builds the page")
def test_the_built_files_are_what_the_source_makes(tmp_path: Path):
    for name in ("src", "public"):
        shutil.copytree(SOURCE / name, tmp_path / "page" / name)
    for file in SOURCE.iterdir():
        if file.is_file() and file.suffix in (".json", ".ts", ".js", ".html"):
            shutil.copy(file, tmp_path / "page" / file.name)
    out = tmp_path / "built"
    for words in ("install --no-audit --no-fund", "run check", f"run build -- --outDir {out}"):
        done = subprocess.run(
            [str(NPM), *words.split()], cwd=tmp_path / "page", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for name in FILES:
        assert (out / name).read_bytes() == (PAGE / name).read_bytes(), f"{name}: run `make page`"
