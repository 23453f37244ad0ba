"""Whether a long sweep costs more a row than a short one, and whether its memory stays within the budget it was given.

    python benchmarks/growth.py [--many 10000] [--few 100] [--memory 268435456] [--threads 1] [--rounds 1]

The same head is scaled by so many strengths. Time: seconds a row of the long sweep over those of the short one, which
runs before it and after it. Memory: the most that the process ever held, over what it held before the first of them
(model, packed weights, a sweep of two rows), as a share of the budget. Bars: at most 1.1, and at most 1.0. causal.py
runs this in a process of its own, and does so first: Linux counts the peak of whoever starts a process as its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
from pathlib import Path
from typing import Any

import torch
from common import finish, interleaved, say
from subject import Subject

REPEATS = 3  # of the short sweep, on either side of the long one
MIB = 2**20


def resident() -> int:
    """Bytes that this process holds now; the most it ever held, where the system does not say."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.exists() else peak()


def peak() -> int:
    """The most bytes it ever held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Both sweeps in one process, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--memory", type=int, default=2**28)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    Subject.options(parser)
    given = parser.parse_args()
    inherited = peak()
    torch.set_num_threads(given.threads)
    subject = Subject.of(given)
    model = subject.model()
    line = f"scale head {subject.layers // 3}.0 by *"

    def sweep(rows: int) -> Any:
        strengths = [2 + number / rows for number in range(rows)]
        grid = model.sweep(line, subject.text(*subject.corrupt), values=strengths, memory=given.memory)
        assert len(set(grid.values[0])) > rows // 2, "every strength must do something of its own"
        return grid

    def short() -> None:
        for _ in range(REPEATS):
            sweep(given.few)

    sweep(2)
    before = resident()
    say(f"{line}, {given.few:,} and {given.many:,} rows, threads: {given.threads}, {before / MIB:.0f} MiB before")
    seconds = interleaved(
        {"short, before": short, "long": lambda: sweep(given.many), "short, after": short}, given.rounds, warm=0
    )
    assert peak() > inherited, "started from a process so large that its peak hides this one's"
    held = peak() - before
    rounds = zip(*seconds.values(), strict=True)
    ratios = [long / given.many * 2 * REPEATS * given.few / (early + late) for early, long, late in rounds]
    say(f"  at most {held / MIB:.0f} MiB more, of {given.memory / MIB:.0f}")
    finish(
        "growth",
        {
            f"time_per_row_{given.many}_over_{given.few}": round(statistics.median(ratios), 3),
            "peak_over_budget": round(held / given.memory, 3),
        },
        threads=given.threads,
    )


if __name__ == "__main__":
    main()
