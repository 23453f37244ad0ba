"""Tasks by name or file: those that come with this package, a person's own questions, the harness's.

Questions of one's own need no YAML: a file of JSON lines is enough, all of them {"question", "choices", "answer"} (one
of several is right), {"question", "answer"} (it is to be written) or {"text"} (it is read). A task in YAML is read as
data; what would run code of its own is refused. Every mistake that the harness would count as a wrong answer, or tell
in a traceback, is told here with file and line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...errors import BadText, InvivoError, Refused, UnknownName, nearest
from ...experiment.recipe import read_yaml
from ...files import read
from .harness import harness, hushed
from .shipped import HERE, shipped

LISTED_BY = "invivo eval"
STRIPPED = [{"name": "stripped", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}]
PLAIN = {"dataset_path": "json", "test_split": "test", "metadata": {"version": 1.0}}
# What a person's own lines may be: their fields, and the task that is made of them.
SHAPES: dict[tuple[str, ...], dict[str, Any]] = {
    ("question", "choices", "answer"): {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{choices.index(answer)}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
    ("question", "answer"): {
        "output_type": "generate_until",
        "generation_kwargs": {"until": [".", ",", "\n"], "max_gen_toks": 32, "do_sample": False},
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "filter_list": STRIPPED,
        "metric_list": [
            {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True}
        ],
    },
    ("text",): {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False},
            {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False},
        ],
    },
}
CODE = ("!function", "class:", "include:", "unsafe_code:")


def find(words: Sequence[str]) -> dict[str, Any]:
    """The harness's tasks that these words stand for, by name: a name or a file each.

    Raises InvivoError: a name that nothing answers to, a file with a mistake, a data set that cannot be had; and
    Refused where the harness is missing.
    """
    if not words:
        raise BadText("no task is named", hint=f"`{LISTED_BY}` lists those that come with invivo")
    harness("tasks")
    _sandboxed()
    own = {task.name for task in shipped()}
    found: dict[str, Any] = {}
    for word in words:
        word = word.strip()
        path = Path(word).expanduser()
        if word in own:
            new = _from_yaml(HERE / f"{word}.yaml")
        elif path.suffix in (".jsonl", ".json", ".yaml", ".yml") or path.is_file():
            new = _from_yaml(path) if path.suffix in (".yaml", ".yml") else _from_lines(path)
        else:
            new = _from_harness(word, own)
        twice = next((name for name in new if name in found), None)
        if twice is not None:
            raise BadText(f"the task {twice!r} is named twice", hint="name each task once")
        found |= new
    for name, task in found.items():
        _prepare(name, task)
    return found


def _from_lines(path: Path) -> dict[str, Any]:
    """A person's own questions."""
    lines = _lines(path)
    shape = _shape(path, lines)
    for number, line in lines:
        _check(path, number, line, shape)
    rows = [{**line, "answer": _answer(line)} if "choices" in line else line for _, line in lines]
    return _built(path, path.stem, {**PLAIN, **SHAPES[shape], "task": path.stem}, {"test": rows})


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, with their line numbers. Raises BadText."""
    found = []
    try:
        text = read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadText(f"{path} is not UTF-8, from byte {error.start} on") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadText(
                f"{path}, line {number}: no JSON at column {error.colno}: {error.msg.lower()}",
                hint='one object a line, as {"question": "2 and 2 is", "choices": ["three", "four"], "answer": "four"}',
            ) from None
        if not isinstance(value, dict):
            raise BadText(f"{path}, line {number}: an object in braces is needed, not {line.strip()[:40]}")
        found.append((number, value))
    if not found:
        raise BadText(f"{path} has no items", hint='one a line, as {"question": …, "choices": […], "answer": …}')
    return found


def _shape(path: Path, lines: Sequence[tuple[int, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Which of the shapes the first line has."""
    keys = set(lines[0][1])
    if "text" in keys:
        return ("text",)
    return ("question", "choices", "answer") if "choices" in keys or "answer" not in keys else ("question", "answer")


