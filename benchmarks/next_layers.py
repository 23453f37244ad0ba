"""What the labs of the next layers cost: seconds and peak memory of each, in a process of its own.

python benchmarks/next_layers.py [--threads N] [--labs 13 16]

The last line is JSON: seconds, CPU seconds and peak memory in MiB, by lab. A lab is run once, as a reader runs it,
start and loading included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

LABS = ("13", "14", "15", "16", "17", "18", "19", "20")


def cost(lab: str, threads: int, home: str) -> dict[str, float]:
    """Run a lab to its end and see what the process took. Exits where the lab fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "INVIVO_HOME": home}
    start = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, "-m", "invivo", "run", lab, "--json"], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(running.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"lab {lab} failed")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024),  # Linux counts in KiB
    }


def main() -> None:
    """Every lab once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--labs", nargs="+", default=LABS)
    args = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as home:
        for lab in args.labs:
            found[lab] = cost(lab, args.threads, home)
            told = found[lab]
            print(f"lab {lab}: {told['seconds']:6.1f} s, {told['cpu_seconds']:6.1f} s of CPU, {told['peak_mib']:5} MiB")
    print(json.dumps({"threads": args.threads} | found))


if __name__ == "__main__":
    main()
