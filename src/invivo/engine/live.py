"""`load` and the `Model` it returns: what people hold in their hands. Each method is one call into the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import Refused
from ..experiment import Comparison, Experiment, Lab, LabResult, Verdict
from ..model.load import load as load_weights
from ..sites import Place
from ..tweaks import Decoding, Stack, Tweak
from . import compare
from .compare import OnToken
from .forward import Where, watched
from .living import Living, TokenInfo, wake
from .packed import packed
from .rows import actions_for_all, check_effect


def load(
    name_or_path: str = "fruitfly",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    allow_remote_code: bool = False,
) -> Model:
    """Load a model and check it: fruitfly by default, or any Hugging Face causal LM by hub id or folder.

    Raises InvivoError: an unknown name, pickled weights or foreign code that were not asked for, a model whose
    attention we cannot follow exactly.
    """
    return Model(
        wake(
            load_weights(
                name_or_path,
                device=device,
                dtype=dtype,
                revision=revision,
                allow_pickle=allow_pickle,
                allow_remote_code=allow_remote_code,
            )
        )
    )


class Model:
    """A living model: compare, capture, or use it as the plain Hugging Face model it is (`.hf`)."""

    def __init__(self, living: Living) -> None:
        self.living = living

    @property
    def hf(self) -> Any:
        """The Hugging Face model itself."""
        return self.living.hf

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.living.tokenizer

    @property
    def name(self) -> str:
        """What it was loaded as."""
        return self.living.name

    @property
    def revision(self) -> str:
        """Which weights exactly."""
        return self.living.revision

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self.living.device)

    @property
    def dtype(self) -> str:
        """Number format of its weights."""
        return str(self.living.dtype).removeprefix("torch.")

    @property
    def sites(self) -> list[str]:
        """Short names of the sites it offers."""
        return self.living.anatomy.offered

    def tokens(self, text: str) -> list[TokenInfo]:
        """The tokens of a text."""
        return [self.living.piece(i) for i in self.living.encode(text, "text")]

    def experiment(self, prompt: str, *tweaks: str | Tweak | Stack, **fields: Any) -> Experiment:
        """An Experiment on this model. Decoding fields (temperature, max_new_tokens …) may be given beside its own."""
        decoding = {k: fields.pop(k) for k in list(fields) if k in Decoding.model_fields}
        if decoding:
            given = fields.get("decoding", Decoding())
            fields["decoding"] = (given.model_dump() if isinstance(given, Decoding) else dict(given)) | decoding
        return Experiment.of({"prompt": prompt, "tweaks": list(tweaks), "model": self.name, **fields})

    def compare(
        self, prompt: str, *tweaks: str | Tweak | Stack, on_token: OnToken | None = None, **fields: Any
    ) -> Comparison:
        """BASE against one TWEAK row for each of `tweaks`, with the same dice.

        Further fields are those of Experiment and Decoding.

        >>> model.compare("Once upon a time", "zero head 3.5", max_new_tokens=20)  # doctest: +SKIP
        """
        return self.run(self.experiment(prompt, *tweaks, **fields), on_token=on_token)

    def run(self, experiment: Experiment, *, on_token: OnToken | None = None) -> Comparison:
        """Run an experiment that was written for this model."""
        return compare.run(self.living, experiment, on_token)

    def run_lab(self, lab: Lab, experiment: Experiment | None = None, *, on_token: OnToken | None = None) -> LabResult:
        """Run a lab, as it is or with another experiment, and check its claims: with other tweaks there are none."""
        planned = (experiment or lab.experiment).model_copy(update={"model": self.name})
        result = self.run(planned, on_token=on_token)
        at_home = self.name == lab.experiment.model and experiment in (None, lab.experiment)
        claims = lab.claims if planned.tweaks == lab.experiment.tweaks else ()  # they are about the lab's own rows
        verdicts = tuple(Verdict(text=c.text, holds=c.holds(result), expected=c.exact or at_home) for c in claims)
        return LabResult(lab=lab.full_name, comparison=result, takeaway=lab.takeaway(result), verdicts=verdicts)

    @torch.no_grad()
    def capture(self, prompt: str, *places: str | Place, tweak: str | Tweak | Stack | None = None) -> dict[str, Tensor]:
        """What the model holds at some sites while it reads `prompt`, without its batch axis: {place: tensor}.

        Only what is asked for is kept. A place's heads and units are cut out; axes are those of sites.py without B.
        """
        wanted = [Place.model_validate(p) if isinstance(p, str) else p for p in places]
        located = [self.living.anatomy.locate(p) for p in wanted]
        where: list[Where] = [(layer, p.site) for p, (layer, _, _) in zip(wanted, located, strict=True)]
        actions = [] if tweak is None else actions_for_all(self.living, Stack.of(tweak))
        ids = torch.tensor([self.living.encode(prompt)], device=self.living.device)
        with packed(self.hf), watched(self.living.anatomy, actions, where) as run:
            self.hf(input_ids=ids, use_cache=False, **({} if (None, "logits") in where else {"logits_to_keep": 1}))
        values = run.tensors()
        return {
            str(p): _cut(values[w][0], p, heads, units)
            for p, w, (_, heads, units) in zip(wanted, where, located, strict=True)
        }

    @contextmanager
    def tweaked(self, *tweaks: str | Tweak | Stack) -> Iterator[Any]:
        """Inside, the Hugging Face model is tweaked on every row: `generate`, a pipeline, a plain call.

        Yields `.hf`. A tweak that was never reached raises NoEffect on the way out.
        """
        if not tweaks:
            raise Refused("no tweak is given", hint='for example: with model.tweaked("zero head 3.5"): …')
        actions = actions_for_all(self.living, Stack.of(list(tweaks)))
        with watched(self.living.anatomy, actions):
            yield self.hf
        from .rows import Row

        check_effect([Row(Stack.of(list(tweaks)), Decoding(), 0, actions)])

    def __repr__(self) -> str:
        parts = self.living.anatomy
        heads = parts.blocks[0].sizes.get("H", "?")
        return (
            f"Model({self.name!r}: {parts.layers} layers, {heads} heads, width {parts.width}, "
            f"vocabulary {parts.vocabulary:,}, {self.dtype} on {self.device})"
        )


def _cut(x: Tensor, place: Place, heads: Sequence[int] | None, units: Sequence[int] | None) -> Tensor:
    """The heads and units of a place out of its site's activation."""
    axes = place.kind.axes[1:]
    if heads is not None:
        x = x.index_select(axes.index("H"), torch.tensor(list(heads), device=x.device))
    if units is not None:
        x = x.index_select(len(axes) - 1, torch.tensor(list(units), device=x.device))
    return x