def _check(path: Path, number: int, line: Mapping[str, Any], shape: tuple[str, ...]) -> None:
    """Raise BadText for a line that has not the shape of the first, or whose answer is none of its choices."""

    def wrong(what: str, hint: str | None = None) -> BadText:
        return BadText(f"{path}, line {number}: {what}", hint=hint or f"its fields are {', '.join(shape)}")

    for key in line:
        if key not in shape:
            guess = nearest(key, shape)
            raise wrong(f"unknown field {key!r}", f"did you mean {guess!r}?" if guess else None)
    for key in shape:
        if key not in line:
            raise wrong(f"it has no {key!r}")
        if key != "choices" and not (isinstance(line[key], str) and line[key].strip()) and "choices" not in shape:
            raise wrong(f"{key!r} must be a text")
    if "choices" not in shape:
        return
    choices = line["choices"]
    if not isinstance(line["question"], str) or not line["question"].strip():
        raise wrong("'question' must be a text")
    if not isinstance(choices, list) or not all(isinstance(c, str) and c.strip() for c in choices) or len(choices) < 2:
        raise wrong("'choices' must be a list of two or more texts")
    if len(set(choices)) < len(choices):
        raise wrong("a choice stands there twice")
    answer = line["answer"]
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(choices):
            raise wrong(f"answer {answer} is none of the {len(choices)} choices", "choices count from 0")
    elif answer not in choices:
        guess = nearest(str(answer), choices)
        raise wrong(
            f"the answer {answer!r} is none of the choices",
            f"did you mean {guess!r}?" if guess else f"choices: {', '.join(choices)}; or their number, from 0",
        )


def _answer(line: Mapping[str, Any]) -> str:
    return line["choices"][line["answer"]] if isinstance(line["answer"], int) else line["answer"]


def _from_yaml(path: Path) -> dict[str, Any]:
    """A task file in the harness's own format, with its data beside it or on the hub."""
    try:
        text = read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadText(f"{path} is not UTF-8, from byte {error.start} on") from None
    lines = text.splitlines()
    code = next(
        (
            word
            for word in CODE
            if any(line.lstrip().startswith(word) or (word[0] == "!" and word in line) for line in lines)
        ),
        None,
    )
    if code is not None:
        raise Refused(
            f"{path} has `{code.rstrip(':')}`, which brings in code or another file",
            hint="write the task out as data, or put it where lm-evaluation-harness finds its own tasks",
        )
    try:
        config = read_yaml(text)
    except BadText as error:
        raise BadText(f"{path}: {error.what}", hint=error.hint) from None
    if not isinstance(config, dict):
        raise BadText(f"{path}: a task is a list of `field: value` lines", hint=f"see {HERE / 'opposites.yaml'}")
    known = {f.name for f in fields(harness("config.task").TaskConfig)}
    for key in config:
        if key not in known | {"group"}:
            guess = nearest(str(key), known)
            raise BadText(f"{path}: unknown field {key!r}", hint=f"did you mean {guess!r}?" if guess else f"see {HERE}")
    if not isinstance(config.get("task"), str):
        raise BadText(f"{path}: a task needs a name", hint=f"write `task: {path.stem}` as its first line")
    _check_metrics(path, config)
    return _built(path, config["task"], config, _beside(path, config))


def _beside(path: Path, config: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]] | None:
    """The data that a task names as JSON lines beside it, by split; None where its data are somewhere else."""
    kwargs = config.get("dataset_kwargs") or {}
    if not isinstance(kwargs, dict):
        raise BadText(f"{path}: dataset_kwargs is {kwargs!r}", hint=f"see {HERE / 'opposites.yaml'}")
    named = kwargs.get("data_files")
    if config.get("dataset_path") != "json" or named is None:
        return None
    splits = named if isinstance(named, dict) else {"train": named}
    return {str(split): [line for _, line in _lines(path.parent / str(file))] for split, file in splits.items()}


def _sandboxed() -> None:
    """Let the harness render templates in jinja's sandbox: a task's text is data, and must not reach Python."""
    from jinja2.sandbox import SandboxedEnvironment

    utils = harness("utils")
    if not isinstance(utils.env, SandboxedEnvironment):
        safe = SandboxedEnvironment(
            loader=utils.env.loader,
            undefined=utils.env.undefined,
            keep_trailing_newline=utils.env.keep_trailing_newline,
        )
        safe.filters.update(utils.env.filters)
        utils.env = safe


