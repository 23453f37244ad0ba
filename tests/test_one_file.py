"""A result as one HTML file: it opens offline, says what one points at, and is run again by `invivo replay`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from invivo.engine.live import Model
from invivo.engine.steps import run
from invivo.experiment import Experiment, Recipe, Sweep
from invivo.experiment.attribution import AttributionRecipe
from invivo.experiment.control import ControlRecipe
from invivo.experiment.exhibit import ExhibitRecipe
from invivo.experiment.heads import HeadsRecipe
from invivo.experiment.lens import LensRecipe
from invivo.experiment.look import LookRecipe
from invivo.experiment.trials import TrialsRecipe
from invivo.journal import Kept, KeptResult, again, again_of, one_file, runs_in
from invivo.surfaces.cli import app

from . import tiny
from .test_browser import ARGUMENTS, CHROMIUM

PROMPT = "the cat sat"
CASE = {"prompt": PROMPT}
HOSTILE = "<script>document.title='hit'</script> \u202e\u05d0 \U0001f98a"
RECIPES: dict[str, Recipe] = {
    "attribute": AttributionRecipe(prompt=PROMPT, target="s"),
    "compare": Experiment.of({"prompt": HOSTILE, "tweaks": ["zero head 1.2"], "decoding": {"max_new_tokens": 6}}),
    "control": ControlRecipe.of({"tweak": "zero head 1.2", "case": CASE, "count": 4}),
    "exhibit": ExhibitRecipe(name="norm", settings={"prompt": PROMPT, "layer": 1}),
    "heads": HeadsRecipe(rows=1, length=4),
    "lens": LensRecipe.of({"prompt": PROMPT, "tweak": "zero head 1.2", "target": "s"}),
    "look": LookRecipe(prompt=PROMPT, layer=1, head=2),
    "sweep": Sweep.of({"tweak": "zero head *", "cases": [CASE]}),
    "trials": TrialsRecipe.of({"prompts": [PROMPT], "tweaks": ["zero head 1.2"], "metric": "kl_next"}),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def pages(model: Model) -> dict[str, str]:
    return {name: one_file(run(model.living, recipe), recipe) for name, recipe in RECIPES.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_page_needs_nothing_else_and_runs_one_script(pages: dict[str, str], name: str) -> None:
    page = pages[name]
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!#)", page) == []
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert escape(RECIPES[name].to_yaml().splitlines()[-1].strip()) in page


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_in_a_page_runs_again_and_agrees(pages: dict[str, str], model: Model, name: str) -> None:
    (kept,) = runs_in(pages[name])
    recipe = kept.recipe if isinstance(kept, Kept) else type(RECIPES[name]).of(kept.recipe)
    assert {k: v for k, v in recipe.plain().items() if k not in ("model", "revision", "dtype")} == RECIPES[name].plain()
    now = run(model.living, recipe)
    told = again(kept, now) if isinstance(kept, Kept) else again_of(kept, now)  # type: ignore[arg-type]
    assert told.agrees
    assert told.same_weights


def test_a_number_and_a_name_that_changed_are_told(pages: dict[str, str], model: Model) -> None:
    (kept,) = runs_in(pages["sweep"])
    assert isinstance(kept, KeptResult)
    now = run(model.living, RECIPES["sweep"])
    plain = json.loads(json.dumps(kept.result))
    places = [path for path, value in _leaves(plain) if isinstance(value, float) and value > 0 and path[0] != "seconds"]
    at = plain
    for key in places[2][:-1]:
        at = at[key]
    at[places[2][-1]] *= 1.01
    told = again_of(kept.model_copy(update={"result": plain}), now)
    assert told.apart == pytest.approx(1 - 1 / 1.01)
    assert told.metric == ".".join(map(str, places[2]))
    assert told.same_text
    assert not told.agrees
    plain["axes"][0]["labels"][0] = "elsewhere"
    assert not again_of(kept.model_copy(update={"result": plain}), now).same_text


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
    else:
        for key, item in items:
            yield from _leaves(item, (*path, key))


def test_the_command_line_writes_and_replays_one(model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("invivo.load", lambda *_, **__: model)
    file, runner = tmp_path / "heads.html", CliRunner()
    done = runner.invoke(app, ["sweep", PROMPT, "--tweak", "zero head *", "--html", str(file)])
    assert done.exit_code == 0, done.output
    done = runner.invoke(app, ["replay", str(file)])
    assert done.exit_code == 0, done.output
    assert "The numbers agree." in done.output
    file.write_text("somebody's own page", encoding="utf-8")
    done = runner.invoke(app, ["sweep", PROMPT, "--tweak", "zero head *", "--html", str(file)])
    assert done.exit_code != 0
    assert file.read_text(encoding="utf-8") == "somebody's own page"


# ── in a browser ──


@pytest.fixture(scope="module")
def shown(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt install chromium")
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("pages")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = chromium.new_context(offline=True)

        def show(name: str) -> Any:
            (folder / f"{name}.html").write_text(pages[name], encoding="utf-8")
            page = context.new_page()
            page.faults = []
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.on("console", lambda said: said.type == "error" and page.faults.append(said.text))
            page.goto((folder / f"{name}.html").as_uri())
            return page

        yield show
        chromium.close()


def test_pointing_says_what_it_is_and_a_click_pins_it(shown: Any) -> None:
    page = shown("sweep")
    box, cells = page.locator("output.told"), page.locator("figure svg polygon.cell[data-say]")
    expect(box).to_be_hidden()
    cells.nth(5).hover()
    expect(box).to_have_text(cells.nth(5).get_attribute("data-say"))
    assert re.fullmatch(r"layer 1, head 1: [\d.−]+ nats", box.inner_text())
    cells.nth(5).click()
    cells.nth(2).hover()
    expect(box).to_have_text(cells.nth(5).get_attribute("data-say"))
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.locator("figure svg").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(box).to_have_text(re.compile("layer 1, head"))
    assert page.faults == []


def test_a_legends_name_takes_its_series_out_and_a_token_tells_its_probability(shown: Any) -> None:
    page = shown("compare")
    assert page.title() != "hit"
    svg = page.locator("figure svg").filter(has=page.locator("[data-key]")).first
    name, bars = svg.locator("[role=button]").last, svg.locator("polygon.tweak[data-say]")
    expect(bars.first).to_be_visible()
    name.click()
    expect(bars.first).to_be_hidden()
    name.focus()
    page.keyboard.press("Enter")
    expect(bars.first).to_be_visible()
    page.locator(".said span[data-say]").first.hover()
    expect(page.locator("output.told")).to_have_text(re.compile(r"\d %$"))
    page.locator("summary", has_text="the numbers").first.click()
    expect(page.locator("details table").first).to_be_visible()
    assert page.faults == []
