"""The site, the notebook and the tutorial: fresh, whole, offline, and what they show runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from invivo.experiment import Lab
from invivo.labs import SECTIONS, all_labs

from . import tiny
from .guide import GUIDE, check_command

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = DOCS / "labs"


def script(name: str) -> Any:
    """A module of docs/, which is no package."""
    return importlib.import_module(name)


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)


# ── lab pages ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def one() -> tuple[Lab, Any]:
    """A lab's result on a random model: a page is written of any."""
    lab = all_labs()[0]
    return lab, tiny.roomy("gpt2").run_lab(lab, steps=False)


def test_a_page_says_all_that_the_lab_says_and_shows_its_figures(
    one: tuple[Lab, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lab, outcome = one
    pages, lab_pages = script("pages"), script("lab_pages")
    monkeypatch.setattr(pages, "LABS", tmp_path)
    monkeypatch.setattr(lab_pages, "LABS", tmp_path)
    assert lab_pages.staleness(lab) == ["page"]
    lab_pages.write_page(lab, outcome)
    text = pages.page_of(lab).read_text(encoding="utf-8")
    assert text.count("\n# ") == 1
    for part in (*lab.know, *lab.questions, lab.why, lab.look_for):
        assert part.split("`")[0].strip()[:40] in text
    figures = re.findall(r"!\[.*\]\((figures/.*\.svg)\)", text)
    assert len(figures) >= len(lab.pictures)
    assert len(figures) == len(set(figures))
    assert all((tmp_path / figure).read_text(encoding="utf-8").startswith("<svg") for figure in figures)
    assert lab_pages.staleness(lab) == []

    other = lab.model_copy(update={"why": "Because."})  # its words have changed, what it runs has not
    assert lab_pages.staleness(other) == ["words"]
    longer = lab.experiment.model_copy(update={"prompt": "The old king"})
    assert lab_pages.staleness(lab.model_copy(update={"experiment": longer})) == ["recipes"]
    monkeypatch.setattr(lab_pages, "weights_digest", lambda: "others")
    assert lab_pages.staleness(lab) == ["weights"]


def test_the_lab_pages_are_fresh():
    if not PAGES.exists():
        pytest.skip("no lab pages in this checkout: `make docs` writes them")
    done = run("docs/lab_pages.py", "--check")
    assert done.returncode == 0, f"run `make docs`:\n{done.stderr}"
    for page in PAGES.glob("*.md"):
        for figure in re.findall(r"\]\((figures/[^)]*)\)", page.read_text(encoding="utf-8")):
            assert (PAGES / figure).exists(), f"{page.name} shows {figure}"


# ── the glossary ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_word_of_the_glossary_is_short_and_met_in_a_lab():
    glossary = script("glossary")
    words = glossary.words()
    names = [entry["word"].lower() for entry in words]
    assert len(names) == len(set(names)) >= 50
    for entry in words:
        assert set(entry) <= {"word", "also", "is"}
        assert 5 <= len(entry["is"].split()) <= 60, entry["word"]
        assert entry["is"].endswith(".")
    lost = [entry["word"] for entry in words if not glossary.met_in(entry)]
    if len(all_labs()) == len(GUIDE):
        assert set(lost) <= {"claim", "takeaway"}  # of every lab; another word that no lab uses need not be explained
    for word in ("token", "embedding", "residual stream", "layer norm", "head", "query", "logit lens", "nat", "KL"):
        spelled = {s.lower() for entry in words for s in (entry["word"], *entry.get("also", ()))}
        assert word.lower() in spelled


# ── write your own lab ───────────────────────────────────────────────────────────────────────────────────────────────


def tutorial(language: str) -> list[str]:
    text = (DOCS / "own-lab.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def taught(tmp_path: Path) -> tuple[Any, Any]:
    """The lab and the exhibit of the tutorial, from files as a reader saves them."""
    made = []
    for name, code in zip(("forgotten_word", "surprise"), tutorial("python"), strict=True):
        path = tmp_path / f"{name}.py"
        path.write_text(code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made.append(module)
    return made[0].LAB, made[1].EXHIBIT


def test_the_tutorials_lab_runs_and_its_claims_hold(fruitfly: Any, taught: tuple[Any, Any]):
    lab, _ = taught
    outcome = fruitfly.run_lab(lab)
    assert [step.skipped for step in outcome.steps] == [""] * 3
    assert all(verdict.holds and verdict.expected for verdict in outcome.all_verdicts)
    assert len(outcome.all_verdicts) == 3
    assert "moves the prediction by" in outcome.takeaway
    assert all(verdict.holds for verdict in tiny.roomy("llama").run_lab(lab).all_verdicts if verdict.expected)


def test_the_tutorials_exhibit_is_what_the_logits_say(taught: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch):
    import torch

    from invivo.engine import exhibits

    _, kind = taught
    model = tiny.model("gpt2")
    monkeypatch.setattr(exhibits, "all_exhibits", lambda: {"surprise": kind})
    shown = model.show("surprise", prompt="abcd")
    ids = torch.tensor([model.living.encode("abcd")])
    loss = torch.nn.functional.cross_entropy(model.hf(ids).logits[0, :-1], ids[0, 1:])
    assert shown.numbers["mean_nats"] == pytest.approx(float(loss), abs=1e-5)
    assert "most surprising" in shown.to_markdown()


@pytest.mark.parametrize("page", ["own-lab.md", "index.md", "guide.md"])
def test_the_commands_of_a_page_can_be_read(page: str):
    import shlex

    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("invivo ")]
    assert lines
    for line in lines:
        check_command(shlex.split(line))


def test_the_python_of_the_index_runs(capsys: pytest.CaptureFixture[str]):
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    exec(compile(code, "index.md", "exec"), {})
    assert "BASE" in capsys.readouterr().out


# ── the notebook ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_notebook_is_the_guide_in_order_with_nothing_run():
    book = json.loads((DOCS / "guide.ipynb").read_text(encoding="utf-8"))
    ids = [cell["id"] for cell in book["cells"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in book["cells"] if "outputs" in cell)
    assert [one for one in ids if one.startswith("run-")] == [f"run-{lab.number}" for lab in all_labs()]
    for section in SECTIONS:
        if any(lab.section == section.number for lab in all_labs()):
            assert f"section-{section.number}" in ids
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            ast.parse(re.sub(r"^( *)%.*", r"\1pass", source, flags=re.MULTILINE))
    assert sum("%pip" in "".join(cell["source"]) for cell in book["cells"]) == 1


def test_the_notebook_runs():
    pytest.importorskip("nbclient", reason="the notebook's runner is missing: pip install -e '.[test]'")
    pytest.importorskip("ipykernel", reason="the notebook's kernel is missing: pip install -e '.[test]'")
    done = run("docs/notebook.py", "--run")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.split()
    assert [name for name in shown if name.startswith("run-")] == [f"run-{lab.number}" for lab in all_labs()]


# ── the site ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Fetched(HTMLParser):
    """What a browser would fetch to show a page: not what a reader may click."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get("href") or "")
        elif tag in ("script", "img", "iframe", "source", "video"):
            self.found.append(given.get("src") or "")


def test_the_site_builds_and_fetches_nothing(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="the site's builder is missing: pip install -e '.[docs]'")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 8
    for page in pages:
        reader = Fetched()
        reader.feed(page.read_text(encoding="utf-8"))
        far = [address for address in reader.found if re.match(r"(https?:)?//", address)]
        assert far == [], page.name
        for address in filter(None, reader.found):
            near = address.split("?")[0].split("#")[0]
            assert near.startswith("data:") or (page.parent / near).exists() or page.name == "404.html", address
    styles = "".join(style.read_text(encoding="utf-8") for style in tmp_path.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//", styles)
    assert not list(tmp_path.rglob("*.py"))
    assert (tmp_path / "guide.ipynb").exists()
