"""Exhibits: each found by itself, run on small models, read back from JSON; their numbers against another way."""

from __future__ import annotations

import pytest
import torch

from invivo.engine.exhibits import all_exhibits
from invivo.engine.live import Model
from invivo.errors import BadText, UnknownName
from invivo.experiment import Experiment, LabResult, Step
from invivo.experiment.exhibit import Exhibit, ExhibitRecipe
from invivo.labs import lab_named
from invivo.surfaces.cli.show import read

from . import tiny

PROMPT = "the cat sat"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def test_the_norm_is_pytorchs_own(model: Model) -> None:
    shown = model.show("norm", prompt=PROMPT, layer=1)
    before = model.capture(PROMPT, "L1.resid_pre")["L1.resid_pre"][-1].detach()
    with torch.no_grad():
        after = model.hf.transformer.h[1].ln_1(before)
    assert shown.numbers["length_before"] == pytest.approx(float(before.norm()), rel=1e-5)
    assert shown.numbers["sd_after"] == pytest.approx(float(after.std(correction=0)), rel=1e-4)
    (picture,) = (f.picture for f in shown.document().figures)
    assert torch.allclose(torch.tensor(picture.series[1].values), after.detach()[:64], atol=1e-5)  # type: ignore[union-attr]


def test_an_exhibit_survives_json_and_can_be_a_labs_step(model: Model) -> None:
    step = Step(
        name="norm",
        title="A norm",
        text="-",
        recipe=lambda e: ExhibitRecipe(name="norm", settings={"prompt": e.prompt, "layer": 1}, **e.on),
    )
    lab = lab_named("02").model_copy(update={"steps": (step,)})
    own = Experiment.of({"prompt": PROMPT, "tweaks": ["zero head 1.2"], "decoding": {"max_new_tokens": 2}})
    result = model.run_lab(lab, own)
    (done,) = result.steps
    assert isinstance(done.result, Exhibit)
    assert done.command == f"invivo show norm --model {model.name} 'prompt={PROMPT}' layer=1"
    assert LabResult.from_json(result.to_json()) == result


def test_mistakes_name_the_nearest(model: Model) -> None:
    with pytest.raises(UnknownName, match="norn"):
        model.show("norn")
    with pytest.raises(BadText, match="unknown field 'layr'") as caught:
        model.show("norm", layr=1)
    assert "layer" in (caught.value.hint or "")
    with pytest.raises(BadText, match="no value"):
        read(["layer"])
    assert read(["layer=2", "prompt=a: b", "doses=[1, 2]", "word=yes"]) == {
        "layer": 2,
        "prompt": "a: b",
        "doses": [1, 2],
        "word": "yes",
    }


def test_every_exhibit_is_described() -> None:
    for name, kind in all_exhibits().items():
        assert kind.title, name
        assert kind.show.__doc__, name
        assert all(f.description for f in kind.settings.model_fields.values()), name
