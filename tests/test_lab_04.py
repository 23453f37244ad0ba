"""Lab 04: standard deviations added to a neuron, and the neuron itself, each against another way to compute it."""

from __future__ import annotations

import math
from types import SimpleNamespace as As

import pytest
import torch

from invivo.engine import finders
from invivo.engine.live import Model
from invivo.engine.reference import activations, encoded, spreads
from invivo.errors import BadText, OutOfRange, Refused
from invivo.experiment import Experiment, LabResult
from invivo.experiment.exhibit import Exhibit
from invivo.labs import lab_named
from invivo.tweaks import AddSd, Stack, read_tweak
from invivo.tweaks.sentences import SENTENCES

from . import tiny

PROMPT, TEXT = "the cat sat", "a dog ran to the old gate"
LAB = lab_named("04")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def by_hand(model: Model, place: str, texts: tuple[str, ...]) -> torch.Tensor:
    """The standard deviation of a place over texts, each read by itself."""
    most = model.living.anatomy.context
    seen = [model.capture(text[:most], place)[place][1:].double() for text in texts]
    return torch.cat(seen).std(0, correction=0)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "mistral"])
def test_texts_read_together_are_the_texts_read_one_by_one(family: str) -> None:
    model = tiny.model(family)
    texts = ("a dog", "the end of it all", "", "no", "x")
    rows = encoded(model.living, texts)
    for number, values in activations(model.living, rows, [(1, "mlp_post"), (1, "v")]):
        for where, place in (((1, "mlp_post"), "L1.mlp_post"), ((1, "v"), "L1.v")):
            alone = model.capture(texts[number], place)[place]
            assert torch.allclose(values[where], alone, atol=1e-5), (texts[number], place)


@pytest.mark.parametrize("place", ["L1.mlp_post", "L1.z", "embed", "pos_embed", "L2.resid_post", "final_norm"])
def test_the_standard_deviation_is_that_of_the_sentences(model: Model, place: str) -> None:
    layer, _, site = place.rpartition(".")
    where = (int(layer[1:]) if layer else None, site)
    assert torch.allclose(
        spreads(model.living, TEXT, [where])[where].double(), by_hand(model, place, (TEXT,)), atol=1e-5
    )
    short = tuple(s[: model.living.anatomy.context] for s in SENTENCES)
    assert torch.allclose(spreads(model.living, None, [where])[where].double(), by_hand(model, place, short), atol=1e-5)


def test_adding_standard_deviations_is_adding_that_number(model: Model) -> None:
    sd = float(by_hand(model, "L1.mlp_post", (TEXT,))[7])
    line, same = f'add 2 sd to neuron 1.7 from "{TEXT}"', f"add {2 * sd} to neuron 1.7"
    one, other = (model.compare(PROMPT, x, max_new_tokens=3).tweaks[0] for x in (line, same))
    assert one.ids == other.ids
    assert one.kl_nats == pytest.approx(other.kl_nats, abs=1e-6)
    assert max(one.kl_nats) > 1e-4
    ids = torch.tensor([model.living.encode(PROMPT)])
    logits = []
    for x in (line, same, "add 0 sd to neuron 1.7"):
        with model.tweaked(x):
            logits.append(model.hf(ids).logits.detach())
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert torch.equal(logits[2], model.hf(ids).logits.detach())
    assert not torch.allclose(logits[0], logits[2], atol=1e-3)


def test_each_unit_and_each_head_has_its_own(model: Model) -> None:
    for place in ("L1.mlp_post neurons 3,9", "L1.z heads 1,3 dims 2,5", "L1.z heads 2", "L1.resid_pre at 1"):
        before = model.capture(PROMPT, place)[place]
        after = model.capture(PROMPT, place, tweak=f'add 3 sd to {place} from "{TEXT}"')[place]
        whole = place.removesuffix(" at 1")
        expected = 3 * by_hand(model, whole, (TEXT,))
        assert torch.allclose((after - before).double(), expected.expand(before.shape), atol=1e-4), place
        assert float(expected.std()) > 0.01


def test_a_sweep_and_a_lines_own_run_agree(model: Model) -> None:
    grid = model.sweep("add 3 sd to neuron 1.*", PROMPT)
    slow = model.sweep("add 3 sd to neuron 1.*", PROMPT, exact=True)
    assert grid.values[0] == pytest.approx(slow.values[0], abs=1e-4)
    one = model.compare(PROMPT, "add 3 sd to neuron 1.5", max_new_tokens=1).tweaks[0]
    assert grid.values[0][5] == pytest.approx(one.kl_nats[len(PROMPT) - 1], abs=1e-4)
    doses = model.sweep("add * sd to neuron 1.5", PROMPT, values=(0, 3))
    assert doses.values[0] == pytest.approx((0.0, grid.values[0][5]), abs=1e-4)


