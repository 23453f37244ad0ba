"""`load` and the `Model` it returns: what people hold in their hands. Each method is one call into the engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ..errors import BadText, OutOfRange, Refused
from ..experiment import Case, Comparison, Experiment, Grid, Lab, LabResult, Sweep, Verdict
from ..experiment.attribution import Attribution
from ..experiment.control import Control
from ..experiment.direction import Direction
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.heads import HeadScores
from ..experiment.lens import Lens, LensRecipe
from ..experiment.selftest import SelfTest
from ..model.load import load as load_weights
from ..sites import Place, index_list
from ..tweaks import Decoding, Stack, Tweak
from . import attribution, compare, control, directions, exhibits, finders, heads
from . import lens as lenses
from . import selftest as selftesting
from . import steps as stepping
from . import sweep as sweeping
from .compare import Interrupted, OnToken
from .contrast import contrast, keep
from .forward import Pass, Where, watched
from .living import Living, TokenInfo, wake
from .rows import Row, actions_for_all, check_effect
from .unfinished import Unfinished


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
        rows = [row for given in tweaks for row in (given if isinstance(given, list | tuple) else [given])]
        return Experiment.of({"prompt": prompt, "tweaks": rows, "model": self.name, **fields})

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

    def sweep(self, sweep: Sweep | str, prompt: str | None = None, /, **fields: Any) -> Grid:
        """One number for the same tweak at every place: a map.

        Give a Sweep, or a line with a star and a prompt (or `clean` and `corrupt`, a pair), with any field of Sweep
        and Case beside them. `exact`, `estimate`, `memory` (bytes), `check`, `progress` and `unfinished` (a file) say
        how it is run.

        >>> model.sweep("zero head *", "Once upon a time")  # doctest: +SKIP
        >>> model.sweep("copy L*.resid_pre at * from clean", clean=clean, corrupt=corrupt,
        ...             metric="recovered", target=" Mary", wrong=" John")  # doctest: +SKIP
        """
        how = {k: fields.pop(k) for k in ("exact", "estimate", "memory", "check", "progress", "known") if k in fields}
        file = fields.pop("unfinished", None)
        if isinstance(sweep, str):
            own = ("prompts", "target", "wrong", "clean", "corrupt", "direction")
            case = {k: fields.pop(k) for k in own if k in fields}
            case |= {} if prompt is None and "clean" in case else {"prompt": prompt or ""}
            cases = fields.pop("cases", None) or [case]
            sweep = Sweep.of({"tweak": sweep, "cases": cases, "model": self.name, **fields})
        kept = None if file is None else Unfinished(Path(file), sweep, self.revision)
        return sweeping.run(self.living, sweep, unfinished=kept, **how)

    def plan(self, sweep: Sweep, *, memory: int | None = None) -> list[str]:
        """What `sweep` would do, in words; only BASE is run."""
        return sweeping.plan(self.living, sweep, memory=memory)

    def heads(self, *, rows: int = 6, length: int = 24, seed: int = 0) -> HeadScores:
        """What every attention head looks at on repeated random tokens, and what is lost without it."""
        return heads.scores(self.living, rows, length, seed)

    def attribute(self, prompt: str, target: str, wrong: str | None = None) -> Attribution:
        """What every component writes straight into the logit of `target`, or into its lead over `wrong`."""
        return attribution.attribute(self.living, prompt, target, wrong)

    def lens(self, prompt: str | LensRecipe, tweak: str | Tweak | Stack | None = None, **fields: Any) -> Lens:
        """What each layer would say at each position if the model ended there: BASE, and TWEAK where one is given.

        Further fields are those of LensRecipe: target, tuned, text, top, prompts.
        """
        if isinstance(prompt, str):
            given = {} if tweak is None else {"tweak": tweak}
            prompt = LensRecipe.of({"prompt": prompt, "model": self.name, **given, **fields})
        return lenses.run(self.living, prompt)

    def show(self, exhibit: str | ExhibitRecipe, /, **settings: Any) -> Exhibit:
        """Something to see that is no comparison of runs: `model.show("norm", layer=2)`. `invivo show` lists them."""
        if isinstance(exhibit, str):
            exhibit = ExhibitRecipe(name=exhibit, settings=settings, model=self.name)
        return exhibits.run(self.living, exhibit)

    def control(
        self, tweak: str | Tweak | Stack, prompt: str, *, metric: str = "kl_next", count: int = 20, **fields: Any
    ) -> Control:
        """The effect of a tweak beside that of the same tweak at `count` random places, and on other `prompts_to_try`.

        Further fields are those of Case: target, wrong, prompts.
        """
        tried = fields.pop("prompts_to_try", ())
        case = Case.of({"prompt": prompt, **fields})
        return control.run(self.living, case, Stack.of(tweak), metric, count, tried)

    def run_lab(
        self,
        lab: Lab,
        experiment: Experiment | None = None,
        *,
        on_token: OnToken | None = None,
        steps: bool = True,
        on_step: Callable[[str], None] | None = None,
        on_result: Callable[[LabResult], None] | None = None,
    ) -> LabResult:
        """Run a lab, as it is or with another experiment, and check its claims: with other tweaks there are none.

        What the lab names for fruitfly (a head, a neuron) is found anew on another model. Without `steps` only the
        comparison is run. `on_step` is told each step's title, `on_result` the result before its first step. Ctrl-C
        raises `Interrupted` with what there is by then: the steps that ended, or of a comparison what was said, about
        which nothing is claimed.
        """
        planned = (experiment or lab.experiment).model_copy(update={"model": self.name})
        if not planned.tweaks:
            raise BadText(f"lab {lab.label} needs at least one tweak", hint='for example: --tweak "zero head 1.1"')
        own, notes = planned.tweaks == lab.experiment.tweaks, []
        if own and self.name != lab.experiment.model:
            planned, notes = finders.at(self.living, planned, lab.finds)
        try:
            if lab.directions is not None:
                keep(self.living, lab.directions)
            result = self.run(planned, on_token=on_token)
        except Interrupted as stop:
            cut = cast(Comparison, stop.kept)
            told = LabResult(lab=lab.full_name, comparison=cut, takeaway=lab.takeaway(cut), verdicts=())
            raise Interrupted(told) from None
        except (OutOfRange, Refused) as error:
            if self.name == lab.experiment.model:
                raise
            raise type(error)(
                f"lab {lab.label} was written for {lab.experiment.model}: {error.what}",
                hint=f"choose what {self.name} has: `{lab.command} --model {self.name} "
                '--tweak "zero head 1.1" --set read="…"`',
            ) from None
        at_home = self.name == lab.experiment.model and experiment in (None, lab.experiment)
        claims = lab.claims if own else ()  # they are about the lab's own rows
        told = LabResult(
            lab=lab.full_name,
            comparison=result,
            takeaway=lab.takeaway(result),
            verdicts=tuple(Verdict(text=c.text, holds=c.holds(result), expected=c.exact or at_home) for c in claims),
            notes=tuple(notes),
        )
        if on_result is not None:
            on_result(told)
        done = []
        try:
            for each in lab.steps if steps else ():
                if on_step is not None:
                    on_step(each.title)
                done.append(stepping.step(self.living, each, result.recipe, at_home))
        except KeyboardInterrupt:
            note = f"stopped by Ctrl-C after {len(done)} of {len(lab.steps)} steps"
            so_far = told.model_copy(update={"steps": tuple(done), "notes": (*told.notes, note)})
            raise Interrupted(so_far) from None
        return told.model_copy(update={"steps": tuple(done)})

    @torch.no_grad()
    def capture(self, prompt: str, *places: str | Place, tweak: str | Tweak | Stack | None = None) -> dict[str, Tensor]:
        """What the model holds at some places while it reads `prompt`: {place as given: tensor without batch axis}.

        Only what is asked for is kept. A place's heads, units, positions and keys are cut out; axes are those of
        sites.py without B. Raises NoEffect where `tweak` is never reached.
        """
        wanted = [Place.of(p) if isinstance(p, str) else p for p in places]
        located = [self.living.anatomy.locate(p) for p in wanted]
        where: list[Where] = [(layer, p.site) for p, (layer, _, _) in zip(wanted, located, strict=True)]
        actions = [] if tweak is None else actions_for_all(self.living, Stack.of(tweak))
        ids = torch.tensor([self.living.encode(prompt)], device=self.living.device)
        with self.living.alone("capture"), watched(self.living.anatomy, actions, where) as run:
            self.hf(input_ids=ids, use_cache=False, **self._little_head((None, "logits") in where))
        if tweak is not None:
            check_effect([Row(Stack.of(tweak), Decoding(), 0, actions)])
        values = run.tensors()
        return {
            str(given): _cut(values[w][0], p, heads, units)
            for given, p, w, (_, heads, units) in zip(places, wanted, where, located, strict=True)
        }

    def _little_head(self, logits_wanted: bool) -> dict[str, int]:
        """Ask for the last position's logits only, where the model can be asked and nobody wants the others."""
        takes = "logits_to_keep" in inspect.signature(self.hf.forward).parameters
        return {"logits_to_keep": 1} if takes and not logits_wanted else {}

    @contextmanager
    def tweaked(self, *tweaks: str | Tweak | Stack) -> Iterator[Any]:
        """Inside, the Hugging Face model is tweaked on every row: `generate`, a pipeline, a plain call.

        Yields `.hf`. In `generate` the prompt is what it is given; in a plain call, all that is read without a cache.
        A tweak that was never reached raises NoEffect on the way out. The loss that a plain call computes from labels
        is taken before a tweak of the logits.
        """
        if not tweaks:
            raise Refused("no tweak is given", hint='for example: with model.tweaked("zero head 3.5"): …')
        actions = actions_for_all(self.living, Stack.of(list(tweaks)))
        with self.living.alone("tweaked"), watched(self.living.anatomy, actions) as run, _prompts_known(self.hf, run):
            yield self.hf
        check_effect([Row(Stack.of(list(tweaks)), Decoding(), 0, actions)])

    def selftest(self) -> SelfTest:
        """Try the laws of the engine on this model and device: a table of what holds. Takes seconds.

        Raises Refused inside `model.tweaked`, where BASE would be tweaked.
        """
        return selftesting.run(self.living)

    def direction(
        self,
        name: str,
        *,
        with_: Sequence[str],
        without: Sequence[str],
        site: str | Place,
        at: str = "-1",
        replace: bool = False,
    ) -> Direction:
        """Make a direction from two sets of prompts and keep it under `name`, or at a path that ends in .safetensors.

        Its numbers are the mean of `site` over `with_` minus its mean over `without`, at the positions `at` of each
        prompt (the last one; `:` is all). Raises Refused where the name is taken, unless `replace` says so.

        >>> model.direction("politeness", with_=polite, without=plain, site="L4.resid_post")  # doctest: +SKIP
        >>> model.compare("Once upon a time", "steer L4.resid_post with politeness by 3")  # doctest: +SKIP
        """
        if not replace:
            directions.check_free(name)
        record, values = contrast(self.living, name, with_, without, Place.of(site), at)
        directions.write(record, values)
        return record

    def __repr__(self) -> str:
        parts = self.living.anatomy
        heads = parts.blocks[0].sizes.get("H", "?")
        return (
            f"Model({self.name!r}: {parts.layers} layers, {heads} heads, width {parts.width}, "
            f"vocabulary {parts.vocabulary:,}, {self.dtype} on {self.device})"
        )


