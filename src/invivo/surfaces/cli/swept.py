"""The sweep that the flags of `invivo sweep` ask for, and what they leave to be understood.

A pair of prompts, or something that is in force everywhere, asks for what copying undoes of it: so the usual line is a
copy and the usual number how much came back. Whatever is given is taken as it is given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadText, InvivoError
from ...experiment import Case, Sweep, read_yaml
from ...tweaks.stars import patch_over
from ..files import read_text


@dataclass(frozen=True)
class Wanted:
    """The flags that say what is done at every place; None where one was not given."""

    tweak: str | None
    metric: str | None
    over: str | None
    values: str | None
    under: str | None
    window: int
    seeds: int

    def sweep(
        self, settings: Any, prompt: str | None, pair: dict[str, str | None], wrong: str | None, file: Path | None
    ) -> Sweep:
        """The sweep of a prompt, a pair, or a file of either. Raises BadText."""
        prompts = {key.removeprefix("prompts."): v.value for key, v in settings.items() if key.startswith("prompts.")}
        target = settings["target"].value if "target" in settings else None
        common = {"prompts": prompts, "target": target, "wrong": wrong}
        given = {name: text for name, text in pair.items() if text is not None}
        if file is not None:
            cases = read_cases(file, common, given)
        else:
            text = prompt if prompt is not None or given else settings["prompt"].value if "prompt" in settings else None
            if text is None and not given:
                raise BadText("no prompt is given", hint='for example: invivo sweep "Once upon a time"')
            cases = [Case.of(common | given | ({} if text is None else {"prompt": text}))]
        sources = {"corrupt" if pair["direction"] == "noising" else "clean"}
        paired = any(sources & case.prompts.keys() for case in cases) and bool(given or file)
        if self.under is not None and not paired:  # what is clean is the prompt itself
            cases = [c.model_copy(update={"prompts": {"clean": c.prompt} | c.prompts}) for c in cases]
        undoing = paired or self.under is not None
        return Sweep.of(
            {
                "tweak": self.tweak or (self._copy(*sources) if undoing else "zero head *"),
                "metric": self.metric or (_usual(cases, self.under is not None) if undoing else "kl_next"),
                "over": self.over,
                "values": self._numbers(),
                "cases": cases,
                "under": self.under,
                "window": self.window,
                "seeds": self.seeds,
            }
            | {key: settings[key].value for key in ("model", "revision", "dtype")}
        )

    def _copy(self, source: str) -> str:
        return patch_over(self.over or "layers x positions", source)

    def _numbers(self) -> tuple[float, ...]:
        try:
            return tuple(float(v) for v in self.values.split(",")) if self.values else ()
        except ValueError:
            raise BadText(f"--values {self.values!r} is not a list of numbers", hint="write --values 0,0.5,1") from None


def _usual(cases: list[Case], noisy: bool) -> str:
    """The number that says most of what came back, as far as the answers are known. Noise may have taken next to
    nothing away, and a share of that is no number: there it is the probability, as in Meng et al. 2022.
    """
    if not noisy and all(case.target and case.wrong for case in cases):
        return "recovered"
    return "target_probability" if all(case.target for case in cases) else "kl_next"


def recipe_sweep(recipe: Path) -> Sweep:
    """The sweep of a YAML recipe or of a saved result."""
    data = read_yaml(read_text(recipe, "recipe"))
    return Sweep.of(data["recipe"] if isinstance(data, dict) and "recipe" in data else data)


def read_cases(path: Path, common: dict[str, Any], given: dict[str, str]) -> list[Case]:
    """The cases of a file of JSON lines; `given` adds a direction to its pairs. Raises BadText with the wrong line."""
    found = []
    for number, line in enumerate(read_text(path, "cases").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            case = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadText(f"{path}, line {number}: no JSON ({error.msg})", hint="one object a line") from None
        if not isinstance(case, dict) or not case.keys() & {"prompt", "clean", "corrupt"}:
            raise BadText(
                f"{path}, line {number}: a case needs a prompt, or a pair",
                hint='{"prompt": "…", "target": " Mary"}, or {"clean": "…", "corrupt": "…", "target": " Mary"}',
            )
        try:
            found.append(Case.of(common | ({} if "prompt" in case else given) | case))
        except InvivoError as error:
            raise type(error)(f"{path}, line {number}: {error.what}", hint=error.hint) from None
    if not found:
        raise BadText(f"{path} holds no case", hint='one object a line: {"prompt": "…"}')
    return found
