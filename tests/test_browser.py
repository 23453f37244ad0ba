"""The page in a real browser, Debian's chromium, as a newcomer uses it. Where CI has no browser, that is a failure."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

import pytest
import uvicorn
from playwright.sync_api import expect

from invivo.engine.live import Model
from invivo.journal import Journal
from invivo.surfaces.cli.serve import listen
from invivo.surfaces.server import application
from invivo.surfaces.server.desk import Desk

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<script>document.title='hit'</script> <b>bold</b> \u202eabc \U0001f98a"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

if CHROMIUM is None and os.environ.get("INVIVO_CI"):
    raise RuntimeError("the page's tests need a browser: apt install chromium")
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt install chromium")


class Served:
    """A server in a thread of its own."""

    def __init__(self, load: Any, journal: Path, port: int = 0) -> None:  # 0: any that is free
        self.listener = listen("127.0.0.1", port)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        app = application(Desk(["fruitfly"], load), journal=Journal(journal))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(10)
        self.listener.close()


@pytest.fixture(scope="module")
def fruitfly() -> Model:
    import invivo

    return invivo.load()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "journal.db"


@pytest.fixture(scope="module")
def served(fruitfly: Model, journal: Path) -> Iterator[Served]:
    found = Served(lambda name: fruitfly, journal)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce")
    found = context.new_page()
    found.outside, found.faults = [], []
    found.on("request", lambda r: r.url.startswith((served.address, "data:", "blob:")) or found.outside.append(r.url))
    found.on("pageerror", lambda error: found.faults.append(str(error)))
    found.goto(served.address)
    found.get_by_text("fruitfly: 6 layers of 8 heads").wait_for()
    yield found
    assert found.outside == []
    assert found.faults == []
    context.close()


def opened(page: Any, prompt: str, tweak: str, tokens: int = 5, depth: str = "bench") -> None:
    """Open the page at an address that holds one small comparison."""
    experiment = {"prompt": prompt, "tweaks": [tweak], "decoding": {"max_new_tokens": tokens}}
    state = quote(json.dumps({"e": experiment, "lab": None, "depth": depth, "row": 0}))
    page.set_default_timeout(60_000)
    page.goto(f"{page.url.partition('#')[0]}#{state}")
    page.reload()
    page.get_by_text("fruitfly: 6 layers").wait_for()


def ran(page: Any) -> None:
    expect(page.locator(".recorded")).to_have_count(0)
    page.locator(".parted").first.wait_for(timeout=60_000)


def finished(page: Any) -> None:
    """Wait for a lab's steps, which are made after its comparison is shown."""
    ran(page)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0, timeout=300_000)


def test_the_first_look_needs_no_model(browser: Any, fruitfly: Model, tmp_path: Path) -> None:
    gate = threading.Event()

    def slowly(name: str) -> Model:
        gate.wait(30)
        return fruitfly

    served = Served(slowly, tmp_path / "journal.db", 18965)
    try:
        page = browser.new_page()
        page.goto(served.address)
        page.get_by_text("RECORDED").wait_for()
        assert page.get_by_role("button", name="Run", exact=True).is_visible()
        assert page.get_by_text("fruitfly is being loaded").is_visible()
        gate.set()
        page.get_by_text("fruitfly: 6 layers").wait_for()
        page.close()
    finally:
        gate.set()
        served.stop()


