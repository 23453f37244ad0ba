"""What every benchmark shares: interleaved rounds, medians, and a last line of JSON.

A benchmark prints what it does on stderr and ends with one JSON document on stdout:
`{"benchmark": …, "machine": …, "versions": …, "figures": {name: number}}`. Figures are ratios within one run, because
machines differ and this one may be busy; rounds alternate between the things compared, so that drift hits both.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def say(text: str) -> None:
    """Talk, on stderr."""
    print(text, file=sys.stderr, flush=True)


def interleaved(works: dict[str, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each work in each round; one after the other, the order turned round every time."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-warm, rounds):
        order = list(works) if number % 2 else list(works)[::-1]
        for name in order:
            start = time.perf_counter()
            works[name]()
            if number >= 0:
                seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        say(f"  {name}: median {statistics.median(taken):.3f} s, best {min(taken):.3f}, worst {max(taken):.3f}")
    return seconds


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> float:
    """Median over rounds of `over` / `under`, each taken within its round."""
    return round(statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True)), 3)


def machine() -> str:
    """The processor and how many of its cores may be used."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"


def finish(benchmark: str, figures: dict[str, float], **more: Any) -> None:
    """Print the last line."""
    from invivo.engine.compare import versions

    print(json.dumps({"benchmark": benchmark, "machine": machine(), "versions": versions(), "figures": figures} | more))
