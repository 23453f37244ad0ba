"""Labs 10, 09 and 00: beam search against transformers' own, what decoders keep, and what repeats."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from invivo.engine import decode, reading
from invivo.engine.beams import Beams
from invivo.engine.live import Model
from invivo.engine.rows import Row, prepare
from invivo.errors import BadText, InvivoError, Refused
from invivo.experiment import Comparison, Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named
from invivo.metrics import METRICS
from invivo.show.blocks import Strip
from invivo.tweaks import Decoding, Stack

from . import tiny

PROMPT = "the cat sat on the"
STEPS = 12
SAMPLE = [
    "gpt2",
    "gpt_neox",
    "llama",
    "mistral",
    "gemma2",
    "gemma3",
    "opt",
    "qwen3",
    "phi",
    "bloom",
    "falcon",
    "gpt_neo",
]


@pytest.fixture(scope="module", params=SAMPLE)
def model(request: Any) -> Model:
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def gpt2() -> Model:
    return tiny.model("gpt2")


def rows_of(model: Model, *lines: str, prompt: str = PROMPT, **decoding: Any) -> list[Row]:
    living = model.living
    return prepare(living, [Stack.of(t) for t in lines], living.encode(prompt), {}, Decoding(**decoding), 0)


def speak(model: Model, rows: list[Row], prompts: list[str] | None = None, steps: int = STEPS) -> list[decode.Said]:
    ids = [model.living.encode(p) for p in prompts or [PROMPT] * len(rows)]
    return list(decode.generate(model.living, ids, rows, steps))[-1]


def theirs(hf: Any, ids: list[int], beams: int, steps: int = STEPS) -> list[int]:
    """What transformers' beam search says."""
    given = torch.tensor([ids])
    out = hf.generate(
        given,
        attention_mask=torch.ones_like(given),
        num_beams=beams,
        do_sample=False,
        length_penalty=0.0,
        early_stopping=False,
        max_new_tokens=steps,
        pad_token_id=0,
    )
    return out[0, len(ids) :].tolist()


def cut(ids: list[int], ends: set[int]) -> list[int]:
    """Ids up to the first end."""
    stop = next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[:stop]


def test_beams_are_transformers_own_token_by_token(model: Model) -> None:
    ends = decode.end_tokens(model.living)
    greedy = 0
    for prompt in (PROMPT, "Hi", "a dog, and then"):
        ids = model.living.encode(prompt)
        for beams in (2, 3, 5):
            said = speak(model, rows_of(model, f"set beams {beams}", prompt=prompt), [prompt] * 2)
            assert said[1].ids == cut(theirs(model.hf, ids, beams), ends), (prompt, beams)
            greedy += said[0].ids == said[1].ids
    assert greedy < 9, "beams never found another text, so nothing was tested"


@pytest.mark.parametrize(
    "line",
    [
        "zero head 1.2",
        "add noise 0.8 to L1.resid_pre seed 3",
        "scale L1.resid_post by 1.7 during generation",
        "zero L0.attn_out during prompt",
        "zero L1.pattern heads 2 keys 0",
        "add 3 to L0.resid_pre dims 5:9 at 20",
    ],
)
def test_tweaks_act_on_every_draft(gpt2: Model, line: str) -> None:
    """The same tweak inside transformers' own beam search; BASE and other rows of the batch stay as they are."""
    ids, ends = gpt2.living.encode(PROMPT), decode.end_tokens(gpt2.living)
    with gpt2.tweaked(line) as hf:
        wanted = cut(theirs(hf, ids, 4), ends)
    said = speak(gpt2, rows_of(gpt2, "set beams 2", f"{line} + set beams 4", "zero head 0.1"))
    assert said[2].ids == wanted
    assert said[1].ids == cut(theirs(gpt2.hf, ids, 2), ends)
    assert said[2].nats != pytest.approx(speak(gpt2, rows_of(gpt2, "set beams 4"))[1].nats, abs=1e-2)
    plain = speak(gpt2, rows_of(gpt2, "zero head 0.1"))
    assert [said[0].ids, said[3].ids] == [row.ids for row in plain]