def test_the_line_is_read_and_written_and_mistakes_are_told(model: Model) -> None:
    line = f'add 2 sd to neuron 3.49 at -1 from "{TEXT}" during prompt'
    tweak = read_tweak(line)
    assert isinstance(tweak, AddSd)
    assert (tweak.amount, tweak.text, str(tweak)) == (2, TEXT, line)
    plan = Experiment.of({"prompt": "x", "tweaks": [line, "add -0.5 sd to head 1.2"]})
    assert Experiment.from_yaml(plan.to_yaml()) == plan
    assert Experiment.model_validate_json(plan.model_dump_json()) == plan
    with pytest.raises(BadText, match="no standard deviation"):
        Stack.of("add 1 sd to L1.pattern")
    with pytest.raises(BadText, match="too few tokens"):
        model.compare(PROMPT, 'add 1 sd to neuron 1.1 from "ab"')
    with pytest.raises(OutOfRange, match="neuron 999"):
        model.compare(PROMPT, "add 1 sd to neuron 1.999")
    with model.tweaked("zero head 1.1") as net:
        with pytest.raises(Refused, match="BASE"), model.tweaked("add 1 sd to neuron 1.1"):
            pass
        net(torch.tensor([model.living.encode(PROMPT)]))


@pytest.mark.parametrize("family", ["gpt2", "llama", "phi3", "opt"])
def test_what_a_neuron_says_is_what_its_logits_gain(family: str) -> None:
    model = tiny.model(family)
    texts = [TEXT, "the end is near", "snow fell"]
    shown = model.show("neuron", neuron="2.3", prompt=PROMPT, sentences=texts, doses=[0, 1, 2])
    post = torch.cat([model.capture(t, "L2.mlp_post")["L2.mlp_post"][1:, 3].double() for t in (*texts, PROMPT)])
    assert shown.numbers["sd"] == pytest.approx(float(post.std(correction=0)), rel=1e-4)
    assert shown.numbers["mean"] == pytest.approx(float(post.mean()), rel=1e-4, abs=1e-6)
    assert shown.numbers["peak"] == pytest.approx(float(post.max()), rel=1e-4)
    assert shown.numbers["active_share"] == pytest.approx(float((post > 0).double().mean()))
    token = int(shown.numbers["promoted_id"])
    ids = torch.tensor([model.living.encode(PROMPT)])
    step = 1e-2  # in the last layer nothing reads the neuron but the end; the norm's scale is held, so compare shapes
    with model.tweaked(f"add {step} to neuron 2.3 at -1"):
        up = model.hf(ids).logits[0, -1].double().detach()
    gain = (up - model.hf(ids).logits[0, -1].double().detach()) / step
    assert int((gain).argmax()) == token or float(gain.max() - gain[token]) < 0.2 * float(gain.abs().max())
    for dose in (0, 1, 2):
        with model.tweaked(f"add {dose} sd to neuron 2.3"):
            logit = float(model.hf(ids).logits[0, -1, token])
        assert shown.numbers[f"logit_{dose}"] == pytest.approx(logit, abs=1e-4)
    assert shown.numbers["input_rest"] == pytest.approx(0.0, abs=1e-4)
    assert abs(shown.numbers["input"]) > 1e-3
    assert Exhibit.from_json(shown.to_json()) == shown


def test_a_neurons_direct_logits_are_its_row_through_norm_and_head(model: Model) -> None:
    shown = model.show("neuron", neuron="0.3", prompt=PROMPT, sentences=(TEXT,), doses=(0,))
    net = model.hf.transformer
    x = model.capture(PROMPT, "L2.resid_post")["L2.resid_post"][-1].double()
    row = net.h[0].mlp.c_proj.weight[3].double()
    scale = (x.var(correction=0) + net.ln_f.eps).sqrt()
    logits = ((row - row.mean()) / scale * net.ln_f.weight.double()) @ model.hf.lm_head.weight.double().t()
    assert int(shown.numbers["promoted_id"]) == int(logits.argmax())
    assert shown.numbers["promoted_logit_per_sd"] == pytest.approx(float(logits.max()) * shown.numbers["sd"], rel=1e-3)


def test_where_a_norm_follows_the_mlp_that_is_said() -> None:
    shown = tiny.model("gemma2").show("neuron", neuron="1.3", prompt=PROMPT, sentences=(TEXT,))
    assert "promoted_id" not in shown.numbers
    assert "A norm follows this MLP" in shown.to_markdown()
    assert math.isfinite(shown.numbers["peak"])
    for wrong in ("1.0:3", "1.999", "x"):
        with pytest.raises((BadText, OutOfRange)):
            tiny.model().show("neuron", neuron=wrong, prompt=PROMPT)


