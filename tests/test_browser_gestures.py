"""What a hand does on the page: look along a text, follow a tweak through the layers, guess, check, copy, print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from invivo.engine.live import Model
from invivo.labs import SECTIONS

from .test_browser import CHROMIUM, browser, finished, fruitfly, journal, opened, page, ran, served  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt install chromium")
PROMPT, TWEAK = "Once upon a time there was a", "zero head 1.2 at 3"


@pytest.fixture
def bench(page: Any) -> Any:
    """The page with a small comparison written down, no lesson."""
    opened(page, PROMPT, TWEAK, tokens=6)
    return page


def run(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()
    ran(page)


def texts(page: Any) -> list[str]:
    return page.locator(".next tbody tr").all_inner_texts()


def test_a_token_is_looked_at_pinned_and_let_go(bench: Any, fruitfly: Model) -> None:
    run(bench)
    before = texts(bench)
    token = bench.locator("[data-token='0,4']")
    token.hover()
    expect(bench.locator(".place")).to_contain_text("at token 4 of BASE")
    looked = texts(bench)
    assert looked != before
    result = fruitfly.compare(PROMPT, TWEAK, max_new_tokens=4)  # the same question, asked in Python
    longer = fruitfly.compare(PROMPT + result.base.text, TWEAK, max_new_tokens=0)
    top = longer.tweaks[0].next[0]
    assert f"{100 * top.base:.1f} %" in looked[0]
    assert f"{100 * top.tweak:.1f} %" in looked[0]
    bench.mouse.move(5, 5)
    expect(bench.locator(".place")).to_have_text("right after the prompt")
    assert texts(bench) == before
    token.click()
    expect(token).to_have_attribute("aria-selected", "true")
    bench.locator("[data-token='1,2']").hover()  # a pin stays
    assert texts(bench) == looked
    bench.mouse.move(5, 5)
    bench.keyboard.press("Escape")
    expect(bench.locator(".place")).to_have_text("right after the prompt")


def test_arrows_walk_along_a_text(bench: Any) -> None:
    run(bench)
    bench.locator("[data-token='0,0']").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        bench.keyboard.press(key)
    assert bench.evaluate("document.activeElement.dataset.token") == "1,1"
    expect(bench.locator(".place")).to_contain_text("at token 1 of TWEAK")
    bench.keyboard.press("Enter")
    expect(bench.locator("[data-token='1,1']")).to_have_attribute("aria-selected", "true")
    bench.keyboard.press("End")
    bench.keyboard.press("Escape")
    assert bench.locator("[role=option][tabindex='0']").count() == 1  # Tab enters the strips once


def test_the_lens_outlines_what_the_tweak_reaches(bench: Any) -> None:
    bench.get_by_role("tab", name="Lens").click()
    bench.get_by_role("button", name="Read every layer").click()
    panel = bench.get_by_role("tabpanel")
    panel.locator(".outline").wait_for()
    expect(panel.locator("[data-at='1,2']")).to_have_text("=")
    assert "0 KL" in panel.locator("[data-at='1,2']").get_attribute("aria-label")
    panel.locator("[data-at='2,4']").click()
    assert bench.get_by_label("tweak as text").input_value() == "zero L2.resid_post at 4"
    panel.get_by_role("radio", name="BASE").click()
    expect(panel.locator(".outline")).to_have_count(0)
    panel.get_by_role("radio", name="TWEAK").click()
    expect(panel.locator(".outline")).to_have_count(1)


def test_a_pattern_and_a_dose_are_beside_base(bench: Any) -> None:
    panel = bench.get_by_role("tabpanel")
    bench.get_by_role("tab", name="Attention").click()
    panel.locator("select").first.select_option("3")
    panel.get_by_role("button", name="See where head 3.2 looks").click()
    for name in ("BASE", "TWEAK", "difference"):
        panel.get_by_role("radio", name=name).click()
        expect(panel.get_by_role("grid")).to_be_visible()
    panel.locator("[data-at='5,2']").click()
    assert bench.get_by_label("tweak as text").input_value() == "zero L3.pattern heads 2 at 5 keys 2"
    bench.get_by_label("tweak as text").fill("zero head 1.2")
    bench.get_by_role("tab", name="Dose").click()
    panel.get_by_role("button", name="Try other strengths").click()
    expect(panel.locator("svg .marked")).to_have_text(["BASE", "TWEAK"])
    panel.locator("figure [data-key=t]").focus()
    bench.keyboard.press("t")
    rows = panel.locator("tbody tr")
    expect(rows.first).to_be_visible()
    assert ["1", "0"] in [text.split() for text in rows.all_inner_texts()]  # at strength 1 it is BASE


def test_a_figure_is_saved_as_a_file(bench: Any) -> None:
    bench.get_by_role("button", name="Switch off every head in turn").click()
    panel = bench.get_by_role("tabpanel")
    panel.get_by_text("The largest").or_(panel.locator("[data-at='5,7']")).first.wait_for()
    for ending, start in (("CSV", b"layer"), ("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with bench.expect_download() as download:
            panel.get_by_role("button", name=f"as {ending}").click()
        assert Path(download.value.path()).read_bytes().startswith(start), ending
        assert download.value.suggested_filename.endswith(ending.lower())


def test_a_large_grid_is_one_canvas_with_one_focus(bench: Any) -> None:
    bench.get_by_label("Prompt", exact=True).fill("One day a fox met a dog. " * 40)
    bench.get_by_role("tab", name="Lens").click()
    bench.get_by_role("button", name="Read every layer").click()
    far = bench.get_by_role("tabpanel").locator(".far")
    far.wait_for()
    assert bench.locator("[role=gridcell]").count() == 0
    far.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        bench.keyboard.press(key)
    expect(bench.get_by_role("tabpanel").locator(".read")).to_contain_text("layer 2, position")
    bench.keyboard.press("Enter")
    assert bench.get_by_label("tweak as text").input_value() == "zero L2.resid_post at 1"
    bench.keyboard.press("t")
    expect(bench.get_by_role("button", name="as a picture")).to_be_visible()


def test_a_lesson_guesses_runs_checks_and_counts(page: Any) -> None:
    page.set_default_timeout(120_000)
    page.get_by_role("radio", name="Learn").click()
    page.get_by_role("button", name="12 ").click()
    expect(page.get_by_text("checked when you run it").first).to_be_visible()
    assert page.locator(".section").count() == len(SECTIONS)
    page.get_by_role("radio", name="stays the same").check()
    page.get_by_role("button", name="Run", exact=True).click()
    ran(page)
    finished(page)  # the comparison is shown before the lab's steps are made
    expect(page.locator(".outcome")).to_contain_text(["Not so: the text changed"])
    marks = page.locator("main > section .claims small")
    expect(marks.first).to_have_text("holds")
    assert "does not hold" not in marks.all_inner_texts()
    page.locator(".steps summary").first.click()
    page.locator(".steps .inside").first.wait_for()
    page.get_by_label("My takeaway").fill("A comma is cheap.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".progress small")).to_have_text(re.compile(r"^[1-9] of \d+ labs done$"))
    mine = page.get_by_title("12_style_bias")
    expect(mine).to_contain_text("●")


def test_an_effect_is_set_beside_random_places(bench: Any) -> None:
    run(bench)
    strip = bench.locator(".margin svg")
    strip.wait_for()
    assert strip.locator("circle").count() == 20
    assert "of 20 random" in bench.locator(".margin .verdict").inner_text()


def test_a_run_is_copied_in_every_form(bench: Any, served: Any) -> None:
    bench.context.grant_permissions(["clipboard-read", "clipboard-write"])
    run(bench)
    starts = {
        "CLI": "invivo compare",
        "YAML": "prompt:",
        "Python": "",
        "link": served.address,
        "HTML": "<!doctype html>",
    }
    for form, start in starts.items():
        bench.locator(".copy").get_by_role("button", name=form, exact=True).click()
        expect(bench.locator(".copy [role=status]")).to_have_text("copied")
        text = bench.evaluate("navigator.clipboard.readText()")
        assert text.startswith(start), form
        assert "1.2" in text
        expect(bench.locator(".copy [role=status]")).to_have_text("")


def test_keys_are_listed_and_depths_are_chosen_by_arrows(page: Any) -> None:
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("a figure as a table")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("radio", name="Learn").focus()
    for key in ("ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.get_by_role("radio", name="Bench")).to_be_focused()
    expect(page.get_by_label("Temperature")).to_be_visible()
    page.get_by_role("tab", name="Heads").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Lens")).to_be_focused()
    page.reload()
    expect(page.get_by_role("radio", name="Bench")).to_be_checked()  # it stays as it was left
    page.get_by_label("Prompt", exact=True).fill("?t")
    expect(page.get_by_role("dialog")).to_have_count(0)  # who writes is not answered


@pytest.mark.parametrize("width", [1440, 800, 650, 360])
def test_nothing_runs_out_of_a_narrow_or_enlarged_page(page: Any, width: int) -> None:
    """A window of 1,300 at 200 % has the room of 650."""
    page.set_viewport_size({"width": width, "height": 800})
    for depth in ("Learn", "Lab", "Bench"):
        page.get_by_role("radio", name=depth).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, depth


def test_paper_and_quiet(page: Any) -> None:
    assert page.locator(".run").evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("header", ".guide", ".doors", ".run"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.locator(".strip").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
