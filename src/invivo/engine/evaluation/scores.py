"""Rows on tasks, item by item, and what can be said of their scores: intervals over items, and paired differences.

Intervals are bootstrap percentiles (Efron 1979): items are drawn anew, with replacement, and all rows keep the same
draw, so that what makes an item hard for every row cancels in a difference. Where all items agree there is nothing to
draw from: then the interval is the exact one of a share that came out as none of n (Clopper & Pearson 1934).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadText, InvivoError, NoEffect
from ...experiment.trials import SHARE, Interval
from ...tweaks import DecodingTweak, PromptTweak
from ..packed import packed
from ..rows import check_effect
from .harness import harness, hushed, reader
from .scorer import Scorer

DRAWS = 2000
CHUNK = 4_000_000  # numbers drawn at a time
EXAMPLE_SEED = 1234  # of the examples that a task puts in front: the same ones every time
Fold = Callable[[np.ndarray], np.ndarray]

FOLDS: dict[str, Fold] = {  # the harness's ways to sum up items, over the last axis of values (…, n) or (…, n, 2)
    "mean": lambda v: v.mean(-1),
    "perplexity": lambda v: np.exp(-v.mean(-1)),
    "weighted_perplexity": lambda v: np.exp(-v[..., 0].sum(-1) / v[..., 1].sum(-1)),
    "bits_per_byte": lambda v: -v[..., 0].sum(-1) / v[..., 1].sum(-1) / math.log(2),
}
WORDS = {  # what a metric counts
    "acc": "right choices",
    "acc_norm": "right choices by letter",
    "exact_match": "right words written",
    "perplexity": "perplexity",
    "word_perplexity": "perplexity of words",
    "byte_perplexity": "perplexity of bytes",
    "bits_per_byte": "bits per byte",
}


@dataclass(frozen=True)
class Item:
    """One item as one row had it."""

    question: str
    right: str
    said: str


@dataclass(frozen=True)
class Metric:
    """How a task counts."""

    task: str
    name: str
    higher: bool
    fold: Fold | None  # None: a way of summing up that is not known here, and has no interval
    chance: float | None  # of guessing, where there are choices

    @property
    def words(self) -> str:
        """What is counted, in words."""
        return WORDS.get(self.name, self.name)


@dataclass(frozen=True)
class Outcome:
    """One row on one metric."""

    metric: Metric
    total: float  # the harness's own sum over items
    values: np.ndarray  # (n,) or (n, 2); empty where items have no number
    items: tuple[Item, ...]

    @property
    def share(self) -> bool:
        """Whether it is a share of items that are right."""
        return self.metric.fold is FOLDS["mean"] and bool(np.isin(self.values, (0.0, 1.0)).all())

    @property
    def interval(self) -> Interval:
        """The score with its interval over items."""
        if self.metric.fold is None or not len(self.values):
            return Interval(mean=self.total, low=math.nan, high=math.nan)
        low, high = _ends(_drawn(self.metric.fold, [self.values])[0])
        if self.share and self.total in (0.0, 1.0):
            unseen = most_unseen(len(self.values))
            low, high = (1 - unseen, 1.0) if self.total else (0.0, unseen)
        return Interval(mean=self.total, low=low, high=high)

    def above(self, base: Outcome) -> Interval:
        """The score minus BASE's, items paired."""
        gain = self.total - base.total
        if self.metric.fold is None or not len(self.values) or self.values.shape != base.values.shape:
            return Interval(mean=gain, low=math.nan, high=math.nan)
        before, after = _drawn(self.metric.fold, [base.values, self.values])
        low, high = _ends(after - before)
        if self.share and not (self.values != base.values).any():
            low, high = -most_unseen(len(self.values)), most_unseen(len(self.values))
        return Interval(mean=gain, low=low, high=high)

    def changed(self, base: Outcome) -> tuple[int, int]:
        """How many items BASE alone has right, and how many this row alone."""
        return int((base.values > self.values).sum()), int((self.values > base.values).sum())


Outcomes = Mapping[str, Outcome]  # by `task metric`


def most_unseen(n: int) -> float:
    """The largest share that can be none of `n` with a chance of one in forty: the end of a 95 % interval."""
    return 1 - ((1 - SHARE) / 2) ** (1 / n)


def differs(gain: Interval) -> bool:
    """Whether 0 lies outside an interval."""
    return gain.low > 0 or gain.high < 0


