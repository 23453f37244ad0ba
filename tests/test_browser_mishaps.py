"""What goes wrong around the page: two tabs, a reload, a way back, hostile prompts, refusals at their fields."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import TimeoutError as TooLate
from playwright.sync_api import expect

from invivo.engine.live import Model
from invivo.errors import InvivoError

from .test_browser import CHROMIUM, browser, fruitfly, journal, opened, page, ran, served  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt install chromium")
PROMPT = "Once upon a time there was a"


def write(page: Any, prompt: str = PROMPT, tokens: int = 5) -> None:
    opened(page, prompt, "zero head 1.1", tokens)


def run(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def state(page: Any) -> dict[str, Any]:
    return page.request.get(page.url.partition("#")[0] + "api/state").json()


def test_two_tabs_wait_for_each_other(page: Any, served: Any) -> None:
    other = page.context.new_page()
    other.goto(served.address)
    other.get_by_text("fruitfly: 6 layers").wait_for()
    write(page, tokens=300)
    write(other, tokens=5)
    run(page)
    page.locator(".token").nth(4).wait_for()
    run(other)
    expect(other.get_by_text("one run comes before")).to_be_visible()
    with suppress(TooLate):  # where it has ended by itself
        page.get_by_role("button", name="Stop").first.click(timeout=5_000)
    ran(other)
    assert len(other.locator(".strip.base .token").all()) <= 5
    page.get_by_label("New tokens").fill("5")
    run(page)
    ran(page)
    assert page.locator(".next").inner_text() == other.locator(".next").inner_text()
    other.close()


def test_a_reload_in_the_middle_loses_nothing_that_was_written(page: Any) -> None:
    write(page, tokens=300)
    run(page)
    page.locator(".token").nth(8).wait_for()
    page.reload()
    page.get_by_text("fruitfly: 6 layers").wait_for()
    assert page.get_by_label("Prompt", exact=True).input_value() == PROMPT
    expect(page.get_by_text("Press Run")).to_be_visible()
    for _ in range(100):
        if not state(page)["waiting"]:
            break
        page.wait_for_timeout(100)
    assert state(page)["waiting"] == 0  # nobody listens to the old run: it has stopped
    page.get_by_label("New tokens").fill("5")
    run(page)
    ran(page)


def test_the_way_back_shows_what_was_seen(page: Any) -> None:
    seen = []
    write(page)
    for prompt in ("One day a fox", "The king said"):
        page.get_by_label("Prompt", exact=True).fill(prompt)
        run(page)
        ran(page)
        seen.append(page.locator(".next").inner_text())
    page.go_back()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("One day a fox")
    assert page.locator(".next").inner_text() == seen[0]
    page.go_forward()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("The king said")
    assert page.locator(".next").inner_text() == seen[1]


@pytest.mark.parametrize(
    "prompt",
    [
        "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\"> <b>bold</b>",
        "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u0645\u0631\u062d\u0628\u0627",
        "\U0001f98a\U0001f468\u200d\U0001f469\u200d\U0001f467 caf\u00e9 e\u0301",
        "a\x07b\x1b[31mc\x7f",
        "{{7*7}} ${x} `code` \\u0041 %s",
    ],
)
def test_a_hostile_prompt_is_text(page: Any, prompt: str) -> None:
    write(page, prompt)
    run(page)
    ran(page)
    assert page.title() == "invivo"
    assert page.locator("main b", has_text="bold").count() == 0
    assert page.locator("main img").count() == 0
    page.locator(".strip.base .token").first.hover()
    expect(page.locator(".place")).to_contain_text("at token 0")
    assert "\ufffd" not in page.locator(".chips").inner_text()
    for name in ("Lens", "Attention"):
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tabpanel").get_by_role("button", name=re.compile("Read every|See where")).click()
        page.get_by_role("tabpanel").get_by_role("grid").wait_for()
        expect(page.get_by_role("tabpanel").get_by_role("alert")).to_have_count(0)


def test_a_prompt_of_ten_thousand_characters_is_refused_at_its_field(page: Any) -> None:
    write(page, "word " * 2000)
    run(page)
    expect(page.get_by_role("alert")).to_contain_text("tokens")
    expect(page.get_by_label("Prompt", exact=True)).to_have_attribute("aria-invalid", "true")


REFUSED = [
    ("Prompt", "", {"prompt": ""}),
    ("tweak as text", "zero hed 1.1", {"tweaks": ["zero hed 1.1"]}),
    ("tweak as text", "zero head 9.9", {"tweaks": ["zero head 9.9"]}),
    ("tweak as text", "zero head 1.1 at 400", {"tweaks": ["zero head 1.1 at 400"]}),
    ("tweak as text", "scale head 1.1 by", {"tweaks": ["scale head 1.1 by"]}),
    ("Seed", "-1", {"seed": -1}),
    ("Temperature", "-2", {"decoding": {"temperature": -2}}),
    ("Top-k", "-1", {"decoding": {"top_k": -1}}),
    ("Top-p", "7", {"decoding": {"top_p": 7}}),
    ("New tokens", "-1", {"decoding": {"max_new_tokens": -1}}),
    ("Wrong answer", " Tom", {"wrong": " Tom"}),
]


@pytest.mark.parametrize(("label", "value", "fields"), REFUSED)
def test_a_refusal_stands_at_its_field_in_the_command_lines_words(
    page: Any,
    fruitfly: Model,
    label: str,
    value: str,
    fields: dict[str, Any],
) -> None:
    write(page)
    plain = {"prompt": PROMPT, "tweaks": ["zero head 1.1"], "decoding": {"max_new_tokens": 5}}
    from invivo.experiment import Experiment

    with pytest.raises(InvivoError) as refusal:
        fruitfly.run(Experiment.of(plain | fields))
    page.get_by_label(label, exact=True).fill(value)
    run(page)
    alert = page.get_by_role("alert").filter(has_text=refusal.value.what.splitlines()[0])
    expect(alert.first).to_be_visible()
    field = page.get_by_label(label)
    expect(field.first).to_have_attribute("aria-invalid", "true")
    gap = field.first.bounding_box()["y"] - alert.first.bounding_box()["y"]
    assert abs(gap) < 110, gap  # beside it, not at the page's end