@pytest.mark.parametrize("family", ["gpt2", "mistral", "opt"])
def test_the_cache_follows_the_drafts_alone_in_a_batch_and_padded(family: str) -> None:
    """What a beam row says of its own words is what one full pass over its text gives, wherever it stands."""
    model, other = tiny.model(family), "a rather longer one"
    ids = model.living.encode(PROMPT)
    rows = rows_of(model, "set beams 3", "set temperature 1.3", "zero head 1.2 + set beams 5")
    together = speak(model, rows)
    for number in (1, 3):
        base, full = reading.logits_of(model.living, [rows[0], rows[number]], ids + together[number].ids, len(ids))
        nats = full.log_softmax(-1)[len(ids) - 1 : -1].gather(1, torch.tensor(together[number].ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(together[number].nats), nats, rtol=0, atol=2e-4)
        assert number == 1 or float((full - base).abs().max()) > 1e-3
    rows = rows_of(model, "set beams 3", "set temperature 1.3", "zero head 1.2 + set beams 5")
    padded = speak(model, rows, [other, PROMPT, other, PROMPT])
    assert [padded[n].ids for n in (1, 3)] == [together[n].ids for n in (1, 3)]
    torch.testing.assert_close(torch.tensor(padded[3].nats), torch.tensor(together[3].nats), rtol=0, atol=3e-4)


def test_beams_that_hold_everything_find_the_likeliest_text_of_all() -> None:
    """Five tokens, one of them the end, three steps, 64 drafts: nothing is dropped, so it is an exhaustive search."""
    lengths = set()
    for seed in range(12):
        torch.manual_seed(seed)
        tables = {
            prefix: (2 * torch.randn(5) - torch.tensor([1.0, 0, 0, 0, 0])).log_softmax(-1)
            for length in range(3)
            for prefix in itertools.product(range(1, 5), repeat=length)
        }
        texts: dict[tuple[int, ...], float] = {}
        for length in range(1, 4):
            for text in itertools.product(range(5), repeat=length):
                if 0 not in text[:-1] and (text[-1] == 0 or length == 3):
                    texts[text] = sum(float(tables[text[:i]][token]) for i, token in enumerate(text))
        assert sum(math.exp(nats) for nats in texts.values()) == pytest.approx(1, abs=1e-5)
        search = Beams(64, {0})
        for _ in range(3):
            if not search.done:
                search.grow(torch.stack([tables[tuple(draft.ids)] for draft in search.drafts]))
        best = max(texts, key=texts.__getitem__)
        assert tuple(search.leader.ids) == best
        assert search.leader.score == pytest.approx(texts[best], abs=1e-5)
        assert sum(search.leader.nats) == pytest.approx(texts[best], abs=1e-5)
        lengths.add(len(best))
    assert {2, 3} <= lengths


def test_every_number_of_a_comparison_is_there_for_beams(gpt2: Model) -> None:
    asked: dict[str, Any] = dict(target="ab", wrong="ac", read="a mat and a cat", max_new_tokens=8)
    done = gpt2.compare(PROMPT, "set beams 4", "set beams 1", "zero head 1.2 + set beams 3", **asked)
    for name, metric in METRICS.items():
        values = [metric.of(done, row) for row in range(3)]
        greedy = metric.of(gpt2.compare(PROMPT, "zero head 1.2", **asked), 0)
        if name != "parted":
            assert [v is None for v in values] == [greedy is None] * 3, name
        assert all(v is None or math.isfinite(v) for v in values), name
    assert METRICS["said_total"].of(done, 0) == pytest.approx(sum(done.tweaks[0].said_nats))
    assert METRICS["length"].of(done, 0) == len(done.tweaks[0].ids)
    assert max(done.tweaks[0].kl_nats) < 1e-6 < max(done.tweaks[2].kl_nats)
    assert done.tweaks[1].ids == done.base.ids
    assert METRICS["differs"].of(done, 1) == 0
    assert Comparison.from_json(done.to_json()) == done
    searched = gpt2.compare(PROMPT, "set greedy", "set top_k 5", num_beams=4, max_new_tokens=8)
    assert searched.base.ids == done.tweaks[0].ids
    assert searched.tweaks[0].ids == done.base.ids


def test_what_cannot_be_combined_is_refused(gpt2: Model) -> None:
    for line in ("set beams 4 + set top_k 3", "set temperature 2 + set beams 2", "set beams 3 + set greedy"):
        with pytest.raises(BadText, match="two ways to choose"):
            Experiment.of({"prompt": "x", "tweaks": [line]})
    with pytest.raises(BadText, match="sampling draws one"):
        Decoding.of({"num_beams": 4, "do_sample": True})
    for line in ("set beams 0", "set beams 65", "set beams -1"):
        with pytest.raises(InvivoError, match="num_beams"):
            Stack.of(line)
    with pytest.raises(Refused, match="beams are several"):
        gpt2.compare(PROMPT, "send head 0.1 to head 1.2 k from o + set beams 2", prompts={"o": "the dog sat on the"})
    experiment = Experiment.of({"prompt": "x", "decoding": {"num_beams": 4}})
    assert experiment.flags() == ["x", "--beams", "4"]
    assert Experiment.from_yaml(experiment.to_yaml()) == experiment


# ── what decoders keep ───────────────────────────────────────────────────────────────────────────────────────────────


def test_choices_against_counting_by_hand(gpt2: Model) -> None:
    lines = ["set top_k 7", "set top_p 0.6", "set temperature 2 + set top_k 9 + set top_p 0.5", "set temperature 0"]
    shown = gpt2.show("choices", prompt=PROMPT, rows=lines)
    numbers = shown.numbers
    ids = torch.tensor([gpt2.living.encode(PROMPT)])
    with torch.no_grad():
        every = gpt2.hf(ids).logits[0].double().softmax(-1)
    probabilities = sorted(every[-1].tolist(), reverse=True)
    assert numbers["mass_1"] == pytest.approx(sum(probabilities[:7]), abs=1e-5)
    assert [numbers["kept_1"], numbers["kept_4"]] == [7, 1]

    def nucleus(shares: list[float], p: float) -> int:
        total = 0.0
        for count, share in enumerate(shares, start=1):
            total += share
            if total >= p:
                return count
        return len(shares)

    count = nucleus(probabilities, 0.6)
    assert numbers["kept_2"] == count
    assert numbers["reach_2"] == pytest.approx(sum(probabilities[:count]), abs=1e-5)
    assert numbers["spare_2"] == pytest.approx(sum(probabilities[: count - 1]), abs=1e-5)
    counts = [nucleus(sorted(row.tolist(), reverse=True), 0.6) for row in every]
    assert [numbers["fewest_2"], numbers["most_2"]] == [min(counts), max(counts)]
    heated = [math.sqrt(p) for p in probabilities[:9]]
    heated = [p / sum(heated) for p in heated]
    count = nucleus(heated, 0.5)
    kept = [p / sum(heated[:count]) for p in heated[:count]]
    assert numbers["kept_3"] == count
    assert numbers["entropy_3"] == pytest.approx(-sum(p * math.log(p) for p in kept), abs=1e-4)
    assert numbers["top_3"] == pytest.approx(kept[0], abs=1e-5)
    assert Exhibit.from_json(shown.to_json()) == shown
    with pytest.raises(BadText, match="changes the model"):
        gpt2.show("choices", rows=["zero head 1.2"])
    with pytest.raises(BadText, match="whole texts"):
        gpt2.show("choices", rows=["set beams 3"])


def test_beams_without_a_cache_are_beams_with_one(model: Model) -> None:
    shown = model.show("beams", prompt=PROMPT, beams=3, steps=7)
    greedy, beams = speak(model, rows_of(model, "set beams 3"), steps=7)
    assert shown.numbers["best"] == pytest.approx(sum(beams.nats), abs=1e-3)
    assert shown.numbers["greedy"] == pytest.approx(sum(greedy.nats), abs=1e-3)
    assert Exhibit.from_json(shown.to_json()) == shown


# ── the same text again ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["gpt2", "mistral", "bloom"])
def test_repetitions_repeat(family: str) -> None:
    shown = tiny.model(family).show("repeats", prompt="the cat", tokens=12)
    numbers = shown.numbers
    for name in ("greedy", "greedy_seed", "sampled", "batch", "padded", "uncached", "shorter"):
        assert numbers[f"{name}_same"] == 1, name
        assert numbers[f"{name}_apart"] < 2e-4, name
    assert numbers["other_same"] == numbers["off_same"] == 0
    assert "torch" in shown.to_markdown()
    assert Exhibit.from_json(shown.to_json()) == shown


@pytest.mark.parametrize("number", ["00", "09", "10"])
def test_labs_run_on_a_rotary_model_and_exact_claims_hold(number: str) -> None:
    lab, model = lab_named(number), tiny.model("llama")
    short = lab.experiment.model_copy(update={"decoding": Decoding(max_new_tokens=4), "prompt": "the cat"})
    steps = tuple(step for step in lab.steps if step.name != "variety")
    result = model.run_lab(lab.model_copy(update={"steps": steps}), short)
    assert not [step.skipped for step in result.steps if step.skipped]
    assert result.steps[-1].name == "real"
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert any(v.expected for v in result.all_verdicts)
    assert result.takeaway.endswith(".")
    assert LabResult.from_json(result.to_json()) == result
    document = result.document(lab)
    assert sum(isinstance(block, Strip) for block in document.blocks) >= (len(short.tweaks) if lab.all_rows else 2)