def outcomes(scorer: Scorer, tasks: Mapping[str, Any], limit: int = 0) -> dict[str, Outcome]:
    """One row on every task, on the first `limit` items of each (0: on all), through the harness.

    What the reader must know is added to the row's notes. Raises NoEffect for a tweak that no task reaches, and
    InvivoError for what a task makes the harness stumble over.
    """
    writes = any(task.OUTPUT_TYPE == "generate_until" for task in tasks.values())
    if scorer.row.stack and not writes and all(isinstance(t, DecodingTweak) for t in scorer.row.stack):
        raise NoEffect(
            f"`{scorer.row.name}` acts when text is written, and these tasks have none written",
            hint="young_animals has",
        )
    asks = any(task.OUTPUT_TYPE != "loglikelihood_rolling" for task in tasks.values())
    if scorer.row.stack and not asks and all(isinstance(t, PromptTweak) for t in scorer.row.stack):
        raise NoEffect(
            f"`{scorer.row.name}` changes a question, and these tasks ask none: their texts are read as they are",
            hint="giving asks",
        )
    for task in tasks.values():
        task.set_fewshot_seed(seed=EXAMPLE_SEED)
    with scorer.living.alone("compare"), packed(scorer.living.hf), hushed():
        try:
            found = harness("evaluator").evaluate(
                reader(scorer), {"tasks": dict(tasks), "groups": {}}, limit=limit or None, bootstrap_iters=0
            )
        except InvivoError:
            raise
        except (ValueError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
            first = next(iter(str(error).strip().splitlines()), "")
            raise BadText(f"the harness cannot run this: {type(error).__name__}: {first}"[:300]) from None
    told = check_effect([scorer.row]).get(0, [])
    scorer.row.notes += [note for note in told if note not in scorer.row.notes]
    return {
        f"{name} {metric}": _outcome(task, name, metric, found)
        for name, task in tasks.items()
        for metric in dict.fromkeys(m for sample in found["samples"][name] for m in sample["metrics"])
    }


def _outcome(task: Any, name: str, metric: str, found: Mapping[str, Any]) -> Outcome:
    """What the harness kept of a task's items, for one metric and the task's first filter."""
    samples = found["samples"][name]
    kept = [s for s in samples if s["filter"] == samples[0]["filter"]]
    total = float(found["results"][name][f"{metric},{kept[0]['filter']}"])
    how = getattr(task.aggregation().get(metric), "__name__", "")
    try:
        values = np.array([s[metric] for s in kept], dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    fold = FOLDS.get(how)
    if values.ndim > 2 or (
        fold is not None and (values.ndim == 2) != (how in ("weighted_perplexity", "bits_per_byte"))
    ):
        fold = None
    choices = task.OUTPUT_TYPE == "multiple_choice"
    guess = float(np.mean([1 / len(task.doc_to_choice(s["doc"])) for s in kept])) if choices else None
    return Outcome(
        metric=Metric(
            task=name,
            name=metric,
            higher=bool(task.higher_is_better().get(metric, True)),
            fold=fold,
            chance=guess if metric.startswith("acc") else None,
        ),
        total=total,
        values=values,
        items=tuple(_item(task, s) for s in kept),
    )


def _item(task: Any, sample: Mapping[str, Any]) -> Item:
    """What a sample was about, in words."""
    first = sample["arguments"][0]
    if task.OUTPUT_TYPE == "multiple_choice":
        choices = task.doc_to_choice(sample["doc"])
        scores = [response[0] for response in sample["filtered_resps"][: len(choices)]]
        gold = sample["target"]
        right = choices[gold] if isinstance(gold, int) and 0 <= gold < len(choices) else str(gold)
        return Item(str(first[0]), right, choices[int(np.argmax(scores))])
    said = sample["filtered_resps"][0]
    return Item(str(first[0]), str(sample["target"]), said if isinstance(said, str) else "")


def _drawn(fold: Fold, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each row's score on the same DRAWS draws of items: (DRAWS,) each."""
    dice, n = np.random.default_rng(0), len(rows[0])
    found: list[list[np.ndarray]] = [[] for _ in rows]
    for start in range(0, DRAWS, size := max(1, CHUNK // n)):
        chosen = dice.integers(n, size=(min(size, DRAWS - start), n))
        for kept, values in zip(found, rows, strict=True):
            kept.append(fold(values[chosen]))
    return [np.concatenate(kept) for kept in found]


def _ends(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)
