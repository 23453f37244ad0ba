"""What is shown of a result: the words carry the real numbers, and change when the numbers do."""

from __future__ import annotations

import io
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from invivo.errors import UnknownName
from invivo.experiment import Candidate, Claim, Comparison, Lab, LabResult, Verdict
from invivo.experiment.drawings import PICTURES, draw
from invivo.experiment.views import comparison_document, lab_document
from invivo.experiment.wording import doing, percent, share_shift, shared, shift
from invivo.pictures import Bars, Lines
from invivo.show.blocks import Code, Document, Heading, Points, Strip, Table, Text
from invivo.tweaks import Stack
from tests.samples import HOSTILE, OTHER, SAID, comparison

B = TypeVar("B")
SLICES = tuple(f"zero embed dims 0:{width}" for width in (16, 32, 64, 128))


def blocks(document: Document, kind: type[B]) -> list[B]:
    return [block for block in document.blocks if isinstance(block, kind)]


def a_lab(c: Comparison, **changes: object) -> Lab:
    fields: dict[str, object] = dict(
        number="02",
        name="head_ablation",
        section=1,
        title="Head ablation",
        why="Why.",
        know=("One.", "Two."),
        experiment=c.recipe,
        numbers=("kl_next", "target"),
        pictures=("next_tokens", "kl_by_position"),
        look_for="Look.",
        takeaway=lambda c: "t",
        claims=(Claim(text="C.", holds=lambda c: True),),
        questions=("A?", "B?", "C?"),
        sources=("S.",),
    )
    return Lab.of(fields | changes)


def result(c: Comparison, *verdicts: Verdict) -> LabResult:
    return LabResult(lab="02_head_ablation", comparison=c, takeaway="Kept line.", verdicts=verdicts)


# ── a comparison ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_base_stands_first_then_each_tweak_in_order():
    base, one, two = blocks(comparison_document(comparison("zero head 3.5", "set temperature 0")), Strip)
    assert (base.label, base.tokens, base.parted_at) == ("BASE", SAID, None)
    assert (one.label, one.tokens, one.parted_at) == ("TWEAK zero head 3.5", OTHER, 5)
    assert two.label == "TWEAK set temperature 0"
    assert base.probabilities[0] == pytest.approx(0.9048, abs=1e-4)
    assert base.prompt == one.prompt == comparison().recipe.prompt


def test_the_numbers_stand_side_by_side_with_their_units():
    numbers, after = blocks(comparison_document(comparison()), Table)
    assert numbers.columns == ("", "BASE", "TWEAK")
    cells = {row[0]: row[1:] for row in numbers.rows}
    assert cells["KL after the prompt"] == ("–", "0.775 nats")
    assert cells["log-probability of the target"] == ("−0.48 nats", "−0.79 nats")
    assert "entropy of the decoder's choice" not in cells  # greedy leaves no choice
    assert after.rows[:3] == (
        ("·Mary", "62.0", "31.0", "▼ −31.0"),
        ("·John", "11.0", "42.0", "▲ +31.0"),
        ("·the", "5.0", "5.0", "0.0"),
    )


def test_many_rows_are_listed_one_below_the_other():
    numbers, after = blocks(comparison_document(comparison(*SLICES)), Table)
    assert [row[0] for row in numbers.rows] == ["BASE", *SLICES]
    assert numbers.columns[1] == "log-probability of the target, nats"
    assert numbers.rows[-1][1] == "−0.79"
    assert after.caption == SLICES[-1]  # the row that moved the prediction most
    few, *nexts = blocks(comparison_document(comparison(*SLICES[:3])), Table)
    assert few.columns == ("", "BASE", *SLICES[:3])
    assert [table.caption for table in nexts] == list(SLICES[:3])


def test_a_comparison_without_tweaks_shows_base():
    c = comparison().model_copy(update={"tweaks": ()})
    [strip], [after] = blocks(comparison_document(c), Strip), blocks(comparison_document(c), Table)
    assert strip.role == "base"
    assert after.rows[0] == ("·Mary", "62.0")


