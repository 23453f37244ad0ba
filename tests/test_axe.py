"""axe-core finds nothing serious on the page: Learn, Lab, Bench and the journal, light and dark."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invivo.engine.live import Model
from invivo.journal import Journal

from .test_browser import CHROMIUM, Served, browser  # noqa: F401 - fixtures

SOURCE = Path(__file__).parents[1] / "page"
NPM = shutil.which("npm")
BAD = ("serious", "critical")
RUN = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"

if (CHROMIUM is None or NPM is None) and os.environ.get("INVIVO_CI"):
    raise RuntimeError("axe needs a browser and npm: apt install chromium nodejs npm")
pytestmark = pytest.mark.skipif(CHROMIUM is None or NPM is None, reason="no chromium or no npm here")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """axe-core's one file, from where the page was built or else installed for this."""
    found = SOURCE / "node_modules" / "axe-core" / "axe.min.js"
    if found.exists():
        return found
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, folder)
    subprocess.run([str(NPM), "install", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True)
    return folder / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def served(fruitfly: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    journal = tmp_path_factory.mktemp("axe") / "journal.db"
    kept = fruitfly.compare("Once upon a time", "zero head 3.5", max_new_tokens=8)
    Journal(journal).keep(kept, takeaway="Head 3.5 is not alone in this.")
    found = Served(lambda name: fruitfly, journal)
    yield found
    found.stop()


def faults(page: Any, axe: Path) -> list[str]:
    """What axe finds serious: the rule, and where."""
    page.add_script_tag(path=axe)
    return [
        f"{one['id']}: {node['html'][:120]} ({node['failureSummary']})"
        for one in page.evaluate(RUN)
        if one["impact"] in BAD
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, served: Served, axe: Path, scheme: Any) -> None:
    context = browser.new_context(
        viewport={"width": 1300, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    page = context.new_page()
    page.goto(served.address)
    page.get_by_text("fruitfly: 6 layers of 8 heads").wait_for()
    found: dict[str, list[str]] = {}
    for depth in ("Learn", "Lab", "Bench"):
        page.get_by_role("radio", name=depth, exact=True).click()
        found[depth] = faults(page, axe)
    for tab, door in (("Heads", "Switch off every head in turn"), ("Lens", "Read every layer")):
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("button", name=door, exact=True).click()
        page.get_by_role("tabpanel").locator("figure .summary").first.wait_for()
        page.get_by_role("button", name=door, exact=True).and_(page.locator(":enabled")).wait_for()
        found[tab] = faults(page, axe)
    page.locator(".cards").get_by_text("Head 3.5 is not alone").click()
    page.locator(".parted").first.wait_for()
    found["Journal"] = faults(page, axe)
    page.get_by_role("banner").get_by_role("link", name="Journal").click()
    page.locator("article figure").wait_for()
    page.get_by_text("The rest").click()
    found["Reading"] = faults(page, axe)
    context.close()
    assert {where: what for where, what in found.items() if what} == {}