def _check_metrics(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse metrics that the harness does not have itself: it would fetch them, with their code, by name."""
    known = set(harness("api.registry").METRIC_REGISTRY.keys())
    for metric in config.get("metric_list") or ():
        name = metric.get("metric") if isinstance(metric, dict) else metric
        if name not in known or (isinstance(metric, dict) and metric.get("hf_evaluate")):
            guess = nearest(str(name), known)
            raise Refused(
                f"{path}: {name!r} is no metric of lm-evaluation-harness itself, and one from elsewhere brings code",
                hint=f"did you mean {guess!r}?"
                if guess and guess != name
                else f"there are {', '.join(sorted(known)[:12])} …",
            )


def _built(path: Path, name: str, config: Mapping[str, Any], data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The harness's task. Data that are at hand are given to it as they are: nothing is cached, so nothing is stale."""
    config = dict(config)
    if data is not None:
        config.pop("dataset_kwargs", None)
        config["custom_dataset"] = _dataset(path, data)
    return _loaded(str(path), config, include_defaults=False)


def _dataset(path: Path, data: Mapping[str, Any]) -> Callable[..., Any]:
    def make(**_: Any) -> Any:
        from datasets import Dataset  # pyright: ignore[reportMissingImports] - the harness brings it

        try:
            return {split: Dataset.from_list(list(rows)) for split, rows in data.items()}
        except Exception as error:  # pyarrow's, of many classes: a field that is text here and a number there
            raise BadText(f"the lines beside {path} do not have one form: {_first(error)}") from None

    return make


def _from_harness(name: str, own: set[str]) -> dict[str, Any]:
    """A task, group or tag that the harness knows by name; its data come from the hub."""
    with hushed():
        manager = harness("tasks").TaskManager()
    if name not in manager.all_tasks:
        guess = nearest(name, [*own, *manager.all_tasks])
        raise UnknownName(
            f"no task is called {name!r}",
            hint=(f"did you mean {guess!r}? " if guess else "")
            + f"`{LISTED_BY}` lists those that come with invivo, `lm-eval ls tasks` the harness's",
        )
    return _loaded(name, name, manager=manager)


def _loaded(what: str, spec: Any, include_defaults: bool = True, manager: Any = None) -> dict[str, Any]:
    """Let the harness build it; what it stumbles over is told in a line. Raises InvivoError."""
    try:
        with hushed():
            manager = manager or harness("tasks").TaskManager(include_defaults=include_defaults)
            return dict(manager.load([spec])["tasks"])
    except InvivoError:
        raise
    except (OSError, ConnectionError) as error:
        raise InvivoError(
            f"the data of {what} cannot be had: {_first(error)}",
            hint="they come from the hub: is there a network? Tasks that come with invivo need none",
        ) from None
    except Exception as error:  # whatever a template, a metric or a data set raises
        if type(error).__module__.startswith(("datasets", "huggingface_hub", "requests", "httpx")):
            raise InvivoError(
                f"the data of {what} cannot be had: {_first(error)}",
                hint="they come from the hub: is there a network? Tasks that come with invivo need none",
            ) from None
        raise BadText(
            f"{what}: the harness cannot build this task: {type(error).__name__}: {_first(error)}",
            hint=f"compare it with {HERE / 'opposites.yaml'}",
        ) from None


def _first(error: Exception) -> str:
    """An error's first line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _prepare(name: str, task: Any) -> None:
    """What the harness's own entrance sees to: no examples unless the task says so, and the same ones every time.

    Raises BadText where a right answer is none of the choices, which the harness would count as a wrong one.
    """
    with hushed():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        if task.OUTPUT_TYPE != "multiple_choice":
            return
        for number, doc in enumerate(task.eval_docs):
            try:
                choices, gold = task.doc_to_choice(doc), task.doc_to_target(doc)
            except Exception as error:
                raise BadText(f"task {name}, item {number}: {_first(error)}") from None
            for one in gold if isinstance(gold, list) else [gold]:
                right = 0 <= one < len(choices) if isinstance(one, int) else one in choices
                if not right and not getattr(task, "multiple_input", 0):
                    raise BadText(
                        f"task {name}, item {number}: the answer {one!r} is none of the {len(choices)} choices",
                        hint="doc_to_target gives a choice's number, from 0, or its text",
                    )