def test_notes_and_the_recipe_are_shown():
    c = comparison("zero head 3.5", "zero head 3.6")
    noted = c.model_copy(
        update={
            "notes": ("stopped early",),
            "tweaks": (c.tweaks[0], c.tweaks[1].model_copy(update={"notes": ("changed nothing",)})),
        }
    )
    assert [t.text for t in blocks(comparison_document(noted), Text) if t.tone == "note"] == [
        "stopped early",
        "`zero head 3.6`: changed nothing",
    ]
    assert not [t for t in blocks(comparison_document(c), Text) if t.tone == "note"]
    prompt, command = blocks(comparison_document(c), Code)
    assert (prompt.text, prompt.language) == (c.recipe.prompt, "text")
    assert (command.text, command.language) == (c.recipe.to_cli(), "sh")


def test_other_prompts_are_shown_by_name():
    c = comparison("copy L3.resid_pre at 5 from clean", prompts={"clean": "When Tom"})
    assert "clean: When Tom" in [code.text for code in blocks(comparison_document(c), Code)]


def test_every_door_shows_a_hostile_comparison_safely():
    c = comparison(prompt=(HOSTILE, " x"), said=(HOSTILE, "y"))
    out = Console(file=io.StringIO(), width=200)
    out.print(c)
    terminal = out.file.getvalue()  # type: ignore[attr-defined]
    for text in (terminal, c._repr_html_(), c.to_markdown(), str(c)):
        assert r"\x1b[31m" in text
        assert not set(text) & set("\x1b\u202e")
    assert "[bold]red[/]" in terminal
    assert "<script" not in c._repr_html_() + c.to_markdown()


# ── a lab ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lab_is_told_in_its_order():
    c = comparison()
    document = lab_document(a_lab(c), result(c, Verdict(text="C.", holds=True, expected=True)))
    heads = [h.text for h in blocks(document, Heading)]
    assert heads == [
        "Lab 02 · Head ablation",
        "What to know",
        "What it says",
        "The numbers that matter",
        "What to look for",
        "Does it hold?",
        "What to try next",
        "Sources",
        "Run it again",
    ]
    assert [f.name for f in document.figures] == ["02-next-tokens", "02-kl-by-position"]
    assert [t.text for t in blocks(document, Text) if t.tone == "takeaway"] == ["Kept line."]
    assert [p.items for p in blocks(document, Points) if p.numbered] == [("A?", "B?", "C?")]
    [numbers] = blocks(document, Table)
    assert [row[0] for row in numbers.rows] == ["KL after the prompt", "log-probability of the target"]
    assert numbers.rows[1][1:3] == ("−0.48 nats", "−0.79 nats")
    assert numbers.rows[0][3] == "how far the tweak moved the very next prediction; 0 is not at all"


def test_the_hero_row_is_shown_and_drawn():
    c = comparison(*SLICES)
    for hero, row in ((-1, 3), (1, 1)):
        document = lab_document(a_lab(c, hero=hero), result(c))
        _, tweak = blocks(document, Strip)
        assert tweak.label == f"TWEAK {SLICES[row]}"
        assert document.figures[0].picture.summary.startswith(f"Zeroing embed dims {SLICES[row].split()[-1]}")
        assert f"TWEAK is row {row + 1} of 4." in [t.text for t in blocks(document, Text)]


def test_only_an_expected_claim_gets_a_verdict():
    verdicts = (
        Verdict(text="A.", holds=True, expected=True),
        Verdict(text="B.", holds=False, expected=True),
        Verdict(text="C.", holds=False, expected=False),
        Verdict(text="D.", holds=True, expected=False),
    )
    c = comparison()
    [items] = [p.items for p in blocks(lab_document(a_lab(c), result(c, *verdicts)), Points) if p.items[0][0] in "✓✗"]
    assert items == (
        "✓ A.",
        "✗ B.",
        "C. (Not claimed for this model; here it does not hold.)",
        "D. (Not claimed for this model; here it holds.)",
    )


def test_a_lab_as_it_stands_is_run_again_by_its_number():
    c = comparison()

    def last(lab: Lab) -> str:
        return blocks(lab_document(lab, result(c)), Code)[-1].text

    assert last(a_lab(c)) == "invivo run 02"
    assert last(a_lab(c, experiment=comparison("zero head 0.0").recipe)) == c.recipe.to_cli()


