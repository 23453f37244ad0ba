"""The journal as a page in a real browser: what is read there, its addresses, its keys, print and the dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from invivo.engine.live import Model
from invivo.journal import Journal

from .test_browser import CHROMIUM, Served, browser, fruitfly, ran  # noqa: F401 - fixtures
from .test_scale import contrast

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt install chromium")
TAKEAWAYS = ("A fox <b>stays</b> a fox.", "The king forgets.", "Noise ends the story.")


@pytest.fixture
def kept(fruitfly: Model, tmp_path: Path) -> Journal:
    """Three runs with a takeaway, the last one newest, and one without."""
    journal = Journal(tmp_path / "journal.db")
    journal.keep(fruitfly.compare("Nobody learned", "zero head 0.1", max_new_tokens=3))
    journal.keep(fruitfly.compare("One day a fox", "zero head 1.1", max_new_tokens=5), takeaway=TAKEAWAYS[0])
    rows = ("zero head 2.1", "scale L2.mlp_out by 3")
    journal.keep(fruitfly.compare("The king said", *rows, max_new_tokens=5), takeaway=TAKEAWAYS[1])
    journal.keep(fruitfly.compare("Once upon a time", "zero L3.mlp_out", max_new_tokens=5), takeaway=TAKEAWAYS[2])
    return journal


@pytest.fixture
def served(fruitfly: Model, kept: Journal) -> Iterator[Served]:
    found = Served(lambda name: fruitfly, kept.path)
    yield found
    found.stop()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce")
    found = context.new_page()
    found.faults = []
    found.on("pageerror", lambda error: found.faults.append(str(error)))
    found.goto(served.address)
    found.get_by_text("fruitfly: 6 layers of 8 heads").wait_for()
    found.get_by_role("banner").get_by_role("link", name="Journal").click()
    found.locator("article").nth(2).wait_for()
    yield found
    assert found.faults == []
    context.close()


def headlines(page: Any) -> list[str]:
    return page.locator("article h2").all_inner_texts()


def test_a_card_says_what_was_learned_and_from_what(page: Any, kept: Journal) -> None:
    assert headlines(page) == [*reversed(TAKEAWAYS)]
    assert page.title() == "Journal · invivo"
    card = page.locator("article").nth(1)
    card.locator("figure").wait_for()
    entry = kept.list()[1]
    assert card.locator("time").get_attribute("datetime") == entry.created
    shown = card.inner_text()
    for run in (entry.result.base, *entry.result.tweaks):
        assert run.text.strip().split("\n")[0] in shown
    for words in ("The king said", "zero head 2.1", "scale L2.mlp_out by 3", "KL after the prompt"):
        assert words in shown
    card.get_by_text("The rest").click()
    expect(card.get_by_role("heading", name="Run it again")).to_be_visible()
    assert page.locator("article b", has_text="stays").count() == 0  # text is text


def test_runs_without_a_takeaway_are_there_when_asked_for(page: Any) -> None:
    page.get_by_role("button", name="show").click()
    expect(page.locator("article")).to_have_count(4)
    expect(page.locator("article").last).to_contain_text("No takeaway yet")


def test_every_card_has_an_address_and_back_works(page: Any, served: Served, browser: Any, kept: Journal) -> None:
    entry = kept.list()[0]
    assert page.url == f"{served.address}#journal"
    page.locator("article").first.get_by_role("link", name="Link").click()
    expect(page.locator("article")).to_have_count(1)
    assert page.url == f"{served.address}#journal/{entry.id}"
    other = browser.new_context().new_page()
    other.goto(page.url)
    expect(other.locator("article h2")).to_have_text(entry.takeaway)
    expect(other.get_by_role("heading", name="Run it again")).to_be_visible()  # alone, it is open
    other.goto(f"{served.address}#journal/123456")
    expect(other.get_by_text("no journal entry is called '123456'")).to_be_visible()
    other.close()
    page.go_back()
    expect(page.locator("article")).to_have_count(3)
    page.go_back()
    expect(page.get_by_text("RECORDED")).to_be_visible()
    page.go_forward()
    expect(page.locator("article")).to_have_count(3)


def test_a_card_opens_on_the_bench_as_it_was(page: Any, kept: Journal) -> None:
    result = kept.list()[0].result
    page.locator("article").first.get_by_role("button", name="Open on the bench").click()
    ran(page)
    strips = page.locator(".page .strip .text")
    expect(strips.first).to_have_text(re.compile(re.escape(result.base.text.strip()[:12])))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("Once upon a time")
    page.go_back()
    expect(page.locator("article")).to_have_count(3)
    page.go_forward()
    ran(page)
    assert page.get_by_label("My takeaway").is_visible()


def test_what_is_on_the_bench_stays_while_the_journal_is_read(page: Any) -> None:
    page.get_by_role("link", name="the bench").click()
    page.get_by_label("Prompt", exact=True).fill("Not run yet")
    page.get_by_role("banner").get_by_role("link", name="Journal").click()
    expect(page.locator("article")).to_have_count(3)
    assert not page.get_by_label("Prompt", exact=True).is_visible()
    page.go_back()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("Not run yet")


def test_keys_read_move_remove_and_bring_back(page: Any, kept: Journal) -> None:
    def order() -> list[str]:
        return [entry.takeaway for entry in kept.list() if entry.takeaway]

    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("article", name=TAKEAWAYS[1])).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("article h2").first).to_have_text(TAKEAWAYS[1])
    assert order() == [TAKEAWAYS[1], TAKEAWAYS[2], TAKEAWAYS[0]]
    expect(page.get_by_role("article", name=TAKEAWAYS[1])).to_be_focused()  # the focus goes with it
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("article h2").first).to_have_text(TAKEAWAYS[2])
    expect(page.get_by_role("article", name=TAKEAWAYS[1])).to_be_focused()
    page.keyboard.press("Delete")
    expect(page.locator("article")).to_have_count(2)
    assert order() == [TAKEAWAYS[2], TAKEAWAYS[0]]
    undo = page.get_by_role("button", name="Undo").and_(page.locator(":visible"))
    expect(undo).to_be_focused()
    expect(undo).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("article")).to_have_count(3)
    assert order() == [*reversed(TAKEAWAYS)]
    page.keyboard.press("/")
    page.keyboard.type("king")
    expect(page.locator("article")).to_have_count(1)
    assert headlines(page) == [TAKEAWAYS[1]]
    page.keyboard.press("Escape")  # Chromium clears the field; out of it with the next one
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_text("RECORDED")).to_be_visible()


def test_buttons_reorder_remove_and_export(page: Any, kept: Journal) -> None:
    page.get_by_role("button", name=f"move “{TAKEAWAYS[0]}” up").and_(page.locator(":visible")).click()
    expect(page.locator("article h2").nth(1)).to_have_text(TAKEAWAYS[0])
    page.locator("article").first.get_by_role("button", name="from the journal").click()
    expect(page.locator("article")).to_have_count(2)
    assert [entry.takeaway for entry in kept.list() if entry.takeaway] == [TAKEAWAYS[0], TAKEAWAYS[1]]
    with page.expect_download() as download:
        page.locator("article").first.get_by_role("button", name="as HTML").click()
    assert "One day a fox" in Path(download.value.path()).read_text(encoding="utf-8")
    with page.expect_download() as download:
        page.locator(".journal").get_by_role("link", name="Export post").click()
    assert download.value.suggested_filename == "invivo-post.zip"


def test_it_prints_the_cards_and_nothing_to_press(page: Any) -> None:
    page.evaluate("window.print = () => (document.title = document.querySelectorAll('article figure').length)")
    page.get_by_role("button", name="Print").click()
    expect(page).to_have_title("3")  # all were fetched before
    page.emulate_media(media="print", color_scheme="dark")
    for name in ("Print", "Open on the bench", "CSV"):
        assert page.get_by_role("button", name=name).and_(page.locator(":visible")).count() == 0
    assert page.locator("header").first.is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator("article h2").first).to_be_visible()


def test_in_the_dark_nothing_recedes_and_every_cell_reads(browser: Any, served: Served) -> None:
    def hexed(colour: str) -> str:
        return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])

    for scheme in ("light", "dark"):
        # without motion: a colour on its way is nobody's
        size, still = {"width": 1300, "height": 900}, "reduce"
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion=still)
        page = context.new_page()
        page.goto(served.address)
        page.get_by_text("fruitfly: 6 layers of 8 heads").wait_for()
        page.get_by_role("button", name="Switch off every head in turn").click()
        page.get_by_role("tabpanel").locator("[role=gridcell][data-at='5,7']").wait_for()
        door = page.get_by_role("button", name="Switch off every head in turn", exact=True)
        expect(door).to_be_enabled()
        styles = """cells => cells.map(cell => {
            const { backgroundColor, color } = getComputedStyle(cell)
            return [backgroundColor, color, cell.textContent]
        })"""
        cells = page.get_by_role("tabpanel").locator("[role=gridcell]").evaluate_all(styles)
        assert len(cells) == 48
        ground = hexed(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for back, ink, _ in cells:
            assert contrast(hexed(back), hexed(ink)) >= 4.5
        size = [abs(float(text.replace("−", "-").replace("<", ""))) for *_, text in cells]
        nothing = min(range(48), key=lambda at: size[at])
        most = max(range(48), key=lambda at: size[at])
        assert contrast(hexed(cells[nothing][0]), ground) < 1.3
        assert contrast(hexed(cells[most][0]), ground) > 5
        context.close()
