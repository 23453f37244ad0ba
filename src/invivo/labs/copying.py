"""Copies of the guide's labs to start from: the lab's own file without relative imports, or the lab as data."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..experiment import Experiment, Lab
from . import source_of


def as_python(lab: Lab, name: str, command: str) -> str:
    """The lab's file as one that stands anywhere: called `name`, and run by `command`."""
    text = source_of(lab)
    text = re.sub(r"^from \.\.([\w.]*) import", lambda m: f"from {_dotted('invivo', m[1])} import", text, flags=re.M)
    text = re.sub(r"^from \.([\w.]*) import", lambda m: f"from {_dotted('invivo.labs', m[1])} import", text, flags=re.M)
    text = re.sub(rf'^    number="{lab.number}",\n', "", text, flags=re.M)
    text = re.sub(rf'^    name="{lab.name}"', f'    name="{name}"', text, flags=re.M)
    return f"# Lab {lab.number} of invivo's guide, to be changed. Run it: {command}\n\n{_renamed(text, lab, command)}"


def as_yaml(lab: Lab, command: str, experiment: Experiment | None = None) -> str:
    """The lab as data, `like` the one it was; every key but that may be changed or left out."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return list(map(plain, value))
        return _renamed(value, lab, command) if isinstance(value, str) else value

    told = {key: plain(getattr(lab, key)) for key in ("title", "section", "why", "know")}
    seen = {key: plain(getattr(lab, key)) for key in ("numbers", "pictures", "look_for", "questions", "sources")}
    text = _dumped(told) + "\n" + (experiment or lab.experiment).to_yaml() + "\n" + _dumped(seen)
    return (
        f"# Lab {lab.number} of invivo's guide as data, to be changed. Run it: {command}\n"
        f"# What is left out is as in the lab named by `like`: its further steps, its takeaway, its claims (which go\n"
        f"# when the tweaks change). Steps of your own: steps: [{{title: Is it real?, control: {{count: 20}}}}]\n"
        f"# Claims: claims: [{{metric: kl_next, above: 1}}]. A takeaway of your own: takeaway: one line.\n"
        f"like: {lab.full_name}\n\n{text}"
    )


def recipe(lab: Lab, experiment: Experiment) -> str:
    """What was run, as a lab in YAML: `invivo run FILE` runs it again."""
    like = f"like: {lab.full_name}\n" if lab.number else ""
    return like + experiment.to_yaml()


def _dotted(package: str, rest: str) -> str:
    return f"{package}.{rest}" if rest else package


def _renamed(text: str, lab: Lab, command: str) -> str:
    """Commands that run the lab, as commands that run the copy; a literal may end, and go on, between two words."""
    gap = r"(?: (?P<quote{0}>[\"'])\n\s*(?P=quote{0})| )"
    words = rf"\binvivo{gap.format(1)}run{gap.format(2)}{lab.number}\b"
    return re.sub(words, lambda _: command, text)


def _dumped(data: dict[str, Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