def test_a_lab_and_its_figures_go_through_json():
    c = comparison(*SLICES)
    document = lab_document(a_lab(c, pictures=tuple(PICTURES)), result(c))
    again = Document.model_validate_json(document.model_dump_json())
    assert again == document
    assert again.figures[0].picture != again.figures[1].picture


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_next_tokens_says_what_moved_and_by_how_much():
    picture = draw("next_tokens", comparison())
    assert isinstance(picture, Bars)
    assert picture.summary == (
        "Zeroing head 3.5 lowers ' Mary' from 62 % to 31 %; ' John', with 42 %, takes the lead from ' Mary'."
    )
    assert picture.series[0].values[:2] == pytest.approx((62, 11))
    assert picture.series[1].values[:2] == pytest.approx((31, 42))
    assert [s.role for s in picture.series] == ["base", "tweak"]
    assert draw("next_tokens", comparison(strength=0.1)).summary == (
        "Zeroing head 3.5 lowers ' Mary' from 62 % to 52 %."
    )


def test_next_tokens_says_so_when_nothing_moved():
    c = comparison("set temperature 2")
    still = tuple(Candidate(id=x.id, text=x.text, base=x.base, tweak=x.base) for x in c.tweaks[0].next)
    c = c.model_copy(update={"tweaks": (c.tweaks[0].model_copy(update={"next": still}),)})
    assert draw("next_tokens", c).summary == (
        "Setting temperature 2 leaves the next token as it was: ' Mary' is the likeliest, with 62 %."
    )


def test_kl_by_position_names_the_prediction_that_moved_most():
    picture = draw("kl_by_position", comparison())
    assert isinstance(picture, Lines)
    assert picture.summary == (
        "Zeroing head 3.5 moves the prediction after ' to' (position 12) most: KL 0.78 nats, "
        "against 0.13 on average over 28 positions."
    )
    assert picture.x_labels is not None
    assert picture.x_labels[12:15] == ("·to", "·Mary", ".")
    assert "moves no prediction" in draw("kl_by_position", comparison(strength=0.0)).summary


def test_entropy_by_position_says_which_way_it_went():
    assert draw("entropy_by_position", comparison()).summary == (
        "Zeroing head 3.5 raises the model's entropy from 1.67 to 1.98 nats on average; the largest change, +0.31 "
        "nats, is after 'When' (position 0)."
    )
    down, still = (draw("entropy_by_position", comparison(strength=s)).summary for s in (-0.1, 0.0))
    assert "lowers the model's entropy from 1.67 to 1.57" in down
    assert "leaves the model's entropy as it was" in still


def test_dose_goes_from_base_through_the_rows_of_its_kind():
    picture = draw("dose", comparison("scale embed by 1", *SLICES))
    assert isinstance(picture, Lines)
    assert picture.x_labels == ("BASE", "0:16", "0:32", "0:64", "0:128")
    assert picture.x_name == "zero embed dims …"
    assert picture.y_name == "perplexity of the text read"
    assert picture.series[0].values == (21.4,) * 5
    assert picture.series[1].values[0] is None
    assert picture.series[1].values[-1] == pytest.approx(21.4 * 1.93)
    assert picture.summary == (
        "From BASE to “zero embed dims 0:128”, perplexity of the text read rises from 21.4 to "
        "41.3, further at every step."
    )
    assert "falls from 21.4 to 15.0" in draw("dose", comparison(*SLICES, strength=-0.1)).summary
    assert "is 21.40, as in BASE." in draw("dose", comparison(strength=0.0)).summary


def test_dose_takes_the_first_number_that_there_is():
    c = comparison(*SLICES)
    bare = c.model_copy(update={"tweaks": tuple(t.model_copy(update={"read_perplexity": None}) for t in c.tweaks)})
    picture = draw("dose", bare)
    assert isinstance(picture, Lines)
    assert picture.y_name == "log-probability of the target, nats"
    blank = {"read_perplexity": None, "target_nats": None}
    bare = c.model_copy(update={"tweaks": tuple(t.model_copy(update=blank) for t in c.tweaks)})
    picture = draw("dose", bare)
    assert isinstance(picture, Lines)
    assert picture.y_name == "KL, mean over positions, nats"
    assert picture.series[0].values[0] == 0.0