def test_a_newcomers_path(page: Any, journal: Path) -> None:
    page.get_by_role("button", name="02 ").click()
    page.get_by_role("button", name="Run", exact=True).click()
    finished(page)
    strips = page.locator(".strip .text").all_inner_texts()
    assert len(strips) >= 2
    assert strips[0] != strips[-1]
    page.get_by_role("button", name="Switch off every head in turn").click()
    page.get_by_role("tabpanel").locator("[role=gridcell][data-at='5,7']").wait_for()
    before = page.get_by_label("tweak as text").last.input_value()
    page.get_by_role("tabpanel").locator("[role=gridcell][data-at='1,3']").click()
    lines = [field.input_value() for field in page.get_by_label("tweak as text").all()]
    assert any("head 1.3" in line for line in lines), (before, lines)
    page.get_by_role("button", name="Run", exact=True).click()
    finished(page)
    assert page.get_by_role("button", name="Save").is_disabled()  # a run is kept with a takeaway
    page.get_by_label("My takeaway").fill("Head 1.3 is not the one <i>.")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("kept in the journal as").wait_for()
    page.locator(".cards").get_by_text("Head 1.3 is not the one <i>.").wait_for()
    (entry,) = Journal(journal).list()
    assert entry.takeaway == "Head 1.3 is not the one <i>."
    page.get_by_role("button", name="from the journal").click()
    expect(page.locator(".cards b")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    page.locator(".cards").get_by_text("Head 1.3 is not the one <i>.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export post").click()
    with ZipFile(download.value.path()) as archive:
        (text,) = [archive.read(n).decode() for n in archive.namelist() if n.endswith(".md")]
    assert "Head 1.3 is not the one" in text
    assert any("head 1.3" in str(stack) for stack in entry.recipe.tweaks)


def test_keys_alone_are_enough(page: Any) -> None:
    page.get_by_role("radio", name="Learn").focus()
    page.keyboard.press("ArrowLeft")  # to the bench: no lesson, and one comparison
    page.keyboard.press("Control+Enter")
    ran(page)
    heads = page.get_by_role("button", name="Switch off every head in turn")
    heads.focus()
    page.keyboard.press("Enter")
    cell = page.get_by_role("tabpanel").locator("[role=gridcell][data-at='0,0']")
    page.get_by_role("tabpanel").locator("[role=gridcell][data-at='5,7']").wait_for()
    cell.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.at") == "1,2"
    page.keyboard.press("Enter")
    lines = [field.input_value() for field in page.get_by_label("tweak as text").all()]
    assert any("head 1.2" in line for line in lines)
    page.get_by_role("tabpanel").locator("[role=gridcell][data-at='1,2']").focus()
    page.keyboard.press("t")
    assert page.get_by_role("button", name="as a picture").is_visible()


def test_the_address_holds_everything(page: Any, browser: Any) -> None:
    page.get_by_role("radio", name="Bench").click()
    prompt = page.get_by_label("Prompt", exact=True)
    for text in ("One day a fox", "The king said"):
        prompt.fill(text)
        page.get_by_role("button", name="Run", exact=True).click()
        ran(page)
    table = page.locator(".next").inner_text()
    other = browser.new_context().new_page()
    other.goto(page.url)
    other.get_by_text("fruitfly: 6 layers").wait_for()
    assert other.get_by_label("Prompt", exact=True).input_value() == "The king said"
    other.get_by_role("button", name="Run", exact=True).click()
    ran(other)
    assert other.locator(".next").inner_text() == table
    other.close()
    page.go_back()
    expect(prompt).to_have_value("One day a fox")
    page.go_forward()
    expect(prompt).to_have_value("The king said")


def test_hostile_text_stays_text(page: Any) -> None:
    page.get_by_role("radio", name="Bench").click()
    page.get_by_label("Prompt", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Run", exact=True).click()
    ran(page)
    assert page.title() == "invivo"
    assert page.locator("main b", has_text="bold").count() == 0


@pytest.mark.parametrize(
    ("label", "text", "words"),
    [
        ("Prompt", "", "the prompt is empty: give at least one character to read"),
        ("tweak as text", "zero hed 1.1", "no site is called 'hed'"),
    ],
)
def test_a_refusal_stands_at_its_field(page: Any, label: str, text: str, words: str) -> None:
    page.get_by_label(label).first.fill(text)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text(words).first.wait_for()


def test_a_run_can_be_stopped_and_a_dead_server_is_told(browser: Any, fruitfly: Model, tmp_path: Path) -> None:
    served = Served(lambda name: fruitfly, tmp_path / "journal.db", 18865)
    page = browser.new_page()
    try:
        page.goto(served.address)
        page.get_by_text("fruitfly: 6 layers").wait_for()
        page.get_by_role("radio", name="Bench").click()
        page.get_by_label("New tokens").fill("400")
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator(".token").nth(8).wait_for()
        page.get_by_role("button", name="Stop").first.click()
        page.get_by_label("New tokens").fill("5")
        page.get_by_role("button", name="Run", exact=True).click()
        ran(page)
        page.get_by_label("New tokens").fill("400")
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator(".token").nth(8).wait_for()
    finally:
        served.stop()
    page.get_by_text("the server does not answer").wait_for()
    again = Served(lambda name: fruitfly, tmp_path / "journal.db", 18865)
    try:
        assert again.address == served.address
        page.get_by_label("New tokens").fill("5")
        for _ in range(20):
            page.get_by_role("button", name="Run", exact=True).click()
            time.sleep(0.3)
            if page.locator(".parted").count():
                break
        ran(page)
    finally:
        page.close()
        again.stop()


def test_an_exhibit_is_one_click_away(page: Any) -> None:
    page.get_by_role("radio", name="Bench").click()
    page.get_by_role("tab", name="Exhibits").click()
    page.get_by_role("combobox", name="Exhibits").select_option("softmax")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("tabpanel").locator("figure").first.wait_for()