@contextmanager
def _prompts_known(hf: Any, run: Pass) -> Iterator[None]:
    """Inside, `generate` tells the pass how long its prompts are, whatever cache it uses and however it reads them."""
    inner = hf.generate
    outer = vars(hf).get("generate")

    def generate(inputs: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        ids = kwargs.get("input_ids", inputs)
        mask = kwargs.get("attention_mask")
        if isinstance(ids, Tensor):
            run.prompt_lengths = mask.sum(-1).tolist() if isinstance(mask, Tensor) else [ids.shape[1]] * ids.shape[0]
        try:
            return inner(inputs, *args, **kwargs)
        finally:
            run.prompt_lengths = None

    hf.generate = generate
    try:
        yield
    finally:
        if outer is None:
            del hf.generate
        else:
            hf.generate = outer


def _cut(x: Tensor, place: Place, heads: Sequence[int] | None, units: Sequence[int] | None) -> Tensor:
    """The heads, units, positions and keys of a place out of its site's activation (T tokens read)."""
    axes = place.kind.axes[1:]
    along = axes.index("T") if "T" in axes else axes.index("S")
    chosen: dict[int, Sequence[int]] = {}
    if heads is not None:
        chosen[axes.index("H")] = heads
    if units is not None:
        chosen[len(axes) - 1] = units
    if place.at is not None:
        chosen[along] = index_list(place.at, x.shape[along], "position", " in the prompt")
    if place.keys is not None:
        chosen[axes.index("S")] = index_list(place.keys, x.shape[axes.index("S")], "position", " in the prompt")
    for axis, numbers in chosen.items():
        x = x.index_select(axis, torch.tensor(list(numbers), dtype=torch.long, device=x.device))
    return x