def test_rows_puts_every_row_beside_base():
    picture = draw("rows", comparison(*SLICES))
    assert isinstance(picture, Bars)
    assert picture.labels == ("BASE", *SLICES)
    assert [picture.series[0].values[0], picture.series[1].values[-1]] == pytest.approx([-0.48, -0.79])
    assert picture.series[1].values[0] is picture.series[0].values[1] is None
    assert picture.summary == (
        "Of 4 TWEAK rows, “zero embed dims 0:128” is farthest from BASE in log-probability of the target: −0.79 nats "
        "against BASE's −0.48 nats; the median row has −0.67 nats."
    )


def test_rows_takes_a_number_that_differs():
    c = comparison("set temperature 0", "set temperature 1")
    rows = tuple(
        t.model_copy(update={"target_nats": None, "kl_nats": (0.0,) * 28, "choice_entropy_nats": (float(i), 1.0 + i)})
        for i, t in enumerate(c.tweaks)
    )
    picture = draw("rows", c.model_copy(update={"tweaks": rows}))
    assert isinstance(picture, Bars)
    assert picture.unit == "entropy of the decoder's choice, nats"
    assert picture.series[1].values == (None, 0.5, 1.5)
    rows = tuple(t.model_copy(update={"choice_entropy_nats": (0.0,), "ids": (1, 2, 1, 2, 3)}) for t in rows)
    picture = draw("rows", c.model_copy(update={"tweaks": rows}))
    assert isinstance(picture, Bars)
    assert picture.unit == "distinct pairs of tokens, %"
    assert picture.series[1].values == (None, 75.0, 75.0)
    assert "75.0 % against BASE's 100.0 %" in picture.summary


def test_an_unknown_picture_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'kl_by_position'"):
        draw("kl_by_postion", comparison())


@pytest.mark.parametrize("name", PICTURES)
@given(strength=st.floats(0, 0.5), token=st.text(min_size=1, max_size=6))
def test_every_picture_says_one_sentence_of_any_result(name: str, strength: float, token: str):
    c = comparison(*SLICES[:2], prompt=("a", token), base=(token, "b"), said=("c",), strength=strength)
    picture = draw(name, c)
    assert picture.summary.endswith(".")
    assert not set(picture.summary) & set("\x1b\n\u202e")
    assert any(char.isdigit() for char in picture.summary)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tweak_opens_a_sentence():
    assert doing(Stack.of("zero head 3.5 + add 2 to resid 2")) == "Zeroing head 3.5 and adding 2 to L2.resid_pre"
    assert doing(Stack.of("mean logits + copy L3.z from a")) == "Averaging logits and copying L3.z from a"
    assert doing(Stack.of(["zero head 0.0"] * 4)) == "A stack of 4 tweaks"


def test_changes_are_told_apart():
    assert share_shift(0.62, 0.31) == "from 62 % to 31 %"
    assert share_shift(0.6201, 0.6189) == "from 62.01 % to 61.89 %"
    assert share_shift(0.2, 0.00004) == "from 20 % to <0.1 %"
    assert shift(2.314, 2.95, "nats") == "from 2.31 to 2.95 nats"
    assert shift(2.3141, 2.3142) == "from 2.3141 to 2.3142"
    assert [percent(p) for p in (0.0, 0.0004, 0.031, 0.0996, 1.0)] == ["0.0 %", "<0.1 %", "3.1 %", "10 %", "100 %"]


def test_lines_share_what_they_share():
    assert shared(["scale head 3.5 by 2", "scale head 3.5 by 4"]) == ("scale head 3.5 by …", ["2", "4"])
    assert shared(["add noise 1 to resid 2", "add noise 3 to resid 2"]) == ("add noise … to resid 2", ["1", "3"])
    assert shared(["zero head 0.0", "mean logits"]) == ("", ["zero head 0.0", "mean logits"])
    assert shared(["zero embed", "zero embed dims 0:2"]) == ("", ["zero embed", "zero embed dims 0:2"])
    assert shared(["zero embed"]) == ("", ["zero embed"])


WORDS = st.lists(st.sampled_from(["a", "b", "1"]), min_size=1, max_size=5).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_shared_words_and_own_words_make_the_line_again(lines: list[str]):
    common, own = shared(lines)
    assert [common.replace("…", part) if common else part for part in own] == lines