def test_the_outspoken_neuron_adds_most_to_one_logit(model: Model) -> None:
    asked = Experiment.of({"prompt": PROMPT})
    found = finders.outspoken_neuron(model.living, asked)
    layer, index = map(int, found.removeprefix("neuron ").split("."))
    assert layer == 2
    net = model.hf.transformer
    x = model.capture(PROMPT, "L2.resid_post")["L2.resid_post"][-1].double()
    rows = net.h[2].mlp.c_proj.weight.double()  # (F, D)
    scale = (x.var(correction=0) + net.ln_f.eps).sqrt()
    logits = ((rows - rows.mean(1, keepdim=True)) / scale * net.ln_f.weight) @ model.hf.lm_head.weight.double().t()
    sd = by_hand(model, "L2.mlp_post", tuple(s[:64] for s in SENTENCES))
    assert int(((logits.amax(1) - logits.mean(1)) * sd).argmax()) == index
    assert finders.outspoken_neuron(tiny.model("gemma2").living, asked).startswith("neuron 2.")
    with pytest.raises(Refused, match="offers no mlp_post"):
        tiny.model("qwen3_moe").run_lab(LAB)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_lab_runs_elsewhere_and_its_exact_claims_hold(family: str) -> None:
    model = tiny.model(family)
    decoding = LAB.experiment.decoding.model_copy(update={"max_new_tokens": 3})
    own = LAB.experiment.model_copy(update={"prompt": PROMPT, "target": "x", "decoding": decoding})
    result = model.run_lab(LAB, own)
    assert [step.skipped for step in result.steps] == [""] * len(LAB.steps)
    assert all(v.holds for v in result.all_verdicts if v.expected)
    assert sum(v.expected for v in result.all_verdicts) == 3
    assert LabResult.from_json(result.to_json()) == result


def test_a_neuron_on_the_command_line_is_text_and_no_number() -> None:
    from invivo.engine.exhibits import exhibit_named
    from invivo.surfaces.cli.show import read

    found = read(["neuron=3.10", "top=2", "doses=[0, 3]"], exhibit_named("neuron").settings)
    assert found == {"neuron": "3.10", "top": 2, "doses": [0, 3]}


def test_the_readers_own_prompt_and_answer_reach_every_step() -> None:
    def prompts(**changes: str) -> list[tuple[str, ...]]:
        plan = LAB.experiment.model_copy(update=changes)
        recipes = {step.name: step.recipe(plan).plain() for step in LAB.steps}
        assert recipes["neuron"]["settings"]["prompt"] == plan.prompt
        assert recipes["real"]["case"]["target"] == plan.target
        return [
            tuple(case["prompt"] for case in recipes["curve"]["cases"]),
            (recipes["real"]["case"]["prompt"], *recipes["real"].get("prompts", ())),
        ]

    assert prompts(prompt="x", target=" y") == [("x",), ("x",)]
    for found in prompts(prompt="The fox stopped and"):
        assert len(set(found)) == len(found) == 5
        assert found[0] == "The fox stopped and"


def test_every_claim_can_hold_and_can_fail(model: Model) -> None:
    tweaks = [f"add {dose} sd to neuron 1.5" for dose in (0, 5, 10, 20)]
    one = model.compare(PROMPT, *tweaks, target="x", max_new_tokens=2)

    def held(*nats: float, zero: int = 0) -> list[bool]:
        rows = [row.model_copy(update={"target_nats": n}) for row, n in zip(one.tweaks, nats, strict=True)]
        rows[0] = one.tweaks[zero].model_copy(update={"tweak": rows[0].tweak, "target_nats": nats[0]})
        return [claim.holds(one.model_copy(update={"tweaks": tuple(rows)})) for claim in LAB.claims]

    assert held(-3, -2, -1.5, -2.5) == [True, True, True]
    assert held(-3, -2, -1.5, -2.5, zero=3) == [False, True, True]
    assert held(-3, -3, -1, 0) == [True, False, True]
    assert held(-3, -2, -1, -2.6) == [True, True, False]
    assert held(math.nan, -2, -1, 0) == [True, False, False]


def test_every_claim_of_a_step_can_hold_and_can_fail() -> None:
    claims = {step.name: [claim.holds for claim in step.claims] for step in LAB.steps}
    climbs, adds_up = claims["neuron"]
    numbers = {"logit_-5": 1.0, "logit_0": 2.0, "logit_10": 3.0, "logit_5": 2.5, "peak": 1.0, "input_rest": 1e-5}
    assert [climbs(As(numbers=numbers)), adds_up(As(numbers=numbers))] == [True, True]
    assert not climbs(As(numbers=numbers | {"logit_5": 3.5}))
    assert not adds_up(As(numbers=numbers | {"input_rest": 0.1}))
    still, rises = claims["curve"]
    assert [f(As(effects=(-2.0, -1.0, 0.0, 1.0, 2.0, 1.0, 1.0))) for f in (still, rises)] == [True, True]
    assert [f(As(effects=(0.0, 0.0, 0.1, 0.05, 2.0, 3.0, 4.0))) for f in (still, rises)] == [False, False]
    beats, same = claims["real"]
    assert [f(As(beaten=36, same_sign=3, prompts=("a",) * 5)) for f in (beats, same)] == [True, True]
    assert [f(As(beaten=35, same_sign=2, prompts=("a",) * 5)) for f in (beats, same)] == [False, False]
